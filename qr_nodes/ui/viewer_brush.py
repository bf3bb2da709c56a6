"""Painting in the viewer: the ring at the cursor, the stroke while it is drawn, and its end.

The brush is armed while a Brush Edit node is selected. State: the gesture under way, the stroke
that waits to be seen in the picture, and how large each node's output is.
"""

from __future__ import annotations

import math
import time
from functools import partial

import dearpygui.dearpygui as dpg

from qr_nodes.engine import Event
from qr_nodes.graph import Node
from qr_nodes.types import Stroke
from qr_nodes.ui import theme
from qr_nodes.ui.brush import (
    OTHER,
    Extent,
    Gesture,
    Point,
    added,
    brushed,
    fraction,
    on_screen,
    simplified,
    unfolded,
)
from qr_nodes.ui.commands import modifiers_down
from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_worker import Picture

COLORS = {"paint": theme.GOOD, "erase": theme.BAD}
BUTTONS = (dpg.mvMouseButton_Left, dpg.mvMouseButton_Right)

LINGER = 3.0
"""Seconds that a stroke stays drawn over the picture if the picture does not come to show it."""


class Painter:
    """Turns the mouse over the picture into strokes of the selected node."""

    def __init__(self, app, parent: int | str):
        self._app = app
        self._picture: Picture | None = None
        self._view = View()
        self._gesture: Gesture | None = None
        self._late: tuple[Picture, float] | None = None
        self._extents: dict[str, Extent] = {}
        self._told = ""
        self._trail = dpg.add_draw_node(parent=parent)
        ring = partial(dpg.draw_circle, (0, 0), 1, parent=parent, show=False, segments=64)
        self._shades = [ring(color=(0, 0, 0, 150), thickness=3) for _ in range(2)]
        self._rings = [ring(thickness=1.5) for _ in range(2)]

    # ---- what the viewer calls -------------------------------------------------------------

    def event(self, event: Event) -> None:
        """Take note of how large a node's output is."""
        value = next(iter(event.outputs.values()), None) if event.outputs else None
        if hasattr(value, "shape"):
            self._extents[event.node] = Extent(tuple(value.shape[:2]), event.scale)
        elif event.kind in ("failed", "blocked"):
            self._extents.pop(event.node, None)

    def frame(self, picture: Picture | None, view: View, mouse: Point | None) -> None:
        """Draw the brush; `mouse` is None where it is none of the picture's business."""
        moved = (picture, view) != (self._picture, self._view)
        self._picture, self._view = picture, view
        armed = self._node() is not None and picture is not None
        hindered = self._hindrance() if armed else ""
        if hindered != self._told:
            self._told = hindered
            if hindered:
                self._app.say(hindered)
        self._ring(mouse if armed and not hindered else None)
        if self._gesture and (not armed or self._app.modal):
            self.give_up()
        elif self._gesture and moved:
            self._draw()
        if self._late:
            shown, until = self._late
            if picture is not shown or moved or time.monotonic() > until:
                self._late = None
                dpg.delete_item(self._trail, children_only=True)

    def press(self, button: int, mouse: Point) -> bool:
        """Begin a stroke; say whether the button is the brush's."""
        node = self._node()
        if node is None or self._picture is None or button not in BUTTONS:
            return False
        if self._gesture:  # the other button is for nothing meanwhile
            return True
        if hindered := self._hindrance() or self._unready():
            self._app.say(hindered)
            return False
        mode = self._app.brush.mode
        self._gesture = Gesture(button, mode if button == BUTTONS[0] else OTHER[mode])
        strokes = node.params["strokes"]
        if strokes and "Shift" in modifiers_down():
            self._gesture.add(strokes[-1].points[-1])
        self.move(mouse)
        return True

    def move(self, mouse: Point) -> None:
        """Go on with the stroke."""
        if self._gesture is None or self._picture is None:
            return
        if self._gesture.add(fraction(self._view, self._picture.size, mouse)):
            self._draw()

    def release(self, button: int, mouse: Point) -> None:
        """End the stroke: it becomes the node's."""
        if self._gesture is None or button != self._gesture.button:
            return
        self.move(mouse)
        gesture, self._gesture = self._gesture, None
        if self._node() is None or self._picture is None:
            self._clear()
            return
        self._late = (self._picture, time.monotonic() + LINGER)
        stroke = gesture.stroke(self._app.brush, self._picture.size, self._view.zoom)
        self._keep(stroke)

    def give_up(self) -> bool:
        """Forget the stroke under way; say whether there was one."""
        under_way, self._gesture = self._gesture is not None, None
        if under_way:
            self._clear()
        return under_way

    def wheel(self, steps: float) -> bool:
        """Change the brush's size if Ctrl is held; say whether that is what was meant."""
        meant = self._node() is not None and "Ctrl" in modifiers_down()
        if meant:
            self._app.brush.resize(steps)
        return meant

    # ---- the node --------------------------------------------------------------------------

    def _node(self) -> Node | None:
        document = self._app.document
        return brushed(document.graph, document.selected)

    def _keep(self, stroke: Stroke) -> None:
        document = self._app.document
        graph = self._app.attempt(added, document.graph, document.selected, stroke)
        if graph is not None:
            self._app.edit(graph, stroke.mode.capitalize())

    def _hindrance(self) -> str:
        """Say why the brush cannot paint on what is viewed, or ""."""
        document, picture = self._app.document, self._picture
        node, extent = self._node(), self._extents.get(document.selected)
        name = _name(node)
        if node.bypass:
            return f"The brush rests while {name} is bypassed."
        if extent is None or extent.matches(Extent(picture.value.shape[:2], picture.scale)):
            return ""
        return f"The brush paints only while {picture.title} has the size of {name}."

    def _unready(self) -> str:
        """Say that the node has nothing to paint on yet, or ""."""
        if self._app.document.selected in self._extents:
            return ""
        return f"{_name(self._node())} has no picture yet to paint on."

    # ---- drawing ---------------------------------------------------------------------------

    def _ring(self, mouse: Point | None) -> None:
        brush, circles = self._app.brush, [*self._shades, *self._rings]
        if mouse is None:
            for circle in circles:
                dpg.hide_item(circle)
            return
        outer = max(brush.radius(self._picture.size, self._view.zoom), 1.0)
        color = COLORS[self._gesture.mode if self._gesture else brush.mode]
        for pair in (self._shades, self._rings):
            for circle, radius in zip(pair, (outer, outer * brush.hardness), strict=True):
                inner = circle in (self._shades[1], self._rings[1])
                show = not inner or 2 <= radius < outer - 2
                dpg.configure_item(circle, center=mouse, radius=radius, show=show)
        for circle, strength in zip(self._rings, (255, 150), strict=True):
            dpg.configure_item(circle, color=(*color, strength))

    def _draw(self) -> None:
        """Draw the stroke under way."""
        self._clear()
        size, view = self._picture.size, self._view
        points = simplified(self._gesture.points, (size[0] * view.zoom, size[1] * view.zoom))
        path = [on_screen(view, size, point) for point in points]
        radius = max(self._app.brush.radius(size, view.zoom), 0.5)
        color = (*COLORS[self._gesture.mode], 128)
        look = {"color": (0, 0, 0, 0), "fill": color, "thickness": 0, "parent": self._trail}
        if len(path) == 1:
            dpg.draw_circle(path[0], radius, segments=64, **look)
            return
        dpg.draw_polygon(_cap(path[0], path[1], radius), **look)
        for piece in unfolded(path):
            dpg.draw_polyline(piece, color=color, thickness=radius * 2, parent=self._trail)
            dpg.draw_polygon(_cap(piece[-1], piece[-2], radius), **look)

    def _clear(self) -> None:
        self._late = None
        dpg.delete_item(self._trail, children_only=True)


def _name(node: Node) -> str:
    return node.title or node.spec.title


def _cap(end: Point, before: Point, radius: float) -> list[Point]:
    """Give the half disk that rounds the end of a line."""
    ahead = math.atan2(end[1] - before[1], end[0] - before[0])
    turns = (ahead + math.pi * (step / 24 - 0.5) for step in range(25))
    return [(end[0] + radius * math.cos(a), end[1] + radius * math.sin(a)) for a in turns]
