"""The scheduler: works out what a graph's targets need, runs that and nothing else.

A step is a node at a scale. Its key is a hash of what the node is and what it eats; a step runs
only if its key is not in the cache, and asks for its inputs only then. Steps that do not depend
on each other run side by side. A newer request takes over work in flight that it wants too.

State, in `Engine`: the cache, the flights (steps being computed now), digests of files read,
what each node was last made of, for the reason it gives when it runs, and which step it was when
it last ended, for what of it can be kept.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from qr_nodes.cache import Cache, Entry, freeze
from qr_nodes.errors import Cancelled, GraphError, NodeError, QrNodesError, ReadError
from qr_nodes.graph import Node
from qr_nodes.node import Before, Job
from qr_nodes.patch import redone
from qr_nodes.plan import Files, RunRequest, Step, StepId, fed, hashed, steps
from qr_nodes.types import Cutout, Mask

POLL = 0.004
"""Seconds between two looks at whether a newer request has come."""

PROGRESS = 0.05
"""Seconds between two progress events of one node."""


@dataclass(frozen=True)
class Event:
    """What happens during a run.

    `reused` and `done` carry outputs (and `scale`, 1 where a full result stood in for a
    preview), seconds, notes and the reason; `failed` and `blocked` the error; `progress` the
    fraction. `finished` comes last, once per run.
    """

    run: int
    kind: Literal["started", "progress", "reused", "done", "failed", "blocked", "finished"]
    node: str = ""
    scale: float = 1.0
    outputs: Mapping[str, Any] | None = None
    fraction: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    notes: tuple[str, ...] = ()
    error: QrNodesError | None = None


@dataclass
class Outcome:
    """What a run came to.

    Attributes
    ----------
    outputs : target → its outputs, for the targets that succeeded
    errors : node → what kept it from running, in the order met
    executed : ids of the nodes that ran to their end, in that order
    superseded : the run was given up for a newer one
    """

    outputs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    errors: dict[str, QrNodesError] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    superseded: bool = False

    def check(self) -> Outcome:
        """Raise the first error, if there is one; give the outcome otherwise."""
        for error in self.errors.values():
            raise error
        return self


class Engine:
    """Runs requests on one cache; made once, used from any thread.

    Parameters
    ----------
    cache : Cache
        Where outputs are kept.
    lanes : int
        Steps that may run side by side.
    shrink : callable
        Gives a value (Cutout or mask) at a fraction of its size; needed for previews only.
    """

    def __init__(
        self, cache: Cache, lanes: int = 2, shrink: Callable[[Any, float], Any] | None = None
    ):
        self.cache, self.lanes, self.shrink = cache, lanes, shrink
        self.flights: dict[bytes, _Flight] = {}
        self.history: dict[StepId, Mapping[str, Any]] = {}
        self.ended: dict[StepId, _Ended] = {}
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(lanes, "qr-nodes")
        self.files = Files()

    def plan(self, request: RunRequest) -> dict[StepId, Step]:
        """Give every step the targets may need, sources first, with its key."""
        return steps(request, self.files)

    def keys(self, request: RunRequest) -> dict[str, bytes]:
        """Give the key of every node the targets may need, at the request's scale."""
        plan = self.plan(request)
        return {id: step.key for (id, scale), step in plan.items() if scale == request.scale}

    def quick(self, request: RunRequest) -> bool:
        """Say whether the targets are a matter of some tiles: no preview is needed first.

        That is when every step that must run can start from what it gave the last time.
        """
        plan, graph = self.plan(request), request.graph
        first = {step.key: id for id, step in reversed(plan.items())}
        stands = (graph.stand_in(name) for name in request.targets)
        stack = [first[plan[id, request.scale].key] for id in stands if id is not None]
        while stack:
            id = stack.pop()
            if self.cache.get(plan[id].key) is not None:
                continue
            spec, ended = graph.nodes[id[0]].spec, self.ended.get(id)
            if ended is None or ended.node.spec is not spec:
                return False
            if self.cache.get(ended.key) is None:
                return False
            same = ended.node is graph.nodes[id[0]]
            if not (spec.resumes or (same and (spec.reach or self._passed(ended)))):
                return False
            stack += (source for source, _ in plan[id].inputs.values())
        return True

    def _passed(self, ended: _Ended) -> bool:
        """Return whether a step had nothing to do, and gave the very cut-out that it got."""
        if ended.node.spec.idle is None or "cutout" not in ended.inputs:
            return False
        key, output = ended.inputs["cutout"]
        source, entry = self.cache.get(key), self.cache.get(ended.key)
        return bool(source and entry and entry.outputs["cutout"] is source.outputs[output])

    def run(
        self,
        request: RunRequest,
        emit: Callable[[Event], None] = lambda event: None,
        superseded: Callable[[], Collection[bytes] | None] = lambda: None,
    ) -> Outcome:
        """Bring the targets up to date.

        Parameters
        ----------
        request : RunRequest
            What is wanted.
        emit : callable
            Takes events, from several threads.
        superseded : callable
            Asked every few ms. None: go on. A collection of keys: give up, but leave work in
            flight that has one of these keys to the run that will want it.

        Returns
        -------
        outcome : Outcome
            Errors of nodes are in there, not raised: what does not depend on them has run.
        """
        return _Run(self, request, emit, superseded).go()

    def close(self) -> None:
        """Stop what is being computed and end the threads."""
        with self.lock:
            for flight in self.flights.values():
                flight.stop.set()
        self.pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, eq=False)
