"""Edge-aware smoothing: a matte as a local linear function of the picture's colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Box = tuple[slice, slice]
"""Rows and columns of a picture."""

GRAIN = 1 << 17
"""Pixels that are filtered at once: so few that all their planes stay in the cache."""

STILL = 1e-4
"""Variance of a matte in whose window nothing happens."""


@dataclass(frozen=True, eq=False)
class _Part:
    """A box of the picture, and what its windows hold.

    Attributes
    ----------
    box : in the picture
    padded : the same with all around it that the filter looks at
    inner : where `box` lies in `padded`
    place : where its pixels are in what is held flat
    mean, lower, scale : three (h, w) float32 over `padded`
        Of the colours their mean, and their covariance as LDLᵀ: three of L, three of 1 / D.
    """

    box: Box
    padded: Box
    inner: Box
    place: slice
    mean: np.ndarray
    lower: tuple[np.ndarray, ...]
    scale: np.ndarray


class ColorLines:
    """The colour guided filter of one picture, made ready for any number of mattes.

    In each window of (2·radius + 1)² px a matte p is fitted by a·I + b. Closed-form matting's
    Laplacian is L = 1 − G, where G is this filter: a matte that the filter leaves alone lies
    on the picture's colour lines everywhere.

    Parameters
    ----------
    guide : (3, H, W) float32 in [0, 1]
    radius : int
        Half the window's side, px.
    epsilon : float
        Colour variance below which a window counts as flat.
    checkpoint : callable
        Called about every ms, here and when a matte is filtered.
    boxes : rows and columns, none of which overlap
        Where answers are wanted; elsewhere they are 0. By default all over. What is held flat
        (n,) is their pixels, one box after the other.

    References
    ----------
    He, Sun and Tang, "Guided image filtering", IEEE TPAMI 35(6), 2013.
    Levin, Lischinski and Weiss, "A closed-form solution to natural image matting",
    IEEE TPAMI 30(2), 2008.
    """

    def __init__(
        self,
        guide: np.ndarray,
        radius: int,
        epsilon: float,
        checkpoint: Callable[[], None] = lambda: None,
        boxes: Iterable[Box] | None = None,
    ):
        self.guide, self.radius, self.checkpoint = guide, radius, checkpoint
        self.parts, self.count = [], 0
        for box in self._strips() if boxes is None else boxes:
            checkpoint()
            self.parts.append(self._part(box, np.float32(epsilon)))
            self.count = self.parts[-1].place.stop

    def _strips(self) -> Iterator[Box]:
        height, width = self.guide.shape[1:]
        step = max(GRAIN // width, 8 * self.radius)
        for top in range(0, height, step):
            yield slice(top, min(top + step, height)), slice(0, width)

    def _part(self, box: Box, epsilon: np.float32) -> _Part:
        """Find what a box's windows hold. In single precision a determinant is all rounding."""
        around, area = 2 * self.radius, math.prod(side.stop - side.start for side in box)
        place = slice(self.count, self.count + area)
        padded = tuple(
            slice(max(side.start - around, 0), min(side.stop + around, length))
            for side, length in zip(box, self.guide.shape[1:], strict=True)
        )
        inner = tuple(
            slice(side.start - wide.start, side.stop - wide.start)
            for side, wide in zip(box, padded, strict=True)
        )
        guide = self.guide[:, *padded]
        mean = self.blur(guide)
        r, g, b = guide
        rr, gg, bb = self.blur(guide * guide) - mean * mean + epsilon
        pairs = self.blur(np.stack([r * g, r * b, g * b]))
        rg, rb, gb = pairs - mean[[0, 0, 1]] * mean[[1, 2, 2]]
        rg_rr, rb_rr = rg / rr, rb / rr
        gg -= rg * rg_rr
        gb -= rg * rb_rr
        gb_gg = gb / gg
        bb -= rb * rb_rr + gb * gb_gg
        scale = 1 / np.stack((rr, gg, bb))
        return _Part(box, padded, inner, place, mean, (rg_rr, rb_rr, gb_gg), scale)

    def blur(self, planes: np.ndarray) -> np.ndarray:
        """Average each of (n, H, W) planes over the windows."""
        side, out = 2 * self.radius + 1, np.empty(planes.shape, np.float32)
        # Up to 13 px at a side this is faster than a running sum, and it is the same in any strip.
        ones = np.full(side, 1 / side, np.float32)
        for plane, blurred in zip(planes, out, strict=True):
            cv2.sepFilter2D(plane, -1, ones, ones, blurred, borderType=cv2.BORDER_REFLECT)
        return out

    def coefficients(self, matte: np.ndarray) -> np.ndarray:
        """Give a (three planes) and b (one), each averaged over the windows a pixel is in."""
        return self._all(matte, 4)

    def told(self, matte: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the coefficients (4, H, W) and how well they fit the matte.

        The fit (H, W) is the coefficient of determination R², averaged in the same way: 1 where
        the colours tell all that happens in the matte, or nothing happens in it.
        """
        out = self._all(matte, 5)
        return out[:4], np.subtract(1, out[4])

    def _all(self, matte: np.ndarray, planes: int) -> np.ndarray:
        out = np.zeros((planes, *matte.shape), np.float32)
        for part in self.parts:
            out[:, *part.box] = self._lines(matte, part, planes)[:, *part.inner]
        return out

    def __call__(self, matte: np.ndarray) -> np.ndarray:
        """Filter a matte (H, W)."""
        out = np.zeros(matte.shape, np.float32)
        self.spread(self.filtered(matte), out)
        return out

    def filtered(self, matte: np.ndarray) -> np.ndarray:
        """Filter a matte (H, W); give it flat."""
        out = np.empty(self.count, np.float32)
        for part in self.parts:
            lines = self._lines(matte, part)[:, *part.inner]
            out[part.place] = on_lines(lines, self.guide[:, *part.box]).ravel()
        return out

    def flat(self, plane: np.ndarray) -> np.ndarray:
        """Give the boxes' pixels of a plane (H, W), flat."""
        out = np.empty(self.count, np.float32)
        for part in self.parts:
            out[part.place] = plane[part.box].ravel()
        return out

    def spread(self, flat: np.ndarray, plane: np.ndarray) -> None:
        """Put into the boxes of a plane (H, W) what is held flat."""
        for part in self.parts:
            plane[part.box] = flat[part.place].reshape(plane[part.box].shape)

    def _lines(self, matte: np.ndarray, part: _Part, planes: int = 4) -> np.ndarray:
        """Give the coefficients over a part, true but for the outermost 2 · radius px.

        A fifth plane is what share of the matte's variance they leave unexplained.
        """
        self.checkpoint()
        matte = matte[part.padded]
        lines = np.empty((planes, *matte.shape), np.float32)
        np.multiply(self.guide[:, *part.padded], matte, out=lines[:3])
        lines[3] = matte
        if planes > 4:
            np.multiply(matte, matte, out=lines[4])
        lines = self.blur(lines)
        slopes, mean = lines[:3], lines[3]
        r, g, b = slopes
        slopes -= part.mean * mean
        g -= part.lower[0] * r
        b -= part.lower[1] * r
        b -= part.lower[2] * g
        if planes > 4:
            varies = np.maximum(lines[4] - mean * mean, 0)
            left = varies - np.einsum("chw,chw,chw->hw", slopes, slopes, part.scale)
            np.divide(np.clip(left, 0, varies), varies + np.float32(STILL), out=lines[4])
        slopes *= part.scale
        g -= part.lower[2] * b
        r -= part.lower[0] * g
        r -= part.lower[1] * b
        for slope, color in zip(slopes, part.mean, strict=True):
            mean -= slope * color
        return self.blur(lines)


def on_lines(coefficients: Sequence[np.ndarray], guide: Sequence[np.ndarray]) -> np.ndarray:
    """Give a·I + b for four planes of coefficients and three of a picture, (H, W) each."""
    matte = coefficients[3].copy()
    for slope, color in zip(coefficients, guide, strict=False):
        matte += slope * color
    return matte
