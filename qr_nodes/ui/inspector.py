"""The inspector: the selected node's parameters, and what came of its last run.

Built anew when another node is shown; otherwise its widgets follow the graph. State: the node
shown, its fields, the gesture under way (one undo step), news of every node, downloads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import cv2
import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.engine import Event
from qr_nodes.errors import GraphError, QrNodesError
from qr_nodes.graph import Node
from qr_nodes.node import Param
from qr_nodes.types import Stroke
from qr_nodes.ui import inspector_brush as brushes
from qr_nodes.ui import inspector_models as models
from qr_nodes.ui import inspector_widgets as widgets
from qr_nodes.ui import theme
from qr_nodes.ui.brush import brushed
from qr_nodes.ui.inspector_widgets import Field

HELP = """Select a node to see its settings here.

Tab, or a right click on the canvas, adds a node. V shows the selected node's picture, \
B passes it by, Del takes it away."""

LABELS = 104
"""Width of the column of labels, px."""

ICON = 14


@dataclass
class Row:
    """A parameter on the screen: its widget and the button that resets it."""

    field: Field
    reset: int | str


class Inspector:
    """Shows one node in the child window `parent`.

    Attributes
    ----------
    app : the window
    downloads : model → weights being fetched
    """

    def __init__(self, app, parent: int | str):
        self.app, self.downloads = app, {}
        self._parent = dpg.add_group(parent=parent)
        self._id: str | None = None
        self._node: Node | None = None
        self._rows: dict[str, Row] = {}
        self._brush: brushes.Settings | None = None
        self._typed: dict[int | str, Callable[[], None]] = {}
        self._drag: object | None = None
        self._loose = False
        self._news: dict[str, Event] = {}
        self._running: dict[str, float] = {}
        self._told: tuple = ()
        self._devices: list | None = None
        self._looking = False
        self._icon = _reset_icon()
        self._flat = _flat()
        with dpg.item_handler_registry() as self._handlers:
            dpg.add_item_activated_handler(callback=self._begun)
            dpg.add_item_deactivated_handler(callback=self._ended)
            dpg.add_item_deactivated_after_edit_handler(callback=self._left)
        self._build()

    # ---- what the app calls ----------------------------------------------------------------

    def show(self, id: str | None) -> None:
        """Show another node, or none."""
        if id != self._id:
            self._id = id
            self._build()

    def sync(self) -> None:
        """Follow the graph: other values, another title, or no such node any more."""
        nodes = self.app.document.graph.nodes
        for known in (self._news, self._running):
            for id in [id for id in known if id not in nodes]:
                del known[id]
        node = nodes.get(self._id)
        if node is None or self._node is None or node.spec is not self._node.spec:
            if node is not self._node:
                self._id = self._id if node else None
                self._build()
        elif node is not self._node:
            self._node = node
            self._fill()

    def event(self, event: Event) -> None:
        """Keep news of a node."""
        if event.kind == "finished":
            self._running.clear()
        elif event.kind in ("started", "progress"):
            self._running[event.node] = event.fraction
        else:
            self._running.pop(event.node, None)
            self._news[event.node] = event

    def frame(self) -> None:
        """Bring what moves by itself up to date; called once per frame."""
        if self._loose and not any(map(dpg.is_mouse_button_down, (0, 1, 2))):
            self._drag, self._loose = None, False
        for row in self._rows.values():
            row.field.frame()
        if self._brush is not None:
            self._brush.frame()
        self._tell()

    def close(self) -> None:
        """Give downloads up."""
        for download in self.downloads.values():
            download.stop()

    # ---- what fields call ------------------------------------------------------------------

    def set(self, name: str, value: Any, what: str = "") -> None:
        """Set a parameter; what is refused leaves the graph, and the widget, as they were.

        With `what`, it is an undo step of that name and no part of a gesture.
        """
        if self._node is None or value == self._node.params.get(name):
            return
        graph = self.app.attempt(self.app.document.graph.set_param, self._id, name, value)
        if graph is None:
            self._rows[name].field.show(self._node.params[name])
            return
        if what:
            self.app.edit(graph, what)
            return
        if self._drag is None:
            self._drag, self._loose = object(), True
        what = f"{self._node.title or self._node.spec.title}: {widgets.label(name)}"
        self.app.edit(graph, what, drag=self._drag)

    def browse(self, param: Param, path: str, done) -> None:
        """Ask for a file to read or to write."""
        from qr_nodes.ui import dialogs
        from qr_nodes.ui.export import FORMATS, check_target
        from qr_nodes.ui.files import PICTURES

        title = f"{self._node.spec.title}: {widgets.label(param.name)}"
        if param.kind == "save":

            def check(path: str) -> None:
                graph = self.app.document.graph.set_param(self._id, param.name, path)
                check_target(graph, self._id)

            dialogs.save_file(self.app, title, path or "cutout.png", FORMATS, done, check)
        else:

            def chosen(paths: list[str]) -> None:
                self.app.document.agree(paths)
                done(paths)

            dialogs.open_files(self.app, title, PICTURES, chosen)

    def fetch(self, name: str) -> None:
        """Fetch a model's weights, unless that is under way."""
        if name not in self.downloads:
            self.app.say(f"Fetching {name} …")
            self.downloads[name] = models.Download(
                name, self.app.loop.post, lambda error: self._fetched(name, error)
            )

    def devices(self) -> list | None:
        """Give the devices there are, or None while they are looked for."""
        if not self._looking:
            self._looking = True
            models.find_devices(self._found, self.app.loop.post)
        return self._devices

    def _found(self, devices: list) -> None:
        self._devices = devices

    def _fetched(self, name: str, error: QrNodesError | None) -> None:
        del self.downloads[name]
        self.app.say(*((str(error), "error") if error else (f"{name} is here.", "good")))
        for row in self._rows.values():
            if isinstance(row.field, models.Model):
                row.field.refresh()
        if error is None:
            document = self.app.document
            document.agree(held for held in document.held if name in held.split("+"))
            # What failed for want of the weights can run now.
            self.app.document.view(*self.app.document.viewed)

    # ---- gestures --------------------------------------------------------------------------

    # Some widgets tell of their first change before they tell that they are held (a colour's
    # picker), some never tell the latter: a gesture that a change began ends with the mouse.

    def _begun(self) -> None:
        if not self._loose:
            self._drag = object()

    def _ended(self) -> None:
        if not self._loose:
            self._drag = None

    def _left(self, _, item: int | str) -> None:
        if item in self._typed:
            self._typed[item]()
        self._ended()

    # ---- building --------------------------------------------------------------------------

    def _build(self) -> None:
        """Make everything for the node to show."""
        dpg.delete_item(self._parent, children_only=True)
        self._rows, self._typed, self._drag, self._told = {}, {}, None, ()
        self._loose, self._brush = False, None
        self._node = self.app.document.graph.nodes.get(self._id)
        dpg.push_container_stack(self._parent)
        try:
            if self._node is None:
                dpg.bind_item_theme(dpg.add_text(HELP, wrap=0), theme.text(theme.FAINT))
                return
            self._head(self._node)
            self._parameters(self._node)
            dpg.add_separator()
            self._status = dpg.add_group()
        finally:
            dpg.pop_container_stack()
        self._fill(anew=True)

    def _head(self, node: Node) -> None:
        spec = node.spec
        self._title = dpg.add_input_text(
            width=-1, hint=spec.title, on_enter=True, callback=self._renamed
        )
        dpg.bind_item_handler_registry(self._title, self._handlers)
        self._typed[self._title] = self._renamed
        words = f"{spec.title} · {spec.category} · {self._id}"
        dpg.bind_item_theme(dpg.add_text(words), theme.text(theme.FAINT))
        if spec.fn is None:
            text = f"The node type {spec.id!r} is not known here. It is kept as it is."
            dpg.bind_item_theme(dpg.add_text(text, wrap=0), theme.text(theme.WARN))
            return
        first, _, more = spec.doc.partition("\n\n")
        dpg.add_text(" ".join(first.split()), wrap=0)
        if more:
            with dpg.tree_node(label="More"):
                for part in more.split("\n\n"):
                    text = dpg.add_text(" ".join(part.split()), wrap=0)
                    dpg.bind_item_theme(text, theme.text(theme.FAINT))

    def _parameters(self, node: Node) -> None:
        dpg.add_spacer(height=2)
        with dpg.table(
            header_row=False, policy=dpg.mvTable_SizingStretchProp, no_pad_outerX=True
        ) as table:
            dpg.add_table_column(width_fixed=True, init_width_or_weight=LABELS)
            dpg.add_table_column(width_stretch=True)
            dpg.add_table_column(width_fixed=True, init_width_or_weight=ICON + 4)
            if brushed(self.app.document.graph, self._id):
                self._brush = brushes.Settings(self.app.brush, self._brush_row)
                for field in self._brush.fields:
                    self._watch(field)
            for name, param in node.spec.params.items():
                self._row(param, node.spec.help.get(name, ""))
            for name, value in node.params.items():
                if name not in node.spec.params:
                    with dpg.table_row():
                        dpg.add_text(name)
                        dpg.add_text(widgets.short(value), wrap=0)
        dpg.bind_item_theme(table, self._flat)

    def _row(self, param: Param, help: str) -> None:
        with dpg.table_row():
            label = dpg.add_text(widgets.label(param.name), wrap=0)
            field = _field(self, param)
            reset = dpg.add_image_button(
                self._icon,
                width=ICON,
                height=ICON,
                show=False,
                user_data=param.name,
                callback=self._reset,
            )
        about = [help, f"Allowed: {param.limits} {param.unit}".strip() if param.limits else ""]
        if isinstance(field, widgets.Number):
            about.append("Ctrl+click to type a value.")
        _tooltip(label, "\n".join(filter(None, about)))
        _tooltip(reset, f"Back to {widgets.shown(param, param.default)}")
        self._watch(field)
        self._rows[param.name] = Row(field, reset)

    def _watch(self, field: Field) -> None:
        """Have gestures with a field, and what is typed into it, noticed."""
        for item in {field.item, *field.typed}:
            dpg.bind_item_handler_registry(item, self._handlers)
        self._typed |= field.typed

    def _brush_row(self, name: str, help: str, build: Callable[[], Any]) -> None:
        with dpg.table_row():
            label = dpg.add_text(widgets.label(name), wrap=0)
            build()
        _tooltip(label, help)

    # ---- following the graph ---------------------------------------------------------------

    def _fill(self, anew: bool = False) -> None:
        """Put the node's values into the widgets that show others, or into all."""
        node = self._node
        if node is None:
            return
        dpg.set_value(self._title, node.title or node.spec.title)
        for name, row in self._rows.items():
            value, param = node.params[name], node.spec.params[name]
            if anew or row.field.read() != value:
                row.field.show(value)
            dpg.configure_item(row.reset, show=value != param.default)

    def _renamed(self) -> None:
        spec, title = self._node.spec, dpg.get_value(self._title).strip()
        title = "" if title == spec.title else title
        if title != self._node.title:
            graph = self.app.document.graph.change(self._id, title=title)
            self.app.edit(graph, f"Rename {self._node.title or spec.title}")
        elif not title:
            dpg.set_value(self._title, spec.title)

    def _reset(self, _sender, _data, name: str) -> None:
        self._drag, self._loose = None, False
        self.set(name, self._node.spec.params[name].default)

    # ---- news ------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Say what came of the last run, if that has changed."""
        if self._node is None:
            return
        fraction = self._running.get(self._id)
        told = (self._news.get(self._id), self._node.bypass, fraction)
        if told == self._told:
            return
        self._told = told
        dpg.delete_item(self._status, children_only=True)
        for text, color in news(*told):
            item = dpg.add_text(text, wrap=0, parent=self._status)
            dpg.bind_item_theme(item, theme.text(color))


