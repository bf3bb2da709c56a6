"""The Batch panel in a real window: a folder is run, held up, corrected, and run no more."""

from __future__ import annotations

import json
import time
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
"""Width and height of the pictures, px."""
VIEWER = (1015, 90, 1575, 480)
"""A part of the screen that the viewer is sure to fill: left, top, right, bottom."""
GRID = 640
"""Where the thumbnails begin, px from above."""


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six pictures; the second is broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(7)
    for number in range(6):
        # Noise: a picture that takes a moment to be written.
        pixels = rng.integers(60, 200, (SIZE[1], SIZE[0], 3), np.uint8)
        pixels[..., 0] = 235
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:5000])
    return folder


@pytest.fixture
def window(open_window, home, tmp_path, photos) -> Window:
    """A window with a graph that has no picture of its own, and the panel with the folder."""
    graph = Graph.chain("load", "feather", "brush_edit", "export")
    save_graph(graph, tmp_path / "mine.qrgraph")
    layout = {"window": (1600, 1000), "place": (0, 0), "welcome": False, "background": "black"}
    (home / "settings.json").write_text(json.dumps(layout))
    window = open_window(tmp_path / "mine.qrgraph")
    window.key("ctrl+shift+b")
    time.sleep(0.5)
    window.key("ctrl+a")
    window.type(str(photos))
    window.key("Return")  # shows it
    time.sleep(0.5)
    window.key("Return")  # takes it
    time.sleep(0.5)
    return window


def results(photos: Path) -> dict[str, int]:
    """Give when each result was written."""
    out = photos.with_name("photos-cutout")
    return {file.name: file.stat().st_mtime_ns for file in sorted(out.glob("*.png"))}


def first_thumbnail(window: Window) -> tuple[int, int]:
    """Find the middle of the first thumbnail: the pictures are red, and no other large area is."""
    shot = window.shot()[GRID:960, :900].astype(int)
    red = (shot[..., 0] > 200) & (shot[..., 2] < 190) & (shot[..., 1] < 190)
    # Pictures stand in the order in which they came. What is told of a broken one is red as well.
    solid = cv2.erode(cv2.dilate(red.astype(np.uint8), np.ones((5, 5))), np.ones((41, 41)))
    _, _, _, middles = cv2.connectedComponentsWithStats(solid)
    assert len(middles) > 1, "no thumbnail"
    x, y = min(middles[1:], key=lambda at: (at[1] // 20, at[0]))
    return round(x), round(y) + GRID


def viewed(window: Window) -> np.ndarray:
    left, top, right, bottom = VIEWER
    return window.shot()[top:bottom, left:right]


def open_to_correct(window: Window, place: tuple[int, int], photos: Path) -> Path:
    """Double-click, and again where the screen is too slow to see two clicks as one.

    Gives the picture that is open then.
    """
    for _ in range(10):
        window.move(*place)
        window.do("click", "--repeat", "2", "--delay", "60", "1")
        time.sleep(1.5)
        for file in photos.glob("*.png"):
            if window.find(f"{file.name}, correction"):
                return file
    raise AssertionError("the picture did not open")


def test_a_folder_is_run_held_up_and_one_picture_corrected(window, photos):
    window.key("F6")
    wait(lambda: len(results(photos)) >= 1, 60, "the first result")
    window.key("F7")
    time.sleep(1.5)
    held = results(photos)
    time.sleep(2)
    assert results(photos) == held and len(held) < 5
    window.key("F7")
    wait(lambda: len(results(photos)) == 5, 60, "all results")
    assert "1.png" not in results(photos)
    time.sleep(1.5)
    before = results(photos)
    # A double click opens the picture with the batch's graph, and the brush is ready.
    picture = open_to_correct(window, first_thumbnail(window), photos)
    assert picture.name in before
    wait(lambda: (viewed(window)[..., 0] > 200).mean() > 0.4, 60, "the picture")
    time.sleep(1)
    x, y = VIEWER[0] + 280, VIEWER[1] + 200
    window.move(x - 60, y)
    window.do("mousedown", 3)
    for at in (x - 30, x, x + 30, x + 60):
        window.do("mousemove", at, y)
    window.do("mouseup", 3)
    time.sleep(1)
    assert window.find(f"• {picture.name}")
    window.key("F9")
    file = picture.with_suffix(".qredit")
    wait(file.exists, 20, "the correction")
    saved = json.loads(file.read_text())
    assert saved["picture"] == picture.name and list(saved["nodes"]) == ["brush_edit"]
    assert [s["mode"] for s in saved["nodes"]["brush_edit"]["strokes"]] == ["erase"]
    # The batch does that picture again, and no other.
    wait(lambda: results(photos) != before, 60, "the new result")
    time.sleep(2)
    after = results(photos)
    assert [name for name in after if after[name] != before.get(name)] == [picture.name]
    matte = np.asarray(Image.open(photos.with_name("photos-cutout") / picture.name))[..., 3]
    assert 0.001 < (matte == 0).mean() < 0.2
    # Nothing is unsaved, and nothing runs: the window closes at once.
    assert not window.find("•")
    window.key("ctrl+q")
    assert window.process.wait(20) == 0
    assert json.loads((photos.parent / "mine.qrgraph").read_text())["nodes"].keys() >= {"load"}


def test_closing_during_a_batch_asks_and_leaves_nothing_half_done(window, photos):
    window.key("F6")
    wait(lambda: len(results(photos)) >= 1, 60, "the first result")
    window.key("F7", "ctrl+q")
    time.sleep(1)
    assert window.process.poll() is None
    window.key("Return")
    assert window.process.wait(30) == 0
    done = results(photos)
    assert 1 <= len(done) < 5
    for name in done:
        Image.open(photos.with_name("photos-cutout") / name).load()
    assert not list((photos.with_name("photos-cutout") / ".qr-nodes" / "parts").iterdir())
