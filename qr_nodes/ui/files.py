"""Files of the window: open, save, pictures, presets, export, and unsaved work.

State: the graph's file, the graph and a hash of the bytes that it held when it was last read or
written, the picture of a batch that is being corrected, and the sidecar with unsaved work.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import dearpygui.dearpygui as dpg

from qr_nodes import kinds, qrgraph, trust
from qr_nodes.batch import first_picture
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph, described
from qr_nodes.imaging.image_io import measure_image
from qr_nodes.qredit import Values, held_values, left_behind, pictures
from qr_nodes.ui import correction, dialogs, recovery, system
from qr_nodes.ui.consent import Consent, Missing
from qr_nodes.ui.correction import Correction
from qr_nodes.ui.export import Exports
from qr_nodes.ui.presets import Presets
from qr_nodes.ui.sample import start_graph

GRAPHS = {"Graphs": ("*.qrgraph",)}
PICTURES = {
    "Pictures": tuple(
        f"*.{ending}"
        for ending in (
            *("jpg", "jpeg", "png", "webp", "tif", "tiff", "avif", "heic", "heif"),
            *("gif", "bmp", "jp2", "psd", "tga"),
        )
    )
}
WELCOME = (
    "This is a graph: a picture goes in at Load, Segment finds the subject, and the nodes after "
    "it make the edge good.\n\n"
    "Drop your own picture on the window to cut it out.\n\n"
    "Click a node to change it on the right, and press Ctrl+E to write the result."
)


class Files:
    """What the window does with files; `app` is the window."""

    def __init__(self, app):
        self.app = app
        self.path = ""
        self.saved: Graph | None = None
        self.mark = ""
        self.exports = Exports(app)
        self.presets = Presets(app, self)
        self.consent = Consent(app)
        self.correction: Correction | None = None
        self.recovery = recovery.Recovery()
        self._told = ""

    # ---- the graph's file ------------------------------------------------------------------

    @property
    def dirty(self) -> bool:
        """Whether there are edits that no file holds."""
        return self.saved is not self.app.document.graph

    @property
    def name(self) -> str:
        """What the document is called."""
        if self.correction:
            return f"{Path(self.correction.picture).name}, correction"
        return Path(self.path).name if self.path else "Untitled"

    def title(self) -> None:
        """Show in the window's title what is open, and whether it is saved."""
        dpg.set_viewport_title(f"{'• ' if self.dirty else ''}{self.name} – QR Nodes")

    def new(self) -> None:
        """Start anew with the standard preset."""
        self._sure(lambda: self._use(qrgraph.load_graph("standard"), ""))

    def open(self) -> None:
        """Ask for a .qrgraph file and open it."""
        self._sure(lambda: dialogs.open_files(self.app, "Open Graph", GRAPHS, self._open_first))

    def open_path(self, path: str) -> None:
        """Open a .qrgraph file; what is unsound in it is left out and said."""
        self.app.attempt(self._read, path, self._use)

    def _read(self, path: str, use: Callable[[Graph, str, str], None]) -> None:
        """Read a .qrgraph file and have it used: the graph, its path, the hash of its bytes."""
        mark = _hash_of(path)  # before it is read: what another program writes then is noticed
        graph, faults = qrgraph.inspect(path)
        use(graph, os.path.abspath(path), mark)
        self._remember(path)
        if faults:
            text = "\n\n".join(str(fault) for fault in faults[:6])
            dialogs.tell(self.app, f"Some of {self.name} could not be read", text)

    def save(self, then: Callable[[], None] = lambda: None) -> None:
        """Save to the graph's file, or ask for one, or what to do if another program changed it.

        A correction goes beside its picture.
        """
        if self.correction:
            if self.save_correction():
                then()
        elif not self.path:
            self.save_as(then)
        elif _hash_of(self.path) in ("", self.mark):
            self._save_as(then, self.path)
        else:
            dialogs.ask(
                self.app,
                f"{self.name} has changed",
                "Another program, or another window, has changed it since you opened it. Saving "
                "over it undoes that; reloading can be undone.",
                {
                    "Save As…": partial(self.save_as, then),
                    "Save Over It": partial(self._save_as, then, self.path),
                    "Reload": partial(self._read, self.path, self._reload),
                    "Cancel": None,
                },
            )

    def _reload(self, graph: Graph, path: str, mark: str) -> None:
        """Take the file's graph in the place of the present one, as an edit."""
        self.saved, self.mark = graph, mark
        missing = self.consent.missing(graph, os.path.dirname(path))
        self.app.document.hold(missing.held)
        self.app.edit(graph, f"reload {self.name}")
        self.consent.ask(missing)

    def save_as(self, then: Callable[[], None] = lambda: None) -> None:
        """Ask for a file and save to it."""
        done = partial(self._save_as, then)
        name = self.path or "cutout.qrgraph"
        dialogs.save_file(self.app, "Save Graph", name, GRAPHS, done)

    def _save_as(self, then: Callable[[], None], path: str) -> None:
        if self._save_to(path if path.endswith(".qrgraph") else f"{path}.qrgraph"):
            then()

    def _save_to(self, path: str) -> bool:
        graph = self.app.document.graph
        try:
            qrgraph.save_graph(graph, path)
        except QrNodesError as error:
            self.app.say(str(error), "error")
            return False
        self.path, self.saved, self.correction = os.path.abspath(path), graph, None
        self.mark = _hash(qrgraph.dump(graph, os.path.dirname(self.path)))
        self._remember(path)
        files = trust.outside(graph, Path(self.path).parent)
        self.consent.know(
            mark for file, mark in files.items() if file not in self.app.document.held
        )
        self.title()
        self.app.say(f"Saved {self.name}.", "good")
        return True

    def _use(self, graph: Graph, path: str, mark: str = "", folder: str | os.PathLike = "") -> None:
        """Show a graph; one that came from a folder is asked about what it reads elsewhere, and
        what it fetches."""
        self.path, self.saved, self.mark, self.correction = path, graph, mark, None
        folder = folder or os.path.dirname(path)
        self.exports.forget()
        missing = self.consent.missing(graph, folder) if folder else Missing()
        self.app.show_graph(graph, missing.held)
        self.consent.ask(missing)

    # ---- corrections -----------------------------------------------------------------------

    def correct(self, base: Graph, picture: str) -> None:
        """Open a picture with a batch's graph and its own .qredit file, to be corrected."""
        self._sure(partial(self._correct, base, picture))

    def _correct(self, base: Graph, picture: str) -> None:
        began, graph = correction.begun(base, picture)
        self._use(graph, "")
        self.correction = began
        self.title()
        self.app.canvas.select(graph.of_type("brush_edit")[-1:])
        self.app.say(f"Correct {Path(picture).name}: Ctrl+S saves that beside it.")

    def save_correction(self) -> bool:
        """Save what differs for the picture that is being corrected, and have it done again."""
        began, graph = self.correction, self.app.document.graph
        if began is None:
            self.app.say("Double-click a picture in the Batch panel to correct it.")
            return False
        try:
            file = correction.save(began, graph)
        except QrNodesError as error:
            self.app.say(str(error), "error")
            return False
        self.saved = graph
        self.title()
        what = "No correction is left" if file is None else f"Saved {file.name}"
        self.app.say(f"{what}. {self.app.batch.corrected(began.picture)}", "good")
        return True

    def back(self, graph: Graph, path: str, saved: Graph | None, mark: str) -> None:
        """Open a batch's graph again, with the file it has and what that holds."""
        self._sure(partial(self._back, graph, path, saved, mark))

    def _back(self, graph: Graph, path: str, saved: Graph | None, mark: str) -> None:
        self._use(graph, path, mark)
        self.saved = saved
        self.title()

    # ---- what belongs to a picture ---------------------------------------------------------

    def follow(self, graph: Graph) -> tuple[Graph, Callable[[], None]]:
        """Take an edit of the present graph: what belongs to a picture stays with it.

        Returns
        -------
        graph : Graph
            The edited graph; where it reads another picture, without what was made for the first
            and with what was kept for the other.
        tell : callable
            Says so.
        """
        before = self.app.document.graph
        graph, left = left_behind(before, graph)
        words, kept = [], {}
        for picture, nodes in left.items():
            self.exports.leave(picture, nodes)
            kept[picture] = {}
            for id, values in nodes.items():
                node = before.nodes[id]
                names = [name for name in values if name in node.spec.corrections]
                kept[picture][id] = {name: values[name] for name in names}
                if names:
                    made = described(node, names)
                    words.append(f"Left with {Path(picture).name}: {made}.")
        faults = self._keep(kept)
        graph, back = self._brought_back(graph, pictures(graph) - pictures(before))
        return graph, partial(self.tell, faults, words + back)

    def tell(self, faults: list[str], words: list[str]) -> None:
        """Say what came of what belongs to pictures: first of all, what went wrong."""
        if faults or words:
            self.app.say(" ".join(faults or words), "error" if faults else "info")

    def _keep(self, left: Mapping[str, Values]) -> list[str]:
        """Keep corrections by picture; return what went wrong."""
        faults = []
        for picture, nodes in left.items():
            try:
                correction.keep(picture, nodes)
            except QrNodesError as error:
                faults.append(str(error))
        return faults

    def _brought_back(self, graph: Graph, pictures: Collection[str]) -> tuple[Graph, list[str]]:
        """Return a graph with what was kept for pictures, and what to say of it."""
        words = []
        for picture in pictures:
            graph, name = self.exports.brought_back(graph, picture), Path(picture).name
            try:
                graph, given, unplaced = correction.brought_back(graph, picture)
            except QrNodesError as error:
                words.append(str(error))
                continue
            words += [f"Back for {name}: {', '.join(given)}."] if given else []
            there = ", ".join(unplaced)
            waits = f"Corrections of {name} wait for a node called {there}."
            words += [waits] if unplaced else []
        return graph, words

    def _open_first(self, paths: list[str]) -> None:
        self.open_path(paths[0])

    def _remember(self, path: str) -> None:
        self.app.attempt(self.app.settings.remember, path)
        self.menus()

    def _sure(self, then: Callable[[], None]) -> None:
        """Go on at once, or after asking about unsaved edits."""
        if not self.dirty:
            self.app.attempt(then)
            return
        dialogs.ask(
            self.app,
            f"Save the changes to {self.name}?",
            "They are lost otherwise.",
            {"Save": partial(self.save, then), "Don't Save": then, "Cancel": None},
        )

    # ---- menus -----------------------------------------------------------------------------

    def menus(self) -> None:
        """Fill the menus of presets and recent files anew."""
        self.presets.menu()
        dpg.delete_item("menu recent", children_only=True)
        for path in (recent := self.app.settings.recent()):
            call = partial(self._chosen, partial(self.dropped, [path]))
            dpg.add_menu_item(label=Path(path).name, parent="menu recent", callback=call)
        if not recent:
            dpg.add_menu_item(label="None yet", parent="menu recent", enabled=False)

    def _chosen(self, call: Callable[[], None]) -> None:
        self.app.attempt(call)

    def use_preset(self, name: str | os.PathLike) -> None:
        """Open a preset, by name or file, keeping the picture that is being worked on and what
        belongs to it."""
        before = self.app.document.graph
        graph = qrgraph.load_graph(name)
        for type in ("load", "export"):
            old, new = before.of_type(type), graph.of_type(type)
            if old and new:
                path = before.nodes[old[0]].params["path"]
                graph = graph.set_param(new[0], "path", path)
        self._sure(partial(self._use_preset, graph, qrgraph.find_file(name).parent))

    def _use_preset(self, graph: Graph, folder: Path) -> None:
        before = self.app.document.graph
        held: dict[str, dict[str, dict[str, Any]]] = {}
        for id, node in before.nodes.items():
            if node.spec.corrections and (picture := before.picture(id)):
                values = held_values(node, node.spec.corrections)
                held.setdefault(picture, {})[id] = values
        faults = self._keep(held)
        graph, words = self._brought_back(graph, pictures(graph))
        self._use(graph, "", folder=folder)
        self.tell(faults, words)

    # ---- pictures --------------------------------------------------------------------------

    def picture(self) -> None:
        """Ask for a picture and load it."""
        dialogs.open_files(self.app, "Open Picture", PICTURES, self.dropped)

    def dropped(self, paths: list[str]) -> None:
        """Take files that were dropped, pasted or chosen.

        A graph is opened, a picture loaded, a folder is for the Batch panel.
        """
        path = paths[0]
        kind = kinds.not_a_picture(path)
        if path.endswith(".qrgraph") or kind == "graph":
            self._sure(lambda: self.open_path(path))
            return
        if kind:
            what = f"{kinds.CALLED[kind]}, not a picture."
            self.app.say(f"{Path(path).name}: {what} {kinds.instead(path, kind)}", "error")
            return
        if os.path.isdir(path):
            self.app.batch.take(path)
            return
        graph = self.app.document.graph
        loads = graph.of_type("load")
        chosen = [id for id in self.app.canvas.selection if id in loads] or loads
        if not chosen:
            graph = graph.add("load")
            chosen = graph.of_type("load")
        self.app.document.agree([os.path.abspath(path)])
        changed = self.app.attempt(graph.set_param, chosen[0], "path", os.path.abspath(path))
        if changed is not None:
            self.app.edit(changed, f"open {Path(path).name}")
            self._remember(path)
        if len(paths) > 1:
            self.app.say(f"Of {len(paths)} files the first is used.")

    def paste_picture(self) -> None:
        """Load the picture that is on the clipboard."""
        system.paste(self.app, self._pasted)

    def _pasted(self, files: list[str], text: str) -> None:
        if files:
            self.dropped(files)
        else:
            self.app.say("The clipboard holds text, not a picture.")

    def copy_result(self) -> None:
        """Put what is viewed on the clipboard, in full size."""
        self.exports.in_full(self.app.viewed, partial(system.copy_picture, self.app))

    # ---- start, life, end ------------------------------------------------------------------

    def start(self, path: str | None) -> None:
        """Open what was asked for, what a crash left behind, or something to begin with."""
        try:
            self._begin(path)
        except QrNodesError as error:
            self._use(qrgraph.load_graph("standard"), "")
            self.app.say(str(error), "error")
        if lost := recovery.list_recoverable():
            self._offer(lost[0])
        elif not path and self.app.settings.now.welcome:
            dialogs.tell(self.app, "Welcome", WELCOME)
            self.app.attempt(partial(self.app.settings.change, welcome=False))

    def _begin(self, path: str | None) -> None:
        if path and path.endswith(".qrgraph"):
            self._read(path, self._use)
        elif path and path in qrgraph.presets():
            self._use(qrgraph.load_graph(path), "", folder=qrgraph.find_file(path).parent)
        elif path:
            self._use(qrgraph.load_graph("standard"), "")
            self.dropped([path])
            if os.path.isdir(path) and (picture := first_picture(path)):
                self.dropped([picture])
            self.saved = self.app.document.graph  # nothing of it would be lost
            self.title()
        else:
            self._use(start_graph(), "")

    def _offer(self, entry: recovery.Unsaved) -> None:
        def adopt() -> None:
            found = self.app.attempt(self.recovery.adopt, entry)
            if found is not None:
                self._use(found[0], entry.path, entry.mark)
                self.saved = None
                self.title()

        dialogs.ask(
            self.app,
            "Unsaved work was found",
            f"The program ended without saving {entry.title}.",
            {"Open It": adopt, "Throw It Away": partial(recovery.discard, entry), "Cancel": None},
        )

    def tick(self) -> None:
        """Keep unsaved work beside the user's files; called now and then."""
        self.recovery.keep(self.app.document.graph, self.path, not self.dirty, self.mark)
        if self.recovery.fault != self._told:
            self._told = self.recovery.fault
            self.app.unsay()

    def quit(self) -> None:
        """Close the window, after asking about unsaved edits; what is asked now gets no answer."""
        if modal := self.app.modal:
            modal.give_up()
            self.app.loop.post(self.quit)
        else:
            self.app.batch.sure(lambda: self._sure(dpg.stop_dearpygui))

    def end(self, keep: bool = False) -> None:
        """Stop the export; `keep` leaves unsaved work to recover, of which else nothing is left."""
        self.exports.end()
        self.recovery.close(keep)


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _hash_of(path: str) -> str:
    """Hash a file's bytes; "" if there is none that can be a graph."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > qrgraph.MAX_BYTES:
            return ""
        return _hash(Path(path).read_bytes())
    except OSError:
        return ""


def picture_pixels(graph: Graph, held: Collection[str] = ()) -> int:
    """Give the pixels of the largest picture that a graph loads, as its header says.

    What is `held` is not looked at.
    """
    paths = {graph.nodes[id].params["path"] for id in graph.of_type("load")}
    return max((_pixels(path) for path in paths - {"", *held}), default=0)


_SIZES: dict[str, tuple[int, int]] = {}


def _pixels(path: str) -> int:
    try:
        mark = os.stat(path).st_mtime_ns
        if _SIZES.get(path, (None,))[0] != mark:
            width, height, _ = measure_image(path)
            _SIZES[path] = (mark, width * height)
        return _SIZES[path][1]
    except (OSError, ValueError):  # whatever is wrong with it, Load will say it
        return 0
