"""Small pictures of files, made by a thread, and held as textures in a bounded number.

State: the textures by what they show, the least recently shown first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import dearpygui.dearpygui as dpg

from qr_nodes.imaging.image_io import measure_image, read_image
from qr_nodes.ui.canvas_node import blank, thumbnail
from qr_nodes.ui.errands import Errands

SIZE = (144, 108)
"""Width and height of a thumbnail, px."""
MOST = 160
"""Textures held at most: about three screens full, 10 MB."""

Key = tuple[str, int]
"""A file, and a number that changes with its content."""


def small(path: str) -> list[float] | None:
    """Give a picture over checkerboard as the values of a texture of `SIZE`; None if unreadable.

    A JPEG is decoded at a fraction of its size. What is transparent is not averaged by its alpha
    at full size, which costs more than to decode it: a few points of each spot are enough.
    """
    try:
        scale = 1.0
        if path.lower().endswith((".jpg", ".jpeg")):
            width, height, _ = measure_image(path)
            scale = min(1.0, max(SIZE[0] / max(width, 1), SIZE[1] / max(height, 1)))
        return thumbnail(read_image(path, scale=scale), SIZE)
    except Exception:  # gone again, or being replaced; there is a picture or there is none
        return None


class Thumbs:
    """The thumbnails of one window.

    Parameters
    ----------
    app : App
        Its loop takes what the thread has made.
    fresh : callable
        Called by the loop when there is one more.
    make : callable
        Gives the values of a file's texture, or None.
    most : int
        Textures to hold, unless more are on the screen at once.
    """

    def __init__(
        self,
        app,
        fresh: Callable[[], None],
        make: Callable[[str], list[float] | None] = small,
        most: int = MOST,
    ):
        self._app, self._fresh, self._make, self._most = app, fresh, make, most
        self._registry = dpg.add_texture_registry()
        self.blank = dpg.add_static_texture(*SIZE, blank(SIZE), parent=self._registry)
        self.textures: OrderedDict[Key, int | str] = OrderedDict()
        self._shown = 0
        self._errands = Errands("qr-nodes thumbnails", self._work)
        self.close = self._errands.close

    def show(self, keys: Sequence[Key]) -> dict[Key, int | str]:
        """Say what is on the screen now; give the textures there are, and make the others.

        What was wanted before and is not among them is not made.
        """
        for key in keys:
            if key in self.textures:
                self.textures.move_to_end(key)
        self._shown = len(keys)
        self._errands.ask(key for key in keys if key not in self.textures)
        return {key: self.textures[key] for key in keys if key in self.textures}

    def _work(self, key: Key) -> None:
        self._app.loop.post(self._made, key, self._make(key[0]))

    def _made(self, key: Key, values: list[float] | None) -> None:
        if key in self.textures:
            return
        made = self.blank
        if values is not None:
            made = dpg.add_static_texture(*SIZE, values, parent=self._registry)
        self.textures[key] = made
        self._fresh()

    def trim(self) -> None:
        """Let the textures go that have not been on the screen for longest.

        Called when what is on the screen has been drawn anew, and shows none of them.
        """
        while len(self.textures) > max(self._most, self._shown):
            _, texture = self.textures.popitem(last=False)
            if texture != self.blank:
                dpg.delete_item(texture)
