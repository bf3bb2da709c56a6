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
"""Side of the cells that are solved over the whole surroundings, px; also a tile's halo."""

BATCH = 12
"""Tiles solved together: what they need stays within a few MB."""

PRIOR = 0.1
"""Weight of the colour found one level up against that of a pixel."""

DOUBT = 0.01
"""Weight of a colour that no pixel of a cell has shown, against one that all have."""

UNSEEN = 1 / 510
"""Alpha nearer to 0 or 1 than this, half a step of 8 bits, is as good as there."""

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
    out, top = color, np.float32(SCALE[color.dtype])
    for rows, cols, clean in foreground_tiles(color, alpha, todo, checkpoint):
        if out is color:
            out = color.copy()
        old = color[rows, cols]
        amount = strength if where is None else strength * where[rows, cols][..., None]
        new = old + (clean * top - old) * amount
        if top > 1:
            np.rint(new, out=new)
        np.copyto(out[rows, cols], new, casting="unsafe", where=todo[rows, cols, None] > 0)
    return out


def foreground_tiles(
    color: np.ndarray,
    alpha: np.ndarray,
    todo: np.ndarray,
    checkpoint: Callable[[], None] = lambda: None,
) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Estimate the foreground in the tiles that hold a pixel to do.

    Parameters
    ----------
    color, alpha, checkpoint
        As in `decontaminated`.
    todo : (H, W) uint8
        Non-zero where the foreground is wanted.

    Yields
    ------
    rows, cols : slice
        Where the tile lies.
    foreground : (h, w, 3) float32 in [0, 1]
        The foreground's colours there.

    References
    ----------
    Germer, Uelwer, Conrad and Harmeling, "Fast multi-level foreground estimation", ICPR 2020,
    for solving from coarse to fine; Forte, "Approximate fast foreground colour estimation",
    ICIP 2021, for the closed-form step with a blurred prior.
    """
    tiles = tiles_that_hold(todo)
    if not len(tiles):
        return
    # Everything happens within the tiles' bounding box and one tile more of surroundings.
    (y0, x0), (y1, x1) = tiles.min(0), tiles.max(0)
    y0, x0 = max(y0 - TILE, 0), max(x0 - TILE, 0)
    color = color[y0 : y1 + 2 * TILE, x0 : x1 + 2 * TILE]
    alpha = alpha[y0 : y1 + 2 * TILE, x0 : x1 + 2 * TILE]
    tiles = tiles - (y0, x0)
    batches = [tiles[i : i + BATCH] for i in range(0, len(tiles), BATCH)]

    cells = _cells(color, alpha)
    for batch in batches:
        checkpoint()
        _add_up(cells, color, alpha, batch)
    found = _solve_cells(cells, checkpoint)
    # One more cell around whole tiles: beyond the picture its border goes on.
    ends = [(1, 1 + -length % (TILE // CELL)) for length in found.shape[1:]]
    found = np.pad(found, ((0, 0), *ends), mode="edge")

    for batch in batches:
        checkpoint()
        for (y, x), clean in zip(batch, _solve_tiles(found, color, alpha, batch), strict=True):
            clean = clean[: alpha.shape[0] - y, : alpha.shape[1] - x]
            h, w = clean.shape[:2]
            yield slice(y0 + y, y0 + y + h), slice(x0 + x, x0 + x + w), clean


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


def tiles_that_hold(todo: np.ndarray, side: int = TILE) -> np.ndarray:
    """Give (n, 2) top left corners of the tiles that hold a pixel of `todo` (H, W) uint8."""
    height, width = todo.shape
    held = np.bitwise_or.reduceat(todo, np.arange(0, height, side), axis=0)
    held = np.bitwise_or.reduceat(held, np.arange(0, width, side), axis=1)
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
# A batch of tiles is held one below the other, as one high picture.


def _sums(picture: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give the (8, rows, columns) sums for `picture` (3, rows, columns) in [0, 1]."""
    sums = np.empty((8, *alpha.shape), np.float32)
    sums[0], sums[1:4] = alpha, picture
    np.multiply(sums[:4], alpha, out=sums[4:])
    return sums


