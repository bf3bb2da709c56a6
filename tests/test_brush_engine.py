"""The brush under the engine: whatever is painted, hidden, undone or changed before it, the pixels
are those of drawing the list that is left from nothing; and little is drawn for it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from qr_nodes.cache import Cache
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.graph import Graph
from qr_nodes.imaging.correction import corrected
from qr_nodes.imaging.strokes import Trace
from qr_nodes.node import node, spec_of
from qr_nodes.nodes import find
from qr_nodes.tiled import SIDE
from qr_nodes.types import Cutout, Stroke

SHAPE = (3 * SIDE + 37, 4 * SIDE - 53)


@node("Source", category="Stub")
def brush_source(*, value: float = 0.3) -> Cutout:
    """Give a disk with a soft rim, in colours with edges of their own."""
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    disk = np.clip((300 - np.hypot(y - 400, x - 480)) / 40 + value, 0, 1)
    color = np.zeros((*SHAPE, 3), np.uint8)
    color[...] = 90 * (np.hypot(y - 380, x - 300 - 600 * value) < 280)[..., None]
    color[..., 1] += np.uint8(60) * ((x + y) // 90 % 2).astype(np.uint8)
    return Cutout(color, disk.astype(np.float32))


SOURCE = spec_of(brush_source)


@pytest.fixture
def engine():
    made = Engine(Cache(budget=1 << 30))
    yield made
    made.close()


@pytest.fixture
def drawn(monkeypatch) -> list[Stroke]:
    """The strokes of which some part was drawn, once for each tile."""
    seen = []
    plain = Trace.coverage

    def coverage(self, box):
        seen.append(self.stroke)
        return plain(self, box)

    monkeypatch.setattr(Trace, "coverage", coverage)
    return seen


def chain(*after: str) -> Graph:
    graph = Graph().add(SOURCE, "source").add("brush_edit", "brush").connect("source", "brush")
    last = "brush"
    for id in after:
        graph = graph.add(id, id).connect(last, id)
        last = id
    return graph


def alpha(engine: Engine, graph: Graph, target: str = "brush") -> np.ndarray:
    outcome = engine.run(RunRequest(graph, (target,))).check()
    return outcome.outputs[target]["cutout"].alpha


def random_stroke(rng: np.random.Generator, count: int = 0) -> Stroke:
    start = rng.uniform(-0.1, 1.1, 2)
    points = start + np.cumsum(rng.normal(0, 0.02, (count or int(rng.integers(1, 12)), 2)), 0)
    return Stroke(
        tuple(map(tuple, points.tolist())),
        size=float(rng.uniform(0.005, 0.08)),
        hardness=float(rng.random()),
        opacity=float(rng.choice([1.0, 0.4])),
        mode=str(rng.choice(["paint", "erase", "refine"])),
        edge_aware=float(rng.choice([0, 0, 0.6])),
    )


def test_a_thousand_edits_give_the_pixels_of_the_list_that_is_left(engine):
    rng = np.random.default_rng(11)
    source = brush_source()
    past, future = [()], []
    for step in range(1000):
        strokes = past[-1]
        act = rng.choice(["add", "add", "add", "grow", "hide", "delete", "undo", "redo"])
        pick = int(rng.integers(len(strokes))) if strokes else -1
        if act == "undo" and len(past) > 1:
            future.append(past.pop())
        elif act == "redo" and future:
            past.append(future.pop())
        elif act in ("hide", "delete", "grow") and pick >= 0:
            old = strokes[pick]
            grown = msgspec.structs.replace(
                old, points=(*old.points, *random_stroke(rng, 2).points)
            )
            hidden = msgspec.structs.replace(old, hidden=not old.hidden)
            new = {"hide": (hidden,), "delete": (), "grow": (grown,)}[act]
            past.append((*strokes[:pick], *new, *strokes[pick + 1 :]))
            future.clear()
        else:
            past.append((*strokes[-40:], random_stroke(rng)))
            future.clear()
        graph = chain().set_param("brush", "strokes", past[-1])
        if step % 3 == 0:  # some are passed over, as when the hand is quicker than the machine
            result = alpha(engine, graph)
        if step % 21 == 0:
            np.testing.assert_array_equal(result, corrected(source.alpha, past[-1], source.color))


@pytest.mark.parametrize(
    ("id", "params"),
    [
        ("feather", {"sigma": 2.0}),
        ("feather", {"sigma": 9.0}),
        ("feather", {"sigma": 30.0}),
        ("feather", {"sigma": 4.0, "shift": 0.5}),
        ("levels", {"black": 0.1, "white": 0.8, "gamma": 1.4}),
        ("smooth", {"amount": 1.5}),
        ("grow_shrink", {"radius": 3.0}),
        ("decontaminate", {}),
    ],
)
def test_painting_before_a_node_equals_a_full_recomputation_bit_for_bit(engine, id, params):
    rng = np.random.default_rng(3)
    graph = chain(id)
    for name, value in params.items():
        graph = graph.set_param(id, name, value)
    alpha(engine, graph, id)
    strokes = ()
    for _ in range(8):
        strokes = (*strokes, random_stroke(rng))
        graph = graph.set_param("brush", "strokes", strokes)
        cutout = brush_source()
        whole = cutout.with_alpha(corrected(cutout.alpha, strokes, cutout.color))
        full = find(id).fn(whole, **graph.nodes[id].params)
        outcome = engine.run(RunRequest(graph, (id,))).check().outputs[id]["cutout"]
        np.testing.assert_array_equal(outcome.alpha, full.alpha)
        np.testing.assert_array_equal(outcome.color, full.color)


def test_a_local_node_is_called_for_the_painted_part_only(engine, monkeypatch):
    sizes = []
    spec = find("feather")
    real = spec.fn

    def spy(cutout, *args, **more):
        sizes.append(cutout.shape)
        return real(cutout, *args, **more)

    monkeypatch.setitem(spec.__dict__, "fn", spy)
    graph = chain("feather")
    alpha(engine, graph, "feather")
    assert sizes == [SHAPE]
    graph = graph.set_param("brush", "strokes", (Stroke(((0.5, 0.5),), 0.01, mode="erase"),))
    alpha(engine, graph, "feather")
    assert len(sizes) == 2
    assert max(sizes[1]) <= 192


def test_quick_is_what_a_stroke_is_and_a_slider_is_not(engine):
    graph = chain("feather")
    assert not engine.quick(RunRequest(graph, ("feather",)))
    alpha(engine, graph, "feather")
    assert engine.quick(RunRequest(graph, ("feather",)))
    painted = graph.set_param("brush", "strokes", (Stroke(((0.5, 0.5),)),))
    assert engine.quick(RunRequest(painted, ("feather",)))
    assert not engine.quick(RunRequest(graph.set_param("feather", "sigma", 7.0), ("feather",)))
    assert not engine.quick(RunRequest(graph.set_param("source", "value", 0.7), ("feather",)))
    # What does not say how far it looks is computed anew, and so wants a preview.
    grown = chain("grow_shrink")
    alpha(engine, grown, "grow_shrink")
    painted = grown.set_param("brush", "strokes", (Stroke(((0.5, 0.5),)),))
    assert not engine.quick(RunRequest(painted, ("grow_shrink",)))


def test_a_new_stroke_draws_one_stroke(engine, drawn):
    rng = np.random.default_rng(5)
    strokes = tuple(random_stroke(rng) for _ in range(6))
    graph = chain()
    for count in range(len(strokes) + 1):
        drawn.clear()
        alpha(engine, graph.set_param("brush", "strokes", strokes[:count]))
        assert set(drawn) <= set(strokes[count - 1 : count])
    drawn.clear()
    alpha(engine, graph.set_param("brush", "strokes", strokes[:3]))
    assert not drawn
    # One stroke hidden: only those after it are drawn, and only where it was.
    hidden = msgspec.structs.replace(strokes[3], hidden=True)
    alpha(engine, graph.set_param("brush", "strokes", strokes))
    drawn.clear()
    alpha(engine, graph.set_param("brush", "strokes", (*strokes[:3], hidden, *strokes[4:])))
    assert set(drawn) <= set(strokes[4:])


def test_a_change_before_the_brush_draws_no_stroke_again(engine, drawn):
    rng = np.random.default_rng(6)
    plain = {"edge_aware": 0.0}
    strokes = tuple(msgspec.structs.replace(random_stroke(rng), **plain) for _ in range(6))
    graph = chain().set_param("brush", "strokes", strokes)
    alpha(engine, graph)
    drawn.clear()
    changed = alpha(engine, graph.set_param("source", "value", 0.8))
    assert not drawn
    np.testing.assert_array_equal(changed, corrected(brush_source(value=0.8).alpha, strokes))
    # Other colours have other edges: only strokes that these hold back are asked again.
    aware = msgspec.structs.replace(strokes[0], edge_aware=0.6)
    graph = graph.set_param("brush", "strokes", (aware,))
    alpha(engine, graph)
    drawn.clear()
    changed = alpha(engine, graph.set_param("source", "value", 0.9))
    source = brush_source(value=0.9)
    assert drawn
    np.testing.assert_array_equal(changed, corrected(source.alpha, (aware,), source.color))


def test_one_graph_over_pictures_of_one_size_asks_each_ones_own_edges(engine):
    stroke = Stroke(((0.5, 0.5), (0.7, 0.5)), 0.3, mode="erase", edge_aware=0.8)
    graph, found = chain().set_param("brush", "strokes", (stroke,)), []
    for value in (0.3, 0.5, 0.3):
        found.append(alpha(engine, graph.set_param("source", "value", value)))
        source = brush_source(value=value)
        whole = corrected(source.alpha, (stroke,), source.color)
        np.testing.assert_array_equal(found[-1], whole)
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize(("old", "new"), [("feather", "brush_edit"), ("brush_edit", "feather")])
def test_another_kind_of_node_under_an_old_id_starts_anew(engine, old, new):
    for kind in (old, new, old):
        graph = Graph().add(SOURCE, "source").add(kind, "it").connect("source", "it")
        assert alpha(engine, graph, "it").shape == SHAPE
        if kind == "feather":
            graph = graph.set_param("it", "sigma", 3.0)
        else:
            graph = graph.set_param("it", "strokes", (Stroke(((0.5, 0.5),)),))
        engine.quick(RunRequest(graph, ("it",)))
        assert alpha(engine, graph, "it").shape == SHAPE


@pytest.mark.parametrize("edge_aware", [0.0, 0.7])
def test_a_stroke_that_grows_draws_itself_at_its_end_only(engine, drawn, edge_aware):
    line = tuple((0.02 + 0.0096 * k, 0.5) for k in range(100))
    graph, source = chain(), brush_source()
    alpha(engine, graph)
    counts = []
    for length in range(1, 101, 3):
        drawn.clear()
        stroke = Stroke(line[:length], 0.02, edge_aware=edge_aware)
        result = alpha(engine, graph.set_param("brush", "strokes", (stroke,)))
        counts.append(len(drawn))
        whole = corrected(source.alpha, (stroke,), source.color)
        np.testing.assert_array_equal(result, whole)
    assert max(counts) <= 4


def test_an_interrupted_replay_goes_on_where_it_was(engine, drawn):
    rng = np.random.default_rng(8)
    strokes = tuple(random_stroke(rng) for _ in range(300))
    graph = chain().set_param("brush", "strokes", strokes)
    stop = lambda: () if len(set(map(id, drawn))) > 200 else None  # noqa: E731
    assert engine.run(RunRequest(graph, ("brush",), id=1), superseded=stop).superseded
    first = {id(stroke) for stroke in drawn}
    drawn.clear()
    result = alpha(engine, graph)
    again = {id(stroke) for stroke in drawn} & first
    assert len(first) > 150
    assert len(again) <= 64 + 5
    source = brush_source()
    np.testing.assert_array_equal(result, corrected(source.alpha, strokes, source.color))


def test_tiles_are_shared_between_the_versions_that_are_kept(engine):
    graph = chain()
    alpha(engine, graph)
    before = engine.cache.used
    for count in range(1, 31):
        strokes = tuple(Stroke(((0.1 + 0.02 * k, 0.5),), 0.01) for k in range(count))
        alpha(engine, graph.set_param("brush", "strokes", strokes))
    each = (engine.cache.used - before) / 30
    assert each < 6 * SIDE * SIDE * 4  # of a matte of 12 tiles and more


def test_a_matte_in_tiles_is_put_together_once_for_a_call(engine, monkeypatch):
    from qr_nodes.tiled import Tiled

    made = []
    whole = Tiled.whole

    def spy(self):
        made.append(whole(self))
        return made[-1]

    monkeypatch.setattr(Tiled, "whole", spy)
    graph = chain("decontaminate").set_param("brush", "strokes", (Stroke(((0.5, 0.5),), 0.05),))
    alpha(engine, graph, "decontaminate")
    assert len({id(array) for array in made}) == 1


MARK = Stroke(((0.4, 0.13), (0.6, 0.13)), size=0.1, mode="refine")


def notes(engine: Engine, graph: Graph) -> dict[str, tuple[str, ...]]:
    """Run up to the last node; return what the brush is told to say, by kind of event."""
    events = []
    engine.run(RunRequest(graph, tuple(graph.nodes)), events.append).check()
    return {event.kind: event.notes for event in events if event.node == "brush" and event.outputs}


def test_marks_of_the_refine_brush_that_lead_nowhere_are_noted_until_they_lead_somewhere(engine):
    graph = chain("feather", "refine_edges")
    assert notes(engine, graph) == {"done": ()}
    graph = graph.set_param("brush", "strokes", (MARK, msgspec.structs.replace(MARK, hidden=True)))
    said = notes(engine, graph)["done"]
    assert [note[:39] for note in said] == ["A stroke of the refine brush without ef"]
    linked = graph.connect("brush", "refine_edges", output="unsure", input="unsure")
    assert notes(engine, linked) == {"reused": ()}
    assert notes(engine, linked.change("refine_edges", bypass=True)) == {"reused": said}


def test_a_refine_edges_with_nothing_marked_passes_the_cutout_and_strokes_stay_quick(engine):
    graph = chain("refine_edges")
    for input in ("where", "unsure"):
        graph = graph.connect("brush", "refine_edges", output="unsure", input=input)

    def both(graph):
        given = engine.run(RunRequest(graph, ("brush", "refine_edges"))).check().outputs
        return given["brush"]["cutout"], given["refine_edges"]["cutout"]

    def quick(graph):
        return engine.quick(RunRequest(graph, ("refine_edges",)))

    assert not quick(graph)
    before, after = both(graph)
    assert after is before
    painted = graph.set_param("brush", "strokes", (Stroke(((0.5, 0.5),)),))
    assert quick(painted)
    before, after = both(painted)
    assert after is before
    marked = graph.set_param("brush", "strokes", (MARK,))
    before, after = both(marked)
    assert (after.alpha != before.alpha).any()
    assert not quick(marked.set_param("brush", "strokes", (MARK, Stroke(((0.5, 0.5),)))))
