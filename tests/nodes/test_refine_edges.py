"""Refine Edges on cut-outs whose true matte is known."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.refine_edges import refine_edges
from qr_nodes.types import Cutout, opaque


@pytest.fixture
def truth():
    """A disk of radius 30 on 97 × 131."""
    alpha = np.zeros((97, 131), np.float32)
    cv2.circle(alpha, (65, 48), 30, 1.0, -1)
    return cv2.GaussianBlur(alpha, None, 0.8)


@pytest.fixture
def coarse(truth):
    """The disk, orange on blue, with a matte that is blurred far too much."""
    color = truth[..., None] * [220, 120, 30] + (1 - truth[..., None]) * [20, 40, 200]
    return Cutout(np.rint(color).astype(np.uint8), cv2.GaussianBlur(truth, None, 6))


def error(alpha, truth):
    return np.abs(alpha - truth).mean()


def test_the_matte_follows_the_picture(coarse, truth):
    fine = refine_edges(coarse)
    assert error(fine.alpha, truth) < 0.2 * error(coarse.alpha, truth)
    assert fine.color is coarse.color


def test_a_trimap_takes_the_place_of_the_matte(coarse, truth):
    grown = cv2.dilate(truth, np.ones((15, 15))), cv2.erode(truth, np.ones((15, 15)))
    trimap = (np.round(grown[0]) + np.round(grown[1])) / 2
    photo = Cutout(coarse.color, opaque(97, 131))
    assert error(refine_edges(photo, None, trimap, contrast=0.0).alpha, truth) < 0.01


def test_a_photograph_without_a_matte_is_given_back():
    photo = Cutout(np.zeros((37, 53, 3), np.uint8), opaque(37, 53))
    assert refine_edges(photo) is photo


def test_outside_the_region_the_matte_stays(coarse):
    where = np.zeros(coarse.shape, np.float32)
    where[:, :60] = 1
    part, whole = refine_edges(coarse, where).alpha, refine_edges(coarse).alpha
    assert (part[:, 60:] == coarse.alpha[:, 60:]).all()
    np.testing.assert_allclose(part[:, :60], whole[:, :60], atol=1e-6)


def test_trust_keeps_the_shape_of_the_matte(coarse):
    strange = Cutout(np.full_like(coarse.color, 90), coarse.alpha)
    shifted = Cutout(coarse.color, np.roll(coarse.alpha, 5, axis=1))
    low, high = (refine_edges(shifted, trust=t, contrast=0.0).alpha for t in (0.0, 100.0))
    assert error(high, shifted.alpha) < error(low, shifted.alpha)
    assert error(refine_edges(strange, trust=100.0).alpha, strange.alpha) < 0.05


def test_contrast_leaves_fewer_soft_pixels(coarse):
    soft, crisp = (refine_edges(coarse, contrast=c).alpha for c in (0.0, 80.0))
    assert ((crisp > 0) & (crisp < 1)).sum() < 0.7 * ((soft > 0) & (soft < 1)).sum()


def test_width_finds_what_a_hard_mask_missed(coarse, truth):
    small = cv2.erode(np.round(truth), np.ones((9, 9)))
    near, far = (
        refine_edges(Cutout(coarse.color, small), width=w, trust=10.0).alpha for w in (0.0, 8.0)
    )
    assert error(far, truth) < 0.5 * error(near, truth)


@pytest.fixture
def hairy(truth):
    """The disk with threads all around, and a matte that knows nothing of them."""
    alpha = truth.copy()
    for turn in np.linspace(0, 2 * np.pi, 60):
        ends = [(65 + np.cos(turn) * r, 48 + np.sin(turn) * r) for r in (25, 42)]
        cv2.polylines(alpha, [np.int32(ends)], False, 1.0, 1)
    alpha = cv2.GaussianBlur(alpha, None, 0.6)
    alpha[alpha < 0.01], alpha[alpha > 0.99] = 0, 1
    color = alpha[..., None] * [220, 120, 30] + (1 - alpha[..., None]) * [20, 40, 200]
    return Cutout(np.rint(color).astype(np.uint8), cv2.GaussianBlur(truth, None, 1)), alpha


def ring(inner, outer):
    """What the brush has marked: 1 between two distances from the middle, with a soft rim."""
    y, x = np.mgrid[:97, :131]
    distance = np.hypot(x - 65, y - 48)
    return np.float32(np.clip(distance - inner + 0.5, 0, 1) * np.clip(outer + 0.5 - distance, 0, 1))


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_hair_that_the_matte_missed_is_found_where_it_is_marked_as_unsure(hairy, hard):
    cutout, truth = hairy
    if hard:
        cutout = cutout.with_alpha(np.round(cutout.alpha))
    plain = refine_edges(cutout, contrast=0.0).alpha
    found = refine_edges(cutout, None, None, ring(24, 46), contrast=0.0).alpha
    assert error(found, truth) < 0.25 * error(plain, truth)


def test_beyond_what_is_marked_as_unsure_the_matte_is_as_without(coarse):
    unsure = ring(20, 40)
    unsure[:, :70] = 0
    found, plain = refine_edges(coarse, None, None, unsure).alpha, refine_edges(coarse).alpha
    assert np.abs(found - plain)[:, 75:].max() > 0.05
    np.testing.assert_allclose(found[:, :50], plain[:, :50], atol=0.02)
    nothing = refine_edges(coarse, None, None, np.zeros_like(unsure)).alpha
    np.testing.assert_array_equal(nothing, plain)


def test_what_is_marked_as_unsure_is_searched_beside_the_trimaps_grey(hairy):
    cutout, truth = hairy
    trimap = np.round(cutout.alpha)
    left, right = trimap.copy(), ring(24, 46)
    left[(right > 0.5) & (np.arange(131) < 65)] = 0.5
    right[:, :65] = 0
    one = refine_edges(cutout, None, left, contrast=0.0).alpha
    both = refine_edges(cutout, None, left, right, contrast=0.0).alpha
    assert error(both[:, 70:], truth[:, 70:]) < 0.25 * error(one[:, 70:], truth[:, 70:])
    assert error(both[:, :60], truth[:, :60]) < 0.02


def test_a_photograph_without_a_matte_is_searched_where_it_is_marked(coarse):
    photo = Cutout(coarse.color, opaque(*coarse.shape))
    unsure = ring(24, 36)
    found = refine_edges(photo, None, None, unsure).alpha
    assert (found[unsure == 0] == 1).all()
    assert refine_edges(photo, None, None, np.zeros_like(unsure)) is photo
    assert refine_edges(photo, None, None, opaque(*coarse.shape)).shape == photo.shape


def test_glass_that_the_scene_was_taken_out_of_stays_as_it_is(coarse):
    unmixed = np.zeros(coarse.shape, np.float32)
    unmixed[:, :65] = 1
    found = refine_edges(replace(coarse, unmixed=unmixed)).alpha
    np.testing.assert_array_equal(found[:, :65], coarse.alpha[:, :65])
    np.testing.assert_array_equal(found[:, 65:], refine_edges(coarse).alpha[:, 65:])
    assert not np.array_equal(found[:, 65:], coarse.alpha[:, 65:])


@pytest.mark.parametrize("socket", ["where", "trimap", "unsure"])
def test_a_mask_of_another_size_is_refused(coarse, socket):
    with pytest.raises(SocketError, match=rf"refine_edges\.{socket}: a mask of 5 × 4 px"):
        refine_edges(coarse, **{socket: np.ones((4, 5), np.float32)})
