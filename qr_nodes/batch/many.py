"""One graph over many pictures: what is to be done for each, and results entered as they come.

`run` is the way in. `Batch` is its parts, for those who find or compute pictures in another way:
`plan` says what a picture needs, `perform` computes it, `commit` puts the files in their place.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from qr_nodes import resources
from qr_nodes.batch.find import Found, Picture, find_pictures
from qr_nodes.batch.ledger import Ledger, Line, digest_of, mark_of
from qr_nodes.batch.naming import Template, endings
from qr_nodes.batch.one import Result, bind, cli_engine, only, run_one, targets
from qr_nodes.batch.overlap import MOST_JOBS, Room, estimate, memory, overlapped, process
from qr_nodes.cache import Cache
from qr_nodes.engine import Engine, Event, RunRequest
from qr_nodes.errors import GraphError, ParamError, QrNodesError, ReadError, WriteError
from qr_nodes.graph import Graph
from qr_nodes.qredit import edited
from qr_nodes.types import Written


@dataclass(frozen=True)
class Task:
    """What a picture needs: the files that are missing or out of date.

    Attributes
    ----------
    picture : Picture
    graph : the graph with the picture's own edits
    outs : Export node → path of its file below the output folder, for all of them
    keys : Export node → key, for those to be computed
    parts : Export node → path to write to, for the same
    """

    picture: Picture
    graph: Graph
    outs: Mapping[str, str]
    keys: Mapping[str, str]
    parts: Mapping[str, str]


class Batch:
    """A graph, and a folder that its results go to.

    Parameters
    ----------
    graph : Graph
        Needs a Load and one or more Export nodes.
    out : path
        The output folder.
    sources : paths
        Folders that pictures come from, which nothing is ever written into.
    engine : Engine
        Runs the graph.
    name : str
        Template for results' names: see `qr_nodes.batch.naming`.
    format : str
        Ending of all results, as in "webp"; "" for those that Export nodes name, or else PNG.
    again : bool
        Compute what is there and current as well.
    overwrite : bool
        Replace files that are not as they were made here.
    edits : bool
        Apply the .qredit files beside pictures.

    Raises
    ------
    GraphError, ParamError, WriteError
        The graph, the template or the folder cannot be used so.
    """

    def __init__(
        self,
        graph: Graph,
        out: str | os.PathLike,
        sources: Iterable[str | os.PathLike] = (),
        *,
        engine: Engine,
        name: str = "",
        format: str = "",
        again: bool = False,
        overwrite: bool = False,
        edits: bool = True,
    ):
        self.graph, self.engine = graph, engine
        self.again, self.overwrite, self.edits = again, overwrite, edits
        self.out = Path(out)
        only(graph, "load")
        exports = targets(graph)
        if any(not graph.nodes[id].spec.writes for id in exports):
            raise GraphError("the graph has no Export node.", hint="Add one, as 'export'.")
        for fault in graph.problems(exports):
            raise fault
        paths = [(id, graph.nodes[id].params["path"]) for id in exports]
        self.template = Template(name, endings(paths, format))
        self.ledger = Ledger(self.out)
        here = os.path.realpath(self.out)
        self._sources = [os.path.realpath(source) for source in sources]
        if here in self._sources:
            hint = "Name another folder; one in it will do."
            raise WriteError("pictures are read from this folder.", str(out), hint)
        # Results may lie in a folder of pictures only where all of the output folder does.
        self._sources = [source for source in self._sources if not _within(here, source)]
        self._claimed: dict[str, str] = {}
        self._claiming = threading.Lock()

    def __enter__(self) -> Batch:
        self.ledger.open()
        return self

    def __exit__(self, *error) -> None:
        self.ledger.close()

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
        with room.take(estimate(picture.path), stopped):
            result = self.perform(planned, id, emit, stopped)
        return self.commit(planned, result)

    def plan(self, picture: Picture) -> Task | Result:
        """Say what a picture needs; a Result if that is nothing, or cannot be."""
        began = time.perf_counter()
        try:
            graph = edited(self.graph, picture.path) if self.edits else self.graph
            outs = self._names(picture)
            keys = self._keys(picture, graph, outs)
            current = self.ledger.current
            if self.again:
                wanted = keys
            else:
                wanted = {id: key for id, key in keys.items() if not current(outs[id], key)}
            for id in wanted:
                self._check(picture, graph, id, outs[id])
            for id in keys.keys() - wanted.keys():
                self.ledger.seen(outs[id], self._read(picture)[0])
        except QrNodesError as error:
            return Result(picture.path, None, time.perf_counter() - began, (), error)
        except OSError as error:  # gone or changed just now; Load would say the same
            what = f"it cannot be read ({error.strerror})."
            fault = WriteError(what, str(error.filename or picture.path), "Try again.")
            return Result(picture.path, None, time.perf_counter() - began, (), fault)
        if wanted:
            ending = self.template.endings
            parts = {id: str(self.ledger.part(ending[id])) for id in wanted}
            return Task(picture, graph, outs, wanted, parts)
        files, seconds = self._files(outs), time.perf_counter() - began
        return Result(
            picture.path,
            next(iter(files.values())),
            seconds,
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
                task.picture.path,
                task.parts,
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
            for node, part in task.parts.items():  # users know results by their own names
                where = result.error.where
                result.error.where = where.replace(part, str(self.out / task.outs[node]))
        return result

    def commit(self, task: Task, result: Result) -> Result:
        """Give what `perform` wrote its name; the result then says where the files are."""
        result = replace(result, edited=task.graph is not self.graph)
        if result.error is not None:
            return result
        try:
            read, read_digest = self._read(task.picture)
            lines = [
                Line(
                    task.outs[node],
                    task.keys[node],
                    mark_of(part),
                    digest_of(part),
                    Path(part).name,
                    task.picture.place,
                    task.picture.home,
                    read,
                    read_digest,
                )
                for node, part in task.parts.items()
            ]
            self.ledger.commit(lines)
        except OSError as error:
            what = f"the result is gone again ({error.strerror})."
            fault = WriteError(what, str(error.filename), "Leave .qr-nodes alone during a run.")
            return replace(result, output=None, files={}, outputs={}, error=fault)
        except QrNodesError as error:
            return replace(result, output=None, files={}, outputs={}, error=error)
        outputs = {
            node: {"file": Written(os.path.abspath(self.out / line.out), *line.mark)}
            for node, line in zip(task.parts, lines, strict=True)
        }
        files = self._files(task.outs)
        return replace(result, outputs=outputs, files=files, output=next(iter(files.values())))

    def release(self, place: str) -> None:
        """Let others have the names of a picture that is gone and has no result."""
        with self._claiming:
            claimed = self._claimed.items()
            self._claimed = {name: owner for name, owner in claimed if owner != place}

    def _names(self, picture: Picture) -> dict[str, str]:
        """Give the path of each Export's file below the output folder, and lay claim to it."""
        try:
            picture.place.encode()
        except UnicodeEncodeError as error:
            what = "its name holds bytes that are no text."
            raise ReadError(what, ascii(picture.place), "Rename it.") from error
        names = {}
        for node in self.template.endings:
            short = self.template.name(picture, node)
            line = self.ledger.last.get(short)
            # The name that a result has had it keeps, whoever comes to lie beside its picture.
            kept = line is not None and line.picture == picture.place
            long = (picture.twin or line is not None) and not kept
            names[node] = self.template.name(picture, node, long=True) if long else short
        with self._claiming:
            for name in names.values():
                owner = self._claimed.setdefault(os.path.normcase(name), picture.place)
                if owner != picture.place:
                    hint = "Name results by a --name that tells them apart."
                    what = f"{owner} is written there already."
                    raise WriteError(what, str(self.out / name), hint)
        return names

    def _keys(self, picture: Picture, graph: Graph, outs: Mapping[str, str]) -> dict[str, str]:
        """Give the key of each Export as if it wrote to a path below the output folder."""
        line = next(
            (self.ledger.last[out] for out in outs.values() if out in self.ledger.last), None
        )
        if line is not None and line.picture == picture.place:
            self.engine.files.learn(picture.path, *line.read, line.read_digest)
        return keys_of(self.engine, graph, picture.path, outs)

    def _check(self, picture: Picture, graph: Graph, node: str, out: str) -> None:
        """Refuse to write over what is not ours, or into a folder of pictures."""
        target = self.out / out
        place = os.path.join(os.path.realpath(target.parent), target.name)
        if any(_within(place, source) for source in self._sources):
            hint = "Name another output folder."
            raise WriteError("it would lie in a folder of pictures.", str(target), hint)
        if os.path.lexists(target) and os.path.exists(picture.path):
            with_same = os.path.exists(target) and os.path.samefile(target, picture.path)
            if with_same:
                raise WriteError("an input would be overwritten.", str(target), "Name another.")
        state = self.ledger.state(out)
        if state == "changed" and not self.overwrite:
            what = "a file is there that was not made here, or was changed since."
            raise WriteError(what, str(target), "Move it, or run with --overwrite.")
        line, digest = self.ledger.last.get(out), self._read(picture)[1]
        # Of one content it is the same picture, wherever its folder has gone.
        other = line and line.root != picture.home and line.read_digest != digest
        if state == "ours" and other and not self.overwrite:
            what = f"it was made from the {line.picture} of another folder."
            raise WriteError(what, str(target), "Name another output, or run with --overwrite.")
        if state == "ours" and not graph.nodes[node].params["overwrite"] and not self.overwrite:
            what = "the file is there already, and its Export node keeps what is there."
            raise WriteError(what, str(target), "Switch 'overwrite' on there, or use --overwrite.")

    def _read(self, picture: Picture) -> tuple[tuple[int, int], str]:
        known = self.engine.files.known(picture.path)
        return ((0, 0), "") if known is None else (known[0][:2], known[1])

    def _files(self, outs: Mapping[str, str]) -> dict[str, str]:
        return {node: str(self.out / out) for node, out in outs.items()}

    def _discard(self, task: Task) -> None:
        for part in task.parts.values():
            Path(part).unlink(missing_ok=True)


