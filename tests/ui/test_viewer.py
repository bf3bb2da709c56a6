"""The viewer without a display: what it shows, when, and what it says."""

from __future__ import annotations

from typing import get_args

import dearpygui.dearpygui as dpg
import numpy as np
import pytest
from stubs import PANEL, cutout, drawn, settle, words

from qr_nodes.engine import Event
from qr_nodes.errors import GraphError, ParamError
from qr_nodes.graph import Graph
from qr_nodes.types import Written
from qr_nodes.ui.settings import Background
from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_tiles import LIVE, Tiles
from qr_nodes.ui.viewer_tools import MODES
from qr_nodes.ui.viewer_words import HINT
from qr_nodes.ui.viewer_worker import Picture


def test_a_picture_is_fitted_and_its_caption_says_what_it_is(viewer):
    viewer.show(cutout(800, 600), 1.0, "Feather")
    settle(viewer)
    assert viewer.view == View(0.5, 150, 0)
    assert dpg.get_value(viewer._caption) == "Feather   600 × 800 px   full"
    assert drawn(viewer).shape == (400, 300, 4)
    assert np.allclose(drawn(viewer), [200 / 255] * 3 + [0.5], atol=2 / 255)


def test_the_view_stays_when_the_full_result_takes_the_place_of_a_preview(viewer):
    viewer.show(cutout(200, 151), 0.25, "Feather")
    settle(viewer)
    assert "preview at 25 %" in dpg.get_value(viewer._caption)
    viewer.zoom(3)
    viewer.frame()
    view = viewer.view
    viewer.show(cutout(800, 604), 1.0, "Feather")
    settle(viewer)
    assert viewer.view == view
    assert dpg.get_value(viewer._caption).endswith("full")
    viewer.show(cutout(200, 151, 90), 0.25, "Feather")
    settle(viewer)
    assert (viewer.view, viewer._present.size) == (view, (604, 800))


def test_a_picture_of_another_size_is_fitted_again(viewer):
    viewer.show(cutout(800, 600), 1.0, "Feather")
    settle(viewer)
    viewer.actual()
    settle(viewer)
    viewer.show(cutout(100, 100), 1.0, "Resize")
    settle(viewer)
    assert viewer.view == View(1.0, 250, 150)


def test_zooming_in_first_shows_the_coarse_level_and_then_the_wanted_one(viewer):
    viewer.show(cutout(1600, 2400), 1.0, "Feather")
    settle(viewer)
    assert list(viewer._present.levels) == [2]
    viewer.actual()
    viewer.frame()
    assert drawn(viewer).shape[0] > 0
    settle(viewer)
    assert sorted(viewer._present.levels) == [0, 2]


def test_zoom_goes_by_steps_that_meet_100_percent(viewer):
    viewer.show(cutout(900, 700), 1.0, "Feather")
    settle(viewer)
    zooms = set()
    for _ in range(12):
        viewer.zoom(1)
        zooms.add(viewer.view.zoom)
    assert 1.0 in zooms
    viewer.zoom(400)
    assert viewer.view.zoom == 64
    viewer.zoom(-800)
    assert viewer.view.zoom == 1 / 64


def test_a_picture_cannot_be_moved_out_of_the_panel(viewer, monkeypatch):
    viewer.show(cutout(300, 300), 1.0, "Feather")
    settle(viewer)
    mouse = [300, 200]
    monkeypatch.setattr(dpg, "get_mouse_pos", lambda local: list(mouse))
    monkeypatch.setattr(dpg, "is_item_hovered", lambda item: True)
    viewer._clicked(None, 0)
    mouse[:] = [320, 190]
    viewer._moved()
    viewer.frame()
    assert viewer.view == View(1.0, 170, 40)
    mouse[:] = [-9000, 5000]
    viewer._moved()
    viewer.frame()
    left, top, right, bottom = viewer.view.area((300, 300), PANEL)
    assert right - left >= 40
    assert bottom - top >= 40
    viewer._released(None, 0)
    mouse[:] = [0, 0]
    view = viewer.view
    viewer._moved()
    assert viewer.view == view


