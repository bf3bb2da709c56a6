"""The line between the two sides of a split, with a handle and what lies on either side.

State: what is drawn, and where A's name can be clicked on.
"""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from qr_nodes.ui import theme
from qr_nodes.ui.viewer_tiles import Area

GRIP = 7
"""Screen px beside the line within which it can be taken hold of."""

HANDLE = 12
"""Radius of the handle, screen px."""

GAP, PAD, TALL = 8, 8, 24
"""Px from the line to a name, from a name to its border, and a name's height."""


class Line:
    """Draws what a split needs on top of the picture."""

    def __init__(self, parent: int | str):
        self._node = dpg.add_draw_node(parent=parent)
        self._drawn: tuple | None = None
        self._name: Area | None = None

    def hide(self) -> None:
        """Draw nothing."""
        self._draw(None)

    def show(self, x: int, panel: tuple[int, int], names: tuple[str, str], hot: bool) -> None:
        """Draw the line at `x` through the panel, with the names of A and B at its top."""
        self._draw((x, panel, names, hot))

    def tell(self, panel: tuple[int, int], name: str) -> None:
        """Draw but a name, at the top of the panel."""
        self._draw((None, panel, (name, ""), False))

    def on_name(self, place: tuple[float, float]) -> bool:
        """Say whether a place of the panel is A's name."""
        if self._name is None:
            return False
        left, top, right, bottom = self._name
        return left <= place[0] <= right and top <= place[1] <= bottom

    def _draw(self, what: tuple | None) -> None:
        if what == self._drawn:
            return
        self._drawn, self._name = what, None
        dpg.delete_item(self._node, children_only=True)
        if what is None:
            return
        x, (width, bottom), (a, b), hot = what
        if x is None:
            self._pill((width - _width(a)) / 2 - PAD, GAP, a, theme.ACCENT)
            return
        color = theme.ACCENT if hot else (255, 255, 255)
        middle = bottom / 2
        for thickness, shade in ((4, (0, 0, 0, 110)), (2 if hot else 1.5, (*color, 255))):
            ends = (x, 0), (x, bottom)
            dpg.draw_line(*ends, color=shade, thickness=thickness, parent=self._node)
        dpg.draw_circle(
            (x, middle), HANDLE, color=(*color, 255), fill=(*theme.BACKGROUND, 235),
            thickness=1.5, segments=32, parent=self._node,
        )  # fmt: skip
        for side in (-1, 1):
            points = [
                (x + side * 8, middle),
                (x + side * 3, middle - 4),
                (x + side * 3, middle + 4),
            ]
            dpg.draw_triangle(
                *points, color=(*color, 255), fill=(*color, 255), thickness=1, parent=self._node
            )
        start = x - GAP - _width(a) - 2 * PAD
        self._pill(start, GAP, a, theme.TEXT)
        self._name = (round(start), GAP, x - GAP, GAP + TALL)
        self._pill(x + GAP, GAP, b, theme.TEXT)

    def _pill(self, left: float, top: float, text: str, color: tuple[int, int, int]) -> None:
        ends = (left, top), (left + _width(text) + 2 * PAD, top + TALL)
        dpg.draw_rectangle(
            *ends, color=(*theme.FIELD, 255), fill=(*theme.BACKGROUND, 225), rounding=5,
            thickness=1, parent=self._node,
        )  # fmt: skip
        place = (left + PAD, top + (TALL - theme.FONT_SIZE) / 2 - 1)
        dpg.draw_text(place, text, size=theme.FONT_SIZE, color=color, parent=self._node)


def _width(text: str) -> float:
    measured = dpg.get_text_size(text)
    return measured[0] if measured else len(text) * theme.FONT_SIZE * 0.5