class _Ended:
    """A step that came to an end: its key, the node as it was, and the keys that it ate."""

    key: bytes
    node: Node
    inputs: Mapping[str, tuple[bytes, str]]


@dataclass(eq=False)
class _Flight:
    """A step being computed, for whoever listens; when nobody is left it stops."""

    landed: Future = field(default_factory=Future)
    stop: threading.Event = field(default_factory=threading.Event)
    listeners: dict[int, Callable[[Event], None]] = field(default_factory=dict)

    def tell(self, event: Event) -> None:
        for emit in list(self.listeners.values()):
            emit(event)


class _Run:
    """One call of `Engine.run`: what it holds, waits for and has in flight."""

    def __init__(self, engine: Engine, request: RunRequest, emit, superseded):
        self.engine, self.request, self.emit, self.superseded = engine, request, emit, superseded
        self.steps = engine.plan(request)
        self.first: dict[bytes, StepId] = {}
        for id, step in self.steps.items():
            self.first.setdefault(step.key, id)
        self.outcome = Outcome()
        self.roots: dict[str, str] = {}
        self.entries: dict[StepId, Entry] = {}
        self.waiting: dict[StepId, set[StepId]] = {}
        self.wanted_by: dict[StepId, set[StepId]] = {}
        self.flights: dict[StepId, _Flight] = {}
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()

    def go(self) -> Outcome:
        shown = {}
        for name in self.request.targets:
            if (id := self.request.graph.stand_in(name)) is not None:
                # What is there in full needs no preview.
                at = 1.0 if self._cached(id, 1.0) else self.request.scale
                shown[name] = self.first[self.steps[id, at].key]
        self.targets = set(shown.values())
        self._doom()
        try:
            ready = self._demand(id for id in self.targets if id[0] not in self.outcome.errors)
            while ready or self.flights:
                while ready and len(self.flights) < self.engine.lanes:
                    self._launch(ready.pop(0))
                if (keep := self.superseded()) is not None:
                    self._leave(keep)
                    self.outcome.superseded = True
                    break
                ready += self._land()
        finally:
            self._leave(())
        for name, id in shown.items():
            if (entry := self.entries.get(id)) is not None:
                self.outcome.outputs[name] = entry.outputs
                if name != id[0]:
                    self._tell("reused", (name, id[1]), entry)
            elif id[0] in self.outcome.errors:
                self.outcome.errors.setdefault(name, self.outcome.errors[id[0]])
        self.emit(Event(self.request.id, "finished"))
        return self.outcome

    def _doom(self) -> None:
        """Fail the nodes that the graph says cannot run, and what depends on them, at once."""
        problems = self.request.graph.problems(self.request.targets)
        faults = {fault.where.partition(".")[0]: fault for fault in reversed(problems)}
        for id in {id for id, _ in self.steps}:
            node = self.request.graph.nodes[id]
            if name := self.request.holds(node):
                what = "the file lies outside the graph's folder and is not read without your word."
                hint = "Choose it yourself, or open the graph again and agree."
                if name in node.spec.models:
                    what = f"{node.params[name]} is not here, and not fetched without your word."
                    hint = "Download it in the node's settings, or open the graph again and agree."
                faults[id] = ReadError(what, f"{id}.{name}", hint)
            elif node.spec.check is not None:
                try:
                    node.spec.check(node.params, self.request.graph.linked(id))
                except QrNodesError as fault:
                    faults.setdefault(id, fault.at_node(id))
        for id, step in self.steps.items():
            sources = [source[0] for source, _ in step.inputs.values()]
            doomed = [source for source in sources if source in self.outcome.errors]
            if id[0] in faults:
                self._fail(id, faults[id[0]])
            elif doomed:
                self._block(id, doomed[0])

    def _demand(self, wanted: Iterable[StepId]) -> list[StepId]:
        """Find what must run for `wanted`, walking back; give the steps that can start."""
        stack, met = list(wanted), set()
        while stack:
            id = stack.pop()
            if id in self.waiting or id in self.entries or id in self.flights:
                continue
            if self._join(id) or self._reuse(id):
                continue
            self.waiting[id] = {source for source, _ in self.steps[id].inputs.values()}
            for source in self.waiting[id]:
                self.wanted_by.setdefault(source, set()).add(id)
            stack += self.waiting[id]
            met.add(id)
        for id in met:
            self.waiting[id] -= self.entries.keys()
        return [id for id in self.steps if id in met and not self.waiting[id]]

    def _join(self, id: StepId) -> bool:
        """Listen to the flight that computes this step already, if there is one."""
        with self.engine.lock:
            flight = self.engine.flights.get(self.steps[id].key)
            if flight is None or flight.stop.is_set():
                return False
            flight.listeners[self.request.id] = self.emit
        self._await(id, flight)
        return True

    def _reuse(self, id: StepId) -> bool:
        """Take a step's outputs from the cache if they are there."""
        if (entry := self._cached(*id)) is None:
            return False
        self.entries[id] = entry
        self.engine.history[id] = self.steps[id].made_of
        self.engine.ended[id] = self._end(id)
        self._tell("reused", id, entry)
        return True

    def _end(self, id: StepId) -> _Ended:
        step = self.steps[id]
        eaten = {n: (self.steps[source].key, out) for n, (source, out) in step.inputs.items()}
        return _Ended(step.key, self.request.graph.nodes[id[0]], eaten)

    def _cached(self, node: str, scale: float) -> Entry | None:
        return self.engine.cache.get(self.steps[node, scale].key)

    def _launch(self, id: StepId) -> None:
        """Start computing a step in the pool."""
        engine, step, flight = self.engine, self.steps[id], _Flight()
        flight.listeners[self.request.id] = self.emit
        values = {
            n: (self.entries[source].outputs, out) for n, (source, out) in step.inputs.items()
        }
        node = self.request.graph.nodes[id[0]]
        eaten = fed(step.inputs, self.steps)
        spec = node.spec  # another version, or another author's code: other pixels
        maker = hashed(spec.id.encode(), str(spec.version).encode(), spec.source.encode())
        job = _NodeJob(engine, flight, self.request.id, id, [maker, *eaten])
        job.reason = _reason(engine.history.get(id), step.made_of)
        last = engine.ended.get(id)
        # Another graph, or an undone edit, may have another kind of node under this id.
        job.last = last if last and last.node.spec is node.spec else None
        engine.history[id] = step.made_of
        del self.waiting[id]
        with engine.lock:
            engine.flights[step.key] = flight
        self._await(id, flight)
        engine.pool.submit(_fly, engine, flight, step, node, values, job)

    def _await(self, id: StepId, flight: _Flight) -> None:
        self.flights[id] = flight
        flight.landed.add_done_callback(lambda landed: self.inbox.put((id, landed)))

    def _land(self) -> list[StepId]:
        """Wait a moment for a step to end; give the steps that can start because of it."""
        try:
            id, landed = self.inbox.get(timeout=POLL)
        except queue.Empty:
            return []
        del self.flights[id]
        try:
            entry, reason = landed.result()
        except Cancelled:  # by a run that left, just as this one came to want it
            return self._demand([id])
        except QrNodesError as error:
            self._fail(id, error)
            return []
        self.entries[id] = entry
        self.engine.ended[id] = self._end(id)
        if "" not in self.steps[id].inputs:
            self.outcome.executed.append(id[0])
        self._tell("done", id, entry, reason)
        for source, _ in self.steps[id].inputs.values():
            # Nobody wanted it of this run if the step was in flight for another already.
            if (eaters := self.wanted_by.get(source)) is None:
                continue
            eaters.discard(id)
            if not eaters and source not in self.targets:
                self.entries.pop(source, None)
        ready = []
        for other in self.wanted_by.get(id, ()):
            # Blocked by another of its sources, it waits no more.
            if (left := self.waiting.get(other)) is None:
                continue
            left.discard(id)
            if not left:
                ready.append(other)
        return ready

    def _fail(self, id: StepId, error: QrNodesError) -> None:
        """Record a failure, and that what waits for it is blocked by it."""
        self._record("failed", id, error)
        stack = list(self.wanted_by.get(id, ()))
        while stack:
            other = stack.pop()
            if self.waiting.pop(other, None) is not None:
                self._block(other, id[0])
                stack += self.wanted_by.get(other, ())

    def _block(self, id: StepId, by: str) -> None:
        by = self.roots[id[0]] = self.roots.get(by, by)
        fault = GraphError(f"it is blocked by {by!r}.", id[0], "Mend that node first.")
        self._record("blocked", id, fault)

    def _record(self, kind, id: StepId, error: QrNodesError) -> None:
        if id[0] not in self.outcome.errors:
            self.outcome.errors[id[0]] = error
            self.emit(Event(self.request.id, kind, *id, error=error))

    def _leave(self, keep: Collection[bytes]) -> None:
        """Stop listening; stop the work that nobody else listens to or will want."""
        with self.engine.lock:
            for id, flight in self.flights.items():
                flight.listeners.pop(self.request.id, None)
                if not flight.listeners and self.steps[id].key not in keep:
                    flight.stop.set()
        self.flights.clear()

    def _tell(self, kind, id: StepId, entry: Entry, reason: str = "") -> None:
        # Of the run, not of the result: the same pixels may come from another file or graph.
        graph = self.request.graph
        remarks = filter(None, [graph.foreign(id[0]), graph.unused(id[0])])
        self.emit(
            Event(
                self.request.id,
                kind,
                *id,
                outputs=entry.outputs,
                fraction=1.0,
                seconds=entry.seconds,
                reason=reason,
                notes=(*entry.notes, *remarks),
            )
        )


