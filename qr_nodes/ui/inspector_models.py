"""Fields for the network's weights and for the device that runs it.

What takes a moment (looking for devices, fetching weights) is done in a thread; its result is
posted to the window. State: the devices found, once per process, and the downloads under way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import dearpygui.dearpygui as dpg

from qr_nodes.errors import Cancelled, ModelError, QrNodesError
from qr_nodes.inference import registry, store
from qr_nodes.inference.registry import Model as Entry
from qr_nodes.ui import theme
from qr_nodes.ui.inspector_widgets import Field

GENERAL = ("auto", "cpu", "gpu")
"""Devices that may be asked for without knowing which there are."""

LOOK = 0.1
"""Seconds between two reports of a download."""


class Download:
    """Weights being fetched, in a thread of its own.

    Parameters
    ----------
    name : str
        The model.
    post : callable
        Has the main thread call something.
    done : callable
        Takes the error, or None if the weights are here.
    """

    def __init__(self, name: str, post: Callable, done: Callable[[QrNodesError | None], None]):
        self.name, self.bytes, self.total = name, 0, None
        self._post, self._done, self._stop = post, done, threading.Event()
        self._told = 0.0
        self._thread = threading.Thread(target=self._fetch, name=f"qr-nodes fetch {name}")
        self._thread.start()

    def stop(self) -> None:
        """Give up, at the next block."""
        self._stop.set()

    def _fetch(self) -> None:
        try:
            store.fetch(self.name, self._progress)
        except Cancelled:
            self._post(self._done, ModelError("fetching was given up.", self.name))
        except QrNodesError as error:
            self._post(self._done, error)
        except Exception as error:
            fault = ModelError(f"fetching failed: {error}.", self.name, "Try again.")
            self._post(self._done, fault)
        else:
            self._post(self._done, None)

    def _progress(self, done: int, total: int | None) -> None:
        if self._stop.is_set():
            raise Cancelled
        self.bytes, self.total = done, total
        if time.monotonic() - self._told > LOOK:
            self._told = time.monotonic()
            self._post(lambda: None)  # wakes the window


class Model(Field):
    """A model to choose, whether its weights are here, on what terms, and a way to fetch them."""

    def build(self) -> None:
        with dpg.group():
            self.item = dpg.add_combo([], width=-1, callback=self.changed, height_mode=2)
            self._state = dpg.add_text("", wrap=0)
            with dpg.tooltip(self._state, delay=0.4):
                self._licence = dpg.add_text("", wrap=360)
            self._fetch = dpg.add_button(label="Download", callback=self._asked)
            self._bar = dpg.add_progress_bar(width=-1, height=18, show=False)
        self._name = ""
        self._known: dict[str, Entry] = {}
        self._list()

    def show(self, value: str) -> None:
        self._name = value
        entry = self._known.get(value)
        here = entry is not None and store.is_here(value)
        dpg.set_value(self.item, _named(value, here))
        busy = self.host.downloads.get(value)
        dpg.set_value(self._state, _terms(value, entry, here))
        dpg.set_value(self._licence, entry.licence if entry else value)
        warn = entry is None or entry.commercial == "no"
        dpg.bind_item_theme(self._state, theme.text(theme.WARN if warn else theme.FAINT))
        fetchable = entry is not None and not here and bool(entry.sources)
        dpg.configure_item(self._fetch, show=fetchable and busy is None)
        if fetchable:
            dpg.set_item_label(self._fetch, f"Download{_size(entry.bytes)}")
        dpg.configure_item(self._bar, show=busy is not None)

    def read(self) -> str:
        return dpg.get_value(self.item).partition("  ")[0]

    def frame(self) -> None:
        busy = self.host.downloads.get(self._name)
        if busy is not None:
            dpg.set_value(self._bar, busy.bytes / busy.total if busy.total else 0.0)
            done = f"{busy.bytes / 1e6:.1f}"
            overlay = f"{done} of {busy.total / 1e6:.1f} MB" if busy.total else f"{done} MB"
            dpg.configure_item(self._bar, overlay=overlay)

    def _list(self) -> None:
        try:
            models = registry.models()
        except ModelError as error:  # the user's own list cannot be read: the package's can
            self.host.app.say(str(error), "error")
            models = registry.packaged()
        self._known = models
        names = [_named(name, store.is_here(name)) for name in self._known]
        dpg.configure_item(self.item, items=names)

    def _asked(self) -> None:
        entry = self._known[self._name]
        if entry.commercial == "yes":
            self._go(entry.name)
            return
        from qr_nodes.ui import dialogs

        terms = {
            "no": "These weights may not be used commercially.",
            "unclear": "Whether these weights may be used commercially is unclear.",
        }[entry.commercial]
        text = f"{terms}\n{entry.licence}\n{entry.page}".strip()
        go = partial(self._go, entry.name)
        dialogs.ask(self.host.app, f"Download {entry.name}?", text, {"Download": go})

    def _go(self, name: str) -> None:
        self.host.fetch(name)
        self.refresh()

    def refresh(self) -> None:
        """Look again which weights are here."""
        self._list()
        self.show(self._name)


class Device(Field):
    """A device to choose; those that cannot run are told of with the reason."""

    def build(self) -> None:
        self.item = dpg.add_combo(list(GENERAL), width=-1, callback=self.changed)
        self._told = False

    def show(self, value: str) -> None:
        dpg.set_value(self.item, value)

    def frame(self) -> None:
        found = self.host.devices()
        if self._told or found is None:
            return
        self._told = True
        there = [device.name for device in found if device.available and device.kind != "cpu"]
        dpg.configure_item(self.item, items=[*GENERAL, *there])
        reasons = [f"{device.name}: {device.reason}" for device in found if device.reason]
        if reasons:
            with dpg.tooltip(self.item, delay=0.4):
                dpg.add_text("\n".join(reasons), wrap=360)


def find_devices(take: Callable[[list], None], post: Callable) -> threading.Thread:
    """Look for devices in a thread; have the main thread call `take` with them."""

    def look() -> None:
        from qr_nodes.inference import devices

        try:
            found = devices.devices()
        except QrNodesError:
            found = []
        post(take, found)

    thread = threading.Thread(target=look, name="qr-nodes devices")
    thread.start()
    return thread


def _named(name: str, here: bool) -> str:
    return name if here else f"{name}  (to download)"


def _size(count: int | None) -> str:
    return f" ({count / 1e6:.0f} MB)" if count else ""


def _terms(name: str, entry: Entry | None, here: bool) -> str:
    """Say whether a model's weights are here and on what terms they may be used."""
    if entry is None:
        return f"There is no model {name!r} here."
    limits = " Not for commercial use." if entry.commercial == "no" else ""
    if here:
        return f"Weights: {entry.licence.partition(';')[0].rstrip('.')}.{limits}"
    where = "Its weights are not here yet."
    if not entry.sources:
        where = f"Get {entry.file} by hand and add it with 'qr-nodes models add'."
    return f"{where} {entry.licence}{limits}"
