"""What is open: the graph and its past, what is being looked at, and the thread that computes it.

Two threads, one mailbox in, one queue out. An edit puts the newest graph into the mailbox; the
worker shows it at preview size at once and in full when nothing newer has come for a moment, or
in full at once where that is a matter of some tiles; events wait in a queue until `drain` takes
them.

State: the past and the future (graphs with the name of the edit that made them), what is
viewed and selected, the files that are not read without the user's word, the mailbox, the events.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from qr_nodes import heap
from qr_nodes.engine import Engine, Event, RunRequest
from qr_nodes.errors import NodeError
from qr_nodes.graph import Graph

PREVIEW = 0.8e6
"""Pixels of a preview: about what a viewer shows, and quick enough to follow a slider."""

REST = 0.15
"""Seconds without an edit after which the full result is computed."""

STEPS = 10_000
"""Steps of undo that are kept: graphs share what did not change, so each is a few kB."""

GRACE = 0.05
"""Seconds that what is shown first may at least go on after a newer edit came."""

GROWTH = 4
"""How many times longer the next may go on after one was given up: so none starves for long."""

KNOWN = 1.0
"""Most seconds that one may go on only because the last one took as long."""


@dataclass(frozen=True)
class State:
    """A graph, what the edit that made it is called, and which drag it belongs to."""

    graph: Graph
    name: str = ""
    drag: object = None


class Document:
    """An open graph, computed while it is edited.

    Parameters
    ----------
    engine : Engine
        Runs the graph; may serve other documents too.
    graph : Graph
        What to start with.
    pixels : callable
        Gives the number of pixels that a graph's pictures have, those held left out, for the
        size of a preview; 0 if that is not known.
    watch_all : bool
        Bring every node up to date at preview size, for their thumbnails, not only what is
        viewed.
    """

    def __init__(
        self,
        engine: Engine,
        graph: Graph = Graph(),
        pixels: Callable[[Graph, Collection[str]], int] = lambda graph, held: 0,
        watch_all: bool = False,
    ):
        self.engine, self.pixels, self.watch_all = engine, pixels, watch_all
        self.past, self.future = [State(graph)], []
        self.viewed: tuple[str, ...] = ()
        self.selected = ""
        self.held: frozenset[str] = frozenset()
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._mail = threading.Condition()
        self._newest: tuple[int, float, Graph, tuple[str, ...], frozenset[str]] | None = None
        self._grace = GRACE
        self._revision = 0
        self._taken = 0
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="qr-nodes document")
        self._worker.start()

    @property
    def graph(self) -> Graph:
        """The graph as it is now."""
        return self.past[-1].graph

    # ---- editing ---------------------------------------------------------------------------

    def edit(self, graph: Graph, name: str, drag: object = None) -> int:
        """Put `graph` in the place of the present one; give the revision it is shown under.

        Parameters
        ----------
        graph : Graph
            The edited graph.
        name : str
            What undoing it is called.
        drag : object or None
            Edits in a row with one drag are undone together.
        """
        if drag is not None and self.past[-1].drag == drag:
            self.past[-1] = State(graph, name, drag)
        else:
            self.past.append(State(graph, name, drag))
            del self.past[:-STEPS]
        self.future.clear()
        return self._post()

    def retract(self, drag: object) -> None:
        """Take edits of a drag that was given up back, as if they had not been."""
        if len(self.past) > 1 and drag is not None and self.past[-1].drag == drag:
            self.past.pop()
            self._post()

    def quick(self, graph: Graph) -> bool:
        """Say whether what is viewed would follow `graph` at once, without a preview."""
        return self.engine.quick(RunRequest(graph, self.viewed, held=self.held))

    def set_param(self, id: str, name: str, value: object, drag: object = None) -> int:
        """Set a parameter; raises ParamError and changes nothing if it cannot be so."""
        graph = self.graph.set_param(id, name, value)
        return self.edit(graph, f"{graph.nodes[id].title or id}: {name}", drag)

    def open(self, graph: Graph, *targets: str, held: Iterable[str] = ()) -> int:
        """Start anew with a graph, without a past, and choose what is viewed.

        `held` are files that it names and that are not read until the user agrees.
        """
        self.held = frozenset(held)
        self.past, self.future, self.viewed = [State(graph)], [], targets
        return self._post(at_once=True)

    def hold(self, files: Iterable[str]) -> None:
        """Read these files only when the user agrees."""
        self.held |= frozenset(files)

    def agree(self, files: Iterable[str]) -> None:
        """Take the user's word that files may be read, and compute what waited for them."""
        if free := self.held & frozenset(files):
            self.held -= free
            self._post()

    @property
    def undo_name(self) -> str:
        """The edit that `undo` would take back, or ""."""
        return self.past[-1].name if len(self.past) > 1 else ""

    @property
    def redo_name(self) -> str:
        """The edit that `redo` would make again, or ""."""
        return self.future[-1].name if self.future else ""

    def undo(self) -> str:
        """Go one edit back; give its name, or "" if there is none."""
        if len(self.past) == 1:
            return ""
        self.future.append(self.past.pop())
        self._post()
        return self.future[-1].name

    def redo(self) -> str:
        """Take the last undo back; give the edit's name, or "" if there is none."""
        if not self.future:
            return ""
        self.past.append(self.future.pop())
        self._post()
        return self.past[-1].name

    def view(self, *targets: str) -> int:
        """Choose the nodes to compute and show; give the revision they are shown under.

        One that writes a file is not run: looking at it must not.
        """
        self.viewed = targets
        return self._post(at_once=True)

    def select(self, id: str) -> None:
        """Choose the node being worked on: what feeds it stays in memory."""
        self.selected = id

    # ---- computing -------------------------------------------------------------------------

    def drain(self, seconds: float = 0.008) -> Iterable[Event]:
        """Give the events that have come, for at most `seconds`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                yield self.events.get_nowait()
            except queue.Empty:
                return

    def settle(self, timeout: float = 60.0) -> bool:
        """Wait until the newest edit is computed in full; say whether it is."""
        with self._mail:
            return self._mail.wait_for(lambda: self._taken >= self._revision, timeout)

    def cancel(self) -> None:
        """Give up what is being computed; the next edit computes again."""
        with self._mail:
            self._revision += 1
            self._newest = (self._revision, -math.inf, self.graph, (), self.held)
            self._grace = GRACE
            self._mail.notify_all()

    def close(self) -> None:
        """Stop computing and end the thread."""
        with self._mail:
            self._closed = True
            self._mail.notify_all()
        self._worker.join()

    def _post(self, at_once: bool = False) -> int:
        """Put the graph into the mailbox; what is being computed is given up in time, or now."""
        nodes = self.graph.nodes
        targets = tuple(id for id in self.viewed if id in nodes and not nodes[id].spec.writes)
        with self._mail:
            self._revision += 1
            # Since when something newer waits, however often that was replaced meanwhile.
            since = -math.inf if at_once else time.monotonic()
            since = min(since, self._newest[1]) if self._newest else since
            self._newest = (self._revision, since, self.graph, targets, self.held)
            self._mail.notify_all()
        return self._revision

    def _work(self) -> None:
        while True:
            with self._mail:
                self._mail.wait_for(lambda: self._newest or self._closed, heap.IDLE)
                if self._closed:
                    return
                newest, self._newest = self._newest, None
            if newest is None:
                heap.give_back()
                continue
            revision, _, graph, targets, held = newest
            try:
                ended = self._compute(revision, graph, targets, held)
            except Exception as error:  # a fault of the program's own must not end the thread
                fault = NodeError(f"{type(error).__name__}: {error}.", "", "Tell the authors.")
                fault.__cause__ = error
                self.events.put(Event(revision, "failed", error=fault))
                ended = True
            if ended:
                with self._mail:
                    self._taken = revision
                    self._mail.notify_all()

    def _compute(self, revision: int, graph: Graph, targets: tuple[str, ...], held) -> bool:
        """Show a graph, small and then in full; say whether the full one was reached."""
        scale, full = self._scale(graph, held), RunRequest(graph, targets, 1.0, revision, held)
        self._pin(graph, targets, scale, held)
        if not (scale < 1 or self.watch_all):
            return self._shown(full)
        small = RunRequest(graph, self._watched(graph, targets), scale, revision, held)
        # A stroke of the brush: the full picture is there before a preview would be.
        first, second = (full, small) if scale < 1 and self.engine.quick(full) else (small, full)
        if not self._shown(first):
            return False
        if scale < 1 and self._newer(REST):
            return False
        return not self._run(second, 0.0).superseded

    def _watched(self, graph: Graph, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Give what is shown small: the targets, or every node that writes no file as well."""
        if not self.watch_all or not targets:
            return targets
        live = [id for id, node in graph.nodes.items() if not node.spec.writes]
        return tuple(dict.fromkeys((*targets, *live)))

    def _pin(self, graph: Graph, targets: tuple[str, ...], scale: float, held) -> None:
        """Keep what is viewed, and what feeds the selected node, whatever else needs room."""
        selected = (self.selected,) if self.selected in graph.nodes else ()
        plan = self.engine.plan(RunRequest(graph, targets + selected, scale, held=held))
        steps = [id for id in plan if id[0] in targets]
        steps += [s for id in plan if id[0] in selected for s, _ in plan[id].inputs.values()]
        self.engine.cache.pin([plan[id].key for id in steps])

    def _scale(self, graph: Graph, held: frozenset[str]) -> float:
        return min(1.0, (PREVIEW / max(self.pixels(graph, held), 1)) ** 0.5)

    def _shown(self, request: RunRequest) -> bool:
        """Run what is shown first; say whether it ended before something newer took its place.

        Edits that come faster than it ends must not starve it: each time that it is given up, the
        next one may go on for longer, until one ends; it is told by that how long they take.
        """
        began = time.monotonic()
        ended = not self._run(request, self._grace).superseded
        if ended:
            self._grace = min(max(GRACE, 2 * (time.monotonic() - began)), KNOWN)
        else:
            self._grace *= GROWTH
        return ended

    def _run(self, request: RunRequest, grace: float):
        wanted: list[Collection[bytes]] = []

        def superseded() -> Collection[bytes] | None:
            newest = self._newest
            if self._closed:
                return ()
            if newest is None or time.monotonic() - newest[1] < grace:
                return None
            if not wanted:
                _, _, graph, targets, held = newest
                request = RunRequest(graph, targets, self._scale(graph, held), held=held)
                wanted.append({step.key for step in self.engine.plan(request).values()})
            return wanted[0]

        return self.engine.run(request, self.events.put, superseded)

    def _newer(self, seconds: float) -> bool:
        """Wait for something newer; say whether it came."""
        with self._mail:
            return self._mail.wait_for(lambda: self._newest or self._closed, seconds)
