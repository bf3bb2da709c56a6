import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.node import Job
from qr_nodes.nodes.decontaminate import decontaminate
from qr_nodes.nodes.refine_edges import refine_edges
from qr_nodes.nodes.transparency_fix import transparency_fix
from qr_nodes.types import Cutout, opaque


class Listening(Job):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def veil():
    """A half-transparent white veil over a blue wall; the matte takes it for solid."""
    y, x = np.mgrid[:67, :83]
    color = np.zeros((67, 83, 3), np.uint8)
    color[...] = (40, 60, 160)
    inside = np.hypot(y - 33, x - 41) < 20
    color[inside] = (147, 157, 207)
    color[30:36, 38:44] = 250
    alpha = inside.astype(np.float32)
    alpha.flags.writeable = color.flags.writeable = False
    return Cutout(color, alpha), inside


def test_a_veil_in_the_region_becomes_see_through():
    cutout, inside = veil()
    fixed = transparency_fix(cutout, np.ones((67, 83), np.float32), haze=0.0)
    assert fixed.color.dtype == np.uint8
    assert 0.4 < fixed.alpha[20, 41] < 0.7
    assert fixed.alpha[33, 41] > 0.95
    assert (fixed.color[20, 41] > 220).all()
    assert fixed.alpha[~inside].max() == 0


def test_where_the_scene_was_taken_out_is_said_to_what_comes_after():
    cutout, _ = veil()
    left, right = np.zeros((2, 67, 83), np.float32)
    left[:, :40], right[:, 40:] = 0.5, 1
    fixed = transparency_fix(cutout, left)
    np.testing.assert_array_equal(fixed.unmixed, left)
    np.testing.assert_array_equal(transparency_fix(fixed, right).unmixed, left + right)
    assert transparency_fix(cutout, left, strength=0.0).unmixed is None
    assert refine_edges(decontaminate(fixed)).unmixed is fixed.unmixed


def test_strength_goes_part_of_the_way():
    cutout, _ = veil()
    region = np.ones((67, 83), np.float32)
    half, full = (transparency_fix(cutout, region, strength=s, haze=0.0) for s in (0.5, 1.0))
    assert half.alpha[20, 41] == pytest.approx((1 + full.alpha[20, 41]) / 2, abs=0.02)
    assert transparency_fix(cutout, region, strength=0.0, holes=0.0) is cutout


def test_an_opaque_subject_passes_through():
    cutout, _ = veil()
    assert transparency_fix(cutout) is cutout
    whole, nothing = Cutout(cutout.color, opaque(67, 83)), Cutout(cutout.color, 0 * cutout.alpha)
    assert transparency_fix(whole) is whole
    assert transparency_fix(nothing) is nothing


def test_holes_are_closed_within_the_limit():
    cutout, _ = veil()
    alpha = np.array(cutout.alpha)
    alpha[31:35, 39:43] = 0
    holed = cutout.with_alpha(alpha)
    assert transparency_fix(holed, holes=5.0).alpha[33, 41] == 1
    assert transparency_fix(holed, holes=5.0).color is cutout.color
    assert transparency_fix(holed, holes=0.1) is holed


def test_it_says_when_no_background_is_in_sight():
    cutout, _ = veil()
    job = Listening()
    grey = cutout.with_alpha(np.full((67, 83), 0.5, np.float32))
    assert transparency_fix(grey, np.ones((67, 83), np.float32), job=job) is grey
    assert job.notes == ["No background is in sight to tell what is see-through."]


def test_a_region_of_another_size_is_refused():
    cutout, _ = veil()
    with pytest.raises(SocketError, match=r"transparency_fix\.where: a mask of 5 × 4 px"):
        transparency_fix(cutout, np.ones((4, 5), np.float32))
