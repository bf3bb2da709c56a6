"""Edge-aware smoothing: a matte as a local linear function of the picture's colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np

GRAIN = 1 << 17
"""Pixels that are filtered at once: so few that all their planes stay in the cache."""

STILL = 1e-4
"""Variance of a matte in whose window nothing happens."""


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
    ):
        self.guide, self.radius, self.checkpoint = guide, radius, checkpoint
        self.mean = np.empty_like(guide)
        self.lower, self.scale = np.empty_like(guide), np.empty_like(guide)
        for rows, padded, inner in self._strips(radius):
            mean, *factors = self._factors(guide[:, padded], np.float32(epsilon))
            self.mean[:, rows] = mean[:, inner]
            for whole, part in zip((self.lower, self.scale), factors, strict=True):
                for plane, values in zip(whole, part, strict=True):
                    plane[rows] = values[inner]

    def _strips(self, halo: int) -> Iterator[tuple[slice, slice, slice]]:
        """Give rows, the same with what is around them, and where they lie in it."""
        height, width = self.guide.shape[1:]
        step = max(GRAIN // width, 4 * halo)
        for top in range(0, height, step):
            self.checkpoint()
            bottom, above = min(top + step, height), max(top - halo, 0)
            yield (
                slice(top, bottom),
                slice(above, min(bottom + halo, height)),
                slice(top - above, bottom - above),
            )

    def _factors(self, guide: np.ndarray, epsilon: np.float32):
        """Give windows' mean colours and their covariance as LDLᵀ: three of L, three of 1 / D.

        In single precision its determinant would be all rounding.
        """
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
        return mean, (rg_rr, rb_rr, gb_gg), (1 / rr, 1 / gg, 1 / bb)

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
        out = np.empty((planes, *matte.shape), np.float32)
        for rows, padded, inner in self._strips(2 * self.radius):
            out[:, rows] = self._lines(matte, padded, planes)[:, inner]
        return out

    def __call__(self, matte: np.ndarray) -> np.ndarray:
        """Filter a matte (H, W)."""
        out = np.empty(matte.shape, np.float32)
        for rows, padded, inner in self._strips(2 * self.radius):
            out[rows] = on_lines(self._lines(matte, padded)[:, inner], self.guide[:, rows])
        return out

    def _lines(self, matte: np.ndarray, rows: slice, planes: int = 4) -> np.ndarray:
        """Give the coefficients in `rows`, true but for the outermost 2 · radius rows.

        A fifth plane is what part of the matte's variance they leave unexplained.
        """
        matte, color_mean = matte[rows], self.mean[:, rows]
        lines = np.empty((planes, *matte.shape), np.float32)
        np.multiply(self.guide[:, rows], matte, out=lines[:3])
        lines[3] = matte
        if planes > 4:
            np.multiply(matte, matte, out=lines[4])
        lines = self.blur(lines)
        slopes, mean = lines[:3], lines[3]
        r, g, b = slopes
        slopes -= color_mean * mean
        lower, scale = self.lower[:, rows], self.scale[:, rows]
        g -= lower[0] * r
        b -= lower[1] * r
        b -= lower[2] * g
        if planes > 4:
            varies = np.maximum(lines[4] - mean * mean, 0)
            left = varies - np.einsum("chw,chw,chw->hw", slopes, slopes, scale)
            np.divide(np.clip(left, 0, varies), varies + np.float32(STILL), out=lines[4])
        slopes *= scale
        g -= lower[2] * b
        r -= lower[0] * g
        r -= lower[1] * b
        for slope, color in zip(slopes, color_mean, strict=True):
            mean -= slope * color
        return self.blur(lines)


def on_lines(coefficients: Sequence[np.ndarray], guide: Sequence[np.ndarray]) -> np.ndarray:
    """Give a·I + b for four planes of coefficients and three of a picture, (H, W) each."""
    matte = coefficients[3].copy()
    for slope, color in zip(coefficients, guide, strict=False):
        matte += slope * color
    return matte
