"""The brush in a real window: what the mouse draws, at several zooms, is what is exported."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from driver import Window, needs_a_screen, wait
from PIL import Image

from qr_nodes.graph import Graph
from qr_nodes.qrgraph import save_graph

pytestmark = needs_a_screen

SIZE = (1200, 800)
"""Width and height of the picture, px."""
VIEWER = (1015, 90, 1575, 480)
"""A part of the screen that the viewer is sure to fill: left, top, right, bottom."""
RADIUS = 0.04 * SIZE[0] / 2
"""Of the brush as it is at the first start, px of the picture."""


@pytest.fixture
def picture() -> np.ndarray:
    """Give colours of which every part is unlike every other, and none dark or grey."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (SIZE[1] // 25, SIZE[0] // 25), np.uint8)
    fine = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    return np.dstack([np.full_like(fine, 235), fine // 2 + 60, np.full_like(fine, 30)])


@pytest.fixture
def window(open_window, home, tmp_path, picture):
    """Open a window with a Brush Edit node selected."""
    Image.fromarray(picture).save(tmp_path / "photo.png")
    graph = Graph.chain("load", "brush_edit", "export")
    graph = graph.set_param("load", "path", str(tmp_path / "photo.png"))
    save_graph(graph, tmp_path / "mine.qrgraph")
    layout = {"window": (1600, 1000), "place": (0, 0), "welcome": False, "background": "black"}
    (home / "settings.json").write_text(json.dumps(layout))
    window = open_window(tmp_path / "mine.qrgraph")
    wait(lambda: (seen(window)[..., 0] > 200).mean() > 0.4, 60, "the picture")
    time.sleep(1)
    window.select_viewed()
    return window


def seen(window: Window) -> np.ndarray:
    left, top, right, bottom = VIEWER
    return window.shot()[top:bottom, left:right]


def place(window: Window, picture: np.ndarray, zoom: float | None) -> tuple[float, float, float]:
    """Find zoom and top left corner of the picture on the screen by what is seen of it."""
    shot = seen(window)
    if zoom is None:
        row = window.shot()[VIEWER[1] + 200, 905:]
        columns = np.flatnonzero((row[:, 0] > 200) & (row[:, 2] < 60))
        zoom = (columns.max() - columns.min() + 1) / SIZE[0]
    part, own = shot[20:370, 20:540, 1], np.uint8(shot[20:370, 20:540, 0] > 200)
    large = cv2.resize(picture[..., 1], None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    # Strokes drawn before are no part of the picture.
    match = cv2.matchTemplate(large, part, cv2.TM_SQDIFF, mask=own)
    least, _, (x, y), _ = cv2.minMaxLoc(match)
    assert (least / own.sum()) ** 0.5 < 12
    return zoom, VIEWER[0] + 20 - x, VIEWER[1] + 20 - y


def draw(window: Window, places, button: int = 3, keep: bool = False) -> None:
    window.move(*places[0])
    window.do("mousedown", button)
    for at in places[1:]:
        window.do("mousemove", *at)
    if not keep:
        window.do("mouseup", button)


def distance(points, shape, samples: int = 4) -> np.ndarray:
    """Give the distance of samples in every pixel from a path, px: (h, w, samples²)."""
    ticks = (np.arange(samples) + 0.5) / samples
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    found = np.full((*shape, samples * samples), np.inf, np.float32)
    for i, (dy, dx) in enumerate((a, b) for a in ticks for b in ticks):
        for (ax, ay), (bx, by) in pairwise([*points, points[-1]]):
            squared = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9)
            t = np.clip(((x + dx - ax) * (bx - ax) + (y + dy - ay) * (by - ay)) / squared, 0, 1)
            near = np.hypot(x + dx - ax - t * (bx - ax), y + dy - ay - t * (by - ay))
            found[..., i] = np.minimum(found[..., i], near)
    return found


def coverage(points, radius: float, hardness: float) -> np.ndarray:
    """Give what a stroke covers, the slow and plain way: (h, w)."""
    inside = (radius - distance(points, SIZE[::-1])) / max(radius * (1 - hardness), 1e-6)
    u = np.clip(inside, 0, 1)
    return (u * u * (3 - 2 * u)).mean(-1)


def exported(file: Path, out: Path) -> np.ndarray:
    command = [sys.executable, "-m", "qr_nodes", "run", file, "-o", out]
    subprocess.run(command, check=True)
    return np.asarray(Image.open(out))[..., 3] / 255


def test_strokes_at_several_zooms_and_pans_are_exported_where_the_mouse_was(
    window, picture, tmp_path
):
    file = tmp_path / "mine.qrgraph"
    x, y = VIEWER[0] + 280, VIEWER[1] + 200
    views = [
        ((), None, [(-180, -60), (-60, -90), (40, -20)]),
        (("key", "1"), 1.0, [(-200, 100), (-120, 120)]),
        (("click", "4", "4", "4", "4"), 2.0, [(120, 40), (200, 120), (90, 140)]),
        (("pan",), 2.0, [(60, -100), (150, -60)]),
    ]
    paths = []
    for act, zoom, path in views:
        if act[:1] == ("key",):
            window.key(act[1])
        elif act[:1] == ("click",):
            window.move(x, y)
            for button in act[1:]:
                window.do("click", button)
        elif act == ("pan",):
            window.move(x, y)
            window.do("mousedown", 2)
            window.do("mousemove", x + 90, y - 70)
            window.do("mouseup", 2)
        time.sleep(0.5)
        zoom, left, top = place(window, picture, zoom)
        places = [(x + dx, y + dy) for dx, dy in path]
        draw(window, places)
        paths.append(([((px - left) / zoom, (py - top) / zoom) for px, py in places], zoom))
    strokes = window.saved(file)["nodes"]["brush_edit"]["params"]["strokes"]
    assert [stroke["mode"] for stroke in strokes] == ["erase"] * 4
    alpha = exported(file, tmp_path / "out.png")
    # Where the mouse was, by what the screen showed: half covered at the middle of the rim.
    erased = np.zeros(SIZE[::-1], bool)
    slack = np.zeros(SIZE[::-1], bool)
    for path, zoom in paths:
        away = distance(path, SIZE[::-1], 1)[..., 0]
        erased |= away < RADIUS * 0.9
        slack |= np.abs(away - RADIUS * 0.9) < 1 + 2 / zoom
    assert ((alpha < 0.5) == erased)[~slack].all()
    # What the file says was drawn, within antialiasing and 8 bits.
    expected = np.ones(SIZE[::-1])
    for stroke in strokes:
        points = np.array(stroke["points"]) * SIZE
        expected *= 1 - coverage(points.tolist(), stroke["size"] * SIZE[0] / 2, 0.8)
    off = np.abs(alpha - expected)
    assert off.max() < 0.08
    assert off.mean() < 5e-4


def test_the_picture_follows_while_the_button_is_down_and_esc_takes_it_back(window, tmp_path):
    x, y = VIEWER[0] + 280, VIEWER[1] + 200
    whole = (seen(window)[..., 0] > 200).sum()
    draw(window, [(x - 100, y), (x, y), (x + 100, y)], keep=True)
    wait(lambda: (seen(window)[..., 0] > 200).sum() < whole - 2500, 10, "the stroke under way")
    window.key("Escape")
    wait(lambda: (seen(window)[..., 0] > 200).sum() > whole - 600, 10, "the picture as it was")
    window.do("mouseup", 3)
    file = tmp_path / "mine.qrgraph"
    assert not window.saved(file)["nodes"]["brush_edit"]["params"].get("strokes")


def test_keys_take_size_edges_and_the_refine_brush(window, tmp_path):
    x, y = VIEWER[0] + 280, VIEWER[1] + 200
    window.move(x, y)
    window.key("bracketright", "bracketright", "bracketright", "bracketright", "e")
    draw(window, [(x, y), (x + 40, y)], button=1)
    window.key("r", "e")
    draw(window, [(x, y + 60), (x + 40, y + 60)], button=1)
    window.key("Escape")  # no Refine Edges, thanks
    window.do("keydown", "ctrl")
    draw(window, [(x, y), (x - 10, y)], button=1)
    window.do("keyup", "ctrl")
    window.key("r")
    draw(window, [(x, y - 60)], button=1)
    file = tmp_path / "mine.qrgraph"
    paint, refine, small = window.saved(file)["nodes"]["brush_edit"]["params"]["strokes"]
    assert paint["size"] == 0.08
    assert paint["edge_aware"] == 0.6
    assert refine["mode"] == "refine"
    assert refine["edge_aware"] == 0
    assert small["size"] < 0.07
    window.key("ctrl+z", "ctrl+z", "ctrl+z")
    assert not window.saved(file)["nodes"]["brush_edit"]["params"].get("strokes")
