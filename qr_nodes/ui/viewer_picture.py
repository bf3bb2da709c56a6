"""A cut-out or mask as 8-bit pixels for the screen: levels of halving size, and what is in view.

Levels are premultiplied by alpha, so that shrinking and interpolating them lets no hidden colour
show; what goes to the screen is straight again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from qr_nodes.imaging.resample import shrink, shrunk_size
from qr_nodes.imaging.strips import strips
from qr_nodes.tiled import Box
from qr_nodes.types import Cutout

Kind = Literal["cutout", "original", "alpha", "overlay"]
"""What of a cut-out is shown: with its alpha, its colour alone, its alpha in grey, or its colour
with what is removed half transparent, so that a tint behind it shows through."""

CRISP = 2.0
"""Zoom from which on pixels are shown as squares."""


@dataclass(frozen=True)
class View:
    """Where the picture lies in the panel.

    Attributes
    ----------
    zoom : screen px per px of the full-size picture
    x, y : where its top left corner is, in screen px from the panel's
    """

    zoom: float = 1.0
    x: int = 0
    y: int = 0

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        """Give the place in the full-size picture, in px, of a place in the panel."""
        return (x - self.x) / self.zoom, (y - self.y) / self.zoom

    def moved(self, x: float, y: float) -> View:
        """Give the view after moving the picture by screen px."""
        return replace(self, x=self.x + round(x), y=self.y + round(y))

    def zoomed(self, zoom: float, x: float, y: float) -> View:
        """Give the view at another zoom with what is at a place of the panel staying there."""
        ratio = zoom / self.zoom
        return View(zoom, round(x - (x - self.x) * ratio), round(y - (y - self.y) * ratio))

    def area(self, size: tuple[int, int], panel: tuple[int, int]) -> tuple[int, int, int, int]:
        """Give left, top, right, bottom of the picture's part of the panel; sizes are (w, h)."""
        right = self.x + max(1, round(size[0] * self.zoom))
        bottom = self.y + max(1, round(size[1] * self.zoom))
        left, top = max(self.x, 0), max(self.y, 0)
        return left, top, max(left, min(right, panel[0])), max(top, min(bottom, panel[1]))


def fit(size: tuple[int, int], panel: tuple[int, int]) -> View:
    """Give the view that shows the whole picture in the middle, at 100 % at most."""
    zoom = min(1.0, max(panel[0], 1) / size[0], max(panel[1], 1) / size[1])
    return View(
        zoom,
        round((panel[0] - size[0] * zoom) / 2),
        round((panel[1] - size[1] * zoom) / 2),
    )


def full_size(shape: tuple[int, int], scale: float, last: tuple[int, int]) -> tuple[int, int]:
    """Give (width, height) of the picture that a value of `shape` shows at `scale`.

    `last`, the size known before, is given back if it fits: rounding hides the exact one.
    """
    if shrunk_size(last[1], last[0], scale) == tuple(shape):
        return last
    return max(1, round(shape[1] / scale)), max(1, round(shape[0] / scale))


def wanted_level(zoom: float, scale: float) -> int:
    """Give the smallest level that has a pixel for every one of the screen."""
    return max(0, math.floor(math.log2(max(scale / zoom, 1.0)) + 1e-9))


