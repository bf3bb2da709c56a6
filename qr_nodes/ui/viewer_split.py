"""Another picture beside the viewed one: left of a line, or in its place while a key is held.

A is what is compared with and lies left of the line; B is what is viewed. A is the original, what
the viewed node gets, or any node; it is computed along with B while it is to be seen. The line
keeps its place in the panel, so that the picture can be moved under it.
State: whether the split is on, where its line is, what A is, A's newest value and its pixels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.engine import Event
from qr_nodes.graph import Graph
from qr_nodes.types import Cutout
from qr_nodes.ui.viewer_line import GRIP, Line
from qr_nodes.ui.viewer_picture import CRISP, Kind, View, full_size, render, wanted_level
from qr_nodes.ui.viewer_tiles import Area, Tiles, overlap
from qr_nodes.ui.viewer_worker import Picture, Showing

KEY = dpg.mvKey_Backslash
"""Shows A in place of B while it is held."""

GLANCE = 1.0
"""Seconds that A is shown if the command comes from the menu."""

LAG = 4
"""Frames until A's pixels have surely reached the screen: so long B is seen in their place."""

What = Literal["original", "input", "node"]
"""What A is: the picture that was loaded, what the viewed node gets, or a node of its own."""

Point = tuple[float, float]


class Split:
    """The A side and the line.

    Parameters
    ----------
    app : App
        Whose document is shown.
    layer : draw node
        Where A is drawn, over B.
    kind : callable
        Gives what of a value is shown.
    touch : callable
        Has the viewer paint anew.

    Attributes
    ----------
    on : there is a line with A left of it
    blinking : A is shown in place of B
    complete : what the line hides is painted too
    """

    def __init__(
        self,
        app,
        layer: int | str,
        kind: Callable[[Cutout | np.ndarray], Kind],
        touch: Callable[[], None],
    ):
        self._app, self._kind, self._touch = app, kind, touch
        self.on, self.blinking = False, False
        self._until, self._asked_for = 0.0, False
        self._what: What = "original"
        self._pinned = ""
        self._node = ""
        self._value: tuple[Cutout | np.ndarray, float] | None = None
        self._failed = False
        self._beside: Picture | None = None
        self._share, self._line_x = 0.5, 0
        self._dragged, self._slid = False, False
        self._veiled, self.complete = LAG, True
        self._filled: tuple[tuple, Area] | None = None
        self._painted: tuple[View, tuple[int, ...] | None] = (View(), None)
        self._area: Area = (0, 0, 0, 0)
        self._panel = (1, 1)
        self._tiles = Tiles(layer)
        self._line: Line | None = None
        self._showing = Showing(app.loop.post, lambda before: touch())

    def draw_on(self, parent: int | str) -> None:
        """Say where the line is drawn: over what is painted with the brush."""
        self._line = Line(parent)

    def close(self) -> None:
        """End the thread."""
        self._showing.close()

    # ---- what A is -------------------------------------------------------------------------

    @property
    def targets(self) -> list[str]:
        """The nodes that must be computed for A."""
        return [self._node] if self._node and (self.on or self._asked_for) else []

    def compare(self, what: What, node: str = "") -> None:
        """Choose what A is; `node` is one's id."""
        self._what, self._pinned = what, node
        self.sync()

    def reset(self) -> None:
        """Forget which node A is: another graph was opened."""
        self._what, self._pinned, self._node, self._value = "original", "", "", None
        self._showing.forget()

    def sync(self) -> None:
        """Follow the graph: A may be another node now."""
        document = self._app.document
        graph, viewed = document.graph, next(iter(document.viewed), "")
        if self._what == "node" and self._pinned not in graph.nodes:
            self._what, self._pinned = "original", ""
        node = resolved(graph, viewed, self._what, self._pinned)
        if node != self._node:
            self._node, self._value, self._failed = node, None, False
        self._want()

    def event(self, event: Event) -> None:
        """Take A's news of a run."""
        if event.node != self._node:
            return
        value = next(iter(event.outputs.values()), None) if event.outputs else None
        if isinstance(value, Cutout | np.ndarray):
            self._value, self._failed = (value, event.scale), False
            self._want()
        elif event.kind in ("failed", "blocked"):
            self._value, self._failed = None, True
            self._want()

    def beside(self, picture: Picture | None) -> None:
        """Take what B shows, or will show as soon as its pixels are made."""
        self._beside = picture
        self._want()

    def choices(self) -> list[tuple[str, Callable[[], None]]]:
        """Give what A can be: a name and what chooses it."""
        graph = self._app.document.graph
        found = [
            ("Original", self._what == "original", partial(self._choose, "original")),
            ("What the viewed node gets", self._what == "input", partial(self._choose, "input")),
        ]
        for id in graph.order:
            node = graph.nodes[id]
            if not node.spec.writes:
                name = node.title or node.spec.title
                chosen = self._what == "node" and id == self._pinned
                found.append((name, chosen, partial(self._choose, "node", id)))
        return [(f"✓ {name}" if chosen else f"    {name}", call) for name, chosen, call in found]

    def _choose(self, what: What, node: str = "") -> None:
        self.compare(what, node)
        self.turn(True)

    # ---- on and off ------------------------------------------------------------------------

    def turn(self, on: bool) -> None:
        """Show the line, or B alone."""
        self.on = on
        self._asked_for = self._dragged = False
        self.sync()
        self._app.watch()
        self._touch()

    def blink(self) -> None:
        """Show A in place of B until the key is let go of; for a moment if it is not held."""
        self._until = 0.0 if dpg.is_key_down(KEY) else time.monotonic() + GLANCE
        if not self.blinking:
            self.blinking = self._asked_for = self._slid = True
            self.sync()
            self._app.watch()
            self._app.loop.wake()

    @property
    def shown(self) -> Picture | None:
        """What is shown in place of B, or None."""
        return self._present if self.blinking else None

    # ---- pixels ----------------------------------------------------------------------------

    def _source(self) -> tuple[Cutout | np.ndarray, float, Kind, str] | None:
        """Give A's value, scale, kind and name, or None if there is none yet."""
        beside, value = self._beside, self._value
        if beside is None:
            return None
        if self._what == "original":
            if value is not None and _size(value, beside) == beside.size:
                return *value, "original", "Original"
            # Cropped, resized, or made of nothing: then it is the viewed picture's own colour.
            if value is not None or self._failed or not self._node:
                return beside.value, beside.scale, "original", "Original"
            return None
        if value is None:
            return None
        node = self._app.document.graph.nodes.get(self._node)
        name = node.title or node.spec.title if node else ""
        return *value, self._kind(value[0]), name

    def _want(self) -> None:
        """Have A's value made into pixels, unless they are there or on their way."""
        source = self._source() if self.on or self.blinking else None
        if source is None:
            if self._showing.wanted is not None:
                self._showing.forget()
                self._touch()
            return
        value, scale, kind, name = source
        if self._showing.want(value, scale, _size((value, scale), self._beside), kind, name):
            self._touch()

    @property
    def _present(self) -> Picture | None:
        """A's picture, once it has pixels."""
        return self._showing.present

    # ---- in the panel ----------------------------------------------------------------------

    @property
    def _parts(self) -> tuple[Area, Area]:
        """A's and B's part of the panel, once A's pixels have reached the screen."""
        left, top, right, bottom = self._area
        x = left
        if self._present is not None and (self.on or self.blinking):
            x = right if self.blinking else self._line_x
        return (left, top, x, bottom), (x, top, right, bottom)

    def share(self, area: Area, panel: tuple[int, int]) -> tuple[Area, Area]:
        """Share the picture's part of the panel out: what is to be seen of A and of B."""
        self._area, self._panel = area, panel
        self._line_x = min(max(round(self._share * panel[0]), area[0]), area[2])
        if self._veiled:
            return (area[0], area[1], area[0], area[3]), area
        return self._parts

    def paint(self, view: View, backdrop: Callable[[Picture], tuple[int, ...] | None]) -> None:
        """Fill A's tiles with what is to be seen of it.

        Parameters
        ----------
        view : View
            Where B lies.
        backdrop : callable
            Gives the colour behind a picture, or None for checks.
        """
        wanted, picture = self._showing.wanted, self._present
        if wanted is not None and wanted is not picture:
            self._showing.ask(self._number(wanted, view))
        if picture is None:
            self._veiled, self.complete, self._filled = LAG, True, None
            self._tiles.lay((0, 0, 0, 0), None)
            return
        number = self._number(picture, view)
        if number not in picture.levels and picture is wanted:
            self._showing.ask(number)
        self._painted = view, backdrop(picture)
        self._fill(self._parts[0])
        self.complete = False
        self.lay()

    def mended(self) -> None:
        """Take note that parts of B are others, and that what the line hides of them is old."""
        self.complete = self._present is None

    def finish(self) -> None:
        """Fill what the line hides of A, so that it can be moved at once."""
        self.complete = True
        if self._present is not None:
            self._fill(self._area, self._parts[1])
            self.lay()

    def lay(self) -> None:
        """Show A where it is to be seen."""
        if self._present is not None:
            part = self._own(self._parts[0])
            self._tiles.lay((0, 0, 0, 0) if self._veiled else part, self._painted[1])

    def _own(self, area: Area) -> Area:
        """Give what of an area A covers: not all of it where A has another size than B."""
        whole = self.view(self._painted[0]).area(self._present.size, self._panel)
        return overlap(whole, area) or (0, 0, 0, 0)

    def _fill(self, area: Area, within: Area | None = None) -> None:
        """Have A painted in an area, or in what of it is `within`, unless it is already."""
        picture, (view, backdrop) = self._present, self._painted
        own, best = self.view(view), picture.best(self._number(picture, view))
        made_of = (picture, picture.levels[best], own)
        if self._filled is not None:
            known, there = self._filled
            same = all(a is b for a, b in zip(known[:2], made_of, strict=False))
            if same and known[2] == own and overlap(there, area) == area:
                return
        self._filled = (made_of, area)
        step = max(picture.size) / max(picture.value.shape[:2]) * (1 << best)
        crisp = picture.scale == 1 and own.zoom > CRISP
        self._tiles.lay(self._own(area), backdrop)
        self._tiles.fill(
            lambda corner, out: render(picture.levels[best], step, own, corner, out, crisp), within
        )

    def view(self, view: View) -> View:
        """Give where A lies while B lies as `view` says: inside B, if it has another size."""
        picture, beside = self._present, self._beside
        if picture is None or beside is None or picture.size == beside.size:
            return view
        share = min(b / a for a, b in zip(picture.size, beside.size, strict=True))
        free = (b - a * share for a, b in zip(picture.size, beside.size, strict=True))
        x, y = (round(side * view.zoom / 2) for side in free)
        return View(view.zoom * share, view.x + x, view.y + y)

    def _number(self, picture: Picture, view: View) -> int:
        own = view
        if self._beside is not None and picture.size != self._beside.size:
            share = min(b / a for a, b in zip(picture.size, self._beside.size, strict=True))
            own = View(view.zoom * share)
        return wanted_level(own.zoom, picture.scale)

    def squared(self, parts: tuple[Area, Area], picture: Picture) -> Area | None:
        """Give what of A's and B's part shows pixels of B's full size; `picture` is B's."""
        parts = [
            part
            for part, shown in zip(parts, (self._present, picture), strict=True)
            if part[0] < part[2] and shown and shown.scale == 1 and shown.size == picture.size
        ]
        if not parts:
            return None
        return (parts[0][0], parts[0][1], parts[-1][2], parts[-1][3])

    def under(self, mouse: Point) -> Picture | None:
        """Give A's picture if that is what is seen at a place of the panel."""
        if self._present is None:
            return None
        if self.blinking or (self.on and mouse[0] < self._line_x):
            return self._present
        return None

    # ---- every frame -----------------------------------------------------------------------

    @property
    def moving(self) -> bool:
        """Whether a change is still on its way to the screen."""
        return self._tiles.moving or self.blinking or self._slid

    def slid(self) -> bool:
        """Say, once, whether the sides have changed places since the last call."""
        slid, self._slid = self._slid, False
        return slid

    def frame(self, mouse: Point | None) -> None:
        """Draw the line; end a blink."""
        self._tiles.frame()
        if self._veiled and self._present is not None:
            self._veiled -= 1
            self._slid = self._slid or not self._veiled
        if self.blinking and (
            self._app.modal or (time.monotonic() > self._until and not dpg.is_key_down(KEY))
        ):
            self.blinking, self._slid = False, True
            self._want()
        left, top, right, bottom = self._area
        if self._beside is None or left >= right or top >= bottom:
            self._line.hide()
        elif self.blinking:
            what = f"Before: {self._present.title}" if self._present else "Before …"
            self._line.tell(self._panel, what)
        elif self.on:
            hot = self._dragged or (mouse is not None and self.grabs(mouse))
            self._line.show(self._line_x, self._panel, self._names(), hot)
        else:
            self._line.hide()

    def _names(self) -> tuple[str, str]:
        if self._present is not None:
            a = self._present.title + (" (preview)" if self._present.scale < 1 else "")
        else:
            a = "…" if self._node and not self._failed else "no result"
        return f"A  {a}", f"B  {self._beside.title}"

    # ---- the mouse -------------------------------------------------------------------------

    def grabs(self, mouse: Point) -> bool:
        """Say whether the line is what the mouse is on."""
        return (
            self.on
            and not self.blinking
            and self._beside is not None
            and 0 <= mouse[1] < self._panel[1]
            and abs(mouse[0] - self._line_x) <= GRIP
        )

    def press(self, button: int, mouse: Point) -> bool:
        """Take hold of the line, or open what A can be; say whether the press was for that."""
        if button != dpg.mvMouseButton_Left:
            return False
        if self.grabs(mouse):
            self._dragged = True
        elif self._line is not None and self.on and self._line.on_name(mouse):
            self.ask()
        else:
            return False
        return True

    def ask(self) -> None:
        """Let the user choose what A is, at the mouse."""
        actions = [(name, "", call) for name, call in self.choices()]
        self._app.canvas.popup.menu(actions, dpg.get_mouse_pos(local=False))

    def move(self, mouse: Point) -> bool:
        """Drag the line; say whether it is held."""
        if not self._dragged:
            return False
        x = min(max(math.floor(mouse[0]), self._area[0]), self._area[2])
        if x != self._line_x:
            self._line_x, self._share, self._slid = x, x / self._panel[0], True
            self._app.loop.wake()
        return True

    def release(self) -> None:
        """Let go of the line."""
        self._dragged = False


def resolved(graph: Graph, viewed: str, what: What, pinned: str) -> str:
    """Give the node whose output A is, or "" if there is none.

    Along the main pipe, which is the first input that a link leads to; a node that writes a file
    stands for what it writes.
    """

    if viewed not in graph.nodes:
        return ""
    id = pinned if what == "node" else viewed
    if what == "input":
        return graph.before(viewed)
    if what == "node":
        return graph.seen(id)
    while following := graph.before(id):
        id = following
    return id if id in graph.of_type("load") else ""


def _size(value: tuple[Cutout | np.ndarray, float], beside: Picture) -> tuple[int, int]:
    return full_size(value[0].shape[:2], value[1], beside.size)
