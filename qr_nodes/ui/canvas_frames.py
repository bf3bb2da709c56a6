"""Comment frames: drawn behind the nodes, named by the user, moved along with what is in them.

They are `extra["frames"]` of the graph: a list of {x, y, w, h, text} in px at 100 %.
State: what was drawn last.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Frames:
    """The comment frames of a canvas."""

    def __init__(self, canvas: Canvas):
        self.canvas = canvas
        self._drawn: tuple = ()

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
