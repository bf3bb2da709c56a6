"""What the canvas works out: views, layouts, copies, frames, searches, pictures."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from qr_nodes.errors import GraphError, SocketError
from qr_nodes.graph import Graph
from qr_nodes.nodes import all_specs, find
from qr_nodes.types import Cutout, Mask
from qr_nodes.ui import canvas_edits as edits
from qr_nodes.ui.canvas_node import THUMB, duration, thumbnail
from qr_nodes.ui.canvas_search import found
from qr_nodes.ui.canvas_view import STEPS, View, around, crosses, fitted

# ---- views ---------------------------------------------------------------------------------


@pytest.mark.parametrize("zoom", STEPS)
def test_a_place_is_found_again_at_every_zoom(zoom):
    view = View(zoom, (-37.0, 53.0))
    point = (123.0, -45.0)
    assert view.model(view.place(point)) == pytest.approx(point, abs=0.5 / zoom + 0.05)


def test_zooming_leaves_what_is_under_the_mouse_where_it_is():
    view, at = View(1.0, (10.0, 20.0)), (200.0, 100.0)
    point = view.model(at)
    for steps in (2, -5, 1):
        view = view.stepped(steps, at)
        assert view.place(point) == at


def test_zoom_ends_at_its_limits():
    assert View().stepped(99, (0, 0)).zoom == STEPS[-1]
    assert View().stepped(-99, (0, 0)).zoom == STEPS[0]


@pytest.mark.parametrize("size", [(1400, 800), (500, 900), (60, 40)])
def test_fit_shows_everything_as_large_as_it_goes(size):
    boxes = [(-100, 30, 128, 150), (900, 400, 128, 150)]
    view = fitted(boxes, (-7, 11, *size))
    left, top = view.place((-100, 30))
    right, bottom = view.place((1028, 550))
    assert (left + right) / 2 == pytest.approx(-7 + size[0] / 2, abs=1)
    assert (top + bottom) / 2 == pytest.approx(11 + size[1] / 2, abs=1)
    if view.zoom > STEPS[0]:
        assert left >= -7 and top >= 11
        assert right <= size[0] - 7 and bottom <= size[1] + 11


def test_the_mission_chain_fits_1400_px_at_full_size():
    edge = ("transparency_fix", "feather", "smooth", "decontaminate")
    chain = Graph.chain("load", "segment", *edge, "brush_edit", "export")
    boxes = [edits.box(node) for node in chain.nodes.values()]
    assert around(boxes)[2] <= 1400
    assert fitted(boxes, (0, 0, 1440, 900)).zoom == 1.0


def test_fitting_nothing_shows_full_size():
    assert fitted([], (0, 0, 500, 500)).zoom == 1.0


def test_a_link_crosses_what_lies_on_it_only():
    assert crosses((0, 0), (100, 60), (45, 25, 10, 10))
    assert not crosses((0, 0), (100, 60), (0, 50, 20, 20))


# ---- graphs --------------------------------------------------------------------------------


@pytest.fixture
def branched() -> Graph:
    graph = Graph.chain("load", "segment", "feather", "smooth", "export")
    graph = graph.add("extract_alpha").connect("segment", "extract_alpha")
    graph = graph.add("combine_masks").connect("extract_alpha", "combine_masks", input="a")
    graph = graph.connect("load", "combine_masks", input="b")
    return graph.connect("combine_masks", "smooth", input="where").add("background")


def test_a_layout_has_no_overlaps_and_runs_left_to_right(branched):
    graph = edits.move(branched, edits.laid_out(branched, list(branched.nodes)))
    boxes = [edits.box(node) for node in graph.nodes.values()]
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
    for (target, _), (source, _) in graph.links.items():
        assert graph.nodes[source].pos[0] < graph.nodes[target].pos[0]


def test_a_layout_keeps_its_corner_and_what_it_was_not_asked_for(branched):
    graph = edits.move(branched, {"smooth": (777.0, 555.0), "feather": (90.0, 60.0)})
    places = edits.laid_out(graph, ["feather", "smooth"])
    assert places == {"feather": (90.0, 60.0), "smooth": (90.0 + edits.COLUMN, 60.0)}
    assert edits.laid_out(graph, []) == {}


def test_aligning_changes_one_coordinate(branched):
    graph = edits.move(branched, {"smooth": (7.0, 5.0), "feather": (9.0, 6.0)})
    assert edits.aligned(graph, ["smooth", "feather"], "x") == {
        "smooth": (7.0, 5.0),
        "feather": (7.0, 6.0),
    }
    assert edits.aligned(graph, ["smooth", "feather"], "y")["feather"] == (9.0, 5.0)


def test_a_copy_round_trip_keeps_values_titles_and_inner_links(branched):
    graph = branched.set_param("feather", "sigma", 7.5).change("smooth", title="Mild", bypass=True)
    graph = graph.set_param("load", "path", "/pictures/cat.jpg")
    ids = ["load", "feather", "smooth"]
    graph, new = edits.pasted(graph, edits.copied(graph, ids), (10, 20))
    assert new == ["load2", "feather2", "smooth2"]
    for old, copy in zip(ids, new, strict=True):
        before, after = graph.nodes[old], graph.nodes[copy]
        assert (after.params, after.title, after.bypass) == (
            before.params,
            before.title,
            before.bypass,
        )
        assert after.pos == (before.pos[0] + 10, before.pos[1] + 20)
    inner = {key: source for key, source in graph.links.items() if key[0] in new}
    assert inner == {("smooth2", "cutout"): ("feather2", "cutout")}


def test_pasting_into_another_graph_keeps_the_names():
    text = edits.copied(Graph.chain("feather", "smooth"), ["feather", "smooth"])
    graph, new = edits.pasted(Graph(), text, (0, 0))
    assert new == ["feather", "smooth"]
    assert graph.links == {("smooth", "cutout"): ("feather", "cutout")}


def test_pasting_a_wrong_value_says_where():
    text = edits.copied(Graph.chain("feather"), ["feather"]).replace("2.0", "-5.0")
    with pytest.raises(Exception, match=r"feather\.sigma"):
        edits.pasted(Graph(), text, (0, 0))


def test_pasting_other_text_says_so():
    with pytest.raises(GraphError, match="holds no nodes"):
        edits.pasted(Graph(), "[1, 2]", (0, 0))


def test_a_node_goes_into_a_link_only_if_it_is_free_and_fits(branched):
    key = ("smooth", "cutout")
    graph = edits.inserted(branched, "background", key)
    assert graph.links[key] == ("background", "cutout")
    assert edits.inserted(branched, "combine_masks", key) is None
    masks = branched.add("extract_alpha", "free")
    assert edits.inserted(masks, "free", key) is None


def test_refine_edges_after_the_brush_takes_what_the_brush_marks():
    graph = edits.continued(
        Graph.chain("load", "brush_edit", "export").add("refine_edges"),
        "brush_edit",
        "refine_edges",
    )
    assert graph.links["refine_edges", "cutout"] == ("brush_edit", "cutout")
    assert graph.links["refine_edges", "unsure"] == ("brush_edit", "unsure")
    assert graph.links["export", "cutout"] == ("refine_edges", "cutout")
    graph = edits.continued(graph.add("feather"), "brush_edit", "feather")
    assert graph.links["refine_edges", "cutout"] == ("feather", "cutout")
    assert graph.links["refine_edges", "unsure"] == ("brush_edit", "unsure")


def test_marks_of_the_brush_go_to_a_refine_edges_that_follows_or_to_a_new_one():
    before = Graph.chain("load", "refine_edges", "brush_edit", "export")
    graph, id = edits.refined(before, "brush_edit")
    assert graph.links["export", "cutout"] == (id, "cutout")
    assert {graph.links[id, input] for input in ("where", "unsure")} == {("brush_edit", "unsure")}
    again, other = edits.refined(graph.change(id, bypass=True), "brush_edit")
    assert other not in graph.nodes and again.leading("brush_edit") == {"cutout", "unsure"}
    after = Graph.chain("load", "brush_edit", "feather", "refine_edges", "export")
    graph, id = edits.refined(after, "brush_edit")
    assert id == "refine_edges" and set(graph.nodes) == set(after.nodes)
    assert dict(graph.links) == {**after.links, (id, "unsure"): ("brush_edit", "unsure")}


def test_a_chain_is_continued_with_room_for_the_new_node():
    graph = edits.continued(
        Graph.chain("load", "feather", "export").add("smooth"), "load", "smooth"
    )
    assert graph.links == {
        ("smooth", "cutout"): ("load", "cutout"),
        ("feather", "cutout"): ("smooth", "cutout"),
        ("export", "cutout"): ("feather", "cutout"),
    }
    assert [graph.nodes[id].pos[0] for id in graph.order] == [0.0, 180.0, 360.0, 540.0]
    # What the new node cannot feed stays as it was.
    graph = edits.continued(graph.add("extract_alpha"), "load", "extract_alpha")
    assert graph.links["smooth", "cutout"] == ("load", "cutout")
    with pytest.raises(SocketError):
        edits.continued(graph.add("segment"), "extract_alpha", "segment")


def test_a_new_node_covers_no_other():
    graph = Graph()
    for _ in range(4):
        pos = edits.free_place(graph, find("feather"), (10.0, 20.0))
        graph = graph.add("feather", pos=pos)
    tops = [node.pos[1] for node in graph.nodes.values()]
    assert tops[0] == 20.0
    height = edits.box(graph.nodes["feather"])[3]
    assert all(after - before >= height for before, after in pairwise(tops))
    assert edits.free_place(graph, find("feather"), (500.0, 20.0)) == (500.0, 20.0)


def test_what_fits_a_link_is_offered():
    specs = all_specs()
    onward = {spec.id for spec in edits.fitting(specs, Mask, forward=True)}
    assert "combine_masks" in onward and "feather" in onward  # by its mask input
    assert "load" not in onward and "export" not in onward
    back = {spec.id for spec in edits.fitting(specs, Cutout, forward=False)}
    assert "load" in back and "extract_alpha" not in back


def test_a_frame_holds_its_nodes_and_goes_with_them(branched):
    frame = edits.frame_around(branched, ["feather", "smooth"], "Edge")
    graph = edits.with_frames(branched, [frame])
    inside = edits.contents(graph, frame)
    assert {"feather", "smooth"} <= set(inside) and "export" not in inside
    places = {id: (graph.nodes[id].pos[0] + 30, graph.nodes[id].pos[1] - 9) for id in inside}
    (moved,) = edits.framed(edits.move(graph, places))
    assert (moved["x"], moved["y"]) == (frame["x"] + 30, frame["y"] - 9)
    one = {"feather": places["feather"]}
    assert edits.framed(edits.move(graph, one)) == [frame]


@pytest.mark.parametrize("entry", [None, 5, "text", [1], [{"x": 1}], [{"x": "a"}]])
def test_frames_that_are_none_are_left_out(entry):
    assert edits.framed(Graph(extra={"frames": entry})) == []


# ---- search, pictures ----------------------------------------------------------------------


def test_search_finds_by_title_category_and_description_best_first():
    specs = all_specs()
    assert found(specs, "fea")[0].id == "feather"
    assert found(specs, "SHRINK")[0].id == "grow_shrink"
    edge = {spec.id for spec in specs if spec.category == "Edge"}
    assert edge <= {spec.id for spec in found(specs, "edge")}
    assert found(specs, "qqq") == []
    assert [spec.id for spec in found(specs, "model")] == ["segment"]
    assert "extract_alpha" in {spec.id for spec in found(specs, "invert")}
    titles = [spec.title for spec in found(specs, "")]
    assert titles == sorted(spec.title for spec in specs)


def test_every_word_must_occur():
    specs = all_specs()
    both = {spec.id for spec in found(specs, "mask comb")}
    assert "combine_masks" in both
    assert both < {spec.id for spec in found(specs, "mask")}


def pixels(value) -> np.ndarray:
    return np.reshape(thumbnail(value), (THUMB[1], THUMB[0], 4))


@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (600, 900), (900, 31)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_is_its_colour_where_opaque_and_checkerboard_where_not(shape, dtype):
    top = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    color = np.zeros((*shape, 3), dtype)
    color[..., 1] = top
    solid = pixels(Cutout(color, np.ones(shape, np.float32)))
    inside = solid[..., 3] == 1
    assert inside.any()
    np.testing.assert_allclose(solid[inside][:, :3], [[0, 1, 0]] * inside.sum(), atol=1e-5)
    clear = pixels(Cutout(color, np.zeros(shape, np.float32)))[inside][:, :3]
    assert np.ptp(clear, axis=1).max() == 0  # grey
    assert clear.min() > 0.2 and clear.max() < 0.4


def test_a_mask_is_shown_in_grey():
    mask = np.full((72, 96), 0.25, np.float32)
    np.testing.assert_allclose(pixels(mask)[..., :3], 0.25, atol=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00004, "0.0 ms"),
        (0.0023, "2.3 ms"),
        (0.042, "42 ms"),
        (0.9997, "1.0 s"),
        (12.34, "12.3 s"),
    ],
)
def test_times_are_short(seconds, text):
    assert duration(seconds) == text


def test_a_node_is_as_wide_as_the_columns_allow():
    assert edits.box(Graph().add(find("load")).nodes["load"])[2] < edits.COLUMN
