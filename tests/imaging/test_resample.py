"""Resampling: known averages, no fringe, hidden colours kept."""

import cv2
import numpy as np
import pytest

from qr_nodes.imaging.resample import (
    TRACE,
    crop,
    fitted,
    resize_array,
    resize_cutout_arrays,
    shrink,
)
from qr_nodes.types import Cutout, Source, opaque

DTYPES = [np.uint8, np.uint16, np.float32]


def top(dtype):
    return 1 if dtype == np.float32 else np.iinfo(dtype).max


def disk(shape, radius):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2)
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
def test_shrink_averages_blocks(dtype):
    rng = np.random.default_rng(1)
    array = (rng.random((8, 12, 3)) * top(dtype)).astype(dtype)
    expected = array.reshape(4, 2, 6, 2, 3).astype(np.float64).mean((1, 3))
    small = shrink(array, 0.5)
    assert small.dtype == dtype
    np.testing.assert_allclose(small, expected, atol=0.51 if top(dtype) > 1 else 1e-6)


def test_shrink_keeps_an_opaque_matte_without_taking_memory():
    small = shrink(opaque(37, 53), 0.3)
    assert small.shape == (11, 16)
    assert small.strides == (0, 0)


def test_shrink_takes_a_whole_cutout():
    alpha = disk((64, 96), 25)
    color = np.where((alpha > 0)[..., None], np.uint8([255, 0, 0]), np.uint8([0, 255, 0]))
    cutout = Cutout(color, alpha, Source(name="disk.png"))
    small = shrink(cutout, 0.25)
    assert small.source.name == "disk.png"
    np.testing.assert_allclose(small.alpha, shrink(alpha, 0.25), atol=1e-6)
    assert (small.color[small.alpha > 0.1] >= (250, 0, 0)).all()
    assert shrink(cutout, 1.0) is cutout


def test_shrink_never_reaches_zero_pixels_and_passes_on_what_stays():
    assert shrink(np.ones((1, 200), np.float32), 0.01).shape == (1, 2)
    array = np.ones((5, 7), np.float32)
    assert shrink(array, 1.0) is array


@pytest.mark.parametrize("kernel", ["lanczos", "cubic", "linear", "nearest"])
@pytest.mark.parametrize("size", [(13, 90), (90, 13), (20, 20), (74, 106), (1, 1)])
def test_a_constant_stays_constant_at_every_size(size, kernel):
    color = np.full((37, 53, 3), (0.2, 0.5, 0.9), np.float32)
    alpha = np.full((37, 53), 0.3, np.float32)
    color, alpha = resize_cutout_arrays(color, alpha, size, kernel)
    np.testing.assert_allclose(color, np.broadcast_to((0.2, 0.5, 0.9), (*size, 3)), atol=1e-5)
    np.testing.assert_allclose(alpha, 0.3, atol=1e-5)


@pytest.mark.parametrize("kernel", ["lanczos", "cubic", "linear"])
def test_a_ramp_stays_a_ramp_when_enlarged(kernel):
    ramp = np.broadcast_to((np.arange(64, dtype=np.float32) + 0.5) / 64, (5, 64)).copy()
    large = resize_array(ramp, (5, 128), kernel)
    expected = (np.arange(128) + 0.5) / 128
    np.testing.assert_allclose(large[:, 10:-10], np.tile(expected[10:-10], (5, 1)), atol=2e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(37, 53), (50, 200), (150, 300)])
def test_no_hidden_colour_leaks_into_the_edge(size, dtype):
    alpha = disk((101, 151), 40)
    color = np.where((alpha > 0)[..., None], (1.0, 0.5, 0.25), (0.0, 1.0, 0.0)) * top(dtype)
    color, alpha = resize_cutout_arrays(color.astype(dtype), alpha, size)
    assert color.dtype == dtype
    assert color.shape == (*size, 3)
    seen = alpha > 0.1
    np.testing.assert_allclose(color[seen] / top(dtype), [(1, 0.5, 0.25)] * seen.sum(), atol=0.03)


