"""What is different for one picture: read, checked, applied, written."""

from __future__ import annotations

import json
import os

import pytest

from qr_nodes import qredit
from qr_nodes.errors import GraphError, ParamError, QrNodesError, ReadError, UnreadWarning
from qr_nodes.graph import Graph
from qr_nodes.qredit import (
    apply_edit,
    differences,
    edited,
    find_edit,
    place_for_edit,
    save_edit,
)
from qr_nodes.types import Stroke


@pytest.fixture
def graph() -> Graph:
    return Graph.chain("load", "feather", "brush_edit", "export")


def test_what_is_saved_is_what_is_loaded(graph, tmp_path):
    strokes = (Stroke(points=((0.1, 0.2), (0.3, 0.4)), size=0.05),)
    changed = graph.set_param("feather", "sigma", 7.5).set_param("brush_edit", "strokes", strokes)
    nodes = differences(graph, changed)
    assert nodes == {"feather": {"sigma": 7.5}, "brush_edit": {"strokes": strokes}}
    path = save_edit(nodes, tmp_path / "cat.jpg")
    assert path == tmp_path / "cat.qredit"
    loaded = edited(graph, tmp_path / "cat.jpg")
    assert differences(changed, loaded) == {} and differences(graph, loaded) == nodes
    assert [loaded.nodes[id].digest for id in graph.nodes] == [
        changed.nodes[id].digest for id in graph.nodes
    ]
    raw = json.loads(path.read_text())
    assert raw["format"] == "qredit" and raw["version"] == 1 and raw["picture"] == "cat.jpg"


def test_a_picture_without_edits_leaves_the_graph_as_it_is(graph, tmp_path):
    assert edited(graph, tmp_path / "cat.jpg") is graph


def test_two_pictures_of_one_stem_have_their_own_edits(graph, tmp_path):
    save_edit({"feather": {"sigma": 1.0}}, tmp_path / "cat.jpg")
    save_edit({"feather": {"sigma": 2.0}}, tmp_path / "cat.png")
    save_edit({"feather": {"sigma": 3.0}}, tmp_path / "cat.jpg")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cat.png.qredit", "cat.qredit"]
    sigma = [
        edited(graph, tmp_path / n).nodes["feather"].params["sigma"] for n in ("cat.jpg", "cat.png")
    ]
    assert sigma == [3.0, 2.0]
    assert find_edit(tmp_path / "cat.webp") is None
    assert place_for_edit(tmp_path / "cat.webp").name == "cat.webp.qredit"


def test_a_field_that_is_not_known_is_said(graph, tmp_path):
    file = save_edit({"feather": {"sigma": 3.0}}, tmp_path / "cat.jpg")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"pictur": "", "_why": "soft"}))
    with pytest.warns(UnreadWarning) as warned:
        assert edited(graph, tmp_path / "cat.jpg").nodes["feather"].params["sigma"] == 3.0
    (said,) = {str(warning.message) for warning in warned}
    assert said.startswith("cat.qredit: pictur: this field") and "mean 'picture'." in said


def test_a_file_is_read_once(graph, tmp_path, monkeypatch):
    save_edit({"feather": {"sigma": 3.0}}, tmp_path / "cat.jpg")
    read, of = [], qredit._read
    monkeypatch.setattr(qredit, "_read", lambda file: read.append(file.name) or of(file))
    assert edited(graph, tmp_path / "cat.jpg").nodes["feather"].params["sigma"] == 3.0
    assert read == ["cat.qredit"]


def test_paths_lie_relative_to_the_file(tmp_path):
    graph = Graph.chain("load", "background", "export").add("load", "backdrop")
    sky = tmp_path / "skies" / "sky.jpg"
    path = save_edit({"backdrop": {"path": str(sky)}}, tmp_path / "cat.jpg")
    assert json.loads(path.read_text())["nodes"]["backdrop"]["path"] == "skies/sky.jpg"
    assert edited(graph, tmp_path / "cat.jpg").nodes["backdrop"].params["path"] == str(sky)


@pytest.mark.parametrize(
    ("nodes", "error", "said"),
    [
        (
            {"fether": {}},
            GraphError,
            "fether: the graph has no such node. Perhaps you mean 'feather'. Take it out",
        ),
        ({"feather": {"size": 1}}, ParamError, "feather.size: there is no such parameter. Use"),
        ({"feather": {"sigma": 900}}, ParamError, "feather.sigma: 900 px is out of range. Use"),
        ({"feather": {"sigma": "x"}}, ParamError, "feather.sigma: 'x' cannot be used. Use a num"),
        ({"export": {"path": "x.png"}}, ParamError, "export.path: it cannot differ between"),
        (
            {"brush_edit": {"strokes": [{"points": 3}]}},
            ParamError,
            r"strokes[0].points: expected a list, got a whole number.",
        ),
        ({"feather": 3}, GraphError, "it is damaged: nodes"),
    ],
)
def test_what_does_not_fit_is_named(nodes, error, said, graph, tmp_path):
    file = tmp_path / "cat.qredit"
    file.write_text(json.dumps({"format": "qredit", "version": 1, "nodes": nodes}))
    with pytest.raises(error) as raised:
        edited(graph, tmp_path / "cat.jpg")
    text = str(raised.value)
    assert text.startswith("cat.qredit: ") and said in text and "\n" not in text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[]", "it is no .qredit file"),
        (b'{"format": "qrgraph", "version": 1}', "it is no .qredit file"),
        (b'{"format": "qredit"}', "it is damaged: version: it is missing."),
        (
            b'{"format": "qredit", "version": 2, "nodes": {}}',
            "a newer version (format 2, here is 1)",
        ),
        (b'{"format": "qredit", "version": 1, "nodes": {}, "nodes": {}}', "stands there twice"),
    ],
)
def test_a_file_that_is_none_says_so(data, said, graph, tmp_path):
    (tmp_path / "cat.qredit").write_bytes(data)
    with pytest.raises(QrNodesError) as raised:
        edited(graph, tmp_path / "cat.jpg")
    assert said in str(raised.value)


def test_a_folder_in_its_place_cannot_be_read(graph, tmp_path):
    (tmp_path / "cat.qredit").mkdir()
    with pytest.raises(ReadError, match="the edits cannot be read"):
        edited(graph, tmp_path / "cat.jpg")


def test_nothing_of_the_graph_changes_but_what_is_named(graph):
    changed = apply_edit(graph, {"feather": {"sigma": 3.0}})
    assert all(changed.nodes[id] is graph.nodes[id] for id in graph.nodes if id != "feather")
    assert changed.links is graph.links


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_edits_that_never_end_are_refused(kind, graph, tmp_path):
    path = tmp_path / "cat.qredit"
    os.mkfifo(path) if kind == "fifo" else path.symlink_to("/dev/zero")
    with pytest.raises(ReadError, match="the edits are no file"):
        edited(graph, tmp_path / "cat.jpg")
