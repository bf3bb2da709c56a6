"""The viewer: a node's output over checks, a colour or nothing, at any zoom.

Positions are in px of the full-size picture, so a preview and the full result lie on each other.
State: the picture on the screen and the one to come, the view, the mode, and what there is to
say about the viewed node.
"""

from __future__ import annotations

import math
import textwrap
import time

import dearpygui.dearpygui as dpg
import numpy as np
from PIL import Image

from qr_nodes.engine import Event
from qr_nodes.errors import GraphError, QrNodesError
from qr_nodes.types import Cutout
from qr_nodes.ui import theme
from qr_nodes.ui.viewer_brush import Painter
from qr_nodes.ui.viewer_picture import (
    CRISP,
    Kind,
    View,
    fit,
    full_size,
    render,
    thumbnail,
    wanted_level,
)
from qr_nodes.ui.viewer_tiles import Tiles
from qr_nodes.ui.viewer_tools import Tools
from qr_nodes.ui.viewer_worker import Picture, Worker

HINT = "Drop a picture here, or open one with Ctrl+I"
STEPS = 4
"""Steps of the wheel that double the zoom."""

ZOOMS = (1 / 64, 64.0)
GRIP = 40
"""Screen px of the picture that stay in the panel however far it is moved."""

PATIENCE = 0.3
"""Seconds that something runs before the viewer says so."""


