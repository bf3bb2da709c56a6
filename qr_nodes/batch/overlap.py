"""Several pictures side by side, within cores and memory.

Networks run one at a time per device (`inference.session` sees to that); decoding, filters and
encoding of other pictures fill the time between.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qr_nodes.errors import Cancelled, ModelError
from qr_nodes.graph import Graph

PER_PIXEL = 32
"""Bytes that a picture of 8 bits may take at its worst moment in any preset, for each pixel."""
PROGRAM = 200_000_000
"""Bytes that the process takes beside pictures and networks."""
PER_WEIGHT, PER_CELL = 3.5, 2000
"""Bytes that a network at work takes for each byte of its file and each pixel of its input. In a
process that does nothing else, u2netp peaked at 287 MiB and u2net, 171 MB more, at 882."""
UNKNOWN = 200_000_000
"""Bytes of a network's file of which nothing is known: larger ones are fetched by hand, or not by
themselves, and lie here."""
MOST_JOBS = 8
POLL = 0.2
"""Seconds between two looks at whether to stop while all jobs are busy."""


def memory() -> int:
    """Give how much memory there is, in bytes, which a container may have limited."""
    import psutil

    found = psutil.virtual_memory().total
    for limit in ("memory.max", "memory/memory.limit_in_bytes"):  # of cgroups 2 and 1
        try:
            found = min(found, int(Path("/sys/fs/cgroup", limit).read_text()))
        except (OSError, ValueError):
            continue
    return found


def process(graph: Graph) -> int:
    """Give the bytes that the process takes beside pictures while a graph runs: the program, and
    the largest networks that the graph names."""
    from qr_nodes.inference import registry, session, store

    names = {
        node.params[name]
        for node in graph.nodes.values()
        for name in node.spec.models
        if not node.bypass
    }
    taken = {}
    for name in names:
        try:
            for model in registry.named(name):
                weights = store.size(model) or UNKNOWN
                cells = math.prod(model.size)
                taken[model.name] = round(PER_WEIGHT * weights) + PER_CELL * cells
        except ModelError:  # the node says it for each picture
            continue
    return PROGRAM + sum(sorted(taken.values())[-session.KEPT :])


def estimate(path: str) -> int:
    """Give the bytes that a picture may take while a graph runs over it."""
    from qr_nodes.imaging.image_io import measure_image

    width, height, depth = measure_image(path)
    return width * height * (PER_PIXEL + 12 * (depth - 1))


class Room:
    """Memory that pictures share: who wants some waits until it is there, in order of asking.

    Parameters
    ----------
    limit : int
        Bytes. A picture that needs more waits until it is alone.

    Attributes
    ----------
    paused : bool
        Nobody is given any for now; those who hold some keep it.
    """

    def __init__(self, limit: int):
        self.limit, self.used, self.paused = limit, 0, False
        self._turn = threading.Lock()
        self._freed = threading.Condition()

    @contextmanager
    def take(self, bytes: int, stopped: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Hold `bytes` of the memory; raises Cancelled if it is `stopped` while waiting."""
        while not self._turn.acquire(timeout=POLL):
            if stopped():
                raise Cancelled
        try:
            with self._freed:
                while self.paused or (self.used and self.used + bytes > self.limit):
                    if stopped():
                        raise Cancelled
                    self._freed.wait(POLL)
                self.used += bytes
        finally:
            self._turn.release()
        try:
            yield
        finally:
            with self._freed:
                self.used -= bytes
                self._freed.notify()


def overlapped(
    do: Callable[[Any], Any],
    items: Iterable,
    jobs: int,
    stop: threading.Event,
    ahead: Callable[[], int] | None = None,
) -> Iterator[Any]:
    """Give `do(item)` for each item as they are done, `jobs` at a time.

    `ahead` says again and again how many may have been begun; by default twice as many, so that
    no job waits for whoever takes the results.

    When the iterator is closed, or `do` raises, `stop` is set, and those under way are waited for.
    What raises `Cancelled` gives nothing.
    """
    items, pool = iter(items), ThreadPoolExecutor(jobs, "qr-nodes picture")
    waiting: set[Future] = set()
    try:
        while True:
            # As many wait as run, so that no job waits for whoever takes the results.
            most = 2 * jobs if ahead is None else ahead()
            while len(waiting) < most and not stop.is_set():
                try:
                    waiting.add(pool.submit(do, next(items)))
                except StopIteration:
                    break
            if not waiting:
                return
            done, waiting = wait(waiting, POLL, FIRST_COMPLETED)
            for future in done:
                try:
                    result = future.result()
                except Cancelled:
                    continue
                yield result
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
