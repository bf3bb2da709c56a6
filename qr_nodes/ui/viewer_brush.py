"""Painting in the viewer: the ring at the cursor, the stroke while it is drawn, and its end.

The brush is armed while a Brush Edit node is selected. While the button is down the stroke is in
the graph already, all of it one step of undo, and the picture follows. Where it cannot follow at
once, since a node that works on the whole picture lies behind, the stroke is drawn over the
picture and reaches the graph at its end.

State: the gesture under way and what it began from, the stroke that waits to be seen in the
picture, and how large each node's output is.
"""

from __future__ import annotations

import math
import time
from functools import partial
from typing import NamedTuple

import dearpygui.dearpygui as dpg

from qr_nodes.engine import Event
from qr_nodes.graph import Graph, Node
from qr_nodes.types import Stroke
from qr_nodes.ui import theme
from qr_nodes.ui.brush import (
    OTHER,
    SIZES,
    Extent,
    Gesture,
    Point,
    brushed,
    fraction,
    on_screen,
    unfolded,
)
from qr_nodes.ui.canvas_edits import refined
from qr_nodes.ui.commands import modifiers_down
from qr_nodes.ui.modal import ask
from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_worker import Picture

COLORS = {"paint": theme.GOOD, "erase": theme.BAD, "refine": theme.ACCENT}
BUTTONS = (dpg.mvMouseButton_Left, dpg.mvMouseButton_Right)

LINGER = 3.0
"""Seconds that a stroke stays drawn over the picture if the picture does not come to show it."""

HARDNESS = 200.0
"""Screen px up or down that take the brush from soft to hard while Ctrl is held."""


class Sizing(NamedTuple):
    """A drag that changes the brush: where it began, and the brush's size and hardness then."""

    mouse: Point
    size: float
    hardness: float