def keys_of(engine: Engine, graph: Graph, path: str, outs: Mapping[str, str]) -> dict[str, str]:
    """Give the key of each Export for a picture, as if it wrote to a path of `outs`."""
    graph = bind(graph, path, outs)
    for id in outs:
        graph = graph.set_param(id, "overwrite", True)
    keys = engine.keys(RunRequest(graph, tuple(outs)))
    return {id: keys[id].hex() for id in outs}


def _within(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)


def run(
    graph: Graph,
    inputs: str | os.PathLike | Iterable[str | os.PathLike] = (),
    outputs: str | os.PathLike | Iterable[str | os.PathLike] = (),
    *,
    engine: Engine | None = None,
    emit: Callable[[Event], None] = lambda event: None,
    jobs: int | None = None,
    memory: int | None = None,
    patterns: Sequence[str] = (),
    exclude: Sequence[str] = (),
    name: str = "",
    format: str = "",
    again: bool = False,
    overwrite: bool = False,
    edits: bool = True,
    on_error: str = "skip",
) -> Iterator[Result]:
    """Run a graph over pictures, or over folders of them; one that fails does not stop the rest.

    Closing the iterator stops the run: what is done stays, what is half done leaves no trace.

    Parameters
    ----------
    graph : Graph
        Its Export nodes are the targets; without one, the nodes that nothing follows.
    inputs, outputs : path, or paths of the same number
        None, or nothing, leaves the graph's own paths. If a folder is among the inputs, `outputs`
        is the folder for results (FOLDER-cutout by default): there the tree is kept, what is
        there and current is skipped, and the parameters from `patterns` on apply.
    engine : Engine
        One to share between calls, so that what has not changed is not computed again. Its lanes
        bound how many pictures are worked on at once.
    emit : callable
        Takes the engine's events, from several threads; `run` in them is the picture's number.
    jobs : int
        Pictures to work on side by side; for folders as many as the cores allow by default,
        otherwise one after another.
    memory : int
        Bytes that the process should stay within; by default half of what there is.
    patterns, exclude : texts
        See `find_pictures`.
    name, format, again, overwrite, edits
        See `Batch`.
    on_error : "skip" or "stop"
        Go on after a picture that failed, or stop.

    Yields
    ------
    result : Result
        One per input, its error in it rather than raised. With several jobs as they are done.

    Raises
    ------
    GraphError, ParamError, ReadError, WriteError
        Folders, or what is asked of them, cannot be used at all.
    """
    if on_error not in ("skip", "stop"):
        raise ParamError(f"{on_error!r} cannot be used.", "on_error", "Use skip or stop.")
    if jobs is not None and jobs < 1:
        raise ParamError(f"{jobs} cannot be used.", "jobs", "Use 1 or more.")
    ins = _paths(inputs)
    if not any(map(os.path.isdir, ins)):
        jobs = jobs or 1
        # One after another they need share nothing, and how much there is need not be found out.
        room = Room(budget(graph, memory) if jobs > 1 else sys.maxsize)
        return _run_list(graph, ins, _paths(outputs), engine, emit, jobs, room, edits, on_error)
    room = Room(budget(graph, memory))
    out = output_folder(ins, _paths(outputs))
    how = {"name": name, "format": format, "again": again, "overwrite": overwrite, "edits": edits}
    jobs = jobs or default_jobs()
    own = engine or cli_engine(lanes=jobs)
    folders = [path for path in ins if os.path.isdir(path)]
    batch = Batch(graph, out, folders, engine=own, **how)
    found = find_pictures(ins, patterns, exclude, out)
    return run_batch(
        batch, found, emit=emit, jobs=jobs, room=room, on_error=on_error, close=engine is None
    )


