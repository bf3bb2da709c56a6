import cv2
import numpy as np
import pytest

from qr_nodes.imaging import drawn
from qr_nodes.imaging.drawn import drawn_to_edges
from qr_nodes.imaging.lanczos import resize_unit
from qr_nodes.imaging.shown import Shown

RNG = np.random.default_rng(7)


def scene(height=353, width=487):
    """A blue subject with a slanted edge on a yellow ground, and its true matte."""
    y, x = np.mgrid[:height, :width]
    true = np.clip((x - 0.3 * y - 0.3 * width) + 0.5, 0, 1).astype(np.float32)
    color = true[..., None] * [40, 60, 200] + (1 - true[..., None]) * [220, 210, 90]
    color += RNG.normal(0, 3, color.shape)
    return np.clip(np.rint(color), 0, 255).astype(np.uint8), true


def test_a_blunt_matte_takes_on_the_pictures_edge():
    color, true = scene()
    blunt = resize_unit(resize_unit(true, 40, 56), 180, 248)
    found = drawn_to_edges(Shown(color), blunt)
    plain = resize_unit(blunt, *true.shape)
    assert found.shape == true.shape and found.dtype == np.float32
    assert np.abs(found - true).mean() < 0.35 * np.abs(plain - true).mean()


def test_where_colours_tell_nothing_the_matte_keeps_its_contour(monkeypatch):
    _, true = scene()
    y, x = np.mgrid[: true.shape[0], : true.shape[1]] // 12
    color = RNG.integers(0, 256, (50, 50, 3), np.uint8)[y, x]  # patches, on either side others
    color[true > 0.5] = RNG.integers(0, 256, (50, 50, 3), np.uint8)[y, x][true > 0.5]
    matte = cv2.resize(true, (244, 177), interpolation=cv2.INTER_AREA)
    error = np.abs(drawn_to_edges(Shown(color), matte) - true).mean()
    monkeypatch.setattr(drawn, "FIT", (-2.0, -1.0))  # wide windows everywhere
    assert error < 0.003
    assert error < 0.2 * np.abs(drawn_to_edges(Shown(color), matte) - true).mean()


def test_haze_is_cleared_and_what_is_sure_is_exact():
    color, true = scene()
    hazy = 0.06 + 0.88 * resize_unit(true, 180, 248)
    found = drawn_to_edges(Shown(color), hazy)
    far = np.abs(found - true) < 1e-6
    assert far.mean() > 0.9


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (257, 3), (300, 520)])
def test_any_size_and_any_depth(shape):
    color = RNG.integers(0, 256, (*shape, 3), np.uint8)
    matte = RNG.random((max(1, shape[0] // 2), max(1, shape[1] // 2)), np.float32)
    found = drawn_to_edges(Shown(color), matte)
    assert found.shape == shape and found.min() >= 0 and found.max() <= 1
    for other in (color.astype(np.uint16) * 257, color.astype(np.float32) / 255):
        np.testing.assert_allclose(drawn_to_edges(Shown(other), matte), found, atol=1e-4)


def test_it_can_be_stopped():
    class Stop(Exception):
        pass

    def checkpoint():
        raise Stop

    color, true = scene()
    with pytest.raises(Stop):
        drawn_to_edges(Shown(color), true, checkpoint=checkpoint)
