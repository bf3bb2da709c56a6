"""Decontaminate on cut-outs whose foreground is known."""

from dataclasses import replace

import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.decontaminate import decontaminate
from qr_nodes.types import Cutout, opaque


@pytest.fixture
def leaf():
    """A red ramp over blue, 37 × 53, soft over 12 columns."""
    alpha = np.clip((np.arange(53) - 20) / 12, 0, 1).astype(np.float32)
    alpha = np.ascontiguousarray(np.broadcast_to(alpha, (37, 53)))
    color = alpha[..., None] * [220, 40, 30] + (1 - alpha[..., None]) * [20, 40, 200]
    return Cutout(np.rint(color).astype(np.uint8), alpha)


def test_no_blue_is_left_in_the_soft_edge(leaf):
    clean = decontaminate(leaf)
    assert np.abs(clean.color[leaf.alpha > 0.1] - np.array([220.0, 40, 30])).max() <= 4


def test_the_matte_is_passed_on(leaf):
    assert decontaminate(leaf).alpha is leaf.alpha


def test_strength_0_gives_the_cutout_back(leaf):
    assert decontaminate(leaf, strength=0.0) is leaf


def test_a_picture_without_transparency_is_given_back():
    photo = Cutout(np.zeros((37, 53, 3), np.uint8), opaque(37, 53))
    assert decontaminate(photo) is photo


def test_spread_says_how_far_the_colour_goes_on(leaf):
    near, far = decontaminate(leaf, spread=0.0), decontaminate(leaf, spread=10.0)
    assert (near.color[:, :20] == leaf.color[:, :20]).all()
    assert (far.color[:, 12:20, 0] > 150).all()


def test_colours_that_are_the_subjects_own_already_stay(leaf):
    own = replace(leaf, unmixed=np.broadcast_to(np.float32(np.arange(37) < 20), (53, 37)).T)
    found, plain = decontaminate(own), decontaminate(leaf)
    np.testing.assert_array_equal(found.color[:20, 21:], leaf.color[:20, 21:])
    np.testing.assert_array_equal(found.color[20:], plain.color[20:])
    # What cannot be seen takes its colour from around still: a feather would bring it out.
    np.testing.assert_array_equal(found.color[:18, 17:20], plain.color[:18, 17:20])
    assert (found.color[:18, 17:20] != leaf.color[:18, 17:20]).any()


def test_a_region_of_another_size_is_refused(leaf):
    with pytest.raises(SocketError, match=r"decontaminate\.where: a mask of 5 × 4 px"):
        decontaminate(leaf, np.ones((4, 5), np.float32))
