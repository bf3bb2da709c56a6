"""Smooth the contour of a matte: steps and wobble go, place, corners and hair stay."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from qr_nodes.imaging.alpha import REACH, coarseness, gaussian
from qr_nodes.imaging.strips import THREADS, in_order
from qr_nodes.imaging.tiles import Box, soft_tiles

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

BLOCK = 384
"""Side in px of the pieces that are worked on, by several threads: smaller ones keep these waiting
for Python."""

FINE = 2.5
"""Pixels per sigma of the grid on which an edge is judged."""

DUST = 1e-4
"""Change of alpha, a fortieth of an 8-bit step, up to which a pixel is left alone."""

# The Gaussian's integral P, and how far from the edge (P - 1/2) / P' = u is met; u is given as
# t = u / (1 + |u|), which the table can hold in even steps.
_STEPS = 1 << 13
_AT = np.linspace(-4, 4, 2 * _STEPS + 1)
_INTEGRAL = np.array([0.5 + 0.5 * math.erf(x / math.sqrt(2)) for x in _AT], np.float32)
_RATIO = (_INTEGRAL - 0.5) * np.exp(_AT**2 / 2) * math.sqrt(2 * math.pi)
_DISTANCE = np.interp(
    np.linspace(-1, 1, 2 * _STEPS + 1), _RATIO / (1 + np.abs(_RATIO)), _AT
).astype(np.float32)


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
        Called between tiles; may raise to stop.

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
    # A multiple of the coarsest grid's step, so that it falls on the same places in each tile.
    step = coarseness(2 * amount, FINE)
    reach = step * math.ceil((2.5 * REACH * amount + 4) / step)

    def smooth(box: Box, padded: Box, inner: Box) -> None:
        out[box] = _smoothed(np.ascontiguousarray(alpha[padded]), amount, corners)[inner]

    tiles = soft_tiles(alpha, reach, BLOCK, _may_cross)
    for _ in in_order((partial(smooth, *tile) for tile in tiles), THREADS):
        checkpoint()
    return out


def _may_cross(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Say where there may be a contour, given the least and largest alpha around.

    What comes nowhere near one would count as moved altogether, and stay.
    """
    return (low < 0.9) & (high > 0.1) & (low < high)


def _smoothed(alpha: np.ndarray, amount: float, corners: float) -> np.ndarray:
    slopes = _gradient(gaussian(alpha, 0.7))
    length = _mean(_length(*slopes), amount) + 1e-6
    # A straight ramp of width w has a mean of a (1 - a) of w / 6 per px of its length.
    width = 6 * _mean(alpha * (1 - alpha), amount) / length
    sharp, soft = (max(times * amount, px) for times, px in zip((SHARP, SOFT), HARD, strict=True))
    if width.min() >= soft:
        return alpha
    change = _redrawn(alpha, amount, width, soft) - alpha
    moved = _mean(change, amount)
    along = (_mean(slope, amount) for slope in slopes)
    # The weights are found only for the pixels that would change.
    there = np.flatnonzero((np.abs(change) > DUST) & (width < soft))
    length, width, moved, *along = (at.ravel()[there] for at in (length, width, moved, *along))
    along = _length(*along) / length
    weight = _fade(np.abs(moved) / length, STILL, MOVED) * _fade(along, 0.7, STRAND)
    weight *= _fade(width, sharp, soft) * (1 - corners * (1 - _fade(along, STRAIGHT, CORNER)))
    out = np.array(alpha)
    out.ravel()[there] += weight * change.ravel()[there]
    return np.clip(out, 0.0, 1.0, out=out)


def _mean(values: np.ndarray, amount: float) -> np.ndarray:
    """Average over the window on which an edge is judged; a coarse grid will do."""
    return gaussian(values, 2 * amount, fine=FINE)


def _redrawn(alpha: np.ndarray, amount: float, width: np.ndarray, soft: float) -> np.ndarray:
    """Draw the smooth contour with edges of `width` px, at most `soft`."""
    field = 2 * gaussian(alpha, amount) - gaussian(alpha, 2 * amount) - 0.5
    new = (field > 0).astype(np.float32)
    # Far from any edge it is plainly inside or outside.
    near = np.flatnonzero((np.abs(field) < 0.499) | (width < 2 * soft))
    field, width, dx, dy = (at.ravel()[near] for at in (field, width, *_gradient(field)))
    new.ravel()[near] = _profile(field, _length(dx, dy), np.clip(width, 1.0, soft), amount)
    return new


def _profile(field: np.ndarray, slope: np.ndarray, width: np.ndarray, amount: float) -> np.ndarray:
    """Give alpha across edges of `width` px from the field and its slope."""
    # An edge of width w counts as a Gaussian of w / sqrt(12); bent ones are flatter than this.
    own = width * width / 12
    straight = 2 / np.sqrt(amount**2 + own) - 1 / np.sqrt(4 * amount**2 + own)
    slope = np.maximum(slope, 0.25 / math.sqrt(2 * math.pi) * straight)
    alpha = np.clip(0.5 + field / (slope * width), 0.0, 1.0)
    blunt = np.flatnonzero(width > HARD[0])
    if blunt.size:
        # Soft edges are not ramps but Gaussians: (P - 1/2) / P' is unrolled to the distance.
        field, slope, width, own = (at[blunt] for at in (field, slope, width, own))
        wide = np.sqrt(amount**2 + own)
        ratio = field / slope / wide
        distance = _looked_up(_DISTANCE, ratio / (1 + np.abs(ratio)), 1.0)
        bell = _looked_up(_INTEGRAL, distance * wide / np.sqrt(own), 4.0)
        alpha[blunt] = bell + _fade(width, *HARD) * (alpha[blunt] - bell)
    return alpha


def _looked_up(table: np.ndarray, at: np.ndarray, end: float) -> np.ndarray:
    """Give the entries of a table whose even steps go from -end to end; constant beyond."""
    index = at * np.float32(_STEPS / end) + np.float32(_STEPS + 0.5)
    return np.take(table, index.astype(np.intp), mode="clip")


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
