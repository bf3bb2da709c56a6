"""Strokes: known areas, an exact reference, the same picture at every resolution."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from qr_nodes.imaging.correction import corrected
from qr_nodes.imaging.strokes import Trace
from qr_nodes.tiled import SIDE
from qr_nodes.types import Stroke, opaque

SHAPE = (211, 317)
BEND = ((0.1, 0.2), (0.5, 0.8), (0.55, 0.3), (0.9, 0.35))


def drawn(stroke, shape=SHAPE):
    return corrected(np.zeros(shape, np.float32), [stroke])


def distance(points, shape):
    """Distance from every pixel's centre to a polyline, in px, the slow and plain way."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    path = np.array(points) * shape[::-1]
    nearest = np.hypot(x - path[0, 0], y - path[0, 1])
    for (ax, ay), (bx, by) in pairwise(path):
        squared = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-300)
        t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / squared, 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay)))
    return nearest


def averaged_profile(distance, radius, hardness):
    """The brush's profile averaged over a pixel by sampling it 64 times."""
    total = 0
    for shift in (np.arange(64) + 0.5) / 64 - 0.5:
        depth = (radius - np.abs(distance + shift)) / max(radius * (1 - hardness), 1e-9)
        u = np.clip(depth, 0, 1)
        total = total + u * u * (3 - 2 * u)
    return total / 64


def test_a_hard_dot_has_the_area_of_its_disk():
    dot = drawn(Stroke(((0.5, 0.5),), size=60 / 317, hardness=1))
    assert dot.sum() == pytest.approx(np.pi * 30**2, rel=2e-3)
    assert dot[105, 158] == 1
    assert dot[0].max() == 0


def test_a_level_stroke_covers_its_width_and_its_round_ends():
    line = drawn(Stroke(((0.25, 0.5), (0.75, 0.5)), size=20 / 317, hardness=1))
    assert line.sum() == pytest.approx(317 / 2 * 20 + np.pi * 10**2, rel=2e-3)
    assert line[:, 150].sum() == pytest.approx(20, abs=2e-3)


def test_a_line_thinner_than_a_pixel_is_faint_but_whole():
    line = drawn(Stroke(((0.1, 0.31), (0.9, 0.31)), size=0.25 / 317, hardness=1))
    np.testing.assert_allclose(line[:, 50:250].sum(0), 0.25, atol=2e-3)


@pytest.mark.parametrize("hardness", [0, 0.5, 0.8, 1])
@pytest.mark.parametrize("size", [0.004, 0.03, 0.3])
def test_coverage_is_the_profile_at_the_exact_distance(size, hardness):
    rng = np.random.default_rng(7)
    wander = np.cumsum(rng.normal(0, 0.02, (40, 2)), 0) + 0.5
    for points in (BEND, wander.tolist(), rng.uniform(-0.3, 1.3, (12, 2)).tolist()):
        stroke = Stroke(tuple(map(tuple, points)), size=size, hardness=hardness)
        expected = averaged_profile(distance(points, SHAPE), size * 317 / 2, hardness)
        np.testing.assert_allclose(drawn(stroke), expected, atol=0.012)


def test_a_path_that_turns_back_on_itself_does_not_build_up():
    there = Stroke(((0.2, 0.5), (0.8, 0.5)), size=0.1, hardness=0.3, opacity=0.5)
    and_back = Stroke(((0.2, 0.5), (0.8, 0.5), (0.2, 0.5), (0.2, 0.5)), 0.1, 0.3, 0.5)
    np.testing.assert_allclose(drawn(and_back), drawn(there), atol=1e-5)
    assert drawn(and_back).max() == pytest.approx(0.5)


def test_paint_and_erase_move_alpha_by_coverage_and_opacity():
    start = np.full(SHAPE, 0.4, np.float32)
    cover = drawn(Stroke(BEND, size=0.1, hardness=0.2))
    painted = corrected(start, [Stroke(BEND, 0.1, 0.2, 0.5)])
    np.testing.assert_allclose(painted, start + (1 - start) * cover * 0.5, atol=1e-6)
    erased = corrected(start, [Stroke(BEND, 0.1, 0.2, 0.5, mode="erase")])
    np.testing.assert_allclose(erased, start * (1 - cover * 0.5), atol=1e-6)


def test_later_strokes_lie_over_earlier_ones():
    paint, erase = Stroke(BEND, hardness=1), Stroke(BEND, hardness=1, mode="erase")
    assert corrected(np.zeros(SHAPE, np.float32), [paint, erase]).max() < 0.3
    assert corrected(np.zeros(SHAPE, np.float32), [erase, paint]).max() == 1


