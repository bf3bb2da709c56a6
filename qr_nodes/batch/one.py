"""One graph over one picture: bind the graph to its files, run it, and tell what came of it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from qr_nodes.cache import Cache, Disk
from qr_nodes.engine import Engine, Event, RunRequest
from qr_nodes.errors import Cancelled, GraphError, ParamError, QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.qredit import edited
from qr_nodes.types import Written


@dataclass(frozen=True)
class NodeReport:
    """What one node did for one picture: "ran", "reused", "failed" or "blocked"."""

    node: str
    did: str
    seconds: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Result:
    """What came of one picture.

    Attributes
    ----------
    input, output : paths; `output` is None if nothing was written
    seconds : from the start of this picture to its end
    nodes : what each node did, in the order they ended
    error : what went wrong, or None
    outputs : target → its outputs by name, as arrays
    files : Export node → path of its file, for all that are there now
    skipped : all files were there and still current, so nothing was done
    edited : the picture's own .qredit file was applied
    picture : the result of a picture in memory, of the same kind; None where files are written
    """

    input: str
    output: str | None
    seconds: float
    nodes: tuple[NodeReport, ...]
    error: QrNodesError | None = None
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict)
    skipped: bool = False
    edited: bool = False
    picture: Any = field(default=None, repr=False)

    @property
    def notes(self) -> list[str]:
        """Everything the nodes had to say, with the node's name before it."""
        return [f"{report.node}: {note}" for report in self.nodes for note in report.notes]

    @property
    def said(self) -> str:
        """What went wrong, without the picture's path, which whoever tells it puts in words; "" if
        nothing did."""
        text = "" if self.error is None else str(self.error)
        return text.replace(f"{self.input}: ", "") if self.input else text

    def as_json(self) -> dict[str, Any]:
        """Return what a script wants to know, in JSON's own types; paths are absolute."""
        return {
            "input": self.input and os.path.abspath(self.input),
            "output": self.output and os.path.abspath(self.output),
            "did": "failed" if self.error else "skipped" if self.skipped else "done",
            "seconds": round(self.seconds, 4),
            "error": None if self.error is None else str(self.error),
            "files": {node: os.path.abspath(file) for node, file in self.files.items()},
            "skipped": self.skipped,
            "nodes": [asdict(report) for report in self.nodes],
        }


def override(graph: Graph, settings: Iterable[str | tuple[str, Any]]) -> Graph:
    """Apply settings such as "feather.sigma=4", or ("feather.sigma", 4), to a graph.

    The name before the point is a node's id, or its type where only one node has it.
    """
    for given in settings:
        graph = graph.set_param(*setting(graph, given), text=isinstance(given, str))
    return graph


def setting(
    graph: Graph, given: str | tuple[str, Any], where: str = "--set"
) -> tuple[str, str, Any]:
    """Return node, parameter and value of a setting such as `override` takes.

    Raises
    ------
    ParamError
        It names none, at `where`.
    """
    if isinstance(given, str):
        path, found, value = given.partition("=")
    else:
        (path, value), found = given, True
    node, point, name = path.strip().rpartition(".")
    if not found or not point:
        raise ParamError(f"{path!r} sets nothing.", where, "Write NODE.PARAMETER=VALUE.")
    if node not in graph.nodes and len(same := graph.of_type(node)) == 1:
        node = same[0]
    return node, name, value


def for_networks(
    graph: Graph,
    model: str | None = None,
    quality: str | None = None,
    device: str | None = None,
    require_gpu: bool = False,
) -> Graph:
    """Set on every Segment node what is not None, and that a GPU is required if it is.

    Raises
    ------
    ParamError
        A value cannot be used, or there is no node that would use it.
    """
    named = {"model": model, "quality": quality, "device": device}
    asked = {name: value for name, value in named.items() if value is not None}
    nodes = graph.of_type("segment")
    if asked and not nodes:
        what = "the graph has no Segment node that it would be for."
        raise ParamError(what, next(iter(asked)), "Leave it out, or name another graph.")
    asked |= {"require_gpu": True} if require_gpu else {}
    for id in nodes:
        for name, value in asked.items():
            graph = graph.set_param(id, name, value)
    return graph


def bind(
    graph: Graph, input: str | None = None, output: str | Mapping[str, str] | None = None
) -> Graph:
    """Point a graph's Load and Export at files.

    With several of them, the one called "load" ("export") is meant, or the only one that has
    no path of its own. An `output` by node sets each Export that it names.
    """
    if input is not None:
        graph = graph.set_param(only(graph, "load"), "path", input)
    if isinstance(output, str):
        output = {only(graph, "export"): output}
    for id, path in (output or {}).items():
        graph = graph.set_param(id, "path", path)
    return graph


