"""Grow and shrink mattes by fractions of a pixel, keeping the softness of their edges."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.tiles import soft_tiles

NEAR = 4.0
"""Radius in px up to which the whole disk is looked at; beyond, only the way to the edge."""

BLOCK = 256
"""Least side in px of the pieces that are worked on: smaller ones cost more in calls than they
spare, and know less of contours around them."""

SLACK = 0.03
"""How far, in px, the polygon of looked-at directions may stay inside the circle."""


def grow(
    alpha: np.ndarray, radius: float, checkpoint: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Grow a matte by `radius` px, or shrink it if negative; only around its edge.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
    radius : float
        Distance in px that the edge moves outwards; fractions count.
    checkpoint : callable
        Called between tiles; may raise to stop.

    Returns
    -------
    grown : (H, W) float32 in [0, 1]
        See `grown`.
    """
    out = np.array(alpha)
    # The direction to the edge is taken from a slightly blurred distance, hence the rim.
    reach = math.ceil(abs(radius)) + 8
    for box, padded, inner in soft_tiles(alpha, reach, block=max(BLOCK, 4 * reach)):
        checkpoint()
        out[box] = grown(alpha[padded], radius)[inner]
    return out


def grown(alpha: np.ndarray, radius: float) -> np.ndarray:
    """Give the largest alpha within `radius` px, or the smallest if `radius` is negative.

    That is greyscale dilation and erosion with a Euclidean disk: the edge moves along its
    normal, soft ramps keep their width. The disk is sampled between pixels. Beyond `NEAR` px
    only the line to the nearest point of the 0.5 contour is looked at, which gives the same
    wherever the matte has such a contour; fainter wisps grow by `NEAR` px only.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
    radius : float
        In px.

    Returns
    -------
    grown : (H, W) float32 in [0, 1]
        At least (growing) or at most (shrinking) `alpha`.

    References
    ----------
    Serra, "Image Analysis and Mathematical Morphology", Academic Press, 1982.
    Felzenszwalb and Huttenlocher, "Distance transforms of sampled functions", Theory of
    Computing 8, 2012: the distance used beyond `NEAR`.
    """
    if radius == 0:
        return np.array(alpha)
    if radius < 0:
        return 1 - grown(1 - alpha, -radius)
    out = _largest_in_disk(np.ascontiguousarray(alpha), min(radius, NEAR))
    return _largest_towards_edge(out, radius - NEAR) if radius > NEAR else out


def _largest_in_disk(alpha: np.ndarray, radius: float) -> np.ndarray:
    """Look at every whole pixel in the disk and at samples all along its rim."""
    whole = int(radius)
    y, x = np.mgrid[-whole : whole + 1, -whole : whole + 1]
    disk = (y**2 + x**2 <= radius**2).astype(np.uint8)
    out = cv2.dilate(alpha, disk, borderType=cv2.BORDER_REPLICATE).reshape(alpha.shape)
    # The polygon's sides come within SLACK of the circle; a multiple of 4 hits both axes.
    count = 4 * math.ceil(math.pi * math.sqrt(radius / (2 * SLACK)) / 4)
    for k in range(count):
        angle = 2 * math.pi * k / count
        np.maximum(out, _moved(alpha, radius * math.cos(angle), radius * math.sin(angle)), out=out)
    return out


def _moved(alpha: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """Give the matte as seen (dx, dy) px away from each pixel, interpolated linearly."""
    shift = np.array([[1, 0, dx], [0, 1, dy]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = alpha.shape[::-1]
    return cv2.warpAffine(alpha, shift, size, flags=flags, borderMode=cv2.BORDER_REPLICATE).reshape(
        alpha.shape
    )


def _distance(away: np.ndarray) -> np.ndarray:
    """Give how far each pixel that is not 0 is from the nearest that is, in px."""
    # With one thread left OpenCV would hand this to IPP, whose last bit is another.
    by_ipp = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)  # in this thread
    try:
        return cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    finally:
        cv2.ipp.setUseIPP(by_ipp)


def _largest_towards_edge(alpha: np.ndarray, radius: float) -> np.ndarray:
    """Look from each pixel along the shortest way to the 0.5 contour, as far as `radius`."""
    inside = (alpha >= 0.5).astype(np.uint8)
    if not inside.any():
        return alpha
    distance = _distance(1 - inside)
    if inside.all():
        return alpha
    signed = distance - _distance(inside)
    signed = cv2.GaussianBlur(signed, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
    dx = cv2.Sobel(signed, cv2.CV_32F, 1, 0, ksize=3, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.Sobel(signed, cv2.CV_32F, 0, 1, ksize=3, borderType=cv2.BORDER_REPLICATE)
    # Not cv2.magnitude: its last bit depends on where the arrays lie in memory.
    length = np.sqrt(dx * dx + dy * dy) + 1e-6
    dx, dy = (-dx / length).reshape(alpha.shape), (-dy / length).reshape(alpha.shape)
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]].astype(np.float32)
    out = alpha
    # The full way; and a little beyond the contour, lest a thin strand be stepped over.
    for way in (radius, np.minimum(distance + 2.0, radius), np.minimum(distance + 0.5, radius)):
        seen = cv2.remap(
            alpha, x + way * dx, y + way * dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        out = np.maximum(out, seen.reshape(alpha.shape))
    return out
