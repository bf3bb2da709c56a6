"""Resize masks with a Lanczos filter of three lobes, as Pillow does, in strips."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from qr_nodes.imaging.strips import strips

LOBES = 3
ROWS = 8
"""Rows that one product gives."""
ALONE = 1 << 18
"""Multiplications up to which BLAS keeps a product to one thread. The last bits of a larger one
follow from how many threads there are: machines with other cores would give other files."""


def resize_unit(
    plane: np.ndarray,
    height: int,
    width: int,
    *,
    margin: float = 1e-6,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Resize a mask; what the filter throws beyond 0 and 1 is clipped.

    Parameters
    ----------
    plane : (h, w) float32 in [0, 1]
    height, width : int
        Size to give, in px.
    margin : float
        What lies this near to 0 or 1 is put there, the rest is stretched in between; rounding
        dust at least, or a solid part would count as see-through.
    checkpoint : callable
        Called between strips; may raise.

    Returns
    -------
    resized : (height, width) float32 in [0, 1]
    """
    across = np.empty((width, plane.shape[0]), np.float32)
    for _ in _stretch(np.ascontiguousarray(plane.T), across):
        checkpoint()
    across = np.ascontiguousarray(across.T)
    resized = np.empty((height, width), np.float32)
    for part in _stretch(across, resized):
        checkpoint()
        part -= np.float32(margin)
        part *= np.float32(1 / (1 - 2 * margin))
        np.clip(part, 0, 1, out=part)
    return resized


def _stretch(plane: np.ndarray, out: np.ndarray) -> Iterator[np.ndarray]:
    """Resize the columns of a plane to those of `out`; give each part of it that is done."""
    starts, taps = _taps(len(plane), len(out))
    for strip, _, _ in strips(*out.shape):
        for top in range(strip.start, strip.stop, ROWS):
            rows = slice(top, min(top + ROWS, strip.stop))
            # A few rows of a much enlarged mask look at few of its own: the product stays thin.
            first, last = starts[rows][0], starts[rows][-1] + taps.shape[1]
            last = min(last, len(plane))
            weights = _band(starts[rows], taps[rows], first, last)
            step = max(ALONE // weights.size, 1)
            for left in range(0, out.shape[1], step):
                part = slice(left, left + step)
                # OpenCV's product: numpy's waits for its threads when other work has the cores.
                out[rows, part] = cv2.gemm(weights, plane[first:last, part], 1, None, 0)
        yield out[strip]


def _taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Give, for each new sample, the first old one it looks at and the weights from there on.

    Returns
    -------
    starts : (new,) int
    taps : (new, n) float32, rows summing to 1
    """
    step = old / new
    widening = max(step, 1.0)  # shrinking widens the filter, or it would alias
    reach = LOBES * widening
    centres = (np.arange(new) + 0.5) * step
    starts = np.maximum((centres - reach + 0.5).astype(int), 0)
    ends = np.minimum((centres + reach + 0.5).astype(int), old)
    at = starts[:, None] + np.arange((ends - starts).max())
    x = (at + 0.5 - centres[:, None]) / widening
    taps = np.where((np.abs(x) < LOBES) & (at < ends[:, None]), np.sinc(x) * np.sinc(x / LOBES), 0)
    return starts, (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)


def _band(starts: np.ndarray, taps: np.ndarray, first: int, last: int) -> np.ndarray:
    """Write taps into a dense matrix over the old samples from `first` to `last`."""
    dense = np.zeros((len(starts), last - first + taps.shape[1]), np.float32)
    at = starts[:, None] - first + np.arange(taps.shape[1])
    np.put_along_axis(dense, at, taps, axis=1)
    return dense[:, : last - first]
