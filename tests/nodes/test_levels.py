import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.levels import levels
from qr_nodes.types import Cutout, opaque

COLOR = np.full((37, 53, 3), 90, np.uint8)


def square():
    alpha = np.zeros((37, 53), np.float32)
    alpha[9:30, 11:41] = 1
    alpha[9:30, 41] = 0.4
    alpha.flags.writeable = False
    return Cutout(COLOR, alpha)


def test_soft_parts_move_and_ends_stay():
    cutout = square()
    hard = levels(cutout, white=0.4)
    assert hard.color is COLOR
    assert hard.alpha[20, 41] == 1
    assert levels(cutout, black=0.5).alpha[20, 41] == 0
    assert levels(cutout, gamma=2.0).alpha[20, 41] == pytest.approx(0.4**0.5)
    assert hard.alpha[20, 20] == 1 and hard.alpha[2, 2] == 0


def test_it_stays_within_the_region():
    where = np.zeros((37, 53), np.float32)
    where[:20] = 1
    cutout = square()
    assert levels(cutout, where, black=0.5).alpha[25, 41] == np.float32(0.4)
    assert levels(cutout, where, black=0.5).alpha[15, 41] == 0


def test_nothing_to_change_passes_through():
    cutout, whole = square(), Cutout(COLOR, opaque(37, 53))
    assert levels(cutout) is cutout
    assert levels(whole, black=0.5) is whole


def test_a_region_of_another_size_is_refused():
    with pytest.raises(SocketError, match=r"levels\.where: a mask of 5 × 4 px does not fit"):
        levels(square(), np.ones((4, 5), np.float32))
