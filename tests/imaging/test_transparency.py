import cv2
import numpy as np
import pytest

from qr_nodes.errors import Cancelled
from qr_nodes.imaging.transparency import holes_closed, membrane, see_through, unmixed

HEIGHT, WIDTH = 241, 307


def meadow(noise=0.01):
    """A sky over a meadow, softly graded, with a little grain."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    step = 1 / (1 + np.exp(-(y - 110) / 6))
    sky = np.stack([0.45 + 0.1 * y / HEIGHT, 0.6 + 0.1 * x / WIDTH, 0.85 - 0 * x], 2)
    grass = np.stack([0.25 + 0.1 * x / WIDTH, 0.42 + 0 * x, 0.12 + 0.05 * y / HEIGHT], 2)
    scene = sky + step[..., None] * (grass - sky)
    grain = np.random.default_rng(2).standard_normal(scene.shape).astype(np.float32)
    return np.clip(scene + noise * grain, 0, 1).astype(np.float32)


def away():
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.hypot(y - 122.3, x - 151.8)


def goblet():
    """A clear ball with a violet rim and a white highlight, over the meadow.

    Returns the picture, its true alpha, and a network's undecided matte of it.
    """
    rim = np.exp(-(((away() - 78) / 2.2) ** 2))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    light = np.exp(-((((np.hypot(y - 90, x - 120)) / 9) ** 2) ** 2))
    alpha = np.maximum(0.8 * rim, light).astype(np.float32)
    front = np.where((light > rim)[..., None], (0.98, 0.98, 0.98), (0.45, 0.1, 0.5))
    picture = alpha[..., None] * front + (1 - alpha[..., None]) * meadow()
    inside = np.clip((81 - away()) / 4 + 0.5, 0, 1)
    undecided = inside * (0.45 + 0.5 * np.clip((x - 150) / 60, 0, 1))
    return picture.astype(np.float32), alpha, undecided.astype(np.float32)


def ball(color):
    """An opaque ball over the meadow, and its matte."""
    alpha = np.clip((70 - away()) / 3 + 0.5, 0, 1).astype(np.float32)
    picture = alpha[..., None] * np.float32(color) + (1 - alpha[..., None]) * meadow()
    return picture.astype(np.float32), alpha


def test_membrane_keeps_the_known_and_continues_a_ramp():
    ramp = np.tile(np.arange(53, dtype=np.float32) / 53, (37, 1))[..., None]
    known = np.ones((37, 53), np.float32)
    known[10:27, 15:38] = 0
    filled = membrane(np.where(known[..., None] > 0, ramp, 9).astype(np.float32), known)
    assert np.array_equal(filled[known > 0], ramp[known > 0])
    assert np.abs(filled - ramp).max() < 0.05


def test_layers_along_the_horizon_go_on_better_than_upright_ones():
    known = np.ones((96, 96), np.float32)
    known[24:72, 24:72] = 0
    layers = np.zeros((96, 96, 1), np.float32)
    layers[48:] = 1
    off = [
        np.abs(membrane(scene * known[..., None], known) - scene)[known == 0].mean()
        for scene in (layers, layers.transpose(1, 0, 2))
    ]
    assert off[0] < 0.85 * off[1]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 1), (7, 4)])
def test_membrane_of_one_value_is_that_value(shape):
    weight = np.zeros(shape, np.float32)
    weight[0, 0] = 1
    values = np.zeros((*shape, 2), np.float32)
    values[0, 0] = 0.3
    assert np.allclose(membrane(values, weight), 0.3, atol=1e-5)


def test_a_glass_ball_is_taken_apart():
    picture, true, undecided = goblet()
    region = (away() < 90).astype(np.float32)
    alpha, color = unmixed(picture, undecided, region, haze=0.6)
    assert np.abs(alpha - true).mean() < 0.2 * np.abs(undecided - true).mean()
    clear = (away() < 60) & (true < 0.01)
    assert alpha[clear].mean() < 0.02
    light = true > 0.95
    assert alpha[light].min() > 0.8
    # Over black the highlight is still white and the scene behind is gone.
    over = alpha[..., None] * color
    assert over[light].min() > 0.75
    assert over[clear].mean() < 0.02


def dense():
    """A cloudy glass over the meadow with drops, clear spots and an orange slice in it.

    Returns the picture, its true alpha, and where the slice is.
    """
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    drops = cv2.GaussianBlur(
        np.random.default_rng(4).standard_normal((HEIGHT, WIDTH)).astype(np.float32), (0, 0), 2
    )
    slice_ = np.clip(20.5 - np.hypot(y - 140, x - 180), 0, 1)
    alpha = np.clip(0.75 + 0.25 * drops / drops.std(), 0, 1)
    alpha = np.clip((81 - away()) / 2 + 0.5, 0, 1) * (alpha + slice_ * (1 - alpha))
    front = np.float32((0.86, 0.88, 0.92)) + slice_[..., None] * np.float32((0, -0.34, -0.74))
    picture = alpha[..., None] * front + (1 - alpha[..., None]) * meadow()
    return picture.astype(np.float32), alpha.astype(np.float32), slice_ == 1


def test_dense_glass_keeps_its_body_and_what_is_in_it():
    picture, true, solid_part = dense()
    solid = np.clip((81 - away()) / 2 + 0.5, 0, 1).astype(np.float32)
    alpha, _ = unmixed(picture, solid, (away() < 90).astype(np.float32), haze=0.5)
    assert np.abs(alpha - true).mean() < 0.45 * np.abs(solid - true).mean()
    assert alpha[solid_part].mean() > 0.95
    # Drops are followed: alpha rises and falls with the truth's.
    body = (away() < 70) & ~solid_part
    assert np.corrcoef(alpha[body], true[body])[0, 1] > 0.9


def test_grain_of_the_background_leaves_no_ghost():
    picture, _, undecided = goblet()
    alpha, _ = unmixed(picture, undecided, (away() < 110).astype(np.float32), haze=0.5)
    assert (alpha[away() > 95] == 0).mean() > 0.95


def test_haze_keeps_foreign_colours():
    picture, true, undecided = goblet()
    region = (away() < 90).astype(np.float32)
    rim = true > 0.6
    kept, cleared = (unmixed(picture, undecided, region, haze)[0] for haze in (1.0, 0.0))
    assert kept[rim].mean() > cleared[rim].mean()


def test_outside_the_region_nothing_changes():
    picture, _, undecided = goblet()
    region = np.zeros((HEIGHT, WIDTH), np.float32)
    region[:, :150] = 1
    for kind in (np.uint8, np.uint16, np.float32):
        top = 1 if kind == np.float32 else np.iinfo(kind).max
        source = (picture * top).astype(kind)
        alpha, color = unmixed(source, undecided, region, haze=0.6)
        assert color.dtype == kind
        assert np.array_equal(alpha[:, 150:], undecided[:, 150:])
        assert np.array_equal(color[:, 150:], source[:, 150:])
        assert not np.array_equal(alpha[:, :150], undecided[:, :150])


def test_without_any_background_there_is_no_answer():
    picture, _, _ = goblet()
    full = np.full((HEIGHT, WIDTH), 0.5, np.float32)
    assert unmixed(picture, full, np.ones_like(full), 0.6) is None


def test_glass_is_found_by_itself():
    picture, true, undecided = goblet()
    region = see_through(picture, undecided)
    assert region is not None
    assert region[true > 0.5].min() > 0.5
    assert region[away() > 110].max() == 0


def test_what_a_network_is_sure_of_is_solid_though_it_looks_like_glass():
    picture, _, _ = goblet()
    solid = np.clip((81 - away()) / 4 + 0.5, 0, 1).astype(np.float32)
    assert see_through(picture, solid) is None


@pytest.mark.parametrize("ground", ["white", "graded", "paper", "wood"])
@pytest.mark.parametrize("doubt", [0.0, 0.1])
def test_solids_of_the_grounds_colour_with_a_thin_rim_are_solid(ground, doubt):
    """Plates and boxes on a table of their own colour, of which a network doubts a tenth."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    scene = np.full((HEIGHT, WIDTH), 0.97, np.float32)
    if ground == "graded":
        scene = 0.75 + 0.2 * x / WIDTH
    elif ground == "paper":
        scene = 0.9 + cv2.GaussianBlur(
            rng.normal(0, 0.1, scene.shape).astype(np.float32), (0, 0), 1
        )
    elif ground == "wood":
        scene = 0.6 + 0.1 * np.sin(y / 4 + np.sin(x / 40))
    shadow = 1 - 0.15 * np.clip((95 - away()) / 20, 0, 1)
    rim, inside = (away() < 81) & (away() >= 77), away() < 81
    grey = np.where(rim, 0.3, np.where(inside, scene, scene * shadow))
    picture = np.dstack([grey] * 3).astype(np.float32).clip(0, 1)
    matte = np.clip((81 - away()) / 4 + 0.5, 0, 1).astype(np.float32)
    rows = np.arange(HEIGHT)[:, None] < HEIGHT / 2 - 65 + 160 * doubt
    matte = matte * np.where(rows & (doubt > 0), 0.6, 1).astype(np.float32)
    assert see_through(picture, matte) is None


