"""Exports of the window: where the result of each picture goes, and the run that writes it.

State: where results went by picture; the files that were written from here, for which picture and
as they were then; the ending that was chosen last; the run beside the live one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from qr_nodes import resources, trust
from qr_nodes.engine import Event, RunRequest
from qr_nodes.errors import one_line
from qr_nodes.graph import Graph
from qr_nodes.qredit import Values
from qr_nodes.ui import dialogs
from qr_nodes.ui.consent import SHOWN

FORMATS = {
    "PNG": ("*.png",),
    "WebP": ("*.webp",),
    "TIFF": ("*.tif", "*.tiff"),
    "AVIF": ("*.avif",),
    "JPEG": ("*.jpg", "*.jpeg"),
}
"""What Export can write: name → patterns, the usual ending first."""

Stamp = tuple[int, int, int]
"""When a file was changed last (ns), its size in bytes and its number: other bytes, other stamp."""


class Exports:
    """Writes what the Export nodes say; `app` is the window."""

    def __init__(self, app):
        self.app = app
        self._places: dict[str, dict[str, dict[str, str]]] = {}
        self._written: dict[str, tuple[str, Stamp | None]] = {}
        self._ending = ".png"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    # ---- where to --------------------------------------------------------------------------

    def choose(self) -> None:
        """Ask where the present picture's result goes, and write it there."""
        self._ask({})

    def again(self) -> None:
        """Write to where this picture's result went last; ask where that is not known."""
        graph, exports = self._planned({})
        if all(own_path(graph, id) for id in exports):
            self._replace(graph, exports)
        else:
            self.choose()

    def leave(self, picture: str, nodes: Values) -> None:
        """Remember where a picture's results went, by node, while another picture is open."""
        places = self._places.setdefault(os.path.abspath(picture), {})
        for id, values in nodes.items():
            params = self.app.document.graph.nodes[id].spec.params
            places[id] = {n: value for n, value in values.items() if params[n].kind == "save"}

    def brought_back(self, graph: Graph, picture: str) -> Graph:
        """Return a graph that names again where a picture's results went."""
        for id, values in self._places.get(os.path.abspath(picture), {}).items():
            for name, path in values.items():
                if id in graph.nodes and graph.nodes[id].params.get(name) == "":
                    graph = graph.set_param(id, name, path)
        return graph

    def forget(self) -> None:
        """Take no file for one that was written from here: another graph has been opened."""
        self._written.clear()

    def _planned(self, chosen: Mapping[str, str]) -> tuple[Graph, list[str]]:
        """Return the graph with chosen paths, and its Exports; with one if it has none."""
        graph = self.app.document.graph
        exports = [id for id in graph.of_type("export") if not graph.nodes[id].bypass]
        if not exports:
            graph = graph.add("export", id := graph.free_id("export"))
            graph, exports = graph.connect(self.app.viewed, id), [id]
        for id, path in chosen.items():
            if path != own_path(graph, id):
                graph = graph.set_param(id, "path", path)
        return graph, exports

    def _ask(self, chosen: Mapping[str, str]) -> None:
        """Ask for the first Export's file that is not chosen yet; with all of them, write."""
        graph, exports = self._planned(chosen)
        for id in exports:
            if id not in chosen:
                several = len(exports) > 1
                title = f"Export {graph.nodes[id].title or id}" if several else "Export"
                dialogs.save_file(
                    self.app,
                    title,
                    self._suggested(graph, id, id if several else "cutout"),
                    FORMATS,
                    lambda path, id=id: self._ask({**chosen, id: path}),
                    lambda path, id=id: check_target(
                        self._planned({**chosen, id: path})[0], id, chosen
                    ),
                )
                return
        self._ending = Path(chosen[exports[0]]).suffix
        self.app.edit(graph, "export to")
        self._start(graph, exports)  # the dialogs have asked about files that are there

    def _suggested(self, graph: Graph, id: str, word: str) -> str:
        """Return the path that a picture's result has, or else a name after the picture's own."""
        if path := own_path(graph, id):
            return path
        picture = graph.picture(id)
        ours = (resources.data_folder(), resources.cache_folder("sample"))
        elsewhere = picture in self.app.document.held or any(
            map(Path(picture).is_relative_to, ours)
        )
        name = f"{Path(picture).stem or 'picture'}-{word}{self._ending}"
        return name if elsewhere else os.path.join(os.path.dirname(picture), name)

    def _replace(self, graph: Graph, exports: list[str]) -> None:
        """Export, after asking about files that are there and were not written from here for the
        same picture, or have been changed since."""
        there = [
            path
            for id, path in trust.replaced(graph, exports).items()
            if self._written.get(os.path.realpath(path)) != (graph.picture(id), _stamp(path))
        ]
        export = partial(self.app.attempt, self._start, graph, exports)
        if not there:
            export()
            return
        names = "\n\n".join([*map(one_line, there[:SHOWN]), *["…"] * (len(there) > SHOWN)])
        dialogs.ask(self.app, "Replace what is there?", names, {"Replace": export})

    # ---- the run ---------------------------------------------------------------------------

    def _start(self, graph: Graph, exports: list[str]) -> None:
        trust.check_outputs(graph, exports)

        def done(outcome) -> None:
            written = [(id, value["file"].path) for id, value in outcome.outputs.items()]
            for id, path in written:
                self._written[os.path.realpath(path)] = graph.picture(id), _stamp(path)
            if outcome.superseded:
                self.app.say("The export was cancelled; nothing was written.")
            elif outcome.errors:
                self.app.say(str(next(iter(outcome.errors.values()))), "error")
            else:
                names = ", ".join(Path(path).name for _, path in written)
                self.app.say(f"Wrote {names}.", "good")

        self.app.say("Exporting…")
        self.run(graph, tuple(exports), done)

    def in_full(self, id: str, done: Callable) -> None:
        """Have `done` called with a node's output at full size."""

        def ended(outcome) -> None:
            if id in outcome.outputs:
                done(next(iter(outcome.outputs[id].values())))

        self.run(self.app.document.graph, (id,), ended)

    def run(self, graph: Graph, targets: tuple[str, ...], done: Callable) -> None:
        """Run targets at full size in a thread beside the live one."""
        if self.busy:
            self.app.say("The last export is still being written; Esc cancels it.")
            return
        self._stop.clear()
        held = self.app.document.held

        def emit(event: Event) -> None:
            if event.node in targets or event.kind == "progress":
                self.app.loop.post(self.app.canvas.event, event)

        def work() -> None:
            stop = self._stop
            outcome = self.app.engine.run(
                RunRequest(graph, targets, id=1 << 60, held=held),
                emit,
                lambda: () if stop.is_set() else None,
            )
            self.app.loop.post(done, outcome)

        self._thread = threading.Thread(target=work, name="qr-nodes export")
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether an export runs."""
        return self._thread is not None and self._thread.is_alive()

    def cancel(self) -> None:
        """Stop the export that runs, if one does."""
        self._stop.set()

    def end(self) -> None:
        """Stop it, and wait for its end."""
        self.cancel()
        if self._thread is not None:
            self._thread.join()


def check_target(graph: Graph, id: str, others: Collection[str] = ()) -> None:
    """Raise what keeps a node from writing where it says, beside the `others` that write as well.

    Raises
    ------
    ParamError, WriteError
        The ending is unknown, the folder is not there, or the file is read or written otherwise.
    """
    node = graph.nodes[id]
    if node.spec.check is not None:
        node.spec.check(node.params, graph.linked(id))
    trust.check_outputs(graph, [*others, id])


def own_path(graph: Graph, id: str) -> str:
    """Return where an Export writes, if that was chosen for the picture that it works on."""
    return "" if graph.another(id) else graph.nodes[id].params["path"]


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
