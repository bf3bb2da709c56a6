"""The viewer in a real window: what is on the screen after keys and the mouse."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from driver import Window, needs_a_screen, wait
from PIL import Image

from qr_nodes.graph import Graph
from qr_nodes.qrgraph import save_graph

pytestmark = needs_a_screen

ORANGE = (230, 130, 40)
TINT = (40, 60, 220)
VIEWER = (1015, 90, 1575, 480)
"""A part of the screen that the viewer is sure to fill: left, top, right, bottom."""


@pytest.fixture
def window(open_window, home, tmp_path):
    """Open a window on a large orange picture of which all is transparent, over black."""
    file = tmp_path / "orange.png"
    Image.new("RGBA", (2000, 2000), (*ORANGE, 0)).save(file)
    graph = Graph.chain("load", "levels", "brush_edit").set_param("load", "path", str(file))
    save_graph(graph, tmp_path / "mine.qrgraph")
    choices = {"background": "black", "tint": "#{:02x}{:02x}{:02x}".format(*TINT)}
    layout = {"window": (1600, 1000), "place": (0, 0), "welcome": False}
    (home / "settings.json").write_text(json.dumps(choices | layout))
    window = open_window(tmp_path / "mine.qrgraph")
    wait(lambda: window.lit() and black(seen(window)).mean() > 0.5, 60, "the picture")
    time.sleep(1)
    return window


def seen(window: Window) -> np.ndarray:
    left, top, right, bottom = VIEWER
    return window.shot()[top:bottom, left:right].astype(int)


def near(pixels: np.ndarray, color) -> np.ndarray:
    return np.abs(pixels - color).max(axis=2) < 12


def black(pixels: np.ndarray) -> np.ndarray:
    return near(pixels, (0, 0, 0))


def middle(window: Window) -> tuple[int, int]:
    """Give a place well inside the picture."""
    rows, columns = np.nonzero(black(seen(window)))
    return VIEWER[0] + int(columns.mean()), VIEWER[1] + int(rows.mean())


def strokes(window: Window, file: Path) -> list:
    return window.saved(file)["nodes"]["brush_edit"]["params"].get("strokes", [])


def border(window: Window) -> float:
    """Give where the orange ends and the black begins, px from the left of the screen."""
    pixels = seen(window)
    row = slice(pixels.shape[0] // 3, pixels.shape[0] // 3 + 4)
    orange, dark = near(pixels[row], ORANGE).all(axis=0), black(pixels[row]).all(axis=0)
    assert orange.any() and dark.any()
    end, begin = np.flatnonzero(orange).max(), np.flatnonzero(dark).min()
    assert end < begin <= end + 8, "more than a line is between the two sides"
    return VIEWER[0] + (end + begin) / 2


def test_the_line_of_the_split_is_dragged_and_paints_and_pans_nothing(window, tmp_path):
    window.move(*middle(window))
    window.key("y")
    wait(lambda: near(seen(window), ORANGE).mean() > 0.1, 10, "the original")
    time.sleep(0.5)
    start = border(window)
    y = VIEWER[1] + 60
    window.drag((round(start), y), (round(start) - 90, y + 20))
    assert abs(border(window) - (start - 90)) <= 3
    file = tmp_path / "mine.qrgraph"
    assert strokes(window, file) == []
    # With the brush in hand the line is dragged all the same, and A can be painted on.
    window.select_viewed()
    time.sleep(0.5)
    window.drag((round(start) - 90, y), (round(start) + 60, y))
    assert abs(border(window) - (start + 60)) <= 3
    assert strokes(window, file) == []
    window.drag((round(start) - 80, y + 150), (round(start) + 10, y + 150))
    assert len(strokes(window, file)) == 1
    window.move(700, 700)
    time.sleep(4)  # until the stroke is no more drawn over the picture
    assert abs(border(window) - (start + 60)) <= 3, "the picture was moved"


def test_the_original_is_seen_while_the_key_is_held(window):
    window.move(*middle(window))
    window.do("keydown", "backslash")
    wait(lambda: near(seen(window), ORANGE).mean() > 0.5, 10, "the original")
    time.sleep(1.5)
    assert near(seen(window), ORANGE).mean() > 0.5
    window.do("keyup", "backslash")
    wait(lambda: black(seen(window)).mean() > 0.5, 5, "the result")
    assert not near(seen(window), ORANGE).any()


def test_the_overlay_tints_what_is_removed(window):
    window.move(*middle(window))
    window.key("q")
    half = (np.array(ORANGE) + TINT) / 2
    wait(lambda: near(seen(window), half).mean() > 0.5, 10, "the tint")
    window.key("q")
    wait(lambda: black(seen(window)).mean() > 0.5, 5, "black")


def test_loupe_and_histogram_come_and_go(window):
    window.move(*middle(window))
    time.sleep(0.5)
    before = seen(window)
    for key in ("z", "h"):
        window.key(key)
        wait(lambda: (seen(window) != before).any(axis=2).sum() > 3000, 10, f"what {key} shows")
        window.key(key)
        wait(lambda: (seen(window) != before).any(axis=2).sum() < 50, 10, "the picture alone")


def test_at_high_zoom_there_are_lines_between_pixels(window):
    window.move(*middle(window))
    window.key("1")
    for _ in range(16):  # four steps double the zoom
        window.do("click", 4)
    time.sleep(1)
    lines = ~black(seen(window))[200:204].all(axis=0)
    gaps = np.diff(np.flatnonzero(lines))
    assert len(gaps) > 20 and np.unique(gaps).tolist() == [16]
    window.key("1")
    time.sleep(0.5)
    assert black(seen(window)).mean() > 0.95