def only(graph: Graph, type: str) -> str:
    """Give the one Load (Export) node that a picture is meant for, or raise GraphError."""
    there = graph.of_type(type)
    free = [id for id in there if not graph.nodes[id].params["path"]]
    for choice in ([id for id in there if id == type], there, free):
        if len(choice) == 1:
            return choice[0]
    title = type.capitalize()
    if not there:
        raise GraphError(
            f"the graph has no {title} node.", hint=f"Add one in the graph, as {type!r}."
        )
    raise GraphError(
        f"the graph has {len(there)} {title} nodes: {', '.join(there)}.",
        hint=f"Call one {type!r}, or name each file with --set NODE.path=FILE.",
    )


def names_file(graph: Graph, path: str) -> dict[str, str]:
    """Return Export node → path, where one file is named for what a graph writes.

    It is that of the Export that is meant, as `only` finds it. The others keep paths of their own;
    those that have none write beside it, with their names in the file's.

    Raises
    ------
    GraphError
        There is no Export, or no telling which is meant.
    """
    exports = [id for id in targets(graph) if graph.nodes[id].spec.writes]
    meant = exports[0] if len(exports) == 1 else only(graph, "export")
    stem = os.path.splitext(path)[0]
    return {
        id: path if id == meant else graph.nodes[id].params["path"] or f"{stem}-{id}.png"
        for id in dict.fromkeys((meant, *exports))
    }


def renamed(result: Result, names: Mapping[str, str]) -> Result:
    """Put names of files that users know in the place of others in what a result says."""

    def plain(text: str) -> str:
        for unknown, known in names.items():
            text = text.replace(unknown, known)
        return text

    if result.error is not None:
        result.error.where, result.error.what = plain(result.error.where), plain(result.error.what)
    nodes = tuple(replace(node, error=plain(node.error)) for node in result.nodes)
    return replace(result, input=plain(result.input), nodes=nodes)


def targets(graph: Graph) -> tuple[str, ...]:
    """Give the nodes a graph is run for: its Exports, or else the nodes that nothing follows."""
    exports = [id for id in graph.of_type("export") if not graph.nodes[id].bypass]
    followed = {source for source, _ in graph.links.values()}
    return tuple(exports or (id for id in graph.order if id not in followed))


def cli_engine(cached: bool = True, lanes: int = 2) -> Engine:
    """Give an engine for runs that look at each picture once: pixels are not kept, but what a
    network said is, on disk."""
    from qr_nodes import resources

    disk = Disk(resources.cache_folder("networks")) if cached else None
    return Engine(Cache(0, disk), lanes)


def run_one(
    engine: Engine,
    graph: Graph,
    source: str | None,
    target: str | Mapping[str, str] | None,
    id: int = 0,
    emit: Callable[[Event], None] = lambda event: None,
    *,
    edits: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> Result:
    """Run a graph over one picture; what goes wrong with it is in the result.

    Parameters
    ----------
    engine, graph : what runs, and what it runs
    source, target : path of the picture, and of the file (or of each Export's)
        None leaves the graph's own. Of several files, only these Exports are run for.
    id : int
        Tells this run from others on the engine.
    edits : bool
        Apply the .qredit file that lies beside the picture.
    stopped : callable
        Asked every few ms whether nobody wants the result any more.

    Raises
    ------
    Cancelled
        It was stopped.
    """
    reports: list[NodeReport] = []
    did = {"done": "ran", "reused": "reused", "failed": "failed", "blocked": "blocked"}

    def listen(event: Event) -> None:
        if event.kind in did:
            reports.append(
                NodeReport(
                    event.node,
                    did[event.kind],
                    round(event.seconds, 4),
                    event.reason,
                    event.notes,
                    str(event.error or ""),
                )
            )
        emit(event)

    began, outputs, own = time.perf_counter(), {}, graph
    try:
        own = edited(graph, source) if edits and source else graph
        bound = bind(own, source, target)
        wanted = tuple(target) if isinstance(target, Mapping) else targets(bound)
        request = RunRequest(bound, wanted, id=id)
        with _ahead(bound, wanted):
            outcome = engine.run(request, listen, lambda: () if stopped() else None)
        if outcome.superseded:
            raise Cancelled
        outputs = outcome.outputs
        error = next(iter(outcome.errors.values()), None)
    except QrNodesError as fault:
        error = fault
    files = {}
    if error is None:
        files = {
            id: value["file"].path
            for id, value in outputs.items()
            if isinstance(value.get("file"), Written)
        }
    written = next(iter(files.values()), None)
    seconds = time.perf_counter() - began
    return Result(
        source or "",
        written,
        seconds,
        tuple(reports),
        error,
        outputs,
        files,
        edited=own is not graph,
    )


@contextlib.contextmanager
def _ahead(graph: Graph, wanted: Iterable[str]) -> Iterator[None]:
    """Have nodes get ready what needs no picture, in a thread beside those that read it."""

    nodes = (graph.nodes[id] for id in graph.upstream(wanted))
    able = [node for node in nodes if node.spec.ahead is not None and not node.bypass]
    if not able:
        yield
        return

    def work() -> None:
        for node in able:
            with contextlib.suppress(Exception):  # the node meets it again, and says it
                node.spec.ahead(node.params)

    thread = threading.Thread(target=work, name="qr-nodes ahead")
    thread.start()
    try:
        yield
    finally:
        thread.join()
