"""Presets in the window: told apart, kept without what is one picture's, renamed, deleted."""

from __future__ import annotations

from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import pytest

from qr_nodes.errors import WriteError
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import load_graph, save_graph
from qr_nodes.types import Stroke
from qr_nodes.ui import dialogs, presets
from qr_nodes.ui.presets import Presets

STROKES = (Stroke(((0.5, 0.5),)),)


@pytest.fixture
def own(home):
    """Two presets of one's own."""
    (home / "graphs").mkdir()
    for name in ("mine", "other"):
        save_graph(Graph.chain("load", "feather"), home / "graphs" / f"{name}.qrgraph")
    return home / "graphs"


@pytest.fixture
def named(files, monkeypatch):
    """Answer the next question for a name."""
    monkeypatch.setattr(
        dialogs, "prompt", lambda *asked: files.app.asked.append(("prompt", *asked[1:]))
    )
    return lambda *answer: files.app.attempt(files.app.asked.pop()[4], *answer)


def painted(files, tmp_path) -> Graph:
    graph = Graph.chain("load", "brush_edit", "export")
    graph = graph.set_param("load", "path", str(tmp_path / "dog.jpg")).set_param("load", "page", 3)
    graph = graph.set_param("export", "path", str(tmp_path / "dog.png"))
    graph = graph.set_param("brush_edit", "strokes", STROKES)
    files.app.document.open(graph)
    return graph


@pytest.mark.parametrize("asked", [False, True])
def test_strokes_go_into_a_preset_only_if_asked(files, home, tmp_path, named, asked):
    painted(files, tmp_path)
    files.presets.save()
    assert files.app.asked[-1][-1] == "With what was corrected by hand: 1 stroke"
    named("mine", asked)
    nodes = load_graph("mine").nodes
    assert nodes["brush_edit"].params["strokes"] == (STROKES if asked else ())
    assert nodes["load"].params["path"] == nodes["export"].params["path"] == ""
    assert nodes["load"].params["page"] == 1
    held = (home / "graphs" / "mine.qrgraph").read_text()
    assert ("dog.jpg" in held) is asked  # whose strokes they are


def test_a_graph_without_corrections_is_not_asked_about_them(files, named):
    files.app.document.open(Graph.chain("load", "brush_edit"))
    files.presets.save()
    assert files.app.asked[-1][-1] == ""
    named("mine")
    assert files.app.said == ["Kept as the preset mine."]


def test_a_preset_of_ones_own_is_replaced_only_after_a_question(files, own, named):
    files.app.document.open(Graph.chain("load", "levels"))
    files.presets.save()
    named("mine")
    title, buttons = files.app.asked.pop()
    assert title == "Replace the preset?" and list(load_graph("mine").nodes)[1] == "feather"
    buttons["Replace"]()
    assert list(load_graph("mine").nodes)[1] == "levels"


@pytest.mark.parametrize("name", ["standard", "a/b", ".hidden"])
def test_a_name_that_could_not_be_used_is_refused(files, named, name):
    files.app.document.open(Graph.chain("load"))
    files.presets.save()
    named(name)
    assert len(files.app.said) == 1 and files.app.said[0].startswith(f"{name}: a preset ")


def test_a_preset_that_cannot_be_kept_says_so_in_a_sentence(files, home):
    (home / "graphs").write_text("a file where a folder should be")
    with pytest.raises(WriteError, match=r"mine: the preset cannot be saved \(") as fault:
        files.presets.keep(Graph(), home / "graphs" / "mine.qrgraph")
    assert str(home / "graphs") in str(fault.value)


def test_a_preset_is_renamed_with_its_picture(files, own, named):
    (own / "mine.png").write_bytes(b"picture")
    files.presets._rename(own / "mine.qrgraph")
    named("better")
    assert sorted(file.name for file in own.iterdir()) == [
        *("better.png", "better.qrgraph", "other.qrgraph")
    ]


def test_a_preset_takes_anothers_name_only_after_a_question(files, own, named):
    files.presets._rename(own / "mine.qrgraph")
    named("other")
    assert (own / "mine.qrgraph").exists()
    files.app.asked.pop()[1]["Replace"]()
    assert [file.name for file in presets.own_presets()] == ["other.qrgraph"]


def test_a_preset_is_deleted_after_a_question(files, own):
    files.presets._delete(own / "mine.qrgraph")
    assert (own / "mine.qrgraph").exists()
    files.app.asked.pop()[1]["Delete"]()
    assert [file.stem for file in presets.own_presets()] == ["other"]


def test_a_preset_that_is_gone_meanwhile_is_told(files, own):
    files.presets._delete(own / "mine.qrgraph")
    (own / "mine.qrgraph").unlink()
    files.app.attempt(files.app.asked.pop()[1]["Delete"])
    assert files.app.said[0].startswith("mine: the preset cannot be deleted (")


def test_the_menu_tells_ones_own_from_those_that_came(dpg_context, own):
    with dpg.window():
        dpg.add_menu(tag=presets.MENU)
    opened = []
    app = SimpleNamespace(attempt=lambda call: call())
    Presets(app, SimpleNamespace(use_preset=opened.append)).menu()
    items = dpg.get_item_children(presets.MENU, 1)
    labels = [dpg.get_item_label(item) for item in items]
    yours = labels.index("Yours")
    assert labels[yours + 1 : yours + 3] == ["mine", "other"]
    assert labels[-1] == "Rename or Delete…" and "standard" in labels[:yours]
    dpg.get_item_callback(items[yours + 1])()
    assert opened == [own / "mine.qrgraph"]
