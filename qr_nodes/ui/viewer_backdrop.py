"""A picture of the user's behind a cut-out: read in a thread, drawn by the graphics card.

It covers the viewed picture's frame, as the Background node's does, and moves along with it.
State: its file, its texture, and what waits for a message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.errors import QrNodesError
from qr_nodes.imaging.backdrop import composite_onto, to_dtype
from qr_nodes.imaging.image_io import read_image
from qr_nodes.imaging.resample import shrink
from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_tiles import Area
from qr_nodes.ui.viewer_worker import Worker

LARGEST = 1400
"""Longer side of the texture, px: sharp enough behind something, and there within a moment."""

PAPER = 255
"""Grey behind a backdrop that is itself transparent."""


@dataclass(frozen=True, eq=False)
class _File:
    """A wish for the thread, which calls `make`."""

    path: str

    def make(self, number: int, checkpoint: Callable[[], None]) -> np.ndarray | QrNodesError:
        """Give (h, w, 3) uint8, or why there is none."""
        try:
            picture = read_image(self.path, name=Path(self.path).name)
        except QrNodesError as error:
            return error
        checkpoint()
        small = shrink(picture, min(1.0, LARGEST / max(picture.shape)))
        color = to_dtype(small.color, np.dtype(np.uint8))
        paper = np.full_like(color, PAPER)
        composite_onto(paper, color, small.alpha)
        return paper


class Backdrop:
    """The picture and its places in the panel.

    Parameters
    ----------
    app : App
        Whose loop, and where messages go.
    parents : draw nodes
        Where it is drawn, one for each side of a split.
    changed : callable
        Called when there is another picture, or none any more.

    Attributes
    ----------
    path : its file, or ""
    pixels : (h, w, 3) uint8, or None while there are none
    """

    def __init__(self, app, parents: list[int | str], changed: Callable[[], None]):
        self._app, self._changed = app, changed
        self.path = ""
        self.pixels: np.ndarray | None = None
        self._texture: int | str = 0
        self._wanted: _File | None = None
        self._sampler: tuple | None = None
        self._registry = dpg.add_texture_registry()
        blank = dpg.add_static_texture(1, 1, [0.0] * 4, parent=self._registry)
        self._images = [
            dpg.draw_image(blank, (0, 0), (1, 1), parent=parent, show=False) for parent in parents
        ]
        self._worker = Worker(app.loop.post, self._made)

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    def use(self, path: str) -> None:
        """Read a file and use it from then on; the one before stays until it is there."""
        self.path, self._wanted = path, _File(path)
        self._worker.ask(self._wanted, 0)

    def lay(self, side: int, view: View, size: tuple[int, int], area: Area | None) -> None:
        """Draw it in an area of the panel, on a side; nowhere for None.

        `size` is the viewed picture's (w, h), in full.
        """
        image = self._images[side]
        if area is None or self.pixels is None or area[0] >= area[2] or area[1] >= area[3]:
            dpg.hide_item(image)
            return
        ends = [self.at(view, size, area[corner], area[corner + 1]) for corner in (0, 2)]
        dpg.configure_item(
            image, pmin=area[:2], pmax=area[2:], uv_min=ends[0], uv_max=ends[1], show=True
        )

    def at(self, view: View, size: tuple[int, int], x: float, y: float) -> tuple[float, float]:
        """Give what of it lies at a place of the panel, as shares of its width and height."""
        height, width = self.pixels.shape[:2]
        cover = max(size[0] / width, size[1] / height)
        place = view.to_picture(x, y)
        return tuple(
            0.5 + (at - whole / 2) / (side * cover)
            for at, whole, side in zip(place, size, (width, height), strict=True)
        )

    def colors_at(self, size: tuple[int, int]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Give a function of places in a picture of a size (w, h): the colours behind them.

        The same function for the same picture behind the same size.
        """
        if self._sampler is None or self._sampler[:2] != (id(self.pixels), size):
            self._sampler = (id(self.pixels), size, partial(_sampled, self.pixels, size))
        return self._sampler[2]

    def _made(self, file: _File, number: int, made: np.ndarray | QrNodesError) -> None:
        if file is not self._wanted:
            return
        if isinstance(made, QrNodesError):
            self.path, self.pixels = "", None
            self._app.say(str(made), "error")
        else:
            height, width = made.shape[:2]
            pixels = np.ones((height, width, 4), np.float32)
            np.multiply(made, np.float32(1 / 255), out=pixels[..., :3])
            old, self.pixels = self._texture, made
            self._texture = dpg.add_static_texture(
                width, height, pixels.ravel(), parent=self._registry
            )
            for image in self._images:
                dpg.configure_item(image, texture_tag=self._texture)
            if old:
                dpg.delete_item(old)
        self._changed()


def _sampled(pixels: np.ndarray, size: tuple[int, int], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give (…, 3) float32 in [0, 1]: what lies behind places of a picture of `size` (w, h)."""
    height, width = pixels.shape[:2]
    cover = max(size[0] / width, size[1] / height)
    column = np.clip((x - size[0] / 2) / cover + width / 2, 0, width - 1).astype(int)
    row = np.clip((y - size[1] / 2) / cover + height / 2, 0, height - 1).astype(int)
    return pixels[row, column] * np.float32(1 / 255)
