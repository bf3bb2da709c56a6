"""Draw a network's coarse matte along the edges of the full-size picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.edges import ColorLines, on_lines
from qr_nodes.imaging.foreground import SCALE
from qr_nodes.imaging.lanczos import in_bytes
from qr_nodes.imaging.strips import strips

RADIUS = 6
"""Half the side of the windows in which the matte follows the colours, px of the matte."""

FLAT = 1e-4
"""Colour variance of a window that has no edge to follow."""

HAZE = 0.15
"""What is cut off either end of the matte: a network's doubt, spread over all of the picture."""

TILE = 256
"""Side of the squares in which the full picture is gone through, px."""


def drawn_to_edges(
    color: np.ndarray,
    matte: np.ndarray,
    under: np.ndarray | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Give a matte at the picture's size that follows its colours, without haze.

    The coefficients of the colour guided filter are found at the matte's own size and then
    applied to the full picture, where the matte is neither 0 nor 1.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
    matte : (h, w) float32 in [0, 1]
        Not larger than the picture.
    under : (H, W) float32 or None
        The picture's own transparency.
    checkpoint : callable
        Called every few ms; may raise.

    References
    ----------
    He, Sun and Tang, "Guided image filtering", IEEE TPAMI 35(6), 2013; He and Sun, "Fast guided
    filter", arXiv:1505.00996, 2015.
    """
    guide = _guide(color, under, matte.shape, checkpoint)
    lines = ColorLines(guide, RADIUS, FLAT, checkpoint).coefficients(matte)
    coarse = _clear(on_lines(lines, guide))
    # What is the same all around stays so; one cell around, as those beside take part.
    square = np.ones((3, 3), np.uint8)
    least, most = cv2.erode(coarse, square), cv2.dilate(coarse, square)
    lines = lines.transpose(1, 2, 0).copy()
    height, width = color.shape[:2]
    out = np.empty((height, width), np.float32)
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
            picture = color[tile].transpose(2, 0, 1) * np.float32(1 / SCALE[color.dtype])
            out[tile] = _clear(on_lines(_enlarged(lines, tile, (height, width)), picture))
    return out


def _guide(color, under, size: tuple[int, int], checkpoint) -> np.ndarray:
    """Give the picture as (3, h, w) float32 in [0, 1], grey where it is transparent."""
    full = color
    if color.dtype != np.uint8:  # so that the same picture in another depth gives the same
        full = np.empty(color.shape, np.uint8)
        for rows, _, _ in strips(*color.shape[:2]):
            checkpoint()
            full[rows] = in_bytes(color[rows])
    checkpoint()
    small = cv2.resize(full, size[::-1], interpolation=cv2.INTER_AREA).reshape(*size, 3)
    guide = np.multiply(small.transpose(2, 0, 1), np.float32(1 / 255), order="C")
    if under is not None:
        shown = cv2.resize(under, size[::-1], interpolation=cv2.INTER_AREA).reshape(size)
        guide = 0.5 + shown * (guide - np.float32(0.5))
    return guide


def _clear(matte: np.ndarray) -> np.ndarray:
    """Stretch a matte so that its haze is cut off."""
    matte -= np.float32(HAZE)
    matte *= np.float32(1 / (1 - 2 * HAZE))
    return np.clip(matte, 0, 1, out=matte)


def _enlarged(lines: np.ndarray, tile: tuple[slice, slice], shape: tuple[int, int]) -> np.ndarray:
    """Interpolate (h, w, 4) linearly to the pixels of a tile of the picture; give (4, ., .)."""
    places = []
    for part, cells, length in zip(tile, lines.shape, shape, strict=False):
        at = (np.arange(part.start, part.stop) + 0.5) * (cells / length) - 0.5
        at = np.clip(at, 0, cells - 1)
        first = np.minimum(at.astype(np.intp), max(cells - 2, 0))
        places.append((first, np.minimum(first + 1, cells - 1), (at - first).astype(np.float32)))
    (top, bottom, down), (left, right, across) = places
    rows = slice(top[0], bottom[-1] + 1)
    part = lines[rows]
    wide = part[:, left] + across[None, :, None] * (part[:, right] - part[:, left])
    above, below = wide[top - top[0]], wide[bottom - top[0]]
    return (above + down[:, None, None] * (below - above)).transpose(2, 0, 1)
