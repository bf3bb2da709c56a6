"""Foreground estimation against composites whose parts are known."""

import cv2
import numpy as np
import pytest
from skimage import data

from qr_nodes.imaging import foreground
from qr_nodes.imaging.foreground import TILE, decontaminated


def soft_disk(height, width, radius, softness):
    """A disk in the middle whose alpha falls from 1 to 0 over `softness` px."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - height / 2, x - width / 2)
    return np.clip((radius - far) / softness + 0.5, 0, 1).astype(np.float32)


def composite(fore, back, alpha):
    alpha = alpha[..., None]
    return np.rint(fore * alpha + back * (1 - alpha)).astype(np.uint8)


def worst(found, fore, alpha, least=0.1):
    """The greatest error, where more than `least` is seen of the foreground, 0..255."""
    return np.abs(found.astype(float) - fore)[alpha > least].max()


@pytest.mark.parametrize("size", [(37, 53), (150, 131)])
def test_plain_colours_are_found_exactly(size):
    alpha = soft_disk(*size, radius=min(size) / 3, softness=9)
    fore, back = np.array([200, 80, 30]), np.array([20, 90, 220])
    found = decontaminated(composite(fore, back, alpha), alpha)
    assert worst(found, fore, alpha) <= 4


def test_colour_ramps_are_followed():
    alpha = soft_disk(211, 173, radius=60, softness=20)
    y, x = np.mgrid[:211, :173]
    fore = np.stack([200 - y / 3, 60 + x / 2, 30 + y / 4], 2)
    back = np.stack([20 + x / 2, 90 + y / 3, 220 - x / 3], 2)
    found = decontaminated(composite(fore, back, alpha), alpha)
    assert worst(found, fore, alpha, 0.3) <= 8


def test_photographs_are_taken_apart_far_better_than_left_alone():
    fore = data.astronaut()[:300, :400].astype(np.float32)
    back = cv2.resize(data.coffee(), (400, 300)).astype(np.float32)
    rng = np.random.default_rng(5)
    alpha = cv2.GaussianBlur((rng.random((300, 400)) < 0.5).astype(np.float32), None, 4)
    alpha = np.clip((alpha - 0.45) * 10, 0, 1)
    picture = composite(fore, back, alpha)
    found = decontaminated(picture, alpha).astype(np.float32)
    soft = (alpha > 0.02) & (alpha < 0.98)

    def error(color):
        return (np.abs(color - fore).mean(2) * alpha)[soft].sum() / alpha[soft].sum()

    assert error(found) < 0.4 * error(picture.astype(np.float32))


def test_only_the_soft_edge_and_its_surroundings_change():
    alpha = soft_disk(230, 190, radius=50, softness=12)
    picture = data.astronaut()[100:330, 150:340]
    changed = (decontaminated(picture, alpha, spread=3) != picture).any(2)
    seen = cv2.dilate((alpha > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert changed.any()
    assert not changed[alpha == 1].any()
    assert not changed[~seen].any()


def test_the_foreground_goes_on_where_alpha_is_0():
    alpha = (soft_disk(90, 110, radius=25, softness=1) > 0.5).astype(np.float32)
    fore, back = np.array([210, 60, 40]), np.array([30, 40, 200])
    found = decontaminated(composite(fore, back, alpha), alpha, spread=5)
    near = cv2.dilate(alpha, np.ones((11, 11), np.uint8)) > 0
    assert np.abs(found[near].astype(int) - fore).max() <= 3
    assert (found[~near] == back).all()


@pytest.mark.parametrize("spread", [0, 4])
def test_a_hard_mask_or_none_leaves_the_very_same_picture(spread):
    picture = data.astronaut()[:37, :53]
    for value in (0, 1):
        alpha = np.full((37, 53), value, np.float32)
        assert decontaminated(picture, alpha, spread=spread) is picture


@pytest.mark.parametrize("dtype, top", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_every_depth_gives_the_same_colours(dtype, top):
    alpha = soft_disk(71, 83, radius=20, softness=10)
    picture = data.astronaut()[100:171, 200:283]
    found = decontaminated((picture / 255 * top).astype(dtype), alpha)
    assert found.dtype == dtype
    expected = decontaminated(picture.astype(np.float32) / 255, alpha)
    np.testing.assert_allclose(found / top, expected, atol=1.5 / 255)


def test_half_strength_goes_half_way():
    alpha = soft_disk(71, 83, radius=20, softness=10)
    picture = data.astronaut()[100:171, 200:283].astype(np.float32) / 255
    half, full = decontaminated(picture, alpha, 0.5), decontaminated(picture, alpha, 1.0)
    np.testing.assert_allclose(half, (picture + full) / 2, atol=1e-6)


def test_a_region_is_kept_to_and_cleaned_as_it_would_be_with_the_rest():
    alpha = soft_disk(150, 200, radius=50, softness=12)
    picture = data.astronaut()[100:250, 150:350]
    where = np.zeros(alpha.shape, np.float32)
    where[:, :100] = 1
    part, whole = decontaminated(picture, alpha, where=where), decontaminated(picture, alpha)
    assert (part[:, 100:] == picture[:, 100:]).all()
    assert np.abs(part[:, :100].astype(int) - whole[:, :100]).max() <= 24
    assert np.abs(part[:, :100].astype(int) - whole[:, :100]).mean() < 0.2


def test_tiles_leave_no_seam():
    size = 4 * TILE + 3
    alpha = np.full((size, size), 0.5, np.float32)
    alpha[:, :20], alpha[:, -20:] = 1, 0
    x = np.linspace(0, 1, size, dtype=np.float32)[None, :, None]
    picture = np.broadcast_to(x, (size, size, 3)).copy()
    found = decontaminated(picture, alpha)
    assert np.abs(np.diff(found, axis=0)).max() < 2e-3


def test_half_seen_all_over_gives_the_picture_back():
    picture = data.astronaut()[:37, :53].astype(np.float32) / 255
    found = decontaminated(picture, np.full((37, 53), 0.5, np.float32))
    assert np.abs(found - picture).mean() < 0.03


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_smallest_pictures_pass(size):
    picture = np.full((*size, 3), 77, np.uint8)
    assert (decontaminated(picture, np.full(size, 0.3, np.float32)) == 77).all()


def test_checkpoints_come_between_batches():
    alpha = soft_disk(700, 700, radius=300, softness=12)
    calls = []
    decontaminated(np.zeros((700, 700, 3), np.uint8), alpha, checkpoint=lambda: calls.append(1))
    assert len(calls) > 10


def test_tiles_give_the_same_together_and_alone(monkeypatch):
    alpha = soft_disk(331, 277, radius=110, softness=25)
    picture = data.astronaut()[100:431, 150:427].astype(np.float32) / 255
    together = decontaminated(picture, alpha)
    monkeypatch.setattr(foreground, "BATCH", 1)
    np.testing.assert_allclose(decontaminated(picture, alpha), together, atol=1e-5)


def test_where_half_counts_half():
    alpha = soft_disk(150, 131, radius=40, softness=12)
    picture = data.astronaut()[100:250, 150:281].astype(np.float32) / 255
    x = np.linspace(0, 1, 131, dtype=np.float32)
    where = np.ascontiguousarray(np.broadcast_to(x, alpha.shape))
    full, part = decontaminated(picture, alpha), decontaminated(picture, alpha, where=where)
    inner = np.s_[:, 1:]
    expected = picture + (full - picture) * where[..., None]
    np.testing.assert_allclose(part[inner], expected[inner], atol=2e-3)
