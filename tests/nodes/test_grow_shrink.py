import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.grow_shrink import grow_shrink
from qr_nodes.types import Cutout, opaque

COLOR = np.full((37, 53, 3), 90, np.uint8)


def square():
    alpha = np.zeros((37, 53), np.float32)
    alpha[9:30, 11:41] = 1
    alpha[9:30, 41] = 0.4
    alpha.flags.writeable = False
    return Cutout(COLOR, alpha)


def test_the_edge_moves_both_ways():
    cutout = square()
    out, back = grow_shrink(cutout, radius=2.0), grow_shrink(cutout, radius=-2.0)
    assert out.color is COLOR
    assert np.allclose(out.alpha[20, 8:12], [0, 1, 1, 1])
    assert np.allclose(back.alpha[20, 10:14], [0, 0, 0, 1])
    assert out.alpha.dtype == np.float32


def test_it_stays_within_the_region():
    where = np.zeros((37, 53), np.float32)
    where[:20] = 1
    cutout = square()
    assert np.array_equal(grow_shrink(cutout, where, radius=3.0).alpha[20:], cutout.alpha[20:])


def test_nothing_to_move_passes_through():
    cutout, whole = square(), Cutout(COLOR, opaque(37, 53))
    assert grow_shrink(cutout, radius=0.0) is cutout
    assert grow_shrink(whole, radius=9.0) is whole


def test_a_region_of_another_size_is_refused():
    with pytest.raises(SocketError, match=r"grow_shrink\.where: a mask of 5 × 4 px does not fit"):
        grow_shrink(square(), np.ones((4, 5), np.float32))
