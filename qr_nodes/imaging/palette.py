"""Which colours a part of a picture holds, place by place: a histogram on a coarse grid."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CELLS = 12
"""Nodes along the longer side of the picture."""

BINS = 12
"""Bins along each of the three colour axes; the lookup is interpolated to thrice as many."""

COMMON = 0.002
"""Share of the pixels around that a bin must hold for its colours to count as common."""

SPREAD = 2.0
"""Standard deviation in cells over which pixels count as being around."""

# Luma and two differences. Hue tells things apart better than brightness does, so the
# differences get finer bins; what lies beyond the last bin counts to it.
_OPPONENT = np.array(
    [[0.299, 0.587, 0.114], [-0.75, -0.75, 1.5], [1.2, -0.75, -0.45]], np.float32
).T
_FINE = 3 * BINS


@dataclass(frozen=True)
class Palette:
    """How common each colour is around each node of a grid over the picture.

    Attributes
    ----------
    shares : (rows, columns, BINS, BINS, BINS) float32 in [0, 1]
        1 for colours that are common around the node.
    cell : (height, width) of the spacing of nodes, as fractions of the picture
    """

    shares: np.ndarray
    cell: tuple[float, float]

    @classmethod
    def of(cls, color: np.ndarray, weight: np.ndarray) -> Palette:
        """Collect the colours of a small picture.

        Parameters
        ----------
        color : (H, W, 3) float32 in [0, 1]
        weight : (H, W) float32
            How much each pixel counts.

        References
        ----------
        Chen, Paris and Durand, "Real-time edge-aware image processing with the bilateral
        grid", SIGGRAPH 2007: space and colour on one coarse grid.
        """
        height, width = weight.shape
        side = max(height, width) / CELLS
        rows, cols = math.ceil(height / side), math.ceil(width / side)
        y, x = ((np.arange(n) / side).astype(np.intp) for n in (height, width))
        counted = np.flatnonzero(weight > 0)
        place, weight = ((y[:, None] * cols + x).ravel()[counted], weight.ravel()[counted])
        colors = np.take(color.reshape(-1, 3), counted, axis=0)
        flat = place * BINS**3 + _bin(colors, BINS)
        counts = np.bincount(flat, weight, rows * cols * BINS**3)
        counts = counts.reshape(rows, cols, BINS, BINS, BINS).astype(np.float32)
        for axis, sigma in enumerate((SPREAD, SPREAD, 0.6, 0.6, 0.6)):
            counts = _along(counts, axis, _blur(counts.shape[axis], sigma))
        total = counts.sum(axis=(2, 3, 4), keepdims=True)
        share = counts / np.maximum(total, 1e-3 * max(float(total.max()), 1e-6))
        return cls(np.clip(share / COMMON, 0, 1), (side / height, side / width))

    def common(self, color: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Say how common colours are where they stand.

        Parameters
        ----------
        color : (..., 3) float32 in [0, 1]
        y, x : broadcasting to color's (...)
            Places in fractions of the picture.

        Returns
        -------
        common : (...) float32 in [0, 1]
        """
        rows, cols = self.shares.shape[:2]
        index = _bin(color, _FINE)
        top, down = _node(y, self.cell[0], rows)
        left, right = _node(x, self.cell[1], cols)
        # Only the nodes around are interpolated to the finer bins: few of them for a block.
        first = top.min(), left.min()
        table = self.shares[first[0] : top.max() + 2, first[1] : left.max() + 2]
        for axis in (2, 3, 4):
            table = _along(table, axis, _enlarge(BINS, _FINE))
        table = table.reshape(*table.shape[:2], -1)
        top, left = top - first[0], left - first[1]
        below = np.minimum(top + 1, len(table) - 1)
        after = np.minimum(left + 1, table.shape[1] - 1)
        upper = table[top, left, index] * (1 - right) + table[top, after, index] * right
        lower = table[below, left, index] * (1 - right) + table[below, after, index] * right
        return upper + (lower - upper) * down

    def common_in(self, color: np.ndarray, box: tuple[slice, slice], shape: tuple[int, int]):
        """Give `common` for the pixels `box` of a picture of size `shape`."""
        y, x = ((np.arange(s.start, s.stop) + 0.5) / n for s, n in zip(box, shape, strict=True))
        return self.common(color, y[:, None].astype(np.float32), x[None].astype(np.float32))


def _bin(color: np.ndarray, bins: int) -> np.ndarray:
    # Axis by axis, which is three times as fast as three values a pixel.
    axes = np.ascontiguousarray(np.moveaxis(color @ _OPPONENT, -1, 0))
    axes[1:] += 0.5
    axes *= bins
    luma, first, second = np.clip(axes, 0, bins - 1, out=axes).astype(np.int32)
    return (luma * bins + first) * bins + second


def _node(place: np.ndarray, spacing: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the node before a place and how far it is on to the next, in [0, 1]."""
    at = np.clip(place / spacing - 0.5, 0, count - 1)
    node = at.astype(np.intp)
    return node, (at - node).astype(np.float32)


def _along(values: np.ndarray, axis: int, matrix: np.ndarray) -> np.ndarray:
    before, after = values.shape[:axis], values.shape[axis + 1 :]
    if not after:
        return values @ matrix.T
    flat = values.reshape(math.prod(before), -1, math.prod(after))
    return (matrix @ flat).reshape(*before, len(matrix), *after)


def _blur(count: int, sigma: float) -> np.ndarray:
    away = np.arange(count)[:, None] - np.arange(count)
    kernel = np.exp(-0.5 * (away / sigma) ** 2)
    return (kernel / (sigma * math.sqrt(2 * math.pi))).astype(np.float32)


def _enlarge(count: int, larger: int) -> np.ndarray:
    """Give the matrix that interpolates `count` bins linearly at the centres of `larger`."""
    at = np.clip((np.arange(larger) + 0.5) * count / larger - 0.5, 0, count - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(count)), 0).astype(np.float32)


def blocks(height: int, width: int, side: int = 512) -> Iterator[tuple[slice, slice]]:
    """Walk over a picture in blocks of at most `side` px, for lookups that fit the cache."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))
