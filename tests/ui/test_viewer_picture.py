"""8-bit levels and the part in view, on plain arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qr_nodes.errors import Cancelled
from qr_nodes.imaging.resample import shrink
from qr_nodes.imaging.strips import GRAIN
from qr_nodes.types import Cutout, opaque
from qr_nodes.ui.viewer_picture import (
    View,
    coarser,
    fit,
    full_size,
    level,
    render,
    thumbnail,
    wanted_level,
)


@pytest.fixture
def cutout() -> Cutout:
    random = np.random.default_rng(3)
    color = random.integers(0, 256, (37, 53, 3), np.uint8)
    return Cutout(color, random.random((37, 53), np.float32))


def seen(value, kind, view, size, scale=1.0, crisp=False, corner=(0, 0)) -> np.ndarray:
    """Give (h, w, 4) of what a panel of `size` shows, from the level that is wanted."""
    number = wanted_level(view.zoom, scale)
    out = np.full((size[1], size[0], 4), np.nan, np.float32)
    pixels = level(value, kind, number)
    render(pixels, 2**number / scale, view, corner, out, crisp)
    return out


def disk(height: int, width: int) -> Cutout:
    """A red disk on a blue ground that its matte cuts away."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.hypot(x / width - 0.5, y / height - 0.5) < 0.35
    color = np.where(inside[..., None], np.uint8([200, 30, 20]), np.uint8([0, 0, 255]))
    return Cutout(color.astype(np.uint8), inside.astype(np.float32))


def test_a_picture_at_100_percent_is_shown_pixel_for_pixel(cutout):
    shown = seen(cutout, "cutout", View(), (53, 37))
    assert np.abs(shown[..., 3] - cutout.alpha).max() <= 0.5 / 255 + 1e-6
    # Premultiplied to 8 bits and back: what is composited over anything is right to a level.
    over_black = shown[..., :3] * shown[..., 3:] * 255
    truth = cutout.color * cutout.alpha[..., None]
    assert np.abs(over_black - truth).max() < 1.5


def test_original_shows_the_colour_and_no_alpha(cutout):
    shown = seen(cutout, "original", View(), (53, 37))
    assert np.array_equal(np.round(shown[..., :3] * 255), cutout.color)
    assert (shown[..., 3] == 1).all()


@pytest.mark.parametrize("mask", [False, True])
def test_alpha_is_shown_in_grey_and_a_mask_always_is(cutout, mask):
    value, kind = (cutout.alpha, "cutout") if mask else (cutout, "alpha")
    shown = seen(value, kind, View(), (53, 37))
    assert (shown[..., 3] == 1).all()
    assert np.ptp(shown[..., :3], axis=2).max() == 0
    assert np.abs(shown[..., 0] - cutout.alpha).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_depth_shows_the_same(cutout, dtype):
    factor = {np.uint8: 1, np.uint16: np.uint16(257), np.float32: np.float32(1 / 255)}[dtype]
    other = cutout.with_color((cutout.color * factor).astype(dtype))
    assert np.array_equal(level(other, "cutout", 0), level(cutout, "cutout", 0))


@pytest.mark.parametrize("number", [0, 1, 2, 3, 7])
def test_a_level_has_a_pixel_for_every_square_whole_or_cut(cutout, number):
    pixels, step = level(cutout, "cutout", number), 2**number
    assert pixels.shape == (math.ceil(37 / step), math.ceil(53 / step), 4)
    rows, columns = slice(-37 % -step or -step, None), slice(-53 % -step or -step, None)
    corner = cutout.alpha[rows, columns].mean()
    assert abs(pixels[-1, -1, 3] / 255 - corner) < 1.01 / 255


def test_levels_do_not_depend_on_how_the_picture_is_cut_into_strips(monkeypatch):
    big = disk(301, 211)
    whole = [level(big, "cutout", number) for number in range(5)]
    monkeypatch.setattr("qr_nodes.imaging.strips.GRAIN", 211 * 7)
    assert GRAIN > 301 * 211
    for number, expected in enumerate(whole):
        assert np.array_equal(level(big, "cutout", number), expected)


def test_a_level_made_from_a_finer_one_is_the_same_to_a_step_of_grey(cutout):
    direct = level(cutout, "cutout", 3).astype(int)
    by_way = coarser(level(cutout, "cutout", 1), 4).astype(int)
    # The last squares are cut, and weigh by what is left of them.
    assert np.abs(direct - by_way)[:-1, :-1].max() <= 1


def test_an_opaque_cutout_needs_no_matte(cutout):
    plain = Cutout(cutout.color, opaque(37, 53))
    assert np.array_equal(level(plain, "cutout", 1), level(plain, "original", 1))


def test_hidden_colours_do_not_shine_through_at_any_zoom():
    big = disk(120, 160)
    for zoom in (0.13, 0.3, 0.5, 0.77, 1.0, 1.6):
        shown = seen(big, "cutout", View(zoom, 3, 2), (90, 70))
        there = shown[..., 3] > 0.05
        assert there.any()
        assert shown[there][:, 2].max() < 0.25, zoom


