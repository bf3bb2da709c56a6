"""Whatever is edited, undone, bypassed, evicted or fails: cached and fresh results are equal.

Generated sequences of edits run against a reference that knows no cache: each node is
evaluated by plain recursion. What ran is compared with the smallest set that the keys allow.
"""

from __future__ import annotations

import contextlib
import os
import threading

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qr_nodes.cache import Cache
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.errors import GraphError, SocketError
from qr_nodes.graph import Graph
from qr_nodes.node import SPECS, Job, node
from qr_nodes.types import Cutout, Mask

RAN: list[tuple] = []
LOCK = threading.Lock()


def record(*what) -> None:
    with LOCK:
        RAN.append(what)


def picture(value) -> np.ndarray:
    return np.arange(6, dtype=np.float32).reshape(2, 3) * np.float32(value)


@node("Source", category="Stub")
def law_source(*, value: int = 1) -> Cutout:
    record("law_source", value)
    return Cutout(np.zeros((2, 3, 3), np.uint8), picture(value))


@node("Join", category="Stub")
def law_join(cutout: Cutout, mask: Mask | None = None, *, value: int = 1) -> Cutout:
    record("law_join", value)
    extra = np.float32(value) if mask is None else mask * np.float32(value)
    return cutout.with_alpha(cutout.alpha + extra)


@node("Take", category="Stub")
def law_take(mask: Mask, *, value: int = 1, job: Job = Job()) -> Mask:
    record("law_take", value)
    base = job.memo("base", (), lambda: mask * np.float32(3))
    return base + np.float32(value)


@node("Break", category="Stub")
def law_break(cutout: Cutout, *, value: int = 1) -> Cutout:
    record("law_break", value)
    if value == 3:
        raise ValueError("three")
    return cutout.with_alpha(cutout.alpha * np.float32(2))


TYPES = {name: SPECS.pop(f"law_{name}") for name in ("source", "join", "take", "break")}


class Reference:
    """Evaluates a graph afresh, and names each result by all that it is made of."""

    def __init__(self, graph: Graph):
        self.graph, self.known = graph, {}

    def structure(self, id: str) -> tuple:
        node = self.graph.nodes[id]
        sources = {name: self.graph.source(id, name) for name in node.spec.inputs}
        inputs = tuple((n, self.structure(s[0])) for n, s in sources.items() if s)
        return (node.spec.id, node.params["value"], inputs)

    def doomed(self, id: str) -> bool:
        """Say whether the graph alone shows that a node cannot run."""
        spec = self.graph.nodes[id].spec
        sources = {name: self.graph.source(id, name) for name in spec.inputs}
        return any(
            self.doomed(source[0]) if source else name not in spec.optional
            for name, source in sources.items()
        )

    def value(self, id: str) -> np.ndarray | None:
        """Give the alpha or mask of a node, None if it fails or is blocked."""
        if id not in self.known:
            self.known[id] = self._value(id)
        return self.known[id]

    def _value(self, id: str) -> np.ndarray | None:
        node = self.graph.nodes[id]
        value = np.float32(node.params["value"])
        sources = {name: self.graph.source(id, name) for name in node.spec.inputs}
        found = {name: self.value(source[0]) for name, source in sources.items() if source}
        needed = set(node.spec.inputs) - node.spec.optional
        if needed - set(found) or any(array is None for array in found.values()):
            return None
        match node.spec.id:
            case "law_source":
                return picture(value)
            case "law_join":
                return found["cutout"] + (found["mask"] * value if "mask" in found else value)
            case "law_take":
                return found["mask"] * np.float32(3) + value
            case "law_break":
                return None if value == 3 else found["cutout"] * np.float32(2)


def array(outputs) -> np.ndarray:
    value = next(iter(outputs.values()))
    return value.alpha if isinstance(value, Cutout) else value


