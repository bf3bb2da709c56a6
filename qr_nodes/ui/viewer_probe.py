"""What single pixels of a value hold: under the mouse, and around it.

The one place that reads a few pixels of a cut-out or a mask while the mouse moves.
"""

from __future__ import annotations

import math

import numpy as np

from qr_nodes.types import Cutout
from qr_nodes.ui.viewer_picture import Kind, level

NOTHING = "–"


def pixel(value: Cutout | np.ndarray, x: int, y: int) -> tuple[np.ndarray | None, float]:
    """Give the colour (3,) in the value's own depth, None for a mask, and alpha of a pixel."""
    if isinstance(value, Cutout):
        spot = slice(y, y + 1), slice(x, x + 1)
        return value.color[y, x], float(value.tiles.window(spot)[0, 0])
    return None, float(value[y, x])


def patch(value: Cutout | np.ndarray, kind: Kind, rows: slice, columns: slice) -> np.ndarray:
    """Give a small part of a value as (h, w, 4) uint8, premultiplied, as `kind` shows it."""
    box = rows, columns
    return level(value.window(box) if isinstance(value, Cutout) else value[box], kind, 0)


def place(
    shape: tuple[int, int], size: tuple[int, int], x: float, y: float
) -> tuple[int, int] | None:
    """Give column and row, in a value of `shape` (h, w), of a place in the full-size picture.

    `size` is the full picture's (w, h); x and y are in its px. None outside.
    """
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        return None
    column = min(int(x * shape[1] / size[0]), shape[1] - 1)
    return column, min(int(y * shape[0] / size[1]), shape[0] - 1)


def channels(color: np.ndarray | None) -> list[str]:
    """Write a colour's channels in its own depth: 0–255, 0–65535 or 0.0000–1.0000."""
    if color is None:
        return [NOTHING] * 3
    if color.dtype == np.float32:
        return [f"{value:.4f}" for value in color]
    return [str(int(value)) for value in color]


def opacity(alpha: float) -> tuple[str, str]:
    """Write alpha in percent and from 0 to 255; only what is exactly 0 or 1 reads so in percent."""
    percent = alpha * 100
    if 0 < alpha < 1:
        percent = min(max(math.floor(percent * 10 + 0.5) / 10, 0.1), 99.9)
        return f"{percent:.1f} %", str(round(alpha * 255))
    return f"{percent:.0f} %", str(round(alpha * 255))
