"""A folder whose pictures are done as they appear, each once.

What decides is always a look through the folder. The system's events only say that a look is due,
so one that is lost, late or told twice does no harm, and every so often there is a look without
any. A picture is taken up when its size and time of change have stayed for a while; whether there
is anything to do for it the output folder's ledger says, across restarts and crashes.

State, in `Watch`: what became of each picture that is there (`settled`), those that may still be
growing (`fresh`), and those being worked on (`busy`).
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from qr_nodes import heap
from qr_nodes.batch import Batch, Picture, Result, Room, find_pictures
from qr_nodes.errors import Cancelled, NodeError, QrNodesError, ReadError
from qr_nodes.signals import ENDS, handled

POLL = 0.2
"""Longest time in seconds that nobody asks whether to stop."""
SHARE = 5
"""A look is not taken again before this many times as long as it took, whatever the events."""
RETRY = 60
"""Seconds after which a picture is tried again that failed for a reason outside of it."""
NEVER = float("inf")

Sign = tuple
"""Sizes and times of change of a picture and of the .qredit files that may be its own."""


@dataclass
class _Fresh:
    """A picture that may still be growing: how it looks, and since when it has looked so."""

    picture: Picture
    sign: Sign
    since: float


class Watch:
    """What is known of a folder of pictures, and what is to be done there.

    Parameters
    ----------
    batch : Batch
        Does the pictures; opened.
    inbox : path
    patterns, exclude : texts
        See `find_pictures`.
    settle : float
        Seconds that a picture must have looked the same.
    """

    def __init__(
        self,
        batch: Batch,
        inbox: str | os.PathLike,
        patterns: Sequence[str] = (),
        exclude: Sequence[str] = (),
        settle: float = 2.0,
    ):
        self.batch, self.inbox, self.settle = batch, os.fspath(inbox), settle
        self.patterns, self.exclude = patterns, exclude
        self.settled: dict[str, Sign] = {}
        self.fresh: dict[str, _Fresh] = {}
        self.busy: dict[str, Sign] = {}
        self.again: dict[str, float] = {}
        self.told: dict[str, str] = {}

    def look(self, now: float) -> list[ReadError]:
        """Look through the folder; give what could not be looked into."""
        if not os.path.isdir(self.inbox):
            return [ReadError("the folder is not there any more.", self.inbox, "Bring it back.")]
        closed: list[ReadError] = []
        there = find_pictures(
            [self.inbox], self.patterns, self.exclude, self.batch.out, closed
        ).pictures
        paths = {picture.path for picture in there}
        for path in self.settled.keys() - paths:
            self.batch.release(path)
        for known in (self.settled, self.fresh, self.again, self.told):
            for path in known.keys() - paths:
                del known[path]
        for picture in there:
            sign, path = sign_of(picture.path), picture.path
            if path in self.busy or sign is None:
                continue
            if self.settled.get(path) == sign and now < self.again.get(path, NEVER):
                continue
            fresh = self.fresh.get(path)
            since = fresh.since if fresh and fresh.sign == sign else now
            self.fresh[path] = _Fresh(picture, sign, since)
        return closed

    def ready(self, now: float) -> Iterator[Picture]:
        """Give the pictures that have not changed for long enough; each is busy from then on."""
        for path, fresh in list(self.fresh.items()):
            if now - fresh.since < self.settle:
                continue
            sign = sign_of(path)
            if sign is None:
                del self.fresh[path]
            elif sign != fresh.sign:  # the time begins anew
                fresh.sign, fresh.since = sign, now
            else:
                del self.fresh[path]
                self.busy[path] = sign
                yield fresh.picture

    def due(self) -> float:
        """Give the time at which the next picture may be ready; far away if there is none."""
        return min((fresh.since + self.settle for fresh in self.fresh.values()), default=NEVER)

    def done(self, picture: Picture, result: Result | Exception, now: float) -> str:
        """Note what came of a picture; give the line to say about it, or ""."""
        path, sign = picture.path, self.busy.pop(picture.path)
        self.settled[path] = sign
        self.again.pop(path, None)
        error = result.error if isinstance(result, Result) else result
        if error is None:
            self.told.pop(path, None)
            if result.skipped:
                return ""
            names = ", ".join(result.files.values())
            return f"{picture.place} → {names}  ({result.seconds:.1f} s)"
        if sign_of(path) != sign:  # it went away or changed meanwhile: the next look will tell
            self.settled.pop(path)
            return ""
        if not isinstance(error, ReadError):
            self.again[path] = now + RETRY
        if isinstance(result, Result):
            said = result.said
        else:
            known = isinstance(error, QrNodesError)
            said = str(error) if known else f"{type(error).__name__}: {error}"
        line = f"{picture.place}: {said}"
        if self.told.get(path) == line:
            return ""
        self.told[path] = line
        return line


def sign_of(path: str) -> Sign | None:
    """Give how a picture looks from outside, with its .qredit files; None if it is gone."""
    marks = []
    for file in (path, f"{path}.qredit", f"{os.path.splitext(path)[0]}.qredit"):
        try:
            stat = os.stat(file)
            marks.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            marks.append(None)
    return None if marks[0] is None else tuple(marks)


class _Stop:
    """Ctrl+C and SIGTERM: the first lets pictures under way be finished, the second does not."""

    def __init__(self):
        self.asked = 0

    def ask(self, number: int, frame: object) -> None:
        """Count a signal."""
        self.asked += 1

    def at_once(self) -> bool:
        """Say whether not even pictures under way are to be finished."""
        return self.asked > 1


class _Bell:
    """Rings when something happened: an event in the inbox, or the end of a picture."""

    def __init__(self, out: Path):
        self.out, self.rung, self.touched = os.path.realpath(out), threading.Event(), True

    def dispatch(self, event) -> None:
        """Take an event; watchdog calls this, from a thread of its own."""
        if event.event_type in ("opened", "closed_no_write"):
            return  # reading pictures changes nothing
        paths = (os.fsdecode(path) for path in (event.src_path, event.dest_path) if path)
        if not all(Path(os.path.realpath(path)).is_relative_to(self.out) for path in paths):
            self.touched = True
            self.rung.set()


@contextlib.contextmanager
def _events(inbox: str, bell: _Bell, say: Callable[[str], None]) -> Iterator[None]:
    """Have the bell rung by the system's events, if they can be had."""
    from watchdog.observers import Observer

    logging.getLogger("watchdog").addHandler(logging.NullHandler())
    observer = Observer()
    try:
        observer.schedule(bell, inbox, recursive=True)
        observer.start()
    except OSError as error:
        why = error.strerror or error
        say(f"{inbox}: the system gives no events ({why}). It is looked through in turns instead.")
        yield
        return
    try:
        yield
    finally:
        observer.stop()
        observer.join()