def test_opaque_subjects_are_left_alone():
    for color in ((0.7, 0.3, 0.2), (0.3, 0.42, 0.14), (0.9, 0.9, 0.9)):
        picture, matte = ball(color)
        assert see_through(picture, matte) is None
        # Nor where a network is undecided about them.
        doubtful = matte * np.where(np.arange(WIDTH) < 150, 0.5, 1).astype(np.float32)
        assert see_through(picture, doubtful) is None


@pytest.mark.parametrize("shape", [(1, 7), (9, 1), (29, 200), (121, 163)])
def test_glass_is_not_found_where_there_is_no_room_for_a_rim(shape):
    undecided = np.full(shape, 0.5, np.float32)
    assert see_through(np.full((*shape, 3), 90, np.uint8), undecided) is None


def hole(picture, matte, color, radius):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    inside = np.clip(radius - np.hypot(y - 118, x - 160) + 0.5, 0, 1).astype(np.float32)
    seen = meadow() if color is None else np.float32(color)
    picture = picture + inside[..., None] * (seen - picture)
    return picture.astype(np.float32), matte * (1 - inside), inside > 0


def test_holes_in_the_subjects_own_colour_are_closed():
    red = (0.7, 0.3, 0.2)
    picture, matte, inside = hole(*ball(red), red, 4)
    closed = holes_closed(picture, matte, 0.01)
    assert (closed[inside] == 1).all()
    assert np.array_equal(closed[~inside], matte[~inside])


