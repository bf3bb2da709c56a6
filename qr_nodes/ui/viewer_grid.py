"""The lines between pixels at high zoom.

State: what they were last drawn for.
"""

from __future__ import annotations

import math

import dearpygui.dearpygui as dpg

from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_tiles import Area

FROM = 8.0
"""Zoom from which on there are lines."""

STRENGTH = (60, 130)
"""Opacity of the lines, of 255, at `FROM` and at four times that."""

COLOR = (128, 128, 128)
"""Seen on black and on white."""


def crossings(start: int, zoom: float, low: int, high: int) -> list[float]:
    """Give where pixels of a picture begin on the screen, between `low` and `high`.

    `start` is where the picture begins. Each is the middle of the first screen px that shows
    the picture's pixel, so that a line of 1 px is crisp.
    """
    first = max(1, math.floor((low - start) / zoom))
    found = []
    for number in range(first, math.ceil((high - start) / zoom) + 1):
        # The screen px whose middle is the first one right of the border.
        at = math.ceil(start + number * zoom - 0.5)
        if low < at < high:
            found.append(at + 0.5)
    return found


class Grid:
    """Draws two lines that run to and fro, so that hundreds of lines cost two items."""

    def __init__(self, parent: int | str):
        self._lines = [
            dpg.draw_polyline([(0, 0), (0, 0)], parent=parent, show=False, thickness=1)
            for _ in range(2)
        ]
        self._drawn: tuple | None = None

    def show(self, view: View, area: Area | None) -> None:
        """Draw over an area of the panel, or nowhere for None or where pixels are too small."""
        drawn = (view, area) if area and view.zoom >= FROM and area[0] < area[2] else None
        if drawn == self._drawn:
            return
        self._drawn = drawn
        if drawn is None:
            for line in self._lines:
                dpg.hide_item(line)
            return
        share = min(math.log2(view.zoom / FROM) / 2, 1.0)
        color = (*COLOR, round(STRENGTH[0] + share * (STRENGTH[1] - STRENGTH[0])))
        left, top, right, bottom = area
        columns = crossings(view.x, view.zoom, left, right)
        rows = crossings(view.y, view.zoom, top, bottom)
        upright = _zigzag(columns, top, bottom)
        level = [(x, y) for y, x in _zigzag(rows, left, right)]
        for line, points in zip(self._lines, (upright, level), strict=True):
            dpg.configure_item(line, points=points, color=color, show=len(points) > 1)


def _zigzag(places: list[float], start: int, end: int) -> list[tuple[float, float]]:
    """Give a path along each of `places` from `start` to `end` or back.

    From one place to the next it goes along the area's border.
    """
    path = []
    for number, at in enumerate(places):
        ends = (start, end) if number % 2 == 0 else (end, start)
        path += [(at, ends[0]), (at, ends[1])]
    return path
