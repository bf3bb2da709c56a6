"""A batch on several machines: pictures are tasks of a Dask cluster, files lie in shared folders.

The client, who has the ledger, says what a picture needs and gives results their names, as in a
run on one machine; workers compute what lies between. Paths travel, bytes do not: a worker sees
pictures and the output folder under the same paths as the client, and says so if it does not. The
only importer of dask.

State: `_desks`, what this process keeps for the pictures it computes if it is a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

from qr_nodes import __version__, resources
from qr_nodes.batch.find import Found, Picture
from qr_nodes.batch.many import budget, only_until_error
from qr_nodes.batch.one import Result, bind, cli_engine, renamed, run_one
from qr_nodes.batch.overlap import POLL, Room, estimate, overlapped
from qr_nodes.batch.work import Batch, Task, keys_of
from qr_nodes.errors import Cancelled, ClusterError, QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import dump, parse

LOCAL = "local"
"""Stands for a cluster that this run starts on this machine, and ends."""
ANSWER = 5
"""Seconds in which a scheduler must answer."""
ARRIVAL = 10
"""Seconds in which the first worker must be there."""
PATIENCE = 60
"""Seconds that a run waits for workers to come back when none is left."""
MOST = 256
"""Pictures that may be under way at once, whatever the number of workers."""
END = 5
"""Seconds that a stopped run waits for workers to lay down what they are at."""
PIXELS = ("numpy", "opencv-python", "Pillow", "pillow-heif", "onnxruntime", "isal", "zlib-ng")
"""Packages that decide about pixels, and about the bytes that they are packed into."""


# ---- the client ----------------------------------------------------------------------------


def run_batch(
    batch: Batch,
    found: Found,
    *,
    scheduler: str,
    workers: int | None = None,
    cached: bool = True,
    memory: int | None = None,
    on_error: str = "skip",
) -> Iterator[Result]:
    """Run a batch over pictures that were found, on a Dask cluster.

    What `many.run_batch` promises holds here as well; the files are the same, bit for bit, on
    devices of one kind. A worker that is lost loses no picture: the scheduler has it done again.

    Parameters
    ----------
    scheduler : str
        Its address, as in "tcp://192.168.0.2:8786"; "local" starts a cluster on this machine.
    workers : int
        Of a local cluster, how many processes; by default one for each core.
    cached : bool
        Workers keep what networks said, each machine for itself.
    memory : int
        Bytes that each worker, or a local cluster as a whole, should stay within; by default half
        of what Dask allows the worker.

    Raises
    ------
    ClusterError
        The cluster cannot be reached, or does not fit: another version, folders not shared.
    """
    if scheduler == LOCAL:
        workers = workers or resources.cores()
        memory = memory and memory // workers
    with _connected(scheduler, workers) as client:
        crew = _Crew(client, batch, scheduler, cached, memory)
        crew.muster()
        with batch:
            try:
                crew.show()
                several = overlapped(crew.do, found.pictures, MOST, crew.stop, crew.window)
                yield from only_until_error(several, crew.stop, on_error)
            finally:
                crew.dismiss()


@contextlib.contextmanager
def _connected(scheduler: str, workers: int | None) -> Iterator[Any]:
    """Give a client of the cluster; a local one ends with it."""
    try:
        import distributed
    except ImportError as error:
        what = f"Dask cannot be loaded ({error})."
        hint = f"Run: {resources.install_command('cluster')}"
        raise ClusterError(what, "--scheduler", hint) from error
    with contextlib.ExitStack() as stack:
        # What a user must know is raised; the rest is Dask's own business.
        stack.enter_context(distributed.utils.silence_logging_cmgr(logging.CRITICAL))
        address: Any = scheduler
        if scheduler == LOCAL:
            with _deaf():
                cluster = distributed.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
            address = stack.enter_context(cluster)
        else:
            _knock(scheduler)
        try:
            client = distributed.Client(address, timeout=ANSWER, set_as_default=False)
        except OSError as error:
            raise _no_answer(scheduler, error) from error
        yield stack.enter_context(client)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Have processes that are started here leave Ctrl+C to this one, whose workers they are."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which they inherit
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _knock(scheduler: str) -> None:
    """Raise ClusterError unless a scheduler answers; a client may wait for ever for others."""
    from distributed import Security
    from distributed.core import rpc

    async def ask() -> dict:
        args = Security().get_connection_args("client")
        async with rpc(scheduler, timeout=ANSWER, connection_args=args) as there:
            return await asyncio.wait_for(there.identity(), ANSWER)

    try:
        with ThreadPoolExecutor(1) as pool:  # this thread may have a loop that runs
            kind = pool.submit(asyncio.run, ask()).result()["type"]
    except Exception as error:  # a wrong address, no way there, TLS, something else that listens
        raise _no_answer(scheduler, error) from error
    if kind != "Scheduler":
        raise ClusterError(f"this is a Dask {kind.lower()}.", scheduler, "Name the scheduler.")


def _no_answer(scheduler: str, error: Exception) -> ClusterError:
    what = f"no Dask scheduler answers there ({_said(error)})."
    return ClusterError(what, scheduler, "Start one with 'dask scheduler', or name another.")


def _said(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


class _Crew:
    """The workers of a cluster during one run, as the client sees them."""

    def __init__(self, client, batch: Batch, scheduler: str, cached: bool, memory: int | None):
        self.client, self.batch, self.scheduler = client, batch, scheduler
        self.how = {"cached": cached, "memory": memory}
        self.run, self.numbers, self.stop = secrets.token_hex(8), count(), threading.Event()
        self.folder = os.getcwd()
        self.probe = Path(os.path.abspath(batch.ledger.part(".probe")))
        self.threads, self.looked, self.manned = 0, 0.0, time.monotonic()

    def muster(self) -> None:
        """Raise ClusterError unless there are workers, all of this version."""
        until = time.monotonic() + ARRIVAL
        while not self._count():
            if time.monotonic() > until:
                what = f"no worker has come within {ARRIVAL} s."
                hint = f"Start some with 'dask worker {self.scheduler}'."
                raise ClusterError(what, self.scheduler, hint)
            time.sleep(POLL)
        same, where = partial(other_versions, versions()), f"scheduler {self.scheduler}"
        try:  # Dask has the scheduler look into tasks as well
            fault = self.client.run_on_scheduler(same)
        except Exception as error:
            raise _stranger(where, error) from error
        if fault is not None:
            raise fault.at(where)
        self._ask(same)

    def show(self) -> None:
        """Raise ClusterError unless all workers see the output folder, and may write there."""
        self.probe.write_bytes(b"")
        self._ask(partial(unseen, str(self.probe)))

    def _ask(self, question: Callable[[], ClusterError | None]) -> None:
        for worker, answer in self.client.run(question, on_error="return").items():
            if isinstance(answer, ClusterError):
                raise answer.at(f"worker {worker}")
            if isinstance(answer, Exception):
                raise _stranger(f"worker {worker}", answer) from answer

    def window(self) -> int:
        """Give how many pictures may be under way: one at work and one in hand for each thread.

        Raises
        ------
        ClusterError
            There is nobody any more who could do them.
        """
        now = time.monotonic()
        if now - self.looked >= 1:
            self.looked = now
            if self._count():
                self.manned = now
            elif now - self.manned > PATIENCE:
                what = f"no worker has been there for {PATIENCE} s."
                hint = "Start some and run the same command again: it goes on from there."
                raise ClusterError(what, self.scheduler, hint)
        return min(max(2 * self.threads, 1), MOST)

    def _count(self) -> int:
        try:
            self.threads = sum(self.client.nthreads().values())
        except (OSError, RuntimeError, asyncio.CancelledError) as error:
            raise self._gone() from error
        return self.threads

    def do(self, picture: Picture) -> Result:
        """Bring a picture's results up to date; raises Cancelled if the run is stopped."""
        planned = self.batch.plan(picture)
        if isinstance(planned, Result):
            return planned
        result = self.batch.perform(planned, run=partial(self._elsewhere, planned))
        return self.batch.commit(planned, result)

    def _elsewhere(self, task: Task, *_, **__) -> Result:
        """Do what `run_one` does, on a worker."""
        order = self._order(task)
        try:
            key = f"picture-{self.run}-{next(self.numbers)}"
            future = self.client.submit(work, order, key=key, pure=False)
            done, result = threading.Event(), None
            future.add_done_callback(lambda _: done.set())
            while result is None:
                if self.stop.is_set():
                    future.cancel()
                    raise Cancelled
                if self.client.status != "running":
                    raise self._gone()
                if done.wait(POLL):
                    # Lost again with its worker, a result takes as long as the picture does.
                    try:
                        result = future.result(timeout=1)
                    except TimeoutError:
                        if future.status == "error":
                            raise
        except (QrNodesError, Cancelled):
            raise
        except (Exception, asyncio.CancelledError) as error:
            if self.stop.is_set():
                raise Cancelled from error
            if self.client.status != "running" or isinstance(error, asyncio.CancelledError):
                raise self._gone() from error
            return Result(task.picture.path, None, 0.0, (), self._lost(error))
        names = {os.path.abspath(path): path for path in task.parts.values()}
        return renamed(result, {order.picture: task.picture.path, **names})

    def _order(self, task: Task) -> Order:
        known = self.batch.engine.files.known(task.picture.path)
        return Order(
            self.run,
            versions(),
            dump(task.graph, self.folder),
            self.folder,
            os.path.abspath(task.picture.path),
            "" if known is None else known[1],
            dict(task.outs),
            dict(task.keys),
            {node: os.path.abspath(part) for node, part in task.parts.items()},
            str(self.probe),
            **self.how,
        )

    def dismiss(self) -> None:
        """Let workers lay down what is no longer wanted, and clear away what lost ones left."""
        if self.client.status == "running":
            # Dask takes a task back, but leaves a thread that is at one alone.
            with contextlib.suppress(Exception):
                self.client.run(lay_down, self.run, on_error="ignore")
        self.probe.unlink(missing_ok=True)
        self.batch.ledger.settle()

    def _gone(self) -> ClusterError:
        hint = "Start it, and run the same command again: it goes on from there."
        return ClusterError("the scheduler is gone.", self.scheduler, hint)

    def _lost(self, error: Exception) -> QrNodesError:
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            what = f"{error.allowed_failures + 1} workers were lost that had it."
            hint = "Give workers more memory, or leave the picture out."
            fault = ClusterError(what, hint=hint)
        else:
            fault = _stranger("a worker", error)
        fault.__cause__ = error
        return fault


