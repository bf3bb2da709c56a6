import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.feather import feather
from qr_nodes.types import Cutout, opaque

COLOR = np.full((37, 53, 3), 90, np.uint8)


def square():
    alpha = np.zeros((37, 53), np.float32)
    alpha[9:30, 11:41] = 1
    alpha[9:30, 41] = 0.4
    alpha.flags.writeable = False
    return Cutout(COLOR, alpha)


def test_feather_softens_the_edge_and_shares_the_colour():
    cutout = square()
    soft = feather(cutout, sigma=2.0)
    assert soft.color is COLOR
    assert 0.4 < soft.alpha[20, 11] < 0.7
    assert soft.alpha.dtype == np.float32


def test_feather_stays_within_the_region():
    where = np.zeros((37, 53), np.float32)
    where[:20] = 1
    cutout = square()
    soft = feather(cutout, where, sigma=2.0)
    assert np.array_equal(soft.alpha[20:], cutout.alpha[20:])
    assert np.allclose(soft.alpha[:20], feather(cutout, sigma=2.0).alpha[:20], atol=1e-6)


def test_feather_of_nothing_is_nothing():
    cutout = square()
    assert feather(cutout, sigma=0.0) is cutout
    whole = Cutout(COLOR, opaque(37, 53))
    assert feather(whole, sigma=9.0) is whole


def test_feather_refuses_a_region_of_another_size():
    with pytest.raises(SocketError, match=r"feather\.where: a mask of 5 × 4 px does not fit"):
        feather(square(), np.ones((4, 5), np.float32))
