"""Graphs from strangers: each hostile file gets a sentence, soon, and harms nothing."""

from __future__ import annotations

import json
import os
import time

import pytest
from strangers import stranger

from qr_nodes import trust
from qr_nodes.cli import main
from qr_nodes.document import Document
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.inference import store
from qr_nodes.plan import Files, RunRequest, steps
from qr_nodes.qrgraph import inspect, load_graph, parse, save_graph
from qr_nodes.ui.files import picture_pixels

SECONDS = 5.0
"""CPU seconds that looking at a graph may take; most take a hundredth."""


def file_of(nodes, **more) -> bytes:
    return json.dumps({"format": "qrgraph", "version": 1, "nodes": nodes, **more}).encode()


def feathered(path: str) -> dict:
    """Give the nodes of a graph that loads `path`."""
    return {"load": {"type": "load", "params": {"path": path}}, "feather": after("load")}


def after(source: str, **more) -> dict:
    return {"type": "feather", "inputs": {"cutout": f"{source}.cutout"}, **more}


def raw(text: str) -> bytes:
    return f'{{"format": "qrgraph", "version": 1, "nodes": {text}}}'.encode()


TEN = range(10_000)

HOSTILE = {
    "nothing": lambda: b"",
    "100,000 nodes": lambda: file_of({f"n{i}": {"type": "feather"} for i in range(100_000)}),
    "10,000 pairs in circles": lambda: file_of({f"n{i}": after(f"n{i ^ 1}") for i in TEN}),
    "a ring of 10,000": lambda: file_of({f"n{i}": after(f"n{(i + 1) % 10_000}") for i in TEN}),
    "all linked to all": lambda: file_of(
        {
            f"n{i}": {"type": "x", "inputs": {f"i{j}": f"n{j}.o" for j in range(300)}}
            for i in range(300)
        }
    ),
    "200,000 inputs": lambda: file_of(
        {"a": {"type": "x", "inputs": {f"i{i}": "b.o" for i in range(200_000)}}}
    ),
    "100,000 names and one twice": lambda: raw(
        "{" + ", ".join(f'"k{i}": {{}}' for i in range(100_000)) + ', "k99999": {}}'
    ),
    "a name twice in a node": lambda: raw('{"a": {"type": "load", "type": "export"}}'),
    "lists a thousand deep": lambda: raw("{}, " + '"x": ' + "[" * 900 + "]" * 900),
    "objects a thousand deep": lambda: raw("{}, " + '"x": ' + '{"a":' * 900 + "1" + "}" * 900),
    "lists a million deep": lambda: raw("{}, " + '"x": ' + "[" * 1_000_000),
    "strokes a thousand deep": lambda: raw(
        '{"b": {"type": "brush_edit", "params": {"strokes": ' + "[" * 900 + "]" * 900 + "}}}"
    ),
    "a number of 400 digits": lambda: raw(
        '{"a": {"type": "feather", "params": {"sigma": ' + "9" * 400 + "}}}"
    ),
    "a number of 100,000 digits": lambda: raw(
        '{"a": {"type": "load", "params": {"page": ' + "9" * 100_000 + "}}}"
    ),
    "not a number": lambda: raw('{"a": {"type": "feather", "params": {"sigma": NaN}}}'),
    "infinity": lambda: raw('{"a": {"type": "feather", "params": {"sigma": -Infinity}}}'),
    "beyond all numbers": lambda: raw('{"a": {"type": "feather", "pos": [1e999, 0]}}'),
    "a place at 1e308": lambda: raw('{"a": {"type": "load", "pos": [1e308, -1e308]}}'),
    "half a letter in a title": lambda: raw(r'{"a": {"type": "load", "title": "\ud800"}}'),
    "half a letter in a path": lambda: raw(
        r'{"a": {"type": "load", "params": {"path": "\uDC00.jpg"}}}'
    ),
    "half a letter in a name": lambda: raw(r'{"a": {"type": "load", "\udfff": 1}}'),
    "a zero in a path": lambda: file_of(feathered("cat\0.jpg")),
    "a type of a million letters": lambda: file_of({"a": {"type": "x" * 1_000_000}}),
    "a title of a million letters": lambda: file_of({"a": {"type": "load", "title": "x" * 10**6}}),
    "a name of a million letters": lambda: file_of({"a" * 1_000_000: {"type": "load"}}),
    "an input that clears the terminal": lambda: file_of(
        {"a": {"type": "feather", "inputs": {"\x1b[2J\x1b]0;owned\x07": "b.c"}}}
    ),
    "a version of 30 digits": lambda: file_of({"a": {"type": "load", "version": 10**30}}),
    "a picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(1000),
}
"""What must be refused, or have a fault, one sentence each."""