def _stranger(where: str, error: Exception) -> ClusterError:
    what = f"it cannot do what this version, {__version__}, asks of it ({_said(error)})."
    return ClusterError(what, where, "Install this version there, with its extra 'cluster'.")


@cache
def versions() -> dict[str, str]:
    """Give the version of this program, and of the packages that decide about files."""
    found = {"qr-nodes": __version__}
    for name in PIXELS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


# ---- the worker ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """A picture for a worker: all that it needs to know.

    Attributes
    ----------
    run : tells runs apart
    versions : what the client runs with
    graph, folder : bytes of a .qrgraph with the picture's own edits, and where it would lie
    picture, digest : its path, and hash of its content as the client sees it
    outs : Export node → path of its file below the output folder
    keys, parts : Export node → key, and path to write to
    probe : file of the client's in the output folder
    cached, memory : see `run_batch`
    """

    run: str
    versions: dict[str, str]
    graph: bytes
    folder: str
    picture: str
    digest: str
    outs: dict[str, str]
    keys: dict[str, str]
    parts: dict[str, str]
    probe: str
    cached: bool
    memory: int | None


class _Desk:
    """What a worker keeps from picture to picture: an engine, and the memory they share."""

    def __init__(self, cached: bool, threads: int):
        self.engine = cli_engine(cached=cached, lanes=max(2, threads))
        self.room = Room(0)
        self.numbers = count()


_desks: dict[bool, _Desk] = {}
_stopped: set[str] = set()
_running: Counter[str] = Counter()
_lock = threading.Lock()


def work(order: Order) -> Result:
    """Compute what a picture needs into parts; what goes wrong with it is in the result."""
    from distributed import get_worker

    worker = get_worker()
    with _lock:
        _running[order.run] += 1
        desk = _desks.get(order.cached)
        if desk is None:
            desk = _desks[order.cached] = _Desk(order.cached, worker.state.nthreads)
    allowed = worker.memory_manager.memory_limit
    memory = order.memory or (allowed and allowed // 2)
    try:
        result = _computed(order, desk, memory, lambda: order.run in _stopped)
    except QrNodesError as error:
        result = Result(order.picture, None, 0.0, (), error.at(f"worker {worker.address}"))
    finally:
        with _lock:
            _running[order.run] -= 1
    if result.error is not None and result.error.__cause__ is not None:
        # The cause itself stays here; where in the program it came from is told with --debug.
        result.error.add_note("".join(traceback.format_exception(result.error.__cause__)))
    return result


def _computed(order: Order, desk: _Desk, memory: int | None, stopped: Callable[[], bool]) -> Result:
    fault = other_versions(order.versions) or unseen(order.probe)
    if fault is not None:
        raise fault
    if not os.path.exists(order.picture) and order.digest:
        what = f"it does not see {order.picture}."
        raise ClusterError(what, hint="Share the folder with all workers under this path.")
    graph = _graph(order.graph, order.folder)
    desk.room.limit = budget(graph, memory)
    for node in order.outs:  # a part that a lost worker left is in nobody's way
        graph = graph.set_param(node, "overwrite", True)
    with desk.room.take(estimate(order.picture), stopped):
        keys = keys_of(desk.engine, graph, order.picture, order.outs)
        known = desk.engine.files.known(order.picture)
        if known is not None and order.digest and known[1] != order.digest:
            what = f"it sees another picture as {order.picture}."
            raise ClusterError(what, hint="Share the folder with all workers under this path.")
        result = run_one(
            desk.engine,
            bind(graph, order.picture),
            order.picture,
            order.parts,
            next(desk.numbers),
            edits=False,
            stopped=stopped,
        )
    # Weights, or another file that the graph names, may differ here without anything failing.
    if result.error is None and any(keys[node] != key for node, key in order.keys.items()):
        what = "its weights, or other files of the graph, are not those of the client."
        raise ClusterError(what, hint="Add the same models there, and share the files.")
    return result


@lru_cache(8)
def _graph(data: bytes, folder: str) -> Graph:
    graph, faults = parse(data, folder)
    for fault in faults:
        raise fault
    return graph


def other_versions(wanted: Mapping[str, str]) -> ClusterError | None:
    """Say in what this process differs from a client, if it does."""
    for name, here in versions().items():
        if wanted.get(name, here) != here:
            what = f"it has {name} {here}, the client has {wanted[name]}."
            return ClusterError(what, hint="Install the same on all machines.")
    return None


def unseen(probe: str) -> ClusterError | None:
    """Say why a worker cannot write into the client's output folder, if it cannot."""
    parts = os.path.dirname(probe)
    folder, hint = Path(parts).parents[1], "Share it with all workers under this path."
    if not os.path.exists(probe):
        return ClusterError(f"it does not see {folder} as the client does.", hint=hint)
    if not os.access(parts, os.W_OK | os.X_OK):
        return ClusterError(f"it may not write into {folder}.", hint="Change its permissions.")
    return None


async def lay_down(run: str) -> None:
    """Stop what a worker still does for a run, and wait until it has."""
    _stopped.add(run)
    until = time.monotonic() + END
    while _running[run] and time.monotonic() < until:
        await asyncio.sleep(0.02)


__all__ = ["LOCAL", "run_batch"]
