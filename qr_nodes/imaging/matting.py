"""Alpha matting: how much of each unsure pixel is subject, told by the picture's colours.

The matte minimises αᵀLα + Σ w(α − t)²: L asks that it lie on the colour lines of small
windows (closed-form matting), t is 0 or 1 where the answer is sure and else a guess from the
colours on either side and from the matte there was. It is solved from coarse to fine with a few
steps of conjugate gradients per level, each one guided filter. The last levels, up to the
full picture, only take over the coefficients of the colour lines, as in the fast guided filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from qr_nodes.imaging.edges import GRAIN, Box, ColorLines, on_lines
from qr_nodes.imaging.foreground import SCALE, colors_apart, tiles_that_hold
from qr_nodes.imaging.strips import strips

SURE = 0.05
"""A matte nearer than this to 0 or 1 is taken at its word."""

WORK = 1_600_000
"""Most pixels of the finest level that is solved, rather than taken over."""

STEPS = (2, 4, 8, 16, 24)
"""Steps of conjugate gradients per level, from the finest on."""

FLAT = 1e-6
"""Colour variance of a window that tells nothing."""

SIDE = 128
"""Side of the tiles in which the full picture is gone through, px."""

CELL = 64
"""Side of the tiles in which a level is solved, px of that level."""

MOST = 0.6
"""Share of tiles to be solved from which the whole level is."""

MARGIN = 6
"""How far from the band, in the same px, the solution looks for what moves. What is farther away
is sure, and its weight would keep it where it is."""

HOLD = 100.0
"""Weight of a sure pixel; that of the picture's colour lines is 1."""