class _NodeJob(Job):
    """The engine's hand to a node while it runs."""

    def __init__(self, engine: Engine, flight: _Flight, run: int, id: StepId, eaten: list):
        self.engine, self.flight, self.run, self.eaten = engine, flight, run, eaten
        self.node, self.scale = id
        self.notes: list[str] = []
        self.reason = ""
        self.last: _Ended | None = None
        self.told = 0.0

    def progress(self, fraction: float) -> None:
        self.checkpoint()
        if time.monotonic() - self.told >= PROGRESS:
            self.told = time.monotonic()
            event = Event(self.run, "progress", self.node, self.scale, fraction=fraction)
            self.flight.tell(event)

    def checkpoint(self) -> None:
        if self.flight.stop.is_set():
            raise Cancelled

    def note(self, text: str) -> None:
        self.notes.append(text)

    def before(self) -> Before | None:
        cache, last = self.engine.cache, self.last
        if last is None or (entry := cache.get(last.key)) is None:
            return None
        eaten = {name: (cache.get(key), output) for name, (key, output) in last.inputs.items()}
        if any(source is None for source, _ in eaten.values()):
            return None
        values = {name: (source.outputs, output) for name, (source, output) in eaten.items()}
        return Before(_arguments(last.node, values, self), entry.outputs)

    def memo(
        self,
        name: str,
        parts: tuple,
        compute: Callable[[], Any],
        *,
        disk: bool = False,
        shared: bool = False,
    ) -> Any:
        cache, key = self.engine.cache, self._memo_key(name, parts, shared)
        if (entry := cache.get(key)) is not None:
            return entry.outputs[""]
        store = cache.disk if disk else None
        began = time.perf_counter()
        value = store.get(key) if store else None
        if value is None:
            value = freeze(compute())
            if store:
                store.put(key, value)
        cache.put(key, Entry({"": value}, time.perf_counter() - began))
        return value

    def recall(self, name: str, parts: tuple, *, shared: bool = False) -> Any | None:
        entry = self.engine.cache.get(self._memo_key(name, parts, shared))
        return entry and entry.outputs[""]

    def _memo_key(self, name: str, parts: tuple, shared: bool) -> bytes:
        eaten = self.eaten[:1] if shared else self.eaten
        return hashed(b"memo", name.encode(), repr(parts).encode(), *eaten)


