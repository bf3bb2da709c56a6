"""Edge-aware smoothing: a matte as a local linear function of the picture's colours."""

from __future__ import annotations

import cv2
import numpy as np


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

    References
    ----------
    He, Sun and Tang, "Guided image filtering", IEEE TPAMI 35(6), 2013.
    Levin, Lischinski and Weiss, "A closed-form solution to natural image matting",
    IEEE TPAMI 30(2), 2008.
    """

    def __init__(self, guide: np.ndarray, radius: int, epsilon: float):
        self.guide = guide
        self.window = (2 * radius + 1, 2 * radius + 1)
        self.mean = self.blur(guide)
        r, g, b = guide
        rr, gg, bb = self.blur(guide * guide) - self.mean**2 + np.float32(epsilon)
        pairs = self.blur(np.stack([r * g, r * b, g * b]))
        rg, rb, gb = pairs - self.mean[[0, 0, 1]] * self.mean[[1, 2, 2]]
        # LDLᵀ of the covariance: in single precision its determinant would be all rounding.
        rg_rr, rb_rr = rg / rr, rb / rr
        gg -= rg * rg_rr
        gb -= rg * rb_rr
        gb_gg = gb / gg
        bb -= rb * rb_rr + gb * gb_gg
        self.lower = rg_rr, rb_rr, gb_gg
        self.scale = 1 / rr, 1 / gg, 1 / bb

    def blur(self, planes: np.ndarray) -> np.ndarray:
        """Average each of (n, H, W) planes over the windows."""
        return np.stack([cv2.blur(p, self.window, borderType=cv2.BORDER_REFLECT) for p in planes])

    def coefficients(self, matte: np.ndarray) -> np.ndarray:
        """Give a (three planes) and b (one), each averaged over the windows a pixel is in."""
        mean, *cross = self.blur(np.stack([matte, *(self.guide * matte)]))
        lines = np.stack([*(cross - self.mean * mean), mean])
        r, g, b = lines[:3]
        g -= self.lower[0] * r
        b -= self.lower[1] * r + self.lower[2] * g
        for plane, scale in zip(lines, self.scale, strict=False):
            plane *= scale
        g -= self.lower[2] * b
        r -= self.lower[0] * g + self.lower[1] * b
        for slope, color in zip(lines, self.mean, strict=False):
            lines[3] -= slope * color
        return self.blur(lines)

    def __call__(self, matte: np.ndarray) -> np.ndarray:
        """Filter a matte (H, W)."""
        return on_lines(self.coefficients(matte), self.guide)


def on_lines(coefficients: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Give a·I + b for `coefficients` (4, H, W) and `guide` (3, H, W)."""
    matte = coefficients[3].copy()
    for slope, color in zip(coefficients, guide, strict=False):
        matte += slope * color
    return matte
