"""A graph run from bytes to bytes: its Load and Export touch no file and know no path.

State: `_runs`, which counts the graphs that were made so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import count
from typing import Any, BinaryIO

import msgspec

from qr_nodes.batch import only, setting
from qr_nodes.engine import Engine, Event, RunRequest
from qr_nodes.errors import Cancelled, ParamError, QrNodesError, ReadError
from qr_nodes.graph import Graph
from qr_nodes.node import Job, Param
from qr_nodes.types import Cutout

_runs = count()

OURS = ("file", "save", "model", "device")
"""Kinds of parameters that name something of this machine's."""


class PictureFault(QrNodesError):
    """What is wrong with the picture that was given, rather than with the graph or this machine.

    Attributes
    ----------
    kind : "too large" (in pixels), "unknown" (no picture of a kind that is read) or "damaged"
    """

    def __init__(self, what: str, where: str = "", hint: str = "", kind: str = "damaged"):
        super().__init__(what, where, "Send a smaller one." if kind == "too large" else hint)
        self.kind = kind


@dataclass(frozen=True)
class Prepared:
    """A graph whose picture comes and goes as bytes.

    Attributes
    ----------
    graph : Graph
        Only what the Export needs.
    load, export : ids of the nodes that read the picture and write the result
    """

    graph: Graph
    load: str
    export: str

    @classmethod
    def of(cls, graph: Graph) -> Prepared:
        """Find the Load and the Export that are meant, as the command line does.

        Raises
        ------
        GraphError
            There is none, or no telling which; or something keeps the Export from running.
        """
        load, export = only(graph, "load"), only(graph, "export")
        for id in (load, export):
            graph = graph.change(id, bypass=False).set_param(id, "path", "")
        for fault in graph.problems([export]):
            raise fault
        for id in graph.nodes.keys() - graph.upstream([export]):
            graph = graph.remove(id)
        return cls(graph, load, export)

    def settable(self) -> dict[str, dict[str, Any]]:
        """Return what a stranger may set: "node.parameter" → its value, and what it may be."""
        return {
            f"{id}.{name}": {"value": msgspec.to_builtins(node.params[name])}
            | node.spec.describe(name)
            for id, node in self.graph.nodes.items()
            for name, param in node.spec.params.items()
            if not _ours(param)
        }

    def with_settings(self, settings: Iterable[str]) -> Prepared:
        """Return this with a stranger's settings, such as "feather.sigma=4".

        Raises
        ------
        GraphError, ParamError
            There is no such parameter, it is not a stranger's to set, or cannot be so.
        """
        graph = self.graph
        for text in settings:
            id, name, value = setting(graph, text, "set")
            if (param := graph.node(id).spec.params.get(name)) and _ours(param):
                what = (
                    "this cannot be set from outside: it is about files, models, devices or limits."
                )
                raise ParamError(what, f"{id}.{name}", "Leave it out.")
            graph = graph.set_param(id, name, value, text=True)
        return replace(self, graph=graph)


def _ours(param: Param) -> bool:
    """Return whether a parameter is about this machine: never a stranger's to set."""
    return param.machine or param.kind in OURS


def bound(prepared: Prepared, read: Callable, write: Callable | None, mark: str) -> Graph:
    """Return the graph with `read` in Load's place and, unless it is None, `write` in Export's.

    Both take what those nodes take. `mark` stands for the picture's content in Load's key; Export's
    is another each time, so that it is run on an engine that keeps results as well.
    """
    graph, own_mark = prepared.graph, f"run {next(_runs)}"
    for node, fn, told in ((prepared.load, read, mark), (prepared.export, write, own_mark)):
        if fn is not None:
            own = graph.nodes[node].spec
            spec = replace(own, fn=fn, outside=lambda params, told=told: told, check=None)
            graph = graph.change(node, spec=spec)
    return graph


def run(
    prepared: Prepared,
    picture: BinaryIO,
    format: str,
    engine: Engine,
    *,
    id: int,
    max_pixels: float,
    unwanted: Callable[[], bool] = lambda: False,
) -> tuple[bytes, list[str]]:
    """Run a graph on one picture.

    Parameters
    ----------
    prepared : Prepared
    picture : seekable binary file
    format : ending that names the result's format: "png", "webp", …
    engine : Engine
        Its cache should keep nothing: no two runs share a key.
    id : int
        Another for each run of the engine.
    max_pixels : float
        Most pixels of the picture, and of whatever a node makes of it.
    unwanted : callable
        Asked every few ms; True stops the run.

    Returns
    -------
    data : bytes
        The file that Export would have written.
    notes : list of str
        What the nodes had to say, each with the node's name before it.

    Raises
    ------
    PictureFault
        The picture cannot be read, or is or becomes too large.
    QrNodesError
        Whatever else kept the graph from running.
    Cancelled
        It was unwanted.
    """
    from qr_nodes.imaging.image_io import read_image, write_image

    def read(*, path: str, page: int, max_pixels: float, job: Job) -> Cutout:
        most = min(max_pixels * 1e6, limit)
        return read_image(picture, page=page, max_pixels=most, note=job.note)

    def write(cutout: Cutout, *, path: str, overwrite: bool, job: Job, **settings: Any) -> bytes:
        out = BytesIO()
        name = f"picture.{format}"
        write_image(cutout, out, name=name, note=job.note, progress=job.progress, **settings)
        return out.getvalue()

    limit, notes, grown = max_pixels, [], []

    def listen(event: Event) -> None:
        notes.extend(f"{event.node}: {note}" for note in event.notes)
        for value in (event.outputs or {}).values():
            height, width = getattr(value, "shape", None) or (0, 0)
            if event.node != prepared.load and height * width > limit:
                what = f"{width} × {height} px are more than the limit of {limit / 1e6:.4g} MP."
                grown.append(PictureFault(what, event.node, kind="too large"))

    # The run's number in place of a file's content: nobody gets what another's picture gave.
    graph = bound(prepared, read, write, f"run {id}")
    outcome = engine.run(
        RunRequest(graph, (prepared.export,), id=id),
        listen,
        lambda: () if grown or unwanted() else None,
    )
    if grown:
        raise grown[0]
    if outcome.superseded:
        raise Cancelled
    for node, error in outcome.errors.items():
        if node == prepared.load and isinstance(error, ReadError):
            kind = getattr(error.__cause__, "kind", "damaged")
            raise PictureFault(error.what, "picture", error.hint, kind) from error
        raise error
    return outcome.outputs[prepared.export]["file"], notes
