"""What was corrected on one picture: it stays with it, and is there when it is opened again."""

from __future__ import annotations

import pytest

from qr_nodes.graph import Graph
from qr_nodes.types import Stroke

STROKES = (Stroke(((0.5, 0.5),)), Stroke(((0.1, 0.2),), mode="erase"))


@pytest.fixture
def dog(files, tmp_path):
    """The window with strokes painted on dog.jpg."""
    graph = Graph.chain("load", "feather", "brush_edit", "export")
    files.app.document.open(graph)
    files.dropped([str(tmp_path / "dog.jpg")])
    paint(files)
    return str(tmp_path / "dog.jpg")


def paint(files, strokes=STROKES) -> None:
    graph = files.app.document.graph.set_param("brush_edit", "strokes", strokes)
    files.app.edit(graph, "Paint")


def strokes(files) -> tuple:
    return files.app.document.graph.nodes["brush_edit"].params["strokes"]


def kept(home) -> list:
    return list((home / "corrections").glob("*"))


def test_strokes_stay_with_their_picture_and_come_back_with_it(files, dog, tmp_path):
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert strokes(files) == () and files.app.said[-1] == "Left with dog.jpg: 2 strokes."
    paint(files, STROKES[:1])
    files.dropped([dog])
    assert strokes(files) == STROKES
    assert files.app.said[-1] == (
        "Left with bulb.jpg: 1 stroke. Back for dog.jpg: 2 strokes in Brush Edit."
    )
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert strokes(files) == STROKES[:1]


def test_opening_another_picture_is_one_step_of_undo(files, dog, tmp_path):
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert files.app.document.undo() == "open bulb.jpg"
    graph = files.app.document.graph
    assert strokes(files) == STROKES and graph.nodes["load"].params["path"] == dog


def test_strokes_come_back_after_a_restart(files, dog, tmp_path):
    files.dropped([str(tmp_path / "bulb.jpg")])
    files.app.document.open(Graph.chain("load", "brush_edit"))
    files.dropped([dog])
    assert strokes(files) == STROKES and not files.app.document.graph.foreign("brush_edit")


def test_nothing_is_written_beside_the_pictures(files, dog, home, tmp_path):
    before = sorted(tmp_path.iterdir())
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert sorted(tmp_path.iterdir()) == before and len(kept(home)) == 1


def test_strokes_that_were_taken_away_do_not_come_back(files, dog, home, tmp_path):
    files.dropped([str(tmp_path / "bulb.jpg")])
    files.dropped([dog])
    paint(files, ())
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert kept(home) == []
    files.dropped([dog])
    assert strokes(files) == ()


def test_a_graph_without_their_node_keeps_the_strokes_and_names_it(files, dog, home, tmp_path):
    files.dropped([str(tmp_path / "bulb.jpg")])
    files.app.document.open(Graph.chain("load", "feather"))
    files.dropped([dog])
    assert files.app.said[-1] == "Corrections of dog.jpg wait for a node called brush_edit."
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert len(kept(home)) == 1


def test_a_preset_takes_the_strokes_of_the_picture_over(files, dog):
    files.saved = files.app.document.graph
    files.use_preset("portrait")
    assert strokes(files) == STROKES
    files.use_preset("quick")
    assert "brush_edit" not in files.app.document.graph.nodes
    files.saved = files.app.document.graph
    files.use_preset("portrait")
    assert strokes(files) == STROKES


def test_the_page_of_one_file_is_not_the_next_ones(files, dog, tmp_path):
    files.app.edit(files.app.document.graph.set_param("load", "page", 3), "page")
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert files.app.document.graph.nodes["load"].params["page"] == 1
    files.dropped([dog])
    assert files.app.document.graph.nodes["load"].params["page"] == 3


def test_reloading_a_graph_leaves_what_its_file_says(files, dog, tmp_path):
    graph = files.app.document.graph.set_param("load", "path", str(tmp_path / "bulb.jpg"))
    graph = graph.set_param("brush_edit", "strokes", STROKES[:1])
    files.app.edit(graph, "reload")
    assert strokes(files) == STROKES[:1]


def test_what_cannot_be_kept_is_said_and_can_be_undone(files, dog, home, tmp_path):
    (home / "corrections").write_text("in the way")
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert "corrections cannot be kept (" in files.app.said[-1]
    files.app.document.undo()
    assert strokes(files) == STROKES


def test_what_was_kept_and_is_damaged_is_said(files, dog, home, tmp_path):
    files.dropped([str(tmp_path / "bulb.jpg")])
    (file,) = kept(home)
    file.write_text("{")
    files.dropped([dog])
    assert f"{file.name}: it is no JSON" in files.app.said[-1] and strokes(files) == ()
    paint(files)
    files.dropped([str(tmp_path / "bulb.jpg")])
    assert file.read_text() == "{"  # whoever can mend it has not lost it


def test_strokes_that_came_with_a_node_from_elsewhere_are_told(files, dog, tmp_path):
    """As when a node is copied: the engine notes at every run what `foreign` says."""
    text = files.app.document.graph.disconnect("brush_edit", "cutout")
    files.app.edit(text, "Unlink")
    files.dropped([str(tmp_path / "bulb.jpg")])
    graph = files.app.document.graph
    assert strokes(files) == STROKES and graph.foreign("brush_edit") == ""
    graph = graph.connect("feather", "brush_edit")
    assert graph.foreign("brush_edit") == "2 strokes of another picture, dog.jpg."
    painted = graph.set_param("brush_edit", "strokes", STROKES[:1])
    assert painted.foreign("brush_edit") == ""
