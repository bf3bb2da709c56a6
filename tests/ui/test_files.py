"""The graph's file as the window sees it: saved, changed by others meanwhile, reloaded."""

from __future__ import annotations

from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import pytest

from qr_nodes.cache import Cache
from qr_nodes.document import Document
from qr_nodes.engine import Engine
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import load_graph, save_graph
from qr_nodes.ui import files as module
from qr_nodes.ui.files import Files
from qr_nodes.ui.settings import Store


class App:
    """As much of the window as its files know; questions are written down."""

    def __init__(self):
        self.engine = Engine(Cache(1 << 20))
        self.document = Document(self.engine)
        self.settings, self.modal, self.said, self.asked = Store(), False, [], []
        self.canvas = SimpleNamespace(selection=[])

    def attempt(self, call, *arguments):
        try:
            return call(*arguments)
        except QrNodesError as error:
            self.said.append(str(error))

    def say(self, text, kind="info"):
        self.said.append(text)

    def edit(self, graph, name):
        self.document.edit(graph, name)

    def show_graph(self, graph, held):
        self.document.open(graph, held=held)


@pytest.fixture
def files(monkeypatch, dpg_context):
    app = App()
    monkeypatch.setattr(dpg, "set_viewport_title", lambda title: None)
    monkeypatch.setattr(Files, "menus", lambda self: None)
    ask = lambda app, title, text, buttons: app.asked.append((title, buttons))  # noqa: E731
    monkeypatch.setattr(module.dialogs, "ask", ask)
    monkeypatch.setattr(module.dialogs, "save_file", lambda *a: app.asked.append(("as", a[-1])))
    files = Files(app)
    yield files
    files.end()
    app.document.close()
    app.engine.close()


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
    files.app.asked.pop()[1](str(tmp_path / "other.qrgraph"))
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


def test_a_preset_that_cannot_be_kept_says_so_in_a_sentence(files, home):
    files.app.viewer = SimpleNamespace(thumbnail=lambda side: None)
    (home / "graphs").write_text("a file where a folder should be")
    files.app.attempt(files._save_preset, "mine")
    (said,) = files.app.said
    assert said.startswith("mine: the preset cannot be saved (") and str(home / "graphs") in said


def test_recovered_work_knows_what_the_file_held(files, file):
    files.open_path(str(file))
    edit(files, sigma=3.0)
    mark = files.mark
    files.tick()
    kept = files.recovery
    with kept._mail:
        kept._mail.wait_for(lambda: kept._kept is not None, 10)
    entry = module.recovery._entry(kept.file)
    assert entry.mark == mark and mark
    by_another(file)
    files._offer(entry)
    files.app.asked.pop()[1]["Open It"]()
    files.save()
    assert files.app.asked and sigma_and_shift(file) == (2.0, 0.5)