def test_the_wheel_zooms_at_the_cursor_and_not_under_a_dialog(viewer, monkeypatch):
    viewer.show(cutout(800, 600), 1.0, "Feather")
    settle(viewer)
    monkeypatch.setattr(dpg, "get_mouse_pos", lambda local: [200, 100])
    monkeypatch.setattr(dpg, "is_item_hovered", lambda item: True)
    before = viewer.view.to_picture(200, 100)
    viewer._wheeled(None, 4)
    assert viewer.view.zoom == 1.0
    assert np.allclose(viewer.view.to_picture(200, 100), before, atol=1)
    viewer._app.modal = True
    viewer._wheeled(None, 4)
    assert viewer.view.zoom == 1.0


@pytest.mark.parametrize("name", MODES)
def test_every_mode_shows_what_it_says(viewer, name, photo):
    viewer._behind.use(str(photo))
    settle(viewer)
    viewer.show(cutout(40, 30), 1.0, "Feather")
    settle(viewer)
    kind = MODES[name][1]
    viewer.mode(name)
    if kind != "cutout":
        settle(viewer)
    else:
        viewer.frame()
    expected = {
        "cutout": (200, 0.5), "original": (200, 1.0), "alpha": (128, 1.0), "overlay": (200, 0.75),
    }[kind]  # fmt: skip
    assert np.allclose(drawn(viewer)[..., 0] * 255, expected[0], atol=2)
    assert np.allclose(drawn(viewer)[..., 3], expected[1], atol=1 / 255)
    assert viewer.shown_mode == name


def test_the_colour_behind_can_be_chosen(viewer):
    viewer.mode("color", "#10a0ff")
    assert (viewer.shown_mode, viewer.color) == ("color", "#10a0ff")
    dpg.set_value(viewer._tools._pickers["color"], [1, 2, 3, 255])
    viewer.mode("black")
    dpg.get_item_callback(viewer._tools._pickers["color"])()
    assert (viewer.shown_mode, viewer.color) == ("color", "#010203")
    viewer.show(cutout(40, 30), 1.0, "Feather")
    settle(viewer)
    fill = dpg.get_item_configuration(viewer._tiles._backdrop)["fill"]
    assert [round(part * 255) for part in fill[:3]] == [1, 2, 3]


def test_modes_follow_each_other_round(viewer):
    def round() -> list[str]:
        met = [viewer.shown_mode]
        while viewer.next_mode() or viewer.shown_mode != met[0]:
            met.append(viewer.shown_mode)
        return met

    assert round() == [name for name in MODES if name != "picture"]
    viewer._tools.depict(np.zeros((20, 30, 3), np.uint8))
    viewer._behind.path = "sea.jpg"
    assert round() == list(MODES)


def test_every_mode_can_be_remembered():
    assert list(MODES) == list(get_args(Background))


def test_a_mask_is_shown_in_grey(viewer):
    viewer.show(np.full((20, 30), 0.25, np.float32), 1.0, "Extract Alpha")
    settle(viewer)
    assert np.allclose(drawn(viewer), [64 / 255] * 3 + [1], atol=1e-3)


def test_with_no_picture_named_a_hint_says_what_to_do(viewer):
    viewer._app.document.graph = Graph()
    viewer._app.document.viewed = ()
    viewer.sync()
    viewer.frame()
    assert words(viewer) == HINT
    viewer._app.document.graph = Graph.chain("load", "feather")
    viewer._app.document.viewed = ("feather",)
    error = GraphError("no picture is named.", "load.path", "Choose a picture.")
    viewer.event(Event(1, "failed", "load", error=error))
    viewer.frame()
    assert words(viewer) == HINT