def level(
    value: Cutout | np.ndarray,
    kind: Kind,
    number: int,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Make a level of a value, in strips.

    Parameters
    ----------
    value : Cutout or (H, W) float32 in [0, 1]
        What is shown; a mask is grey whatever `kind`.
    number : int
        Each level is half the size of the one before; 0 is the value's own size.

    Returns
    -------
    pixels : (ceil(H / 2**number), ceil(W / 2**number), 4) uint8
        Premultiplied RGBA.
    """
    height, width = value.shape[:2]
    step = 1 << number
    made = np.empty((-(-height // step), -(-width // step), 4), np.uint8)
    for rows, _, _ in strips(height, width, step):
        checkpoint()
        # Strips begin at whole rows of the level, `strips` being asked for at least `step` rows.
        top, bottom = rows.start // step * step, rows.stop
        if bottom < height:
            bottom = bottom // step * step
        if top < bottom:
            box = slice(top, bottom), slice(0, width)
            made[top // step : -(-bottom // step)] = coarser(_premultiplied(value, kind, box), step)
    return made


def mend_level(
    made: np.ndarray, value: Cutout | np.ndarray, kind: Kind, number: int, box: Box
) -> None:
    """Make a rectangle of a level anew, in place; `box` is in px of the value."""
    step = 1 << number
    whole = tuple(
        slice(span.start // step * step, min(-(-span.stop // step) * step, side))
        for span, side in zip(box, value.shape[:2], strict=True)
    )
    rows, columns = (slice(span.start // step, -(-span.stop // step)) for span in whole)
    made[rows, columns] = coarser(_premultiplied(value, kind, whole), step)


def coarser(pixels: np.ndarray, step: int) -> np.ndarray:
    """Average squares of `step` px; those at the right and bottom may be cut."""
    if step == 1:
        return pixels
    height, width = pixels.shape[:2]
    made = np.empty((-(-height // step), -(-width // step), 4), np.uint8)
    for y, y_size, rows in _split(height, step):
        for x, x_size, columns in _split(width, step):
            part = np.ascontiguousarray(pixels[rows, columns])
            made[y, x] = cv2.resize(part, (x_size, y_size), interpolation=cv2.INTER_AREA)
    return made


def _split(length: int, step: int) -> list[tuple[slice, int, slice]]:
    """Cut a length into whole steps and the rest: (place, size, source) of each."""
    whole = length // step
    parts = [(slice(0, whole), whole, slice(0, whole * step))] if whole else []
    if length % step:
        parts.append((slice(whole, whole + 1), 1, slice(whole * step, length)))
    return parts


def thumbnail(value: Cutout | np.ndarray, side: int) -> np.ndarray:
    """Give a value as (h, w, 4) uint8 straight RGBA, its longer side `side` px at most."""
    small = shrink(value, min(1.0, side / max(value.shape[:2])))
    return cv2.cvtColor(level(small, "cutout", 0), cv2.COLOR_mRGBA2RGBA)


def _premultiplied(value: Cutout | np.ndarray, kind: Kind, box: Box) -> np.ndarray:
    """Give some rows and columns of a value as (h, w, 4) uint8, colour multiplied by alpha."""
    if not isinstance(value, Cutout):
        return cv2.cvtColor(_bytes(value[box]), cv2.COLOR_GRAY2RGBA)
    if kind == "alpha":
        return cv2.cvtColor(_bytes(value.tiles.window(box)), cv2.COLOR_GRAY2RGBA)
    pixels = cv2.cvtColor(_bytes(value.color[box]), cv2.COLOR_RGB2RGBA)
    if kind == "original":
        return pixels
    matte = value.tiles.window(box)
    if matte.strides == (0, 0) and matte.flat[0] == 1:
        return pixels
    alpha = _bytes(matte)
    if alpha.min() == 255:
        return pixels
    if kind == "overlay":
        alpha = cv2.convertScaleAbs(alpha, alpha=0.5, beta=127.5)
    cv2.insertChannel(alpha, pixels, 3)
    return cv2.cvtColor(pixels, cv2.COLOR_RGBA2mRGBA)


def _bytes(array: np.ndarray) -> np.ndarray:
    """Give uint8 from 0 to 255 for uint8, uint16 or float32."""
    array = np.ascontiguousarray(array)
    if array.dtype == np.uint8:
        return array
    return cv2.convertScaleAbs(array, alpha=1 / 257 if array.dtype == np.uint16 else 255)


def render(
    pixels: np.ndarray,
    step: float,
    view: View,
    corner: tuple[int, int],
    out: np.ndarray,
    crisp: bool = False,
) -> None:
    """Fill a part of the panel.

    Parameters
    ----------
    pixels : (h, w, 4) uint8
        A level.
    step : float
        Full-size px per px of the level.
    corner : (int, int)
        Left and top of the part, in screen px from the panel's.
    out : (H, W, 4) float32
        Taken by straight RGBA from 0 to 1.
    crisp : bool
        Show squares instead of a blend.
    """
    height, width = out.shape[:2]
    scale = 1 / (view.zoom * step)
    matrix = np.zeros((2, 3))
    window = []
    for axis, (place, size) in enumerate(((view.x, width), (view.y, height))):
        length = pixels.shape[1 - axis]
        first = (corner[axis] - place + 0.5) * scale - 0.5
        # OpenCV takes no more than 32767 px a side, and is more exact near 0.
        start = min(max(math.floor(first) - 1, 0), length - 1)
        stop = min(max(math.ceil(first + size * scale) + 2, start + 1), length)
        window.append(slice(start, stop))
        matrix[axis, axis], matrix[axis, 2] = scale, first - start
    part = pixels[window[1], window[0]]
    left, top = (round(first) for first in matrix[:, 2])
    inside = 0 <= top <= part.shape[0] - height and 0 <= left <= part.shape[1] - width
    if scale == 1 and inside:
        # Pixel on pixel: there is nothing to blend, as the view's place is whole.
        seen = np.ascontiguousarray(part[top : top + height, left : left + width])
    else:
        seen = cv2.warpAffine(
            np.ascontiguousarray(part),
            matrix,
            (width, height),
            flags=(cv2.INTER_NEAREST if crisp else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    if cv2.extractChannel(seen, 3).min() < 255:
        seen = cv2.cvtColor(seen, cv2.COLOR_mRGBA2RGBA)
    np.multiply(seen, np.float32(1 / 255), out=out)
