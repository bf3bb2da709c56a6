"""The edge-aware brush: known edges, any window the same, nothing held without an edge."""

import cv2
import msgspec
import numpy as np
import pytest
from skimage import data

from qr_nodes.imaging.correction import corrected
from qr_nodes.imaging.edge_aware import EdgeAware
from qr_nodes.types import Stroke

SHAPE = (211, 317)
WAVE = ((0.1, 0.3), (0.4, 0.35), (0.55, 0.8), (0.5, 0.3), (0.3, 0.7), (0.9, 0.6))
KNOT = tuple(map(tuple, np.random.default_rng(4).uniform(0.2, 0.8, (60, 2))))
WINDOW = slice(0, SHAPE[0]), slice(0, SHAPE[1])


def whole(color, stroke):
    return EdgeAware(color, stroke)(slice(0, color.shape[0]), slice(0, color.shape[1]))


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
        for part in (tool(rows, columns), EdgeAware(color, stroke)(rows, columns)):
            assert part.dtype == np.float32
            np.testing.assert_array_equal(part, expected[rows, columns])
    for y, x in ((0, 0), (210, 316), (0, 316), (105, 158)):
        part = EdgeAware(color, stroke)(slice(y, y + 1), slice(x, x + 1))
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


def covered(stroke, shape=SHAPE):
    """What the plain brush covers, whatever the mode."""
    return corrected(np.zeros(shape, np.float32), [Stroke(stroke.points, stroke.size)])


def shares(color, stroke, wanted):
    """How much of the plain stroke is left on the wrong side, and missing on the right one."""
    cover, factor = covered(stroke, color.shape[:2]), whole(color, stroke)
    spill = (cover * factor * (1 - wanted)).sum() / (cover * (1 - wanted)).sum()
    return spill, (cover * (1 - factor) * wanted).sum() / (cover * wanted).sum()


def ramp(steps):
    """Shading over the picture's diagonal, in steps of 8 bits."""
    y, x = np.mgrid[:211, :317]
    color = 60 + steps * (x + y)[..., None] / 526 * np.array([1, 0.9, 0.7])
    return np.rint(color).astype(np.uint8)


