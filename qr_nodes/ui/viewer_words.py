"""What is written over the picture: why there is none, what failed, what runs for it.

State: what failed and what runs, by node; the note; what is written at the moment.
"""

from __future__ import annotations

import textwrap
import time

import dearpygui.dearpygui as dpg

from qr_nodes.engine import Event
from qr_nodes.errors import GraphError, QrNodesError
from qr_nodes.ui import theme

HINT = "Drop a picture here, or open one with Ctrl+I"

PATIENCE = 0.3
"""Seconds that something runs before it is said."""


class Words:
    """Writes over the picture, in the draw node `parent`."""

    def __init__(self, app, parent: int | str):
        self._app, self.node = app, parent
        self._failures: dict[str, QrNodesError] = {}
        self._running: dict[str, tuple[float, float]] = {}
        self._note = ""
        self._said: tuple = ()

    def note(self, text: str) -> None:
        """Take what there is to say of the viewed node if it has not failed; it has not yet."""
        self._failures.clear()
        self._note = text

    def sync(self) -> None:
        """Forget nodes that are no longer there."""
        graph = self._app.document.graph
        for known in (self._failures, self._running):
            for id in [id for id in known if id not in graph.nodes]:
                del known[id]

    def event(self, event: Event) -> None:
        """Take news of a run: what is computed, what failed."""
        if event.kind == "finished":
            self._running.clear()
        elif event.kind in ("started", "progress"):
            began = self._running.get(event.node, (time.monotonic(), 0.0))[0]
            self._running[event.node] = (began, event.fraction)
        else:
            self._running.pop(event.node, None)
            self._failures.pop(event.node, None)
            if event.kind in ("failed", "blocked"):
                self._failures[event.node] = event.error

    def expected(self) -> bool:
        """Say whether there is something to look at: a node, and a picture that goes in."""
        return bool(self._viewed()) and self._has_source()

    def frame(self, panel: tuple[int, int], pictured: bool) -> None:
        """Draw the words over the picture, if they have changed.

        `pictured` says whether there is a picture.
        """
        message, (running, fraction) = self._message(), self._progress()
        said = (panel, *message, running, fraction, pictured)
        if said != self._said:
            self._said = said
            dpg.delete_item(self.node, children_only=True)
            if message[0]:
                self._draw_message(*message, panel, veiled=pictured)
            if running:
                self._draw_progress(running, fraction, panel)

    def _viewed(self) -> str:
        """Give the node being looked at, or ""."""
        document = self._app.document
        return next((id for id in document.viewed[:1] if id in document.graph.nodes), "")

    def _has_source(self) -> bool:
        """Say whether any picture is named."""
        graph = self._app.document.graph
        return any(graph.nodes[id].params.get("path") for id in graph.of_type("load"))

    def _message(self) -> tuple[str, tuple[int, int, int]]:
        """Give what there is to say instead of a picture, or "", and its colour."""
        graph, id = self._app.document.graph, self._viewed()
        if not id or not self._has_source():
            return HINT, theme.FAINT
        shown = graph.stand_in(id) or id
        if id in self._failures or shown in self._failures:
            behind = [*graph.upstream([shown]), id]
            error = next(self._failures[name] for name in behind if name in self._failures)
            # What only lacks a link is unfinished, not broken.
            return str(error), theme.WARN if isinstance(error, GraphError) else theme.BAD
        return self._note, theme.FAINT

    def _progress(self) -> tuple[str, float]:
        """Give what is computed for the picture at this moment, and how far it is."""
        graph, id, now = self._app.document.graph, self._viewed(), time.monotonic()
        behind = graph.upstream([id]) if id and self._running else ()
        for name in behind:
            began, fraction = self._running.get(name, (now, 0.0))
            if now - began > PATIENCE:
                node = graph.nodes[name]
                return node.title or node.spec.title, round(fraction, 2)
        return "", 0.0

    def _draw_message(
        self, message: str, color: tuple[int, int, int], panel: tuple[int, int], veiled: bool
    ) -> None:
        width, height = panel
        if veiled:
            veil = (*theme.PANEL, 200)
            dpg.draw_rectangle(
                (0, 0), (width, height), color=veil, fill=veil, thickness=0, parent=self.node
            )
        size = theme.FONT_SIZE
        lines = textwrap.wrap(message, max(12, int(width / (size * 0.52)) - 4)) or [""]
        top = height / 2 - len(lines) * (size + 4) / 2
        for row, line in enumerate(lines):
            measured = dpg.get_text_size(line)
            x = (width - (measured[0] if measured else len(line) * size * 0.5)) / 2
            place = (x, top + row * (size + 4))
            dpg.draw_text(place, line, size=size, color=color, parent=self.node)

    def _draw_progress(self, running: str, fraction: float, panel: tuple[int, int]) -> None:
        width, height = panel
        text = f"{running} {fraction:.0%}".replace("%", " %") if fraction else f"{running} …"
        dark = (*theme.BACKGROUND, 210)
        dpg.draw_rectangle(
            (0, height - 26),
            (width, height),
            color=dark,
            fill=dark,
            thickness=0,
            parent=self.node,
        )
        dpg.draw_text(
            (10, height - 23), text, size=theme.FONT_SIZE, color=theme.TEXT, parent=self.node
        )
        dpg.draw_rectangle(
            (0, height - 3),
            (width * fraction, height),
            color=theme.ACCENT,
            fill=theme.ACCENT,
            thickness=0,
            parent=self.node,
        )