def _fly(engine: Engine, flight: _Flight, step: Step, node: Node, values, job: _NodeJob) -> None:
    """Compute a step, keep what it gives, tell the runs that wait for it."""
    began, entry, error = time.perf_counter(), None, None
    try:
        job.checkpoint()
        flight.tell(Event(job.run, "started", job.node, job.scale, reason=job.reason))
        outputs = _shrunk(values, job, engine) if "" in values else _called(node, values, job)
        entry = Entry(freeze(outputs), time.perf_counter() - began, tuple(job.notes))
        engine.cache.put(step.key, entry)
    except Cancelled as given_up:
        error = given_up
    except QrNodesError as fault:
        error = fault.at_node(job.node)
    except Exception as fault:
        what = f"{type(fault).__name__}: {str(fault).rstrip('.') or 'no more is known'}."
        error = NodeError(what, job.node, "Run with --debug to see where, and tell the authors.")
        error.__cause__ = fault
    with engine.lock:
        if engine.flights.get(step.key) is flight:
            del engine.flights[step.key]
    if error is None:
        flight.landed.set_result((entry, job.reason))
    else:
        flight.landed.set_exception(_light(error))
        error = None  # or it, its traceback and this frame would hold each other, and the arrays


def _light(error: BaseException) -> BaseException:
    """Let go of the frames that an error remembers, and so of their arrays, but for debugging."""
    link: BaseException | None = error
    while link is not None and not os.environ.get("QR_NODES_DEBUG"):
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


