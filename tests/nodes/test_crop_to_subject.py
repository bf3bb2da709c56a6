"""Crop to Subject: boxes, margins, proportions."""

import numpy as np
import pytest

from qr_nodes.errors import ParamError
from qr_nodes.node import Job
from qr_nodes.nodes.crop_to_subject import crop_to_subject
from qr_nodes.types import Cutout, opaque


def cutout():
    """A subject of 20 × 10 px (width × height) at x = 30, y = 15 of 100 × 80."""
    alpha = np.zeros((80, 100), np.float32)
    alpha[15:25, 30:50] = 1
    alpha[14, 30:50] = 0.04
    color = np.arange(80 * 100 * 3, dtype=np.uint16).reshape(80, 100, 3)
    return Cutout(color, alpha)


def test_the_crop_is_the_subject_itself():
    before = cutout()
    after = crop_to_subject(before)
    np.testing.assert_array_equal(after.alpha, np.ones((10, 20)))
    np.testing.assert_array_equal(after.color, before.color[15:25, 30:50])


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"threshold": 0}, (11, 20)),
        ({"threshold": 1}, (10, 20)),
        ({"margin": 3}, (16, 26)),
        ({"margin_percent": 10}, (14, 24)),
        ({"aspect": "square"}, (20, 20)),
        ({"aspect": "4:5"}, (25, 20)),
        ({"aspect": "picture"}, (16, 20)),
        ({"margin": 1000}, (80, 100)),
        ({"margin": 40, "extend": True}, (90, 100)),
        ({"aspect": "square", "margin": 40}, (80, 100)),
        ({"aspect": "square", "margin": 40, "extend": True}, (100, 100)),
    ],
)
def test_the_size_follows_the_settings(settings, shape):
    assert crop_to_subject(cutout(), **settings).shape == shape


def test_a_result_that_nothing_can_hold_is_refused():
    wide = Cutout(np.zeros((1, 5000, 3), np.uint8), opaque(1, 5000))
    with pytest.raises(ParamError, match=r"have 45000 × 40001 px\. Use a smaller margin"):
        crop_to_subject(wide, margin_percent=400, extend=True)


def test_a_crop_is_moved_inside_the_picture():
    alpha = np.zeros((80, 100), np.float32)
    alpha[0:4, 0:40] = 1
    after = crop_to_subject(Cutout(np.zeros((80, 100, 3), np.uint8), alpha), aspect="square")
    assert after.shape == (40, 40)
    assert (after.alpha[:4] == 1).all()


def test_space_beyond_the_picture_is_transparent():
    photo = Cutout(np.full((10, 20, 3), 7, np.uint8), opaque(10, 20))
    after = crop_to_subject(photo, aspect="square", extend=True)
    assert after.alpha[:5].max() == 0
    assert after.alpha[5:15].min() == 1
    assert (after.color == 7).all()


def test_without_a_subject_nothing_is_cropped_and_it_is_said():
    class Listening(Job):
        notes = ()

        def note(self, text):
            self.notes += (text,)

    job = Listening()
    empty = Cutout(np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9), np.float32))
    assert crop_to_subject(empty, job=job) is empty
    assert job.notes == ("No subject was found, so nothing was cropped.",)


def test_a_picture_that_is_all_subject_is_passed_on():
    photo = Cutout(np.zeros((8, 9, 3), np.uint8), opaque(8, 9))
    assert crop_to_subject(photo, margin=5) is photo
