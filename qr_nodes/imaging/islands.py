"""Take away what in a matte is small and lies apart from its subject."""

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
    outlines, tree = cv2.findContours(seen, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    checkpoint()
    outer = [
        o
        for o, (_, _, _, parent) in zip(outlines, tree[0] if outlines else (), strict=True)
        if parent < 0
    ]
    areas = np.array([_area(outline) for outline in outer])
    out = alpha
    for place in np.flatnonzero(areas < share * areas.max(initial=0)):
        checkpoint()
        if out is alpha:
            out = np.array(alpha)
        _clear(out, outer[place])
    return out


def _area(outline: np.ndarray) -> float:
    """Give how many pixels an outline encloses, by Pick's theorem, itself included."""
    return cv2.contourArea(outline) + cv2.arcLength(outline, True) / 2 + 1


def _clear(alpha: np.ndarray, outline: np.ndarray) -> None:
    """Clear what an outline encloses, and what is faint around it."""
    left, top, width, height = cv2.boundingRect(outline)
    left, top = left - RIM, top - RIM
    island = np.zeros((height + 2 * RIM, width + 2 * RIM), np.uint8)
    cv2.drawContours(island, [outline], -1, 1, cv2.FILLED, offset=(-left, -top))
    around = cv2.dilate(island, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8))
    up, back = max(-top, 0), max(-left, 0)  # where the picture's frame cuts the box
    part = alpha[top + up : top + len(island), left + back : left + island.shape[1]]
    within = slice(up, up + part.shape[0]), slice(back, back + part.shape[1])
    part[(island[within] > 0) | ((around[within] > 0) & (part <= FAINT))] = 0.0
