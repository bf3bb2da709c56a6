"""A Brush Edit node in the inspector: the brush in hand, and the list of strokes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg
import msgspec

from qr_nodes.node import Param
from qr_nodes.types import Stroke
from qr_nodes.ui import theme
from qr_nodes.ui.brush import SIZES, Brush
from qr_nodes.ui.inspector_widgets import BUTTON, Field, LogNumber, Number

LISTED = 50
"""Strokes that the list shows: the newest."""

MODES = {"Paint": "paint", "Erase": "erase", "Refine": "refine"}

DONE = {"paint": "painted", "erase": "erased", "refine": "marked as unsure"}

_PERCENT = {"unit": "%", "type": float}
_SIZES = (100 * SIZES[0], 100 * SIZES[1])
SETTINGS = {
    "size": Param(*_SIZES, ui=(0.1, 100), scale="log", name="size", **_PERCENT),
    "hardness": Param(0, 100, name="hardness", **_PERCENT),
    "opacity": Param(0, 100, name="opacity", **_PERCENT),
    "edge_aware": Param(0, 100, name="edge_aware", **_PERCENT),
    "smoothing": Param(0, 100, name="smoothing", **_PERCENT),
}
HELP = {
    "size": "Width of the brush in % of the picture's longer side. [ and ] change it, as does "
    "Ctrl with the wheel over the picture.",
    "hardness": "100 % is full up to the rim, 0 % fades from the middle on. The inner ring at "
    "the cursor shows where the brush begins to fade.",
    "opacity": "How far one stroke goes. Strokes build up on each other.",
    "edge_aware": "How far edges in the picture hold a stroke back. The stroke fills what is like "
    "its middle and stops where that ends. E switches it on and off.",
    "smoothing": "How far the hand is smoothed: the brush follows the mouse on a string.",
    "left button": "What the left button does: paint the picture back in, erase it, or mark the "
    "matte as unsure for Refine Edges, by the output 'unsure'. The right one erases, or paints "
    "while the left one erases. X swaps them, R takes the refine brush. Shift+click draws a "
    "straight line from the end of the last stroke, Ctrl+drag changes size and hardness.",
}


class Settings:
    """The brush's settings as fields; they follow the brush when keys change it.

    Parameters
    ----------
    brush : Brush
        What is set.
    row : callable
        Makes a row: `row(label, help, build)` calls `build()` where the widget goes.
    """

    def __init__(self, brush: Brush, row: Callable[[str, str, Callable[[], Any]], None]):
        self._brush, self._shown = brush, None
        self._fields: dict[str, Field] = {}
        row("left button", HELP["left button"], self._switch)
        for name, param in SETTINGS.items():
            label = f"{name}, %" if param.scale == "log" else name.replace("_", "-")
            row(label, HELP[name], partial(self._field, name))
        self.frame()

    @property
    def fields(self) -> list[Field]:
        """The fields that text can be typed into."""
        return list(self._fields.values())

    def set(self, name: str, percent: float) -> None:
        """Take a setting from its field."""
        setattr(self._brush, name, percent / 100)

    def frame(self) -> None:
        """Follow the brush."""
        brush = self._brush
        now = astuple(brush)
        if now == self._shown:
            return
        self._shown = now
        dpg.set_value(self._mode, brush.mode.capitalize())
        for name, field in self._fields.items():
            value = float(f"{100 * getattr(brush, name):.4g}")
            if field.read() != value:
                field.show(value)

    def _switch(self) -> None:
        self._mode = dpg.add_radio_button(
            list(MODES), horizontal=True, callback=lambda _, name: self._choose(name)
        )

    def _choose(self, name: str) -> None:
        self._brush.mode = MODES[name]

    def _field(self, name: str) -> None:
        param = SETTINGS[name]
        self._fields[name] = (LogNumber if param.scale == "log" else Number)(self, param)


class Strokes(Field):
    """How many strokes there are, and the newest of them: to hide, to delete, to clear away."""

    def build(self) -> None:
        self._value: tuple[Stroke, ...] = ()
        with dpg.group():
            with dpg.group(horizontal=True):
                self.item = dpg.add_input_text(width=-BUTTON - 6, readonly=True)
                self._clear = dpg.add_button(label="Clear", width=-1, callback=self._cleared)
            self._list = dpg.add_group()

    def show(self, value: tuple[Stroke, ...]) -> None:
        self._value = value
        done = {name: sum(stroke.mode == mode for stroke in value) for mode, name in DONE.items()}
        words = ", ".join(f"{count} {name}" for name, count in done.items() if count) or "none yet"
        dpg.set_value(self.item, words)
        dpg.configure_item(self._clear, enabled=bool(value))
        dpg.delete_item(self._list, children_only=True)
        newest = range(len(value) - 1, max(len(value) - LISTED, 0) - 1, -1)
        for index in newest:
            self._line(index, value[index])
        if len(value) > LISTED:
            text = dpg.add_text(f"… and {len(value) - LISTED} older", parent=self._list)
            dpg.bind_item_theme(text, theme.text(theme.FAINT))

    def read(self) -> tuple[Stroke, ...]:
        return self._value

    def _line(self, index: int, stroke: Stroke) -> None:
        with dpg.group(horizontal=True, parent=self._list):
            box = dpg.add_checkbox(
                default_value=not stroke.hidden, user_data=index, callback=self._hidden
            )
            button = dpg.add_button(label="Delete", user_data=index, callback=self._deleted)
            kind = DONE[stroke.mode].capitalize()
            more = f", {stroke.opacity:.0%} opaque" if stroke.opacity < 1 else ""
            more += ", edge-aware" if stroke.edge_aware else ""
            words = f"{index + 1}  {kind}, {100 * stroke.size:.3g}% wide{more}"
            text = dpg.add_text(words.replace("%", " %"))
        color = theme.FAINT if stroke.hidden else theme.TEXT
        dpg.bind_item_theme(text, theme.text(color))
        for item, about in ((box, "Draw this stroke, or leave it out"), (button, "Take it away")):
            with dpg.tooltip(item, delay=0.4):
                dpg.add_text(about)

    def _hidden(self, _sender, _data, index: int) -> None:
        stroke = self._value[index]
        other = msgspec.structs.replace(stroke, hidden=not stroke.hidden)
        what = "Show a stroke" if stroke.hidden else "Hide a stroke"
        self._change((*self._value[:index], other, *self._value[index + 1 :]), what)

    def _deleted(self, _sender, _data, index: int) -> None:
        self._change((*self._value[:index], *self._value[index + 1 :]), "Delete a stroke")

    def _cleared(self) -> None:
        self._change((), "Clear the strokes")

    def _change(self, strokes: tuple[Stroke, ...], what: str) -> None:
        self.host.set(self.param.name, strokes, what)
