import math

import cv2
import numpy as np
import pytest

from qr_nodes.errors import Cancelled
from qr_nodes.imaging.alpha import gaussian
from qr_nodes.imaging.contour import smoothed


def below(contour, height=80):
    """Matte that is 1 under a contour given as a height per column, exact coverage."""
    y = np.arange(height)[:, None]
    return np.clip(y + 0.5 - contour[None], 0, 1).astype(np.float32)


def contour_of(alpha):
    columns = np.arange(alpha.shape[1])
    first = (alpha >= 0.5).argmax(axis=0)
    above, under = alpha[first - 1, columns], alpha[first, columns]
    return first - 1 + (0.5 - above) / (under - above)


def bending(contour):
    return float((np.diff(contour, 2) ** 2).sum())


def wobbly(slope, seed=1):
    noise = np.random.default_rng(seed).standard_normal((1, 401)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)[0]
    return 40.2 + slope * (np.arange(401) - 200) * 0.15 + 0.8 * noise / noise.std()


def square(angle, side, height=131, width=137, fine=8):
    y, x = (np.mgrid[: height * fine, : width * fine] + 0.5) / fine
    y, x, angle = y - height / 2, x - width / 2, math.radians(angle)
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    inside = (np.maximum(abs(u), abs(v)) < side / 2).astype(np.float32)
    return cv2.resize(inside, (width, height), interpolation=cv2.INTER_AREA)


def disk(radius, height=151, width=163):
    y, x = np.mgrid[:height, :width]
    return np.clip(0.5 + radius - np.hypot(y - 75.2, x - 80.7), 0, 1).astype(np.float32)


@pytest.mark.parametrize("slope", [0, 1])
@pytest.mark.parametrize("amount", [2, 4])
def test_wobble_falls_to_a_third_and_the_contour_stays(slope, amount):
    alpha = below(wobbly(slope))
    before, after = contour_of(alpha)[20:-20], contour_of(smoothed(alpha, amount))[20:-20]
    assert bending(after) < bending(before) / 3
    assert abs((after - before).mean()) < 0.1


@pytest.mark.parametrize("sigma", [1, 2])
def test_soft_edges_lose_their_wobble_and_keep_their_profile(sigma):
    alpha = gaussian(below(wobbly(1)), sigma)
    before, after = contour_of(alpha)[20:-20], contour_of(smoothed(alpha, 4))[20:-20]
    assert bending(after) < bending(before) / 3
    assert abs((after - before).mean()) < 0.1
    straight = gaussian(below(40.2 + 0.15 * np.arange(201)), sigma)
    assert np.abs(smoothed(straight, 4) - straight)[:, 20:-20].max() < 0.02


def test_steps_become_a_smooth_line():
    alpha = (below(40 + 0.13 * np.arange(201) / 1.7) >= 0.5).astype(np.float32)
    after = contour_of(smoothed(alpha, 3))[15:-15]
    assert bending(after) < bending(contour_of(alpha)[15:-15]) / 10


def test_a_stepped_disk_comes_close_to_the_true_one():
    true = disk(50)
    stepped = (true >= 0.5).astype(np.float32)
    assert np.abs(smoothed(stepped, 2) - true).sum() < np.abs(stepped - true).sum() / 2


@pytest.mark.parametrize("radius", [5, 12, 60])
@pytest.mark.parametrize("amount", [1, 2, 5])
def test_disks_keep_their_size(radius, amount):
    alpha = disk(radius)
    size, before = (math.sqrt(a.sum() / math.pi) for a in (smoothed(alpha, amount), alpha))
    assert abs(size - before) < 0.02


@pytest.mark.parametrize("angle", [0, 10, 30, 45])
@pytest.mark.parametrize("amount", [1, 3])
def test_corners_keep_their_area(angle, amount):
    alpha = square(angle, 50)
    after = smoothed(alpha, amount)
    assert abs(after.sum() / alpha.sum() - 1) < 0.01
    assert np.abs(after - alpha).max() < 0.2


def test_corners_are_rounded_on_request():
    alpha = square(0, 50)
    spared, rounded = smoothed(alpha, 3), smoothed(alpha, 3, corners=0.0)
    assert np.abs(rounded - alpha).max() > 0.5 > 2 * np.abs(spared - alpha).max()


def test_soft_edges_and_thin_strands_stay():
    ramp = np.ascontiguousarray(
        np.broadcast_to(np.clip((np.arange(83) - 35) / 8, 0, 1), (61, 83)), np.float32
    )
    assert np.abs(smoothed(ramp, 2) - ramp).max() < 0.01
    strand = np.zeros((61, 83), np.float32)
    strand[:, 40:42] = 1
    assert np.abs(smoothed(strand, 2) - strand).max() < 0.01


def test_hair_stays():
    x = np.arange(163)
    strands = np.tile(np.clip(1.5 - np.abs(x % 9 - 4), 0, 1).astype(np.float32), (101, 1))
    assert np.abs(smoothed(strands, 4) - strands).max() < 0.01


def test_what_is_nowhere_near_a_contour_stays_exactly():
    noise = np.random.default_rng(3).random((151, 163), dtype=np.float32)
    for faint in (0.09 * noise, 1 - 0.09 * noise):
        assert np.array_equal(smoothed(faint, 1.5), faint)


def test_pieces_give_what_the_whole_gives():
    y, x = np.mgrid[:437, :653]
    away = np.hypot(y - 215, x - 300) + np.sin(np.arctan2(y - 215, x - 300) * 80)
    alpha = gaussian(np.clip(150.5 - away, 0, 1).astype(np.float32), 1)
    part = smoothed(np.ascontiguousarray(alpha[:, :400]), 4)
    whole = smoothed(alpha, 4)
    assert np.abs(part - whole[:, :400])[:, :360].max() < 1 / 255
    assert np.abs(whole - alpha).max() > 0.1


def test_constants_stay():
    for value in (0.0, 0.3, 1.0):
        for shape in ((1, 1), (1, 50), (37, 53)):
            alpha = np.full(shape, value, np.float32)
            assert np.array_equal(smoothed(alpha, 2), alpha)


def test_smoothing_can_be_stopped():
    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        smoothed(disk(50), 2, checkpoint=stop)
