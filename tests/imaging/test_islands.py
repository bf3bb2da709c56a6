"""Islands of a matte against connected components counted one by one."""

import cv2
import numpy as np
import pytest

from qr_nodes.imaging.islands import FAINT, without_islands


def squares(*sides, height=60):
    """Solid squares side by side, 10 px apart, of the given sides."""
    alpha = np.zeros((height, 10 + sum(side + 10 for side in sides)), np.float32)
    left = 10
    for side in sides:
        alpha[10 : 10 + side, left : left + side] = 1
        left += side + 10
    return alpha


def kept(alpha):
    count, labels = cv2.connectedComponents((alpha > FAINT).astype(np.uint8))
    return sorted(int((labels == label).sum()) for label in range(1, count))


@pytest.mark.parametrize(
    ("share", "sides"),
    [(0, [40, 20, 8, 1]), (0.02, [40, 20, 8]), (0.1, [40, 20]), (0.3, [40]), (1, [40])],
)
def test_what_is_smaller_than_a_share_of_the_largest_goes(share, sides):
    alpha = squares(40, 20, 8, 1)
    assert kept(without_islands(alpha, share)) == sorted(side * side for side in sides)


def test_equals_stay_and_nothing_to_clear_gives_the_same_array():
    twins = squares(20, 20)
    assert without_islands(twins, 1) is twins
    for alpha in (np.zeros((5, 7), np.float32), np.ones((1, 1), np.float32), squares(30, 20)):
        assert without_islands(alpha, 0.1) is alpha


def test_random_blobs_are_cleared_whole_or_kept_bit_for_bit():
    rng = np.random.default_rng(5)
    for _ in range(20):
        soft = cv2.GaussianBlur(rng.random((120, 160), np.float32), None, 3)
        alpha = np.clip((soft - np.quantile(soft, 0.75)) * 20, 0, 1)
        found = without_islands(alpha, 0.2)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > FAINT).astype(np.uint8))
        areas = stats[:, cv2.CC_STAT_AREA]
        largest = areas[1:].max()
        assert count > 4
        for label in range(1, count):
            before, after = alpha[labels == label], found[labels == label]
            assert (after == 0).all() or (after == before).all()
            if areas[label] > 0.3 * largest or areas[label] < 0.1 * largest:
                assert after.any() == (areas[label] > 0.2 * largest)


def test_islands_go_with_what_is_faint_around_them_and_haze_links_nothing():
    alpha = np.maximum(squares(40, 6), 0.01)
    alpha[8:18, 58:68] = np.maximum(alpha[8:18, 58:68], 0.04)
    found = without_islands(alpha, 0.1)
    assert not found[8:18, 58:68].any()
    assert found[30, 62] == np.float32(0.01) and (found[:, :50] == alpha[:, :50]).all()


def test_islands_in_a_hole_and_at_the_frame_go_and_holes_stay_open():
    alpha = squares(40)
    alpha[20:40, 20:40] = 0
    alpha[28:31, 28:31] = 1
    for corner in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        alpha[corner] = 1
    found = without_islands(alpha, 0.05)
    assert kept(found) == [40 * 40 - 20 * 20]
    assert not found[20:40, 20:40].any()


def test_a_line_of_pixels_that_touch_at_corners_is_one_island():
    alpha = squares(20)
    for step in range(10):
        alpha[35 + step, 5 + step] = 1
    assert without_islands(alpha, 0.01) is alpha
    assert kept(without_islands(alpha, 0.06)) == [400]


def test_it_can_be_stopped_between_islands():
    calls = []
    without_islands(squares(20, 2, 2, 2), 0.5, lambda: calls.append(1))
    assert len(calls) >= 5