def news(event: Event | None, bypass: bool, fraction: float | None) -> list[tuple[str, tuple]]:
    """Say in (text, colour) lines what came of a node's last run."""
    lines = []
    if bypass:
        lines.append(("Bypassed: passes its first input on.", theme.FAINT))
    if fraction is not None:
        done = f" {fraction * 100:.0f} %" if fraction else " …"
        lines.append((f"Running{done}", theme.ACCENT))
    if event is None:
        return lines or [("Not run yet.", theme.FAINT)]
    if event.error is not None:
        return lines + _fault(event)
    at = "" if event.scale == 1 else " at preview size"
    took = duration(event.seconds)
    if event.kind == "done":
        lines.append((f"Ran {took}{at}: {event.reason or 'asked for'}", theme.GOOD))
    elif not bypass:
        lines.append((f"Reused{at}, made in {took}", theme.FAINT))
    return lines + [(note, theme.WARN) for note in event.notes]


def _fault(event: Event) -> list[tuple[str, tuple]]:
    """Say what kept a node from running, and what to do."""
    error = event.error
    # What only lacks a link, or waits for another node, is unfinished, not broken.
    unfinished = isinstance(error, GraphError)
    word = "Waiting" if unfinished else "Failed"
    place = error.where.removeprefix(event.node).lstrip(".: ")
    text = ": ".join(filter(None, (word, place, error.what)))
    lines = [(text, theme.WARN if unfinished else theme.BAD)]
    return lines + ([(error.hint, theme.TEXT)] if error.hint else [])


