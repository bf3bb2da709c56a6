"""Two pictures side by side without a display: what A is, where it is, and the line between."""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import numpy as np
import pytest
from stubs import PANEL, cutout, drawn, settle

from qr_nodes.engine import Event
from qr_nodes.errors import ParamError
from qr_nodes.graph import Graph
from qr_nodes.types import Cutout
from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_split import KEY, LAG, resolved
from qr_nodes.ui.viewer_tiles import LIVE, SIDE

CHAIN = Graph.chain("load", "segment", "feather", "export")


def come(viewer, node: str, value, scale: float = 1.0) -> None:
    """Bring news of a node's output to the viewer."""
    event = Event(1, "done", node, scale, {"cutout": value})
    viewer.event(event)
    if node == "feather":
        viewer.show(value, scale, "Feather")


def rest(viewer) -> None:
    """Draw until all that was painted has reached the screen."""
    for _ in range(LAG + LIVE + 2):
        viewer.frame()


@pytest.fixture
def split(viewer):
    """Show a grey of 199 with the split on; the original is a grey of 90."""
    come(viewer, "feather", cutout(400, 600, 199))
    settle(viewer)
    viewer.toggle("split")
    come(viewer, "load", cutout(400, 600, 90))
    settle(viewer)
    rest(viewer)
    return viewer


