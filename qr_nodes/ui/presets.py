"""Presets in the window: the menu of them, and one's own: kept, renamed, deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dearpygui.dearpygui as dpg

from qr_nodes import qrgraph, resources
from qr_nodes.errors import WriteError
from qr_nodes.graph import Graph, corrected
from qr_nodes.qredit import for_any_picture, uncorrected
from qr_nodes.ui import dialogs, theme
from qr_nodes.ui.modal import Modal
from qr_nodes.whole import replacing

MENU = "menu presets"
BUTTON = 84
"""Width of a button beside a preset's name, px."""


class Presets:
    """The presets; `app` is the window, `files` opens them."""

    def __init__(self, app, files):
        self.app, self.files = app, files

    def menu(self) -> None:
        """Fill the menu anew: those that come with the program, then one's own."""
        dpg.delete_item(MENU, children_only=True)
        for name in built_in():
            self._entry(name, partial(self.files.use_preset, name))
        if own := own_presets():
            dpg.add_separator(parent=MENU)
            dpg.add_menu_item(label="Yours", parent=MENU, enabled=False)
            for file in own:
                self._entry(file.stem, partial(self.files.use_preset, file))
            dpg.add_separator(parent=MENU)
            self._entry("Rename or Delete…", self.manage)

    def _entry(self, label: str, call: Callable[[], None]) -> None:
        def chosen() -> None:
            self.app.attempt(call)

        dpg.add_menu_item(label=label, parent=MENU, callback=chosen)

    # ---- one's own -------------------------------------------------------------------------

    def save(self) -> None:
        """Ask for a name and keep the graph as a preset, without what belongs to one picture."""
        graph = self.app.document.graph
        made = corrected(graph)
        option = f"With what was corrected by hand: {made}" if made else ""
        title, label = "Save as Preset", "Name of the preset:"
        dialogs.prompt(self.app, title, label, "", partial(self._named, graph), option)

    def _named(self, graph: Graph, name: str, corrections: bool = False) -> None:
        keep = partial(self.keep, graph, self._place(name), corrections)
        self._sure(self._place(name), keep)

    def keep(self, graph: Graph, file: Path, corrections: bool = False) -> None:
        """Write a graph as a preset of one's own, with a small picture of what is viewed.

        Raises
        ------
        WriteError
            It cannot be written.
        """
        graph = graph if corrections else uncorrected(graph)
        picture = self.app.viewer.thumbnail(192)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            qrgraph.save_graph(for_any_picture(graph), file)
            if picture is not None:
                with replacing(file.with_suffix(".png")) as out:
                    picture.save(out, "PNG")
        except OSError as error:
            what = f"the preset cannot be saved ({error.strerror or error})."
            raise WriteError(what, file.stem, f"Check the folder {file.parent}.") from error
        self.menu()
        self.app.say(f"Kept as the preset {file.stem}.", "good")

    def manage(self) -> None:
        """Show one's own presets, each to be renamed or deleted."""

        def fill(modal: Modal) -> None:
            modal.text(f"They lie in {qrgraph.own_presets()}.", theme.FAINT)
            with dpg.table(header_row=False, policy=dpg.mvTable_SizingFixedFit):
                dpg.add_table_column(width_stretch=True)
                dpg.add_table_column(width_fixed=True)
                for file in own_presets():
                    with dpg.table_row():
                        dpg.add_text(file.stem)
                        with dpg.group(horizontal=True):
                            for word, call in (
                                ("Rename…", self._rename),
                                ("Delete…", self._delete),
                            ):
                                answer = partial(modal.answer, partial(call, file))
                                dpg.add_button(label=word, width=BUTTON, callback=answer)
            modal.buttons({"Close": modal.close})

        Modal(self.app, "Your Presets", fill)

    def _rename(self, file: Path) -> None:
        def named(name: str) -> None:
            if (new := self._place(name)) != file:
                self._sure(new, partial(self._moved, file, new))

        dialogs.prompt(self.app, f"Rename {file.stem}", "New name:", file.stem, named)

    def _moved(self, file: Path, new: Path) -> None:
        with _in_words(file, "renamed"):
            os.replace(file, new)
            new.with_suffix(".png").unlink(missing_ok=True)
            if (picture := file.with_suffix(".png")).exists():
                os.replace(picture, new.with_suffix(".png"))
        self.menu()
        self.app.say(f"The preset {file.stem} is called {new.stem} now.", "good")

    def _delete(self, file: Path) -> None:
        text = "It cannot be brought back. Graphs that began with it stay as they are."
        gone = partial(self._gone, file)
        dialogs.ask(self.app, f"Delete the preset {file.stem}?", text, {"Delete": gone})

    def _gone(self, file: Path) -> None:
        with _in_words(file, "deleted"):
            file.unlink()
            file.with_suffix(".png").unlink(missing_ok=True)
        self.menu()
        self.app.say(f"The preset {file.stem} is deleted.", "good")

    def _place(self, name: str) -> Path:
        """Return the file of a preset of one's own, or raise WriteError for an unfit name."""
        if name in built_in():
            what = "a preset that comes with the program is called so."
            raise WriteError(what, name, "Give it another name.")
        if name.startswith(".") or any(sign in name for sign in "/\\:\0"):
            what = "a preset cannot be called so."
            raise WriteError(what, name, "Use no slash, no colon, and no dot at the beginning.")
        return qrgraph.own_presets() / f"{name}.qrgraph"

    def _sure(self, file: Path, then: Callable[[], None]) -> None:
        """Go on at once, or after asking about a preset that would be replaced."""
        if not file.exists():
            self.app.attempt(then)
            return
        text = f"There is a preset {file.stem} of yours already. Replace it?"
        dialogs.ask(self.app, "Replace the preset?", text, {"Replace": then})


@contextmanager
def _in_words(file: Path, done: str) -> Iterator[None]:
    """Raise as WriteError what keeps a preset from being renamed or deleted."""
    try:
        yield
    except OSError as error:
        what = f"the preset cannot be {done} ({error.strerror})."
        raise WriteError(what, file.stem, f"Check the folder {file.parent}.") from error


def built_in() -> list[str]:
    """Return the names of the presets that come with the program."""
    return sorted(file.stem for file in resources.folder("graphs").glob("*.qrgraph"))


def own_presets() -> list[Path]:
    """Return the files of one's own presets, by name."""
    return sorted(qrgraph.own_presets().glob("*.qrgraph"))
