"""Find where a matte is neither plainly 0 nor plainly 1, so that only that is worked on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

CELL = 32
"""Side in px of the squares that are looked at as a whole."""

Box = tuple[slice, slice]


def soft_tiles(alpha: np.ndarray, reach: int, block: int = 256) -> Iterator[tuple[Box, Box, Box]]:
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

    Yields
    ------
    box : rows and columns of the picture that this tile gives; boxes do not overlap
    padded : the same with up to `reach` px more on each side, cut at the picture's border
    inner : where `box` lies within `padded`
    """
    if alpha.strides == (0, 0):
        return
    height, width = alpha.shape
    active = _active(alpha, math.ceil(reach / CELL))
    step = math.ceil(max(block, 2 * reach) / CELL)
    for top in range(0, active.shape[0], step):
        for left in range(0, active.shape[1], step):
            part = active[top : top + step, left : left + step]
            if part.any():
                rows = _span(part.any(axis=1), top, height)
                cols = _span(part.any(axis=0), left, width)
                (outer_rows, inner_rows), (outer_cols, inner_cols) = (
                    _padded(rows, reach, height),
                    _padded(cols, reach, width),
                )
                yield (rows, cols), (outer_rows, outer_cols), (inner_rows, inner_cols)


def _active(alpha: np.ndarray, around: int) -> np.ndarray:
    """Say for every cell whether the cells up to `around` away hold more than one value."""
    height, width = alpha.shape
    starts = np.arange(0, width, CELL)
    low = np.empty((math.ceil(height / CELL), len(starts)), np.float32)
    high = np.empty_like(low)
    for row in range(len(low)):
        band = alpha[row * CELL : (row + 1) * CELL]
        low[row] = np.minimum.reduceat(band.min(axis=0), starts)
        high[row] = np.maximum.reduceat(band.max(axis=0), starts)
    if around:
        square = np.ones((2 * around + 1,) * 2, np.uint8)
        low = cv2.erode(low, square).reshape(low.shape)
        high = cv2.dilate(high, square).reshape(high.shape)
    return high > low


def _span(active: np.ndarray, start: int, end: int) -> slice:
    first, last = np.flatnonzero(active)[[0, -1]]
    return slice((start + int(first)) * CELL, min((start + int(last) + 1) * CELL, end))


def _padded(span: slice, reach: int, end: int) -> tuple[slice, slice]:
    outer = slice(max(span.start - reach, 0), min(span.stop + reach, end))
    return outer, slice(span.start - outer.start, span.stop - outer.start)
