import math

import cv2
import numpy as np
import pytest

from qr_nodes.errors import Cancelled
from qr_nodes.imaging.alpha import feathered, gaussian, levelled


def hard_edge(height, width, edge):
    return np.ascontiguousarray(
        np.broadcast_to((np.arange(width) < edge).astype(np.float32), (height, width))
    )


def error_function(width, edge, sigma):
    away = edge - (np.arange(width) + 0.5)
    return np.array([0.5 + 0.5 * math.erf(d / (sigma * math.sqrt(2))) for d in away])


def disk(height, width, radius, soft=1.0):
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - height / 2.1, x - width / 2.2)
    return np.clip(0.5 + (radius - away) / soft, 0, 1).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1, 2.5, 7, 11.9, 12.1, 23, 60])
def test_a_hard_edge_becomes_the_error_function(sigma):
    alpha = hard_edge(37, 803, 401)
    soft = feathered(alpha, sigma)
    assert np.abs(soft - error_function(803, 401, sigma)).max() < 1 / 255
    assert np.abs(feathered(alpha.T.copy(), sigma) - soft.T).max() < 1e-6


@pytest.mark.parametrize("sigma", [2, 25])
@pytest.mark.parametrize("shift", [-1, -0.5, 0.25, 1])
def test_shift_moves_the_softness_to_one_side(sigma, shift):
    soft = feathered(hard_edge(37, 803, 401), sigma, shift)[18]
    assert np.abs(soft - error_function(803, 401 + 3 * sigma * shift, sigma)).max() < 2 / 255
    if shift == -1:
        assert soft[401:].max() < 1 / 255
    if shift == 1:
        assert soft[:401].min() > 254 / 255


@pytest.mark.parametrize("sigma", [1.5, 9, 14, 40])
def test_tiles_give_what_the_whole_picture_gives(sigma):
    alpha = disk(437, 653, 120)
    alpha[5:9, 600] = 0.7
    assert np.abs(feathered(alpha, sigma) - gaussian(alpha, sigma)).max() < 1 / 255


def test_far_from_the_edge_nothing_changes():
    alpha = disk(437, 653, 90)
    soft = feathered(alpha, 3)
    far_in = cv2.erode(alpha, np.ones((27, 27))) == 1
    far_out = cv2.dilate(alpha, np.ones((27, 27))) == 0
    assert (soft[far_in] == 1).all()
    assert (soft[far_out] == 0).all()


def test_faint_unevenness_passes_untouched():
    alpha = disk(437, 653, 60)
    alpha[:, 450:] = np.random.default_rng(4).random((437, 203), dtype=np.float32) / 1100
    soft = feathered(alpha, 3)
    assert np.array_equal(soft[:, 480:], alpha[:, 480:])
    assert np.abs(soft - gaussian(alpha, 3)).max() < 1 / 255


@pytest.mark.parametrize("sigma", [3, 30])
def test_the_subject_stays_opaque_at_the_frame(sigma):
    soft = feathered(hard_edge(233, 411, 200), sigma)
    assert (soft[:, 0] == 1).all()
    assert np.abs(soft - soft[:1]).max() < 1e-5


def test_feathering_a_constant_keeps_it():
    for value in (0.0, 0.3, 1.0):
        for shape in ((1, 1), (1, 50), (37, 53)):
            alpha = np.full(shape, value, np.float32)
            assert np.abs(feathered(alpha, 200, 1.0) - alpha).max() < 1e-6


def test_feathering_can_be_stopped():
    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        feathered(disk(137, 253, 40), 2, checkpoint=stop)


def test_levels_map_a_ramp():
    ramp = np.linspace(0, 1, 37 * 53, dtype=np.float32).reshape(37, 53)
    want = np.clip((ramp - 0.2) / 0.5, 0, 1) ** (1 / 1.7)
    assert np.abs(levelled(ramp, 0.2, 0.7, 1.7) - want).max() < 1e-5


def test_levels_keep_exact_ends():
    ends = np.array([[0, 1, 0, 1]], np.float32)
    for black, white, gamma in ((0.3, 0.7, 2.2), (0, 1, 0.3), (1, 1, 1), (0, 0, 1), (0.8, 0.1, 1)):
        assert np.array_equal(levelled(ends, black, white, gamma), ends)


def test_crossed_levels_cut_hard():
    ramp = np.linspace(0, 1, 101, dtype=np.float32).reshape(1, -1)
    assert np.array_equal(levelled(ramp, 0.6, 0.4, 1.0), (ramp >= np.float32(0.6)) * 1.0)
