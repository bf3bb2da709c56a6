"""Combine Masks: every mode on a table of values."""

import numpy as np
import pytest

from qr_nodes.errors import SocketError
from qr_nodes.nodes.combine_masks import combine_masks

A = np.array([[0, 0, 1, 1, 0.25]], np.float32)
B = np.array([[0, 1, 0, 1, 0.5]], np.float32)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("union", [0, 1, 1, 1, 0.5]),
        ("intersection", [0, 0, 0, 1, 0.25]),
        ("subtract", [0, 0, 1, 0, 0.25]),
        ("difference", [0, 1, 1, 0, 0.25]),
        ("multiply", [0, 0, 0, 1, 0.125]),
        ("average", [0, 0.5, 0.5, 1, 0.375]),
    ],
)
def test_each_mode_follows_its_table(mode, expected):
    np.testing.assert_array_equal(combine_masks(A, B, mode=mode), [expected])


def test_the_second_mask_can_be_inverted():
    inverted = combine_masks(A, B, mode="intersection", invert_b=True)
    np.testing.assert_array_equal(inverted, [[0, 0, 1, 0, 0.25]])


def test_amount_goes_from_the_first_mask_to_the_combined_one():
    np.testing.assert_array_equal(combine_masks(A, B, amount=0), A)
    np.testing.assert_array_equal(combine_masks(A, B, amount=0.5), [[0, 0.5, 1, 1, 0.375]])


def test_masks_of_other_sizes_are_refused():
    with pytest.raises(SocketError, match=r"combine_masks.b: a mask of 2 × 3 px does not fit"):
        combine_masks(A, np.zeros((3, 2), np.float32))
