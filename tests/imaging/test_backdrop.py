"""Backdrops: composites taken apart, blurs without the subject's colour."""

import cv2
import numpy as np
import pytest

from qr_nodes.imaging.backdrop import blurred_behind, composite_onto, to_dtype

RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def scene(shape, radius, softness=1.0):
    """A red disk before green: its colours and alpha."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2)
    alpha = np.clip((radius - distance) / softness + 0.5, 0, 1).astype(np.float32)
    color = np.where((alpha > 0)[..., None], RED, GREEN).astype(np.float32)
    return color, alpha


@pytest.mark.parametrize("sigma", [2, 7, 30, 300])
def test_the_subject_does_not_bleed_into_the_blur(sigma):
    color, alpha = scene((101, 151), 30)
    behind = blurred_behind(color, alpha, sigma)
    clear = alpha < 0.5
    np.testing.assert_allclose(behind[clear], [GREEN] * clear.sum(), atol=0.02)


@pytest.mark.parametrize("sigma", [1, 4, 9, 20])
def test_the_blur_is_a_gaussian_where_there_is_no_subject(sigma):
    rng = np.random.default_rng(5)
    color = cv2.GaussianBlur(rng.random((240, 320, 3), np.float32), (0, 0), 2)
    expected = cv2.GaussianBlur(color, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    behind = blurred_behind(color, np.zeros((240, 320), np.float32), sigma)
    inside = np.s_[60:-60, 60:-60]
    change = np.abs(color - expected)[inside].max()
    assert np.abs(behind - expected)[inside].max() < 0.02 * change


def test_no_blur_gives_the_picture():
    color, alpha = scene((37, 53), 10)
    np.testing.assert_array_equal(blurred_behind(color, alpha, 0), color)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_composite_follows_its_equation(dtype):
    rng = np.random.default_rng(6)
    color, backdrop = (to_dtype(rng.random((37, 53, 3), np.float32), dtype) for _ in "fb")
    alpha = rng.random((37, 53), np.float32)
    alpha[:5], alpha[5:9] = 0, 1
    expected = color * alpha[..., None] + backdrop * (1 - alpha[..., None])
    out = backdrop.copy()
    composite_onto(out, color, alpha)
    np.testing.assert_allclose(out, expected, atol=1e-6 if dtype == np.float32 else 0.51)
    np.testing.assert_array_equal(out[:5], backdrop[:5])
    np.testing.assert_array_equal(out[5:9], color[5:9])


def test_half_of_white_over_black_in_linear_light_is_188():
    white, black = np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)
    composite_onto(black, white, np.full((1, 1), 0.5, np.float32), linear=True)
    assert black.tolist() == [[[188, 188, 188]]]


def test_every_8_bit_value_survives_the_way_through_linear_light():
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    out = ramp.copy()
    composite_onto(out, ramp, np.full((1, 256), 0.5, np.float32), linear=True)
    np.testing.assert_array_equal(out, ramp)


def test_depths_convert_into_one_another():
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert to_dtype(ramp, np.uint16).max() == 65535
    np.testing.assert_array_equal(to_dtype(to_dtype(ramp, np.uint16), np.uint8), ramp)
    np.testing.assert_array_equal(to_dtype(to_dtype(ramp, np.float32), np.uint8), ramp)
    assert to_dtype(ramp, np.uint8) is ramp
