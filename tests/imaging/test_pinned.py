"""What each algorithm is worth on small scenes with known truth, pinned: constants that nobody
measures rot.

The figures of `pinned.json` are changed on purpose only: with `--store-figures` this file's tests
measure all and write them anew, and the commit says why they changed. A figure that got better is
stored as well, or what was won could be lost again unseen.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import cv2
import metrics
import numpy as np
import pytest
from skimage import data

from qr_nodes.imaging import consensus
from qr_nodes.imaging.backdrop import blurred_behind
from qr_nodes.imaging.contour import smoothed
from qr_nodes.imaging.drawn import drawn_to_edges
from qr_nodes.imaging.foreground import decontaminated
from qr_nodes.imaging.islands import without_islands
from qr_nodes.imaging.matting import refined_alpha, unsure_band
from qr_nodes.imaging.morphology import grow
from qr_nodes.imaging.resample import resize_array
from qr_nodes.imaging.shown import Shown
from qr_nodes.imaging.transparency import holes_closed, unmixed
from qr_nodes.nodes.brush_edit import brush_edit
from qr_nodes.types import Cutout, Stroke

STORED = Path(__file__).with_name("pinned.json")
TOLERANCE = 0.03
"""Part by which a figure may differ: processors and libraries round otherwise, by far less."""

SIZE = 200, 260
GROUNDS = ("plain", "grass", "brick", "near")


# ---- scenes --------------------------------------------------------------------------------


@functools.cache
def subject(kind: str) -> np.ndarray:
    """Return a true matte: a blurred blob, one with hair, or one with corners and a hole."""
    height, width = SIZE
    fine = np.zeros((4 * height, 4 * width), np.uint8)
    middle = 2 * width, 2 * height
    if kind == "corners":
        points = [(300, 160), (760, 200), (700, 640), (420, 560), (260, 640)]
        cv2.fillPoly(fine, [np.array(points)], 255)
        cv2.circle(fine, (520, 400), 60, 0, -1)
    else:
        cv2.ellipse(fine, middle, (230, 190), 20, 0, 360, 255, -1)
    if kind == "hair":
        rng = np.random.default_rng(3)
        for angle in rng.uniform(0, 2 * np.pi, 90):
            way = np.array([np.cos(angle), np.sin(angle)])
            bend = rng.uniform(-60, 60) * way[::-1] * (1, -1)
            along = np.linspace(0, 1, 20)[:, None]
            line = middle + way * (150 + rng.uniform(90, 200) * along) + bend * along**2
            cv2.polylines(fine, [line.astype(np.int32)], False, 255, 3)
    small = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return cv2.GaussianBlur(small, (0, 0), 4) if kind == "blurred" else small


@functools.cache
def photograph(kind: str, ground: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a composite, its true matte and the subject's own colours, all float32."""
    height, width = SIZE
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:height, :width].astype(np.float32) / 100
    front = np.dstack([0.62 + 0.1 * np.sin(7 * x), 0.42 + 0.1 * y, 0.3 + 0.08 * np.cos(9 * y)])
    if ground == "plain":
        behind = np.dstack([0.15 + 0.1 * y, 0.55 + 0.1 * x, 0.75 - 0.1 * y])
    elif ground == "near":  # partly of the subject's own colours
        behind = np.dstack([0.35 + 0.1 * x, 0.42 + 0.05 * y, 0.33 + 0.05 * x])
    else:
        texture = data.grass() if ground == "grass" else data.brick()
        behind = texture[:height, :width, None] / np.float32(255) * np.float32([0.5, 0.9, 0.6])
    alpha = subject(kind)
    color = front * alpha[..., None] + behind * (1 - alpha[..., None])
    noisy = color + rng.normal(0, 0.012, color.shape)
    return noisy.clip(0, 1).astype(np.float32), alpha, front.astype(np.float32)


def coarse(alpha: np.ndarray, cells: int = 40, seed: int = 0) -> np.ndarray:
    """Return what a network of few cells might say of a matte."""
    size = cells, round(cells * alpha.shape[0] / alpha.shape[1])
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(seed).normal(0, 0.03, small.shape).astype(np.float32)
    return np.clip(small + noise, 0, 1)


