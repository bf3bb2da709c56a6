"""Matte arithmetic: where a matte is soft, its Gaussian feather, its levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from qr_nodes.imaging.morphology import grown
from qr_nodes.imaging.strips import strips
from qr_nodes.imaging.tiles import cell_side, soft_tiles

REACH = 4.0
"""Sigmas after which the Gaussian is cut: what is left out is 6e-5."""

SHIFT = 3.0
"""Sigmas that a full shift moves the edge: 0.13 % of the softness stays on the other side."""

FAINT = 1 / 1024
"""Range of alpha, a quarter of an 8-bit step, within which a blur is not worth its while."""


def feathered(
    alpha: np.ndarray,
    sigma: float,
    shift: float = 0.0,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Soften the edge of a matte with a Gaussian; a straight hard edge becomes its integral.

    Only the surroundings of the edge are worked on. The picture's border counts as continued,
    so a subject cut by the frame stays opaque there. Wide Gaussians are computed on a smaller
    grid, equal within 1/500.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
    sigma : float
        Standard deviation in px.
    shift : float in [-1, 1]
        Where the softness lies: -1 inside the old edge, 0 on both sides, 1 outside.
    checkpoint : callable
        Called between tiles; may raise to stop.

    Returns
    -------
    feathered : (H, W) float32 in [0, 1]
        Exactly 0 or 1 farther than `REACH` sigmas (and the shift) from the edge.
    """
    return _on_smaller_grid(
        alpha,
        sigma,
        lambda small, inner: _feathered(small, inner, shift, checkpoint),
        checkpoint=checkpoint,
    )


def feather_reach(sigma: float, shift: float) -> int | None:
    """Say how far, in px, `feathered` looks around a pixel at most; None if that has no bound."""
    if shift:  # it asks for the nearest edge, however far
        return None
    factor = coarseness(max(sigma, 1.0))
    kernel = math.ceil(REACH * sigma / factor) + 1
    # Beside the kernel: the squares that are judged as a whole, and enlarging.
    return factor * (kernel + 2 * cell_side(kernel) + 2)