def sentences(lines: list[str]) -> None:
    for line in lines:
        assert line.endswith(".") and len(line) < 1200 and line.isprintable(), line[:2000]
        assert "Error" not in line and "Traceback" not in line, line


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_graph_gets_a_sentence_soon(name, tmp_path, capsys):
    file = tmp_path / "a.qrgraph"
    file.write_bytes(HOSTILE[name]())
    began = time.process_time()
    assert main(["check", str(file)]) == 1
    assert time.process_time() - began < SECONDS
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and lines
    sentences(lines)
    assert os.listdir(tmp_path) == ["a.qrgraph"]


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_is_sound_of_a_hostile_graph_can_be_saved(name, tmp_path):
    try:
        graph, _ = parse(HOSTILE[name](), tmp_path)
    except QrNodesError as error:
        return sentences([str(error)])
    save_graph(graph, tmp_path / "b.qrgraph")
    again, faults = inspect(tmp_path / "b.qrgraph")
    assert all("saved by a newer version" in str(fault) for fault in faults)
    assert list(again.nodes) == list(graph.nodes) and again.links == graph.links


def test_a_large_graph_is_read_and_planned_soon(tmp_path):
    shared = {f"n{i}": after(f"n{i - 1}" if i else "load", bypass=True) for i in range(5000)}
    shared |= {f"m{i}": after("n4999") for i in range(4990)}
    began = time.process_time()
    graph, faults = parse(file_of(feathered("a.jpg") | shared), tmp_path)
    assert faults == [] and len(graph.nodes) == 9992
    assert graph.problems() == [] and len(steps(RunRequest(graph, ("m7",)), Files())) == 2
    assert time.process_time() - began < SECONDS


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    file = tmp_path / "large.qrgraph"
    with file.open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(QrNodesError, match="larger than 32 MB"):
        load_graph(file)