@pytest.mark.parametrize("zoom", [2.5, 4.0, 8.0])
def test_crisp_pixels_are_squares_of_the_right_place(cutout, zoom):
    view = View(zoom, -17, -11)
    shown = seen(cutout, "original", view, (60, 50), crisp=True)
    for x, y in ((0, 0), (31, 7), (59, 49), (12, 40)):
        px, py = (math.floor(v) for v in view.to_picture(x + 0.5, y + 0.5))
        assert np.array_equal(np.round(shown[y, x, :3] * 255), cutout.color[py, px])


def test_parts_of_the_panel_join_without_a_seam(cutout):
    view = View(1.7, 5, 3)
    whole = seen(cutout, "original", view, (70, 50))
    left = seen(cutout, "original", view, (31, 50))
    right = seen(cutout, "original", view, (39, 50), corner=(31, 0))
    assert np.abs(np.hstack([left, right]) - whole).max() < 0.05


@pytest.mark.parametrize("zoom", [0.2, 0.5, 1.0, 3.0])
def test_a_preview_lies_where_the_full_picture_will_lie(zoom):
    full = disk(240, 320)
    small = shrink(full, 0.25)
    view = View(zoom, round(100 - 272 * zoom), round(75 - 120 * zoom))  # at the disk's rim
    one = seen(full, "alpha", view, (200, 150))[..., 0]
    two = seen(small, "alpha", view, (200, 150), scale=0.25)[..., 0]
    y, x = np.mgrid[:150, :200]
    for axis in (x, y):
        assert abs((one * axis).sum() / one.sum() - (two * axis).sum() / two.sum()) < 0.35
    assert abs(one.mean() - two.mean()) < 0.01


def test_a_level_wider_than_opencv_takes_is_shown_all_the_same():
    wide = np.zeros((1, 70_000), np.float32)
    wide[0, 69_990:] = 1
    out = np.zeros((1, 20, 4), np.float32)
    render(level(wide, "alpha", 0), 1.0, View(1.0, -69_980, 0), (0, 0), out)
    assert out[0, :, 0].tolist() == [0.0] * 10 + [1.0] * 10


@pytest.mark.parametrize("zoom", [0.03, 1.0, 33.0])
def test_a_picture_of_one_pixel_is_shown(zoom):
    shown = seen(np.float32([[0.6]]), "alpha", View(zoom), (9, 7))
    assert np.allclose(shown[..., :3], 0.6, atol=1 / 255)


def test_the_level_wanted_has_a_pixel_for_every_one_of_the_screen():
    assert [wanted_level(zoom, 1.0) for zoom in (4, 1, 0.99, 0.5, 0.3, 0.25, 0.1)] == [
        0, 0, 0, 1, 1, 2, 3,
    ]  # fmt: skip
    assert wanted_level(0.1, 0.25) == 1
    assert wanted_level(1.0, 0.25) == 0


def test_fit_shows_the_whole_picture_in_the_middle_and_never_enlarges():
    view = fit((400, 100), (200, 200))
    assert (view.zoom, view.x, view.y) == (0.5, 0, 75)
    assert fit((40, 20), (200, 100)) == View(1.0, 80, 40)
    assert view.area((400, 100), (200, 200)) == (0, 75, 200, 125)


def test_what_is_under_the_cursor_stays_there_when_zooming():
    view = View(0.5, -33, 12)
    for zoom in (0.25, 1.0, 5.7):
        before, after = view.to_picture(80, 60), view.zoomed(zoom, 80, 60).to_picture(80, 60)
        assert np.allclose(before, after, atol=0.51 / zoom)


def test_the_area_is_cut_at_the_panel_and_empty_beside_it():
    assert View(2.0, -5, 7).area((10, 10), (12, 200)) == (0, 7, 12, 27)
    left, _, right, _ = View(1.0, 300, 0).area((10, 10), (200, 200))
    assert left >= right


def test_the_full_size_of_a_preview_is_the_one_known_if_it_fits():
    assert full_size((333, 500), 0.125, (0, 0)) == (4000, 2664)
    assert full_size((333, 500), 0.125, (4001, 2667)) == (4001, 2667)
    assert full_size((300, 400), 1.0, (4001, 2667)) == (400, 300)


def test_making_a_level_can_be_given_up(cutout):
    def checkpoint():
        raise Cancelled

    with pytest.raises(Cancelled):
        level(cutout, "cutout", 0, checkpoint)


def test_a_thumbnail_keeps_the_shape_and_the_transparency():
    small = thumbnail(disk(240, 320), 64)
    assert small.shape == (48, 64, 4)
    assert np.abs(small[24, 32].astype(int) - [200, 30, 20, 255]).max() <= 1
    assert small[0, 0, 3] == 0
    assert thumbnail(np.ones((3, 5), np.float32), 64).shape == (3, 5, 4)
