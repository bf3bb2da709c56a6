"""What a network is shown: what Pillow gives, or nearly where the picture is halved first."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from qr_nodes.imaging import shown, strips
from qr_nodes.imaging.shown import Shown

RNG = np.random.default_rng(5)


def pillow(array, height, width):
    image = Image.fromarray(array)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


@pytest.fixture
def photograph():
    """A photograph of 6 MP with grain, of an odd size."""
    large = Image.fromarray(data.astronaut()).resize((3001, 1999), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(large) + RNG.normal(0, 4, (1999, 3001, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("shape", [(37, 53), (600, 301), (1, 1), (1, 500)])
def test_a_picture_not_much_larger_is_resized_as_pillow_does(shape, monkeypatch):
    monkeypatch.setattr(strips, "GRAIN", 5000)  # several strips even here
    color = RNG.integers(0, 256, (*shape, 3), np.uint8)
    apart = np.abs(Shown(color).resized(32, 48).astype(int) - pillow(color, 32, 48))
    assert apart.max() <= 1  # Pillow takes rows first where that is less work


@pytest.mark.parametrize("size", [(240, 240), (192, 320), (100, 120)])  # halved 1, 1, 2 times
def test_a_much_larger_photograph_is_within_a_step_of_pillows(size, photograph):
    apart = np.abs(Shown(photograph).resized(*size).astype(int) - pillow(photograph, *size))
    assert (apart > 1).mean() < 0.002 and apart.mean() < 0.4
    assert apart[:-5, :-5].max() <= 2  # at the far border a half's last pixel is of an odd one


def test_means_of_a_half_are_those_of_the_whole(photograph):
    found = Shown(photograph).averaged(260, 400)
    rows, columns = (np.linspace(0, n, m + 1) for n, m in ((1999, 260), (3001, 400)))
    for y, x in ((0, 0), (100, 31), (200, 399)):
        top, bottom = int(rows[y]), int(np.ceil(rows[y + 1]))
        left, right = int(columns[x]), int(np.ceil(columns[x + 1]))
        part = photograph[top:bottom, left:right].reshape(-1, 3)
        np.testing.assert_allclose(found[y, x], part.mean(axis=0), atol=3)


def test_halves_are_made_once(photograph, monkeypatch):
    made, halved = [], Shown._halved
    monkeypatch.setattr(Shown, "_halved", lambda *a: made.append(1) or halved(*a))
    picture = Shown(photograph)
    first = picture.resized(100, 120)
    picture.resized(240, 240)
    np.testing.assert_array_equal(picture.resized(100, 120), first)
    assert len(made) == 2


@pytest.mark.parametrize("size", [(16, 16), (3, 4)])  # of the whole, of a quarter
def test_every_depth_gives_the_same_bytes(size):
    color = RNG.integers(0, 256, (37, 53, 3), np.uint8)
    for other in (color.astype(np.uint16) * 257, np.float32(color) / 255):
        for method in ("resized", "averaged"):
            expected = getattr(Shown(color), method)(*size)
            np.testing.assert_array_equal(getattr(Shown(other), method)(*size), expected)


@pytest.mark.parametrize("method", ["resized", "averaged"])
@pytest.mark.parametrize("size", [(8, 8), (2, 2), (37, 53)])
def test_transparent_parts_look_grey(method, size):
    color = np.full((37, 53, 3), 250, np.uint8)
    alpha = np.zeros((37, 53), np.float32)
    assert (getattr(Shown(color, alpha, ground=128), method)(*size) == 128).all()
    assert (getattr(Shown(color, alpha + 1), method)(*size) == 250).all()


def test_a_part_is_a_picture_of_its_own(photograph):
    rows, columns = slice(100, 1300), slice(501, 2000)
    found = Shown(photograph).part(rows, columns).resized(100, 100)
    expected = Shown(photograph[rows, columns].copy()).resized(100, 100)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", ["resized", "averaged"])
def test_work_stops_between_strips(method, monkeypatch, stopping):
    monkeypatch.setattr(strips, "GRAIN", 1000)
    color = np.zeros((200, 100, 3), np.uint16)
    size = 8 * shown.GAP, 8
    stopping(lambda checkpoint: getattr(Shown(color, checkpoint=checkpoint), method)(*size))
