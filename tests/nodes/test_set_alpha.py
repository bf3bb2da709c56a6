"""Set Alpha: a mask becomes the matte."""

import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.set_alpha import set_alpha
from qr_nodes.types import Cutout

CUTOUT = Cutout(np.zeros((1, 4, 3), np.uint8), np.array([[0, 0.25, 1, 1]], np.float32))
MASK = np.array([[1, 0.5, 0.5, 0]], np.float32)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("replace", [1, 0.5, 0.5, 0]),
        ("multiply", [0, 0.125, 0.5, 0]),
        ("add", [1, 0.5, 1, 1]),
        ("subtract", [0, 0.25, 0.5, 1]),
    ],
)
def test_each_mode_follows_its_table(mode, expected):
    result = set_alpha(CUTOUT, MASK, mode=mode)
    assert result.color is CUTOUT.color
    np.testing.assert_array_equal(result.alpha, [expected])


def test_the_mask_can_be_inverted():
    np.testing.assert_array_equal(set_alpha(CUTOUT, MASK, invert=True).alpha, 1 - MASK)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(SocketError, match=r"set_alpha.mask: a mask of 3 × 2 px does not fit"):
        set_alpha(CUTOUT, np.zeros((2, 3), np.float32))