@pytest.mark.parametrize("place", ["folder", "fifo", "device"])
def test_what_is_no_file_is_refused_as_a_graph(place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("qr_nodes.pipes.PATIENCE", 0.3)
    path = tmp_path / "a.qrgraph"
    if place == "folder":
        path.mkdir()
    elif place == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert main(["check", str(path)]) == (1 if place == "device" else 2)
    said = capsys.readouterr().err
    sentences(said.replace(f" To cut out its pictures: qr-nodes remove {path}", "").splitlines())


# ---- what a graph names to be read and written ---------------------------------------------


NO_PICTURES = {
    "../../../../../../etc/hostname": "not a picture",
    "/dev/zero": "a device, not a file",
    "/dev/stdin": "",
    "/proc/self/mem": "",
    "/proc/kmsg": "",
    "fifo": "nothing comes out of this pipe",
    "endless": "",
    "sparse.png": "the file has",
    "CON": "no such file",
    "NUL.png": "no such file",
    "\\\\server\\share\\cat.png": "no such file",
    "a\0b.png": "is no path",
    "a" * 100_000: "cannot be opened",
    "loop.png": "cannot be opened",
}


@pytest.mark.parametrize("path", list(NO_PICTURES), ids=lambda path: repr(path[:20]))
def test_what_is_no_picture_is_a_sentence_and_soon(path, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("qr_nodes.pipes.PATIENCE", 0.3)
    graph = stranger(tmp_path, path, "out.png")
    os.mkfifo(graph.parent / "fifo")
    (graph.parent / "endless").symlink_to("/dev/zero")
    (graph.parent / "loop.png").symlink_to("loop.png")
    with (graph.parent / "sparse.png").open("wb") as sparse:
        sparse.write(b"\x89PNG\r\n\x1a\n")
        sparse.truncate(1 << 40)
    began, cpu = time.monotonic(), time.process_time()
    assert main(["run", str(graph)]) == (2 if "\0" in path else 1)
    assert time.process_time() - cpu < SECONDS and time.monotonic() - began < 30
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and NO_PICTURES[path] in lines[0], lines[0][:2000]
    sentences(lines)
    assert not (graph.parent / "out.png").exists()


@pytest.mark.parametrize("path", ["../wedding.jpg", "wedding.jpg", "link.png"])
def test_nothing_is_replaced_that_only_the_graph_names(path, picture, tmp_path, capsys):
    graph = stranger(tmp_path, str(picture), path)
    target = graph.parent / path
    dear = tmp_path / "dear.jpg"
    dear.write_bytes(b"dear")
    target.symlink_to(dear) if path == "link.png" else target.write_bytes(b"dear")
    assert main(["run", str(graph)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "a file is there that was not made here, or was changed since. Move it" in said
    assert target.read_bytes() == b"dear"
    given = tmp_path / "given.png"
    assert main(["run", str(graph), "-o", str(given)]) == 0 and given.exists()
    assert target.read_bytes() == b"dear"
    assert main(["run", str(graph), "--overwrite"]) == 0 and target.read_bytes() != b"dear"


def test_what_the_command_line_names_is_not_replaced_either(picture, tmp_path):
    graph = stranger(tmp_path, str(picture), "out.png")
    for place, how in (
        (graph.parent / "out.png", ["-o", str(graph.parent / "out.png")]),
        (tmp_path / "other.png", ["-s", f"export.path={tmp_path / 'other.png'}"]),
    ):
        place.write_bytes(b"old")
        assert main(["run", str(graph), *how]) == 1 and place.read_bytes() == b"old"
        assert main(["run", str(graph), *how, "--overwrite"]) == 0
        assert place.read_bytes() != b"old"


@pytest.mark.parametrize("way", ["same", "another name", "symbolic link", "hard link"])
def test_a_picture_that_is_read_is_never_written(way, picture, tmp_path, capsys):
    before = picture.read_bytes()
    target = tmp_path / "stranger" / "again.png"
    target.parent.mkdir()
    if way == "symbolic link":
        target.symlink_to(picture)
    elif way == "hard link":
        target.hardlink_to(picture)
    else:
        target = picture if way == "same" else tmp_path / "stranger" / ".." / "pictures" / "cat.png"
    graph = stranger(tmp_path, str(picture), str(target))
    assert main(["run", str(graph), "--overwrite"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "the graph reads this picture. Name another file." in said
    assert picture.read_bytes() == before


def test_two_exports_to_one_file_are_refused(picture, tmp_path, capsys):
    graph = Graph.chain("load", "export").add("export", "other").connect("load", "other")
    for id in ("export", "other"):
        graph = graph.set_param(id, "path", str(tmp_path / "out.png"))
    save_graph(graph.set_param("load", "path", str(picture)), tmp_path / "a.qrgraph")
    assert main(["run", str(tmp_path / "a.qrgraph")]) == 1
    assert "the graph writes this file twice." in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("save", ["/dev/full", "fifo", "no/such/a.png", "a\0.png", "CON.gif", "."])
def test_what_cannot_be_written_is_a_sentence(save, picture, tmp_path, capsys):
    graph = stranger(tmp_path, str(picture), save)
    os.mkfifo(graph.parent / "fifo")
    assert main(["run", str(graph), "--overwrite"]) == (2 if "\0" in save else 1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    sentences(lines)


# ---- what the window asks about ------------------------------------------------------------


def outside(graph: Graph, folder) -> list[str]:
    return list(trust.outside(graph, folder))


def loading(*paths) -> Graph:
    graph = Graph()
    for path in paths:
        id = graph.free_id("load")
        graph = graph.add("load", id).set_param(id, "path", str(path))
    return graph


def test_files_in_the_graphs_folder_are_its_own(tmp_path):
    (tmp_path / "sub").mkdir()
    inside = [tmp_path / "cat.png", tmp_path / "sub" / "dog.png", tmp_path / "sub" / ".." / "a.png"]
    assert outside(loading(*inside), tmp_path) == []


def test_files_elsewhere_are_not(tmp_path):
    elsewhere = [
        "/etc/hostname",
        str(tmp_path.parent / "cat.png"),
        str(tmp_path / ".." / "dog.png"),
        f"{tmp_path}x/cat.png",
        "/dev/zero",
    ]
    assert outside(loading(*elsewhere), tmp_path) == elsewhere
    assert outside(loading(tmp_path / "cat.png"), None) == [str(tmp_path / "cat.png")]


def test_a_link_in_the_folder_leads_where_it_leads(tmp_path):
    (tmp_path / "link.png").symlink_to("/etc/hostname")
    (tmp_path / "there").symlink_to("/etc")
    (tmp_path / "own.png").symlink_to(tmp_path / "cat.png")
    graph = loading(*(tmp_path / name for name in ("link.png", "there/hostname", "own.png")))
    assert outside(graph, tmp_path) == [
        str(tmp_path / "link.png"),
        str(tmp_path / "there/hostname"),
    ]


def test_a_file_elsewhere_is_not_looked_at_to_tell(tmp_path, monkeypatch):
    def looked(path, *more, **other):
        raise AssertionError(f"looked at {path}")

    monkeypatch.setattr(os.path, "realpath", looked)
    monkeypatch.setattr(os, "stat", looked)
    monkeypatch.setattr(os, "lstat", looked)
    found = outside(loading("//server/share/cat.png", "/net/host/cat.png"), tmp_path)
    assert len(found) == 2


def test_a_raised_limit_needs_the_users_word_too(tmp_path):
    graph = loading(tmp_path / "bomb.png")
    (mark,) = trust.outside(graph.set_param("load", "max_pixels", 9000.0), tmp_path).values()
    assert trust.outside(graph, tmp_path) == {}
    (other,) = trust.outside(graph.set_param("load", "max_pixels", 5000.0), tmp_path).values()
    assert mark != other and "bomb" not in mark


def test_a_held_network_is_not_fetched_and_its_node_says_so(picture, engine, monkeypatch):
    fetched = []
    monkeypatch.setattr(store, "fetch", lambda name, *more: fetched.append(name))
    graph = Graph.chain("load", "segment").set_param("load", "path", str(picture))
    graph = graph.set_param("segment", "model", "u2net")
    assert list(trust.unfetched(graph)) == ["u2net"]
    outcome = engine.run(RunRequest(graph, ("segment",), held=frozenset(["u2net"])))
    assert fetched == []
    said = "segment.model: u2net is not here, and not fetched without your word. Download it"
    assert str(outcome.errors["segment"]).startswith(said)
    engine.run(RunRequest(graph, ("segment",)))
    assert fetched == ["u2net"]


def test_a_held_file_is_neither_read_nor_hashed_and_its_node_says_so(picture, engine, monkeypatch):
    graph = Graph.chain("load", "feather").set_param("load", "path", str(picture))
    opened = []
    real_open, real_stat = open, os.stat

    def watch(call):
        def watched(path, *more, **other):
            if str(path) == str(picture):
                opened.append(path)
            return call(path, *more, **other)

        return watched

    monkeypatch.setattr("builtins.open", watch(real_open))
    monkeypatch.setattr(os, "stat", watch(real_stat))
    held = frozenset([str(picture)])
    outcome = engine.run(RunRequest(graph, ("feather",), held=held))
    assert opened == []
    assert "is not read without your word" in str(outcome.errors["load"])
    assert str(outcome.errors["feather"]).startswith("feather: it is blocked by 'load'")
    assert engine.run(RunRequest(graph, ("feather",))).errors == {} and opened


def test_a_document_waits_for_the_users_word(picture, engine):
    graph = Graph.chain("load", "feather").set_param("load", "path", str(picture))
    sized = []

    def pixels(graph, held):
        sized.append(picture_pixels(graph, held))
        return sized[-1]

    document = Document(engine, pixels=pixels, watch_all=True)
    document.open(graph, "feather", held=[str(picture)])
    assert document.settle() and set(sized) == {0}
    events = list(document.drain(1))
    assert {event.node for event in events if event.kind == "failed"} == {"load"}
    assert not [event for event in events if event.outputs]
    document.edit(graph.set_param("feather", "sigma", 3.0), "sigma")
    assert document.settle() and not [event for event in document.drain(1) if event.outputs]
    document.agree([str(picture)])
    assert document.settle() and sized[-1] == 600
    done = {event.node for event in document.drain(1) if event.kind == "done"}
    assert done == {"load", "feather"}
    document.close()
