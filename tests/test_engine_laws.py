"""Whatever is edited, undone, bypassed, evicted or fails: cached and fresh results are equal.

Generated sequences of edits run against a reference that knows no cache: each node is
evaluated by plain recursion. What ran is compared with the smallest set that the keys allow.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import NamedTuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from qr_nodes.cache import Cache
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.errors import GraphError, SocketError
from qr_nodes.graph import Graph
from qr_nodes.node import Job, node, spec_of
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
    more = job.memo("more", (), lambda: mask * np.float32(8))
    return base - more + np.float32(value)


@node("Break", category="Stub")
def law_break(cutout: Cutout, *, value: int = 1) -> Cutout:
    record("law_break", value)
    if value == 3:
        raise ValueError("three")
    return cutout.with_alpha(cutout.alpha * np.float32(2))


class Pair(NamedTuple):
    """Two outputs, of which each stands for an input of its own while the node is bypassed."""

    cutout: Cutout
    mask: Mask


@node("Pair", category="Stub")
def law_pair(mask: Mask, cutout: Cutout, *, value: int = 1) -> Pair:
    record("law_pair", value)
    return Pair(cutout.with_alpha(cutout.alpha + mask), mask - np.float32(value))


class Halves(NamedTuple):
    """Two outputs of one kind, and a third of another."""

    cutout: Cutout
    rest: Cutout
    mask: Mask


@node("Split", category="Stub")
def law_split(cutout: Cutout, *, value: int = 1) -> Halves:
    record("law_split", value)
    high, low, mask = split(cutout.alpha, np.float32(value))
    return Halves(cutout.with_alpha(high), cutout.with_alpha(low), mask)


def split(alpha: np.ndarray, value: np.float32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return alpha + value, alpha - np.float32(7) * value, alpha * np.float32(0.5)


@node("Whole", category="Stub", full_scale=True)
def law_whole(cutout: Cutout, *, value: int = 1) -> Cutout:
    record("law_whole", value)
    return cutout.with_alpha(cutout.alpha - np.float32(value))


def shrunk(value: Cutout, scale: float) -> Cutout:
    """Stand in for resizing: what counts is that it was done, once, by this scale."""
    return value.with_alpha(value.alpha * np.float32(scale) + 1)


LAWS = (law_source, law_join, law_take, law_break, law_pair, law_split, law_whole)
TYPES = {fn.__name__.removeprefix("law_"): spec_of(fn) for fn in LAWS}


class Reference:
    """Evaluates a graph afresh, and names each result by all that it is made of."""

    def __init__(self, graph: Graph):
        self.graph, self.known = graph, {}

    def sources(self, id: str) -> dict[str, tuple[str, str] | None]:
        """Return the node and the output behind each input, None where nothing is linked."""
        return {name: self.graph.source(id, name) for name in self.graph.nodes[id].spec.inputs}

    def feeds(self, id: str, scale: float) -> list[tuple[str, float]]:
        """Give the steps that a step is made from."""
        if self.graph.nodes[id].spec.full_scale and scale < 1:
            return [(id, 1.0)]
        return [(source[0], scale) for source in self.sources(id).values() if source]

    def structure(self, id: str, scale: float) -> tuple:
        node = self.graph.nodes[id]
        if node.spec.full_scale and scale < 1:
            return ("shrunk", scale, self.structure(id, 1.0))
        sources = self.sources(id)
        inputs = tuple((n, s[1], self.structure(s[0], scale)) for n, s in sources.items() if s)
        return (node.spec.id, node.params["value"], scale, inputs)

    def doomed(self, id: str) -> bool:
        """Say whether the graph alone shows that a node cannot run."""
        optional = self.graph.nodes[id].spec.optional
        return any(
            self.doomed(source[0]) if source else name not in optional
            for name, source in self.sources(id).items()
        )

    def value(self, id: str, scale: float) -> dict[str, np.ndarray] | None:
        """Return the alpha or mask of each output of a node, None if it fails or is blocked."""
        if (id, scale) not in self.known:
            self.known[id, scale] = None if self.doomed(id) else self._value(id, scale)
        return self.known[id, scale]

    def _value(self, id: str, scale: float) -> dict[str, np.ndarray] | None:
        node = self.graph.nodes[id]
        value = np.float32(node.params["value"])
        if any(self.value(*feed) is None for feed in self.feeds(id, scale)):
            return None
        if node.spec.full_scale and scale < 1:
            full = self.value(id, 1.0)
            return {name: plane * np.float32(scale) + 1 for name, plane in full.items()}
        sources = {name: source for name, source in self.sources(id).items() if source}
        found = {name: self.value(s[0], scale)[s[1]] for name, s in sources.items()}
        match node.spec.id:
            case "law_source":
                return {"cutout": picture(value)}
            case "law_join":
                extra = found["mask"] * value if "mask" in found else value
                return {"cutout": found["cutout"] + extra}
            case "law_take":
                mask = found["mask"]
                return {"mask": mask * np.float32(3) - mask * np.float32(8) + value}
            case "law_break":
                return None if value == 3 else {"cutout": found["cutout"] * np.float32(2)}
            case "law_pair":
                return {"cutout": found["cutout"] + found["mask"], "mask": found["mask"] - value}
            case "law_split":
                return dict(zip(Halves._fields, split(found["cutout"], value), strict=True))
            case "law_whole":
                return {"cutout": found["cutout"] - value}


def arrays(outputs) -> dict[str, np.ndarray]:
    return {n: v.alpha if isinstance(v, Cutout) else v for n, v in outputs.items()}


class Edits(RuleBasedStateMachine):
    @initialize(budget=st.sampled_from([0, 5000, 20_000, 1 << 28]), lanes=st.integers(1, 4))
    def start(self, budget, lanes):
        """Begin with two sources, two sinks and parallel links from both outputs of one node."""
        self.engine = Engine(Cache(budget), lanes, shrunk)
        graph = Graph()
        types = ("source", "source", "split", "join", "take", "whole", "pair", "join")
        for id, type in zip("abcdefgh", types, strict=True):
            graph = graph.add(TYPES[type], id)
        graph = graph.connect("a", "c").connect("c", "d", output="rest").connect("b", "f")
        graph = graph.connect("c", "d", output="mask", input="mask").connect("f", "e")
        graph = graph.connect("c", "g", output="mask", input="mask").connect(
            "b", "g", input="cutout"
        )
        graph = graph.connect("g", "h").connect("g", "h", output="mask", input="mask")
        self.past, self.future = [graph], []
        self.meaning, self.meaning_of = {}, {}
        self.look()

    @property
    def graph(self) -> Graph:
        return self.past[-1]

    def edit(self, graph: Graph) -> None:
        self.past.append(graph)
        self.future = []
        self.look()

    def look(self) -> None:
        """Compute all that nothing else takes, as a window does after an edit."""
        taken = {source for source, _ in self.graph.links.values()}
        self.check(tuple(id for id in self.graph.nodes if id not in taken), 1.0)

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

    @rule(
        a=st.integers(0, 30),
        b=st.integers(0, 30),
        output=st.sampled_from([None, None, *Halves._fields]),
        mask=st.booleans(),
    )
    def connect(self, a, b, output, mask):
        with contextlib.suppress(SocketError, GraphError):
            input = "mask" if mask else None
            self.edit(self.graph.connect(self.pick(a), self.pick(b), output=output, input=input))

    @rule(link=st.integers(0, 30), output=st.sampled_from(Halves._fields))
    def move_to_another_output(self, link, output):
        links = [(to, of) for to, of in self.graph.links.items() if of[1] in Halves._fields]
        if links:
            (target, input), (source, _) = links[link % len(links)]
            with contextlib.suppress(SocketError, GraphError):
                self.edit(self.graph.connect(source, target, output=output, input=input))

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
            self.look()

    @rule()
    def redo(self):
        if self.future:
            self.past.append(self.future.pop())
            self.look()

    @rule()
    def forget(self):
        self.engine.cache.clear()

    @rule(a=st.integers(0, 30))
    def pin(self, a):
        keys = self.engine.keys(RunRequest(self.graph, (self.pick(a),)))
        self.engine.cache.pin(keys.values())

    @rule(
        shown=st.lists(st.integers(0, 30), min_size=1, max_size=4),
        scale=st.sampled_from([1.0, 1.0, 0.5, 0.25]),
    )
    def run(self, shown, scale):
        self.check(tuple(dict.fromkeys(map(self.pick, shown))), scale)

    def check(self, targets: tuple[str, ...], scale: float) -> None:
        """Hold a run to what the reference gives, and to the least work."""
        request, reference = RunRequest(self.graph, targets, scale), Reference(self.graph)
        expected, full = self.smallest(request, reference)
        RAN.clear()
        outcome = self.engine.run(request)
        assert sorted(RAN) == sorted(expected)
        for target in targets:
            stand_in = self.graph.stand_in(target)
            at = 1.0 if stand_in in full else scale
            wanted = reference.value(stand_in, at) if stand_in else None
            assert (target in outcome.outputs) == (wanted is not None)
            if wanted is not None:
                found = arrays(outcome.outputs[target])
                assert found.keys() == wanted.keys()
                for name, plane in found.items():
                    assert plane.dtype == np.float32 and (plane == wanted[name]).all()

    def smallest(self, request, reference) -> tuple[list[tuple], set[str]]:
        """Walk back from the targets, stopping at what is cached.

        Gives what has to run, and the targets that are there in full and need no preview.
        """
        plan = self.engine.plan(request)
        keys = {id: step.key for id, step in plan.items()}
        for id, key in keys.items():
            # Equal keys mean equal pixels, and nothing equal has two keys.
            meaning = reference.structure(*id)
            assert self.meaning.setdefault(key, meaning) == meaning
            assert self.meaning_of.setdefault(meaning, key) == key
        cached = {id for id, key in keys.items() if self.engine.cache.get(key) is not None}
        shown = {id for id in map(self.graph.stand_in, request.targets) if id}
        full = {id for id in shown if (id, 1.0) in cached}
        stack = [(id, request.scale) for id in shown - full]
        must, seen = {}, set()
        while stack:
            id = stack.pop()
            if id in seen or id in cached or reference.doomed(id[0]):
                continue
            seen.add(id)
            feeds = reference.feeds(*id)
            stack += feeds
            fed = all(reference.value(*feed) is not None for feed in feeds)
            if fed and feeds != [(id[0], 1.0)]:
                node = self.graph.nodes[id[0]]
                must[id] = (node.spec.id, node.params["value"])
        # Two nodes of one key need one run between them.
        return list({keys[id]: what for id, what in must.items()}.values()), full

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
