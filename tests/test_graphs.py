"""The presets, on photographs: they run, run again for nothing, and a tweak reruns what follows."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from PIL import Image

from qr_nodes import load_graph, run
from qr_nodes.batch import bind, targets
from qr_nodes.cache import Cache
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import presets
from qr_nodes.types import Stroke

PHOTOGRAPHS = {
    # How much of each picture is subject, roughly, as a person sees it.
    "astronaut": (0.30, 0.60),
    "chelsea": (0.35, 0.75),
    "coffee": (0.25, 0.50),
    "rocket": (0.005, 0.08),
}


@pytest.fixture(scope="module")
def shared():
    engine = Engine(Cache(1 << 30))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name in PHOTOGRAPHS:
        Image.fromarray(getattr(skimage.data, name)()).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize("photograph", PHOTOGRAPHS)
@pytest.mark.parametrize("preset", presets())
def test_a_preset_runs_and_a_second_run_executes_nothing(
    preset, photograph, shared, photographs, weights, tmp_path
):
    graph, source = load_graph(preset), photographs / f"{photograph}.png"
    (first,) = run(graph, source, tmp_path / "out.png", engine=shared)
    assert first.error is None
    with Image.open(tmp_path / "out.png") as image:
        rgba = np.asarray(image)
    low, high = PHOTOGRAPHS[photograph]
    assert low < rgba[..., 3].mean() / 255 < high
    assert rgba[..., 3].min() == 0 and rgba[..., 3].max() >= 250
    solid = rgba[..., 3] == 255
    if preset != "glass":  # what it takes for glass gets another colour, opaque or not
        assert (rgba[solid][:, :3] == np.asarray(Image.open(source))[solid]).all()
    (second,) = run(graph, source, tmp_path / "out.png", engine=shared)
    assert second.skipped and second.nodes == ()
    (third,) = run(graph, source, tmp_path / "out.png", engine=shared, again=True)
    did = {report.node: report.did for report in third.nodes}
    assert did.pop("export") == "ran" and set(did.values()) == {"reused"}


@pytest.mark.parametrize(
    ("node", "param", "value"),
    [("feather", "sigma", 3.0), ("segment", "existing_alpha", "replace")],
)
def test_a_tweak_executes_its_node_and_what_follows(
    node, param, value, shared, photographs, weights, tmp_path
):
    graph = bind(load_graph("portrait"), str(photographs / "chelsea.png"), str(tmp_path / "a.png"))
    shared.run(RunRequest(graph, targets(graph))).check()
    outcome = shared.run(RunRequest(graph.set_param(node, param, value), targets(graph))).check()
    order = [id for id in graph.order if id in graph.nodes]
    following = order[order.index(node) :]
    # Segment's new setting gives the same pixels under another key: all that follows runs.
    assert outcome.executed == following


def test_portrait_refines_anew_where_the_brush_marks_and_nowhere_else(shared, photographs, weights):
    graph = bind(load_graph("portrait"), str(photographs / "chelsea.png"))
    (shown,) = (graph.seen(id) for id in targets(graph))
    assert shown != "brush_edit"

    def cutouts(graph):
        given = shared.run(RunRequest(graph, ("brush_edit", shown))).check().outputs
        return given["brush_edit"]["cutout"], given[shown]["cutout"]

    before, after = cutouts(graph)
    assert after is before  # nothing is marked, and nothing refined a second time
    mark = Stroke(((0.55, 0.15), (0.75, 0.2)), size=0.08, hardness=1, mode="refine")
    marked = graph.set_param("brush_edit", "strokes", (mark,))
    before, after = cutouts(marked)
    changed = after.alpha != before.alpha
    assert changed.any() and not changed[120:].any() and not changed[:, :200].any()


def test_a_deleted_output_is_written_again(shared, photographs, weights, tmp_path):
    graph, source, out = load_graph("quick"), photographs / "coffee.png", tmp_path / "out.png"
    list(run(graph, source, out, engine=shared))
    out.unlink()
    (again,) = run(graph, source, out, engine=shared)
    assert out.exists() and [r.node for r in again.nodes if r.did == "ran"] == ["export"]


def test_a_flat_picture_is_empty_and_says_so(weights, tmp_path):
    Image.new("RGB", (640, 480), (90, 120, 200)).save(tmp_path / "sky.png")
    (result,) = run(load_graph("standard"), tmp_path / "sky.png", tmp_path / "out.png")
    assert result.notes == [
        "segment: Nothing was found in this picture, so all of it is transparent."
    ]
    assert not np.asarray(Image.open(tmp_path / "out.png"))[..., 3].any()


def test_soft_edges_are_not_darker_than_the_subject_on_white(tmp_path):
    """A light disk with a soft rim over black: cut out by its own matte, it stays light."""
    y, x = np.mgrid[:300, :400]
    alpha = np.clip((90 - np.hypot(y - 150, x - 200)) / 12 + 0.5, 0, 1)
    subject = np.array([200.0, 210, 220]) + np.random.default_rng(0).normal(0, 2, (300, 400, 3))
    picture = subject * alpha[..., None] + (1 - alpha[..., None]) * 20
    matte = np.dstack([np.zeros_like(alpha), alpha * 255]).round().astype(np.uint8)
    Image.fromarray(picture.round().astype(np.uint8)).save(tmp_path / "disk.png")
    Image.fromarray(matte, "LA").save(tmp_path / "matte.png")

    graph = Graph.chain("load", "set_alpha", "decontaminate", "export").add("load", "matte")
    graph = graph.connect("matte", "set_alpha", input="mask")
    graph = graph.set_param("matte", "path", str(tmp_path / "matte.png"))
    (result,) = run(graph, tmp_path / "disk.png", tmp_path / "out.png")
    assert result.error is None
    rgba = np.asarray(Image.open(tmp_path / "out.png")).astype(np.float32)
    soft = (rgba[..., 3] > 25) & (rgba[..., 3] < 250)
    on_white = rgba[..., :3] * rgba[..., 3:] / 255 + 255 - rgba[..., 3:]
    assert soft.sum() > 5000 and on_white[soft].min() > 190
    before = picture * alpha[..., None] + 255 * (1 - alpha[..., None])
    assert before[soft].min() < 180