def duration(seconds: float) -> str:
    """Give a duration in ms or s."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _field(host: Inspector, param: Param) -> Field:
    """Make the widget that fits a parameter, on top of the container stack."""
    kinds = {
        "color": widgets.Color,
        "file": widgets.File,
        "save": widgets.File,
        "model": models.Model,
        "device": models.Device,
    }
    if param.kind in kinds:
        return kinds[param.kind](host, param)
    if param.choices:
        return widgets.Choice(host, param)
    if get_origin(param.type) is tuple and Stroke in get_args(param.type):
        return brushes.Strokes(host, param)
    if param.scale == "log" and (widgets.travel(param)[0] or 0) > 0:
        return widgets.LogNumber(host, param)
    simple = {bool: widgets.Switch, str: Field, int: widgets.Number, float: widgets.Number}
    return simple.get(param.type, widgets.Raw)(host, param)


def _tooltip(item: int | str, text: str) -> None:
    if text:
        with dpg.tooltip(item, delay=0.4):
            dpg.add_text(text, wrap=340)


def _reset_icon() -> int | str:
    """Draw an arrow that turns back."""
    side, big = ICON, ICON * 8
    drawn = np.zeros((big, big), np.uint8)
    middle, radius = (big // 2, big // 2), int(big * 0.34)
    cv2.ellipse(drawn, middle, (radius, radius), 0, -60, 200, 255, big // 9, cv2.LINE_AA)
    tip = np.array([[0.50, 0.02], [0.50, 0.36], [0.80, 0.19]]) * big
    cv2.fillPoly(drawn, [cv2.flip(tip, 0).astype(np.int32)], 255)
    drawn = cv2.flip(cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA), 1)
    pixels = np.ones((side, side, 4), np.float32)
    pixels[..., :3] = np.float32(theme.FAINT) / 255
    pixels[..., 3] = drawn / np.float32(255)
    with dpg.texture_registry():
        return dpg.add_static_texture(side, side, pixels.ravel())


def _flat() -> int | str:
    """Make the theme of the table: its small buttons have no frame."""
    with dpg.theme() as made:
        with dpg.theme_component(dpg.mvImageButton):
            dpg.add_theme_color(dpg.mvThemeCol_Button, (0, 0, 0, 0))
            dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 2, 4)
        with dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_CellPadding, 3, 2)
    return made
