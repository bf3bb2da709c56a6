"""What is told of the pixel under the mouse."""

from __future__ import annotations

import dearpygui.dearpygui as dpg
import numpy as np
import pytest
from stubs import settle

from qr_nodes.types import Cutout, opaque
from qr_nodes.ui.viewer_probe import channels, opacity, patch, pixel, place


def ramp(dtype, top: float) -> Cutout:
    """37 × 53 px whose red is the column, green the row, as far as `top` allows."""
    color = np.zeros((37, 53, 3), dtype)
    color[..., 0], color[..., 1] = np.arange(53) * top / 255, np.arange(37)[:, None] * top / 255
    return Cutout(color, np.linspace(0, 1, 37 * 53, dtype=np.float32).reshape(37, 53))


def test_a_pixel_is_read_in_its_own_depth():
    value = ramp(np.uint16, 65535)
    color, alpha = pixel(value, 20, 10)
    assert (color.dtype, list(color)) == (np.uint16, [20 * 257, 10 * 257, 0])
    assert alpha == pytest.approx((10 * 53 + 20) / (37 * 53 - 1))
    assert pixel(value.alpha, 20, 10) == (None, alpha)


def test_a_place_in_a_preview_is_the_pixel_that_stands_there():
    assert place((37, 53), (53, 37), 20.9, 10.0) == (20, 10)
    assert place((37, 53), (106, 74), 41.9, 20.1) == (20, 10)
    assert place((37, 53), (53, 37), 52.99, 36.99) == (52, 36)
    for outside in ((-0.1, 5), (53.0, 5), (5, 37.0), (5, -3)):
        assert place((37, 53), (53, 37), *outside) is None


@pytest.mark.parametrize(
    ("color", "said"),
    [
        (np.uint8([0, 128, 255]), ["0", "128", "255"]),
        (np.uint16([0, 300, 65535]), ["0", "300", "65535"]),
        (np.float32([0, 0.12345, 1]), ["0.0000", "0.1235", "1.0000"]),
        (None, ["–", "–", "–"]),
    ],
)
def test_channels_are_written_in_the_pictures_depth(color, said):
    assert channels(color) == said


@pytest.mark.parametrize(
    ("alpha", "said"),
    [
        (0.0, ("0 %", "0")),
        (1.0, ("100 %", "255")),
        (0.5, ("50.0 %", "128")),
        (1e-5, ("0.1 %", "0")),
        (0.99999, ("99.9 %", "255")),
    ],
)
def test_only_what_is_clear_or_opaque_reads_so(alpha, said):
    assert opacity(alpha) == said


def test_a_patch_is_shown_as_the_picture_is():
    value = Cutout(np.full((9, 9, 3), 100, np.uint8), np.full((9, 9), 0.5, np.float32))
    assert patch(value, "cutout", slice(2, 4), slice(1, 6)).shape == (2, 5, 4)
    assert list(patch(value, "cutout", slice(2, 3), slice(2, 3))[0, 0]) == [50, 50, 50, 128]
    assert list(patch(value, "original", slice(2, 3), slice(2, 3))[0, 0]) == [100, 100, 100, 255]
    assert list(patch(value.alpha, "cutout", slice(2, 3), slice(2, 3))[0, 0]) == [128] * 3 + [255]


def test_the_readout_follows_the_mouse(viewer, monkeypatch):
    mouse = [300, 200]
    monkeypatch.setattr(dpg, "get_mouse_pos", lambda local: list(mouse))
    monkeypatch.setattr(dpg, "is_item_hovered", lambda item: True)
    assert viewer._readout.text == "x –  y –  R –  G –  B –  Alpha –"
    viewer.show(ramp(np.uint8, 255), 1.0, "Feather")
    settle(viewer)
    left, top = viewer.view.x, viewer.view.y
    mouse[:] = [left + 20, top + 10]
    viewer.frame()
    assert viewer._readout.text == "x 20  y 10  R 20  G 10  B 0  Alpha 28.1 %   72"
    mouse[:] = [left - 1, top + 10]
    viewer.frame()
    assert viewer._readout.text == "x –  y –  R –  G –  B –  Alpha –"


def test_the_readout_tells_of_a_new_value_under_a_mouse_at_rest(viewer, monkeypatch):
    monkeypatch.setattr(dpg, "get_mouse_pos", lambda local: [300, 200])
    monkeypatch.setattr(dpg, "is_item_hovered", lambda item: True)
    for grey in (10, 20):
        color = np.full((40, 60, 3), grey, np.uint8)
        viewer.show(Cutout(color, opaque(40, 60)), 1.0, "Feather")
        settle(viewer)
        assert f"R {grey}  G {grey}  B {grey}  Alpha 100 %   255" in viewer._readout.text
