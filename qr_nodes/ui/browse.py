"""A file dialog of our own, for systems that lend none: a path, a list, a name to type.

Typing narrows the list; Up and Down move through it; Enter opens the folder or takes the file.
Where a folder is wanted, Enter takes the one that is shown unless another is marked or typed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import dearpygui.dearpygui as dpg

from qr_nodes.errors import QrNodesError
from qr_nodes.ui import theme
from qr_nodes.ui.modal import ENTER, Modal, ask

SHOWN = 300
"""Entries in the list at most; typing narrows it."""

WIDTH, HEIGHT = 640, 340
FORMAT = 110
"""Width of the choice of a file's kind, px."""

ENDING = re.compile(r"\.[A-Za-z]{2,4}")
"""What of a name is meant as an ending, and not as "1.5" or "final.version" is."""

Check = Callable[[str], None]
"""Raises what keeps a path from being taken, as a QrNodesError."""


def refusal(check: Check, path: str) -> str:
    """Return in a sentence what `check` has against a path, or ""."""
    try:
        check(path)
    except QrNodesError as error:
        return f"{Path(path).name}: {error.what} {error.hint}".strip()
    return ""


def entries(
    folder: str,
    globs: Sequence[str] = (),
    typed: str = "",
    save: bool = False,
    folders: bool = False,
) -> list[tuple[str, bool]]:
    """List a folder: names and whether each is a folder, folders first.

    Hidden ones are left out unless a dot is typed. `typed` narrows the list to names that hold
    it, in any case, those that begin with it first; when saving it is a new name, and does not.
    `folders` leaves out files.
    """
    typed = "" if save else typed.lower()
    found = []
    with os.scandir(folder) as scan:
        for entry in scan:
            name = entry.name.lower()
            is_folder = entry.is_dir()
            fits = is_folder or not globs or any(fnmatch(name, glob.lower()) for glob in globs)
            fits = is_folder if folders else fits
            if fits and typed in name and (typed.startswith(".") or not name.startswith(".")):
                found.append((not is_folder, not name.startswith(typed), name, entry.name))
    return [(name, not is_file) for is_file, _, _, name in sorted(found)]


def with_ending(path: str, globs: Sequence[str]) -> str:
    """Give `path` with the first glob's ending if it has none."""
    ending = Path(globs[0]).suffix if globs else ""
    return path if Path(path).suffix or "*" in ending else path + ending


def browse(
    app, wanted, done: Callable[[list[str]], None], check: Check = lambda path: None
) -> None:
    """Ask for a file as `wanted` (dialogs.Wanted) says; `done` gets a list with its path.

    Of a file to be saved, what `check` refuses is said, and the dialog stays.
    """
    _Browser(app, wanted, done, check)


