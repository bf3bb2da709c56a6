"""The .qrgraph file: round trips, survives strangers, and refuses with a sentence."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from qr_nodes.errors import (
    GraphError,
    ParamError,
    QrNodesError,
    ReadError,
    UnreadWarning,
    WriteError,
)
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import dump, inspect, load_graph, parse, presets, save_graph
from qr_nodes.types import Stroke


@pytest.fixture
def graph() -> Graph:
    graph = Graph.chain("load", "feather", "levels", "export")
    return graph.set_param("feather", "sigma", 4.5).change("levels", bypass=True, title="Harder")


def same(a: Graph, b: Graph) -> bool:
    keep = ("params", "pos", "title", "bypass", "picture", "extra")
    return (
        list(a.nodes) == list(b.nodes)
        and a.links == b.links
        and all(
            getattr(a.nodes[id], name) == getattr(b.nodes[id], name)
            for id in a.nodes
            for name in keep
        )
    )


def test_a_saved_graph_loads_the_same_and_saves_the_same(graph, tmp_path):
    file = tmp_path / "a.qrgraph"
    save_graph(graph, file)
    loaded = load_graph(file)
    assert same(graph, loaded)
    assert dump(loaded, tmp_path) == file.read_bytes()


def test_paths_lie_relative_to_the_file(graph, tmp_path):
    inside, outside = tmp_path / "pictures" / "cat.jpg", tmp_path.parent / "dog.jpg"
    graph = graph.set_param("load", "path", str(inside)).set_param("export", "path", str(outside))
    save_graph(graph, tmp_path / "a.qrgraph")
    raw = json.loads((tmp_path / "a.qrgraph").read_text())
    assert raw["nodes"]["load"]["params"]["path"] == "pictures/cat.jpg"
    assert raw["nodes"]["export"]["params"]["path"] == str(outside)
    moved = tmp_path / "moved"
    moved.mkdir()
    os.rename(tmp_path / "a.qrgraph", moved / "a.qrgraph")
    loaded = load_graph(moved / "a.qrgraph")
    assert loaded.nodes["load"].params["path"] == str(moved / "pictures" / "cat.jpg")


def test_unknown_nodes_fields_and_parameters_survive(graph, tmp_path):
    raw = json.loads(dump(graph))
    raw["author"] = {"name": "someone"}
    raw["nodes"]["feather"]["colour_of_frame"] = "red"
    raw["nodes"]["feather"] |= {"version": 0}  # of before, when it had another parameter
    raw["nodes"]["feather"]["params"]["earlier"] = [1, 2]
    raw["nodes"]["feather"]["inputs"] = {"cutout": "glow.halo"}
    raw["nodes"]["glow"] = {
        "type": "glow", "version": 9, "pos": [1.0, 2.0], "params": {"a": {"b": None}},
        "inputs": {"x": "load.cutout"},
    }  # fmt: skip
    loaded, faults = parse(json.dumps(raw).encode())
    assert faults == []
    assert json.loads(dump(loaded)) == raw
    problems = [str(problem) for problem in loaded.problems()]
    assert problems == [
        "glow: the node type 'glow' is not known here. "
        "Install the program that has it, or bypass or delete the node."
    ]


def test_names_that_are_not_known_are_said_with_those_that_were_meant(graph, tmp_path):
    raw = json.loads(dump(graph))
    feather, levels = raw["nodes"]["feather"], raw["nodes"]["levels"]
    raw |= {"links": [], "frames": [], "_remark": "mine"}
    feather |= {"param": feather.pop("params"), "_why": "soft"}
    levels |= {"version": 0, "params": {"earlier": 1}}
    file = tmp_path / "a.qrgraph"
    file.write_text(json.dumps(raw))
    said = [
        "a.qrgraph: links: this field is not known, and does nothing. Fields: format, version, "
        "nodes, frames; links stand in the inputs of each node.",
        "a.qrgraph: feather.param: this field is not known, and does nothing. "
        "Perhaps you mean 'params'.",
        "a.qrgraph: levels.earlier: this version of the node has no such parameter.",
    ]
    loaded, faults = inspect(file)
    assert [str(fault) for fault in faults] == said
    with pytest.warns(UnreadWarning) as warned:
        again = load_graph(file)  # opens as before, and says what does nothing
    assert [str(warning.message) for warning in warned] == said
    assert (
        dump(loaded) == dump(again) and json.loads(dump(again))["nodes"]["levels"]["version"] == 0
    )
    save_graph(again, tmp_path / "b.qrgraph")
    assert len(inspect(tmp_path / "b.qrgraph")[1]) == 3


def test_a_parameter_that_the_node_has_not_is_refused(graph, tmp_path):
    file = tmp_path / "a.qrgraph"
    file.write_bytes(faulty(graph, nodes__feather__params__sgima=3.0))
    with pytest.raises(
        ParamError, match=r"feather\.sgima: there is no such parameter\. Perhaps you"
    ):
        load_graph(file)
    kept, _ = inspect(file)
    assert json.loads(dump(kept))["nodes"]["feather"]["params"]["sgima"] == 3.0


def test_a_node_of_a_newer_version_stays_one(graph):
    data = faulty(graph, nodes__feather__version=99, nodes__feather__params__soft=3.0)
    kept, faults = parse(data)
    assert len(faults) == 1 and "newer version (feather 99" in str(faults[0])
    assert dump(kept) == dump(parse(dump(kept))[0])
    entry = json.loads(dump(kept))["nodes"]["feather"]
    assert entry["version"] == 99 and entry["params"]["soft"] == 3.0


def test_values_are_stored_by_name_in_a_stable_order(graph):
    text = dump(graph).decode()
    assert '"sigma": 4.5' in text and text == dump(parse(text.encode())[0]).decode()


def faulty(graph, **edits):
    raw = json.loads(dump(graph))
    for path, value in edits.items():
        place = raw
        *parents, last = path.split("__")
        for name in parents:
            place = place[name]
        place[last] = value
    return json.dumps(raw).encode()


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"version": 2}, r"saved by a newer version \(format 2, this one reads 1\)\. Update"),
        ({"version": "1"}, r"damaged: version: expected a whole number, got a text"),
        ({"format": "png"}, "no .qrgraph file"),
        ({"nodes": []}, "damaged: nodes: expected an object, got a list"),
        ({"nodes__feather__version": 99}, r"feather: the node was saved by a newer version"),
        ({"nodes__feather__pos": [1]}, r"feather: it is damaged: pos: "),
        ({"nodes__feather__params__sigma": 900}, r"feather\.sigma: 900 px is out of range\. Use a"),
        ({"nodes__feather__params__sigma": "2"}, r"feather\.sigma: '2' cannot be used"),
        ({"nodes__feather__params__sigma": 10**400}, r"feather\.sigma: "),
        ({"nodes__feather__inputs": {"cutout": "moon.cutout"}}, "linked to 'moon', which is not"),
        ({"nodes__feather__inputs": {"cutout": "load.mask"}}, "'load' has no output 'mask'"),
        ({"nodes__feather__inputs": {"moon": "load.cutout"}}, r"feather\.moon: there is no such"),
        ({"nodes__feather__inputs": {"cutout": "levels.cutout"}}, "→ .* form a circle"),
        ({"nodes__a.b": {"type": "load"}}, r"'a\.b' cannot name a node"),
    ],
)  # fmt: skip
def test_an_unsound_file_says_where_and_what(graph, tmp_path, edits, message):
    file = tmp_path / "bad.qrgraph"
    file.write_bytes(faulty(graph, **edits))
    with pytest.raises(QrNodesError, match=message) as caught:
        load_graph(file)
    assert str(caught.value).startswith("bad.qrgraph: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no JSON"),
        (b"[]", "no .qrgraph file"),
        (b"\xff\xd8\xff", "no JSON"),
        (b'{"format": "qrgraph", "format": "qrgraph"}', "'format' stands there twice"),
        (b'{"format": NaN}', "NaN is no number"),
        (b'{"format": 1e999}', "1e999 is no number"),
        (b"[" * 200_000, "no JSON"),
    ],
)
def test_bytes_that_are_no_graph_are_refused(data, message):
    with pytest.raises(GraphError, match=message):
        parse(data)


def test_every_fault_is_listed_and_the_rest_is_read(graph, tmp_path):
    file = tmp_path / "bad.qrgraph"
    file.write_bytes(
        faulty(graph, nodes__feather__params__sigma=-1, nodes__levels__inputs={"cutout": "x.y"})
    )
    found, faults = inspect(file)
    assert [str(fault).split(": ")[1] for fault in faults] == ["feather.sigma", "levels.cutout"]
    assert list(found.nodes) == ["load", "feather", "levels", "export"]


def test_a_missing_file_names_the_presets():
    with pytest.raises(ReadError, match=r"nowhere\.qrgraph: .*Presets: .*standard"):
        load_graph("nowhere.qrgraph")


def test_a_file_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("qr_nodes.qrgraph.MAX_BYTES", 1 << 20)
    (tmp_path / "big.qrgraph").write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(ReadError, match="larger than 1 MB"):
        load_graph(tmp_path / "big.qrgraph")


def test_a_save_that_fails_leaves_the_old_file_whole(graph, tmp_path, monkeypatch):
    file = tmp_path / "a.qrgraph"
    save_graph(Graph.chain("load"), file)
    before = file.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"a\.qrgraph: .*No space left on device"):
        save_graph(graph, file)
    assert file.read_bytes() == before and os.listdir(tmp_path) == ["a.qrgraph"]


def test_presets_load_by_name_and_have_no_fault():
    assert set(presets()) >= {"standard", "portrait", "hair", "product", "glass", "quick"}
    for name in presets():
        graph = load_graph(name)
        assert graph.problems() == [] and len(graph.of_type("load", "export")) == 2
        folder = Path(__file__).parent.parent / "graphs"
        assert dump(graph, folder) == (folder / f"{name}.qrgraph").read_bytes()


@pytest.fixture
def painted(tmp_path) -> Graph:
    graph = Graph.chain("load", "brush_edit", "export")
    graph = graph.set_param("load", "path", str(tmp_path / "dog.jpg"))
    return graph.set_param("brush_edit", "strokes", (Stroke(((0.5, 0.5),)),))


def test_a_file_says_which_picture_was_corrected_relative_to_itself(painted, tmp_path):
    file = tmp_path / "a.qrgraph"
    save_graph(painted, file)
    entries = json.loads(file.read_bytes())["nodes"]
    assert entries["brush_edit"]["picture"] == "dog.jpg"
    assert "picture" not in entries["load"] and "picture" not in entries["export"]
    moved = tmp_path / "elsewhere" / "a.qrgraph"
    moved.parent.mkdir()
    file.rename(moved)
    assert load_graph(moved).nodes["brush_edit"].picture == str(moved.parent / "dog.jpg")


def test_corrections_in_an_older_file_are_of_the_picture_that_it_names(painted, tmp_path):
    raw = json.loads(dump(painted, tmp_path))
    del raw["nodes"]["brush_edit"]["picture"]
    graph, faults = parse(json.dumps(raw).encode(), tmp_path)
    assert not faults and graph.nodes["brush_edit"].picture == str(tmp_path / "dog.jpg")


def test_an_unknown_node_keeps_what_it_says_of_a_picture():
    raw = {"nodes": {"a": {"type": "ours", "version": 1, "picture": "/a/dog.jpg"}}}
    graph, _ = parse(json.dumps({"format": "qrgraph", "version": 1} | raw).encode())
    assert json.loads(dump(graph))["nodes"]["a"]["picture"] == "/a/dog.jpg"
