import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.smooth import smooth
from qr_nodes.types import Cutout, opaque

COLOR = np.full((67, 83, 3), 90, np.uint8)


def stepped_disk():
    y, x = np.mgrid[:67, :83]
    alpha = (np.hypot(y - 33.2, x - 40.4) < 25).astype(np.float32)
    alpha.flags.writeable = False
    return Cutout(COLOR, alpha)


def test_steps_become_soft_and_the_colour_is_shared():
    cutout = stepped_disk()
    matte = smooth(cutout, amount=2.0)
    assert matte.color is COLOR
    assert ((matte.alpha > 0.05) & (matte.alpha < 0.95)).sum() > 60
    assert matte.alpha.dtype == np.float32


def test_it_stays_within_the_region():
    where = np.zeros((67, 83), np.float32)
    where[:30] = 1
    cutout = stepped_disk()
    assert np.array_equal(smooth(cutout, where, amount=2.0).alpha[30:], cutout.alpha[30:])


def test_nothing_to_smooth_passes_through():
    cutout, whole = stepped_disk(), Cutout(COLOR, opaque(67, 83))
    assert smooth(cutout, amount=0.0) is cutout
    assert smooth(whole, amount=5.0) is whole


def test_a_region_of_another_size_is_refused():
    with pytest.raises(SocketError, match=r"smooth\.where: a mask of 5 × 4 px does not fit"):
        smooth(stepped_disk(), np.ones((4, 5), np.float32))
