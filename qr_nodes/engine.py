"""The scheduler: works out what a graph's targets need, runs that and nothing else.

A step is a node at a scale. Its key is a hash of what the node is and what it eats; a step runs
only if its key is not in the cache, and asks for its inputs only then. Steps that do not depend
on each other run side by side. A newer request takes over work in flight that it wants too.

State, in `Engine`: the cache, the flights (steps being computed now), digests of files read, and
what each node was last made of, for the reason it gives when it runs.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal

from qr_nodes.cache import Cache, Entry, freeze
from qr_nodes.errors import Cancelled, GraphError, NodeError, QrNodesError
from qr_nodes.graph import Graph, Node
from qr_nodes.node import Job
from qr_nodes.types import Cutout, Mask

POLL = 0.004
"""Seconds between two looks at whether a newer request has come."""

PROGRESS = 0.05
"""Seconds between two progress events of one node."""

StepId = tuple[str, float]


@dataclass(frozen=True)
class RunRequest:
    """What somebody wants to see.

    Attributes
    ----------
    graph : the graph as it was when it was asked
    targets : ids of the nodes whose outputs are wanted
    scale : size of a preview relative to the full picture; 1 for the result itself
    id : tells runs apart in events
    """

    graph: Graph
    targets: tuple[str, ...]
    scale: float = 1.0
    id: int = 0


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


@dataclass(frozen=True)
class Step:
    """A node at a scale: what it is made of, and the key that follows from it.

    Attributes
    ----------
    key : hash of everything its pixels depend on
    inputs : input name → (step, output); "" alone for a shrunk copy of the full result
    made_of : name → what it contributes, to tell what changed
    """

    key: bytes
    inputs: Mapping[str, tuple[StepId, str]]
    made_of: Mapping[str, Any]


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
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(lanes, "qr-nodes")
        self._digests: dict[str, tuple[tuple, str]] = {}

    def plan(self, request: RunRequest) -> dict[StepId, Step]:
        """Give every step the targets may need, sources first, with its key.

        At a preview's scale, nodes that want the full picture stand there twice: as they run,
        and shrunk.
        """
        graph, steps = request.graph, {}
        first: dict[bytes, StepId] = {}
        for id in graph.upstream(request.targets):
            node = graph.nodes[id]
            if node.bypass:
                continue
            links = {name: graph.source(id, name) for name in node.spec.inputs}
            outside = self._outside(node)
            for scale in dict.fromkeys((1.0, request.scale)):
                if node.spec.full_scale and scale < 1:
                    full = steps[id, 1.0]
                    key = _hash(b"shrink", repr(scale).encode(), full.key)
                    step = Step(key, {"": (first[full.key], "")}, full.made_of)
                else:
                    # Of steps with one key, the first stands for all: it alone runs.
                    inputs = {
                        name: (first[steps[link[0], scale].key], link[1])
                        for name, link in links.items()
                        if link
                    }
                    step = _step(node, scale, inputs, outside, steps)
                steps[id, scale] = step
                first.setdefault(step.key, (id, scale))
        return steps

    def keys(self, request: RunRequest) -> dict[str, bytes]:
        """Give the key of every node the targets may need, at the request's scale."""
        plan = self.plan(request)
        return {id: step.key for (id, scale), step in plan.items() if scale == request.scale}

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

    def _outside(self, node: Node) -> tuple[tuple[str, str], ...]:
        """Give what a node's pixels depend on beside its values and inputs."""
        reads = node.spec.reads
        found = [(name, self._digest(node.params[name])) for name in reads if node.params[name]]
        if node.spec.outside is not None:
            try:
                found.append(("weights", node.spec.outside(node.params)))
            except QrNodesError as error:  # the node will meet it again, and fail, when it runs
                found.append(("weights", str(error)))
        return tuple(found)

    def _digest(self, path: str) -> str:
        """Hash a file's content, again only when its size or time of change is another."""
        try:
            stat = os.stat(path)
            mark = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            if self._digests.get(path, (None,))[0] != mark:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, lambda: blake2b(digest_size=16))
                self._digests[path] = (mark, digest.hexdigest())
            return self._digests[path][1]
        except OSError as error:  # the node says so when it runs
            return f"unreadable: {error.strerror}"


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
        self._tell("reused", id, entry)
        return True

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
        eaten = [self.steps[source].key for source, _ in step.inputs.values()]
        job = _NodeJob(engine, flight, self.request.id, id, [node.spec.id.encode(), *eaten])
        job.reason = _reason(engine.history.get(id), step.made_of)
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
        if "" not in self.steps[id].inputs:
            self.outcome.executed.append(id[0])
        self._tell("done", id, entry, reason)
        for source, _ in self.steps[id].inputs.values():
            self.wanted_by[source].discard(id)
            if not self.wanted_by[source] and source not in self.targets:
                self.entries.pop(source, None)
        ready = []
        for other in self.wanted_by.get(id, ()):
            self.waiting[other].discard(id)
            if not self.waiting[other]:
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
        self.emit(
            Event(
                self.request.id,
                kind,
                *id,
                outputs=entry.outputs,
                fraction=1.0,
                seconds=entry.seconds,
                reason=reason,
                notes=entry.notes,
            )
        )