def test_the_composite_of_the_shrunk_is_the_shrunk_composite():
    rng = np.random.default_rng(2)
    color, alpha = rng.random((64, 96, 3), np.float32), disk((64, 96), 25)
    expected = shrink(color * alpha[..., None], 0.25)
    small, small_alpha = resize_cutout_arrays(color, alpha, (16, 24))
    np.testing.assert_allclose(small * small_alpha[..., None], expected, atol=2e-3)
    np.testing.assert_allclose(small_alpha, shrink(alpha, 0.25), atol=1e-6)


@pytest.mark.parametrize("size", [(333, 500), (400, 177), (131, 100), (900, 1300), (500, 1300)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_give_what_weighing_the_whole_picture_gives(size, dtype):
    rng = np.random.default_rng(5)
    blurred = cv2.GaussianBlur(rng.random((799, 1200, 3), np.float32), (0, 0), 3)
    color = (cv2.normalize(blurred, None, 0, 1, cv2.NORM_MINMAX) * top(dtype)).astype(dtype)
    alpha = disk((799, 1200), 250)
    found, _ = resize_cutout_arrays(color, alpha, size, "linear")
    weight = alpha + TRACE
    planes = [*(color.astype(np.float32) * weight[..., None]).transpose(2, 0, 1), weight]
    *planes, weight = (resize_array(plane, size, "linear") for plane in planes)
    expected = np.stack(planes, axis=-1) / weight[..., None]
    np.testing.assert_allclose(found / top(dtype), expected / top(dtype), atol=1.5 / 255)


def test_large_pictures_are_averaged_in_strips_without_a_seam():
    checks = []
    array = np.random.default_rng(6).integers(0, 256, (1500, 2100, 3), np.uint8)
    small = resize_array(array, (500, 700), checkpoint=lambda: checks.append(1))
    expected = array.reshape(500, 3, 700, 3, 3).mean((1, 3))
    np.testing.assert_allclose(small, expected, atol=0.51)
    assert len(checks) > 2


def test_hidden_colours_survive_where_all_is_transparent():
    rng = np.random.default_rng(3)
    color = rng.random((64, 96, 3), np.float32)
    small, _ = resize_cutout_arrays(color, np.zeros((64, 96), np.float32), (32, 48))
    np.testing.assert_allclose(small, shrink(color, 0.5), atol=1e-5)


def test_solid_parts_stay_exactly_solid_when_enlarged():
    _, alpha = resize_cutout_arrays(
        np.zeros((101, 151, 3), np.uint8), disk((101, 151), 40), (202, 303)
    )
    assert (alpha[90:110, 140:160] == 1).all()
    assert (alpha[:10] == 0).all()
    assert 0 <= alpha.min() <= alpha.max() <= 1


def test_a_cutout_of_its_own_size_is_passed_on():
    color, alpha = np.zeros((37, 53, 3), np.uint8), np.zeros((37, 53), np.float32)
    same = resize_cutout_arrays(color, alpha, (37, 53))
    assert same[0] is color
    assert same[1] is alpha


def test_fitting_keeps_proportions_or_fills_the_box():
    cutout = Cutout(np.zeros((100, 200, 3), np.uint8), opaque(100, 200))
    assert fitted(cutout, (50, 50), "inside")[1] == (25, 50)
    part, size = fitted(cutout, (50, 50), "cover")
    assert part.shape == (100, 100)
    assert size == (50, 50)
    assert fitted(cutout, (50, 50), "stretch") == (cutout, (50, 50))


def test_a_crop_has_arrays_of_its_own():
    alpha = np.random.default_rng(4).random((37, 53), np.float32)
    part = crop(Cutout(np.zeros((37, 53, 3), np.uint8), alpha), slice(3, 20), slice(5, 9))
    assert part.color.flags.c_contiguous
    assert part.alpha.flags.c_contiguous
    np.testing.assert_array_equal(part.alpha, alpha[3:20, 5:9])
