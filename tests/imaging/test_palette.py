import numpy as np

from qr_nodes.imaging.palette import Palette, blocks

RED, GREEN = (0.8, 0.1, 0.1), (0.1, 0.7, 0.2)


def halves():
    color = np.empty((61, 97, 3), np.float32)
    color[:, :48], color[:, 48:] = RED, GREEN
    return color


def test_colours_are_common_only_near_where_they_are():
    color = np.full((61, 97, 3), 0.5, np.float32)
    color[:, :9], color[:, -9:] = RED, GREEN
    palette = Palette.of(color, np.ones((61, 97), np.float32))
    places = np.array([0.02, 0.98])
    for asked, expected in ((RED, (1, 0)), (GREEN, (0, 1)), ((0.2, 0.2, 0.9), (0, 0))):
        same = np.broadcast_to(np.float32(asked), (2, 3))
        assert np.allclose(palette.common(same, np.full(2, 0.5), places), expected, atol=0.02)


def test_pixels_without_weight_do_not_count():
    weight = np.ones((61, 97), np.float32)
    weight[:, 48:] = 0
    palette = Palette.of(halves(), weight)
    green = np.array([GREEN], np.float32)
    assert palette.common(green, np.array([0.5]), np.array([0.95]))[0] == 0


def test_a_palette_of_nothing_holds_nothing():
    palette = Palette.of(halves(), np.zeros((61, 97), np.float32))
    box = (slice(0, 61), slice(0, 97))
    assert not palette.common_in(halves(), box, (61, 97)).any()


def test_lookup_does_not_depend_on_the_block():
    rng = np.random.default_rng(5)
    color = rng.random((61, 97, 3), np.float32)
    palette = Palette.of(color, np.ones((61, 97), np.float32))
    whole = palette.common_in(color, (slice(0, 61), slice(0, 97)), (61, 97))
    part = (slice(13, 40), slice(7, 90))
    assert np.allclose(palette.common_in(color[part], part, (61, 97)), whole[part], atol=1e-6)


def test_blocks_cover_the_picture_once():
    seen = np.zeros((61, 97), int)
    for box in blocks(61, 97, 20):
        seen[box] += 1
    assert (seen == 1).all()
