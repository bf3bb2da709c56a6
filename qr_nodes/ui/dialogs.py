"""What the window asks and tells: files, questions, progress, help.

Every function returns at once; answers come as calls from the loop. A question that is
cancelled calls nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import dearpygui.dearpygui as dpg

from qr_nodes import resources
from qr_nodes.ui import theme
from qr_nodes.ui.browse import Check, browse, refusal, with_ending
from qr_nodes.ui.modal import Modal, ask, tell
from qr_nodes.ui.system import outside_command


def prompt(
    app, title: str, label: str, value: str, done: Callable[..., None], option: str = ""
) -> Modal:
    """Ask for a line of text; `done` gets it without spaces around it, if there is any.

    With an `option` there is a box to tick, called so, and `done` gets as well whether it is.
    """

    def fill(modal: Modal) -> None:
        def take() -> None:
            if text := dpg.get_value(modal.focus).strip():
                more = [dpg.get_value(box)] if option else []
                modal.answer(partial(done, text, *more))
            else:
                modal.refocus()

        modal.text(label)
        modal.focus = dpg.add_input_text(
            default_value=value, width=modal.inner, auto_select_all=True
        )
        box = dpg.add_checkbox(label=option) if option else 0
        modal.buttons({"OK": take, "Cancel": modal.close})

    return Modal(app, title, fill)


class Progress(Modal):
    """A modal that shows how far something has come, with a button to cancel it.

    `set` and `finish` may be called from any thread.
    """

    def __init__(self, app, title: str, text: str, cancel: Callable[[], None]):
        self._cancel, self._state = cancel, (0.0, text)
        super().__init__(app, title, Progress._contents)

    def set(self, fraction: float, text: str = "") -> None:
        """Show the share done, 0 to 1, and what is being done."""
        self.app.loop.post(self._set, fraction, text)

    def finish(self) -> None:
        """Take it away: it is done."""
        self.app.loop.post(self.close)

    def _contents(self) -> None:
        self._text = self.text(self._state[1])
        self._bar = dpg.add_progress_bar(width=self.inner, height=18)
        self.buttons({"Cancel": partial(self.answer, self._cancel)}, primary=False)
        self._show()

    def _set(self, fraction: float, text: str) -> None:
        self._state = fraction, text or self._state[1]
        if self.open:
            self._show()

    def _show(self) -> None:
        fraction, text = self._state
        dpg.set_value(self._text, text)
        dpg.set_value(self._bar, fraction)
        dpg.configure_item(self._bar, overlay=f"{fraction:.0%}")


# ---- help ----------------------------------------------------------------------------------


SCROLLBAR, GAP = 20, 30  # px


def shortcuts(app, groups: Mapping[str, Sequence[tuple[str, str]]]) -> Modal:
    """Show every command with its shortcut, menu by menu, in two columns of about equal height."""

    def fill(modal: Modal) -> None:
        width = (modal.inner - SCROLLBAR - GAP) // 2
        with dpg.child_window(height=600, border=False), dpg.group(horizontal=True):
            for names in _columns(groups):
                with dpg.group(width=width):
                    for name in names:
                        _group(name, groups[name], width)
                dpg.add_spacer(width=GAP - 12)
        modal.buttons({"Close": modal.close})

    return Modal(app, "Shortcuts", fill, width=760)


def _columns(groups: Mapping[str, Sequence]) -> tuple[list[str], list[str]]:
    """Share the groups out, in their order, where the two columns come closest in length."""
    names = list(groups)
    sizes = [len(groups[name]) + 2 for name in names]
    cut = min(range(len(names) + 1), key=lambda cut: abs(sum(sizes[:cut]) - sum(sizes[cut:])))
    return names[:cut], names[cut:]


def _group(name: str, commands: Sequence[tuple[str, str]], width: int) -> None:
    dpg.add_text(name, color=theme.ACCENT)
    with dpg.table(header_row=False, width=width, policy=dpg.mvTable_SizingFixedFit):
        dpg.add_table_column(width_stretch=True)
        dpg.add_table_column(width_fixed=True)
        for title, keys in commands:
            with dpg.table_row():
                dpg.add_text(title)
                dpg.add_text(keys, color=theme.FAINT)
    dpg.add_spacer(height=8)


def about(app) -> Modal:
    """Show what the program is, its version and its licence."""
    from qr_nodes import __version__

    text = (
        "Cuts subjects out of photographs with a graph of nodes. Every picture stays on this "
        "machine.\n\nMIT licence. Built on Dear PyGui, ONNX Runtime, OpenCV, Pillow and NumPy; "
        "each network carries its own licence.\n\n"
        f"Your files: {resources.data_folder()}"
    )
    return tell(app, f"QR Nodes {__version__}", text)


# ---- files ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """What a file dialog asks for.

    Attributes
    ----------
    title : of the dialog
    folder : where it starts
    name : suggested for a file to be saved
    kinds : what is offered: {"Pictures": ["*.png", …]}; any file where empty
    save : a file to be written; otherwise one, or `many`, to be read
    folders : a folder is wanted, not a file
    """

    title: str
    folder: str
    name: str
    kinds: dict[str, list[str]]
    save: bool
    many: bool
    folders: bool = False

    @property
    def globs(self) -> list[str]:
        """All patterns of all kinds."""
        return [glob for globs in self.kinds.values() for glob in globs]

    def kind_of(self, name: str) -> list[str]:
        """Return the patterns of the kind that a name is of, or else all."""
        fits = (globs for globs in self.kinds.values() if any(fnmatch(name, g) for g in globs))
        return next(fits, self.globs)


Patterns = Mapping[str, Sequence[str]] | Sequence[str]
"""Globs ("*.png"), or what they are called with the globs ({"Pictures": ("*.png", …)})."""


def _kinds(patterns: Patterns) -> dict[str, list[str]]:
    if isinstance(patterns, Mapping):
        return {name: list(globs) for name, globs in patterns.items()}
    return {"Files to choose from": list(patterns)} if patterns else {}


def open_files(
    app,
    title: str,
    patterns: Patterns,
    done: Callable[[list[str]], None],
    many: bool = False,
) -> None:
    """Let the user choose a file, or several; `done` gets a list of paths.

    Any file can be chosen where there are no patterns.
    """
    wanted = Wanted(title, _start(app), "", _kinds(patterns), False, many)
    _choose(app, wanted, partial(_remembered, app, done))


def open_folder(app, title: str, folder: str, done: Callable[[str], None]) -> None:
    """Let the user choose a folder, beginning in `folder` if it is there; `done` gets its path."""
    start = folder if folder and os.path.isdir(folder) else _start(app)
    wanted = Wanted(title, start, "", {}, False, False, folders=True)
    _choose(app, wanted, lambda paths: app.attempt(done, paths[0]))


def save_file(
    app,
    title: str,
    name: str,
    patterns: Patterns,
    done: Callable[[str], None],
    check: Check = lambda path: None,
) -> None:
    """Let the user name a file to write; `done` gets its path.

    A name without an ending gets that of the kind that is chosen, at first that of `name`. Whoever
    names a file that is there has been asked about it. What `check` refuses is asked for again.
    """
    folder, name = os.path.split(name)
    folder = folder if os.path.isdir(folder) else _start(app)
    wanted = Wanted(title, folder, name, _kinds(patterns), True, False)

    def named(paths: list[str]) -> None:
        path = with_ending(paths[0], wanted.kind_of(name))
        if fault := refusal(check, path):  # by a dialog of the system's, which cannot say it
            again = partial(
                save_file, app, title, os.path.join(folder, name), patterns, done, check
            )
            ask(app, title, fault, {"Choose Again": again})
            return
        give = partial(_remembered, app, lambda paths: done(paths[0]), [path])
        if path != paths[0] and Path(path).exists():
            text = f"{Path(path).name} is there already. Replace it?"
            ask(app, title, text, {"Replace": give})
        else:
            give()

    _choose(app, wanted, named, check)


def _start(app) -> str:
    folder = app.settings.now.folder
    return folder if folder and os.path.isdir(folder) else str(Path.home())


def _remembered(app, done: Callable[[list[str]], None], paths: list[str]) -> None:
    app.attempt(partial(app.settings.change, folder=str(Path(paths[0]).absolute().parent)))
    app.attempt(done, paths)


def _choose(
    app, wanted: Wanted, done: Callable[[list[str]], None], check: Check = lambda path: None
) -> None:
    """Show the best file dialog there is."""
    commands, own = native_dialogs(wanted), partial(browse, app, wanted, done, check)
    if commands:
        _Native(app, wanted, commands, done, own)
    else:
        own()


def native_dialogs(wanted: Wanted) -> list[list[str]]:
    """Give the command lines of the system's file dialogs, best first.

    Tk shows the system's own on Windows and macOS; on Linux it has but an old one of its own,
    and `browse` serves better.
    """
    start, first = os.path.join(wanted.folder, wanted.name), wanted.kind_of(wanted.name)
    kinds = dict(sorted(wanted.kinds.items(), key=lambda kind: kind[1] != first))
    found = []
    if shutil.which("zenity"):
        found.append(["zenity", "--file-selection", f"--title={wanted.title}"])
        found[-1] += [f"--filename={start}", "--separator=\n"]
        found[-1] += ["--save"] if wanted.save else ["--multiple"] if wanted.many else []
        found[-1] += ["--directory"] if wanted.folders else []
        offered = [] if wanted.folders else [*kinds.items(), ("All files", ["*"])]
        for name, globs in offered:
            found[-1] += [f"--file-filter={name} | {' '.join(_cases(globs))}"]
    if shutil.which("kdialog"):
        kind = "--getsavefilename" if wanted.save else "--getopenfilename"
        kind = "--getexistingdirectory" if wanted.folders else kind
        filters = [f"{name} ({' '.join(_cases(globs))})" for name, globs in kinds.items()]
        found.append(["kdialog", "--title", wanted.title, kind, start])
        found[-1] += ["\n".join([*filters, "All files (*)"])] if filters else []
        found[-1] += ["--multiple", "--separate-output"] if wanted.many else []
    if "KDE" in os.environ.get("XDG_CURRENT_DESKTOP", ""):
        found.reverse()
    if sys.platform != "linux" and find_spec("_tkinter"):
        found.append(outside_command("choose", asdict(wanted)))
    return found


def _cases(globs: Sequence[str]) -> list[str]:
    """Give globs in small and capital letters: file dialogs on Linux tell them apart."""
    return list(dict.fromkeys(form for glob in globs for form in (glob, glob.upper())))


class _Native:
    """A file dialog of the system's in a process of its own, and a modal of ours meanwhile."""

    def __init__(
        self, app, wanted: Wanted, commands: list[list[str]], done: Callable, own: Callable
    ):
        self.app, self.commands, self.done, self._own = app, commands, done, own
        self._process: subprocess.Popen | None = None
        self._cancelled = False
        self._modal = Modal(app, wanted.title, self._fill)
        threading.Thread(target=self._work, name="qr-nodes file dialog", daemon=True).start()

    def _fill(self, modal: Modal) -> None:
        modal.text("Choose in the window that has opened.")
        modal.buttons({"Cancel": self._cancel}, primary=False)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._process is not None:
            self._process.kill()
        self._modal.close()

    def _work(self) -> None:
        for command in self.commands:
            paths = self._run(command)
            if self._cancelled:
                return
            if paths is not None:
                self.app.loop.post(self._modal.answer, partial(self.done, paths) if paths else None)
                return
        self.app.loop.post(self._modal.answer, self._own)

    def _run(self, command: list[str]) -> list[str] | None:
        """Give the paths chosen, [] if cancelled, None if the dialog cannot be had."""
        try:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen(command, text=True, encoding="utf-8", **pipes)
        except OSError:
            return None
        if self._cancelled:  # while it was being started
            self._process.kill()
        output, _ = self._process.communicate()
        if self._process.returncode == 1 and command[0] in ("zenity", "kdialog"):
            return []
        if self._process.returncode != 0:
            return None
        return json.loads(output) if output.startswith("[") else output.splitlines()
