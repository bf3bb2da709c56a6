"""Refine Edges on cut-outs whose true matte is known."""

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


@pytest.mark.parametrize("socket", ["where", "trimap"])
def test_a_mask_of_another_size_is_refused(coarse, socket):
    with pytest.raises(SocketError, match=rf"refine_edges\.{socket}: a mask of 5 × 4 px"):
        refine_edges(coarse, **{socket: np.ones((4, 5), np.float32)})
