"""Alpha matting against composites whose matte is known."""

import cv2
import numpy as np
import pytest
from skimage import data

from qr_nodes.imaging import matting, strips
from qr_nodes.imaging.matting import refined_alpha, unsure_band


def disk(height, width, radius, softness):
    """A disk in the middle whose alpha falls from 1 to 0 over `softness` px."""
    y, x = np.mgrid[:height, :width]
    far = np.hypot(y - height / 2, x - width / 2)
    return np.clip((radius - far) / softness + 0.5, 0, 1).astype(np.float32)


def composite(fore, back, alpha):
    alpha = alpha[..., None]
    return np.rint(fore * alpha + back * (1 - alpha)).astype(np.uint8)


def trimap(alpha, reach):
    soft = ((alpha > 0) & (alpha < 1)).astype(np.uint8)
    unknown = cv2.dilate(soft, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    return np.where(unknown, np.float32(0.5), np.round(alpha)), unknown.astype(np.uint8)


@pytest.mark.parametrize("size", [(97, 131), (230, 190)])
@pytest.mark.parametrize("softness", [2, 14])
def test_a_disk_of_plain_colours_is_found_from_a_trimap(size, softness):
    alpha = disk(*size, radius=35, softness=softness)
    picture = composite(np.array([210, 90, 40]), np.array([30, 70, 190]), alpha)
    found = refined_alpha(picture, *trimap(alpha, 8), trust=0, contrast=0)
    assert np.abs(found - alpha).max() < 0.06


@pytest.fixture(scope="module")
def hair():
    """A ball with threads of hair before a photograph: the picture and its true matte."""
    rng = np.random.default_rng(3)
    alpha = np.zeros((240, 320), np.float32)
    cv2.circle(alpha, (160, 120), 50, 1.0, -1)
    for turn in rng.uniform(0, 2 * np.pi, 160):
        ends = [(160 + np.cos(turn) * r, 120 + np.sin(turn) * r) for r in (45, 70)]
        cv2.polylines(alpha, [np.int32(ends)], False, 1.0, 1)
    alpha = cv2.GaussianBlur(alpha, None, 0.7)
    alpha[alpha < 0.01], alpha[alpha > 0.99] = 0, 1
    back = cv2.GaussianBlur(cv2.resize(data.coffee(), (320, 240)), None, 3)
    return composite(np.array([235, 225, 90]), back, alpha), alpha


def ball(radius):
    return cv2.GaussianBlur(disk(240, 320, radius, softness=2), None, 2)


def test_hair_before_a_photograph_is_found_from_a_trimap(hair):
    picture, alpha = hair
    guess, unsure = trimap(alpha, 6)
    found = refined_alpha(picture, guess, unsure, trust=0, contrast=0)
    assert np.abs(found - alpha).sum() < 0.25 * np.abs(guess - alpha).sum()


@pytest.fixture
def boxes(monkeypatch):
    """Solve each level in boxes, however small; gives those of each level as they come."""
    made = []

    def small(near):
        made.append(_boxes(near))
        return made[-1]

    _boxes = matting._boxes
    monkeypatch.setattr(matting, "GRAIN", 300)
    monkeypatch.setattr(matting, "CELL", 16)
    monkeypatch.setattr(matting, "_boxes", small)
    return made


@pytest.mark.parametrize("trust", [0, 0.3])
@pytest.mark.parametrize("size", [(240, 320), (235, 307)])
def test_solving_around_the_band_alone_gives_what_solving_all_of_it_gives(
    hair, boxes, monkeypatch, trust, size
):
    picture, alpha = (x[: size[0], : size[1]] for x in hair)
    guess, unsure = trimap(alpha, 3) if trust == 0 else (alpha, unsure_band(alpha, 2))
    some = refined_alpha(picture, guess, unsure, trust)
    finest = sum((y.stop - y.start) * (x.stop - x.start) for y, x in boxes[-1])
    assert finest < 0.5 * unsure.size and len(boxes[-1]) > 5
    monkeypatch.setattr(matting, "GRAIN", 10**6)
    whole = refined_alpha(picture, guess, unsure, trust)
    assert len(boxes[-1]) == 1
    assert np.abs(some - whole).max() < 5e-4


def test_a_band_that_vanishes_at_a_coarse_level_is_still_solved(boxes):
    guess, unsure = np.zeros((400, 500), np.float32), np.zeros((400, 500), np.uint8)
    unsure[200, 250] = 1
    found = refined_alpha(np.full((400, 500, 3), 77, np.uint8), guess, unsure)
    assert len(boxes) == len(matting.STEPS) and not found.any()


@pytest.mark.parametrize("radius", [48, 66], ids=["missed", "filled"])
def test_hair_that_the_matte_has_wrong_is_found_where_it_is_doubted(hair, radius):
    picture, alpha = hair
    guess, unsure = ball(radius), trimap(alpha, 6)[1]
    doubted = cv2.GaussianBlur(unsure.astype(np.float32), None, 1)
    band = unsure_band(guess, 2) | unsure
    plain = refined_alpha(picture, guess, band, contrast=0)
    found = refined_alpha(picture, guess, band, contrast=0, doubted=doubted)
    wrong = [np.abs(x - alpha)[unsure > 0].sum() for x in (guess, plain, found)]
    assert wrong[2] < 0.3 * wrong[0] and wrong[2] < 0.5 * wrong[1]


def test_doubt_nowhere_and_doubt_beside_a_trimap_change_nothing(hair):
    picture, _ = hair
    guess, nowhere = ball(48), np.zeros((240, 320), np.float32)
    unsure = unsure_band(guess, 6)
    for trust, doubted in ((0.3, nowhere), (0, nowhere), (0, nowhere + 1)):
        np.testing.assert_array_equal(
            refined_alpha(picture, guess, unsure, trust, doubted=doubted),
            refined_alpha(picture, guess, unsure, trust),
        )


def test_more_doubt_goes_farther_from_the_matte(hair):
    picture, alpha = hair
    guess, unsure = ball(48), trimap(alpha, 6)[1]
    errors = []
    for doubt in (0, 0.25, 0.5, 0.75, 1):
        doubted = unsure * np.float32(doubt)
        found = refined_alpha(picture, guess, unsure, contrast=0, doubted=doubted)
        errors.append(np.abs(found - alpha).sum())
    assert (np.diff(errors) < 0).all()


def test_a_blurred_matte_gets_its_edge_back():
    alpha = disk(230, 190, radius=60, softness=2)
    picture = composite(data.astronaut()[100:330, 150:340], np.array([20, 200, 90]), alpha)
    blurred = cv2.GaussianBlur(alpha, None, 6)
    found = refined_alpha(picture, blurred, unsure_band(blurred, 2))
    assert np.abs(found - alpha).sum() < 0.4 * np.abs(blurred - alpha).sum()


def test_outside_the_band_alpha_is_0_or_1():
    guess = cv2.GaussianBlur(disk(150, 170, radius=40, softness=1), None, 5)
    unsure = unsure_band(guess)
    found = refined_alpha(data.astronaut()[:150, :170], guess, unsure)
    np.testing.assert_array_equal(found[unsure == 0], (guess > 0.5)[unsure == 0])


def test_where_colours_are_alike_the_matte_is_kept():
    guess = disk(97, 131, radius=30, softness=20)
    flat = np.full((97, 131, 3), 128, np.uint8)
    found = refined_alpha(flat, guess, unsure_band(guess), contrast=0)
    assert np.abs(found - guess).max() < 0.25


def test_the_band_is_the_soft_part_grown_by_its_width():
    alpha = np.zeros((37, 53), np.float32)
    alpha[:, 20:], alpha[:, 18:20] = 1, 0.5
    assert (np.flatnonzero(unsure_band(alpha)[5]) == [18, 19]).all()
    assert (np.flatnonzero(unsure_band(alpha, 3)[5]) == np.arange(15, 23)).all()
    hard = np.round(alpha)
    assert not unsure_band(hard).any()
    assert (np.flatnonzero(unsure_band(hard, 2)[5]) == np.arange(18, 22)).all()


def test_a_large_picture_solved_at_less_than_full_size_is_as_good(monkeypatch):
    alpha = disk(331, 405, radius=110, softness=6)
    picture = composite(np.array([210, 90, 40]), np.array([30, 70, 190]), alpha)
    for most, worst in ((10**6, 0.06), (40_000, 0.1), (10_000, 0.15)):
        monkeypatch.setattr(matting, "WORK", most)
        found = refined_alpha(picture, *trimap(alpha, 12), trust=0, contrast=0)
        assert np.abs(found - alpha).max() < worst


@pytest.mark.parametrize("dtype, top", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_every_depth_gives_the_same_matte(dtype, top):
    guess = disk(97, 131, radius=30, softness=20)
    picture = data.astronaut()[:97, :131] / 255
    found = refined_alpha((picture * top).astype(dtype), guess, unsure_band(guess))
    expected = refined_alpha(picture.astype(np.float32), guess, unsure_band(guess))
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3), (37, 53)])
@pytest.mark.parametrize("value", [0, 0.4, 1])
def test_smallest_pictures_and_flat_mattes_pass(size, value):
    guess = np.full(size, value, np.float32)
    found = refined_alpha(np.full((*size, 3), 77, np.uint8), guess, unsure_band(guess, 2))
    assert found.dtype == np.float32 and found.shape == size
    assert np.abs(found - value).max() <= 0.2


def test_checkpoints_come_often():
    guess, calls = disk(400, 500, radius=150, softness=20), []
    refined_alpha(
        np.zeros((400, 500, 3), np.uint8),
        guess,
        unsure_band(guess),
        checkpoint=lambda: calls.append(1),
    )
    assert len(calls) > 30


def test_large_pictures_are_gone_through_in_strips_that_leave_no_seam(monkeypatch):
    guess = cv2.GaussianBlur(disk(230, 191, radius=60, softness=2), None, 4)
    picture, unsure = data.astronaut()[100:330, 150:341], unsure_band(guess, 2)
    monkeypatch.setattr(matting, "WORK", 12_000)  # so that it is solved at half the size
    whole = refined_alpha(picture, guess, unsure)
    monkeypatch.setattr(strips, "GRAIN", 5000)
    monkeypatch.setattr(matting, "GRAIN", 300)
    np.testing.assert_allclose(refined_alpha(picture, guess, unsure), whole, atol=1e-4)
    assert (unsure_band(guess, 2) == unsure).all()