def _cells(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give the sums of cells of CELL × CELL px, as if each had one alpha and one colour."""
    size = -(-alpha.shape[1] // CELL), -(-alpha.shape[0] // CELL)
    small = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
    small_alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    picture = small.transpose(2, 0, 1) * np.float32(1 / SCALE[color.dtype])
    return _sums(picture, small_alpha)


def _add_up(cells: np.ndarray, color: np.ndarray, alpha: np.ndarray, batch: np.ndarray) -> None:
    """Put the true sums of each pixel of the tiles in `batch` into `cells`."""
    sums = _sums(*_gather(color, alpha, batch, 0))
    side = TILE // CELL
    tall = cv2.resize(
        sums.reshape(-1, TILE), (side, sums[..., 0].size // CELL), interpolation=cv2.INTER_AREA
    )
    for (y, x), tile in zip(
        batch // CELL, tall.reshape(8, -1, side, side).swapaxes(0, 1), strict=True
    ):
        room = cells[:, y : y + side, x : x + side]
        room[:] = tile[:, : room.shape[1], : room.shape[2]]


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
        found = _solved(level, np.stack([cv2.blur(p, (3, 3)) for p in found]))
    return found


def _solve_tiles(found, color, alpha, batch) -> np.ndarray:
    """Give the (n, TILE, TILE, 3) foreground of the tiles in `batch`.

    `found` holds the weighted colours of cells with one more cell around.
    """
    side = TILE // CELL + 2
    pieces = [found[:, y : y + side, x : x + side] for y, x in batch // CELL]
    found = np.concatenate(pieces, axis=1)
    picture, alpha = _gather(color, alpha, batch, CELL)
    finer = [_halved(_sums(picture, alpha))]
    finer.append(_halved(finer[0]))
    for level in reversed(finer):
        found = _solved(level, _doubled(found))
    found = _doubled(found)
    fore, back = found[1:4] / found[0], found[5:8] / found[4]
    # One pixel's least squares: the misfit goes to F and B as they take part in it.
    misfit = picture - back
    back -= fore
    back *= alpha
    misfit += back
    misfit *= alpha / (1 + PRIOR - 2 * alpha * (1 - alpha))
    fore += misfit
    np.clip(fore, 0, 1, out=fore)
    fore = fore.reshape(3, len(batch), TILE + 2 * CELL, TILE + 2 * CELL)
    return fore[:, :, CELL:-CELL, CELL:-CELL].transpose(1, 2, 3, 0)


def _gather(color, alpha, batch, halo) -> tuple[np.ndarray, np.ndarray]:
    """Give colours in [0, 1] (3, n·side, side) and alpha (n·side, side) of tiles with a halo.

    Beyond the picture its border goes on.
    """
    (height, width), side = alpha.shape, TILE + 2 * halo
    picture = np.empty((3, len(batch), side, side), np.float32)
    matte = np.empty((len(batch), side, side), np.float32)
    for i, (y, x) in enumerate(batch - halo):
        ys, xs = slice(max(y, 0), y + side), slice(max(x, 0), x + side)
        tile, tile_alpha = color[ys, xs], alpha[ys, xs]
        if tile_alpha.shape != (side, side):
            ends = max(-y, 0), max(y + side - height, 0), max(-x, 0), max(x + side - width, 0)
            tile = cv2.copyMakeBorder(tile, *ends, cv2.BORDER_REPLICATE)
            tile_alpha = cv2.copyMakeBorder(tile_alpha, *ends, cv2.BORDER_REPLICATE)
        picture[:, i] = tile.transpose(2, 0, 1)
        matte[i] = tile_alpha
    if color.dtype != np.float32:
        picture *= np.float32(1 / SCALE[color.dtype])
    return picture.reshape(3, -1, side), matte.reshape(-1, side)


def _total(sums: np.ndarray) -> np.ndarray | float:
    """Give the sum of each cell's weights."""
    return sums[8] if len(sums) > 8 else 1.0


def _solved(sums: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Give each cell's weighted colours from its sums and those expected there, `found`."""
    alpha, alpha2 = sums[0], sums[4]
    ff, fb = alpha2, alpha - alpha2
    bb = _total(sums) - alpha - fb
    fore, back = found[1:4] / found[0], found[5:8] / found[4]
    to_fore = sums[5:8] - ff * fore - fb * back
    to_back = sums[1:4] - sums[5:8] - fb * fore - bb * back
    of_fore, of_back = ff + PRIOR, bb + PRIOR
    scale = 1 / (of_fore * of_back - fb * fb)
    of_fore *= scale
    of_back *= scale
    fb *= scale
    fore += of_back * to_fore - fb * to_back
    back += of_fore * to_back - fb * to_fore
    out = np.empty_like(found)
    np.add(ff, DOUBT, out=out[0])
    np.add(bb, DOUBT, out=out[4])
    np.multiply(np.clip(fore, 0, 1, out=fore), out[0], out=out[1:4])
    np.multiply(np.clip(back, 0, 1, out=back), out[4], out=out[5:8])
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
    size = 2 * planes.shape[2], 2 * planes.shape[1]
    return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in planes])
