"""The viewer: a node's output over checks, a colour or nothing, at any zoom.

Positions are in px of the full-size picture, so a preview and the full result lie on each other.
What lies over the picture has a module each: the other side of a split, the grid, the loupe, the
histogram. State: the picture on the screen and the one to come, the view, the mode, and what
there is to say about the viewed node.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import dearpygui.dearpygui as dpg
import numpy as np
from PIL import Image

from qr_nodes.engine import Event
from qr_nodes.tiled import Box
from qr_nodes.types import Cutout
from qr_nodes.ui import dialogs, theme
from qr_nodes.ui.viewer_backdrop import Backdrop
from qr_nodes.ui.viewer_brush import Painter
from qr_nodes.ui.viewer_card import MARGIN
from qr_nodes.ui.viewer_grid import Grid
from qr_nodes.ui.viewer_histogram import SIZE, Histogram
from qr_nodes.ui.viewer_loupe import CARD, Loupe
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
from qr_nodes.ui.viewer_readout import Readout
from qr_nodes.ui.viewer_split import Split
from qr_nodes.ui.viewer_tiles import Tiles
from qr_nodes.ui.viewer_tools import Tools
from qr_nodes.ui.viewer_words import Words
from qr_nodes.ui.viewer_worker import Picture, Showing

STEPS = 4
"""Steps of the wheel that double the zoom."""

ZOOMS = (1 / 64, 64.0)
GRIP = 40
"""Screen px of the picture that stay in the panel however far it is moved."""


NOWHERE = (0, 0, 0, 0)
"""An area of the panel that is none."""

BARE = (0, 0, 0, 0)
"""Behind a cut-out that has a picture behind it: no colour, no checks."""

CARDS = (10, 42)
"""Where cards over the picture begin, px: without and with the names of a split."""


class Viewer:
    """Shows what `show` is given, in the child window `parent`."""

    def __init__(self, app, parent: int | str):
        self._app = app
        # A guess until the first frame, so that the first level made is about the right one.
        self._view, self._fitting, self._panel = View(), True, (800, 600)
        self._value: tuple | None = None
        self._render: Callable[[tuple[int, int], np.ndarray], None] = lambda corner, out: None
        self._grabbed: tuple[View, float, float] | None = None
        self._untinted = "checker"
        self._dirty = True
        dpg.configure_item(parent, **_STILL)
        self._tools = Tools(self, parent)
        self._window = dpg.add_child_window(parent=parent, border=False, height=-48, **_STILL)
        dpg.bind_item_theme(self._window, self._tools.bare)
        self._drawlist = dpg.add_drawlist(8, 8, parent=self._window)

        def layer() -> int | str:
            return dpg.add_draw_node(parent=self._drawlist)

        behind, self._tiles, behind_other = layer(), Tiles(layer()), layer()
        self._split = Split(app, layer(), self._kind, self._touch)
        self._behind = Backdrop(app, [behind_other, behind], self._backed)
        self._grid = Grid(layer())
        self._painter = Painter(app, layer())
        self._split.draw_on(layer())
        self._histogram, self._loupe = Histogram(app, layer()), Loupe(layer())
        self._words = Words(app, layer())
        self._caption = dpg.add_text("", parent=parent)
        dpg.bind_item_theme(self._caption, theme.text(theme.FAINT))
        self._readout = Readout(parent)
        with dpg.handler_registry():
            dpg.add_mouse_click_handler(callback=self._clicked)
            dpg.add_mouse_release_handler(callback=self._released)
            dpg.add_mouse_move_handler(callback=self._moved)
            dpg.add_mouse_wheel_handler(callback=self._wheeled)
        self._showing = Showing(app.loop.post, self._made)

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
        if isinstance(value, Cutout | np.ndarray):
            self._value = (value, scale, title)
            self._words.note("")
            self._want()
        else:
            self._value = None
            self._showing.forget()
            self._split.beside(None)
            self._words.note("" if value is None else f"{title} wrote {value.path}")
            self._touch()

    def sync(self) -> None:
        """Follow the graph: forget what is no longer viewed or no longer there."""
        self._words.sync()
        self._split.sync()
        if self._value is not None and not self._words.expected():
            self.show(None, 1.0, "")

    def event(self, event: Event) -> None:
        """Take news of a run: what is computed, what failed."""
        self._painter.event(event)
        self._split.event(event)
        self._words.event(event)
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
        elif not self._split.complete:
            self._finish()
        if self._split.slid():
            self._share()
        self._tiles.frame()
        mouse = self._mouse() if self._mine() else None
        self._split.frame(mouse)
        if self._tiles.moving or self._split.moving or self._loupe.moving:
            self._app.loop.wake()
        over_line = mouse is not None and self._split.grabs(mouse)
        self._painter.frame(self._present, self._view, None if over_line else mouse)
        self._look_closer(mouse)
        self._say()

    def thumbnail(self, side: int) -> Image.Image | None:
        """Give what is shown as a small picture with its transparency, or None."""
        picture = self._present
        return picture and Image.fromarray(thumbnail(picture.value, side))

    def close(self) -> None:
        """End the threads."""
        for part in (self._showing, self._split, self._behind, self._histogram):
            part.close()

    def restore(self, settings) -> None:
        """Take what was remembered, a `Settings`, at the start."""
        for name, color in (("color", settings.color), ("overlay", settings.tint)):
            self._tools.recolor(name, tuple(bytes.fromhex(color[1:])))
        for name in ("loupe", "histogram"):
            if getattr(settings, name):
                self.toggle(name)
        if settings.backdrop:
            self._behind.use(settings.backdrop)
        self.mode("checker" if self._lacks(settings.background) else settings.background)

    @property
    def remembered(self) -> dict[str, str | bool]:
        """What `restore` takes at the next start, by the names of the settings."""
        return {
            "background": self.shown_mode,
            "color": self.color,
            "tint": _hex(self._tools.colors["overlay"]),
            "backdrop": self._behind.path,
            "loupe": self._loupe.on,
            "histogram": self._histogram.on,
        }

    def reset(self) -> None:
        """Take note that another graph was opened."""
        self._split.reset()

    @property
    def targets(self) -> list[str]:
        """The nodes to compute beside the viewed one."""
        return self._split.targets

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
        if self._lacks(name):
            self.choose_backdrop()
            return
        self._tools.choose(name)
        if color:
            self._tools.recolor("color", tuple(bytes.fromhex(color[1:])))
        self._want()
        self._touch()

    def toggle(self, name: str) -> None:
        """Switch the split, the loupe or the histogram on or off."""
        if name == "split":
            self._split.turn(not self._split.on)
        else:
            part = self._loupe if name == "loupe" else self._histogram
            part.on = not part.on
            self._tools.switch(name, part.on)
        self._app.loop.wake()

    def toggle_overlay(self) -> None:
        """Tint what is removed, or go back to the mode before."""
        if self.shown_mode == "overlay":
            self.mode(self._untinted)
        else:
            self._untinted = self.shown_mode
            self.mode("overlay")

    def blink(self) -> None:
        """Show what the viewed is compared with, for as long as the key is held."""
        self._split.blink()

    def compare(self, id: str) -> None:
        """Show a node's output left of the line."""
        self._split.compare("node", id)
        self._split.turn(True)

    def choose_other(self) -> None:
        """Let the user choose what is compared with."""
        self._split.ask()

    def choose_backdrop(self) -> None:
        """Let the user choose the picture behind a cut-out."""
        from qr_nodes.ui.files import PICTURES

        def take(paths: list[str]) -> None:
            self._behind.use(paths[0])
            self.mode("picture")

        dialogs.open_files(self._app, "Picture Behind", PICTURES, take)

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
        return _hex(self._tools.colors["color"])

    def _lacks(self, mode: str) -> bool:
        """Say whether a mode needs a picture that has not been chosen."""
        return mode == "picture" and not self._behind.path

    def _backed(self) -> None:
        """Take note that the picture behind is another, or could not be read."""
        self._tools.depict(self._behind.pixels)
        if self._lacks(self.shown_mode):
            self.mode("checker")
        self._touch()

    # ---- the picture -----------------------------------------------------------------------

    def _want(self) -> None:
        """Have the value made into pixels, unless they are there or on their way."""
        if self._value is None:
            return
        value, scale, title = self._value
        kind = self._kind(value)
        last = self._showing.wanted.size if self._showing.wanted else (0, 0)
        size = full_size(value.shape[:2], scale, last)
        if self._showing.want(value, scale, size, kind, title):
            if (boxes := self._showing.mend()) is not None:
                self._mend(boxes)
            else:
                view = fit(size, self._panel) if self._fitting else self._view
                self._showing.ask(wanted_level(view.zoom, scale))
        self._split.beside(self._showing.wanted)

    def _kind(self, value: Cutout | np.ndarray) -> Kind:
        return self._tools.kind if isinstance(value, Cutout) else "alpha"

    @property
    def _present(self) -> Picture | None:
        """The picture on the screen."""
        return self._showing.present

    def _made(self, before: Picture | None) -> None:
        """Take note that other pixels are there."""
        if before and before.size != self._present.size:
            self._fitting = True
        self._touch()

    def _touch(self) -> None:
        self._dirty = True
        self._app.loop.wake()

    def _paint(self) -> None:
        """Fill the tiles with what is in view."""
        picture = self._present
        if picture is None:
            self._tiles.lay(NOWHERE, None)
            self._share()
            self._split.paint(self._view, self._backdrop)
            return
        if self._fitting:
            self._view = fit(picture.size, self._panel)
        else:
            self._view = self._held(self._view, picture.size)
        view = self._view
        number = wanted_level(view.zoom, picture.scale)
        best = picture.best(number)
        if best != number and picture is self._showing.wanted:
            self._showing.ask(number)
        step = max(picture.size) / max(picture.value.shape[:2]) * (1 << best)
        crisp = picture.scale == 1 and view.zoom > CRISP
        pixels = picture.levels[best]
        self._render = lambda corner, out: render(pixels, step, view, corner, out, crisp)
        self._share()
        self._tiles.fill(self._render)
        self._split.paint(view, self._backdrop)

    def _mend(self, boxes: list[Box]) -> None:
        """Fill what of the tiles shows some parts of the picture, given in its px."""
        if self._dirty:  # all is filled anyway
            return
        view = self._view
        for rows, columns in boxes:
            # Interpolation looks at the pixels beside.
            left, right = (view.x + edge * view.zoom for edge in (columns.start, columns.stop))
            top, bottom = (view.y + edge * view.zoom for edge in (rows.start, rows.stop))
            rim = 2 + math.ceil(2 * view.zoom)
            area = (left - rim, top - rim, right + rim, bottom + rim)
            self._tiles.fill(self._render, within=tuple(map(round, area)))
        self._split.mended()
        self._app.loop.wake()

    def _share(self) -> None:
        """Put A and B, the picture behind each, and the grid over them where they belong."""
        picture, view, panel = self._present, self._view, self._panel
        area = view.area(picture.size, panel) if picture else NOWHERE
        parts = self._split.share(area, panel)
        if picture:
            self._tiles.lay(parts[1], self._backdrop(picture))
            self._split.lay()
        for side, part in enumerate(parts):
            shown = part if picture and self._pictured else None
            self._behind.lay(side, view, picture.size if picture else (1, 1), shown)
        self._grid.show(view, picture and self._split.squared(parts, picture))

    def _finish(self) -> None:
        """Fill what the line hides as well."""
        self._split.finish()
        if self._present is not None:
            area = self._view.area(self._present.size, self._panel)
            hidden, _ = self._split.share(area, self._panel)
            self._tiles.lay(area, None)
            self._tiles.fill(self._render, within=hidden)
            self._share()

    @property
    def _pictured(self) -> bool:
        """Whether a picture is behind the cut-out."""
        return self.shown_mode == "picture" and self._behind.pixels is not None

    def _backdrop(self, picture: Picture) -> tuple[int, ...] | None:
        if picture.kind not in ("cutout", "overlay"):
            return (0, 0, 0)
        return BARE if self._pictured else self._tools.backdrop

    def _look_closer(self, mouse: tuple[float, float] | None) -> None:
        """Bring what is told of the mouse's place, and of the picture, up to date."""
        picture, view = self._present, self._view
        self._tools.switch("split", self._split.on)
        top = CARDS[self._split.on or self._split.blinking]
        beside = self._panel[0] >= SIZE[0] + CARD[0] + 3 * MARGIN
        under = top if beside or not self._loupe.on else top + CARD[1] + MARGIN
        self._histogram.frame(picture, self._panel, under, mouse)
        if mouse is not None and (other := self._split.under(mouse)) is not None:
            picture, view = other, self._split.view(view)
        place = view.to_picture(*mouse) if mouse and picture else (-1.0, -1.0)
        self._readout.show(picture, *place)
        inside = picture is not None and all(
            0 <= at < side for at, side in zip(place, picture.size, strict=True)
        )
        behind = self._backdrop(picture) if inside else None
        if behind == BARE:
            behind = self._behind.colors_at(picture.size)
        shown = picture if inside else None
        self._loupe.frame(shown, place, view.zoom, behind, self._panel, top, mouse)

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
        mouse = self._mouse()
        if self._split.press(button, mouse):
            return
        if not dpg.is_key_down(dpg.mvKey_Spacebar) and self._painter.press(button, mouse):
            return
        if button in (dpg.mvMouseButton_Left, dpg.mvMouseButton_Middle):
            self._grabbed = (self._view, *mouse)

    def _released(self, _, button: int) -> None:
        self._grabbed = None
        if button == dpg.mvMouseButton_Left:
            self._split.release()
        self._painter.release(button, self._mouse())

    def _moved(self) -> None:
        if self._split.move(self._mouse()):
            return
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

    def _say(self) -> None:
        """Write beneath the picture what it is, and over it what there is to say instead."""
        self._words.frame(self._panel, self._present is not None)
        self._tools.zoomed(self._view.zoom if self._present else None)
        shown = self._present and (self._split.shown or self._present)
        caption = _caption(shown) if shown else ""
        if dpg.get_value(self._caption) != caption:
            dpg.set_value(self._caption, caption)


def _hex(color: tuple[int, ...]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


_STILL = {"no_scrollbar": True, "no_scroll_with_mouse": True}


def _caption(picture: Picture) -> str:
    """Say what is shown."""
    width, height = picture.size
    what = "full" if picture.scale == 1 else f"preview at {picture.scale:.0%}".replace("%", " %")
    return f"{picture.title}   {width} × {height} px   {what}"
