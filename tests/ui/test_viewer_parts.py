"""What lies over and under the picture: grid, loupe, histogram, a picture behind."""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import numpy as np
import pytest
from PIL import Image
from stubs import PANEL, cutout, settle

from qr_nodes.types import Cutout, opaque
from qr_nodes.ui.settings import Settings
from qr_nodes.ui.viewer_card import BELOW, MARGIN, corner
from qr_nodes.ui.viewer_grid import crossings
from qr_nodes.ui.viewer_histogram import BINS, count, heights, percent
from qr_nodes.ui.viewer_icons import SIDE as ICON
from qr_nodes.ui.viewer_icons import mode_icon, toggle_icon
from qr_nodes.ui.viewer_loupe import OUTSIDE, SIDE, enlarged
from qr_nodes.ui.viewer_picture import View, render
from qr_nodes.ui.viewer_tools import MODES, TOGGLES
from qr_nodes.ui.viewer_worker import Picture


def shown(item) -> bool:
    return dpg.get_item_configuration(item)["show"]


# ---- grid --------------------------------------------------------------------------------------


@pytest.mark.parametrize("zoom", [8.0, 9.51, 64.0])
@pytest.mark.parametrize("start", [0, -37, 11])
def test_grid_lines_lie_where_the_shown_pixel_changes(zoom, start):
    columns = np.arange(200, dtype=np.uint8)
    pixels = np.dstack([np.tile(columns, (4, 1))] * 3 + [np.full((4, 200), 255, np.uint8)])
    out = np.zeros((1, 300, 4), np.float32)
    left = max(start, 0)
    render(pixels, 1, View(zoom, start, 0), (left, 0), out, crisp=True)
    changes = np.flatnonzero(np.diff(out[0, :, 0])) + 1 + left
    assert crossings(start, zoom, left, left + 300) == [at + 0.5 for at in changes]


def test_the_grid_is_there_from_8_times_and_in_full_only(viewer):
    lines = viewer._grid._lines
    viewer.show(cutout(100, 100), 1.0, "Feather")
    settle(viewer)
    for zoom, seen in ((7.9, False), (8.0, True), (30.0, True), (1.0, False)):
        viewer._zoom_to(zoom, 300, 200)
        viewer.frame()
        assert [shown(line) for line in lines] == [seen, seen]
    viewer._zoom_to(30.0, 300, 200)
    viewer.show(cutout(50, 50), 0.5, "Feather")
    settle(viewer)
    assert not shown(lines[0])


# ---- cards -------------------------------------------------------------------------------------


def test_a_card_gives_way_to_the_mouse():
    size, panel = (100, 80), (600, 400)
    assert corner(size, panel, False, 10, None) == (MARGIN, 10)
    assert corner(size, panel, True, 10, (50, 50)) == (600 - 100 - MARGIN, 10)
    assert corner(size, panel, True, 10, (550, 50)) == (490, 400 - 80 - BELOW)
    assert corner(size, (600, 100), True, 10, (550, 50)) == (490, 10)


# ---- loupe -------------------------------------------------------------------------------------


def picture(value, scale: float = 1.0) -> Picture:
    height, width = value.shape[:2]
    return Picture(value, scale, (round(width / scale), round(height / scale)), "cutout")


