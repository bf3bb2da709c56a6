"""What is to be done for a picture, and where its results go: never over somebody else's files.

`Batch` is for those who find or compute pictures in their own way: `plan` says what a picture
needs, `perform` computes it, `commit` puts the files in their place.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from qr_nodes import trust
from qr_nodes.batch.find import Picture
from qr_nodes.batch.ledger import HIDDEN, Ledger, Line, digest_of, mark_of
from qr_nodes.batch.naming import BESIDE, Template, endings
from qr_nodes.batch.one import (
    Result,
    bind,
    only,
    renamed,
    run_one,
    targets,
)
from qr_nodes.batch.overlap import Room, estimate
from qr_nodes.engine import Engine, Event, RunRequest
from qr_nodes.errors import GraphError, ParamError, QrNodesError, WriteError
from qr_nodes.graph import Graph
from qr_nodes.qredit import edited
from qr_nodes.types import Written

FAULT_S = 10.0
"""How long what fails every picture stands, before it is tried once more."""


@dataclass(frozen=True)
class Task:
    """What a picture needs: the files that are missing or out of date.

    Attributes
    ----------
    picture : Picture
    graph : the graph with the picture's own edits
    outs : Export node → path of its file in the ledger's folder, for all of them
    files : Export node → path of its file, for the same
    keys : Export node → key, for those to be computed
    parts : Export node → path to write to, for the same
    """

    picture: Picture
    graph: Graph
    outs: Mapping[str, str]
    files: Mapping[str, str]
    keys: Mapping[str, str]
    parts: Mapping[str, str]


class Batch:
    """A graph, and where its results go.

    Parameters
    ----------
    graph : Graph
        Needs a Load and one or more Export nodes, unless results are named.
    out : path or None
        The output folder; None if each result lies beside its picture.
    sources : paths
        Pictures, which are never written over, and folders of them, which nothing is ever written
        into.
    engine : Engine
        Runs the graph.
    name : str
        Template for results' names: see `qr_nodes.batch.naming`.
    format : str
        Ending of all results, as in "webp"; "" for those that Export nodes name, or else PNG.
    again : bool
        Compute what is there and current as well.
    overwrite : bool
        Replace files that are not as they were made by the program.
    edits : bool
        Apply the .qredit files beside pictures.
    shared : bool
        Other runs may write into the output folder at the same time.
    named : bool
        Pictures bring the paths of their results, in `outs`.

    Attributes
    ----------
    several : bool
        What would fail every picture is raised before the first, instead of by each.

    Raises
    ------
    GraphError, ParamError, WriteError
        The graph, the template or the folder cannot be used so.
    """

    def __init__(
        self,
        graph: Graph,
        out: str | os.PathLike | None,
        sources: Iterable[str | os.PathLike] = (),
        *,
        engine: Engine,
        name: str = "",
        format: str = "",
        again: bool = False,
        overwrite: bool = False,
        edits: bool = True,
        shared: bool = False,
        named: bool = False,
    ):
        self.graph, self.engine = graph, engine
        self.again, self.overwrite, self.edits = again, overwrite, edits
        self.out = None if out is None else Path(out)
        exports = targets(graph)
        if not named:
            only(graph, "load")
            if any(not graph.nodes[id].spec.writes for id in exports):
                raise GraphError("the graph has no Export node.", hint="Add one, as 'export'.")
        for fault in graph.problems(exports):
            raise fault
        if not named:
            paths = [(id, graph.nodes[id].params["path"]) for id in exports]
            usual = "" if out is not None or len(paths) > 1 else BESIDE
            self.template = Template(name or usual, endings(paths, format))
        self.ledger = None if out is None else Ledger(self.out, shared=shared)
        self._ledgers: dict[Path, Ledger] = {}
        self._entered, self.several = False, True
        self._prepared, self._preparing = False, threading.Lock()
        self._said: dict[str, list[str]] = {}
        self._fault: tuple[float, QrNodesError | None] = (0.0, None)
        paths = {os.path.realpath(source): os.path.isdir(source) for source in sources}
        self._inputs = {path for path, folder in paths.items() if not folder}
        self._sources = [path for path, folder in paths.items() if folder]
        if out is not None:
            here = os.path.realpath(self.out)
            if here in self._sources:
                hint = "Name another folder; one in it will do."
                raise WriteError("pictures are read from this folder.", str(out), hint)
            # Results may lie in a folder of pictures only where all of the output folder does.
            self._sources = [source for source in self._sources if not _within(here, source)]
        self._claimed: dict[str, str] = {}
        self._claiming = threading.Lock()

    def __enter__(self) -> Batch:
        if self.ledger is not None:
            self.ledger.open()
        self._entered = True
        return self

    def __exit__(self, *error) -> None:
        self._entered = False
        for ledger in (self.ledger, *self._ledgers.values()):
            if ledger is not None:
                ledger.close()

    def do(
        self,
        picture: Picture,
        room: Room,
        id: int = 0,
        emit: Callable[[Event], None] = lambda event: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Result:
        """Bring a picture's results up to date, within memory; raises Cancelled if stopped."""
        planned = self.plan(picture)
        if isinstance(planned, Result):
            return planned
        if self.several:
            self.prepare()
        with room.take(estimate(picture.path) if picture.path else 0, stopped):
            result = self.perform(planned, id, emit, stopped)
        return self.commit(planned, result)

    def prepare(self, fetch: bool = True) -> None:
        """Raise what would fail every picture; `fetch` the weights of networks that are not here.

        Raises
        ------
        ModelError, DeviceError
            There is no such network or device, or it cannot be had.
        """
        with self._preparing:
            since, fault = self._fault
            if fault is not None and time.monotonic() - since < FAULT_S:
                raise fault
            for id in () if self._prepared else self.graph.upstream(targets(self.graph)):
                node = self.graph.nodes[id]
                if node.spec.prepare is not None and not node.bypass:
                    try:
                        self._said[id] = node.spec.prepare(node.params, fetch)
                    except QrNodesError as error:
                        self._fault = time.monotonic(), error.at_node(id)
                        raise
            self._prepared = fetch

    def plan(self, picture: Picture) -> Task | Result:
        """Say what a picture needs; a Result if that is nothing, or cannot be."""
        began = time.perf_counter()
        try:
            own = self.edits and picture.path
            graph = edited(self.graph, picture.path) if own else self.graph
            files = self._names(picture)
            trust.check_outputs(bind(graph, picture.path or None, files), files)
            places = {id: self._place(file) for id, file in files.items()}
            keys = self._keys(picture, graph, places)
            wanted = {
                id: key
                for id, key in keys.items()
                if self.again or not places[id][0].current(places[id][1], key)
            }
            for id in wanted:
                self._check(picture, graph, id, files[id])
            for id in keys.keys() - wanted.keys():
                places[id][0].seen(places[id][1], self._read(picture)[0])
            if wanted or not files:
                begun = wanted if self._entered else ()  # else somebody only wants to know
                parts = {id: str(places[id][0].part(_ending(files[id]))) for id in begun}
                outs = {id: out for id, (_, out) in places.items()}
                return Task(picture, graph, outs, files, wanted, parts)
        except QrNodesError as error:
            return Result(picture.path, None, time.perf_counter() - began, (), error)
        except OSError as error:  # gone or changed just now; Load would say the same
            what = f"it cannot be read ({error.strerror})."
            fault = WriteError(what, str(error.filename or picture.path), "Try again.")
            return Result(picture.path, None, time.perf_counter() - began, (), fault)
        return Result(
            picture.path,
            next(iter(files.values())),
            time.perf_counter() - began,
            (),
            files=files,
            skipped=True,
            edited=graph is not self.graph,
        )

    def perform(
        self,
        task: Task,
        id: int = 0,
        emit: Callable[[Event], None] = lambda event: None,
        stopped: Callable[[], bool] = lambda: False,
        run: Callable[..., Result] = run_one,
    ) -> Result:
        """Compute what a picture needs into parts, or have `run` do so; raises Cancelled."""
        try:
            result = run(
                self.engine,
                task.graph,
                task.picture.path or None,
                task.parts or None,
                id,
                emit,
                edits=False,
                stopped=stopped,
            )
        except BaseException:
            self._discard(task)
            raise
        if result.error is not None:
            self._discard(task)
        # Users know results by their own names.
        return renamed(result, {part: task.files[node] for node, part in task.parts.items()})

    def commit(self, task: Task, result: Result) -> Result:
        """Return what `perform` wrote its name; the result then says where the files are."""
        result = replace(result, edited=task.graph is not self.graph)
        if result.error is not None or not task.parts:
            return result
        try:
            read, read_digest = self._read(task.picture)
            lines, notes = {}, []
            for node, part in task.parts.items():
                ledger, out = self._place(task.files[node])
                line = Line(
                    out,
                    task.keys[node],
                    mark_of(part),
                    digest_of(part),
                    Path(part).name,
                    task.picture.place,
                    task.picture.home,
                    read,
                    read_digest,
                )
                old = ledger.last.get(out)
                if task.picture.outs and old and old.read_digest == read_digest:
                    # A run over the folder that it lies in has more to say of the picture.
                    line = msgspec.structs.replace(line, picture=old.picture, root=old.root)
                lines.setdefault(ledger, []).append((node, line))
            for ledger, made in lines.items():
                notes.append(ledger.commit([line for _, line in made]))
        except OSError as error:
            what = f"the result is gone again ({error.strerror})."
            fault = WriteError(what, str(error.filename), "Leave .qr-nodes alone during a run.")
            return replace(result, output=None, files={}, outputs={}, error=fault)
        except QrNodesError as error:
            return replace(result, output=None, files={}, outputs={}, error=error)
        marks = {node: line.mark for made in lines.values() for node, line in made}
        outputs = {
            node: {"file": Written(os.path.abspath(task.files[node]), *marks[node])}
            for node in task.parts
        }
        nodes = [
            replace(report, notes=(*self._said.pop(report.node, ()), *report.notes))
            for report in result.nodes
        ]
        nodes[-1] = replace(nodes[-1], notes=(*nodes[-1].notes, *filter(None, notes)))
        return replace(
            result,
            outputs=outputs,
            files=dict(task.files),
            output=next(iter(task.files.values())),
            nodes=tuple(nodes),
        )

    def release(self, path: str) -> None:
        """Let others have the names of a picture that is gone and has no result."""
        with self._claiming:
            claimed = self._claimed.items()
            self._claimed = {name: owner for name, owner in claimed if owner != path}

    def _names(self, picture: Picture) -> dict[str, str]:
        """Return the path of each Export's file, and lay claim to it."""
        from qr_nodes.imaging.image_io import check_target, format_of

        if picture.outs is None:
            names = {node: self._made_up(picture, node) for node in self.template.endings}
        else:
            names = dict(picture.outs)
            for node, path in names.items():
                if not path:
                    raise ParamError("no file is named.", f"{node}.path", "Choose where to write.")
                # Folders are made for whoever runs a graph, not for whoever wrote it.
                own = path == self.graph.nodes[node].params["path"]
                (check_target if own else format_of)(path)
        with self._claiming:
            for name in names.values():
                key = os.path.normcase(os.path.realpath(name))
                owner = self._claimed.setdefault(key, picture.path)
                if owner != picture.path:
                    hint = "Name results by a --name that tells them apart."
                    raise WriteError(f"{Path(owner).name} is written there already.", name, hint)
        return names

    def _made_up(self, picture: Picture, node: str) -> str:
        """Return the path of an Export's file by the template."""
        folder = os.path.dirname(picture.path) if self.out is None else self.out
        names = [self.template.name(picture, node, long=long) for long in (False, True)]
        short, long = (os.path.join(folder, name) for name in names)
        owners = {}
        for name in (short, long):
            ledger, out = self._place(name)
            owners[name] = ledger.last[out].picture if out in ledger.last else None
        # The name that a result has had it keeps, whoever comes to lie beside its picture.
        for name, owner in owners.items():
            if owner == picture.place:
                return name
        return long if picture.twin or owners[short] is not None else short

    def _place(self, file: str) -> tuple[Ledger, str]:
        """Return the ledger that knows a result, and the result's path in the ledger's folder.

        Of files that lie anywhere, that is the ledger of a folder around them that knows them, or
        else the record of the folder that they are in.
        """
        if self.ledger is not None:
            return self.ledger, Path(os.path.relpath(file, self.out)).as_posix()
        path = Path(os.path.realpath(file))
        for folder in path.parents:
            if folder == path.parent or (folder / HIDDEN).is_dir():
                with self._claiming:
                    if folder not in self._ledgers:
                        ledger = Ledger(folder, shared=True, beside=True)
                        self._ledgers[folder] = ledger.open()
                ledger, out = self._ledgers[folder], path.relative_to(folder).as_posix()
                if out in ledger.last:
                    return ledger, out
        return self._ledgers[path.parent], path.name

    def _keys(self, picture: Picture, graph: Graph, places) -> dict[str, str]:
        """Return the key of each Export as if it wrote to a path in its ledger's folder."""
        known = (ledger.last.get(out) for ledger, out in places.values())
        line = next(filter(None, known), None)
        if line is not None and line.picture == picture.place and picture.path:
            self.engine.files.learn(picture.path, *line.read, line.read_digest)
        outs = {id: out for id, (_, out) in places.items()}
        return keys_of(self.engine, graph, picture.path or None, outs)

    def _check(self, picture: Picture, graph: Graph, node: str, target: str) -> None:
        """Refuse to write over what is not ours, or into a folder of pictures."""
        place = os.path.join(os.path.realpath(os.path.dirname(target)), os.path.basename(target))
        from qr_nodes.imaging.image_io import check_target

        if any(_within(place, source) for source in self._sources):
            hint = "Name another output folder."
            raise WriteError("it would lie in a folder of pictures.", target, hint)
        if os.path.realpath(target) in self._inputs:
            raise WriteError("an input would be overwritten.", target, "Name another output.")
        if os.path.exists(target):
            check_target(target)
        ledger, out = self._place(target)
        state = ledger.state(out)
        if state == "changed" and not self.overwrite:
            what = "a file is there that was not made here, or was changed since."
            raise WriteError(what, target, "Move it, name another output, or run with --overwrite.")
        line, digest = ledger.last.get(out), self._read(picture)[1]
        # Of one content it is the same picture, wherever its folder has gone.
        other = line and line.root != picture.home and line.read_digest != digest
        if picture.outs is None and state == "ours" and other and not self.overwrite:
            what = f"it was made from the {line.picture} of another folder."
            raise WriteError(what, target, "Name another output, or run with --overwrite.")
        if state == "ours" and not graph.nodes[node].params["overwrite"] and not self.overwrite:
            what = "the file is there already, and its Export node keeps what is there."
            raise WriteError(what, target, "Switch 'overwrite' on there, or use --overwrite.")

    def _read(self, picture: Picture) -> tuple[tuple[int, int], str]:
        known = self.engine.files.known(picture.path)
        return ((0, 0), "") if known is None else (known[0][:2], known[1])

    def _discard(self, task: Task) -> None:
        for part in task.parts.values():
            Path(part).unlink(missing_ok=True)


def keys_of(
    engine: Engine, graph: Graph, path: str | None, outs: Mapping[str, str]
) -> dict[str, str]:
    """Return the key of each Export for a picture, as if it wrote to a path of `outs`."""
    graph = bind(graph, path, outs)
    for id in outs:
        graph = graph.set_param(id, "overwrite", True)
    keys = engine.keys(RunRequest(graph, tuple(outs)))
    return {id: keys[id].hex() for id in outs}


def _ending(path: str) -> str:
    return os.path.splitext(path)[1]


def _within(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
