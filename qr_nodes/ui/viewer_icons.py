"""Icons of the viewer's buttons, drawn here: a file less to carry, and colours that can change."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 18
"""Px that an icon is wide and high."""

FINE = 8
"""Icons are drawn this much larger, then shrunk: smooth edges."""

Color = tuple[int, int, int]

SUBJECT: Color = (217, 115, 77)
LINE: Color = (205, 208, 214)


def mode_icon(name: str, back: Color | np.ndarray | None) -> np.ndarray:
    """Draw a disk as the mode `name` of the viewer shows it.

    Parameters
    ----------
    name : str
        A key of `viewer_tools.MODES`.
    back : colour, (h, w, 3) uint8 picture or None
        What is behind the disk, in modes that have something there.

    Returns
    -------
    pixels : (SIDE, SIDE, 4) float32 in [0, 1]
    """
    y, x = np.mgrid[: SIDE * FINE, : SIDE * FINE] / FINE
    pixels = np.zeros((SIDE * FINE, SIDE * FINE, 3), np.uint8)
    figure = SUBJECT
    if name == "checker":
        pixels[:] = np.where((x // 6 + y // 6) % 2 >= 1, 115, 190)[..., None]
    elif name == "alpha":
        figure = (255, 255, 255)
    elif name == "original":
        pixels[:] = np.where((y > SIDE * 0.6)[..., None], (92, 128, 77), (128, 178, 230))
    elif name == "picture" and isinstance(back, np.ndarray):
        side = min(back.shape[:2])
        top, left = (back.shape[0] - side) // 2, (back.shape[1] - side) // 2
        middle = np.ascontiguousarray(back[top : top + side, left : left + side])
        pixels[:] = cv2.resize(middle, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
    elif name == "picture":
        pixels[:] = (88, 84, 140)
        for peak, foot, color in ((5, 12, (60, 58, 100)), (9, 18, (42, 40, 74))):
            slope = np.abs(x - foot) + peak
            pixels[y > slope] = color
    elif name == "overlay":
        pixels[:] = np.where((y > SIDE * 0.6)[..., None], (92, 128, 77), (128, 178, 230))
        pixels[:] = pixels // 2 + np.uint8(np.array(back) // 2)
    else:
        pixels[:] = back
    middle, radius = (SIDE * FINE // 2, SIDE * FINE // 2), round(SIDE * FINE * 0.36)
    cv2.circle(pixels, middle, radius, figure, -1)
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _rgba(small, np.full((SIDE, SIDE), 255, np.uint8))


def toggle_icon(name: str) -> np.ndarray:
    """Draw the icon of "split", "loupe" or "histogram".

    Returns
    -------
    pixels : (SIDE, SIDE, 4) float32 in [0, 1]
    """
    mask = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)

    def at(*values: float) -> tuple[int, ...]:
        return tuple(round(value * FINE) for value in values)

    if name == "split":
        cv2.rectangle(mask, at(2, 3.5), at(16, 14.5), 255, FINE)
        cv2.rectangle(mask, at(2, 3.5), at(9, 14.5), 255, -1)
        cv2.line(mask, at(9, 1), at(9, 17), 255, FINE + 4)
    elif name == "loupe":
        cv2.circle(mask, at(7.5, 7.5), round(5 * FINE), 255, round(1.6 * FINE))
        cv2.line(mask, at(11.4, 11.4), at(16, 16), 255, round(2.4 * FINE))
    else:
        for place, height in enumerate((6, 11, 14, 8, 4)):
            left = 2 + place * 3
            cv2.rectangle(mask, at(left, 16 - height), at(left + 1.9, 16), 255, -1)
    small = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return _rgba(np.full((SIDE, SIDE, 3), LINE, np.uint8), small)


def _rgba(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.dstack([color, alpha]).astype(np.float32) / 255
