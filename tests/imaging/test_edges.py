"""The colour guided filter against what is known of it."""

import numpy as np

from qr_nodes.imaging import edges
from qr_nodes.imaging.edges import ColorLines, on_lines


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def test_a_matte_on_the_colour_lines_is_left_alone():
    guide = noise(3, 37, 53)
    matte = 0.2 + 0.5 * guide[0] - 0.3 * guide[1] + 0.4 * guide[2]
    np.testing.assert_allclose(ColorLines(guide, 2, 1e-6)(matte), matte, atol=2e-3)


def test_a_flat_picture_gives_a_twice_averaged_matte():
    guide, matte = np.full((3, 37, 53), 0.4, np.float32), noise(37, 53)
    lines = ColorLines(guide, 1, 1e-4)
    twice = lines.blur(lines.blur(matte[None]))[0]
    np.testing.assert_allclose(lines(matte), twice, atol=2e-3)


def test_a_blurred_step_takes_on_the_pictures_edge():
    guide = np.zeros((3, 37, 53), np.float32)
    guide[:, :, 26:] = [[[0.9]], [[0.5]], [[0.2]]]
    matte = np.broadcast_to(np.clip((np.arange(53) - 20) / 12, 0, 1), (37, 53)).astype(np.float32)
    steep = np.abs(np.diff(ColorLines(guide, 6, 1e-4)(matte), axis=1)).max()
    assert steep > 4 * np.abs(np.diff(matte, axis=1)).max()


def test_the_filter_is_symmetric_away_from_the_border():
    lines = ColorLines(noise(3, 37, 53), 2, 1e-3)
    one, other = np.zeros((37, 53), np.float32), np.zeros((37, 53), np.float32)
    one[15, 20], other[17, 22] = 1, 1
    np.testing.assert_allclose(lines(one)[17, 22], lines(other)[15, 20], rtol=1e-2)


def test_on_lines_adds_slopes_times_colours():
    coefficients = np.stack([np.full((2, 3), v, np.float32) for v in (1, 2, 3, 0.5)])
    guide = np.stack([np.full((2, 3), v, np.float32) for v in (0.1, 0.2, 0.3)])
    np.testing.assert_allclose(on_lines(coefficients, guide), 1.9, rtol=1e-6)


def test_the_fit_is_the_part_of_a_mattes_variance_that_the_colours_tell():
    guide = noise(3, 60, 80)
    told = 0.3 + 0.4 * guide[0] - 0.2 * guide[2]
    other = told.std() * (noise(60, 80, seed=1) - 0.5) / 0.5 * np.float32(3**0.5)
    # Two of equal variance, one of which the colours tell, and each of them alone.
    for matte, expected in ((told + other, 0.5), (told, 1.0), (other, 0.0)):
        lines, fit = ColorLines(guide, 12, 1e-6).told(matte)
        np.testing.assert_allclose(fit, expected, atol=0.1)
        np.testing.assert_array_equal(lines, ColorLines(guide, 12, 1e-6).coefficients(matte))
    flat = np.full((60, 80), 0.7, np.float32)
    np.testing.assert_allclose(ColorLines(guide, 12, 1e-6).told(flat)[1], 1, atol=0.01)


def test_strips_leave_no_seam(monkeypatch):
    guide, matte = noise(3, 137, 53), noise(137, 53, seed=1)

    def filtered():
        lines = ColorLines(guide, 2, 1e-3)
        return np.stack([lines(matte), *lines.coefficients(matte), lines.told(matte)[1]])

    whole = filtered()
    monkeypatch.setattr(edges, "GRAIN", 20 * 53)
    np.testing.assert_allclose(filtered(), whole, atol=1e-4)


def test_boxes_give_what_the_whole_picture_gives_there_and_nothing_elsewhere():
    guide, matte = noise(3, 137, 153), noise(137, 153, seed=1)
    boxes = [
        (slice(0, 64), slice(0, 40)),  # a corner of the picture
        (slice(0, 64), slice(40, 41)),  # next to it, one pixel wide
        (slice(64, 128), slice(70, 100)),
        (slice(128, 137), slice(100, 153)),  # the opposite corner
    ]
    whole, some = (ColorLines(guide, 2, 1e-3, boxes=part) for part in (None, boxes))
    inside = np.zeros((137, 153), bool)
    for box in boxes:
        inside[box] = True

    def answers(lines):
        return np.stack([lines(matte), *lines.coefficients(matte), *lines.told(matte)[0]])

    np.testing.assert_allclose(answers(some)[:, inside], answers(whole)[:, inside], atol=1e-4)
    assert not answers(some)[:, ~inside].any()

    flat, back = some.flat(matte), np.zeros_like(matte)
    assert flat.shape == (inside.sum(),)
    some.spread(flat, back)
    np.testing.assert_array_equal(back, matte * inside)
    np.testing.assert_array_equal(some.flat(some(matte)), some.filtered(matte))


def test_checkpoints_come_with_every_strip(monkeypatch):
    monkeypatch.setattr(edges, "GRAIN", 20 * 53)
    calls = []
    lines = ColorLines(noise(3, 100, 53), 2, 1e-3, checkpoint=lambda: calls.append(1))
    assert len(calls) == 5
    lines(noise(100, 53))
    assert len(calls) == 10
