"""One graph over pictures: bind a graph to its files, run it, and tell what came of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from qr_nodes import trust
from qr_nodes.cache import Cache, Disk
from qr_nodes.engine import Engine, Event, RunRequest
from qr_nodes.errors import GraphError, ParamError, QrNodesError, WriteError
from qr_nodes.graph import Graph


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
    """

    input: str
    output: str | None
    seconds: float
    nodes: tuple[NodeReport, ...]
    error: QrNodesError | None = None
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def notes(self) -> list[str]:
        """Everything the nodes had to say, with the node's name before it."""
        return [f"{report.node}: {note}" for report in self.nodes for note in report.notes]

    def as_json(self) -> dict[str, Any]:
        """Give what a script wants to know, in JSON's own types."""
        return {
            "input": self.input,
            "output": self.output,
            "seconds": round(self.seconds, 4),
            "error": None if self.error is None else str(self.error),
            "nodes": [asdict(report) for report in self.nodes],
        }


def override(graph: Graph, settings: Iterable[str]) -> Graph:
    """Apply settings such as "feather.sigma=4" to a graph.

    The name before the point is a node's id, or its type where only one node has it.
    """
    for setting in settings:
        path, found, value = setting.partition("=")
        node, point, name = path.strip().rpartition(".")
        if not found or not point:
            raise ParamError(f"{setting!r} sets nothing.", "--set", "Write NODE.PARAMETER=VALUE.")
        if node not in graph.nodes and len(same := graph.of_type(node)) == 1:
            node = same[0]
        graph = graph.set_param(node, name, value, text=True)
    return graph


def bind(graph: Graph, input: str | None = None, output: str | None = None) -> Graph:
    """Point a graph's Load and Export at files.

    With several of them, the one called "load" ("export") is meant, or the only one that has
    no path of its own.
    """
    for type, path in (("load", input), ("export", output)):
        if path is not None:
            graph = graph.set_param(_only(graph, type), "path", path)
    return graph


def _only(graph: Graph, type: str) -> str:
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


def output_paths(inputs: list[str], out: str | None, suffix: str = ".png") -> list[str]:
    """Say where the result of each input goes.

    Parameters
    ----------
    inputs : list of paths
    out : a file (for one input), a folder (made if it ends with a slash or there are several
        inputs), or None for NAME-cutout.png beside each input
    suffix : ending of names that are made here

    Raises
    ------
    WriteError
        A result would land on an input, or the folder cannot be made.
    """
    files = [Path(input) for input in inputs]
    if out is None:
        paths = [file.with_name(f"{file.stem}-cutout{suffix}") for file in files]
    elif len(files) > 1 or out.endswith(("/", os.sep)) or os.path.isdir(out):
        stems = [file.stem for file in files]
        # Two pictures that differ in their ending only keep it, so that neither is lost.
        names = [f.name if stems.count(f.stem) > 1 else f.stem for f in files]
        paths = [Path(out) / f"{name}{suffix}" for name in names]
        try:
            os.makedirs(out, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"the folder cannot be made ({error.strerror}).", out, "Name another."
            ) from error
    else:
        paths = [Path(out)]
    taken = {file.resolve() for file in files}
    for place, path in enumerate(paths):
        if path.resolve() in taken or path in paths[:place]:
            raise WriteError(
                "an input, or another result, would be overwritten.",
                str(path),
                "Name another output.",
            )
    return [str(path) for path in paths]


def run(
    graph: Graph,
    inputs: str | os.PathLike | Iterable[str | os.PathLike] = (),
    outputs: str | os.PathLike | Iterable[str | os.PathLike] = (),
    *,
    engine: Engine | None = None,
    emit: Callable[[Event], None] = lambda event: None,
) -> Iterator[Result]:
    """Run a graph over pictures, one after another; a picture that fails does not stop the rest.

    Parameters
    ----------
    graph : Graph
        Its Export nodes are the targets; without one, the nodes that nothing follows.
    inputs, outputs : path, or paths of the same number
        None, or nothing, leaves the graph's own paths. A picture that is read is never written.
    engine : Engine
        One to share between calls, so that what has not changed is not computed again.
    emit : callable
        Takes the engine's events.

    Yields
    ------
    result : Result
        One per input, its error in it rather than raised.
    """
    ins, outs = _paths(inputs), _paths(outputs)
    count = max(len(ins), len(outs), 1)
    own = Engine(Cache(0)) if engine is None else None
    try:
        for place in range(count):
            source = ins[place] if place < len(ins) else None
            target = outs[place] if place < len(outs) else None
            yield _run_one(engine or own, graph, source, target, place, emit)
    finally:
        if own:
            own.close()


def targets(graph: Graph) -> tuple[str, ...]:
    """Give the nodes a graph is run for: its Exports, or else the nodes that nothing follows."""
    exports = [id for id in graph.of_type("export") if not graph.nodes[id].bypass]
    followed = {source for source, _ in graph.links.values()}
    return tuple(exports or (id for id in graph.order if id not in followed))


def cli_engine(cached: bool = True) -> Engine:
    """Give an engine for runs that look at each picture once: pixels are not kept, but what a
    network said is, on disk."""
    from qr_nodes import resources

    disk = Disk(resources.cache_folder("networks")) if cached else None
    return Engine(Cache(0, disk))


def _paths(paths) -> list[str]:
    single = isinstance(paths, str | os.PathLike)
    return [os.fspath(path) for path in ([paths] if single else paths or ())]


def _run_one(engine, graph, source, target, id, emit) -> Result:
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

    began, outputs, written = time.perf_counter(), {}, None
    try:
        bound = bind(graph, source, target)
        wanted = targets(bound)
        trust.check_outputs(bound, wanted)
        outcome = engine.run(RunRequest(bound, wanted, id=id), listen)
        outputs = outcome.outputs
        error = next(iter(outcome.errors.values()), None)
    except QrNodesError as fault:
        error = fault
    if error is None:
        files = [value["file"].path for value in outputs.values() if "file" in value]
        written = files[0] if files else None
    seconds = time.perf_counter() - began
    return Result(source or "", written, seconds, tuple(reports), error, outputs)
