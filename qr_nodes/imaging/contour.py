"""Smooth the contour of a matte: steps and wobble go, place, corners and hair stay."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.alpha import REACH, gaussian
from qr_nodes.imaging.tiles import CELL, soft_tiles

SHARP, SOFT = 1.5, 3.0
"""Widths of an edge up to which it is smoothed in full, and from which not at all, as
multiples of the amount; at least those of `HARD`."""

HARD = 2.2, 4.0
"""The same in px, for small amounts."""

STRAIGHT, CORNER = 0.94, 0.86
"""Length of the mean direction across the edge (1 on a straight one) from which an edge is
straight, and up to which it is a corner: bends of 40° and 61° within the window."""

STRAND = 0.5
"""Length of the mean direction up to which two edges face each other, as in hair."""

STILL, MOVED = 0.15, 0.4
"""Mean displacement in px that is let pass, and that means something thin would be lost."""


# The Gaussian's integral P, and how (P - 1/2) / P' grows with the distance from the edge.
_AT = np.linspace(-4, 4, 801)
_INTEGRAL = np.array([0.5 + 0.5 * math.erf(x / math.sqrt(2)) for x in _AT])
_RATIO = (_INTEGRAL - 0.5) * np.exp(_AT**2 / 2) * math.sqrt(2 * math.pi)


def smoothed(
    alpha: np.ndarray,
    amount: float,
    corners: float = 1.0,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Smooth the 0.5 contour of a matte on the scale of `amount` px.

    The matte is convolved with 2 G(s) - G(2 s), which moves a contour by its fourth-order
    flow but not by its curvature: circles keep their size, wobble shorter than about 4 s goes.
    The contour is then drawn anew with the edge's own width and profile. Where an edge is soft
    for the amount, turns a corner, faces another (hair), or would be lost or moved altogether,
    the matte stays.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
    amount : float
        s in px, > 0.
    corners : float in [0, 1]
        How far corners are spared.
    checkpoint : callable
        Called between tiles and their parts; may raise to stop.

    Returns
    -------
    smoothed : (H, W) float32 in [0, 1]

    References
    ----------
    Esedoglu, Ruuth and Tsai, "Threshold dynamics for high order geometric motions",
    Interfaces and Free Boundaries 10(3), 2008: the pair of Gaussians.
    Taubin, "A signal processing approach to fair surface design", SIGGRAPH 1995: smoothing
    without shrinking.
    """
    out = np.array(alpha)
    # A multiple of the cells' side, so that coarser grids fall on the same places in each tile.
    reach = CELL * math.ceil((2 * REACH * amount + 4) / CELL)
    for box, padded, inner in soft_tiles(alpha, reach):
        checkpoint()
        window = np.ascontiguousarray(alpha[padded])
        out[box] = _smoothed(window, amount, corners, checkpoint)[inner]
    return out


def _smoothed(
    alpha: np.ndarray, amount: float, corners: float, checkpoint: Callable[[], None]
) -> np.ndarray:
    dx, dy = _gradient(gaussian(alpha, 0.7))
    length = _mean(_length(dx, dy), amount) + 1e-6
    # A straight ramp of width w has a mean of a (1 - a) of w / 6 per px of its length.
    width = 6 * _mean(alpha * (1 - alpha), amount) / length
    sharp, soft = (max(times * amount, px) for times, px in zip((SHARP, SOFT), HARD, strict=True))
    checkpoint()
    new = _redrawn(alpha, amount, np.clip(width, 1.0, soft))
    checkpoint()
    along = _length(_mean(dx, amount), _mean(dy, amount)) / length
    moved = np.abs(_mean(new - alpha, amount)) / length
    weight = _fade(width, sharp, soft) * _fade(moved, STILL, MOVED) * _fade(along, 0.7, STRAND)
    weight *= 1 - corners * (1 - _fade(along, STRAIGHT, CORNER))
    return np.clip(alpha + weight * (new - alpha), 0.0, 1.0)


def _mean(values: np.ndarray, amount: float) -> np.ndarray:
    """Average over the window on which an edge is judged; a coarse grid will do."""
    return gaussian(values, 2 * amount, fine=2.5)


def _redrawn(alpha: np.ndarray, amount: float, width: np.ndarray) -> np.ndarray:
    """Draw the smooth contour with an edge of `width` px."""
    field = 2 * gaussian(alpha, amount) - gaussian(alpha, 2 * amount) - 0.5
    slope = _length(*_gradient(field))
    # An edge of width w counts as a Gaussian of w / sqrt(12); bent ones are flatter than this.
    own = width * width / 12
    straight = 2 / np.sqrt(amount**2 + own) - 1 / np.sqrt(4 * amount**2 + own)
    slope = np.maximum(slope, 0.25 / math.sqrt(2 * math.pi) * straight)
    ramp = np.clip(0.5 + field / (slope * width), 0.0, 1.0)
    if width.max() <= HARD[0]:
        return ramp
    # Soft edges are not ramps but Gaussians: there (P - 1/2) / P' is unrolled to the distance.
    distance = field / slope / np.sqrt(amount**2 + own)
    bell = np.interp(distance, _RATIO, _AT).astype(np.float32) * np.sqrt(amount**2 + own)
    bell = np.interp(bell / np.sqrt(own), _AT, _INTEGRAL).astype(np.float32)
    return bell + _fade(width, *HARD) * (ramp - bell)


def _gradient(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the central differences along x and y."""
    return tuple(
        cv2.Sobel(
            values, cv2.CV_32F, x, 1 - x, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE
        ).reshape(values.shape)
        for x in (1, 0)
    )


def _length(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    # Not cv2.magnitude: its last bit depends on where the arrays lie in memory.
    return np.sqrt(dx * dx + dy * dy)


def _fade(values: np.ndarray, full: float, none: float) -> np.ndarray:
    return np.clip((none - values) / (none - full), 0.0, 1.0)
