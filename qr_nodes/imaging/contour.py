"""Smooth the contour of a matte: steps and wobble go, place, corners and hair stay."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.alpha import REACH, gaussian
from qr_nodes.imaging.tiles import CELL, soft_tiles

SHARP, SOFT = 2.2, 4.0
"""Widths of an edge in px up to which it is smoothed in full, and from which not at all."""

STRAIGHT, CORNER = 0.12, 0.4
"""Ratio of the gradient's power across and along the edge that counts as straight, and as a
corner: a bend of 38° and of 65° within the window."""

STILL, MOVED = 0.15, 0.4
"""Mean displacement in px that is let pass, and that means something thin would be lost."""


def smoothed(
    alpha: np.ndarray,
    amount: float,
    corners: float = 1.0,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Smooth the 0.5 contour of a matte on the scale of `amount` px.

    The matte is convolved with 2 G(s) - G(2 s), which moves a contour by its fourth-order
    flow but not by its curvature: circles keep their size, wobble shorter than about 4 s goes.
    The contour is then drawn anew with the edge's own width. Where an edge is soft (hair),
    turns a corner, or would be lost or moved altogether (a thin strand), the matte stays.

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
    Förstner and Gülch, "A fast operator for detection and precise location of distinct
    points, corners and centres of circular features", ISPRS Intercommission Conference on
    Fast Processing of Photogrammetric Data, 1987: corners by the gradient's covariance.
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
    length = _mean(cv2.magnitude(dx, dy).reshape(alpha.shape), amount) + 1e-6
    # A straight ramp of width w has a mean of a (1 - a) of w / 6 per px of its length.
    width = 6 * _mean(alpha * (1 - alpha), amount) / length
    checkpoint()
    new = _redrawn(alpha, amount, np.clip(width, 1.0, SOFT))
    checkpoint()
    moved = np.abs(_mean(new - alpha, amount)) / length
    straight = 1 - corners * (1 - _fade(_bend(dx, dy, amount), STRAIGHT, CORNER))
    weight = straight * _fade(width, SHARP, SOFT) * _fade(moved, STILL, MOVED)
    return np.clip(alpha + weight * (new - alpha), 0.0, 1.0)


def _mean(values: np.ndarray, amount: float) -> np.ndarray:
    """Average over the window on which an edge is judged; a coarse grid will do."""
    return gaussian(values, 2 * amount, fine=2.5)


def _redrawn(alpha: np.ndarray, amount: float, width: np.ndarray) -> np.ndarray:
    """Draw the smooth contour with an edge of `width` px."""
    field = 2 * gaussian(alpha, amount) - gaussian(alpha, 2 * amount) - 0.5
    slope = cv2.magnitude(*_gradient(field)).reshape(alpha.shape)
    # The slope across a lone straight edge; thin or bent ones are flatter and lie within it.
    straight = 1.5 / (math.sqrt(2 * math.pi) * amount)
    return np.clip(0.5 + field / np.maximum(slope * width, 0.25 * straight), 0.0, 1.0)


def _bend(dx: np.ndarray, dy: np.ndarray, amount: float) -> np.ndarray:
    """Give the power of the gradient across its main direction relative to that along it."""
    xx, yy, xy = (_mean(product, amount) for product in (dx * dx, dy * dy, dx * dy))
    mean = (xx + yy) / 2
    spread = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return (mean - spread) / (mean + spread + 1e-9)


def _gradient(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the central differences along x and y."""
    return tuple(
        cv2.Sobel(
            values, cv2.CV_32F, x, 1 - x, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE
        ).reshape(values.shape)
        for x in (1, 0)
    )


def _fade(values: np.ndarray, full: float, none: float) -> np.ndarray:
    return np.clip((none - values) / (none - full), 0.0, 1.0)