def test_holes_that_show_the_background_stay_open():
    picture, matte, _ = hole(*ball((0.7, 0.3, 0.2)), None, 4)
    assert np.array_equal(holes_closed(picture, matte, 0.01), matte)


def test_large_holes_stay_open():
    red = (0.7, 0.3, 0.2)
    picture, matte, _ = hole(*ball(red), red, 20)
    assert holes_closed(picture, matte, 0.01) is matte
    assert holes_closed(picture, matte, 0.2).min() == 0
    assert holes_closed(picture, matte, 0.2)[118, 160] == 1


def test_many_holes_are_judged_as_each_would_be_alone(monkeypatch):
    red, rng = (0.7, 0.3, 0.2), np.random.default_rng(5)
    picture, matte = ball(red)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    scene, kept = meadow(), []
    for number, (cy, cx) in enumerate(rng.integers((80, 110), (165, 195), (40, 2))):
        inside = np.hypot(y - cy, x - cx) < 2.2
        if (matte[inside] == 1).all():  # no two of them touch
            matte[inside] = 0
            picture[inside] = scene[inside] if number % 2 else np.float32(red)
            kept.append((inside, number % 2 == 0))
    assert len(kept) > 10
    whole = holes_closed(picture, matte, 0.01)
    assert all((whole[inside] == closes).all() for inside, closes in kept)
    monkeypatch.setattr("qr_nodes.imaging.transparency.GRAIN", 7)
    assert np.array_equal(holes_closed(picture, matte, 0.01), whole)


def test_unmixing_can_be_stopped():
    def stop():
        raise Cancelled

    picture, _, undecided = goblet()
    with pytest.raises(Cancelled):
        unmixed(picture, undecided, np.ones_like(undecided), 0.6, stop)
    picture, matte, _ = hole(*ball((0.7, 0.3, 0.2)), (0.7, 0.3, 0.2), 4)
    with pytest.raises(Cancelled):
        holes_closed(picture, matte, 0.01, stop)


def test_small_copy_and_full_size_agree():
    picture, _, undecided = goblet()
    region = (away() < 90).astype(np.float32)

    def twice(values):
        return cv2.resize(values, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)

    once = unmixed(picture, undecided, region, 0.6)[0]
    large = unmixed(twice(picture), twice(undecided), twice(region), 0.6)[0]
    shrunk = cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk - once).mean() < 0.01