def levelled(
    alpha: np.ndarray,
    black: float,
    white: float,
    gamma: float,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Stretch a matte so that `black` becomes 0 and `white` 1, bent between by `gamma`.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
    black, white : float in [0, 1]
        With `white` at or under `black` the matte is cut hard: 1 from `black` on.
    gamma : float > 0
        The stretched matte is raised to 1 / gamma: over 1 thickens the soft parts.
    checkpoint : callable
        Called between strips; may raise to stop.
    """
    out = np.empty(alpha.shape, np.float32)
    gain = 1.0 / max(white - black, 1e-6)
    for rows, _, _ in strips(*alpha.shape):
        checkpoint()
        part = out[rows]
        if white <= black:
            # 0 stays 0 and 1 stays 1 whatever the cut.
            part[...] = (alpha[rows] >= black) & (alpha[rows] > 0) | (alpha[rows] == 1)
            continue
        np.subtract(alpha[rows], np.float32(black), out=part)
        np.multiply(part, np.float32(gain), out=part)
        part[alpha[rows] >= white] = 1.0
        np.clip(part, 0.0, 1.0, out=part)
        if gamma != 1.0:
            soft = (part > 0) & (part < 1)
            part[soft] **= np.float32(1.0 / gamma)
    return out


def gaussian(values: np.ndarray, sigma: float, fine: float = 6.0) -> np.ndarray:
    """Blur with a Gaussian integrated over each pixel, the border continued.

    The sums of such a kernel are the error function itself, so a hard edge comes out exact
    however small `sigma` is.

    Parameters
    ----------
    values : (H, W) float32
    sigma : float
        Standard deviation in px, > 0.
    fine : float
        Pixels per sigma below which the grid is not made smaller: 6 is equal within 1/500,
        less is faster.
    """
    return _on_smaller_grid(values, sigma, _convolved, fine)


def coarseness(sigma: float, fine: float = 6.0) -> int:
    """Say how many times coarser a grid with `fine` px per sigma may be: 1, 2, 4, …"""
    return 1 << max(0, math.floor(math.log2(sigma / fine)))


@lru_cache(maxsize=64)
def _kernel(sigma: float) -> np.ndarray:
    reach = math.ceil(REACH * sigma)
    root = sigma * math.sqrt(2.0)
    kernel = np.diff([math.erf((k + 0.5) / root) for k in range(-reach - 1, reach + 1)])
    return kernel / kernel.sum()


def _convolved(values: np.ndarray, sigma: float) -> np.ndarray:
    kernel = _kernel(sigma)
    blurred = cv2.sepFilter2D(values, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return blurred.reshape(values.shape)


def _feathered(
    alpha: np.ndarray, sigma: float, shift: float, checkpoint: Callable[[], None]
) -> np.ndarray:
    out = np.array(alpha)
    move = SHIFT * sigma * shift
    reach = math.ceil(REACH * sigma) + (math.ceil(abs(move)) + 8 if move else 0)
    for box, padded, inner in soft_tiles(alpha, reach, matters=_uneven):
        checkpoint()
        window = grown(alpha[padded], move) if move else alpha[padded]
        out[box] = _snapped(_convolved(window, sigma)[inner])
    return out


def _uneven(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Say where a blur would show, given the least and largest alpha around."""
    return high - low > FAINT


def _snapped(alpha: np.ndarray) -> np.ndarray:
    """Put rounding dust at either end on exactly 0 and 1; `alpha` is changed."""
    alpha[alpha < 1e-6] = 0.0
    alpha[alpha > 1 - 1e-6] = 1.0
    return alpha


def _on_smaller_grid(
    values: np.ndarray,
    sigma: float,
    blur: Callable[[np.ndarray, float], np.ndarray],
    fine: float = 6.0,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Give `blur(values, sigma)`, done on a grid 2, 4, 8, … times coarser if sigma allows it."""
    factor = coarseness(sigma, fine)
    if factor == 1:
        return blur(values, sigma)
    # The box of the reduction, the box of the small kernel's taps and the tent of the
    # enlargement blur too; what they add to the variance is taken off the Gaussian.
    inner = math.sqrt(sigma**2 + 1 / 6 - factor**2 / 3) / factor
    small = blur(_reduced(values, factor, checkpoint), inner)
    return _enlarged(small, factor, values.shape, checkpoint)


def _reduced(values: np.ndarray, factor: int, checkpoint: Callable[[], None]) -> np.ndarray:
    """Average squares of `factor` px; the border is continued to whole squares."""
    height, width = (-(-length // factor) for length in values.shape)
    small = np.empty((height, width), np.float32)
    for rows, _, _ in strips(height, width * factor**2):
        checkpoint()
        part = values[rows.start * factor : rows.stop * factor]
        down = (rows.stop - rows.start) * factor - part.shape[0]
        right = width * factor - part.shape[1]
        part = np.ascontiguousarray(part)
        if down or right:
            part = cv2.copyMakeBorder(part, 0, down, 0, right, cv2.BORDER_REPLICATE)
        size = (width, rows.stop - rows.start)
        reduced = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        small[rows] = reduced.reshape(size[::-1])
    return small


def _enlarged(
    small: np.ndarray, factor: int, shape: tuple[int, int], checkpoint: Callable[[], None]
) -> np.ndarray:
    """Interpolate linearly to squares of `factor` px, cut to `shape`."""
    out = np.empty(shape, np.float32)
    for rows, padded, inner in strips(small.shape[0], small.shape[1] * factor**2, halo=1):
        checkpoint()
        part = small[padded]
        size = (part.shape[1] * factor, part.shape[0] * factor)
        large = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR).reshape(size[::-1])
        into = out[rows.start * factor : rows.stop * factor]
        top = inner.start * factor
        into[...] = large[top : top + into.shape[0], : shape[1]]
    return out