def enlarged(small: np.ndarray) -> np.ndarray:
    return np.clip(cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def of_matte(found: np.ndarray, true: np.ndarray) -> dict[str, float]:
    scores = metrics.errors(found, true)
    return {"SAD": 1000 * scores["SAD"], "Grad": 1000 * scores["Grad"]}


def of_color(found: np.ndarray, true: np.ndarray, alpha: np.ndarray) -> dict[str, float]:
    """Return the mean colour error of the soft edge, 0 to 255, weighted by alpha."""
    soft = (alpha > 0.02) & (alpha < 0.98)
    off = 255 * np.abs(found - true).mean(axis=2)[soft]
    return {"colour": float((off * alpha[soft]).sum() / alpha[soft].sum())}


# ---- what is measured ----------------------------------------------------------------------


def matting(kind: str, ground: str, way: str) -> dict[str, float]:
    color, true, _ = photograph(kind, ground)
    if way == "trimap":
        inside = cv2.erode(true, np.ones((13, 13))) > 0.98
        outside = cv2.dilate(true, np.ones((13, 13))) < 0.02
        guess = np.where(inside, 1, np.where(outside, 0, 0.5)).astype(np.float32)
        return of_matte(refined_alpha(color, guess, unsure_band(guess, 0), 0.0), true)
    guess = enlarged(coarse(true))
    return of_matte(refined_alpha(color, guess, unsure_band(guess, 8), 0.3), true)


def foreground(kind: str, ground: str) -> dict[str, float]:
    color, true, own = photograph(kind, ground)
    return of_color(decontaminated(color, true), own, true)


def glass(ground: str, haze: float) -> dict[str, float]:
    """A tinted pane with a bright rim and something solid in it."""
    height, width = SIZE
    scene, _, _ = photograph("corners", ground)
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - 100, x - 130).astype(np.float32)
    behind = np.roll(scene, 97, axis=1)
    behind = np.where((away < 90)[..., None], photograph("hair", ground)[0][::-1, ::-1], behind)
    inside = np.clip(70.5 - away, 0, 1)
    rim = np.exp(-(((away - 66) / 3) ** 2)) * (y < 130)
    solid = ((np.abs(x - 120) < 14) & (np.abs(y - 120) < 22)).astype(np.float32)
    true = (inside * np.clip(0.12 + 0.8 * rim + solid, 0, 1)).astype(np.float32)
    front = np.where(
        solid[..., None] > 0, np.float32([0.8, 0.2, 0.1]), np.float32([0.9, 0.95, 0.9])
    )
    color = (front * true[..., None] + behind * (1 - true[..., None])).clip(0, 1)
    region = (away < 74).astype(np.float32)
    alpha, found = unmixed(color.astype(np.float32), inside * np.float32(0.8), region, haze)
    shown = found * alpha[..., None]
    off = 255 * np.abs(shown - front * true[..., None]).mean(axis=2)[region > 0].mean()
    return {**of_matte(alpha, true), "colour": float(off)}


def holes() -> dict[str, float]:
    color, true, own = photograph("corners", "grass")
    closed = cv2.circle(true.copy(), (90, 90), 6, 0.0, -1)
    picture = np.where(true[..., None] > 0.5, own, color)
    return of_matte(holes_closed(picture, closed, 0.02), true)


