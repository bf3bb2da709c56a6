"""The line under the caption: where the mouse is in the picture, and what the pixel there holds.

State: what is shown, so that a mouse at rest costs nothing.
"""

from __future__ import annotations

import math

import dearpygui.dearpygui as dpg

from qr_nodes.ui import theme
from qr_nodes.ui.viewer_probe import NOTHING, channels, opacity, pixel, place
from qr_nodes.ui.viewer_worker import Picture

NAMES = ("x", "y", "R", "G", "B", "Alpha")

COLUMN = 66
"""Px from one figure to the next: room for "R 65535"."""


class Readout:
    """Shows what is under the mouse; `text` says the same in one line."""

    def __init__(self, parent: int | str):
        self._shown: tuple | None = None
        self._texts: list[int | str] = []
        with dpg.group(horizontal=True, parent=parent, xoffset=COLUMN):
            for _ in NAMES:
                self._texts.append(dpg.add_text(""))
        for text in self._texts:
            dpg.bind_item_theme(text, theme.text(theme.FAINT))
        self.show(None, 0, 0)

    @property
    def text(self) -> str:
        """What is shown."""
        return "  ".join(dpg.get_value(text) for text in self._texts)

    def show(self, picture: Picture | None, x: float, y: float) -> None:
        """Show a place of the picture, in px of its full size; outside or None shows dashes."""
        at = picture and place(picture.value.shape[:2], picture.size, x, y)
        where = (math.floor(x), math.floor(y)) if at else None
        shown = (picture.value if at else None, where)
        if self._shown is not None and shown[0] is self._shown[0] and where == self._shown[1]:
            return
        self._shown = shown
        figures = [NOTHING] * len(NAMES)
        if at:
            color, alpha = pixel(picture.value, *at)
            percent, byte = opacity(alpha)
            figures = [*map(str, where), *channels(color), f"{percent}   {byte}"]
        for item, name, figure in zip(self._texts, NAMES, figures, strict=True):
            dpg.set_value(item, f"{name} {figure}")