def unsure_band(
    alpha: np.ndarray,
    width: int = 0,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Mark where a matte is neither 0 nor 1, and `width` px on either side of its contour.

    Returns
    -------
    unsure : (H, W) uint8, 0 or 1
    """
    unsure = np.empty(alpha.shape, np.uint8)
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    for rows, padded, inner in strips(*alpha.shape, halo=width):
        checkpoint()
        seen = (alpha[padded] > SURE).view(np.uint8)
        open_ = (alpha[padded] < 1 - SURE).view(np.uint8)
        if width:
            seen, open_ = cv2.dilate(seen, square), cv2.dilate(open_, square)
        np.bitwise_and(seen[inner], open_[inner], out=unsure[rows])
    return unsure


def refined_alpha(
    color: np.ndarray,
    guess: np.ndarray,
    unsure: np.ndarray,
    trust: float = 0.3,
    contrast: float = 0.1,
    checkpoint: Callable[[], None] = lambda: None,
    doubted: np.ndarray | None = None,
) -> np.ndarray:
    """Solve for alpha in the unsure band.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
    guess : (H, W) float32 in [0, 1]
        A matte or trimap: outside the band, whether it is above ½ says what is foreground.
    unsure : (H, W) uint8, 0 or 1
        The band.
    trust : float in [0, 1]
        How much `guess` counts within the band; 0 for a trimap.
    contrast : float in [0, 1)
        How much is cut off either end of alpha, in halves.
    checkpoint : callable
        Called every few ms.
    doubted : (H, W) float32 in [0, 1] or None
        How far `guess` does not count for a pixel of the band, whatever `trust`.

    Returns
    -------
    alpha : (H, W) float32 in [0, 1]
        Exactly 0 or 1 outside the band.

    References
    ----------
    Levin, Lischinski and Weiss, "A closed-form solution to natural image matting",
    IEEE TPAMI 30(2), 2008; He, Sun and Tang, "Fast matting using large kernel matting Laplacian
    matrices", CVPR 2010, for the product with L by box filters; He and Sun, "Fast guided
    filter", arXiv:1505.00996, 2015.
    """
    corners = tiles_that_hold(unsure, SIDE)
    if not len(corners):
        return _decided(guess, checkpoint)
    (top, left), (bottom, right) = corners.min(0), corners.max(0) + 2 * SIDE
    top, left = max(top - SIDE, 0), max(left - SIDE, 0)
    box = slice(top, bottom), slice(left, right)
    step = _step(guess[box].shape)
    color_small, matte, band = (
        _shrunk(plane[box], step, checkpoint) for plane in (color, guess, unsure)
    )
    picture = _planes(color_small)
    checkpoint()
    believed = np.float32(trust > 0)
    if doubted is not None:
        believed = believed * (1 - _shrunk(doubted[box], step, checkpoint))
    target, weight = _wanted(picture, matte, band, trust, believed, checkpoint)
    lines = _solve(picture, target, weight, checkpoint)
    del picture, target, weight  # so that they are not there together with what follows
    alpha = _decided(guess, checkpoint)
    for y, x in corners:
        checkpoint()
        tile = slice(y, y + SIDE), slice(x, x + SIDE)
        seen = cv2.split(color[tile])
        height, width = seen[0].shape
        within = slice(y - top, y - top + height), slice(x - left, x - left + width)
        cells = _cells(lines, within, step)
        # Of a colour's own numbers, and with the matte's ends cut off.
        cells[:3] *= np.float32(1 / SCALE[color.dtype])
        cells[3] -= np.float32(0.5 * contrast)
        cells *= np.float32(1 / (1 - contrast))
        found = _taken_over(cells, step, seen)
        np.copyto(alpha[tile], np.clip(found, 0, 1, out=found), where=unsure[tile].view(bool))
    return alpha


def _decided(guess: np.ndarray, checkpoint: Callable[[], None]) -> np.ndarray:
    """Give 1 where a guess is above ½, else 0."""
    alpha = np.empty(guess.shape, np.float32)
    for rows, _, _ in strips(*guess.shape):
        checkpoint()
        np.greater(guess[rows], 0.5, out=alpha[rows])
    return alpha


def _cells(lines: np.ndarray, box: Box, step: int) -> np.ndarray:
    """Cut out a copy of the lines that a box takes over, `step` as large: one more all around.

    Beyond the picture its border goes on.
    """
    inner, beyond = [], [(0, 0)]
    for side, length in zip(box, lines.shape[1:], strict=True):
        first, last = side.start // step, -(-side.stop // step)
        inner.append(slice(max(first - 1, 0), last + 1))
        beyond.append((int(first == 0), int(last == length)))
    cells = lines[:, *inner].copy()
    return np.pad(cells, beyond, "edge") if any(map(any, beyond)) else cells


def _taken_over(cells: np.ndarray, step: int, color: Sequence[np.ndarray]) -> np.ndarray:
    """Give the matte of three planes (h, w) of colour on lines found at 1 / `step` of their size.

    `cells` (4, h / step, w / step) have one more all around.
    """
    height, width = color[0].shape
    grown = (cv2.resize(c, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR) for c in cells)
    return on_lines([c[step : step + height, step : step + width] for c in grown], color)


def _step(shape: tuple[int, int]) -> int:
    """Give the power of two by which a picture of `shape` is shrunk to be solved."""
    step = 1
    while shape[0] * shape[1] > WORK * step * step:
        step *= 2
    return step


def _shrunk(
    plane: np.ndarray, step: int, checkpoint: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Average step × step pixels, a power of two; beyond the picture its border goes on."""
    height, width = plane.shape[:2]
    size = -(-height // step), -(-width // step)
    small = np.empty((*size, *plane.shape[2:]), plane.dtype)
    for rows, _, _ in strips(size[0], width * step):
        checkpoint()
        part = plane[rows.start * step : rows.stop * step]
        down, right = -len(part) % step, -width % step
        if down or right:
            part = cv2.copyMakeBorder(part, 0, down, 0, right, cv2.BORDER_REPLICATE)
        if plane.dtype == np.uint8 and plane.ndim == 2:
            part = part * np.uint8(255)  # so that one unsure pixel of a cell is not rounded off
        for _ in range(step.bit_length() - 1):  # far faster than all at once
            half = part.shape[1] // 2, part.shape[0] // 2
            part = cv2.resize(part, half, interpolation=cv2.INTER_AREA)
        small[rows] = part.reshape(small[rows].shape)
    return small


def _planes(color: np.ndarray) -> np.ndarray:
    """Give (3, H, W) float32 in [0, 1]."""
    scale = np.float32(1 / SCALE[color.dtype])
    return np.multiply(color.transpose(2, 0, 1), scale, order="C")


def _wanted(picture, matte, band, trust, believed, checkpoint) -> tuple[np.ndarray, np.ndarray]:
    """Give what alpha should be and how much that counts, before the colour lines are asked.

    `believed`, 0 to 1, is how far the matte counts at all: one number, or one for each pixel.
    """
    sure = band == 0
    # A network's matte fades over more pixels than its subject: take in its ends.
    stretched = np.clip((matte - np.float32(0.15)) / np.float32(0.7), 0, 1)
    target = np.where(sure, matte > 0.5, stretched)
    doubt = np.square(2 * target - 1) * (np.float32(0.02) * believed)
    sides = _sides(picture, target, np.where(sure, np.float32(1), doubt), checkpoint)
    checkpoint()
    weight = np.full(matte.shape, HOLD, np.float32)
    planes = [x.reshape(3, -1) for x in (picture, *sides)]
    each = believed.ravel() if believed.ndim else None
    spots = np.flatnonzero(band)
    for some in (spots[i : i + GRAIN] for i in range(0, len(spots), GRAIN)):
        checkpoint()
        colors = [x.take(some, axis=1) for x in planes]
        counts = believed if each is None else each[some]
        told = _told(*colors, stretched.ravel()[some], trust, counts)
        target.ravel()[some], weight.ravel()[some] = told
    return target, weight


def _told(picture, fore, back, matte, trust, believed) -> tuple[np.ndarray, np.ndarray]:
    """Give what colours (3, n) and matte (n,) say of alpha, and how much that counts."""
    apart = fore - back
    contrast = np.einsum("cn,cn->n", apart, apart)
    told = np.einsum("cn,cn->n", picture - back, apart) / (contrast + np.float32(1e-3))
    told = np.clip(told, 0, 1)
    misfit = picture - back - told * apart
    misfit = np.einsum("cn,cn->n", misfit, misfit)
    # Colours tell alpha where the two sides differ and their mixture explains the pixel; where
    # the sides are alike the matte there was has the word.
    by_color = contrast / (contrast + 0.05) * np.exp(misfit / -0.01)
    by_color *= 0.05 * believed + 0.003 * (1 - believed)
    by_matte = trust * believed * (0.1 + 0.03 / (contrast + 0.01))
    both = by_color + by_matte + 1e-9
    return (by_color * told + by_matte * matte) / both, both


def _sides(picture, target, weight, checkpoint) -> list[np.ndarray]:
    """Give the colours on either side, smooth enough to be found at half the size."""
    half = [_shrunk(x, 2) for x in (weight, weight * target)]
    small = np.stack([_shrunk(x, 2) for x in picture])
    sides = colors_apart(small, half[1] / (half[0] + np.float32(1e-6)), half[0], checkpoint)
    return [_doubled(side, target.shape) for side in sides]


def _solve(picture, target, weight, checkpoint) -> np.ndarray:
    """Give the coefficients (4, h, w) of the colour lines of the matte that fits best."""
    levels = [(picture, target, weight)]
    while len(levels) < len(STEPS) and min(target.shape) > 8:
        half = weight * target, weight
        product, weight = (_shrunk(x, 2) for x in half)
        target = product / weight
        picture = np.stack([_shrunk(x, 2) for x in picture])
        levels.append((picture, target, weight))
    lines = None
    for steps, (picture, target, weight) in zip(
        STEPS[len(levels) - 1 :: -1], levels[::-1], strict=True
    ):
        near, matte = _near(weight), target.copy()
        boxes = _boxes(near)
        for box in () if lines is None else boxes:
            begun = _taken_over(_cells(lines, box, 2), 2, picture[:, *box])
            np.copyto(matte[box], np.clip(begun, 0, 1, out=begun), where=near[box].view(bool))
        guided = ColorLines(picture, 2, FLAT, checkpoint, boxes)
        _descend(guided, target, weight, matte, steps)
        lines = guided.coefficients(matte)
    return lines


def _near(weight: np.ndarray) -> np.ndarray:
    """Mark, as uint8, what is not sure and what lies around it: elsewhere nothing moves."""
    unsure = (weight < HOLD).view(np.uint8)
    square = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    return cv2.dilate(unsure, square).reshape(unsure.shape)


def _boxes(near: np.ndarray) -> list[Box]:
    """Give boxes that hold all that is marked: rows of tiles, those next to each other as one.

    Where most is marked, and where all fits the cache, whole rows cost less.
    """
    height, width = near.shape
    tiles = tiles_that_hold(near, CELL)
    if near.size <= GRAIN or len(tiles) * CELL**2 > MOST * near.size:
        rows = max(GRAIN // width // CELL, 1) * CELL
        runs = [[y, rows, 0, width] for y in range(0, height, rows)]
    else:
        runs = []
        for y, x in tiles.tolist():
            if runs and runs[-1][0] == y and x == runs[-1][3]:
                runs[-1][3] += CELL
            else:
                runs.append([y, CELL, x, x + CELL])
    return [
        (slice(y, min(y + rows, height)), slice(left, min(right, width)))
        for y, rows, left, right in runs
    ]


def _descend(guided: ColorLines, target, weight, matte, steps: int) -> None:
    """Take `steps` of conjugate gradients, each pixel scaled by its own weight.

    Changes `matte` (h, w) in the filter's boxes; what lies around them stays.
    """
    found, hold = guided.flat(matte), guided.flat(weight)

    def laplacian(flat, plane):
        """Give the product with L and the weights; `plane` has what lies around the boxes."""
        guided.spread(flat, plane)
        product = hold * flat
        product -= guided.filtered(plane)
        return product

    rest = hold * guided.flat(target)
    hold += 1
    rest -= laplacian(found, matte)
    way, around = rest / hold, np.zeros_like(matte)
    size = _dot(rest, way)
    for _ in range(steps):
        if size < 1e-9:
            break
        climb = laplacian(way, around)
        length = np.float32(size / max(_dot(way, climb), 1e-12))
        found += length * way
        climb *= length
        rest -= climb
        scaled = np.divide(rest, hold, out=climb)
        before, size = size, _dot(rest, scaled)
        way *= np.float32(size / before)
        way += scaled
    guided.spread(found, matte)


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    """Give the sum of a · b, the same on any machine: BLAS shares it among its threads."""
    return float(np.multiply(a, b).sum(dtype=np.float64))


def _doubled(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate planes to twice as many rows and columns, cut to `shape`."""
    count, rows, columns = planes.shape
    out = np.empty((count, 2 * rows, 2 * columns), np.float32)
    for plane, large in zip(planes, out, strict=True):
        cv2.resize(plane, large.shape[::-1], dst=large, interpolation=cv2.INTER_LINEAR)
    return out[:, : shape[0], : shape[1]]
