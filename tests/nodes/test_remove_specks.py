import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.remove_specks import remove_specks
from qr_nodes.types import Cutout, opaque

COLOR = np.full((37, 53, 3), 90, np.uint8)


def specked(**more):
    """A square with a speck of 9 px on either side, 2 % of it each."""
    alpha = np.zeros((37, 53), np.float32)
    alpha[8:29, 16:37] = 1
    alpha[10:13, 4:7] = alpha[10:13, 46:49] = 0.8
    alpha.flags.writeable = False
    return Cutout(COLOR, alpha, **more)


def test_small_parts_go_and_colours_stay():
    out = remove_specks(specked(), below=5.0)
    assert out.color is COLOR
    assert out.alpha.sum() == 21 * 21 and (out.alpha[8:29, 16:37] == 1).all()


def test_it_stays_within_the_region_and_leaves_what_was_unmixed():
    left = np.zeros((37, 53), np.float32)
    left[:, :20] = 1
    for out in (
        remove_specks(specked(), left, below=5.0),
        remove_specks(specked(unmixed=1 - left), below=5.0),
    ):
        assert not out.alpha[10:13, 4:7].any()
        assert (out.alpha[10:13, 46:49] == np.float32(0.8)).all()


def test_nothing_to_clear_passes_through():
    cutout, whole = specked(), Cutout(COLOR, opaque(37, 53))
    assert remove_specks(cutout, below=0.0) is cutout
    assert remove_specks(cutout, below=1.0) is cutout
    assert remove_specks(whole, below=100.0) is whole


def test_a_region_of_another_size_is_refused():
    with pytest.raises(SocketError, match=r"remove_specks\.where: a mask of 5 × 4 px does not fit"):
        remove_specks(specked(), np.ones((4, 5), np.float32))
