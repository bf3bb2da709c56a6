"""A batch while the window goes on: its thread, what came of each picture, and how fast.

Nothing here knows the screen. `news` is called from the thread whenever there is something new.

State, in `Work`: the rows in the order they came, how many of each kind there are, the pictures
that are to be done once more, and whether it is paused.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Literal

from qr_nodes.batch import (
    Batch,
    Found,
    Picture,
    Result,
    Room,
    cli_engine,
    default_jobs,
    find_pictures,
    run_batch,
)
from qr_nodes.batch.many import budget, output_folder
from qr_nodes.errors import QrNodesError, ReadError
from qr_nodes.graph import Graph
from qr_nodes.ui.settings import BatchChoices

_numbers = count(1)

OPTION = re.compile(r"(?<!\S)--(name|format|again|overwrite)\b")
"""Options of the command line that the panel has too, as messages name them."""

LAST = 24
"""Pictures that the rate is taken from."""


@dataclass(frozen=True)
class Row:
    """What came of a picture.

    Attributes
    ----------
    picture : Picture
    state : "again" while it is to be done once more
    file : its result, or the first of several; "" if it failed
    said : what went wrong, or what the nodes had to say
    seconds : how long it took
    edited : a .qredit file was applied
    version : a number that no other result has
    """

    picture: Picture
    state: Literal["done", "skipped", "failed", "again"]
    file: str = ""
    said: str = ""
    seconds: float = 0.0
    edited: bool = False
    version: int = 0


class Pace:
    """How fast pictures come, over the last of them; time spent paused does not count.

    Parameters
    ----------
    now : callable
        Gives the time in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self._now, self._lost, self._since = now, 0.0, None
        self._stamps = deque([self._time()], LAST + 1)

    def came(self) -> None:
        """Note that a picture was done just now."""
        self._stamps.append(self._time())

    def skipped(self) -> None:
        """Note that a picture was current: until the first is done such time does not count."""
        if len(self._stamps) == 1:
            self._stamps[0] = self._time()

    def pause(self, paused: bool) -> None:
        """Stop the clock, or let it go on."""
        if paused and self._since is None:
            self._since = self._now()
        elif not paused and self._since is not None:
            self._lost, self._since = self._lost + self._now() - self._since, None

    @property
    def rate(self) -> float:
        """Pictures per second; 0 while that is not known."""
        passed = self._time() - self._stamps[0]
        return (len(self._stamps) - 1) / passed if passed > 0 else 0.0

    def _time(self) -> float:
        return (self._now() if self._since is None else self._since) - self._lost


