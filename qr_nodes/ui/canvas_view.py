"""Zoom, pan and fit as arithmetic: the node editor has no zoom, so the canvas places by hand.

A node's place in the graph is in px at 100 %. Its place in the editor is `offset + zoom * place`;
the editor adds its own pan, by the middle mouse button, which only it knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

STEPS = (0.25, 0.35, 0.5, 0.7, 0.85, 1.0, 1.25, 1.6, 2.0)
"""Zooms there are: fonts and themes are made once for each."""

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""x, y, width, height."""


@dataclass(frozen=True)
class View:
    """Where the graph's px lie in the editor.

    Attributes
    ----------
    zoom : one of `STEPS`
    offset : editor coordinates of the graph's origin, px
    """

    zoom: float = 1.0
    offset: Point = (0.0, 0.0)

    def place(self, point: Point) -> Point:
        """Give the editor coordinates of a point of the graph, in whole px."""
        x, y = (o + self.zoom * p for o, p in zip(self.offset, point, strict=True))
        return float(round(x)), float(round(y))

    def model(self, place: Point) -> Point:
        """Give the point of the graph at editor coordinates, to a tenth of a px."""
        x, y = ((p - o) / self.zoom for o, p in zip(self.offset, place, strict=True))
        return round(x, 1), round(y, 1)

    def zoomed(self, zoom: float, at: Point) -> View:
        """Give the view at another zoom that leaves editor coordinates `at` where they are."""
        ratio = zoom / self.zoom
        x, y = (a - (a - o) * ratio for a, o in zip(at, self.offset, strict=True))
        return View(zoom, (x, y))

    def stepped(self, steps: int, at: Point) -> View:
        """Give the view some steps closer, or further away."""
        index = min(max(STEPS.index(self.zoom) + steps, 0), len(STEPS) - 1)
        return self.zoomed(STEPS[index], at)


def fitted(boxes: Iterable[Box], area: Box, limit: float = 1.0, margin: float = 24.0) -> View:
    """Give the view that centres all `boxes` in an area of the editor.

    The zoom is the largest step up to `limit` at which they fit, or the smallest there is.
    """
    box = around(boxes)
    if box is None:
        return View(1.0, (area[0] + margin, area[1] + margin))
    x, y, width, height = box
    room = min((area[2] - 2 * margin) / max(width, 1), (area[3] - 2 * margin) / max(height, 1))
    zoom = max((step for step in STEPS if step <= min(room, limit)), default=STEPS[0])
    left = area[0] + (area[2] - zoom * width) / 2 - zoom * x
    top = area[1] + (area[3] - zoom * height) / 2 - zoom * y
    return View(zoom, (left, top))


def around(boxes: Iterable[Box], margin: float = 0.0) -> Box | None:
    """Give the box around all `boxes`, or None if there are none."""
    sides = [(x, y, x + width, y + height) for x, y, width, height in boxes]
    if not sides:
        return None
    left, top = (min(side[axis] for side in sides) - margin for axis in (0, 1))
    right, bottom = (max(side[axis] for side in sides) + margin for axis in (2, 3))
    return left, top, right - left, bottom - top


def crosses(start: Point, end: Point, box: Box) -> bool:
    """Say whether the curve of a link from `start` to `end` passes through a box."""
    # The curve of the node editor: handles a quarter of the length long, level at both ends.
    reach = 0.25 * ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    for step in range(41):
        t = step / 40
        a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
        x = a * start[0] + b * (start[0] + reach) + c * (end[0] - reach) + d * end[0]
        y = (a + b) * start[1] + (c + d) * end[1]
        if 0 <= x - box[0] <= box[2] and 0 <= y - box[1] <= box[3]:
            return True
    return False
