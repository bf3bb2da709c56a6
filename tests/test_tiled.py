"""A matte in tiles: parts, wholes and versions, against a plain array."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from qr_nodes.tiled import SIDE, Tiled, box_of, places_in
from qr_nodes.types import Cutout, opaque

SHAPE = (2 * SIDE + 37, 3 * SIDE - 53)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def edited(rng: np.random.Generator, count: int) -> tuple[Tiled, np.ndarray]:
    """Give a matte with some rectangles replaced, and the plain array that it must equal."""
    plain = rng.random(SHAPE, np.float32)
    tiled = Tiled(plain.copy())
    for _ in range(count):
        y, x = rng.integers(0, SHAPE[0] - 1), rng.integers(0, SHAPE[1] - 1)
        box = (
            slice(int(y), int(rng.integers(y + 1, SHAPE[0] + 1))),
            slice(int(x), int(rng.integers(x + 1, SHAPE[1] + 1))),
        )
        pixels = rng.random(plain[box].shape, np.float32)
        plain[box] = pixels
        tiled = tiled.with_pixels(box, pixels)
    return tiled, plain


def test_the_whole_and_every_part_equal_the_plain_array(rng):
    for count in (0, 1, 5):
        tiled, plain = edited(rng, count)
        np.testing.assert_array_equal(tiled.whole(), plain)
        for step in (1, 2, 3, 7, 300):
            np.testing.assert_array_equal(tiled.sampled(step), plain[::step, ::step])
        for _ in range(30):
            y, x = sorted(rng.integers(0, SHAPE[0], 2)), sorted(rng.integers(0, SHAPE[1], 2))
            box = slice(int(y[0]), int(y[1]) + 1), slice(int(x[0]), int(x[1]) + 1)
            np.testing.assert_array_equal(tiled.window(box), plain[box])


def test_a_version_shares_all_but_the_tiles_that_changed(rng):
    tiled, _ = edited(rng, 2)
    box = slice(10, 20), slice(SIDE - 5, SIDE + 5)
    other = tiled.with_pixels(box, np.zeros((10, 10), np.float32))
    assert other.changed(tiled) == tiled.changed(other) == {(0, 0), (0, 1)}
    assert all(other.same(tiled, at) for at in [(1, 0), (2, 2)])
    assert tiled.changed(Tiled(np.zeros(SHAPE, np.float32))) is None
    before = tiled.whole()
    other.with_pixels((slice(0, 30), slice(0, 30)), np.ones((30, 30), np.float32))
    np.testing.assert_array_equal(tiled.whole(), before)


def test_the_tiles_cover_the_picture_once():
    count = np.zeros(SHAPE, int)
    for place in places_in((slice(0, SHAPE[0]), slice(0, SHAPE[1])), SHAPE):
        count[box_of(place, SHAPE)] += 1
    assert (count == 1).all()
    assert places_in((slice(5, 5), slice(0, 9)), SHAPE) == []


def test_a_cutout_gives_the_array_it_was_made_of_and_puts_tiles_together_once_at_a_time(rng):
    alpha = rng.random(SHAPE, np.float32)
    cutout = Cutout(np.zeros((*SHAPE, 3), np.uint8), alpha)
    assert cutout.alpha is alpha
    edited = cutout.with_alpha(
        cutout.tiles.with_pixels((slice(0, 1), slice(0, 1)), alpha[:1, :1] * 0)
    )
    assert edited.shape == SHAPE
    whole = edited.alpha
    once, fixed = whole is edited.alpha, not whole.flags.writeable
    assert once and fixed
    known = weakref.ref(whole)
    del whole
    gc.collect()
    assert known() is None
    assert edited.with_color(cutout.color[..., ::-1]).tiles is edited.tiles


def test_an_opaque_matte_in_tiles_still_takes_no_room():
    cutout = Cutout(np.zeros((*SHAPE, 3), np.uint8), opaque(*SHAPE))
    assert cutout.alpha.strides == (0, 0)
    assert next(iter(cutout.tiles.arrays)).strides == (0, 0)