class _Browser:
    """The dialog's state: the folder shown, its list, and which entry Enter means."""

    def __init__(self, app, wanted, done: Callable[[list[str]], None], check: Check):
        self.app, self.wanted, self.done, self.check = app, wanted, done, check
        self._format: int | str = 0
        self.folder, self.listed, self.marked = wanted.folder, [], 0
        self.modal = Modal(app, wanted.title, self._fill, width=WIDTH)

    def _fill(self, modal: Modal) -> None:
        self.modal = modal
        with dpg.group(horizontal=True):
            dpg.add_button(label="Up", width=60, callback=lambda: self.go(".."))
            self._path = dpg.add_input_text(width=-1)
        self._list = dpg.add_child_window(height=HEIGHT, width=-1)
        self._fault = modal.text("", theme.BAD)
        with dpg.group(horizontal=True):
            several = self.wanted.save and len(self.wanted.kinds) > 1
            self._line = dpg.add_group(width=modal.inner - (FORMAT + 6 if several else 0))
            if several:
                kinds = list(self.wanted.kinds)
                self._format = dpg.add_combo(kinds, width=-1, callback=self._chosen_format)
                dpg.set_value(self._format, kinds[0])
        self._set_name(self.wanted.name)
        word = "Save" if self.wanted.save else "Open"
        if self.wanted.folders:
            modal.buttons({"Choose": self.choose, "Cancel": modal.close})
            modal.keys |= dict.fromkeys(ENTER, self.enter)
        else:
            modal.buttons({word: self.enter, "Cancel": modal.close})
        modal.keys[dpg.mvKey_Up] = partial(self.mark, -1)
        modal.keys[dpg.mvKey_Down] = partial(self.mark, 1)
        self.go(".")

    def go(self, name: str) -> None:
        """Show a folder, given from the present one or in full."""
        folder = os.path.normpath(os.path.join(self.folder, os.path.expanduser(name)))
        if self._list_of(folder):
            self.folder = folder
            dpg.set_value(self._fault, "")
            dpg.set_value(self._path, folder)
            if not self.wanted.save:
                self._set_name("")
            self._show()

    def _list_of(self, folder: str, typed: str = "") -> bool:
        """Read a folder's list; say whether it could be."""
        try:
            wanted = self.wanted
            self.listed = entries(folder, wanted.globs, typed, wanted.save, wanted.folders)
        except OSError as error:
            dpg.set_value(self._fault, f"{folder}: it cannot be opened ({error.strerror}).")
            return False
        # Enter without more takes the folder that is shown, where a folder is wanted.
        new = self.wanted.save or (self.wanted.folders and not typed)
        self.marked = -1 if new else 0
        return True

    def mark(self, step: int) -> None:
        """Move the mark through the list."""
        if self.listed:
            self.marked = (self.marked + step) % min(len(self.listed), SHOWN)
            self._name_marked()
            dpg.set_y_scroll(self._list, dpg.get_y_scroll_max(self._list) * self._share())

    def enter(self) -> None:
        """Take what is marked or typed: a path in full, a folder to show, a file."""
        self.modal.refocus()
        path, typed = dpg.get_value(self._path), dpg.get_value(self._name).strip()
        name, is_folder = self.listed[self.marked] if self._marks() else ("", False)
        if path != self.folder:
            self._take(path)
        elif typed and ((self.wanted.save and not is_folder) or os.sep in typed or typed[0] == "~"):
            self._take(typed)
        elif name:
            self._take(name)
        elif self.wanted.folders and not typed:
            self.choose()
        else:
            dpg.set_value(self._fault, "Nothing here is called so.")

    def choose(self) -> None:
        """Take the folder that is marked, or else the one that is shown."""
        path = os.path.expanduser(dpg.get_value(self._path))
        if path == self.folder and self._marks():
            path = os.path.join(path, self.listed[self.marked][0])
        if os.path.isdir(path):
            self.modal.answer(partial(self.done, [os.path.normpath(path)]))
        else:
            dpg.set_value(self._fault, f"{path} is no folder.")

    def _marks(self) -> bool:
        return 0 <= self.marked < len(self.listed)

    def _take(self, name: str) -> None:
        path = os.path.normpath(os.path.join(self.folder, os.path.expanduser(name)))
        if os.path.isdir(path):
            self.go(path)
        elif self.wanted.save:
            self._save(path)
        elif os.path.isfile(path):
            self.modal.answer(partial(self.done, [path]))
        else:
            dpg.set_value(self._fault, f"{path} is not there.")

    def _save(self, path: str) -> None:
        path = with_ending(path, self._globs)
        if not os.path.isdir(os.path.dirname(path)):
            dpg.set_value(self._fault, f"There is no folder {os.path.dirname(path)}.")
            return
        if fault := refusal(self.check, path):
            dpg.set_value(self._fault, fault)
            return
        give = partial(self.done, [path])
        if os.path.exists(path):
            text = f"{Path(path).name} is there already. Replace it?"
            give = partial(ask, self.app, self.wanted.title, text, {"Replace": give})
        self.modal.answer(give)

    @property
    def _globs(self) -> Sequence[str]:
        """The patterns of the kind that is chosen, or else all."""
        kinds = self.wanted.kinds
        return kinds[dpg.get_value(self._format)] if self._format else self.wanted.globs

    def _chosen_format(self, _, kind: str) -> None:
        """Return the name the ending of a kind."""
        name, ending = dpg.get_value(self._name).strip(), Path(self.wanted.kinds[kind][0]).suffix
        if ENDING.fullmatch(suffix := Path(name).suffix):
            name = name.removesuffix(suffix)
        dpg.set_value(self._fault, "")
        self._set_name(name and name + ending)

    def _follow_format(self, name: str) -> None:
        """Show of which kind a name's ending is."""
        for kind, globs in self.wanted.kinds.items() if self._format else ():
            if any(fnmatch(name.lower(), glob) for glob in globs):
                dpg.set_value(self._format, kind)

    def _set_name(self, name: str) -> None:
        """Write a name into a new field: one that has the keyboard heeds nothing else."""
        self._follow_format(name)
        dpg.delete_item(self._line, children_only=True)
        self.modal.focus = self._name = dpg.add_input_text(
            hint="Name of the file" if self.wanted.save else "Type to find",
            default_value=name,
            width=-1,
            callback=self._typed,
            parent=self._line,
        )
        self.modal.refocus()

    def _typed(self, _, typed: str) -> None:
        self._follow_format(typed)
        if self._list_of(self.folder, typed):
            self._show()

    def _show(self) -> None:
        dpg.delete_item(self._list, children_only=True)
        for index, (name, is_folder) in enumerate(self.listed[:SHOWN]):
            row = dpg.add_selectable(
                label=f"{name}/" if is_folder else name,
                default_value=index == self.marked,
                callback=partial(self._clicked, index),
                parent=self._list,
            )
            if is_folder:
                dpg.bind_item_theme(row, theme.text((150, 190, 255)))
        rest = len(self.listed) - SHOWN
        if rest > 0 or not self.listed:
            words = f"… and {rest} more: type to find them." if rest > 0 else "Nothing to show."
            dpg.add_text(words, color=theme.FAINT, parent=self._list)

    def _clicked(self, index: int) -> None:
        """A click marks, a click on what is marked takes."""
        if index == self.marked:
            self._take(self.listed[index][0])
            return
        self.marked = index
        self._name_marked()

    def _name_marked(self) -> None:
        if self.wanted.save and not self.listed[self.marked][1]:
            self._set_name(self.listed[self.marked][0])
        self._show()

    def _share(self) -> float:
        """How far down the list the mark is, 0 to 1."""
        return self.marked / max(1, min(len(self.listed), SHOWN) - 1)
