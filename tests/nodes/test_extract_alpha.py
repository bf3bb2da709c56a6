"""Extract Alpha: the matte, or its opposite."""

import numpy as np

from qr_nodes.nodes.extract_alpha import extract_alpha
from qr_nodes.types import Cutout, opaque

COLOR = np.zeros((37, 53, 3), np.uint8)


def test_the_matte_is_passed_on_without_a_copy():
    alpha = np.random.default_rng(0).random((37, 53), np.float32)
    assert extract_alpha(Cutout(COLOR, alpha)) is alpha


def test_an_opaque_picture_inverts_to_nothing():
    assert not extract_alpha(Cutout(COLOR, opaque(37, 53)), invert=True).any()
