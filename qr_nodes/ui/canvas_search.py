"""The small windows that open at the mouse: search for a node to add, a menu, a line of text.

State: the one that is open, and in the search what is typed, found and marked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import dearpygui.dearpygui as dpg

from qr_nodes.node import NodeSpec
from qr_nodes.ui import theme

WIDTH, ROWS = 270, 12

Action = tuple[str, str, Callable[[], None] | None]
"""A line of a menu: label, shortcut, what it does; without a label a line between two groups."""


def found(specs: Iterable[NodeSpec], text: str) -> list[NodeSpec]:
    """Give the specs that fit what is typed, best first.

    Every word must occur: at the start of the title, of a word of it, anywhere in it or in the
    category, or in the description, or in a parameter's name, in that order.
    """
    words = text.lower().split()
    ranked = []
    for spec in specs:
        ranks = [_rank(spec, word) for word in words]
        if None not in ranks:
            ranked.append((sum(ranks), spec.title, spec))
    return [spec for _, _, spec in sorted(ranked, key=lambda entry: entry[:2])]


def _rank(spec: NodeSpec, word: str) -> int | None:
    title = spec.title.lower()
    tests = (
        title.startswith(word),
        any(part.startswith(word) for part in title.replace("/", " ").split()),
        word in title or word in spec.id,
        spec.category.lower().startswith(word),
        len(word) > 2 and word in spec.doc.lower(),
        any(name.startswith(word) for name in spec.params),
    )
    return next((rank for rank, true in enumerate(tests) if true), None)


class Popup:
    """Opens one small window at a time over the canvas.

    Parameters
    ----------
    wake : callable
        Asks for frames at full speed.
    """

    def __init__(self, wake: Callable[[], None]):
        self.wake = wake
        self.window: int | str = 0
        self.specs: list[NodeSpec] = []
        self.shown: list[NodeSpec] = []
        self.marked = 0
        self.closed = -1
        self.done: Callable | None = None
        self.field: int | str = 0
        with dpg.theme() as self.even, dpg.theme_component(dpg.mvText):
            # Text stands as high as the lines it is beside.
            dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 0, 0)
        with dpg.handler_registry():
            for key, call in (
                (dpg.mvKey_Down, partial(self._step, 1)),
                (dpg.mvKey_Up, partial(self._step, -1)),
                (dpg.mvKey_Return, self._enter),
                (dpg.mvKey_NumPadEnter, self._enter),
                (dpg.mvKey_Escape, self.close),
            ):
                dpg.add_key_press_handler(key, callback=partial(self._key, call))

    @property
    def open(self) -> bool:
        """Whether one of the windows is open."""
        return dpg.does_item_exist(self.window) and dpg.is_item_shown(self.window)

    @property
    def takes_keys(self) -> bool:
        """Whether a key pressed now is for it: it is open, or that very key closed it."""
        return self.open or dpg.get_frame_count() == self.closed

    def close(self) -> None:
        """Close what is open."""
        if dpg.does_item_exist(self.window):
            dpg.delete_item(self.window)
            self.closed = dpg.get_frame_count()
        self.window = self.field = 0
        self.done, self.specs, self.shown = None, [], []

    def search(
        self, specs: Sequence[NodeSpec], at: Sequence[float], done: Callable[[NodeSpec], None]
    ) -> None:
        """Let the user choose one of `specs` by typing; `done` takes it."""
        self._begin(at)
        self.specs, self.done = list(specs), done
        self._add_field("", "Add a node…", self._typed)
        self.list = dpg.add_group(parent=self.window)
        self._typed(self.field, "")

    def ask(self, text: str, at: Sequence[float], done: Callable[[str], None]) -> None:
        """Let the user edit a line of text; `done` takes it on Enter."""
        self._begin(at)
        self.done = done
        self._add_field(text, "", None)

    def menu(self, actions: Iterable[Action], at: Sequence[float]) -> None:
        """Let the user choose from a menu."""
        self._begin(at)
        for label, shortcut, call in actions:
            if not label:
                dpg.add_separator(parent=self.window)
                continue
            dpg.add_menu_item(
                label=label,
                shortcut=shortcut,
                parent=self.window,
                enabled=call is not None,
                callback=partial(self._picked, call),
            )

    def _begin(self, at: Sequence[float]) -> None:
        self.close()
        self.window = dpg.add_window(
            popup=True, pos=(int(at[0]), int(at[1])), no_title_bar=True, min_size=(10, 10)
        )
        self.wake()

    def _add_field(self, text: str, hint: str, callback: Callable | None) -> None:
        self.field = dpg.add_input_text(
            default_value=text,
            hint=hint,
            width=WIDTH,
            parent=self.window,
            callback=callback,
            auto_select_all=True,
        )
        dpg.focus_item(self.field)

    def _picked(self, call: Callable[[], None]) -> None:
        self.close()
        call()

    def _key(self, call: Callable[[], None]) -> None:
        if self.open:
            call()

    def _enter(self) -> None:
        if self.specs and self.shown:
            self._choose(self.shown[self.marked])
        elif self.field and not self.specs:
            done, text = self.done, dpg.get_value(self.field)
            self.close()
            done(text.strip())

    def _choose(self, spec: NodeSpec) -> None:
        done = self.done
        self.close()
        done(spec)

    def _typed(self, field: int | str, text: str) -> None:
        if field != self.field:  # Esc gives the old text back to a field that is gone
            return
        self.shown, self.marked = found(self.specs, text), 0
        self._list()

    def _step(self, by: int) -> None:
        if self.shown:
            self.marked = (self.marked + by) % len(self.shown)
            self._list()

    def _list(self) -> None:
        """Show the part of what was found that has the marked line in it."""
        dpg.delete_item(self.list, children_only=True)
        first = max(0, min(self.marked - ROWS // 2, len(self.shown) - ROWS))
        with dpg.table(header_row=False, width=WIDTH, parent=self.list):
            dpg.add_table_column(init_width_or_weight=0.7)
            dpg.add_table_column(init_width_or_weight=0.3)
            for number, spec in enumerate(self.shown[first : first + ROWS], first):
                with dpg.table_row():
                    dpg.add_selectable(
                        label=spec.title,
                        default_value=number == self.marked,
                        span_columns=True,
                        callback=partial(self._choose, spec),
                    )
                    color = theme.CATEGORY.get(spec.category, theme.FAINT)
                    color = tuple(min(255, value + 60) for value in color)
                    dpg.bind_item_theme(dpg.add_text(spec.category, color=color), self.even)
        doc = self.shown[self.marked].doc.split("\n")[0] if self.shown else "Nothing fits."
        dpg.add_text(doc, color=theme.FAINT, wrap=WIDTH, parent=self.list)