def grainy(color, sigma, quality=None):
    noise = np.random.default_rng(8).normal(0, sigma, color.shape)
    color = np.clip(np.rint(color + noise), 0, 255).astype(np.uint8)
    if quality is None:
        return color
    packed = cv2.imencode(".jpg", color, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(packed, cv2.IMREAD_COLOR)


FLAT = np.full((*SHAPE, 3), (90, 120, 150), np.uint8)


@pytest.mark.parametrize("size", [0.02, 0.06, 0.15, 0.5])
@pytest.mark.parametrize("edge_aware", [0.3, 1.0])
def test_without_an_edge_the_stroke_is_the_plain_one(size, edge_aware):
    for points in (WAVE, KNOT):
        stroke = Stroke(points, size=size, edge_aware=edge_aware)
        for color in (FLAT, FLAT // 9, ramp(60)):
            assert (whole(color, stroke)[covered(stroke) > 0] == 1).all()


@pytest.mark.parametrize("size", [0.02, 0.06, 0.15])
@pytest.mark.parametrize(
    "color",
    [grainy(FLAT, 4), grainy(FLAT, 9), grainy(FLAT // 9, 5), grainy(ramp(100), 4),
     grainy(ramp(60), 6, 40), grainy(FLAT, 0, 20)],
    ids=["grain", "more grain", "dark", "shading", "jpeg", "blocks"],
)  # fmt: skip
def test_grain_shading_and_blocks_are_no_edges(color, size):
    stroke = Stroke(WAVE, size=size, edge_aware=0.7)
    cover, factor = covered(stroke), whole(color, stroke)
    assert (cover * (1 - factor)).sum() < 0.02 * cover.sum()


@pytest.mark.parametrize("name", ["brick", "grass", "gravel"])
def test_a_texture_is_painted_without_holes(name):
    color = np.repeat(getattr(data, name)()[:211, :317, None], 3, axis=2)
    stroke = Stroke(WAVE, size=0.15, edge_aware=0.6)
    cover, factor = covered(stroke), whole(color, stroke)
    assert (cover * (1 - factor)).sum() < 0.06 * cover.sum()


@pytest.mark.parametrize("mode", ["paint", "erase", "refine"])
@pytest.mark.parametrize("size", [0.02, 0.06, 0.15, 0.4])
@pytest.mark.parametrize(
    "left, right, noise",
    [((60, 90, 150), (170, 140, 60), 0), ((60, 90, 150), (170, 140, 60), 8),
     ((14, 12, 10), (32, 26, 20), 2), ((228, 232, 236), (246, 246, 246), 2),
     ((90, 120, 90), (120, 90, 90), 5)],
    ids=["clean", "grain", "dark", "bright", "hue"],
)  # fmt: skip
def test_a_stroke_along_an_edge_stays_on_its_side(left, right, noise, size, mode):
    color = halves(left, right, noise=noise)
    wanted = np.repeat(np.arange(317)[None] < 158, 211, axis=0)
    spill, loss = shares(color, level(0.5 - 0.3 * size, size, mode=mode), wanted)
    assert spill < 0.1 and loss < 0.04


def test_a_soft_edge_gets_a_soft_rim():
    stroke = level(0.46, 0.2)
    factor, cover = (
        plane[105, 120:177] for plane in (whole(halves(blur=6), stroke), covered(stroke))
    )
    assert factor[:15].min() > 0.98 and factor[-7:].max() < 0.02 and cover.max() == 1
    assert np.diff(factor).min() > -0.4 and np.diff(factor).max() < 0.02
    assert ((factor > 0) & (factor < 1)).sum() >= 4


def test_the_other_side_of_a_line_is_not_reached_though_its_colour_is_the_same():
    color = halves((90, 120, 150), (90, 120, 150))
    color[:, 158:162] = 20
    stroke = level(0.46, 0.2, edge_aware=1.0)
    factor = whole(color, stroke)[105]
    assert factor[158:162].max() < 0.2
    assert factor[115:157].min() > 0.95


@pytest.mark.parametrize("size", [0.03, 0.08, 0.2])
def test_half_and_double_size_agree(size):
    color = cv2.GaussianBlur(cv2.resize(data.astronaut()[:240, 100:460], (720, 480)), None, 1.5)
    full, half = (
        cv2.resize(color, (n, n * 2 // 3), interpolation=cv2.INTER_AREA) for n in (360, 180)
    )
    stroke = Stroke(WAVE, size=size, edge_aware=0.6)
    for big, small in ((color, full), (full, half)):
        shape = small.shape[:2]
        shrunk = cv2.resize(whole(big, stroke), shape[::-1], interpolation=cv2.INTER_AREA)
        cover = covered(stroke, shape)
        off = np.abs(shrunk - whole(small, stroke)) * cover
        assert off.sum() < 0.04 * cover.sum()


def test_more_awareness_leaves_less():
    for color in (photo(), halves(noise=5)):
        stroke = Stroke(WAVE, size=0.12)
        assert (whole(color, stroke) == 1).all()
        last = None
        for edge_aware in (0.01, 0.1, 0.3, 0.5, 0.7, 0.85, 1.0):
            asked = msgspec.structs.replace(stroke, edge_aware=edge_aware)
            factor = whole(color, asked)
            if last is not None:
                # Colour lines swing a little beside an edge; nothing else may come back.
                assert np.mean(factor) <= np.mean(last)
                assert ((factor - last) > 0.1).mean() < 0.002
            last = factor


def test_every_depth_gives_the_same_factor():
    stroke = Stroke(WAVE, size=0.1, edge_aware=0.7)
    bytes_, words, floats = (whole(photo(t), stroke) for t in (np.uint8, np.uint16, np.float32))
    assert np.abs(bytes_ - words).mean() < 1e-3
    assert np.abs(words - floats).mean() < 1e-3


def test_a_stroke_outside_the_picture_is_not_held():
    stroke = Stroke(((3.0, 3.0), (3.5, 3.2)), size=0.1, edge_aware=1.0)
    assert whole(photo(), stroke).dtype == np.float32


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 3), (37, 53)])
@pytest.mark.parametrize("brush", [0.001, 0.2, 3.0])
def test_the_smallest_pictures_can_be_painted(size, brush):
    color = np.full((*size, 3), 77, np.uint8)
    factor = whole(color, Stroke(((0.5, 0.5), (0.9, 0.1)), size=brush, edge_aware=1.0))
    assert (
        factor.shape == size
        and (factor[covered(Stroke(((0.5, 0.5),), brush), size) > 0] == 1).all()
    )


def test_an_empty_window_is_empty():
    tool = EdgeAware(photo(), Stroke(WAVE, edge_aware=1.0))
    assert tool(slice(5, 5), slice(0, 9)).shape == (0, 9)


def test_the_picture_and_its_copy_in_another_memory_order_get_the_same_bits():
    stroke = Stroke(WAVE, size=0.1, edge_aware=0.7)
    color = photo()
    np.testing.assert_array_equal(whole(np.asfortranarray(color), stroke), whole(color, stroke))


def test_checkpoints_come_and_may_stop():
    calls, stroke = [], Stroke(WAVE, size=0.1, edge_aware=1.0)
    EdgeAware(photo(), stroke, lambda: calls.append(1))(*WINDOW)
    assert len(calls) > 5

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EdgeAware(photo(), stroke, stop)(*WINDOW)