@pytest.mark.parametrize("hardness", [0, 0.8, 1])
def test_half_and_double_size_agree_with_the_resampled_picture(hardness):
    shape = (240, 360)
    strokes = [Stroke(BEND, 0.05, hardness), Stroke(((0.3, 0.3), (0.9, 0.9)), 0.01, hardness)]
    double = corrected(np.zeros((480, 720), np.float32), strokes)
    full = corrected(np.zeros(shape, np.float32), strokes)
    half = corrected(np.zeros((120, 180), np.float32), strokes)
    for big, small in ((double, full), (full, half)):
        shrunk = cv2.resize(big, small.shape[::-1], interpolation=cv2.INTER_AREA)
        off = np.abs(shrunk - small)
        assert off.mean() < 2e-3
        # Only the pixel in an inner corner sees two edges at once.
        assert np.count_nonzero(off > 0.08) <= 6
        assert off.max() < 0.2


def test_no_tile_and_no_part_of_one_changes_outside_what_the_trace_names():
    shape = (3 * SIDE - 40, 3 * SIDE - 9)
    for stroke in (Stroke(BEND, size=0.07), Stroke(BEND[:2], size=0.3), Stroke(((1.2, 0.4),), 0.5)):
        trace = Trace(stroke, *shape)
        boxes = {place: trace.box(place) for place in trace.places()}
        alpha = drawn(stroke, shape).copy()
        assert alpha.any()
        for box in filter(None, boxes.values()):
            alpha[box] = 0
        assert not alpha.any()


def test_a_window_gets_the_same_values_as_the_whole():
    trace = Trace(Stroke(BEND, size=0.2, hardness=0.1, opacity=0.7), SIDE + 60, SIDE + 90)
    whole = trace.coverage((slice(0, SIDE), slice(0, SIDE)))
    window = trace.coverage((slice(101, 251), slice(57, 190)))
    np.testing.assert_array_equal(window, whole[101:251, 57:190])


def test_a_stroke_that_grows_changes_only_the_tiles_of_its_end():
    rng = np.random.default_rng(2)
    path = tuple(map(tuple, (np.cumsum(rng.normal(0, 0.02, (60, 2)), 0) + 0.5).tolist()))
    shape = (4 * SIDE - 3, 5 * SIDE - 7)
    for since in (1, 20, 45):
        grown, short = (Trace(Stroke(points, 0.02), *shape) for points in (path, path[:since]))
        boxes = [trace.boxes(since) for trace in (grown, short)]
        assert len(boxes[0].keys() | boxes[1].keys()) < 20
        for place in grown.places() | short.places():
            if (box := grown.box(place)) is not None:
                one, other = np.array(grown.coverage(box)), np.array(short.coverage(box))
                for found in boxes:
                    if place in found:
                        rows, columns = (
                            slice(max(part.start - whole.start, 0), max(part.stop - whole.start, 0))
                            for part, whole in zip(found[place], box, strict=True)
                        )
                        one[rows, columns] = other[rows, columns] = 0
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "strokes",
    [(), (Stroke(BEND, hidden=True),), (Stroke(((2.0, 2.0), (3.0, 2.5)), size=0.1),)],
    ids=["none", "hidden", "outside"],
)
def test_a_matte_no_stroke_touches_is_passed_on(strokes):
    alpha = np.zeros(SHAPE, np.float32)
    assert corrected(alpha, strokes) is alpha


def test_an_opaque_matte_can_be_erased_and_is_not_written_to():
    alpha = opaque(*SHAPE)
    erased = corrected(alpha, [Stroke(((0.5, 0.5),), 0.5, mode="erase")])
    assert erased.flags.c_contiguous
    assert erased.min() == 0
    assert alpha.min() == 1


def test_one_pixel_can_be_painted():
    assert drawn(Stroke(((0.5, 0.5),), size=4.0), (1, 1))[0, 0] == 1


def test_the_checkpoint_is_called_for_every_tile_and_may_stop():
    calls = []
    stroke = Stroke(((0.0, 0.0), (1.0, 1.0)), size=0.01)
    blank = np.zeros((4 * SIDE, 4 * SIDE), np.float32)
    corrected(blank, [stroke], checkpoint=lambda: calls.append(1))
    assert 4 <= len(calls) <= 10  # those on the diagonal and its corners, of 16
    with pytest.raises(ZeroDivisionError):
        corrected(np.zeros(SHAPE, np.float32), [stroke], checkpoint=lambda: 1 / 0)