class Viewer:
    """Shows what `show` is given, in the child window `parent`."""

    def __init__(self, app, parent: int | str):
        self._app = app
        # A guess until the first frame, so that the first level made is about the right one.
        self._view, self._fitting, self._panel = View(), True, (800, 600)
        self._present: Picture | None = None
        self._wanted: Picture | None = None
        self._value: tuple | None = None
        self._asked: tuple[Picture, int] | None = None
        self._orders = 0
        self._grabbed: tuple[View, float, float] | None = None
        self._failures: dict[str, QrNodesError] = {}
        self._running: dict[str, tuple[float, float]] = {}
        self._note = ""
        self._dirty = True
        self._said: tuple = ()
        dpg.configure_item(parent, **_STILL)
        self._tools = Tools(self, parent)
        self._window = dpg.add_child_window(parent=parent, border=False, height=-28, **_STILL)
        dpg.bind_item_theme(self._window, self._tools.bare)
        self._drawlist = dpg.add_drawlist(8, 8, parent=self._window)
        self._tiles = Tiles(dpg.add_draw_node(parent=self._drawlist))
        self._painter = Painter(app, dpg.add_draw_node(parent=self._drawlist))
        self._overlay = dpg.add_draw_node(parent=self._drawlist)
        self._caption = dpg.add_text("", parent=parent)
        dpg.bind_item_theme(self._caption, theme.text(theme.FAINT))
        with dpg.handler_registry():
            dpg.add_mouse_click_handler(callback=self._clicked)
            dpg.add_mouse_release_handler(callback=self._released)
            dpg.add_mouse_move_handler(callback=self._moved)
            dpg.add_mouse_wheel_handler(callback=self._wheeled)
        self._worker = Worker(app.loop.post, self._made)

    # ---- what the app calls ----------------------------------------------------------------

    def show(self, value: object, scale: float, title: str) -> None:
        """Show a cut-out or mask.

        Parameters
        ----------
        value : Cutout, (H, W) float32 mask, or None for nothing
            A file that was written is told of in words.
        scale : float
            Its size relative to the full picture's.
        title : str
            What it is.
        """
        self._failures.clear()
        if isinstance(value, Cutout | np.ndarray):
            self._value, self._note = (value, scale, title), ""
            self._want()
        else:
            self._value = self._present = self._wanted = self._asked = None
            self._note = "" if value is None else f"{title} wrote {value.path}"
            self._touch()

    def sync(self) -> None:
        """Follow the graph: forget what is no longer viewed or no longer there."""
        graph = self._app.document.graph
        for known in (self._failures, self._running):
            for id in [id for id in known if id not in graph.nodes]:
                del known[id]
        if self._value is not None and not (self._viewed() and self._has_source()):
            self.show(None, 1.0, "")

    def event(self, event: Event) -> None:
        """Take news of a run: what is computed, what failed."""
        self._painter.event(event)
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
        self._app.loop.wake()

    def frame(self) -> None:
        """Bring the screen up to date; called once per frame."""
        panel = tuple(max(int(side), 1) for side in dpg.get_item_rect_size(self._window))
        if panel != self._panel:
            self._panel = panel
            dpg.configure_item(self._drawlist, width=panel[0], height=panel[1])
            self._touch()
        if self._dirty:
            self._dirty = False
            self._paint()
        self._tiles.frame()
        if self._tiles.moving:
            self._app.loop.wake()
        mouse = self._mouse() if self._mine() else None
        self._painter.frame(self._present, self._view, mouse)
        self._say()

    def thumbnail(self, side: int) -> Image.Image | None:
        """Give what is shown as a small picture with its transparency, or None."""
        picture = self._present
        return picture and Image.fromarray(thumbnail(picture.value, side))

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    # ---- commands --------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """Where the picture lies in the panel."""
        return self._view

    def fit(self) -> None:
        """Show the whole picture, and go on doing so when the panel changes."""
        self._fitting = True
        self._touch()

    def actual(self) -> None:
        """Show the picture at 100 %, its middle where it was."""
        self._zoom_to(1.0, *self._middle())

    def zoom(self, steps: float) -> None:
        """Zoom in, or out with negative steps, about the middle of the panel."""
        self._zoom_by(steps, *self._middle())

    def mode(self, name: str, color: str = "") -> None:
        """Choose what is shown.

        Parameters
        ----------
        name : str
            A key of `viewer_tools.MODES`.
        color : str
            #rrggbb for the mode "color"; "" leaves it as it is.
        """
        self._tools.choose(name)
        if color:
            self._tools.recolor(tuple(bytes.fromhex(color[1:])))
        self._want()
        self._touch()

    def give_up(self) -> bool:
        """Forget the stroke under way; say whether there was one."""
        return self._painter.give_up()

    def next_mode(self) -> None:
        """Choose the next mode."""
        self.mode(self._tools.following())

    @property
    def shown_mode(self) -> str:
        """The mode in use."""
        return self._tools.mode

    @property
    def color(self) -> str:
        """The colour of the mode "color", #rrggbb."""
        return "#{:02x}{:02x}{:02x}".format(*self._tools.color)

    # ---- the picture -----------------------------------------------------------------------

    def _want(self) -> None:
        """Have the value made into pixels, unless they are there or on their way."""
        if self._value is None:
            return
        value, scale, title = self._value
        kind = self._kind(value)
        known = self._wanted
        if known and known.value is value and (known.kind, known.scale) == (kind, scale):
            known.title = title
            return
        self._orders += 1
        last = known.size if known else (0, 0)
        size = full_size(value.shape[:2], scale, last)
        self._wanted = Picture(value, scale, size, kind, title, self._orders)
        view = fit(size, self._panel) if self._fitting else self._view
        self._ask(self._wanted, wanted_level(view.zoom, scale))

    def _kind(self, value: Cutout | np.ndarray) -> Kind:
        return self._tools.kind if isinstance(value, Cutout) else "alpha"

    def _ask(self, picture: Picture, number: int) -> None:
        if self._asked != (picture, number):
            self._asked = (picture, number)
            self._worker.ask(picture, number)

    def _made(self, picture: Picture, number: int, pixels: np.ndarray) -> None:
        """Take a level from the thread."""
        picture.levels[number] = pixels
        if self._value is None or (self._present and picture.order < self._present.order):
            return
        if self._present and self._present.size != picture.size:
            self._fitting = True
        self._present = picture
        self._touch()

    def _touch(self) -> None:
        self._dirty = True
        self._app.loop.wake()

    def _paint(self) -> None:
        """Fill the tiles with what is in view."""
        picture = self._present
        if picture is None:
            self._tiles.lay((0, 0, 0, 0), None)
            return
        if self._fitting:
            self._view = fit(picture.size, self._panel)
        else:
            self._view = self._held(self._view, picture.size)
        view = self._view
        number = wanted_level(view.zoom, picture.scale)
        best = picture.best(number)
        if best != number and picture is self._wanted:
            self._ask(picture, number)
        step = max(picture.size) / max(picture.value.shape[:2]) * (1 << best)
        crisp = picture.scale == 1 and view.zoom > CRISP
        self._tiles.lay(view.area(picture.size, self._panel), self._backdrop(picture))
        self._tiles.fill(
            lambda corner, out: render(picture.levels[best], step, view, corner, out, crisp)
        )

    def _backdrop(self, picture: Picture) -> tuple[int, int, int] | None:
        return self._tools.backdrop if picture.kind == "cutout" else (0, 0, 0)

    # ---- moving about ----------------------------------------------------------------------

    def _middle(self) -> tuple[float, float]:
        return self._panel[0] / 2, self._panel[1] / 2

    def _held(self, view: View, size: tuple[int, int]) -> View:
        """Keep a grip of the picture in the panel."""
        (width, height), zoom = self._panel, view.zoom
        x = min(max(view.x, GRIP - round(size[0] * zoom)), width - GRIP)
        y = min(max(view.y, GRIP - round(size[1] * zoom)), height - GRIP)
        return View(zoom, x, y)

    def _zoom_by(self, steps: float, x: float, y: float) -> None:
        # On a ladder that has 100 % on it, from wherever a fit has left the zoom.
        rung = math.log2(self._view.zoom) * STEPS
        rung = math.floor(rung + 1e-6) if steps > 0 else math.ceil(rung - 1e-6)
        self._zoom_to(2.0 ** ((rung + steps) / STEPS), x, y)

    def _zoom_to(self, zoom: float, x: float, y: float) -> None:
        if self._present is not None:
            self._view = self._view.zoomed(min(max(zoom, ZOOMS[0]), ZOOMS[1]), x, y)
            self._fitting = False
            self._touch()

    def _mouse(self) -> tuple[float, float]:
        """Give the mouse's place in the panel."""
        (x, y), (left, top) = dpg.get_mouse_pos(local=False), dpg.get_item_rect_min(self._drawlist)
        return x - left, y - top

    def _mine(self) -> bool:
        """Say whether what the mouse does is meant for the picture."""
        return (
            self._present is not None
            and not self._app.modal
            and dpg.is_item_hovered(self._drawlist)
        )

    def _clicked(self, _, button: int) -> None:
        if not self._mine():
            return
        if not dpg.is_key_down(dpg.mvKey_Spacebar) and self._painter.press(button, self._mouse()):
            return
        if button in (dpg.mvMouseButton_Left, dpg.mvMouseButton_Middle):
            self._grabbed = (self._view, *self._mouse())

    def _released(self, _, button: int) -> None:
        self._grabbed = None
        self._painter.release(button, self._mouse())

    def _moved(self) -> None:
        self._painter.move(self._mouse())
        if self._grabbed:
            view, x0, y0 = self._grabbed
            x, y = self._mouse()
            if (x, y) != (x0, y0):
                self._view, self._fitting = view.moved(x - x0, y - y0), False
                self._touch()

    def _wheeled(self, _, steps: float) -> None:
        if self._mine() and not self._painter.wheel(steps):
            self._zoom_by(steps, *self._mouse())

    # ---- words -----------------------------------------------------------------------------

    def _viewed(self) -> str:
        """Give the node being looked at, or ""."""
        document = self._app.document
        return next((id for id in document.viewed if id in document.graph.nodes), "")

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

    def _say(self) -> None:
        """Draw the words over the picture and beneath it, if they have changed."""
        message, (running, fraction) = self._message(), self._progress()
        said = (self._panel, *message, running, fraction, self._present is None)
        if said != self._said:
            self._said = said
            dpg.delete_item(self._overlay, children_only=True)
            if message[0]:
                self._draw_message(*message)
            if running:
                self._draw_progress(running, fraction)
        self._tools.zoomed(self._view.zoom if self._present else None)
        caption = _caption(self._present) if self._present else ""
        if dpg.get_value(self._caption) != caption:
            dpg.set_value(self._caption, caption)

    def _draw_message(self, message: str, color: tuple[int, int, int]) -> None:
        width, height = self._panel
        if self._present is not None:
            veil = (*theme.PANEL, 200)
            dpg.draw_rectangle(
                (0, 0), (width, height), color=veil, fill=veil, thickness=0, parent=self._overlay
            )
        size = theme.FONT_SIZE
        lines = textwrap.wrap(message, max(12, int(width / (size * 0.52)) - 4)) or [""]
        top = height / 2 - len(lines) * (size + 4) / 2
        for row, line in enumerate(lines):
            measured = dpg.get_text_size(line)
            x = (width - (measured[0] if measured else len(line) * size * 0.5)) / 2
            place = (x, top + row * (size + 4))
            dpg.draw_text(place, line, size=size, color=color, parent=self._overlay)

    def _draw_progress(self, running: str, fraction: float) -> None:
        width, height = self._panel
        text = f"{running} {fraction:.0%}".replace("%", " %") if fraction else f"{running} …"
        dark = (*theme.BACKGROUND, 210)
        dpg.draw_rectangle(
            (0, height - 26),
            (width, height),
            color=dark,
            fill=dark,
            thickness=0,
            parent=self._overlay,
        )
        dpg.draw_text(
            (10, height - 23), text, size=theme.FONT_SIZE, color=theme.TEXT, parent=self._overlay
        )
        dpg.draw_rectangle(
            (0, height - 3),
            (width * fraction, height),
            color=theme.ACCENT,
            fill=theme.ACCENT,
            thickness=0,
            parent=self._overlay,
        )


_STILL = {"no_scrollbar": True, "no_scroll_with_mouse": True}


def _caption(picture: Picture) -> str:
    """Say what is shown."""
    width, height = picture.size
    what = "full" if picture.scale == 1 else f"preview at {picture.scale:.0%}".replace("%", " %")
    return f"{picture.title}   {width} × {height} px   {what}"