def run_batch(
    batch: Batch,
    found: Found,
    *,
    emit: Callable[[Event], None] = lambda event: None,
    jobs: int,
    room: Room,
    on_error: str = "skip",
    close: bool = False,
    stop: threading.Event | None = None,
) -> Iterator[Result]:
    """Run a batch over pictures that were found; `close` ends its engine with the run.

    `stop`, set by any thread, ends the run as closing the iterator does. It is set at the end.
    """
    stop, number = stop or threading.Event(), count()
    with ExitStack() as stack:
        if close:
            stack.callback(batch.engine.close)
        stack.enter_context(batch)
        if close:  # an Export that was given up may end its part after all, until the engine ends
            stack.callback(batch.ledger.settle)
            stack.callback(batch.engine.close)
        yield from only_until_error(
            overlapped(
                lambda p: batch.do(p, room, next(number), emit, stop.is_set),
                found.pictures,
                jobs,
                stop,
            ),
            stop,
            on_error,
        )


def _run_list(graph, ins, outs, engine, emit, jobs, room, edits, on_error) -> Iterator[Result]:
    """Run over pictures that each have their own output."""
    size, stop = max(len(ins), len(outs), 1), threading.Event()
    own = Engine(Cache(0), lanes=max(2, jobs)) if engine is None else None

    def do(place: int) -> Result:
        source = ins[place] if place < len(ins) else None
        target = outs[place] if place < len(outs) else None
        with room.take(estimate(source) if source else 0, stop.is_set):
            return run_one(
                engine or own, graph, source, target, place, emit, edits=edits, stopped=stop.is_set
            )

    try:
        if jobs == 1:  # on this thread, as each is asked for
            yield from only_until_error(map(do, range(size)), stop, on_error)
        else:
            yield from only_until_error(overlapped(do, range(size), jobs, stop), stop, on_error)
    finally:
        if own:
            own.close()


