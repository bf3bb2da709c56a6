"""Put a subject over another background: composite it, and blur what lies behind it."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.strips import strips


def blurred_behind(
    color: np.ndarray,
    alpha: np.ndarray,
    sigma: float,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Blur the background of a picture without letting the subject's colours into it.

    A Gaussian average by weight of transparency. What lies under the subject is filled from
    around it. Wide blurs are computed on a smaller picture.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
    alpha : (H, W) float32 in [0, 1]
        1 where the subject is.
    sigma : float
        Standard deviation in px, ≥ 0; 0 leaves the background as it is.
    checkpoint : callable
        Called between steps of a few million pixels; may raise to stop.

    Returns
    -------
    color : (H, W, 3) of the same type
        Means something only where alpha is under 1.
    """
    if sigma == 0:
        return color.copy()
    height, width = alpha.shape
    # At 3 px of sigma and more a cubic enlargement is exact to 1/500.
    factor = max(1.0, sigma / 3)
    small = max(1, round(height / factor)), max(1, round(width / factor))
    # The area average already blurs by the variance of a box.
    inner = np.sqrt(max(sigma**2 - (factor**2 - 1) / 12, 0.01)) / factor
    weight = np.empty(alpha.shape, np.float32)
    for rows, *_ in strips(height, width):
        _weigh(alpha[rows], weight[rows])
    checkpoint()
    total = _blurred(weight, small, inner, checkpoint)
    behind = np.empty((*small, 3), color.dtype)
    plane = np.empty_like(weight)
    for channel in range(3):
        for rows, *_ in strips(height, width):
            checkpoint()
            np.multiply(color[rows, :, channel], weight[rows], out=plane[rows])
        average = _blurred(plane, small, inner, checkpoint)
        average /= total
        behind[..., channel] = average if color.dtype == np.float32 else np.rint(average)
    if small == alpha.shape:
        return behind
    behind = cv2.resize(behind, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(behind, 0, 1) if color.dtype == np.float32 else behind


def _weigh(alpha: np.ndarray, weight: np.ndarray) -> None:
    """Say how far a pixel's colour may be trusted to be background; written to `weight`.

    The soft edge holds colours of both, or of the subject alone once it was decontaminated: it
    counts only where there is nothing better around, and what is opaque only after that.
    """
    np.subtract(1, alpha, out=weight)
    last = weight * np.float32(1e-6) + np.float32(1e-12)
    for _ in range(7):  # to the 128th power
        np.multiply(weight, weight, out=weight)
    weight += last


def _blurred(plane, small, sigma, checkpoint) -> np.ndarray:
    """Shrink to the size `small`, then blur with a Gaussian of `sigma` px there."""
    if small != plane.shape:
        plane = cv2.resize(plane, small[::-1], interpolation=cv2.INTER_AREA)
    out = np.empty_like(plane)
    reach = int(np.ceil(4 * sigma))
    for rows, padded, inner in strips(*plane.shape, reach):
        checkpoint()
        part = cv2.GaussianBlur(
            plane[padded], (2 * reach + 1,) * 2, sigma, borderType=cv2.BORDER_REPLICATE
        )
        out[rows] = part.reshape(plane[padded].shape)[inner]
    return out


def composite_onto(
    backdrop: np.ndarray,
    color: np.ndarray,
    alpha: np.ndarray,
    linear: bool = False,
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Put a cut-out over a background, in place.

    Parameters
    ----------
    backdrop : (H, W, 3) uint8, uint16 or float32 in [0, 1]
        Background; becomes the composite.
    color : (H, W, 3) of the same type
        Straight colours of the subject.
    alpha : (H, W) float32 in [0, 1]
    linear : bool
        Mix light instead of sRGB values.
    checkpoint : callable
        Called between strips; may raise to stop.
    """
    for rows, *_ in strips(*alpha.shape):
        checkpoint()
        over, amount = color[rows], alpha[rows]
        # OpenCV asks for pixels side by side. Where a mask is true numpy's copy of three channels
        # takes five times as long.
        under = cv2.copyTo(over, (amount == 1).view(np.uint8), np.ascontiguousarray(backdrop[rows]))
        soft = np.nonzero((amount > 0) & (amount < 1))
        first, second, amount = under[soft], over[soft], amount[soft][:, None]
        if linear:
            first, second = _to_linear(first), _to_linear(second)
            mixed = _to_srgb(first + (second - first) * amount) * np.float32(_top(color.dtype))
        else:
            mixed = first + (second.astype(np.float32) - first) * amount
        under[soft] = mixed if color.dtype == np.float32 else np.rint(mixed)
        backdrop[rows] = under


def to_dtype(color: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Give colours in another depth: 0 … 255, 0 … 65535 or 0 … 1."""
    if color.dtype == dtype:
        return color
    scaled = color * np.float32(_top(dtype) / _top(color.dtype))
    return scaled if dtype == np.float32 else np.rint(scaled).astype(dtype)


def _top(dtype: np.dtype) -> float:
    return 1.0 if dtype == np.float32 else float(np.iinfo(dtype).max)


def _to_linear(color: np.ndarray) -> np.ndarray:
    """Give light, float32 in [0, 1], for sRGB values of any depth."""
    value = color * np.float32(1 / _top(color.dtype))
    # IEC 61966-2-1
    high = ((value + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.where(value <= 0.04045, value / np.float32(12.92), high)


def _to_srgb(light: np.ndarray) -> np.ndarray:
    """Give sRGB values in [0, 1] for light, both float32."""
    high = np.float32(1.055) * light ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), high)
