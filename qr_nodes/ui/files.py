"""Files of the window: open, save, pictures, presets, export, and unsaved work.

State: the graph's file and what it held when it was last read or written, the picture of a batch
that is being corrected, the sidecar with unsaved work, the export that runs now.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dearpygui.dearpygui as dpg

from qr_nodes import qrgraph
from qr_nodes.engine import Event, RunRequest
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.ui import correction, dialogs, recovery, system
from qr_nodes.ui.correction import Correction
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
OUTPUTS = {"Pictures": ("*.png", "*.webp", "*.tif", "*.avif", "*.jpg")}
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
        self.correction: Correction | None = None
        self.recovery = recovery.Recovery()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

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
        found = self.app.attempt(qrgraph.inspect, path)
        if found is None:
            return
        graph, faults = found
        self._use(graph, os.path.abspath(path))
        self._remember(path)
        if faults:
            text = "\n\n".join(str(fault) for fault in faults[:6])
            dialogs.tell(self.app, f"Some of {self.name} could not be read", text)

    def save(self) -> None:
        """Save to the graph's file, or ask for one; a correction goes beside its picture."""
        if self.correction:
            self.save_correction()
        elif self.path:
            self._save_to(self.path)
        else:
            self.save_as()

    def save_as(self, then: Callable[[], None] = lambda: None) -> None:
        """Ask for a file and save to it."""
        done = partial(self._save_as, then)
        name = self.path or "cutout.qrgraph"
        dialogs.save_file(self.app, "Save Graph", name, GRAPHS, done)

    def save_preset(self) -> None:
        """Ask for a name and keep the graph as a preset, without its files."""
        dialogs.prompt(self.app, "Save as Preset", "Name of the preset:", "", self._save_preset)

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
        self._remember(path)
        self.title()
        self.app.say(f"Saved {self.name}.", "good")
        return True

    def _save_preset(self, name: str) -> None:
        graph = self.app.document.graph
        for id in graph.of_type("load", "export"):
            graph = graph.set_param(id, "path", "")
        file = qrgraph.own_presets() / f"{Path(name).name}.qrgraph"
        file.parent.mkdir(parents=True, exist_ok=True)
        qrgraph.save_graph(graph, file)
        picture = self.app.viewer.thumbnail(192)
        if picture is not None:
            picture.save(file.with_suffix(".png"))
        self.menus()
        self.app.say(f"Kept as the preset {file.stem}.", "good")

    def _use(self, graph: Graph, path: str) -> None:
        self.path, self.saved, self.correction = path, graph, None
        self.app.show_graph(graph)

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

    def back(self, graph: Graph, path: str, saved: Graph | None) -> None:
        """Open a batch's graph again, with the file it has and what that holds."""
        self._sure(partial(self._back, graph, path, saved))

    def _back(self, graph: Graph, path: str, saved: Graph | None) -> None:
        self._use(graph, path)
        self.saved = saved
        self.title()

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

        def save() -> None:
            if self.correction:
                if self.save_correction():
                    then()
            elif not self.path:
                self.save_as(then)
            elif self._save_to(self.path):
                then()

        dialogs.ask(
            self.app,
            f"Save the changes to {self.name}?",
            "They are lost otherwise.",
            {"Save": save, "Don't Save": then, "Cancel": None},
        )

    # ---- menus -----------------------------------------------------------------------------

    def menus(self) -> None:
        """Fill the menus of presets and recent files anew."""
        presets = [(name, partial(self._use_preset, name)) for name in qrgraph.presets()]
        recent = [(Path(p).name, partial(self.dropped, [p])) for p in self.app.settings.recent()]
        for menu, entries in (("menu presets", presets), ("menu recent", recent)):
            dpg.delete_item(menu, children_only=True)
            for label, call in entries:
                dpg.add_menu_item(label=label, parent=menu, callback=partial(self._chosen, call))
            if not entries:
                dpg.add_menu_item(label="None yet", parent=menu, enabled=False)

    def _chosen(self, call: Callable[[], None]) -> None:
        self.app.attempt(call)

    def _use_preset(self, name: str) -> None:
        """Open a preset, keeping the picture that is being worked on."""
        before = self.app.document.graph
        graph = qrgraph.load_graph(name)
        for type in ("load", "export"):
            old, new = before.of_type(type), graph.of_type(type)
            if old and new:
                path = before.nodes[old[0]].params["path"]
                graph = graph.set_param(new[0], "path", path)
        self._sure(lambda: self._use_untitled(graph))

    def _use_untitled(self, graph: Graph) -> None:
        self._use(graph, "")

    # ---- pictures --------------------------------------------------------------------------

    def picture(self) -> None:
        """Ask for a picture and load it."""
        dialogs.open_files(self.app, "Open Picture", PICTURES, self.dropped)

    def dropped(self, paths: list[str]) -> None:
        """Take files that were dropped, pasted or chosen.

        A graph is opened, a picture loaded, a folder is for the Batch panel.
        """
        path = paths[0]
        if path.endswith(".qrgraph"):
            self._sure(lambda: self.open_path(path))
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
        self._in_full(self.app.viewed, partial(system.copy_picture, self.app))

    def export(self) -> None:
        """Write what the Export nodes say; without one, or without its path, ask for a file."""
        graph = self.app.document.graph
        exports = [id for id in graph.of_type("export") if not graph.nodes[id].bypass]
        if exports and all(graph.nodes[id].params["path"] for id in exports):
            self._export(graph, exports)
            return
        source = graph.of_type("load")
        stem = Path(graph.nodes[source[0]].params["path"]).stem if source else ""
        name = f"{stem or 'picture'}-cutout.png"
        dialogs.save_file(self.app, "Export", name, OUTPUTS, partial(self._export_to, exports))

    def _export_to(self, exports: list[str], path: str) -> None:
        graph = self.app.document.graph
        if not exports:
            graph = graph.add("export", id := graph.free_id("export"))
            graph, exports = graph.connect(self.app.viewed, id), [id]
        changed = self.app.attempt(graph.set_param, exports[0], "path", path)
        if changed is not None:
            self.app.edit(changed, "export to")
            self._export(changed, exports)

    def _export(self, graph: Graph, exports: list[str]) -> None:
        def done(outcome) -> None:
            if outcome.superseded:
                self.app.say("The export was cancelled; nothing was written.")
            elif outcome.errors:
                self.app.say(str(next(iter(outcome.errors.values()))), "error")
            else:
                paths = [Path(v["file"].path).name for v in outcome.outputs.values()]
                self.app.say(f"Wrote {', '.join(paths)}.", "good")

        self.app.say("Exporting…")
        self._run(graph, tuple(exports), done)

    def _in_full(self, id: str, done: Callable) -> None:
        """Have `done` called with a node's output at full size."""

        def ended(outcome) -> None:
            if id in outcome.outputs:
                done(next(iter(outcome.outputs[id].values())))

        self._run(self.app.document.graph, (id,), ended)

    def _run(self, graph: Graph, targets: tuple[str, ...], done: Callable) -> None:
        """Run targets at full size in a thread beside the live one."""
        if self.exporting:
            self.app.say("The last export is still being written; Esc cancels it.")
            return
        self._stop.clear()

        def emit(event: Event) -> None:
            if event.node in targets or event.kind == "progress":
                self.app.loop.post(self.app.canvas.event, event)

        def work() -> None:
            stop = self._stop
            outcome = self.app.engine.run(
                RunRequest(graph, targets, id=1 << 60), emit, lambda: () if stop.is_set() else None
            )
            self.app.loop.post(done, outcome)

        self._thread = threading.Thread(target=work, name="qr-nodes export")
        self._thread.start()

    @property
    def exporting(self) -> bool:
        """Whether an export runs."""
        return self._thread is not None and self._thread.is_alive()

    def cancel(self) -> None:
        """Stop the export that runs, if one does."""
        self._stop.set()

    # ---- start, life, end ------------------------------------------------------------------

    def start(self, path: str | None) -> None:
        """Open what was asked for, what a crash left behind, or something to begin with."""
        if path and path.endswith(".qrgraph"):
            self.open_path(path)
        elif path and path in qrgraph.presets():
            self._use(qrgraph.load_graph(path), "")
        elif path:
            self._use(qrgraph.load_graph("standard"), "")
            self.dropped([path])
            self.saved = self.app.document.graph  # nothing of it would be lost
            self.title()
        else:
            self._use(start_graph(), "")
        if lost := recovery.list_recoverable():
            self._offer(lost[0])
        elif not path and self.app.settings.now.welcome:
            dialogs.tell(self.app, "Welcome", WELCOME)
            self.app.attempt(partial(self.app.settings.change, welcome=False))

    def _offer(self, entry: recovery.Unsaved) -> None:
        def adopt() -> None:
            found = self.app.attempt(self.recovery.adopt, entry)
            if found is not None:
                self._use(found[0], entry.path)
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
        self.recovery.keep(self.app.document.graph, self.path, saved=not self.dirty)

    def quit(self) -> None:
        """Close the window, after asking about unsaved edits."""
        if not self.app.modal:
            self.app.batch.sure(lambda: self._sure(dpg.stop_dearpygui))

    def end(self) -> None:
        """End cleanly: the export stops, nothing is left to recover."""
        self.cancel()
        if self._thread is not None:
            self._thread.join()
        self.recovery.close()


def picture_pixels(graph: Graph) -> int:
    """Give the pixels of the largest picture that a graph loads, as its header says."""
    paths = (graph.nodes[id].params["path"] for id in graph.of_type("load"))
    return max((_pixels(path) for path in paths if path), default=0)


_SIZES: dict[str, tuple[int, int]] = {}


def _pixels(path: str) -> int:
    from PIL import Image

    if path.lower().endswith((".heic", ".heif")):
        import pillow_heif

        pillow_heif.register_heif_opener()
    try:
        mark = os.stat(path).st_mtime_ns
        if _SIZES.get(path, (None,))[0] != mark:
            with Image.open(path) as image:
                _SIZES[path] = (mark, image.width * image.height)
        return _SIZES[path][1]
    except Exception:  # whatever is wrong with the file, Load will say it
        return 0
