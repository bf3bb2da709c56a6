"""Outlines of a matte's parts and of the holes in them; clear what is small and lies apart."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

FAINT = np.float32(0.05)
"""Alpha up to which pixels link nothing: haze lies over most pictures."""

RIM = 3
"""Pixels around an island in which what is faint goes with it."""


def without_islands(
    alpha: np.ndarray, share: float, checkpoint: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Clear the islands of a matte that are smaller than a share of its largest one.

    An area opening of where the matte is more than faint. What is left keeps its alpha.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
    share : float in [0, 1]
        0 clears nothing, 1 all but the largest.
    checkpoint : callable
        Called between islands; may raise to stop.

    Returns
    -------
    alpha : (H, W) float32 in [0, 1]
        The same array if nothing was cleared.

    References
    ----------
    Vincent, "Grayscale area openings and closings, their efficient implementation and
    applications", EURASIP Workshop on Mathematical Morphology, 1993.
    Suzuki and Abe, "Topological structural analysis of digitized binary images by border
    following", CVGIP 30(1), 1985: how the outlines are found.
    """
    seen = (alpha > FAINT).view(np.uint8)
    checkpoint()
    outer, _ = outlines(seen)
    checkpoint()
    areas = np.array([_area(outline) for outline in outer])
    out = alpha
    for place in np.flatnonzero(areas < share * areas.max(initial=0)):
        checkpoint()
        if out is alpha:
            out = np.array(alpha)
        box, island = filled(outer[place], alpha.shape, RIM)
        around = cv2.dilate(island, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8))
        part = out[box]
        part[(island > 0) | ((around.reshape(part.shape) > 0) & (part <= FAINT))] = 0.0
    return out


def outlines(marked: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Give the outlines of the parts of what is marked, and those of the holes in them.

    `marked` is (H, W) uint8; pixels that touch at corners are of one part.
    """
    found, tree = cv2.findContours(marked, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parts: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for outline, (_, _, _, parent) in zip(found, tree[0] if found else (), strict=True):
        parts[int(parent >= 0)].append(outline)
    return parts


def filled(
    outline: np.ndarray, shape: tuple[int, int], rim: int = 0
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Give the rows and columns around an outline, and as uint8 what it encloses there.

    `rim` px more on each side, where the picture of size `shape` has them.
    """
    left, top, width, height = cv2.boundingRect(outline)
    rows = slice(max(top - rim, 0), min(top + height + rim, shape[0]))
    columns = slice(max(left - rim, 0), min(left + width + rim, shape[1]))
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    offset = (-columns.start, -rows.start)
    cv2.drawContours(inside, [outline], -1, 1, cv2.FILLED, offset=offset)
    return (rows, columns), inside


def _area(outline: np.ndarray) -> float:
    """Give how many pixels an outline encloses, by Pick's theorem, itself included."""
    return cv2.contourArea(outline) + cv2.arcLength(outline, True) / 2 + 1