def _called(node: Node, values: Mapping, job: _NodeJob) -> dict[str, Any]:
    """Call a node's function, or redo a part of its last call; give its outputs by name."""
    spec, arguments = node.spec, _arguments(node, values, job)
    if spec.idle is not None and spec.idle(arguments):
        return {"cutout": arguments["cutout"]}
    if spec.takes_job:
        arguments["job"] = job
    if spec.reach and job.last and job.last.node.digest == node.digest:
        before = job.before()
        if before and (cutout := redone(spec, arguments, before)) is not None:
            return {"cutout": cutout}
        del before  # what it holds may be large, and is wanted no more
    # Mattes in tiles are put together once for the whole call, however often the node asks.
    whole = [v.alpha for v in arguments.values() if isinstance(v, Cutout) and not spec.resumes]
    given = spec.fn(**arguments)
    del whole
    several = len(spec.outputs) > 1
    return {name: getattr(given, name) if several else given for name in spec.outputs}


def _arguments(node: Node, values: Mapping, job: _NodeJob) -> dict[str, Any]:
    """Give what a node is called with, inputs as its sockets take them, px at the job's scale."""
    spec, arguments = node.spec, {}
    for name, (outputs, output) in values.items():
        value = outputs[output]
        wants_mask = spec.inputs[name] is Mask and isinstance(value, Cutout)
        arguments[name] = value.alpha if wants_mask else value
    for name, param in spec.params.items():
        value = node.params[name]
        arguments[name] = value * job.scale if param.unit == "px" and job.scale < 1 else value
    return arguments


def _shrunk(values: Mapping, job: _NodeJob, engine: Engine) -> dict[str, Any]:
    """Give a full result at a preview's size."""
    outputs, _ = values[""]
    return {name: engine.shrink(value, job.scale) for name, value in outputs.items()}


def _reason(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    """Say in a few words what made a node run."""
    if old is None:
        return "first run"
    names = [*new, *(name for name in old if name not in new)]
    changed = [
        name for name in names if (name in old, old.get(name)) != (name in new, new.get(name))
    ]
    return f"{', '.join(changed[:3])} changed" if changed else "no longer in memory"
