import math

import numpy as np
import pytest

from qr_nodes.errors import Cancelled
from qr_nodes.imaging.morphology import grow, grown

RADII = [0.3, 1, 2.5, 4, 4.6, 11.7, 40, -0.7, -3, -9.4, -30]


def disk(radius, soft, height=231, width=253):
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - 115.3, x - 127.8)
    return np.clip(0.5 + (radius - away) / soft, 0, 1).astype(np.float32)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize("soft", [1, 6])
def test_a_disk_grows_by_the_radius(radius, soft):
    grown_disk = grow(disk(60, soft), radius)
    expected = disk(60 + radius, soft)
    assert abs(math.sqrt(grown_disk.sum() / math.pi) - math.sqrt(expected.sum() / math.pi)) < 0.1
    # Pixel by pixel the edge lies within a third of a pixel, softness included.
    assert np.abs(grown_disk - expected).max() < 0.34 / soft + 0.02


@pytest.mark.parametrize("radius", [2, 4, -3])
def test_a_hard_edge_moves_by_whole_pixels_exactly(radius):
    edge = np.zeros((37, 53), np.float32)
    edge[:, :25] = 1
    expected = np.zeros_like(edge)
    expected[:, : 25 + radius] = 1
    assert np.abs(grow(edge, radius) - expected).max() < 1e-3


def test_a_faint_strand_is_grown_not_lost():
    strand = np.zeros((61, 83), np.float32)
    strand[:, 40] = 0.4
    assert np.abs(grow(strand, 3)[:, 37:44] - 0.4).max() < 1e-3
    strand[:, 40] = 0.9
    assert np.abs(grow(strand, 9)[5:-5, 32:49] - 0.9).max() < 0.02


def test_shrinking_mirrors_growing():
    alpha = np.random.default_rng(3).random((37, 53), np.float32)
    assert np.abs(grow(alpha, -2.3) - (1 - grow(1 - alpha, 2.3))).max() < 1e-6


@pytest.mark.parametrize("radius", [1.5, -1.5, 12, -12])
def test_growing_never_lowers_and_shrinking_never_raises(radius):
    alpha = disk(40, 9)
    change = (grow(alpha, radius) - alpha) * np.sign(radius)
    assert change.min() >= 0
    assert change.max() > 0


def test_tiles_give_what_the_whole_picture_gives():
    alpha = disk(130, 3, 437, 653)
    for radius in (2.2, 9, -9):
        assert np.abs(grow(alpha, radius) - grown(alpha, radius)).max() < 1e-5


def test_constants_stay():
    for value in (0.0, 0.3, 1.0):
        for shape in ((1, 1), (1, 50), (37, 53)):
            alpha = np.full(shape, value, np.float32)
            for radius in (0.0, 2.5, 30, -30):
                assert np.array_equal(grown(alpha, radius), alpha)
                assert np.array_equal(grow(alpha, radius), alpha)


def test_growing_can_be_stopped():
    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        grow(disk(60, 1), 2, checkpoint=stop)
