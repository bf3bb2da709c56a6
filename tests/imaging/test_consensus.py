import numpy as np
import pytest

from qr_nodes.imaging.consensus import (
    GRID,
    Look,
    agreed,
    alike,
    looks,
    merged,
    small_subject,
    stretched,
    window,
)

RNG = np.random.default_rng(6)


def disk(height, width, radius=0.3):
    y, x = np.mgrid[:height, :width]
    far = np.hypot((y + 0.5) / height - 0.5, (x + 0.5) / width - 0.5)
    return np.clip((radius - far) * min(height, width) + 0.5, 0, 1).astype(np.float32)


def test_every_quality_begins_with_the_networks_own_square_and_adds_to_the_one_before():
    shown = [
        looks(quality, (300, 400), (320, 320), True) for quality in ("fast", "balanced", "best")
    ]
    assert shown[0] == [Look(320, 320)]
    assert shown[1][:1] == shown[0] and shown[2][: len(shown[1])] == shown[1]
    assert [len(some) for some in shown] == [1, 3, 4]


@pytest.mark.parametrize("shape", [(1, 1), (37, 53), (4000, 6000), (100, 9000), (9000, 100)])
def test_sizes_are_whole_steps_near_the_pictures_shape(shape):
    for look in looks("best", shape, (320, 320), True):
        assert look.height % 32 == look.width % 32 == 0
        assert max(look.height, look.width) <= 480
    _, kept, _, long = looks("best", (300, 400), (320, 320), True)
    assert (kept.height, kept.width) == (224, 288) and (long.height, long.width) == (288, 384)


def test_answers_that_agree_are_kept():
    found = agreed([disk(320, 320), disk(224, 288)], [True, False], (300, 400), True)
    assert found.shape == (300, 400)
    assert np.abs(found - disk(300, 400)).mean() < 0.005


def test_the_common_matte_is_no_larger_than_its_grid_or_the_picture():
    assert agreed([disk(320, 320)], [True], (4000, 6000), True).size == pytest.approx(
        GRID**2, rel=0.01
    )
    assert agreed([disk(320, 320)], [True], (1, 1), True).shape == (1, 1)


def test_one_that_is_sure_outweighs_one_that_wavers():
    unsure = np.full((64, 64), 0.45, np.float32)
    assert agreed([disk(64, 64), unsure], [True, True], (64, 64), False)[32, 32] > 0.7


def test_one_that_went_astray_counts_little():
    stray = np.zeros((64, 64), np.float32)
    stray[:, :20] = 1
    answers = [disk(64, 64), disk(96, 96), disk(80, 80), stray]
    found = agreed(answers, [True, True, True, False], (64, 64), False)
    mean = np.mean([disk(64, 64)] * 3 + [stray], axis=0)
    true = disk(64, 64)
    assert np.abs(found - true).sum() < 0.3 * np.abs(mean - true).sum()
    # Of three that all differ none is left out.
    thirds = [np.zeros((64, 64), np.float32) for _ in range(3)]
    for place, third in enumerate(thirds):
        third[:, place * 16 : place * 16 + 16] = 1
    found = agreed(thirds, [True] * 3, (64, 64), False)
    middles = found[:, 8], found[:, 24], found[:, 40]
    assert max(map(np.max, middles)) - min(map(np.min, middles)) < 0.05


def test_two_are_alike_when_next_to_nothing_differs():
    assert alike([disk(320, 320), disk(224, 288)])
    assert not alike([disk(320, 320), disk(320, 320, 0.25)])
    assert not alike([disk(320, 320)])


def test_the_outline_is_that_of_the_fine_answers():
    blunt = disk(64, 64)
    found = agreed([disk(320, 320), blunt], [True, False], (320, 320), True)
    both = agreed([disk(320, 320), blunt], [True, True], (320, 320), True)
    true = disk(320, 320)
    assert np.abs(found - true).sum() < 0.8 * np.abs(both - true).sum()


def test_a_small_subject_is_boxed_with_room_around_it():
    matte = np.zeros((100, 200), np.float32)
    matte[40:60, 100:140] = 1
    assert small_subject(matte) == (34, 88, 66, 152)
    matte[:2, :2] = 1  # now subjects lie all over the picture
    matte[98:, 198:] = 1
    assert small_subject(matte) is None
    assert small_subject(np.zeros((9, 9), np.float32)) is None


def test_a_closer_look_counts_more_but_not_at_the_borders_of_its_box():
    whole, closer = np.full((40, 60), 0.3, np.float32), np.full((40, 60), 0.9, np.float32)
    assert 0.6 < merged(whole, closer, False).mean() < 0.9
    weight = window(40, 60)
    assert weight[20, 30] == 1 and weight[0, 30] < 0.25 and weight[0, 0] < 0.05


def test_a_flat_matte_is_not_stretched():
    flat = np.full((3, 5), 0.7, np.float32)
    np.testing.assert_array_equal(stretched(flat), flat)