def test_a_failure_dims_the_last_picture_and_names_its_root(viewer):
    viewer.show(cutout(40, 30), 1.0, "Feather")
    settle(viewer)
    blocked = GraphError("it is blocked by 'load'.", "feather", "Mend that node first.")
    viewer.event(Event(2, "failed", "load", error=ParamError("no.", "load", "Do this.")))
    viewer.event(Event(2, "blocked", "feather", error=blocked))
    viewer.frame()
    assert words(viewer) == "load: no. Do this."
    viewer.event(Event(3, "done", "load"))
    viewer.event(Event(3, "done", "feather"))
    viewer.show(cutout(40, 30, 10), 1.0, "Feather")
    settle(viewer)
    assert words(viewer) == ""


def test_another_graph_without_a_picture_clears_the_old_one(viewer):
    viewer.show(cutout(40, 30), 1.0, "Feather")
    settle(viewer)
    viewer._app.document.graph = Graph.chain("load", "feather")
    viewer.sync()
    viewer.frame()
    assert words(viewer) == HINT
    assert viewer._present is None


def test_a_failure_elsewhere_says_nothing(viewer):
    viewer.show(cutout(40, 30), 1.0, "Feather")
    settle(viewer)
    viewer.event(Event(2, "failed", "export", error=ParamError("no.", "export")))
    viewer.frame()
    assert words(viewer) == ""


def test_what_runs_for_the_picture_is_told_after_a_moment(viewer, monkeypatch):
    viewer.event(Event(1, "started", "feather"))
    viewer.frame()
    assert words(viewer) == ""
    monkeypatch.setattr("qr_nodes.ui.viewer_words.PATIENCE", 0.0)
    viewer.event(Event(1, "progress", "feather", fraction=0.4))
    viewer.frame()
    assert words(viewer) == "Feather 40 %"
    viewer.event(Event(1, "finished"))
    viewer.frame()
    assert words(viewer) == ""


def test_a_written_file_is_told_of_in_words(viewer):
    viewer.show(Written("/out/cat.png", 1, 2), 1.0, "Export")
    viewer.frame()
    assert words(viewer) == "Export wrote /out/cat.png"


def test_a_deleted_node_takes_its_picture_along(viewer):
    viewer.show(cutout(40, 30), 1.0, "Feather")
    settle(viewer)
    viewer._app.document.graph = viewer._app.document.graph.remove("feather")
    viewer.sync()
    viewer.frame()
    assert viewer._present is None
    assert dpg.get_value(viewer._caption) == ""


def test_a_thumbnail_is_of_what_is_shown(viewer):
    assert viewer.thumbnail(64) is None
    viewer.show(cutout(100, 200), 1.0, "Feather")
    settle(viewer)
    small = viewer.thumbnail(64)
    assert (small.size, small.mode) == ((64, 32), "RGBA")


def test_zooming_in_from_a_fit_meets_100_percent_first(viewer):
    viewer.show(cutout(420, 100), 1.0, "Feather")
    settle(viewer)
    viewer.zoom(1)
    assert viewer.view.zoom == 1.0


def test_an_older_picture_never_replaces_a_newer_one(viewer):
    old, new = (
        Picture(cutout(4, 4, value), 1.0, (4, 4), "cutout", name, order)
        for value, name, order in ((10, "old", 1), (20, "new", 2))
    )
    viewer._showing.wanted = new
    viewer._showing._made(new, 0, new.make(0))
    viewer._showing._made(old, 0, old.make(0))
    assert viewer._present is new


def test_textures_rest_when_nothing_changes(dpg_context):
    with dpg.window():
        tiles = Tiles(dpg.add_drawlist(1200, 900))
    tiles.lay((10, 20, 1100, 700), None)
    painted = []
    tiles.fill(lambda corner, out: painted.append((corner, out.shape[:2])))
    assert painted[0] == ((10, 20), (492, 502))
    assert sum(h * w for _, (h, w) in painted) == 1090 * 680
    for _ in range(LIVE):
        assert tiles.moving
        tiles.frame()
    assert not tiles.moving
    assert {dpg.get_item_parent(tile.texture) for tile in tiles._tiles.values()} == {tiles._stage}
    tiles.lay((0, 0, 0, 0), None)
    painted.clear()
    tiles.fill(lambda corner, out: painted.append(corner))
    assert painted == []
