"""Find where a matte is neither plainly 0 nor plainly 1, so that only that is worked on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

CELLS = 8, 32
"""Least and largest side in px of the squares that are looked at as a whole."""

Box = tuple[slice, slice]


def _differ(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return high > low


def soft_tiles(
    alpha: np.ndarray,
    reach: int,
    block: int = 256,
    matters: Callable[[np.ndarray, np.ndarray], np.ndarray] = _differ,
) -> Iterator[tuple[Box, Box, Box]]:
    """Walk over the surroundings of a matte's edge in boxes that a filter may look around in.

    What no box covers is constant as far as `reach` px around: a filter of that reach whose
    weights sum to 1 changes nothing there.

    Parameters
    ----------
    alpha : (H, W) float32
    reach : int
        How far the filter looks, in px.
    block : int
        Largest side of a box, in px; raised to twice `reach` so that the margins stay small.
    matters : callable
        Given the least and the largest alpha around each square, says which squares are worked
        on; by default those around which the matte is not constant.

    Yields
    ------
    box : rows and columns of the picture that this tile gives; boxes do not overlap
    padded : the same with up to `reach` px more on each side, cut at the picture's border
    inner : where `box` lies within `padded`
    """
    if alpha.strides == (0, 0):
        return
    height, width = alpha.shape
    cell = cell_side(reach)
    active = matters(*_extremes(alpha, cell, math.ceil(reach / cell)))
    step = math.ceil(max(block, 2 * reach) / cell)
    for top in range(0, active.shape[0], step):
        for left in range(0, active.shape[1], step):
            part = active[top : top + step, left : left + step]
            if part.any():
                rows = _span(part.any(axis=1), top, cell, height)
                cols = _span(part.any(axis=0), left, cell, width)
                (outer_rows, inner_rows), (outer_cols, inner_cols) = (
                    _padded(rows, reach, height),
                    _padded(cols, reach, width),
                )
                yield (rows, cols), (outer_rows, outer_cols), (inner_rows, inner_cols)


def cell_side(reach: int) -> int:
    """Give the side in px of the squares that `soft_tiles` judges as a whole."""
    least, largest = CELLS
    # Up to half the reach: few enough, and close around what they hold.
    return min(max(least, 1 << (reach // 2).bit_length() >> 1), largest)


def _extremes(alpha: np.ndarray, cell: int, around: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the least and the largest alpha for every cell and those up to `around` away."""
    height, width = alpha.shape
    low = np.empty((math.ceil(height / cell), width), np.float32)
    high = np.empty_like(low)
    for row in range(len(low)):
        band = alpha[row * cell : (row + 1) * cell]
        band.min(axis=0, out=low[row])
        band.max(axis=0, out=high[row])
    # Every cell-th column of a running minimum: faster than numpy's over short stretches.
    line = np.ones((1, cell), np.uint8)
    low = cv2.erode(low, line, anchor=(0, 0)).reshape(low.shape)[:, ::cell]
    high = cv2.dilate(high, line, anchor=(0, 0)).reshape(high.shape)[:, ::cell]
    square = np.ones((2 * around + 1,) * 2, np.uint8)
    low = cv2.erode(np.ascontiguousarray(low), square).reshape(low.shape)
    high = cv2.dilate(np.ascontiguousarray(high), square).reshape(high.shape)
    return low, high


def _span(active: np.ndarray, start: int, cell: int, end: int) -> slice:
    first, last = np.flatnonzero(active)[[0, -1]]
    return slice((start + int(first)) * cell, min((start + int(last) + 1) * cell, end))


def _padded(span: slice, reach: int, end: int) -> tuple[slice, slice]:
    outer = slice(max(span.start - reach, 0), min(span.stop + reach, end))
    return outer, slice(span.start - outer.start, span.stop - outer.start)
