import numpy as np
import pytest

from qr_nodes.imaging.tiles import soft_tiles
from qr_nodes.types import opaque


def test_constant_mattes_have_no_tiles():
    assert list(soft_tiles(np.zeros((137, 253), np.float32), 9)) == []
    assert list(soft_tiles(opaque(137, 253), 9)) == []


@pytest.mark.parametrize("reach", [0, 3, 40, 300])
def test_tiles_cover_all_that_is_near_a_change_and_do_not_overlap(reach):
    alpha = np.zeros((437, 653), np.float32)
    alpha[96:128, 64:] = 1
    alpha[300, 301] = 0.5
    seen = np.zeros(alpha.shape, int)
    for box, padded, inner in soft_tiles(alpha, reach, block=64):
        seen[box] += 1
        assert np.array_equal(alpha[padded][inner], alpha[box])
        for side, outer, end in zip(box, padded, alpha.shape, strict=True):
            assert outer.start == max(side.start - reach, 0)
            assert outer.stop == min(side.stop + reach, end)
    assert seen.max() == 1
    changes = np.zeros(alpha.shape, bool)
    changes[1:] |= np.diff(alpha, axis=0) != 0
    changes[:, 1:] |= np.diff(alpha, axis=1) != 0
    for y, x in np.argwhere(changes)[::7]:
        near = seen[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach]
        assert near.all() or reach == 0


def test_tiles_leave_far_regions_out():
    alpha = np.zeros((1000, 1500), np.float32)
    alpha[480:520, 700:760] = 1
    assert sum(np.ones(alpha.shape)[box].size for box, _, _ in soft_tiles(alpha, 8)) < 40_000


def test_tiles_keep_to_what_matters():
    alpha = np.zeros((400, 600), np.float32)
    alpha[50:60, 50:60] = 0.2
    alpha[300:310, 450:460] = 1
    (tile,) = soft_tiles(alpha, 8, matters=lambda low, high: high - low > 0.5)
    rows, cols = tile[0]
    assert 280 <= rows.start <= 292 and 318 <= rows.stop <= 330
    assert 430 <= cols.start <= 442 and 468 <= cols.stop <= 480