def consensus_of(count: int, stretch: bool) -> dict[str, float]:
    _, true, _ = photograph("hair", "grass")
    answers = [coarse(true, 40 + 15 * n, seed=n) for n in range(count)]
    astray = answers[1].copy()  # one sees half of it, and something that is not there
    astray[:, : astray.shape[1] // 2] *= 0.1
    astray[:6, -12:] = 0.9
    answers[1] = astray
    fine = [n >= count // 2 for n in range(count)]
    return of_matte(enlarged(consensus.agreed(answers, fine, SIZE, stretch)), true)


def drawn(kind: str, ground: str) -> dict[str, float]:
    color, true, _ = photograph(kind, ground)
    return of_matte(drawn_to_edges(Shown(color), coarse(true, 65)), true)


def stepped(amount: float) -> dict[str, float]:
    true = subject("corners")
    steps = np.kron((cv2.resize(true, (130, 100)) > 0.5), np.ones((2, 2))).astype(np.float32)
    found = smoothed(cv2.GaussianBlur(steps, (0, 0), 0.7), amount)
    return {**of_matte(found, true), "wobble": 1000 * metrics.wobble(found)}


def disk(radius: float) -> np.ndarray:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.clip(radius + 0.5 - np.hypot(y - 99.3, x - 130.6), 0, 1).astype(np.float32)


def moved(by: float) -> dict[str, float]:
    return of_matte(grow(disk(60), by), disk(60 + by))


def stroke(ground: str) -> dict[str, float]:
    """Paint along a contour, over it: how much stops at the edge."""
    color, true, _ = photograph("blurred" if ground == "plain" else "corners", ground)
    points = tuple((x / 260, y / 200) for x, y in ((75, 50), (80, 90), (78, 130)))
    blank = Cutout(color, np.zeros(SIZE, np.float32))
    painted = Stroke(points, size=0.16, hardness=0.8, edge_aware=1.0)
    found = brush_edit(blank, strokes=(painted,)).cutout.alpha
    plain = brush_edit(blank, strokes=(Stroke(points, size=0.16, hardness=0.8),)).cutout.alpha
    return of_matte(np.asarray(found), np.minimum(np.asarray(plain), true))


def resized(scale: float) -> dict[str, float]:
    def waves(height: int, width: int) -> np.ndarray:
        y, x = (np.mgrid[:height, :width] + 0.5) / np.reshape((height, width), (2, 1, 1))
        return (0.5 + 0.4 * np.sin(60 * x * x + 9 * y) * np.cos(25 * y)).astype(np.float32)

    height, width = (round(n * scale) for n in SIZE)
    found = resize_array(waves(*SIZE), (height, width))
    inner = slice(8, -8), slice(8, -8)
    return {"SAD": float(np.abs(found - waves(height, width))[inner].sum())}


def apart() -> dict[str, float]:
    true = subject("corners")
    specks = true.copy()
    for x, y, radius in ((20, 20, 3), (240, 180, 4), (230, 30, 6)):
        cv2.circle(specks, (x, y), radius, 0.9, -1)
    return of_matte(without_islands(specks, 0.01), true)


def backdrop() -> dict[str, float]:
    color, alpha, _ = photograph("corners", "grass")
    found = blurred_behind(color, alpha, 12.0)
    without = np.where(alpha[..., None] > 0, np.nan, color)
    return {"colour": float(255 * np.nanmean(np.abs(found - without)))}


CASES = {
    **{
        f"matting, {kind} before {ground}, {way}": functools.partial(matting, kind, ground, way)
        for kind, ground, way in (
            ("hair", "plain", "trimap"),
            ("hair", "grass", "trimap"),
            ("blurred", "near", "trimap"),
            ("corners", "near", "trimap"),
            ("hair", "grass", "matte"),
            ("corners", "near", "matte"),
            ("blurred", "brick", "matte"),
        )
    },
    **{
        f"foreground, {kind} before {ground}": functools.partial(foreground, kind, ground)
        for kind, ground in (("hair", "plain"), ("hair", "brick"), ("blurred", "grass"))
    },
    "glass, before plain": functools.partial(glass, "plain", 0.5),
    "glass, before near, clear": functools.partial(glass, "near", 0.2),
    "holes": holes,
    "consensus of 3": functools.partial(consensus_of, 3, True),
    "consensus of 4": functools.partial(consensus_of, 4, False),
    "drawn to edges, hair": functools.partial(drawn, "hair", "grass"),
    "drawn to edges, corners": functools.partial(drawn, "corners", "brick"),
    "smooth, 1": functools.partial(stepped, 1.0),
    "smooth, 3": functools.partial(stepped, 3.0),
    "grow by 3.3 px": functools.partial(moved, 3.3),
    "shrink by 7 px": functools.partial(moved, -7.0),
    "edge-aware stroke, plain": functools.partial(stroke, "plain"),
    "edge-aware stroke, grass": functools.partial(stroke, "grass"),
    "resize to 0.6": functools.partial(resized, 0.6),
    "resize to 1.7": functools.partial(resized, 1.7),
    "specks": apart,
    "blurred backdrop": backdrop,
}


@pytest.mark.parametrize("name", CASES)
def test_no_algorithm_got_worse_than_its_stored_figures(name, request):
    found = CASES[name]()
    kept = json.loads(STORED.read_text()) if STORED.exists() else {}
    if request.config.getoption("--store-figures"):
        kept[name] = {figure: float(f"{value:.6g}") for figure, value in found.items()}
        kept = {name: kept[name] for name in CASES if name in kept}
        STORED.write_text(json.dumps(kept, indent=1) + "\n")
    stored = kept[name]
    assert found.keys() == stored.keys()
    for figure, value in found.items():
        told = f"{name}: {figure} is {value:.5g}, stored is {stored[figure]:.5g}"
        assert value <= stored[figure] * (1 + TOLERANCE) + 1e-6, told
        better = f"{told}. If that is meant, run these tests with --store-figures."
        assert value >= stored[figure] * (1 - TOLERANCE) - 1e-6, better
