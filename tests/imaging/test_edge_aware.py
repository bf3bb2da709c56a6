"""The edge-aware brush: known edges, any window the same, nothing held without an edge."""

import cv2
import numpy as np
import pytest
from skimage import data

from qr_nodes.imaging.edge_aware import EdgeAware, held_back
from qr_nodes.types import Stroke

SHAPE = (211, 317)
WAVE = ((0.1, 0.3), (0.4, 0.35), (0.55, 0.8), (0.5, 0.3), (0.3, 0.7), (0.9, 0.6))
KNOT = tuple(map(tuple, np.random.default_rng(4).uniform(0.2, 0.8, (60, 2))))
WINDOW = slice(0, SHAPE[0]), slice(0, SHAPE[1])


def whole(color, stroke):
    return held_back(color, stroke, slice(0, color.shape[0]), slice(0, color.shape[1]))


def photo(dtype=np.uint8):
    color = data.astronaut()[:211, 100:417]
    top = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    return (color / np.float32(255) * top).astype(dtype)


def halves(left=(60, 90, 150), right=(170, 140, 60), shape=SHAPE, at=0.5, noise=0, blur=0):
    """Two colours, the edge between them upright at a fraction of the width."""
    color = np.empty((*shape, 3), np.float32)
    edge = round(shape[1] * at)
    color[:, :edge], color[:, edge:] = left, right
    if blur:
        color = cv2.GaussianBlur(color, None, blur)
    color += np.random.default_rng(5).normal(0, 1, color.shape).astype(np.float32) * noise
    return np.clip(np.rint(color), 0, 255).astype(np.uint8)


def level(x, size, edge_aware=0.7, mode="paint"):
    """An upright stroke at x."""
    return Stroke(((x, 0.2), (x, 0.8)), size=size, mode=mode, edge_aware=edge_aware)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("size", [0.02, 0.05, 0.11, 0.3, 1.2])
def test_every_window_gets_the_same_bits(dtype, size):
    rng = np.random.default_rng(int(size * 100))
    color, stroke = photo(dtype), Stroke(WAVE, size=size, edge_aware=0.8)
    expected = whole(color, stroke)
    assert size > 1 or expected.min() < 0.5
    tool = EdgeAware(color, stroke)
    for _ in range(12):
        (top, bottom), (left, right) = (np.sort(rng.integers(0, n + 1, 2)) for n in SHAPE)
        rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
        for part in (tool(rows, columns), held_back(color, stroke, rows, columns)):
            assert part.dtype == np.float32
            np.testing.assert_array_equal(part, expected[rows, columns])
    for y, x in ((0, 0), (210, 316), (0, 316), (105, 158)):
        part = held_back(color, stroke, slice(y, y + 1), slice(x, x + 1))
        assert part[0, 0] == expected[y, x]


@pytest.mark.parametrize("size", [0.02, 0.05, 0.12])
def test_a_longer_stroke_changes_nothing_beyond_the_reach_of_what_was_added(size):
    color = photo()
    short = Stroke(WAVE[:4], size=size, edge_aware=0.8)
    grown = Stroke(WAVE[:6], size=size, edge_aware=0.8)
    before, after = whole(color, short), whole(color, grown)
    line = np.ones(SHAPE, np.uint8)
    points = np.rint(np.array(WAVE[3:]) * (317, 211)).astype(np.int32)
    cv2.polylines(line, [points], False, 0, 1)
    far = (
        cv2.dilate(
            1 - line, np.ones((3, 3)), iterations=int(np.ceil(EdgeAware(color, grown).reach))
        )
        == 0
    )
    assert far.any() and (before != after).any()
    np.testing.assert_array_equal(before[far], after[far])