class Edits(RuleBasedStateMachine):
    @initialize(budget=st.sampled_from([0, 5000, 20_000, 1 << 28]), lanes=st.integers(1, 4))
    def start(self, budget, lanes):
        self.engine = Engine(Cache(budget), lanes)
        self.past, self.future = [Graph().add(TYPES["source"], "n0")], []
        self.meaning, self.meaning_of = {}, {}

    @property
    def graph(self) -> Graph:
        return self.past[-1]

    def edit(self, graph: Graph) -> None:
        self.past.append(graph)
        self.future = []

    def pick(self, number: int) -> str:
        return list(self.graph.nodes)[number % len(self.graph.nodes)]

    @rule(kind=st.sampled_from(sorted(TYPES)), source=st.integers(0, 30))
    def add(self, kind, source):
        if len(self.graph.nodes) > 12:
            return
        before = self.pick(source)
        graph = self.graph.add(TYPES[kind], id := self.graph.free_id("n"))
        with contextlib.suppress(SocketError, GraphError):
            graph = graph.connect(before, id)
        self.edit(graph)

    @rule(a=st.integers(0, 30), b=st.integers(0, 30), mask=st.booleans())
    def connect(self, a, b, mask):
        with contextlib.suppress(SocketError, GraphError):
            self.edit(
                self.graph.connect(self.pick(a), self.pick(b), input="mask" if mask else None)
            )

    @rule(a=st.integers(0, 30), name=st.sampled_from(["cutout", "mask"]))
    def disconnect(self, a, name):
        self.edit(self.graph.disconnect(self.pick(a), name))

    @rule(a=st.integers(0, 30), value=st.integers(0, 3))
    def tweak(self, a, value):
        self.edit(self.graph.set_param(self.pick(a), "value", value))

    @rule(a=st.integers(0, 30))
    def bypass(self, a):
        id = self.pick(a)
        self.edit(self.graph.change(id, bypass=not self.graph.nodes[id].bypass))

    @rule(a=st.integers(0, 30), reconnect=st.booleans())
    def remove(self, a, reconnect):
        if len(self.graph.nodes) > 1:
            self.edit(self.graph.remove(self.pick(a), reconnect=reconnect))

    @rule()
    def undo(self):
        if len(self.past) > 1:
            self.future.append(self.past.pop())

    @rule()
    def redo(self):
        if self.future:
            self.past.append(self.future.pop())

    @rule()
    def forget(self):
        self.engine.cache.clear()

    @rule(a=st.integers(0, 30))
    def pin(self, a):
        keys = self.engine.keys(RunRequest(self.graph, (self.pick(a),)))
        self.engine.cache.pin(keys.values())

    @rule(shown=st.lists(st.integers(0, 30), min_size=1, max_size=4))
    def run(self, shown):
        targets = tuple(dict.fromkeys(map(self.pick, shown)))
        request, reference = RunRequest(self.graph, targets), Reference(self.graph)
        expected = self.smallest(request, reference)
        RAN.clear()
        outcome = self.engine.run(request)
        assert sorted(RAN) == sorted(expected)
        for target in targets:
            shown = self.graph.stand_in(target)
            wanted = reference.value(shown) if shown else None
            assert (target in outcome.outputs) == (wanted is not None)
            if wanted is not None:
                found = array(outcome.outputs[target])
                assert found.dtype == np.float32 and (found == wanted).all()

    def smallest(self, request, reference) -> list[tuple]:
        """Walk back from the targets, stopping at what is cached; give what has to run."""
        keys = self.engine.keys(request)
        for id, key in keys.items():
            # Equal keys mean equal pixels, and nothing equal has two keys.
            meaning = reference.structure(id)
            assert self.meaning.setdefault(key, meaning) == meaning
            assert self.meaning_of.setdefault(meaning, key) == key
        stack = [id for id in map(self.graph.stand_in, request.targets) if id]
        must, seen = {}, set()
        while stack:
            id = stack.pop()
            if id in seen or reference.doomed(id) or self.engine.cache.get(keys[id]) is not None:
                continue
            seen.add(id)
            node = self.graph.nodes[id]
            sources = {name: self.graph.source(id, name) for name in node.spec.inputs}
            stack += [source[0] for source in sources.values() if source]
            if all(reference.value(source[0]) is not None for source in sources.values() if source):
                must[id] = (node.spec.id, node.params["value"])
        # Two nodes of one key need one run between them.
        return list({keys[id]: what for id, what in must.items()}.values())

    @invariant()
    def the_cache_counts_right(self):
        if hasattr(self, "engine"):
            cache = self.engine.cache
            assert cache.used <= cache.budget or cache._pinned or not len(cache)

    def teardown(self):
        if hasattr(self, "engine"):
            self.engine.close()


TestEdits = Edits.TestCase
TestEdits.settings = settings(
    max_examples=200,
    stateful_step_count=40,
    deadline=None,
    derandomize="CI" in os.environ,
)
