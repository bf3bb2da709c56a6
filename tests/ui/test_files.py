"""The graph's file as the window sees it: saved, changed by others meanwhile, reloaded."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from qr_nodes.graph import Graph
from qr_nodes.inference import registry, store
from qr_nodes.qrgraph import dump, load_graph, save_graph
from qr_nodes.ui import files as module
from qr_nodes.ui.settings import Store


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.qrgraph"
    save_graph(Graph.chain("load", "feather"), path)
    return path


def edit(files, **params):
    graph = files.app.document.graph
    for name, value in params.items():
        graph = graph.set_param("feather", name, value)
    files.app.edit(graph, "edit")


def by_another(file):
    save_graph(load_graph(file).set_param("feather", "shift", 0.5), file)


def sigma_and_shift(file):
    params = load_graph(file).nodes["feather"].params
    return params["sigma"], params["shift"]


def test_a_start_with_a_broken_preset_opens_the_window_and_says_so(files, home):
    (home / "graphs").mkdir()
    (home / "graphs" / "mine.qrgraph").write_text("{")
    files.start("mine")
    assert files.app.said == [
        "mine.qrgraph: it is no JSON (Expecting property name enclosed in double quotes, "
        "line 1). Mend it."
    ]
    assert files.app.document.graph.of_type("segment")


def test_a_start_with_a_graph_that_cannot_be_read_leaves_nothing_to_recover(files, tmp_path):
    files.start(str(tmp_path / "gone.qrgraph"))
    (said,) = files.app.said
    assert "gone.qrgraph: there is no such preset or file." in said
    assert files.app.document.graph.of_type("segment") and not files.path and not files.dirty


def test_a_start_without_room_for_the_sample_opens_the_window_and_says_so(files, home):
    (home / "sample").write_bytes(b"in the way")
    files.app.settings.change(welcome=False)
    files.start(None)
    (said,) = files.app.said
    assert said.startswith(f"{home / 'sample'}: the sample picture cannot be drawn (")
    assert files.app.document.graph.of_type("segment")


def test_a_file_that_nobody_changed_is_saved_again_and_again(files, file):
    files.open_path(str(file))
    for sigma in (3.0, 4.0):
        edit(files, sigma=sigma)
        files.save()
    assert sigma_and_shift(file) == (4.0, 0.0) and not files.app.asked


def test_a_file_that_another_changed_is_not_saved_over_unasked(files, file):
    files.open_path(str(file))
    edit(files, sigma=3.0)
    by_another(file)
    files.save()
    title, buttons = files.app.asked.pop()
    assert title == "mine.qrgraph has changed"
    assert list(buttons) == ["Save As…", "Save Over It", "Reload", "Cancel"]
    assert sigma_and_shift(file) == (2.0, 0.5) and files.dirty
    buttons["Save Over It"]()
    assert sigma_and_shift(file) == (3.0, 0.0) and not files.dirty
    edit(files, sigma=5.0)
    files.save()
    assert sigma_and_shift(file) == (5.0, 0.0) and not files.app.asked


def test_reloading_is_an_edit_that_can_be_undone(files, file):
    files.open_path(str(file))
    edit(files, sigma=3.0)
    by_another(file)
    files.save()
    files.app.asked.pop()[1]["Reload"]()
    assert files.app.document.graph.nodes["feather"].params["shift"] == 0.5 and not files.dirty
    assert files.app.document.undo() == "reload mine.qrgraph"
    assert files.app.document.graph.nodes["feather"].params["sigma"] == 3.0 and files.dirty


def test_saving_elsewhere_leaves_the_others_file(files, file, tmp_path):
    files.open_path(str(file))
    edit(files, sigma=3.0)
    by_another(file)
    went_on = []
    files.save(lambda: went_on.append(1))
    files.app.asked.pop()[1]["Save As…"]()
    assert not went_on
    files.app.asked.pop()[3](str(tmp_path / "other.qrgraph"))
    assert went_on == [1]
    assert sigma_and_shift(file) == (2.0, 0.5)
    assert sigma_and_shift(tmp_path / "other.qrgraph") == (3.0, 0.0)


def test_closing_asks_about_the_others_change_as_well(files, file):
    files.open_path(str(file))
    edit(files, sigma=3.0)
    by_another(file)
    closed = []
    files._sure(lambda: closed.append(1))
    files.app.asked.pop()[1]["Save"]()
    assert not closed and sigma_and_shift(file) == (2.0, 0.5)
    files.app.asked.pop()[1]["Save Over It"]()
    assert closed == [1] and sigma_and_shift(file) == (3.0, 0.0)


def test_a_file_that_is_gone_is_written_anew(files, file):
    files.open_path(str(file))
    file.unlink()
    files.save()
    assert file.exists() and not files.app.asked


def test_recovered_work_knows_what_the_file_held(files, file):
    files.open_path(str(file))
    edit(files, sigma=3.0)
    mark = files.mark
    files.tick()
    kept = files.recovery
    assert kept.settle()
    entry = module.recovery._entry(kept.file)
    assert entry.mark == mark and mark
    by_another(file)
    files._offer(entry)
    files.app.asked.pop()[1]["Open It"]()
    files.save()
    assert files.app.asked and sigma_and_shift(file) == (2.0, 0.5)


def test_a_folder_goes_to_the_batch_panel_and_its_first_picture_is_shown(files, tmp_path, chelsea):
    pictures = tmp_path / "pictures"
    (pictures / "trip").mkdir(parents=True)
    files.start(str(pictures))
    assert files.app.folders == [str(pictures)]
    loaded = lambda: files.app.document.graph.nodes["load"].params["path"]  # noqa: E731
    assert loaded() == "" and not files.dirty
    for name in ("b.png", "a.png", "trip/0.png"):
        Image.fromarray(chelsea).save(pictures / name)
    files.start(str(pictures))
    assert loaded() == str(pictures / "a.png") and not files.dirty
    files.dropped([str(pictures / "trip")])  # which is no edit of what is open
    assert loaded() == str(pictures / "a.png") and not files.dirty
    assert files.app.folders[-1] == str(pictures / "trip")


# ---- graphs that others made ---------------------------------------------------------------


READ = "May this graph read these files?"


@pytest.fixture
def strange(tmp_path):
    """A graph that reads a picture outside its folder."""
    place = tmp_path / "download" / "theirs.qrgraph"
    place.parent.mkdir()
    graph = Graph.chain("load", "export").set_param("load", "path", str(tmp_path / "mine.jpg"))
    save_graph(graph, place)
    return place


def test_a_file_outside_is_held_until_the_user_agrees(files, strange, tmp_path):
    files.open_path(str(strange))
    ((title, buttons),) = files.app.asked
    assert title == READ and list(buttons) == ["Read Them"]
    assert files.app.document.held == {str(tmp_path / "mine.jpg")}
    buttons["Read Them"]()
    assert files.app.document.held == frozenset()
    files.open_path(str(strange))
    assert len(files.app.asked) == 1


def test_a_mark_of_what_was_agreed_tells_no_path(files, strange):
    files.open_path(str(strange))
    files.app.asked[0][1]["Read Them"]()
    (mark,) = Store().now.known
    assert len(mark) == 24 and "mine" not in mark


def test_cancelling_or_saving_is_no_agreement(files, strange):
    files.open_path(str(strange))
    files.save()
    assert files.app.settings.now.known == []
    files.open_path(str(strange))
    assert len(files.app.asked) == 2


def test_choosing_the_picture_oneself_is(files, strange, tmp_path):
    files.open_path(str(strange))
    files.dropped([str(tmp_path / "mine.jpg")])
    assert files.app.document.held == frozenset()


def test_a_graph_of_ones_own_is_not_asked_about(files, tmp_path):
    files.app.document.open(
        Graph.chain("load", "feather").set_param("load", "path", str(tmp_path / "a.jpg"))
    )
    (tmp_path / "graphs").mkdir()
    mine = tmp_path / "graphs" / "mine.qrgraph"
    assert files._save_to(str(mine))
    files.app.document.open(Graph())
    files.open_path(str(mine))
    assert files.app.asked == [] and files.app.document.held == frozenset()


def test_another_file_under_a_known_name_is_asked_about(files, strange, tmp_path):
    files.open_path(str(strange))
    files.app.asked[0][1]["Read Them"]()
    other = Graph.chain("load").set_param("load", "path", "/etc/hostname")
    save_graph(other, strange)
    files.open_path(str(strange))
    assert len(files.app.asked) == 2 and files.app.document.held == {"/etc/hostname"}


def test_a_file_that_another_program_changed_is_asked_about_when_it_is_reloaded(files, file):
    files.open_path(str(file))
    files._reload(Graph.chain("load").set_param("load", "path", "/etc/hostname"), str(file), "x")
    assert files.app.asked[-1][0] == READ and files.app.document.held == {"/etc/hostname"}


def test_nodes_copied_elsewhere_are_asked_about_and_own_ones_are_not(files, strange):
    text = strange.read_text()
    files.consent.pasting(files.consent.own(text))
    assert files.app.asked == []
    files.consent.own("something else")
    files.consent.pasting(text)
    assert files.app.asked[-1][0] == READ and len(files.app.document.held) == 1
    files.consent.pasting("no nodes")
    assert len(files.app.asked) == 1


def test_a_preset_keeps_the_users_picture_without_a_question(files, tmp_path):
    files.app.document.open(Graph.chain("load").set_param("load", "path", str(tmp_path / "a.jpg")))
    files.saved = files.app.document.graph
    files.use_preset("quick")
    assert files.app.asked == [] and files.app.document.held == frozenset()
    assert files.app.document.graph.nodes["load"].params["path"] == str(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_file_does_not_hold_the_window_up(kind, files, tmp_path, monkeypatch):
    monkeypatch.setattr("qr_nodes.pipes.PATIENCE", 0.2)
    path = tmp_path / "a.qrgraph"
    os.mkfifo(path) if kind == "fifo" else path.symlink_to("/dev/zero")
    files.open_path(str(path))
    assert "cannot be read" in files.app.said[-1] or "larger than" in files.app.said[-1]


def test_opening_writes_nothing_beside_the_graph(files, strange):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in [strange]}
    files.open_path(str(strange))
    files.app.asked[-1][1]["Read Them"]()
    assert files.app.document.settle()
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    assert os.listdir(strange.parent) == [strange.name]


# ---- networks that are not here ------------------------------------------------------------


@pytest.fixture
def asking(tmp_path):
    """A graph that asks for a network of 176 MB."""
    place = tmp_path / "theirs.qrgraph"
    graph = Graph.chain("load", "segment", "export").set_param("segment", "model", "u2net")
    save_graph(graph, place)
    return place


def test_a_network_beside_the_usual_one_is_fetched_only_after_a_question(files, asking):
    files.open_path(str(asking))
    ((title, buttons),) = files.app.asked
    assert title == "Download u2net?" and list(buttons) == ["Download"]
    assert files.app.document.held == {"u2net"}
    buttons["Download"]()
    assert files.app.document.held == frozenset()


@pytest.mark.parametrize("model", ["u2netp", "silueta", "nobody's"])
def test_the_usual_network_and_those_that_are_never_fetched_unasked_need_no_question(
    files, asking, model
):
    save_graph(load_graph(asking).set_param("segment", "model", model), asking)
    files.open_path(str(asking))
    assert files.app.asked == [] and files.app.document.held == frozenset()


def test_a_network_that_is_here_needs_no_question(files, asking):
    place = store.places(registry.find("u2net"))[-1]
    place.parent.mkdir(parents=True)
    place.write_bytes(b"")
    files.open_path(str(asking))
    assert files.app.asked == [] and files.app.document.held == frozenset()


def test_of_several_networks_each_that_is_missing_is_named(files, asking):
    value = "u2netp+u2net+u2net_human_seg"
    save_graph(load_graph(asking).set_param("segment", "model", value), asking)
    files.open_path(str(asking))
    assert files.app.asked[0][0] == "Download u2net, u2net_human_seg?"
    assert files.app.document.held == {value}


def test_files_and_networks_are_asked_about_one_after_the_other(files, asking):
    graph = load_graph(asking).set_param("load", "path", "/etc/hostname")
    save_graph(graph, asking)
    files.open_path(str(asking))
    assert [title for title, _ in files.app.asked] == [READ, "Download u2net?"]
    files.app.asked[0][1]["Read Them"]()
    assert files.app.document.held == {"u2net"}


def test_a_file_that_is_no_picture_is_known_when_it_is_dropped(files, tmp_path):
    graph = tmp_path / "no-ending"
    graph.write_bytes(dump(Graph.chain("load", "feather", "export")))
    files.start(str(graph))
    assert files.app.document.graph.of_type("feather")
    edits = tmp_path / "cat.qredit"
    edits.write_text('{"format": "qredit", "version": 1, "nodes": {}}')
    before = files.app.document.graph
    files.dropped([str(edits)])
    assert files.app.document.graph is before
    assert files.app.said[-1].startswith("cat.qredit: these are the edits of one picture")
