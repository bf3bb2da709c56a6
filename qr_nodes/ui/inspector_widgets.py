"""Widgets for parameters: each is made from the declaration and reads as the parameter's value.

A `Field` puts a value into its widget (`show`), gives what the widget says (`read`), and tells
its host of changes (`host.set(name, value)`). It keeps no value of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from qr_nodes.node import Param
from qr_nodes.ui import theme

BUTTON = 78
"""Width of a button beside a field, px."""

_SPELT = {"dpi": "DPI", "gpu": "GPU"}


class Field:
    """A parameter's widget; built into the item that is on top of the container stack.

    Attributes
    ----------
    item : the widget that shows the value
    typed : what to call when the keyboard leaves a widget that text was typed into
    """

    item: int | str

    def __init__(self, host, param: Param):
        self.host, self.param = host, param
        self.typed: dict[int | str, Callable[[], None]] = {}
        self.build()

    def build(self) -> None:
        """Make the widget; set `item`."""
        self.item = dpg.add_input_text(width=-1, on_enter=True, callback=self.changed)
        self.typed[self.item] = self.changed

    def show(self, value: Any) -> None:
        """Put a value into the widget."""
        dpg.set_value(self.item, value)

    def read(self) -> Any:
        """Give the value that the widget shows."""
        return dpg.get_value(self.item)

    def changed(self) -> None:
        """Hand the widget's value on."""
        self.host.set(self.param.name, self.read())

    def frame(self) -> None:
        """Do what is to be done on every frame."""


class Number(Field):
    """A slider over the usual values; Ctrl+click types any other within the limits."""

    def build(self) -> None:
        param = self.param
        low, high = travel(param)
        whole = param.type is int
        if low is None or high is None:
            add = dpg.add_drag_int if whole else dpg.add_drag_float
            self.item = add(width=-1, callback=self.changed, format=number_format(param))
            return
        add = dpg.add_slider_int if whole else dpg.add_slider_float
        self.item = add(
            width=-1,
            min_value=int(low) if whole else low,
            max_value=int(high) if whole else high,
            format=number_format(param),
            callback=self.changed,
        )

    def read(self) -> Any:
        # Dear PyGui keeps float32: its 2.0999999 is the user's 2.1.
        raw = dpg.get_value(self.item)
        return within(self.param, raw if self.param.type is int else float(f"{raw:.6g}"))

    def changed(self) -> None:
        value = self.read()
        if not math.isclose(dpg.get_value(self.item), value, rel_tol=1e-5, abs_tol=1e-9):
            dpg.set_value(self.item, value)
        super().changed()


class LogNumber(Field):
    """A slider that travels by factors, and a field beside it to type into."""

    def build(self) -> None:
        low, high = travel(self.param)
        self._low, self._span = math.log(low), math.log(high / low)
        with dpg.group(horizontal=True):
            self.item = dpg.add_slider_float(
                width=-BUTTON - 6, max_value=1.0, no_input=True, format="", callback=self.changed
            )
            self._typed = dpg.add_input_float(
                width=-1, step=0, format="%.4g", callback=self._entered
            )
        self.typed[self._typed] = self._entered

    def show(self, value: float) -> None:
        place = (math.log(max(value, 1e-9)) - self._low) / self._span
        dpg.set_value(self.item, min(max(place, 0.0), 1.0))
        dpg.set_value(self._typed, value)

    def read(self) -> float:
        return float(f"{dpg.get_value(self._typed):.6g}")

    def changed(self) -> None:
        value = math.exp(self._low + self._span * dpg.get_value(self.item))
        self.host.set(self.param.name, within(self.param, float(f"{value:.3g}")))

    def _entered(self) -> None:
        value = within(self.param, self.read())
        self.show(value)
        self.host.set(self.param.name, value)


class Switch(Field):
    """A checkbox."""

    def build(self) -> None:
        self.item = dpg.add_checkbox(callback=self.changed)


class Choice(Field):
    """A list to choose from."""

    def build(self) -> None:
        self._values = {str(value): value for value in self.param.choices}
        self.item = dpg.add_combo(list(self._values), width=-1, callback=self.changed)

    def show(self, value: Any) -> None:
        dpg.set_value(self.item, str(value))

    def read(self) -> Any:
        return self._values.get(dpg.get_value(self.item))


class Color(Field):
    """A colour as a swatch that opens a picker, and as #rrggbb to type."""

    def build(self) -> None:
        self.item = dpg.add_color_edit(
            no_alpha=True,
            display_mode=dpg.mvColorEdit_hex,
            width=-1,
            no_label=True,
            callback=self.changed,
        )

    def show(self, value: str) -> None:
        dpg.set_value(self.item, [*bytes.fromhex(value[1:7]), 255])

    def read(self) -> str:
        parts = (min(max(round(part), 0), 255) for part in dpg.get_value(self.item)[:3])
        return "#{:02x}{:02x}{:02x}".format(*parts)


class File(Field):
    """A file's path and a button that opens a dialog for it."""

    def build(self) -> None:
        with dpg.group(horizontal=True):
            self.item = dpg.add_input_text(
                width=-BUTTON - 6, on_enter=True, callback=self.changed, hint="no file chosen"
            )
            dpg.add_button(label="Browse…", width=-1, callback=self._browse)
        self.typed[self.item] = self.changed

    def _browse(self) -> None:
        self.host.browse(self.param, self.read(), self._chosen)

    def _chosen(self, paths: Any) -> None:
        path = paths if isinstance(paths, str | Path) else next(iter(paths or ()), "")
        if path:
            self.show(str(path))
            self.changed()


class Raw(Field):
    """A value that no widget is made for, to be read only."""

    def build(self) -> None:
        self.item = dpg.add_text("")
        dpg.bind_item_theme(self.item, theme.text(theme.FAINT))

    def show(self, value: Any) -> None:
        self._value = value
        dpg.set_value(self.item, short(value))

    def read(self) -> Any:
        return self._value


def travel(param: Param) -> tuple[float | None, float | None]:
    """Give the ends of a number's slider."""
    return param.ui or (param.lo, param.hi)


def within(param: Param, value: float) -> float:
    """Give the number within the hard limits that is nearest to `value`."""
    if param.lo is not None and value < param.lo:
        return param.type(param.lo)
    if param.hi is not None and value > param.hi:
        return param.type(param.hi)
    return value


def number_format(param: Param) -> str:
    """Give the format of a number with its unit, as fine as a slider can be moved."""
    unit = f" {param.unit.replace('%', '%%')}" if param.unit else ""
    if param.type is int:
        return f"%d{unit}"
    low, high = travel(param)
    span = 1.0 if low is None or high is None else high - low
    return f"%.{0 if span > 2000 else 1 if span > 20 else 2}f{unit}"


def label(name: str) -> str:
    """Give a parameter's name as it is shown."""
    words = [_SPELT.get(word, word) for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def short(value: Any, length: int = 200) -> str:
    """Give a value as text that is not too long."""
    text = value if isinstance(value, str) else re.sub(r"\s+", " ", repr(value))
    return text if len(text) <= length else text[: length - 1] + "…"


def shown(param: Param, value: Any) -> str:
    """Give a value in words, with its unit."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return f"{value:g} {param.unit}".strip()
    return short(value, 60) if value else "nothing"