class Painter:
    """Turns the mouse over the picture into strokes of the selected node."""

    def __init__(self, app, parent: int | str):
        self._app = app
        self._picture: Picture | None = None
        self._view = View()
        self._gesture: Gesture | None = None
        self._sizing: Sizing | None = None
        self._node_id, self._strokes = "", ()
        self._live: Graph | None = None
        self._late: tuple[Picture, float] | None = None
        self._extents: dict[str, Extent] = {}
        self._marked: tuple = ()
        self._told = ""
        self._marks = dpg.add_draw_node(parent=parent)
        self._trail = dpg.add_draw_node(parent=parent)
        ring = partial(dpg.draw_circle, (0, 0), 1, parent=parent, show=False, segments=64)
        self._shades = [ring(color=(0, 0, 0, 150), thickness=3) for _ in range(2)]
        self._rings = [ring(thickness=1.5) for _ in range(2)]
        white = (255, 255, 255, 160)
        self._string = dpg.draw_line((0, 0), (0, 0), color=white, parent=parent, show=False)

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
            # Its own picture has another size only until the newest one is shown.
            own = armed and picture.title == _name(self._node()) and not self._node().bypass
            if hindered and not own:
                self._app.say(hindered)
        self._ring(mouse if armed and not hindered else None)
        self._mark(armed and not hindered)
        if (self._gesture or self._sizing) and (not armed or self._app.modal):
            self.give_up()
        elif self._gesture and moved and self._live is None:
            self._draw()
        if self._late:
            shown, until = self._late
            if picture is not shown or moved or time.monotonic() > until:
                self._clear()

    def press(self, button: int, mouse: Point) -> bool:
        """Begin a stroke; say whether the button is the brush's."""
        node = self._node()
        if node is None or self._picture is None or button not in BUTTONS:
            return False
        if self._gesture or self._sizing:  # the other button is for nothing meanwhile
            return True
        brush, modifiers = self._app.brush, modifiers_down()
        if "Ctrl" in modifiers:
            self._sizing = Sizing(mouse, brush.size, brush.hardness)
            return True
        if hindered := self._hindrance() or self._unready():
            self._app.say(hindered)
            return False
        mode = brush.mode if button == BUTTONS[0] else OTHER[brush.mode]
        self._clear()
        self._gesture = Gesture(button, mode, brush.smoothing)
        self._node_id, self._strokes = self._app.document.selected, node.params["strokes"]
        self._live = self._followed(mode)
        if self._strokes and "Shift" in modifiers:
            self._gesture.start(self._strokes[-1].points[-1])
        self.move(mouse)
        return True

    def move(self, mouse: Point) -> None:
        """Go on with the stroke."""
        if self._sizing:
            self._resize(mouse)
        if self._gesture is None or self._picture is None:
            return
        size, zoom = self._picture.size, self._view.zoom
        scale = size[0] * zoom, size[1] * zoom
        if not self._gesture.add(fraction(self._view, size, mouse), scale):
            return
        if self._live is None:
            self._draw()
        elif self._app.document.graph is not self._live:
            self._gesture = None  # undone, or edited otherwise, with the button down
        else:
            self._live = self._painted()
            self._app.document.edit(self._live, self._name, drag=self._gesture)

    def release(self, button: int, mouse: Point) -> None:
        """End the stroke: it becomes the node's."""
        self._sizing = None
        if self._gesture is None or button != self._gesture.button:
            return
        self.move(mouse)
        if self._gesture is None:
            return
        if self._node() is None or self._picture is None:
            self.give_up()
            return
        graph, gesture = self._painted(), self._gesture
        if self._live is None:
            self._late = (self._picture, time.monotonic() + LINGER)
        self._gesture = None
        if graph is not None:
            self._app.edit(graph, gesture.mode.capitalize(), gesture)
            if gesture.mode == "refine" and "unsure" not in graph.leading(self._node_id):
                self._offer(graph.nodes[self._node_id])

    def give_up(self) -> bool:
        """Forget the stroke under way; say whether there was one."""
        gesture, self._gesture = self._gesture, None
        sizing, self._sizing = self._sizing, None
        if sizing:
            self._app.brush.size, self._app.brush.hardness = sizing.size, sizing.hardness
        if gesture:
            self._clear()
            if self._live is not None and self._app.document.graph is self._live:
                self._app.document.retract(gesture)
                self._app.sync()
        return bool(gesture or sizing)

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

    @property
    def _name(self) -> str:
        """What undoing the stroke is called."""
        return self._gesture.mode.capitalize()

    def _painted(self) -> Graph | None:
        """Give the graph with the stroke as it is now."""
        strokes = (*self._strokes, self._gesture.stroke(self._app.brush))
        graph = self._app.document.graph
        return self._app.attempt(graph.set_param, self._node_id, "strokes", strokes)

    def _followed(self, mode: str) -> Graph | None:
        """Give the graph to paint into while the button is down, if the picture can follow."""
        graph = self._app.document.graph
        if mode == "refine":  # nothing of it is to be seen in the matte
            return None
        tried = graph.set_param(self._node_id, "strokes", (*self._strokes, Stroke(((0.5, 0.5),))))
        return graph if self._app.document.quick(tried) else None

    def _offer(self, node: Node) -> None:
        """Say that marks of the refine brush lead nowhere, and ask once whether they shall."""
        if any(stroke.mode == "refine" for stroke in self._strokes):
            self._app.say(f"Marked. The output 'unsure' of {_name(node)} leads nowhere.")
            return
        text = (
            "The refine brush marks where the edge is unsure; a Refine Edges finds it anew there. "
            f"So far nothing takes what is marked: the output 'unsure' of {_name(node)} leads "
            "nowhere."
        )
        link = partial(self._refine, self._node_id)
        ask(self._app, "Find the edge anew where you mark it?", text, {"Link a Refine Edges": link})

    def _refine(self, id: str) -> None:
        """Have a Refine Edges act on what is marked, and show what it gives."""
        before = self._app.document.graph
        if brushed(before, id) is None:
            return
        graph, refining = refined(before, id)
        there, name = refining in before.nodes, _name(graph.nodes[refining])
        what = f"{'Link' if there else 'Add'} {name}"
        self._app.edit(graph, what)
        if self._app.viewed == id:
            self._app.view(refining)
        where = "takes the marks as well" if there else "follows the brush, and acts on the marks"
        self._app.say(f"{name} now {where}.")

    def _resize(self, mouse: Point) -> None:
        """Change size and hardness by how far the mouse is from where it was pressed."""
        brush, (start, size, hardness) = self._app.brush, self._sizing
        wider = 2 * (mouse[0] - start[0]) / (max(self._picture.size) * self._view.zoom)
        brush.size = float(f"{min(max(size + wider, SIZES[0]), SIZES[1]):.3g}")
        harder = (start[1] - mouse[1]) / HARDNESS
        brush.hardness = round(min(max(hardness + harder, 0), 1), 2)

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
        """Draw size and hardness where the brush is, and the string that it is pulled by."""
        brush, gesture = self._app.brush, self._gesture
        if mouse is None and not self._sizing:
            for item in (*self._shades, *self._rings, self._string):
                dpg.hide_item(item)
            return
        tip = self._sizing.mouse if self._sizing else mouse
        pulled = gesture is not None and gesture.smoothing > 0 and bool(gesture.points)
        if pulled:
            tip = on_screen(self._view, self._picture.size, gesture.points[-1])
            dpg.configure_item(self._string, p1=tip, p2=mouse)
        dpg.configure_item(self._string, show=pulled)
        outer = max(brush.radius(self._picture.size, self._view.zoom), 1.0)
        color = COLORS[gesture.mode if gesture else brush.mode]
        for pair in (self._shades, self._rings):
            for circle, radius in zip(pair, (outer, outer * brush.hardness), strict=True):
                inner = circle in (self._shades[1], self._rings[1])
                show = not inner or 2 <= radius < outer - 2
                dpg.configure_item(circle, center=tip, radius=radius, show=show)
        for circle, strength in zip(self._rings, (255, 150), strict=True):
            dpg.configure_item(circle, color=(*color, strength))

    def _mark(self, armed: bool) -> None:
        """Show what is marked as unsure while the refine brush is in hand."""
        node = self._node() if armed and self._app.brush.mode == "refine" else None
        strokes = node.params["strokes"] if node else ()
        marked = (strokes, self._view, self._picture and self._picture.size)
        if marked == self._marked:
            return
        self._marked = marked
        dpg.delete_item(self._marks, children_only=True)
        for stroke in strokes:
            if stroke.mode == "refine" and not stroke.hidden:
                self._line(stroke.points, stroke.size, "refine", self._marks)

    def _draw(self) -> None:
        """Draw the stroke under way."""
        self._clear()
        self._line(self._gesture.points, self._app.brush.size, self._gesture.mode, self._trail)

    def _line(self, points, brush_size: float, mode: str, parent: int | str) -> None:
        """Draw a stroke's path as wide as the brush, in the colour of what it does."""
        size, view = self._picture.size, self._view
        path = [on_screen(view, size, point) for point in points]
        radius = max(brush_size * max(size) * view.zoom / 2, 0.5)
        color = (*COLORS[mode], 128 if parent == self._trail else 64)
        look = {"color": (0, 0, 0, 0), "fill": color, "thickness": 0, "parent": parent}
        if len(path) == 1:
            dpg.draw_circle(path[0], radius, segments=64, **look)
            return
        dpg.draw_polygon(_cap(path[0], path[1], radius), **look)
        for piece in unfolded(path):
            dpg.draw_polyline(piece, color=color, thickness=radius * 2, parent=parent)
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
