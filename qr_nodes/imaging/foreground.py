"""Foreground estimation: the subject's own colour where the background shines through.

A picture is I = αF + (1 − α)B. Given I and α, F and B are found together as the smoothest
pair that explains the picture, from coarse cells to single pixels. Where coarse multi-level
methods shrink the picture, cells here add up the least-squares sums of their pixels, so a
thread of hair counts in a cell of any size with all that its pixels tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from qr_nodes.imaging.strips import strips

TILE = 64
"""Side of the squares that are solved down to single pixels, px."""

CELL = 8
"""Side of the cells that are solved over the whole surroundings, px."""

HALO = 4
"""How far around a tile its pixels are asked: as far as solving two levels reaches, px."""

BATCH = 12
"""Tiles solved together: few enough to stay in the cache, enough to keep it busy."""

PRIOR = 0.1
"""Weight of the colour found one level up against that of a pixel."""

DOUBT = 0.01
"""Weight of a colour that no pixel of a cell has shown, against one that all have."""

UNSEEN = 1 / 255
"""Alpha that is no farther from 0 or 1 than this, one step of 8 bits, is as good as there."""

SCALE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}


def decontaminated(
    color: np.ndarray,
    alpha: np.ndarray,
    strength: float = 1.0,
    spread: int = 4,
    where: np.ndarray | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Give the picture with the background's colour taken out of its soft edge.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
    alpha : (H, W) float32 in [0, 1]
    strength : float in [0, 1]
        How far colours go from what was photographed to the pure foreground.
    spread : int
        How far, in px, the foreground's colour continues where alpha is 0.
    where : (H, W) float32 in [0, 1] or None
        Region to act in.
    checkpoint : callable
        Called every few ms.

    Returns
    -------
    color : (H, W, 3)
        In the same depth; `color` itself if nothing is to be done. Pixels with alpha 1, and
        those with alpha 0 farther than `spread` from the others, are unchanged.
    """
    todo = _to_clean(alpha, spread, where, checkpoint)
    tiles = tiles_that_hold(todo, TILE)
    if not len(tiles):
        return color
    # Everything happens within the tiles' bounding box and one tile more of surroundings.
    (top, left), (bottom, right) = tiles.min(0), tiles.max(0) + 2 * TILE
    top, left = max(top - TILE, 0), max(left - TILE, 0)
    box, tiles = (slice(top, bottom), slice(left, right)), tiles - (top, left)
    checkpoint()
    out = color.copy()
    old, alpha, todo, new = color[box], alpha[box], todo[box], out[box]
    where = where if where is None else where[box]
    for batch, picture, clean in _foreground(old, alpha, tiles, checkpoint):
        if where is not None:
            clean -= picture
            clean *= strength * _gather(where, batch, HALO)[HALO:-HALO]
            clean += picture
        elif strength < 1:
            clean *= strength
            clean += picture * np.float32(1 - strength)
        clean = _in_depth(clean, color.dtype)
        for i, (y, x) in enumerate(batch.tolist()):
            mask, at = todo[y : y + TILE, x : x + TILE], HALO + i * (TILE + 2 * HALO)
            h, w = mask.shape
            cv2.copyTo(clean[:h, at : at + w], mask, new[y : y + h, x : x + w])
    return out