class _NodeJob(Job):
    """The engine's hand to a node while it runs."""

    def __init__(self, engine: Engine, flight: _Flight, run: int, id: StepId, eaten: list):
        self.engine, self.flight, self.run, self.eaten = engine, flight, run, eaten
        self.node, self.scale = id
        self.notes: list[str] = []
        self.reason = ""
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

    def memo(
        self, name: str, parts: tuple, compute: Callable[[], Any], *, disk: bool = False
    ) -> Any:
        cache, key = self.engine.cache, self._memo_key(name, parts)
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

    def recall(self, name: str, parts: tuple) -> Any | None:
        entry = self.engine.cache.get(self._memo_key(name, parts))
        return entry and entry.outputs[""]

    def _memo_key(self, name: str, parts: tuple) -> bytes:
        return _hash(b"memo", name.encode(), repr(parts).encode(), *self.eaten)


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
        error = fault if fault.where.partition(".")[0] == job.node else fault.at(job.node)
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
    """Call a node's function; give its outputs by name."""
    spec, arguments = node.spec, {}
    for name, (outputs, output) in values.items():
        value = outputs[output]
        wants_mask = spec.inputs[name] is Mask and isinstance(value, Cutout)
        arguments[name] = value.alpha if wants_mask else value
    for name, param in spec.params.items():
        value = node.params[name]
        arguments[name] = value * job.scale if param.unit == "px" and job.scale < 1 else value
    if spec.takes_job:
        arguments["job"] = job
    given = spec.fn(**arguments)
    several = len(spec.outputs) > 1
    return {name: getattr(given, name) if several else given for name in spec.outputs}


def _shrunk(values: Mapping, job: _NodeJob, engine: Engine) -> dict[str, Any]:
    """Give a full result at a preview's size."""
    outputs, _ = values[""]
    return {name: engine.shrink(value, job.scale) for name, value in outputs.items()}


def _step(node: Node, scale: float, inputs: Mapping, outside: tuple, steps: Mapping) -> Step:
    """Work out the key of a node at a scale from those of what it eats."""
    parts = [node.digest, repr((scale, outside)).encode()]
    made_of = {**node.params, **dict(outside)}
    for name, (source, output) in inputs.items():
        parts += [name.encode(), output.encode(), steps[source].key]
        made_of[f"input {name!r}"] = steps[source].key
    return Step(_hash(*parts), inputs, made_of)


def _reason(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    """Say in a few words what made a node run."""
    if old is None:
        return "first run"
    names = [*new, *(name for name in old if name not in new)]
    changed = [
        name for name in names if (name in old, old.get(name)) != (name in new, new.get(name))
    ]
    return f"{', '.join(changed[:3])} changed" if changed else "no longer in memory"


def _hash(*parts: bytes) -> bytes:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(4, "little"))
        digest.update(part)
    return digest.digest()