def at(viewer, x: int, y: int) -> tuple[int, int]:
    """Give the grey and alpha, 0 to 255, that are on the screen at a place of the panel."""
    for tiles in (viewer._split._tiles, viewer._tiles):
        tile = tiles._tiles.get((x // SIDE, y // SIDE))
        if tile is not None and tile.area is not None:
            left, top, right, bottom = tile.area
            if left <= x < right and top <= y < bottom:
                pixel = tile.pixels[y - tile.corner[1], x - tile.corner[0]] * 255
                return round(float(pixel[0])), round(float(pixel[3]))
    raise AssertionError("nothing is shown there")


@pytest.mark.parametrize(
    ("viewed", "what", "pinned", "expected"),
    [
        ("feather", "original", "", "load"),
        ("load", "original", "", "load"),
        ("feather", "input", "", "segment"),
        ("load", "input", "", ""),
        ("feather", "node", "segment", "segment"),
        ("segment", "node", "feather", "feather"),
        ("feather", "node", "export", "feather"),
        ("gone", "original", "", ""),
    ],
)
def test_what_is_compared_with_is_found_along_the_main_pipe(viewed, what, pinned, expected):
    assert resolved(CHAIN, viewed, what, pinned) == expected


def test_a_chain_without_load_has_no_original():
    assert resolved(Graph.chain("segment", "feather"), "feather", "original", "") == ""


def test_left_of_the_line_is_the_original_without_transparency(split):
    assert at(split, 10, 200) == (90, 255)
    assert at(split, 299, 200) == (90, 255)
    assert at(split, 300, 200) == (199, 128)
    assert at(split, 590, 10) == (199, 128)


def test_the_original_is_computed_only_while_it_is_compared_with(viewer):
    come(viewer, "feather", cutout(40, 60))
    settle(viewer)
    assert viewer.targets == []
    viewer.toggle("split")
    assert viewer._app.document.viewed == ("feather", "load")
    viewer.toggle("split")
    assert viewer._app.document.viewed == ("feather",)


def test_dragging_the_line_moves_nothing_else(split, monkeypatch):
    mouse = [302, 50]
    monkeypatch.setattr(dpg, "get_mouse_pos", lambda local: list(mouse))
    monkeypatch.setattr(dpg, "is_item_hovered", lambda item: True)
    view = split.view
    split._clicked(None, 0)
    mouse[:] = [450, 350]
    split._moved()
    split.frame()
    assert at(split, 449, 200) == (90, 255)
    assert at(split, 450, 200) == (199, 128)
    mouse[:] = [120, 60]
    split._moved()
    split.frame()
    split._released(None, 0)
    mouse[:] = [500, 60]
    split._moved()
    split.frame()
    assert at(split, 119, 200) == (90, 255)
    assert at(split, 120, 200) == (199, 128)
    assert split.view == view


def test_the_line_stays_in_the_panel_when_the_picture_moves_under_it(split):
    split.actual()
    split._view = View(8.0, -2000, -1500)
    split._touch()
    settle(split, 0)
    rest(split)
    assert at(split, 299, 200) == (90, 255)
    assert at(split, 301, 200) == (199, 128)


def test_a_follows_the_graph_while_it_is_compared_with(split):
    come(split, "load", cutout(200, 300, 30), 0.5)
    settle(split)
    rest(split)
    assert at(split, 10, 200) == (30, 255)
    assert split._split._names() == ("A  Original (preview)", "B  Feather")
    come(split, "load", cutout(400, 600, 31))
    settle(split)
    rest(split)
    assert at(split, 10, 200) == (31, 255)


def test_any_node_can_be_compared_with_and_shows_its_transparency(split):
    graph = Graph.chain("load", "segment", "feather").set_param("load", "path", "cat.jpg")
    split._app.document.graph = graph
    split.compare("segment")
    assert split.targets == ["segment"]
    come(split, "segment", cutout(400, 600, 60))
    settle(split)
    rest(split)
    assert at(split, 10, 200) == (60, 128)
    assert split._split._names()[0] == "A  Segment"
    split._app.document.graph = graph.remove("segment", reconnect=True)
    split.sync()
    assert split.targets == ["load"]


def test_an_original_of_another_size_gives_way_to_the_viewed_colours(split):
    come(split, "feather", cutout(300, 300, 70))
    settle(split, 2)
    rest(split)
    assert at(split, 160, 200) == (70, 255)
    assert at(split, 440, 200) == (70, 128)


def test_a_node_of_another_size_is_fitted_into_the_viewed_picture(split):
    graph = Graph.chain("load", "crop_to_subject", "feather").set_param("load", "path", "cat.jpg")
    split._app.document.graph = graph
    split.compare("crop_to_subject")
    come(split, "crop_to_subject", cutout(200, 600, 60))
    settle(split)
    rest(split)
    assert split._split.view(split.view) == View(1.0, 0, 100)
    assert at(split, 10, 101) == (60, 128)
    assert at(split, 310, 50) == (199, 128)
    with pytest.raises(AssertionError):
        at(split, 10, 50)


def test_a_failure_of_a_shows_b_alone_and_says_so(split):
    split._app.document.graph = CHAIN.set_param("load", "path", "cat.jpg")
    split.compare("segment")
    split.event(Event(2, "failed", "segment", error=ParamError("no.", "segment")))
    rest(split)
    assert split._split._names()[0] == "A  no result"
    assert at(split, 10, 200) == (199, 128)


@pytest.mark.parametrize("on", [False, True])
def test_the_key_shows_the_original_while_it_is_held(viewer, monkeypatch, on):
    down = {KEY: True}
    monkeypatch.setattr(dpg, "is_key_down", lambda key: down.get(key, False))
    come(viewer, "feather", cutout(400, 600, 199))
    settle(viewer)
    if on:
        viewer.toggle("split")
    viewer.blink()
    come(viewer, "load", cutout(400, 600, 90))
    settle(viewer)
    rest(viewer)
    assert at(viewer, 590, 200) == (90, 255)
    assert dpg.get_value(viewer._caption).startswith("Original")
    viewer.blink()  # the key repeats
    down.clear()
    rest(viewer)
    assert at(viewer, 590, 200) == (199, 128)
    assert at(viewer, 10, 200) == ((90, 255) if on else (199, 128))
    assert dpg.get_value(viewer._caption).startswith("Feather")


def test_from_the_menu_the_original_is_shown_for_a_moment(viewer, monkeypatch):
    monkeypatch.setattr(dpg, "is_key_down", lambda key: False)
    come(viewer, "feather", cutout(400, 600, 199))
    settle(viewer)
    viewer.blink()
    assert viewer._split.blinking
    monkeypatch.setattr("time.monotonic", lambda: 1e12)
    viewer.frame()
    assert not viewer._split.blinking


def test_until_a_has_reached_the_screen_b_is_seen(viewer):
    come(viewer, "feather", cutout(400, 600, 199))
    settle(viewer)
    viewer.toggle("split")
    come(viewer, "load", cutout(400, 600, 90))
    settle(viewer)
    assert at(viewer, 10, 200) == (199, 128)
    rest(viewer)
    assert at(viewer, 10, 200) == (90, 255)


def test_what_the_line_hides_is_painted_at_rest(split):
    come(split, "feather", cutout(400, 600, 50))
    settle(split)
    assert split._split.complete is False
    split.frame()
    assert split._split.complete
    assert round(float(split._tiles._tiles[0, 0].pixels[200, 10, 0]) * 255) == 50
    assert at(split, 10, 200) == (90, 255)


def test_what_is_mended_is_mended_behind_the_line_too(split):
    value = cutout(400, 600, 199)
    come(split, "feather", value)
    settle(split)
    rest(split)
    holed = value.tiles.with_pixels((slice(150, 250), slice(50, 550)), np.zeros((100, 500)))
    come(split, "feather", Cutout(value.color, holed))
    rest(split)
    assert at(split, 500, 200)[1] == 0
    assert at(split, 100, 200) == (90, 255)
    assert split._tiles._tiles[0, 0].pixels[200, 100, 3] == 0


def test_another_graph_forgets_what_was_compared_with(split):
    split._app.document.graph = CHAIN
    split.compare("segment")
    split.reset()
    split.sync()
    assert split.targets == ["load"]


def test_the_choices_name_every_node_with_a_picture(split):
    split._app.document.graph = CHAIN
    names = [name.strip("✓ ") for name, _ in split._split.choices()]
    assert names == ["Original", "What the viewed node gets", "Load", "Segment", "Feather"]


def test_without_a_split_nothing_is_different(viewer):
    come(viewer, "feather", cutout(400, 600, 199))
    settle(viewer)
    assert drawn(viewer).shape == (PANEL[1], SIDE, 4)
    assert viewer._split.under((10, 10)) is None