def _foreground(
    color: np.ndarray, alpha: np.ndarray, tiles: np.ndarray, checkpoint: Callable[[], None]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Estimate the foreground in the `tiles`, (n, 2) top left corners.

    Yields
    ------
    batch : (k, 2)
        Corners of the next few tiles.
    picture, foreground : (3, TILE, k · (TILE + 2 · HALO)) float32 in [0, 1]
        Colours of these tiles, side by side, with what is left and right of each.

    References
    ----------
    Germer, Uelwer, Conrad and Harmeling, "Fast multi-level foreground estimation", ICPR 2020,
    for solving from coarse to fine; Forte, "Approximate fast foreground colour estimation",
    ICIP 2021, for the closed-form step with a blurred prior.
    """
    batches = [tiles[i : i + BATCH] for i in range(0, len(tiles), BATCH)]
    cells = _cells(color, alpha, checkpoint)
    for batch in batches:
        checkpoint()
        _add_up(cells, color, alpha, batch)
    found = _solve_cells(cells, checkpoint)
    # One more cell around whole tiles: beyond the picture its border goes on.
    ends = [(1, 1 + -length % (TILE // CELL)) for length in found.shape[1:]]
    found = np.pad(found, ((0, 0), *ends), mode="edge")
    for batch in batches:
        checkpoint()
        yield batch, *_solve_tiles(found, color, alpha, batch)


def _to_clean(alpha, spread, where, checkpoint) -> np.ndarray:
    """Mark, as uint8, the pixels that are partly see-through or lie `spread` px beside one."""
    todo = np.empty(alpha.shape, np.uint8)
    square = np.ones((2 * spread + 1, 2 * spread + 1), np.uint8)  # far faster than a disk
    for rows, padded, inner in strips(*alpha.shape, halo=spread):
        checkpoint()
        seen = (alpha[padded] > UNSEEN).view(np.uint8)
        if spread:
            seen = cv2.dilate(seen, square)
        np.multiply(seen[inner], alpha[rows] < 1 - UNSEEN, out=todo[rows])
        if where is not None:
            todo[rows] *= where[rows] > 0
    return todo


def tiles_that_hold(todo: np.ndarray, side: int) -> np.ndarray:
    """Give (n, 2) top left corners of the tiles that hold a pixel of `todo` (H, W) uint8."""
    height, width = todo.shape
    held = np.stack([todo[y : y + side].max(axis=0) for y in range(0, height, side)])
    held = np.maximum.reduceat(held, np.arange(0, width, side), axis=1)
    return np.argwhere(held) * side


def colors_apart(
    picture: np.ndarray,
    alpha: np.ndarray,
    weight: np.ndarray,
    checkpoint: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate smooth foreground and background where only some pixels' alpha is trusted.

    Parameters
    ----------
    picture : (3, H, W) float32 in [0, 1]
    alpha : (H, W) float32 in [0, 1]
    weight : (H, W) float32 in [0, 1]
        How far each pixel's alpha is to be believed.
    checkpoint : callable
        Called every few ms.

    Returns
    -------
    foreground, background : (3, H, W) float32 in [0, 1]
    """
    weight = weight + np.float32(1e-6)  # something is known, if nothing else is
    sums = np.concatenate([_sums(picture, alpha) * weight, weight[None]])
    found = _solve_cells(sums, checkpoint)
    return found[1:4] / found[0], found[5:8] / found[4]


# Sums of a cell: planes of (rows, columns), averaged over its pixels.
#   0 α   1:4 I   4 α²   5:8 αI   8 1, if the pixels have weights
# Colours of a cell, weighted by how much its pixels show of them:
#   0 a   1:4 aF   4 b   5:8 bB
# A batch of tiles is held side by side, as one wide picture.


def _sums(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give the (8, rows, columns) sums for `picture` (3, rows, columns) in [0, 1]."""
    sums = np.empty((8, *alpha.shape), np.float32)
    sums[0], sums[1:4] = alpha, picture
    np.multiply(sums[:4], alpha, out=sums[4:])
    return sums


def _tile_sums(color: np.ndarray, alpha: np.ndarray, batch: np.ndarray, halo: int) -> np.ndarray:
    """Give the (8, side, n · side) sums of each pixel of n tiles with a halo."""
    side = TILE + 2 * halo
    sums = np.empty((8, side, len(batch) * side), np.float32)
    _gather(alpha, batch, halo, out=sums[0])
    for plane, out in zip(cv2.split(_gather(color, batch, halo)), sums[1:4], strict=True):
        out[:] = plane
    if color.dtype != np.float32:
        sums[1:4] *= np.float32(1 / SCALE[color.dtype])
    np.multiply(sums[:4], sums[0], out=sums[4:])
    return sums


def _cells(color: np.ndarray, alpha: np.ndarray, checkpoint: Callable[[], None]) -> np.ndarray:
    """Give the sums of cells of CELL × CELL px, as if each had one alpha and one colour."""
    small = [_shrunk(plane, checkpoint) for plane in (color, alpha)]
    picture = small[0].transpose(2, 0, 1) * np.float32(1 / SCALE[color.dtype])
    return _sums(picture, small[1])


def _shrunk(plane: np.ndarray, checkpoint: Callable[[], None]) -> np.ndarray:
    """Give cells of CELL × CELL px their mean, of every fourth row: enough for surroundings."""
    height, width = plane.shape[:2]
    rows, columns = max(height // CELL, 1), max(width // CELL, 1)
    small = np.empty((rows, columns, *plane.shape[2:]), plane.dtype)
    whole = plane[:, : max(width // CELL * CELL, width % CELL)]
    for top in range(0, rows, TILE):
        checkpoint()
        part = small[top : top + TILE]
        pixels = whole[top * CELL : (top + len(part)) * CELL : 4]
        cv2.resize(pixels, (columns, len(part)), dst=part, interpolation=cv2.INTER_AREA)
    # What is left over at the lower and the right border is as the cells beside it.
    ends = -(-height // CELL) - rows, -(-width // CELL) - columns
    return cv2.copyMakeBorder(small, 0, ends[0], 0, ends[1], cv2.BORDER_REPLICATE)


def _add_up(cells: np.ndarray, color: np.ndarray, alpha: np.ndarray, batch: np.ndarray) -> None:
    """Put the true sums of each pixel of the tiles in `batch` into `cells`."""
    sums = _tile_sums(color, alpha, batch, 0)
    while sums.shape[1] > TILE // CELL:
        sums = _halved(sums)
    side = TILE // CELL
    for i, (y, x) in enumerate((batch // CELL).tolist()):
        room = cells[:, y : y + side, x : x + side]
        room[:] = sums[:, : room.shape[1], i * side : i * side + room.shape[2]]


def _solve_cells(sums: np.ndarray, checkpoint: Callable[[], None]) -> np.ndarray:
    """Give the weighted colours of cells, found from one cell for all down to `sums`."""
    pyramid = [sums]
    while max(pyramid[-1].shape[1:]) > 1:
        pyramid.append(_halved(pyramid[-1]))
    top = pyramid[-1]
    mean = top[1:4] / _total(top)
    found = np.concatenate([mean[:1] * 0 + 1, mean] * 2)
    for level in reversed(pyramid):
        checkpoint()
        rows, columns = level.shape[1:]
        if level is not top:
            found = _doubled(found)[:, :rows, :columns]
        found = _solved(level, found)
        checkpoint()
        blurred = np.empty_like(found)
        for plane, out in zip(found, blurred, strict=True):
            cv2.blur(plane, (3, 3), dst=out)
        found = _solved(level, blurred)
    return found


def _solve_tiles(found, color, alpha, batch) -> tuple[np.ndarray, np.ndarray]:
    """Give picture and foreground (3, TILE, n · (TILE + 2 · HALO)) of the n tiles in `batch`.

    `found` holds the weighted colours of cells with one more cell around.
    """
    side = TILE // CELL + 2
    pieces = [found[:, y : y + side, x : x + side] for y, x in (batch // CELL).tolist()]
    found = _doubled_tiles(np.concatenate(pieces, axis=2))
    # Of half a cell, one on each side is halo enough.
    found = found.reshape(8, 2 * side, len(batch), 2 * side)[:, 1:-1, :, 1:-1]
    found = found.reshape(8, found.shape[1], -1)
    sums = _tile_sums(color, alpha, batch, HALO)
    fine = _halved(sums)
    for level in (_halved(fine), fine):
        found = _doubled_tiles(_solved(level, found))
    found, sums = found[:, HALO:-HALO], sums[:, HALO:-HALO]
    # One pixel's least squares: the misfit goes to F and B as they take part in it.
    alpha, picture = sums[0], sums[1:4]
    share = alpha / (1 + PRIOR - 2 * (alpha - sums[4]))
    fore = found[1:4] * ((1 - share * alpha) / found[0])
    fore += picture * share
    fore -= found[5:8] * ((share - share * alpha) / found[4])
    return picture, np.clip(fore, 0, 1, out=fore)


def _gather(
    plane: np.ndarray, batch: np.ndarray, halo: int, out: np.ndarray | None = None
) -> np.ndarray:
    """Give (side, n · side, ...) of n tiles with a halo; beyond the picture its border."""
    (height, width), side = plane.shape[:2], TILE + 2 * halo
    if out is None:
        out = np.empty((side, len(batch) * side, *plane.shape[2:]), plane.dtype)
    for i, (y, x) in enumerate((batch - halo).tolist()):
        tile = plane[max(y, 0) : y + side, max(x, 0) : x + side]
        if tile.shape[:2] != (side, side):
            ends = max(-y, 0), max(y + side - height, 0), max(-x, 0), max(x + side - width, 0)
            tile = cv2.copyMakeBorder(tile, *ends, cv2.BORDER_REPLICATE)
        out[:, i * side : (i + 1) * side] = tile
    return out


def _in_depth(planes: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Give planes (3, h, w) in [0, 1] as colours (h, w, 3) of `dtype`."""
    if dtype == np.uint8:
        planes = cv2.convertScaleAbs(planes.reshape(-1, planes.shape[2]), alpha=255)
        return cv2.merge(list(planes.reshape(3, -1, planes.shape[1])))
    if dtype == np.uint16:
        planes = np.rint(planes * np.float32(65535)).astype(dtype)
    return cv2.merge(list(planes))


def _total(sums: np.ndarray) -> np.ndarray | float:
    """Give the sum of each cell's weights."""
    return sums[8] if len(sums) > 8 else 1.0


def _solved(sums: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Give each cell's weighted colours from its sums and those expected there, `found`."""
    alpha, ff = sums[0], sums[4]
    fb = alpha - ff
    bb = _total(sums) - alpha - fb
    # Least squares: (ff + PRIOR) F + fb B = αI + PRIOR F', fb F + (bb + PRIOR) B = βI + PRIOR B'.
    to_fore = found[1:4] * (PRIOR / found[0])
    to_fore += sums[5:8]
    to_back = found[5:8] * (PRIOR / found[4])
    to_back += sums[1:4]
    to_back -= sums[5:8]
    of_fore, of_back = ff + PRIOR, bb + PRIOR
    scale = 1 / (of_fore * of_back - fb * fb)
    of_fore *= scale
    of_back *= scale
    fb *= scale
    out = np.empty_like(found)
    np.add(ff, DOUBT, out=out[0])
    np.add(bb, DOUBT, out=out[4])
    for mine, other, own, weight, color in (
        (to_fore, to_back, of_back, out[0], out[1:4]),
        (to_back, to_fore, of_fore, out[4], out[5:8]),
    ):
        np.multiply(mine, own, out=color)
        color -= other * fb
        np.clip(color, 0, 1, out=color)
        color *= weight
    return out


def _halved(planes: np.ndarray) -> np.ndarray:
    """Average 2 × 2 cells; an odd side is first made even by repeating its last cells."""
    count, rows, columns = planes.shape
    if rows % 2 or columns % 2:
        planes = np.pad(planes, ((0, 0), (0, rows % 2), (0, columns % 2)), mode="edge")
        count, rows, columns = planes.shape
    size = columns // 2, count * rows // 2
    tall = cv2.resize(planes.reshape(-1, columns), size, interpolation=cv2.INTER_AREA)
    return tall.reshape(count, rows // 2, columns // 2)


def _doubled(planes: np.ndarray) -> np.ndarray:
    """Interpolate planes to twice as many rows and columns."""
    count, rows, columns = planes.shape
    out = np.empty((count, 2 * rows, 2 * columns), np.float32)
    for plane, large in zip(planes, out, strict=True):
        cv2.resize(plane, large.shape[::-1], dst=large, interpolation=cv2.INTER_LINEAR)
    return out


def _doubled_tiles(planes: np.ndarray) -> np.ndarray:
    """Interpolate planes of tiles as one: neighbours reach into the outermost cells."""
    count, rows, columns = planes.shape
    size = 2 * columns, count * 2 * rows
    tall = cv2.resize(planes.reshape(-1, columns), size, interpolation=cv2.INTER_LINEAR)
    return tall.reshape(count, 2 * rows, 2 * columns)
