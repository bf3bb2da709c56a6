"""Comment frames: drawn behind the nodes, named by the user, moved along with what is in them.

They are `extra["frames"]` of the graph: a list of {x, y, w, h, text} in px at 100 %. The title
is a handle to move one with its nodes, the corner below on the right one to size it.
State: what was drawn last; the frame that is held, and how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from qr_nodes.ui import canvas_edits as edits
from qr_nodes.ui import theme
from qr_nodes.ui.canvas_view import Point

if TYPE_CHECKING:
    from qr_nodes.ui.canvas import Canvas

GROUND = (27, 28, 31)
"""Colour behind everything."""

TITLE = 24
"""Height of the strip with the text, px at 100 %."""

GRIP = 16
"""Side of the corner that sizes a frame, px at 100 %."""

LEAST = 60
"""Least width and height of a frame, px at 100 %."""


@dataclass
class Held:
    """A frame under the mouse's button.

    Attributes
    ----------
    frame : as it is now
    nodes : what goes along; None while the frame is sized
    at : where the mouse took hold of it, seen from its corner, in px at 100 %
    drag : makes one step of undo of all that follows
    """

    frame: dict
    nodes: list[str] | None
    at: Point
    drag: object


class Frames:
    """The comment frames of a canvas."""

    def __init__(self, canvas: Canvas):
        self.canvas = canvas
        self._drawn: tuple = ()
        self._held: Held | None = None

    def draw(self) -> None:
        """Draw the frames again if they or the view have changed."""
        canvas = self.canvas
        frames = edits.framed(canvas.graph) if "frames" in canvas.graph.extra else []
        size = (dpg.get_item_width(canvas.paper), dpg.get_item_height(canvas.paper))
        drawn = (frames, canvas.view, canvas.pan, size)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        dpg.delete_item(canvas.paper, children_only=True)
        dpg.draw_rectangle((0, 0), size, fill=GROUND, color=GROUND, parent=canvas.paper)
        for frame in frames:
            self._draw(frame)

    def _draw(self, frame: dict) -> None:
        view, paper = self.canvas.view, self.canvas.paper
        corner = view.place((frame["x"], frame["y"]))
        x, y = (a + p for a, p in zip(corner, self.canvas.pan, strict=True))
        right, bottom = x + view.zoom * frame["w"], y + view.zoom * frame["h"]
        strip, line = (120, 132, 156, 40), (92, 98, 112)
        dpg.draw_rectangle(
            (x, y), (right, bottom), color=line, fill=(120, 132, 156, 22), rounding=6, parent=paper
        )
        dpg.draw_rectangle(
            (x, y),
            (right, y + TITLE * view.zoom),
            color=(0, 0, 0, 0),
            fill=strip,
            rounding=6,
            parent=paper,
        )
        for away in (4, 8, 12):
            reach = away * view.zoom
            start, end = (right - reach, bottom - 3), (right - 3, bottom - reach)
            dpg.draw_line(start, end, color=line, parent=paper)
        size = theme.FONT_SIZE * view.zoom
        at = (x + 8 * view.zoom, y + 4 * view.zoom)
        dpg.draw_text(at, frame["text"], size=size, color=theme.TEXT, parent=paper)

    def at(self, place: Point) -> dict | None:
        """Give the frame whose title is at editor coordinates."""
        x, y = self.canvas.view.model(place)
        for frame in reversed(edits.framed(self.canvas.graph)):
            if 0 <= x - frame["x"] <= frame["w"] and 0 <= y - frame["y"] <= TITLE:
                return frame
        return None

    def _grip(self, place: Point) -> dict | None:
        """Give the frame whose sizing corner is at editor coordinates."""
        x, y = self.canvas.view.model(place)
        for frame in reversed(edits.framed(self.canvas.graph)):
            right, below = frame["x"] + frame["w"] - x, frame["y"] + frame["h"] - y
            if right >= 0 and below >= 0 and right + below <= GRIP:
                return frame
        return None

    def hold(self, place: Point) -> bool:
        """Take the frame whose title or corner is at editor coordinates; say whether one is."""
        canvas = self.canvas
        sized = self._grip(place)
        frame = sized or self.at(place)
        if frame is not None:
            nodes = None if sized else edits.contents(canvas.graph, frame)
            self._held = Held(frame, nodes, _from(frame, canvas.view.model(place), nodes), object())
        return frame is not None

    def drag(self, place: Point) -> None:
        """Let the frame that is held follow the mouse, which is at editor coordinates."""
        held, graph = self._held, self.canvas.graph
        if held is None or held.frame not in edits.framed(graph):
            return
        old = held.frame
        far = _from(old, self.canvas.view.model(place), held.nodes)
        x, y = (round(now - then, 1) for now, then in zip(far, held.at, strict=True))
        if held.nodes is None:
            new = old | {"w": max(LEAST, old["w"] + x), "h": max(LEAST, old["h"] + y)}
        else:
            new = old | {"x": old["x"] + x, "y": old["y"] + y}
        if new == old:
            return
        name = "Resize Frame" if held.nodes is None else "Move Frame"
        held.frame = new
        if nodes := [id for id in held.nodes or () if id in graph.nodes]:
            places = {id: graph.nodes[id].pos for id in nodes}
            graph = edits.move(graph, {id: (p[0] + x, p[1] + y) for id, p in places.items()})
        # Where all of its nodes went along, it has gone with them.
        frames = [new if frame == old else frame for frame in edits.framed(graph)]
        self.canvas.app.edit(edits.with_frames(graph, frames), name, held.drag)

    def let_go(self) -> None:
        """End the drag of a frame."""
        self._held = None

    def add(self, ids: Sequence[str]) -> None:
        """Put a frame around nodes and let the user name it."""
        if ids:
            graph = self.canvas.graph
            frame = edits.frame_around(graph, ids, "Comment")
            frames = [*edits.framed(graph), frame]
            self.canvas.app.edit(edits.with_frames(graph, frames), "Frame")
            self.rename(frame)

    def rename(self, frame: dict) -> None:
        """Let the user edit a frame's text."""
        corner = self.canvas.view.place((frame["x"], frame["y"]))

        def done(text: str) -> None:
            self._replace(frame, [frame | {"text": text}])

        self.canvas.popup.ask(frame["text"], self.canvas.window(corner), done)

    def actions(self, frame: dict) -> list:
        """Give a frame's menu."""
        canvas = self.canvas
        inside = edits.contents(canvas.graph, frame)
        return [
            ("Rename…", "", partial(self.rename, frame)),
            ("Select Nodes", "", partial(canvas.select, inside)),
            ("Delete Frame", "", partial(self._replace, frame, [])),
        ]

    def _replace(self, frame: dict, new: list[dict]) -> None:
        graph = self.canvas.graph
        frames = [f for old in edits.framed(graph) for f in (new if old == frame else [old])]
        self.canvas.app.edit(edits.with_frames(graph, frames), "Frame")


def _from(frame: dict, at: Point, nodes: list[str] | None) -> Point:
    """Give a place seen from the corner that follows the mouse: of size, or of the title."""
    w, h = (frame["w"], frame["h"]) if nodes is None else (0.0, 0.0)
    return at[0] - frame["x"] - w, at[1] - frame["y"] - h
