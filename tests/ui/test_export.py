"""Where the result of each picture goes: asked for, repeated, never over what is not its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from qr_nodes.errors import WriteError
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import save_graph
from qr_nodes.types import Written


@pytest.fixture
def out(tmp_path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def written(files, tmp_path, monkeypatch):
    """The files that were written, in a window with cat.jpg open; a run writes its targets."""
    done = []

    def run(graph, targets, then):
        paths = [graph.nodes[id].params["path"] for id in targets]
        for path in paths:
            Path(path).write_text(f"result {len(done)}")
            done.append(Path(path).name)
        outputs = {id: {"file": Written.of(path)} for id, path in zip(targets, paths, strict=True)}
        then(SimpleNamespace(outputs=outputs, errors={}, superseded=False))

    monkeypatch.setattr(files.exports, "run", run)
    graph = Graph.chain("load", "feather", "export")
    files.app.document.open(graph.set_param("load", "path", str(tmp_path / "cat.jpg")))
    return done


def asked(files):
    """Return the name that the dialog suggests, and what answers it and checks an answer."""
    what, name, _, done, check = files.app.asked.pop()
    assert what == "as" and not files.app.asked
    return name, done, check


def export(files, path) -> None:
    files.exports.choose()
    asked(files)[1](str(path))


def path_of(files, id="export") -> str:
    return files.app.document.graph.nodes[id].params["path"]


def test_export_always_asks_and_export_again_repeats(files, written, out):
    files.exports.again()  # nothing is chosen yet
    assert asked(files)[0].endswith("cat-cutout.png")
    export(files, out / "cut.png")
    files.exports.choose()
    assert asked(files)[0] == str(out / "cut.png") and written == ["cut.png"]
    files.exports.again()
    assert written == ["cut.png"] * 2 and not files.app.asked


def test_the_next_picture_asks_again_with_a_name_of_its_own(files, written, out, tmp_path):
    export(files, out / "cut.webp")
    files.dropped([str(tmp_path / "dog.jpg")])
    assert path_of(files) == ""
    for export_it in (files.exports.again, files.exports.choose):
        export_it()
        assert asked(files)[0] == str(tmp_path / "dog-cutout.webp")
    assert written == ["cut.webp"]
    files.app.document.undo()
    assert path_of(files) == str(out / "cut.webp")  # one step takes both back


def test_a_picture_that_is_opened_again_has_its_place_again(files, written, out, tmp_path):
    export(files, out / "cut.png")
    files.dropped([str(tmp_path / "dog.jpg")])
    export(files, out / "dog.png")
    files.dropped([str(tmp_path / "cat.jpg")])
    files.exports.again()
    assert written == ["cut.png", "dog.png", "cut.png"] and not files.app.asked


def test_a_result_of_another_picture_is_replaced_only_after_a_question(
    files, written, out, tmp_path
):
    export(files, out / "cut.png")
    files.dropped([str(tmp_path / "dog.jpg")])
    # By hand in the inspector: no dialog has asked.
    files.app.edit(files.app.document.graph.set_param("export", "path", str(out / "cut.png")), "")
    files.exports.again()
    title, buttons = files.app.asked.pop()
    assert title == "Replace what is there?" and written == ["cut.png"]
    buttons["Replace"]()
    files.exports.again()
    assert written == ["cut.png"] * 3 and not files.app.asked


def test_a_result_that_was_retouched_since_is_replaced_only_after_a_question(files, written, out):
    export(files, out / "cut.png")
    (out / "cut.png").write_text("retouched")
    files.exports.again()
    assert written == ["cut.png"] and files.app.asked.pop()[0] == "Replace what is there?"


def test_a_graph_that_was_opened_has_written_nothing_yet(files, written, out, tmp_path):
    export(files, out / "cut.png")
    save_graph(files.app.document.graph, tmp_path / "again.qrgraph")
    files.open_path(str(tmp_path / "again.qrgraph"))
    files.exports.again()
    assert files.app.asked[-1][0] == "Replace what is there?" and written == ["cut.png"]


def test_every_export_is_asked_for_before_any_writes(files, written, out):
    graph = files.app.document.graph.add("export", "mask").connect("feather", "mask")
    files.app.document.open(graph)
    files.exports.choose()
    name, first, _ = asked(files)
    assert name.endswith("cat-export.png")
    first(str(out / "a.png"))
    name, second, check = asked(files)
    assert name.endswith("cat-mask.png") and not written
    with pytest.raises(WriteError, match="the graph writes this file twice"):
        check(str(out / "a.png"))
    second(str(out / "b.png"))
    assert written == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("a.psd", r"no format is known for the ending '\.psd'"),
        ("cat.jpg", "the graph reads this picture"),
        ("gone/a.png", "its folder does not exist"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is_stored(
    files, written, tmp_path, name, what
):
    before = files.app.document.graph
    files.exports.choose()
    with pytest.raises(WriteError, match=what):
        asked(files)[2](str(tmp_path / name))
    assert files.app.document.graph is before and not written


def test_a_graph_without_an_export_gets_one(files, written, out, tmp_path):
    files.app.document.open(
        Graph.chain("load", "feather").set_param("load", "path", str(tmp_path / "cat.jpg"))
    )
    files.app.viewed = "feather"
    export(files, out / "cut.png")
    assert written == ["cut.png"] and files.app.document.graph.before("export") == "feather"


def test_pictures_that_the_program_keeps_suggest_no_folder(files, written, home):
    (home / "pasted").mkdir()
    files.dropped([str(home / "pasted" / "pasted-1.png")])
    files.exports.choose()
    assert asked(files)[0] == "pasted-1-cutout.png"


def test_a_place_in_a_graph_file_belongs_to_the_picture_it_names(files, written, out, tmp_path):
    graph = files.app.document.graph.set_param("export", "path", str(out / "cut.png"))
    place = tmp_path / "mine.qrgraph"
    save_graph(graph, place)
    place.write_text(place.read_text().replace("cat.jpg", "dog.jpg", 1))
    files.open_path(str(place))
    files.exports.again()
    assert files.app.asked and not written
