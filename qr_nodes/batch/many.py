"""One graph over pictures: finding them, running over them side by side, and stopping.

`run` is the way in, for one picture as for folders of them. `gather` finds the pictures and says
where results go; `run_batch` does them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import count, zip_longest
from pathlib import Path

from qr_nodes import resources, trust, whole
from qr_nodes.batch.find import Found, Picture, find_pictures, hash_of, is_picture
from qr_nodes.batch.one import (
    Result,
    cli_engine,
    names_file,
    only,
    targets,
)
from qr_nodes.batch.overlap import MOST_JOBS, Room, memory, overlapped, process
from qr_nodes.batch.work import Batch
from qr_nodes.engine import Engine, Event
from qr_nodes.errors import Cancelled, ParamError, WriteError
from qr_nodes.graph import Graph


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
    beside: bool = False,
) -> Iterator[Result]:
    """Run a graph over pictures, or over folders of them; one that fails does not stop the rest.

    Closing the iterator stops the run: what is done stays, what is half done leaves no trace.

    What is there and current is skipped. A file that the program has made, and that nobody has
    changed since, is replaced; any other is not, and fails its picture.

    Parameters
    ----------
    graph : Graph
        Its Export nodes are the targets; without one, the nodes that nothing follows.
    inputs, outputs : path, or paths of the same number
        None, or nothing, leaves the graph's own paths. One folder as output takes the results of
        all inputs. If a folder is among these it is the only one there may be (FOLDER-cutout by
        default), the tree of folders is kept, and `patterns` and `exclude` apply.
    engine : Engine
        One to share between calls, so that what has not changed is not computed again. Its lanes
        bound how many pictures are worked on at once.
    emit : callable
        Takes the engine's events, from several threads; `run` in them is the picture's number.
    jobs : int
        Pictures to work on side by side; for folders as many as the cores allow by default,
        otherwise one after another, each when it is asked for.
    memory : int
        Bytes that the process should stay within; by default half of what there is.
    patterns, exclude : texts
        See `find_pictures`.
    name, format, again, overwrite, edits
        See `Batch`.
    on_error : "skip" or "stop"
        Go on after a picture that failed, or stop.
    beside : bool
        Without an output, results of files lie beside these.

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
    ins, how = _paths(inputs), {"again": again, "overwrite": overwrite, "edits": edits}
    jobs = jobs or (default_jobs() if any(map(os.path.isdir, ins)) else 1)
    batch, found = gather(
        graph,
        ins,
        _paths(outputs),
        engine=engine or cli_engine(lanes=max(2, jobs)),
        patterns=patterns,
        exclude=exclude,
        name=name,
        format=format,
        beside=beside,
        **how,
    )
    # One after another they need share nothing, and how much there is need not be found out.
    room = Room(budget(graph, memory) if jobs > 1 else sys.maxsize)
    return run_batch(
        batch, found, emit=emit, jobs=jobs, room=room, on_error=on_error, close=engine is None
    )


def gather(
    graph: Graph,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    engine: Engine,
    patterns: Sequence[str] = (),
    exclude: Sequence[str] = (),
    beside: bool = False,
    **how,
) -> tuple[Batch, Found]:
    """Find the pictures that are meant, and say where their results go.

    Parameters
    ----------
    graph, inputs, outputs, patterns, exclude, beside
        See `run`.
    engine, **how
        See `Batch`.

    Raises
    ------
    GraphError, ParamError, ReadError, WriteError
        The graph, or the paths, cannot be used so.
    """
    folders = [path for path in inputs if os.path.isdir(path)]
    if folders:
        out = output_folder(inputs, outputs)
        batch = Batch(graph, out, inputs, engine=engine, **how)
        return batch, find_pictures(inputs, patterns, exclude, out)
    if inputs:
        only(graph, "load")
    together = len(outputs) == 1 and _is_folder(inputs, outputs[0])
    if inputs and (together or (beside and not outputs)):
        out = outputs[0] if outputs else None
        batch = Batch(graph, out, inputs, engine=engine, shared=True, **how)
        found = find_pictures(inputs, out=out)
        batch.several = len(found.pictures) > 1
        return batch, found
    pictures = []
    for source, target in zip_longest(inputs, outputs or [None]):
        home, place = os.path.split(os.path.abspath(source)) if source else ("", "")
        if target is None:
            own = trust.outputs(graph, targets(graph))
            outs = {id: own.get(id, "") for id in targets(graph) if graph.nodes[id].spec.writes}
        else:
            outs = names_file(graph, target)
        home = hash_of(home) if source else ""
        pictures.append(Picture(source or "", place, home=home, outs=outs))
    for name in ("name", "format"):
        how.pop(name, None)
    batch = Batch(graph, None, inputs, engine=engine, named=True, **how)
    batch.several = len(pictures) > 1
    return batch, Found(pictures)


def _is_folder(inputs: Sequence[str], out: str) -> bool:
    """Return whether an output of files is a folder for them all, or raise WriteError."""
    if out.endswith(("/", os.sep)) or os.path.isdir(out):
        return True
    if len(inputs) < 2:
        return False
    if is_picture(out):
        hint = f"Name a folder for them, as {os.path.splitext(out)[0] + os.sep!r}."
        raise WriteError(f"this is one file, and there are {len(inputs)} pictures.", out, hint)
    return True


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
            if batch.ledger is not None:
                stack.callback(batch.ledger.settle)
            stack.callback(batch.engine.close)

        def do(picture: Picture) -> Result:
            return batch.do(picture, room, next(number), emit, stop.is_set)

        if jobs == 1:
            results = _one_by_one(do, found.pictures, stop)
        else:
            results = overlapped(do, found.pictures, jobs, stop)
        yield from only_until_error(results, stop, on_error)


def _one_by_one(do: Callable, pictures: Iterable[Picture], stop: threading.Event) -> Iterator:
    """Do pictures on this thread, each when it is asked for."""
    for picture in pictures:
        if stop.is_set():
            return
        with suppress(Cancelled):
            yield do(picture)


def only_until_error(results: Iterator[Result], stop: threading.Event, on_error: str):
    """Pass results on; after one that failed, only those that are done already, if so wished or
    if the disk is full: that would fail all of them."""
    try:
        for result in results:
            yield result
            if result.error is not None and (on_error == "stop" or disk_full(result.error)):
                stop.set()
    finally:
        stop.set()
        results.close()


def disk_full(error: BaseException | None) -> bool:
    """Return whether what went wrong comes from a disk that is full."""
    while error is not None and getattr(error, "errno", None) not in whole.FULL:
        error = error.__cause__
    return error is not None


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
        if not os.path.isdir(outs[0]) and (os.path.exists(outs[0]) or is_picture(outs[0])):
            raise WriteError("this is a file, not a folder.", outs[0], "Name a folder.")
        return outs[0]
    if len(ins) > 1:
        raise WriteError("results need a folder.", hint="Name one with -o.")
    folder = Path(os.path.abspath(ins[0]))
    return str(folder.with_name(f"{folder.name}-cutout"))


def _paths(paths) -> list[str]:
    single = isinstance(paths, str | os.PathLike)
    return [os.fspath(path) for path in ([paths] if single else paths or ())]