def watch(
    batch: Batch,
    inbox: str | os.PathLike,
    *,
    room: Room,
    jobs: int,
    patterns: Sequence[str] = (),
    exclude: Sequence[str] = (),
    settle: float = 2.0,
    every: float = 30.0,
    events: bool = True,
    on_error: str = "skip",
    tell: Callable[..., None],
) -> bool:
    """Do the pictures of a folder, those that are there and those that come, until it is stopped.

    Parameters
    ----------
    batch : Batch
    inbox : path of a folder; all in it counts
    room, jobs : memory, and pictures to work on side by side
    patterns, exclude, settle : see `Watch`
    every : float
        Seconds from one look to the next when there are no events.
    events : bool
        Let the system say when something happened. Network folders often tell nothing.
    on_error : "skip" or "stop"
        Go on after a picture that failed, or end as if stopped.
    tell : callable
        Takes a line, or "", its level ("result", "note" or "error"), and the result that it is
        about, if any.

    Returns
    -------
    failed : bool
        A picture that failed has ended it.

    Raises
    ------
    ReadError
        There is no such folder.
    WriteError
        Another run works in the output folder, or it cannot be written.
    """
    if not os.path.isdir(inbox):
        raise ReadError("there is no such folder.", os.fspath(inbox), "Check the name.")
    watch, numbers = Watch(batch, inbox, patterns, exclude, settle), itertools.count()
    flying: dict[Future, Picture] = {}
    bell, stop = _Bell(batch.out), _Stop()
    with contextlib.ExitStack() as stack:
        stack.enter_context(handled(stop.ask, (signal.SIGINT, *ENDS)))
        stack.enter_context(batch)
        tell(f"Watching {watch.inbox}. Results go to {batch.out}. Ctrl+C stops.", "note")
        if events:
            stack.enter_context(_events(watch.inbox, bell, lambda text: tell(text, "note")))
        pool = stack.enter_context(ThreadPoolExecutor(jobs, "qr-nodes picture"))

        def do(picture: Picture) -> Result:
            return batch.do(picture, room, next(numbers), stopped=stop.at_once)

        last, pause, trouble, failed = -NEVER, 0.0, set(), False
        worked = NEVER  # when a picture was last in; then memory is given back, once
        while flying or not stop.asked:
            now = time.monotonic()
            if not stop.asked and (now - last >= every or (bell.touched and now - last >= pause)):
                bell.touched = False
                closed = {str(error) for error in watch.look(now)}
                for line in sorted(closed - trouble):  # unplugged, perhaps: it may come back
                    tell(line, "error")
                trouble = closed
                last = time.monotonic()
                pause = SHARE * (last - now)
            if not stop.asked and len(flying) < jobs:
                for picture in itertools.islice(watch.ready(now), jobs - len(flying)):
                    future = pool.submit(do, picture)
                    flying[future] = picture
                    future.add_done_callback(lambda future: bell.rung.set())
            if flying:
                worked = now
            elif now - worked >= heap.IDLE:
                heap.give_back()
                worked = NEVER
            for future in [future for future in flying if future.done()]:
                if _settle(watch, flying.pop(future), future, tell) and on_error == "stop":
                    failed, stop.asked = True, max(stop.asked, 1)
            due = watch.due() - now if len(flying) < jobs else POLL
            bell.rung.wait(min(POLL, max(due, 0.01)))
            bell.rung.clear()
    return failed


def _settle(watch: Watch, picture: Picture, future: Future, tell) -> bool:
    """Report what came of a picture; return whether it failed."""
    try:
        result = future.result()
    except Cancelled:
        watch.busy.pop(picture.path)
        return False
    except Exception as error:  # one picture's trouble is not the others'
        result = error
    if isinstance(result, Result):
        for note in result.notes:
            tell(f"{picture.place}: {note}", "note")
    line = watch.done(picture, result, time.monotonic())
    if not isinstance(result, Result):
        known = result if isinstance(result, QrNodesError) else NodeError(f"{result}.")
        result = Result(picture.path, None, 0.0, (), known)
    if line or result.skipped:
        tell(line, "result" if result.error is None else "error", result)
    return bool(line) and result.error is not None