def only_until_error(results: Iterator[Result], stop: threading.Event, on_error: str):
    """Pass results on; after one that failed, if so wished, only those that are done already."""
    try:
        for result in results:
            yield result
            if result.error is not None and on_error == "stop":
                stop.set()
                if not hasattr(results, "close"):
                    return
    finally:
        stop.set()
        if hasattr(results, "close"):
            results.close()


def default_jobs() -> int:
    """Give how many pictures to work on side by side: one for each core."""
    return max(2, min(resources.cores(), MOST_JOBS))


def budget(graph: Graph, asked: int | None = None) -> int:
    """Give the bytes that a graph's pictures may take together, out of what the process may."""
    return max((memory() // 2 if asked is None else asked) - process(graph), 0)


def output_folder(ins: Sequence[str], outs: Sequence[str]) -> str:
    """Give the folder for the results of folders."""
    if len(outs) > 1:
        hint = "Name one folder for all results."
        raise WriteError(f"{len(outs)} outputs are named for folders.", hint=hint)
    if outs:
        if os.path.exists(outs[0]) and not os.path.isdir(outs[0]):
            raise WriteError("this is a file, not a folder.", outs[0], "Name a folder.")
        return outs[0]
    if len(ins) > 1:
        raise WriteError("results need a folder.", hint="Name one with -o.")
    folder = Path(os.path.abspath(ins[0]))
    return str(folder.with_name(f"{folder.name}-cutout"))


def _paths(paths) -> list[str]:
    single = isinstance(paths, str | os.PathLike)
    return [os.fspath(path) for path in ([paths] if single else paths or ())]
