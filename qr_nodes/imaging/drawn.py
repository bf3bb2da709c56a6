"""Draw a network's coarse matte along the edges of the full-size picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.edges import ColorLines, on_lines
from qr_nodes.imaging.foreground import SCALE
from qr_nodes.imaging.shown import Shown

NARROW, WIDE = 3, 6
"""Half the side of the windows in which the matte follows the colours: of narrow ones in px of
the matte, of wide ones in twice that. Wide ones give fur and hair a smooth matte; where a subject
of many colours meets a ground that has some of them, their lines bend the contour."""

FIT = 0.5, 0.9
"""Part of the matte's variance that lines in wide windows must tell to count, and to count alone.
At contours of fur and hair it is 0.7 to 0.9, of a silver car in a white room 0.3 to 0.7."""

FLAT = 1e-4
"""Colour variance of a window that has no edge to follow."""

HAZE = 0.1
"""What is cut off either end of the matte: a network's doubt, spread over all of the picture.
More is crisper, which is better where the contour is right and worse where it is not."""

TILE = 256
"""Side of the squares in which the full picture is gone through, px."""


def drawn_to_edges(
    shown: Shown, matte: np.ndarray, checkpoint: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Give a matte at the picture's size that follows its colours, without haze.

    The coefficients of the colour guided filter are found at the matte's own size and then
    applied to the full picture, where the matte is neither 0 nor 1.

    Parameters
    ----------
    shown : Shown
        The picture, (H, W).
    matte : (h, w) float32 in [0, 1]
        Not larger than the picture.
    checkpoint : callable
        Called every few ms; may raise.

    References
    ----------
    He, Sun and Tang, "Guided image filtering", IEEE TPAMI 35(6), 2013; He and Sun, "Fast guided
    filter", arXiv:1505.00996, 2015; Goldenshluger and Nemirovski, "On spatially adaptive
    estimation of nonparametric regression", Mathematical Methods of Statistics 6(2), 1997, for
    windows as wide as the fit allows.
    """
    guide = _guide(shown, matte.shape)
    lines = _lines(guide, matte, checkpoint)
    coarse = _clear(on_lines(lines, guide))
    # What is the same all around stays so; one cell around, as those beside take part.
    square = np.ones((3, 3), np.uint8)
    least, most = cv2.erode(coarse, square), cv2.dilate(coarse, square)
    # From here on the lines give the cleared matte of a colour's own numbers.
    lines[3] -= np.float32(HAZE)
    lines *= np.float32(1 / (1 - 2 * HAZE))
    lines[:3] *= np.float32(1 / SCALE[shown.color.dtype])
    lines = np.ascontiguousarray(lines.transpose(1, 0, 2))
    height, width = shown.size
    out = np.empty((height, width), np.float32)
    rows, columns = (_between(n, whole) for n, whole in zip(matte.shape, shown.size, strict=True))
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            checkpoint()
            tile = slice(top, min(top + TILE, height)), slice(left, min(left + TILE, width))
            cells = tuple(
                slice(part.start * n // whole, max(-(-part.stop * n // whole), 1))
                for part, n, whole in zip(tile, matte.shape, (height, width), strict=True)
            )
            low, high = least[cells].min(), most[cells].max()
            if low == high:
                out[tile] = low
                continue
            found = on_lines(_enlarged(lines, rows, columns, tile), cv2.split(shown.color[tile]))
            np.clip(found, 0, 1, out=out[tile])
    return out


def _lines(guide: np.ndarray, matte: np.ndarray, checkpoint) -> np.ndarray:
    """Give the matte's colour lines (4, h, w): of wide windows where they fit, else of narrow."""
    lines = ColorLines(guide, NARROW, FLAT, checkpoint).coefficients(matte)
    half = tuple(-(-length // 2) for length in matte.shape)
    small = [cv2.resize(plane, half[::-1], interpolation=cv2.INTER_AREA) for plane in guide]
    small = np.stack([plane.reshape(half) for plane in small])
    blunt = cv2.resize(matte, half[::-1], interpolation=cv2.INTER_AREA).reshape(half)
    wide, fit = ColorLines(small, WIDE, FLAT, checkpoint).told(blunt)
    least, enough = FIT
    share = np.clip((fit - np.float32(least)) / np.float32(enough - least), 0, 1)
    share = _enlarge(share, matte.shape)
    for plane, other in zip(lines, wide, strict=True):
        plane += share * (_enlarge(other, matte.shape) - plane)
    return lines


def _enlarge(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(shape)


def _guide(shown: Shown, size: tuple[int, int]) -> np.ndarray:
    """Give the picture as (3, h, w) float32 in [0, 1], grey where it is transparent."""
    small = shown.averaged(*size)
    return np.multiply(small.transpose(2, 0, 1), np.float32(1 / 255), order="C")


def _clear(matte: np.ndarray) -> np.ndarray:
    """Stretch a matte so that its haze is cut off."""
    matte -= np.float32(HAZE)
    matte *= np.float32(1 / (1 - 2 * HAZE))
    return np.clip(matte, 0, 1, out=matte)


def _between(cells: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give, for each pixel, the cell before it, the one after, and how far it is between them."""
    at = np.clip((np.arange(length) + 0.5) * (cells / length) - 0.5, 0, cells - 1)
    first = np.minimum(at.astype(np.intp), max(cells - 2, 0))
    return first, np.minimum(first + 1, cells - 1), (at - first).astype(np.float32)


def _enlarged(lines: np.ndarray, rows, columns, tile: tuple[slice, slice]) -> np.ndarray:
    """Interpolate (h, 4, w) linearly to the pixels of a tile of the picture; give (4, ., .)."""
    (top, bottom, down), (left, right, across) = (
        tuple(ends[part] for ends in places)
        for places, part in zip((rows, columns), tile, strict=True)
    )
    part = lines[top[0] : bottom[-1] + 1]
    wide = np.take(part, left, axis=2, mode="clip")
    wide += across * (np.take(part, right, axis=2, mode="clip") - wide)
    steps = np.empty((4, len(down), len(across)), np.float32)
    out = np.empty_like(steps)
    between = wide[1:] - wide[:-1] if len(wide) > 1 else np.zeros_like(wide)
    for plane, step, start, slope in zip(
        out, steps, wide.transpose(1, 0, 2), between.transpose(1, 0, 2), strict=True
    ):
        np.take(slope, top - top[0], axis=0, out=step, mode="clip")
        np.take(start, top - top[0], axis=0, out=plane, mode="clip")
        step *= down[:, None]
        plane += step
    return out
