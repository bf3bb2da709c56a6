"""Background: what lies behind, and that the subject stays."""

from dataclasses import replace

import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.background import background
from qr_nodes.types import Cutout, Source, opaque

DTYPES = [np.uint8, np.uint16, np.float32]


def top(dtype):
    return 1 if dtype == np.float32 else np.iinfo(dtype).max


def cutout(dtype=np.uint8):
    """Red in the middle, half transparent around it, transparent green outside."""
    alpha = np.zeros((40, 60), np.float32)
    alpha[10:30, 15:45], alpha[12:28, 17:43] = 0.5, 1
    color = np.where((alpha > 0)[..., None], (1, 0, 0), (0, 1, 0)) * top(dtype)
    return Cutout(color.astype(dtype), alpha, Source(name="red.png"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_colour_lies_behind_and_the_result_is_opaque(dtype):
    result = background(cutout(dtype), color="#0000ff")
    assert result.color.dtype == dtype
    assert result.alpha.min() == 1
    assert result.source.name == "red.png"
    seen = result.color / top(dtype)
    np.testing.assert_array_equal(seen[0, 0], (0, 0, 1))
    np.testing.assert_array_equal(seen[20, 30], (1, 0, 0))
    np.testing.assert_allclose(seen[10, 30], (0.5, 0, 0.5), atol=0.002)


def test_colours_may_lie_in_memory_in_any_order():
    plain = cutout()
    turned = replace(plain, color=np.asfortranarray(plain.color))
    for fill in ({}, {"fill": "blur", "sigma": 0}):
        assert np.array_equal(background(turned, **fill).color, background(plain, **fill).color)


def test_mixing_light_gives_brighter_soft_edges():
    bright = background(cutout(), color="white", linear=True).color[10, 30]
    assert bright.tolist() == [255, 188, 188]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_picture_of_any_depth_covers_the_frame(dtype):
    wide = np.zeros((10, 100, 3), dtype)
    wide[:, 40:60] = top(dtype)
    result = background(cutout(), Cutout(wide, opaque(10, 100)), fill="picture")
    assert result.color[0, 30].tolist() == [255, 255, 255]
    assert result.color[39, 59].tolist() == [255, 255, 255]


def test_a_picture_within_the_frame_leaves_the_colour_around_it():
    wide = Cutout(np.zeros((10, 60, 3), np.uint8), opaque(10, 60))
    result = background(cutout(), wide, fill="picture", fit="inside", color="#00ffff")
    assert result.color[0, 5].tolist() == [0, 255, 255]
    assert result.color[20, 5].tolist() == [0, 0, 0]


def test_transparent_parts_of_the_picture_show_the_colour():
    clear = Cutout(np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.float32))
    assert background(cutout(), clear, fill="picture").color[0, 0].tolist() == [255, 255, 255]


def test_the_blur_takes_no_colour_from_the_subject():
    result = background(cutout(), fill="blur", sigma=12)
    assert result.color[9, 30].tolist() == [0, 255, 0]
    assert result.color[20, 30].tolist() == [255, 0, 0]


def test_an_opaque_picture_hides_any_background():
    photo = Cutout(np.zeros((40, 60, 3), np.uint8), opaque(40, 60))
    assert background(photo) is photo


def test_a_missing_picture_is_said():
    with pytest.raises(SocketError, match=r"background.picture: no picture is connected. Connect"):
        background(cutout(), fill="picture")