def test_the_pixel_under_the_mouse_is_in_the_middle_of_the_loupe():
    color = np.random.default_rng(5).integers(0, 256, (37, 53, 3), np.uint8)
    pixels = enlarged(picture(Cutout(color, opaque(37, 53))), "cutout", 20.3, 10.9, 8, None) * 255
    for row, column in ((0, 0), (-1, 0), (0, 2), (3, -4)):
        block = pixels[SIDE // 2 + 8 * row - 4 :, SIDE // 2 + 8 * column - 4 :][:8, :8]
        assert np.allclose(block, color[10 + row, 20 + column], atol=0.01)


def test_the_loupe_shows_pixels_of_a_preview_as_large_as_they_stand_for():
    color = np.zeros((10, 10, 3), np.uint8)
    color[5, 5] = 255
    pixels = enlarged(picture(Cutout(color, opaque(10, 10)), 0.25), "cutout", 22, 22, 4, None)
    white = pixels[..., 0] == 1
    assert white.sum() == (4 * 4) ** 2


@pytest.mark.parametrize("ground", [(10, 20, 30), lambda x, y: np.float32([10, 20, 30]) / 255])
def test_the_loupe_shows_what_is_behind(ground):
    value = Cutout(np.full((30, 30, 3), 200, np.uint8), np.full((30, 30), 0.5, np.float32))
    pixels = enlarged(picture(value), "cutout", 0, 15, 8, ground) * 255
    assert np.allclose(pixels[SIDE // 2, SIDE // 2], [105, 110, 115], atol=1.5)
    assert np.allclose(pixels[:, : SIDE // 2 - 8], OUTSIDE * 255, atol=0.1)


def test_the_loupe_goes_where_the_mouse_goes_at_any_zoom(viewer, monkeypatch):
    mouse = [300, 200]
    monkeypatch.setattr(dpg, "get_mouse_pos", lambda local: list(mouse))
    monkeypatch.setattr(dpg, "is_item_hovered", lambda item: True)
    color = np.zeros((800, 1200, 3), np.uint8)
    color[:, 600:] = 250
    viewer.show(Cutout(color, opaque(800, 1200)), 1.0, "Feather")
    settle(viewer)
    viewer.frame()
    assert not shown(viewer._loupe._node)
    viewer.toggle("loupe")
    viewer.frame()
    assert shown(viewer._loupe._node)
    middle = viewer._loupe.pixels[SIDE // 2]
    assert middle[SIDE // 2 - 20, 0] == 0 and middle[SIDE // 2, 0] > 0.9
    mouse[0] = 100
    viewer.frame()
    assert viewer._loupe.pixels[..., :3].max() == 0
    viewer.toggle("loupe")
    viewer.frame()
    assert not shown(viewer._loupe._node)


# ---- histogram ---------------------------------------------------------------------------------


def test_every_pixel_is_counted_once_and_the_ends_apart():
    random = np.random.default_rng(2)
    alpha = random.random((1500, 1001), np.float32)
    alpha[:300], alpha[300:500] = 0, 1
    alpha[500, :2] = 1e-9, np.nextafter(np.float32(1), np.float32(0))
    counts = count(alpha)
    assert counts.clear == (alpha == 0).sum()
    assert counts.opaque == (alpha == 1).sum()
    inner = alpha[(alpha > 0) & (alpha < 1)]
    assert (counts.unsure, counts.total) == (inner.size, alpha.size)
    # On a border between two bins either may be meant.
    assert np.abs(counts.bins - np.histogram(inner, BINS, (0, 1))[0]).max() <= 2


def test_a_photograph_without_a_matte_is_opaque():
    counts = count(opaque(30, 50))
    assert (counts.clear, counts.unsure, counts.opaque) == (0, 0, 1500)


def test_small_bars_are_seen_beside_large_ones():
    assert list(heights(np.array([0, 1, 100]))) == [0, 0.1, 1]
    assert heights(np.zeros(4)).max() == 0


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [
        (0, 100, "0 %"), (100, 100, "100 %"), (1, 10**6, "< 0.01 %"), (5, 1000, "0.50 %"),
        (347, 1000, "34.7 %"), (99_999, 100_000, "99.9 %"), (0, 0, "0 %"),
    ],
)  # fmt: skip
def test_a_share_is_never_rounded_to_nothing_or_all(part, whole, said):
    assert percent(part, whole) == said


def test_the_histogram_counts_what_is_viewed_and_only_when_it_is_on(viewer):
    viewer.show(cutout(40, 60), 1.0, "Feather")
    settle(viewer)
    viewer.frame()
    assert viewer._histogram.counts is None
    viewer.toggle("histogram")
    settle(viewer)
    assert viewer._histogram.counts.unsure == 2400
    assert shown(viewer._histogram._node)
    viewer.show(np.zeros((40, 60), np.float32), 1.0, "Extract Alpha")
    settle(viewer, 2)
    assert viewer._histogram.counts.clear == 2400
    viewer.toggle("histogram")
    viewer.frame()
    assert not shown(viewer._histogram._node)


# ---- a picture behind --------------------------------------------------------------------------


@pytest.fixture
def sea(tmp_path):
    file = tmp_path / "sea.png"
    Image.new("RGB", (300, 100), (0, 60, 120)).save(file)
    return file


def test_a_picture_behind_covers_the_frame_and_moves_along(viewer, sea):
    viewer._behind.use(str(sea))
    settle(viewer)
    viewer.show(cutout(200, 400), 1.0, "Feather")
    viewer.mode("picture")
    settle(viewer)
    image = viewer._behind._images[1]
    look = dpg.get_item_configuration(image)
    assert shown(image) and look["pmin"][:2] == [100, 100] and look["pmax"][:2] == [500, 300]
    # 3 : 1 behind 2 : 1 shows all of its height, and two thirds of its width.
    assert np.allclose([*look["uv_min"][:2], *look["uv_max"][:2]], [1 / 6, 0, 5 / 6, 1])
    assert viewer._backdrop(viewer._present) == (0, 0, 0, 0)
    behind = viewer._behind.colors_at((400, 200))
    assert np.allclose(behind(np.array([3.0]), np.array([7.0])) * 255, [0, 60, 120])
    viewer.mode("white")
    viewer.frame()
    assert not shown(image)


def test_a_missing_picture_is_told_and_checks_take_its_place(viewer, tmp_path):
    viewer.restore(Settings(background="picture", backdrop=str(tmp_path / "gone.jpg")))
    assert viewer.shown_mode == "picture"
    settle(viewer)
    assert viewer._app.said == ["gone.jpg: there is no such file. Check the name."]
    assert (viewer.shown_mode, viewer._behind.path) == ("checker", "")


def test_choosing_the_mode_without_a_picture_asks_for_one(viewer, monkeypatch, sea):
    asked = []
    monkeypatch.setattr("qr_nodes.ui.dialogs.open_files", lambda *what: asked.append(what[-1]))
    viewer.mode("picture")
    assert viewer.shown_mode == "checker"
    asked[0]([str(sea)])
    assert viewer.shown_mode == "picture"
    settle(viewer)
    assert viewer._behind.pixels.shape == (100, 300, 3)


def test_a_large_transparent_picture_behind_is_made_small_and_opaque(viewer, tmp_path):
    pixels = np.zeros((20, 3000, 4), np.uint8)
    pixels[..., 0], pixels[..., 3] = 200, 128
    file = tmp_path / "veil.png"
    Image.fromarray(pixels).save(file)
    viewer._behind.use(str(file))
    settle(viewer)
    made = viewer._behind.pixels
    assert made.shape == (9, 1400, 3)
    assert np.abs(made[4, 700].astype(int) - [227, 127, 127]).max() <= 1


# ---- choices -----------------------------------------------------------------------------------


def test_the_overlay_is_switched_on_and_back_to_the_mode_before(viewer):
    viewer.mode("white")
    viewer.toggle_overlay()
    assert viewer.shown_mode == "overlay"
    viewer.toggle_overlay()
    assert viewer.shown_mode == "white"


def test_the_overlay_tints_half_of_what_is_removed(viewer):
    value = Cutout(np.full((40, 60, 3), 100, np.uint8), np.zeros((40, 60), np.float32))
    viewer._tools.recolor("overlay", (0, 0, 200))
    viewer.mode("overlay")
    viewer.show(value, 1.0, "Feather")
    settle(viewer)
    tile = viewer._tiles._tiles[0, 0]
    left, top, right, bottom = tile.area
    assert np.allclose(tile.pixels[top:bottom, left:right, 3], 0.5, atol=1 / 255)
    assert np.allclose(tile.pixels[top:bottom, left:right, :3] * 255, 100, atol=1.5)
    fill = dpg.get_item_configuration(viewer._tiles._backdrop)["fill"]
    assert [round(part * 255) for part in fill[:3]] == [0, 0, 200]


def test_what_is_remembered_is_there_at_the_next_start(viewer, sea):
    told = {"background": "overlay", "color": "#102030", "tint": "#00ff00", "backdrop": str(sea)}
    told |= {"loupe": True, "histogram": True}
    viewer.restore(Settings(**told))
    assert viewer.remembered == told


@pytest.mark.parametrize("name", [*MODES, *TOGGLES])
def test_every_button_has_an_icon(name):
    icon = toggle_icon(name) if name in TOGGLES else mode_icon(name, MODES[name][2] or None)
    if name in MODES and MODES[name][2] is None:
        icon = mode_icon(name, None)
    assert icon.shape == (ICON, ICON, 4) and icon.dtype == np.float32
    assert 0 <= icon.min() < icon.max() <= 1


def test_the_icon_of_a_picture_behind_shows_it():
    back = np.full((50, 90, 3), (10, 200, 30), np.uint8)
    assert np.allclose(mode_icon("picture", back)[0, 0, :3] * 255, [10, 200, 30], atol=1)


assert PANEL == (600, 400)  # the places above are in it
