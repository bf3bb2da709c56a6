"""Resize: sizes asked for are sizes given."""

import numpy as np
import pytest

from qr_nodes.errors import ParamError
from qr_nodes.nodes.resize import resize
from qr_nodes.types import Cutout, Source, opaque


def photo(height=60, width=100):
    color = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Cutout(color, opaque(height, width), Source(name="photo.png"))


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"longest": 50}, (30, 50)),
        ({"longest": 200}, (60, 100)),
        ({"longest": 200, "enlarge": True}, (120, 200)),
        ({"by": "percent", "percent": 10}, (6, 10)),
        ({"by": "percent", "percent": 0.1}, (1, 1)),
        ({"by": "percent", "percent": 200}, (120, 200)),
        ({"by": "box", "width": 50, "height": 50}, (30, 50)),
        ({"by": "box", "width": 50, "height": 50, "fit": "cover"}, (50, 50)),
        ({"by": "box", "width": 50, "height": 70, "fit": "stretch"}, (60, 50)),
        ({"by": "box", "width": 300, "height": 300, "fit": "cover"}, (60, 60)),
    ],
)
def test_the_size_follows_the_settings(settings, shape):
    result = resize(photo(), **settings)
    assert result.shape == shape
    assert result.color.shape == (*shape, 3)
    assert result.color.dtype == np.uint8
    assert result.source.name == "photo.png"


def test_the_same_size_passes_the_picture_on():
    before = photo()
    assert resize(before, longest=100) is before


def test_a_cover_cuts_off_evenly():
    color = np.zeros((10, 30, 3), np.uint8)
    color[:, 10:20] = 200
    result = resize(Cutout(color, opaque(10, 30)), by="box", width=10, height=10, fit="cover")
    assert (result.color == 200).all()


def test_nearest_keeps_square_pixels():
    result = resize(photo(3, 5), longest=20, enlarge=True, kernel="nearest")
    np.testing.assert_array_equal(result.color, photo(3, 5).color.repeat(4, 0).repeat(4, 1))


def test_a_result_too_large_to_hold_is_refused():
    with pytest.raises(ParamError, match=r"resize: the result would have 65535 × 39321 px. Use"):
        resize(photo(), longest=65535, enlarge=True)