class Work:
    """A batch in a thread of its own, on an engine of its own.

    Parameters
    ----------
    graph : Graph
        As it stands; later edits are none of its business.
    choices : BatchChoices
    again, overwrite : bool
        See `Batch`.
    kept : int
        Bytes that the rest of the program keeps, which pictures under way must leave alone.
    news : callable
        Called from the thread.

    Attributes
    ----------
    rows : list of Row, in the order they came first
    counts : how many rows there are of each state
    total : pictures there are; 0 while they are being looked for
    phase : what it does now
    fault : why it could not go on, or ""
    """

    def __init__(
        self,
        graph: Graph,
        choices: BatchChoices,
        *,
        again: bool = False,
        overwrite: bool = False,
        kept: int = 0,
        news: Callable[[], None] = lambda: None,
    ):
        self.graph, self.choices = graph, choices
        self._how = {"again": again, "overwrite": overwrite}
        self._news, self._room = news, Room(max(budget(graph) - kept, 0))
        # One core is left to the window.
        self._jobs = max(1, default_jobs() - 1)
        self.out = choices.out or (output_folder([choices.folder], ()) if choices.folder else "")
        self.rows: list[Row] = []
        self.counts: Counter[str] = Counter()
        self.total, self.fault = 0, ""
        self.phase: Literal["looking", "running", "stopping", "ended"] = "looking"
        self._places: dict[str, int] = {}
        self._begun: dict[str, Picture] = {}
        self._twice: set[str] = set()
        self._redo: deque[Picture] = deque()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._cancelled = False
        self._thread = self._started(True)

    # ---- from the window -------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether pictures are being done, or would be but for a pause."""
        return self.phase != "ended"

    @property
    def paused(self) -> bool:
        """Whether no more pictures are begun for now."""
        return self._room.paused

    @property
    def left(self) -> int:
        """Pictures that are still to be done."""
        return self.total - len(self.rows) + self.counts["again"]

    def pause(self, paused: bool = True) -> None:
        """Begin no more pictures, or go on; those under way are completed."""
        self._room.paused = paused
        self.pace.pause(paused)
        self._news()

    def stop(self) -> None:
        """Give up what is under way; what is done stays."""
        with self._lock:
            if self.busy:
                self._cancelled, self.phase = True, "stopping"
                self._stop.set()
        self._news()

    def redo(self, path: str) -> bool:
        """Have a picture that came already looked at anew; give False if it never came."""
        with self._lock:
            place = self._places.get(path)
            if place is None or (self._cancelled and self.busy):
                return False
            row = self.rows[place]
            if row.state == "again":  # its run may have begun before what is new was there
                self._twice.add(path)
                return True
            self._put(place, replace(row, state="again"))
            self._redo.append(row.picture)
            if not self.busy:
                self._thread = self._started(False)
        self._news()
        return True

    def close(self) -> None:
        """Stop, and wait until everything has ended."""
        self.stop()
        self._thread.join()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait for the end; say whether it came."""
        end = time.monotonic() + seconds
        while self.busy and time.monotonic() < end:
            self._thread.join(0.05)
        return not self.busy

    # ---- the thread ------------------------------------------------------------------------

    def _started(self, whole: bool) -> threading.Thread:
        self.phase, self._cancelled, self.fault = "looking" if whole else "running", False, ""
        self._room.paused, self.pace = False, Pace()
        thread = threading.Thread(target=self._work, args=(whole,), name="qr-nodes batch")
        thread.start()
        return thread

    def _work(self, whole: bool) -> None:
        engine, fault = cli_engine(lanes=self._jobs), ""
        try:
            self._run(engine, iter(self._found(engine) if whole else ()), whole)
        except QrNodesError as error:
            fault = in_words(str(error))
        except Exception as error:  # a fault of the program's own must be seen as well
            fault = f"{type(error).__name__}: {error}. Tell the authors."
        engine.close()
        with self._lock:
            self._ended(fault)
        self._news()

    def _ended(self, fault: str) -> None:
        if self._redo and not (fault or self._cancelled):  # asked for just now
            self._thread = self._started(False)
            return
        if self.counts["again"]:  # not done after all: they are as they were
            for place, row in enumerate(self.rows):
                if row.state == "again":
                    self._put(place, replace(row, state="done" if row.file else "failed"))
        self._redo.clear()
        self._twice.clear()
        self.fault, self.phase = fault, "ended"

    def _batch(self, engine, **how) -> Batch:
        choices = self.choices
        return Batch(
            self.graph,
            self.out,
            [choices.folder],
            engine=engine,
            name=choices.name,
            format=choices.format,
            edits=choices.edits,
            **how,
        )

    def _found(self, engine) -> list[Picture]:
        folder = self.choices.folder
        if not folder:
            hint = "Choose one, or drop it on the window."
            raise ReadError("no folder is named.", "Pictures", hint)
        if not Path(folder).is_dir():
            raise ReadError("there is no such folder.", folder, "Choose another.")
        self._batch(engine)  # says at once if it cannot be done so
        found = find_pictures([folder], self.choices.pattern.split(), (), self.out)
        if not found.pictures:
            fits = f" that fits {self.choices.pattern}" if self.choices.pattern else ""
            raise ReadError(f"there is no picture{fits} in it.", folder, "Choose another.")
        with self._lock:
            self.total = len(found.pictures)
            if not self._cancelled:
                self.phase = "running"
        self._news()
        return found.pictures

    def _run(self, engine, pictures: Iterator[Picture], whole: bool) -> None:
        how = self._how if whole else self._how | {"again": False}
        with self._lock:
            self._stop = threading.Event()
            if self._cancelled:
                return
        batch = self._batch(engine, **how)
        feed = Found(self._feed(pictures))
        for result in run_batch(batch, feed, jobs=self._jobs, room=self._room, stop=self._stop):
            self._came(result)

    def _feed(self, pictures: Iterator[Picture]) -> Iterator[Picture]:
        """Give what is to be done again as soon as it is asked for, and all pictures."""
        while True:
            if self._redo:
                picture = self._redo.popleft()
            elif (picture := next(pictures, None)) is None:
                return
            self._begun[picture.path] = picture
            yield picture

    def _came(self, result: Result) -> None:
        picture = self._begun.pop(result.input)
        if result.error is not None:
            state, said = "failed", in_words(result.said)
        else:
            state, said = "skipped" if result.skipped else "done", " ".join(result.notes)
        file = result.output or ""
        row = Row(picture, state, file, said, result.seconds, result.edited, next(_numbers))
        with self._lock:
            place = self._places.setdefault(picture.path, len(self.rows))
            if place == len(self.rows):
                self.rows.append(row)
                self.counts[row.state] += 1
            else:
                self._put(place, row)
            (self.pace.skipped if row.state == "skipped" else self.pace.came)()
            if picture.path in self._twice:
                self._twice.remove(picture.path)
                self._put(place, replace(self.rows[place], state="again"))
                self._redo.append(picture)
        self._news()

    def _put(self, place: int, row: Row) -> None:
        self.counts[self.rows[place].state] -= 1
        self.counts[row.state] += 1
        self.rows[place] = row


def in_words(said: str) -> str:
    """Give an error in the window's words: its options are called by their labels."""
    return OPTION.sub(lambda found: f"'{found[1].capitalize()}'", said)


def pace_in_words(rate: float, left: int) -> str:
    """Say how fast pictures come, and when it will be over: "3.1 pictures/s, 1:33 left"."""
    if rate <= 0:
        return ""
    speed = f"{rate:.1f} pictures/s" if rate >= 0.95 else f"{1 / rate:.1f} s a picture"
    minutes, seconds = divmod(round(left / rate), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{speed}, {clock} left"
