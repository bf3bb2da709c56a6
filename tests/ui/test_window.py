"""The real window, used as a person would: mouse, keys, and what ends up on screen and disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from driver import needs_a_screen, wait
from PIL import Image

from qr_nodes.graph import Graph
from qr_nodes.qrgraph import load_graph, save_graph
from qr_nodes.ui import theme

pytestmark = needs_a_screen


def command_line(*arguments) -> None:
    subprocess.run([sys.executable, "-m", "qr_nodes", *map(str, arguments)], check=True)


def alpha(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))[..., 3]


@pytest.mark.parametrize("part", ["Canvas", "BatchPanel", "Files.start"])
def test_a_start_that_fails_ends_the_program_in_a_sentence(screen, home, part):
    # Threads of what was built before would keep it alive, with nothing to be seen.
    broken = (
        "from qr_nodes.ui import app\nfrom qr_nodes.cli import main\n"
        "def fails(*_): raise ValueError('too bad')\n"
        f"app.{part} = fails\nraise SystemExit(main(['edit']))"
    )
    env = os.environ | {"DISPLAY": screen}
    command = [sys.executable, "-c", broken]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "ValueError: too bad. Run with --debug, and tell the authors.\n"


def test_the_missions_chain_is_built_from_nothing_by_keys_and_exported(
    open_window, photo, tmp_path
):
    file = tmp_path / "mine.qrgraph"
    save_graph(Graph(), file)
    window = open_window(file)
    chain = ("load", "segment", "transp", "feather", "smooth", "decon", "brush e", "export")
    for name in chain:
        window.key("Tab")
        window.type(name)
        window.key("Return")
    window.key("ctrl+i")
    window.type(str(photo))
    window.key("Return")
    time.sleep(0.5)
    window.key("ctrl+e")
    window.key("ctrl+a")
    window.type(str(tmp_path / "window.png"))
    window.key("Return")
    wait((tmp_path / "window.png").exists, 60, "the export")
    raw = window.saved(file)
    assert [entry["type"] for entry in raw["nodes"].values()] == [
        *("load", "segment", "transparency_fix", "feather"),
        *("smooth", "decontaminate", "brush_edit", "export"),
    ]
    command_line("run", file, "-o", tmp_path / "line.png")
    assert (alpha(tmp_path / "window.png") == alpha(tmp_path / "line.png")).all()


def test_a_drag_is_seen_while_it_lasts_and_is_one_step(open_window, photo, tmp_path):
    file = tmp_path / "mine.qrgraph"
    large = tmp_path / "large.jpg"
    Image.open(photo).resize((3000, 2000)).save(large)
    graph = Graph.chain("load", "segment", "levels", "grow_shrink")
    save_graph(graph.set_param("load", "path", str(large)), file)
    window = open_window(file)
    viewer = (slice(250, 600), slice(1040, 1500))
    wait(lambda: window.shot()[viewer].std() > 25, 60, "the first picture")
    time.sleep(2)
    window.select_viewed()
    time.sleep(0.5)
    grabs = window.blobs(theme.ACCENT, (1000, 640, 1600, 960))
    assert grabs, "no slider"
    start = grabs[0]
    before = window.shot()[viewer].copy()
    window.move(*start)
    window.do("mousedown", 1)
    seen = []
    for step in range(1, 7):
        window.do("mousemove", start[0] - 12 * step, start[1])
        seen.append(int((window.shot()[viewer] != before).any(axis=2).sum()))
    window.do("mouseup", 1)
    assert sum(count > 200 for count in seen) >= 2, seen
    time.sleep(2)
    moved = window.saved(file)["nodes"]["grow_shrink"]["params"]["radius"]
    first = graph.nodes["grow_shrink"].params["radius"]
    assert moved < first - 3
    window.key("ctrl+z")
    assert window.saved(file)["nodes"]["grow_shrink"]["params"]["radius"] == first


def test_a_circle_is_refused_and_the_refusal_is_said(open_window, tmp_path):
    file = tmp_path / "mine.qrgraph"
    save_graph(Graph.chain("levels", "crop_to_subject", "resize"), file)
    window = open_window(file)
    window.key("f")
    time.sleep(1)
    # The outermost spots: the first input, with its node's outline, and the last output.
    spots = window.blobs(theme.SOCKET["cutout"])
    before = window.saved(file)
    window.drag(spots[-1], spots[0])
    wait(window.complains, 5, "a message")
    window.key("ctrl+a", "ctrl+d")  # whatever else is done goes on, and the message goes
    wait(lambda: not window.complains(), 5, "the message's end")
    window.key("ctrl+z")
    assert window.saved(file)["nodes"] == before["nodes"]


def test_a_wrong_kind_is_refused(open_window, tmp_path):
    file = tmp_path / "mine.qrgraph"
    graph = Graph().add("extract_alpha", pos=(0.0, 0.0)).add("crop_to_subject", pos=(300.0, 0.0))
    save_graph(graph, file)
    window = open_window(file)
    window.key("f")
    time.sleep(1)
    mask = window.blobs(theme.SOCKET["mask"])[0]
    cutouts = window.blobs(theme.SOCKET["cutout"])
    target = min((spot for spot in cutouts if spot[0] > mask[0]), key=lambda spot: spot[0])
    window.drag(mask, target)
    wait(window.complains, 5, "a message")
    assert window.saved(file)["nodes"]["crop_to_subject"]["inputs"] == {}


def test_twenty_steps_are_undone_and_redone(open_window, tmp_path):
    file = tmp_path / "mine.qrgraph"
    save_graph(Graph().add("levels"), file)
    window = open_window(file)
    window.key("ctrl+a")
    window.key(*["ctrl+d"] * 20)
    assert len(window.saved(file)["nodes"]) == 21
    window.key(*["ctrl+z"] * 20)
    assert list(window.saved(file)["nodes"]) == ["levels"]
    window.key(*["ctrl+y"] * 20)
    assert len(window.saved(file)["nodes"]) == 21


def test_reopening_runs_no_inference(open_window, photo, home, tmp_path):
    file, out = tmp_path / "mine.qrgraph", tmp_path / "out.png"
    graph = load_graph("quick").set_param("load", "path", str(photo))
    save_graph(graph.set_param("export", "path", str(out)), file)
    window = open_window(file)
    wait(lambda: list((home / "networks").glob("*.npz")), 60, "the first inference")
    before = window.saved(file)
    window.key("ctrl+q")
    assert window.process.wait(20) == 0
    # Without weights, and without a way to fetch them, only what was kept can give a matte.
    shutil.rmtree(home / "models")
    again = open_window(file, PIP_NO_INDEX="1", PIP_FIND_LINKS="")
    time.sleep(1)
    again.key("ctrl+shift+e")
    wait(out.exists, 30, "the export")
    assert 0.3 < (alpha(out) > 127).mean() < 0.8
    assert again.saved(file) == before


def test_what_was_not_saved_survives_being_stopped(open_window, home, tmp_path):
    file = tmp_path / "mine.qrgraph"
    save_graph(Graph().add("levels"), file)
    window = open_window(file)
    window.key("ctrl+a", "ctrl+d")
    kept = wait(lambda: list((home / "recovery").glob("*.qrgraph")), 20, "keeping unsaved work")
    wait(lambda: len(json.loads(kept[0].read_text())["nodes"]) == 2, 10)
    window.process.send_signal(signal.SIGTERM)
    assert window.process.wait(20) == 143
    assert len(json.loads(file.read_text())["nodes"]) == 1
    again = open_window()
    again.key("Return")
    time.sleep(1)
    assert len(again.saved(file)["nodes"]) == 2


def test_the_layout_is_remembered_and_a_clean_window_closes_at_once(open_window, photo):
    window = open_window(photo)
    before = window.shot()
    window.drag((1004, 500), (800, 500))
    after = window.shot()
    assert (before != after)[300:600, 850:1000].mean() > 0.3
    window.key("ctrl+q")
    assert window.process.wait(20) == 0
    again = open_window(photo)
    time.sleep(3)
    moved = (again.shot() != after)[130:160, 700:1000].mean()
    assert moved < 0.05, "the splitter is elsewhere"


def test_a_display_without_opengl_is_named():
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-extension", "GLX", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as pipe:
        name = f":{pipe.readline().strip()}"
    env = {**os.environ, "DISPLAY": name}
    command = [sys.executable, "-m", "qr_nodes"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    server.terminate()
    server.wait()
    assert done.returncode == 1 and f"the display {name!r} has no OpenGL" in done.stderr


@pytest.mark.parametrize(
    ("display", "said"),
    [
        ("", "there is no display to open a window on"),
        (":987", "the display ':987' cannot be opened"),
    ],
)
def test_without_a_display_there_is_one_sentence(display, said):
    env = {**os.environ, "DISPLAY": display}
    done = subprocess.run(
        [sys.executable, "-m", "qr_nodes"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == ""
    assert said in done.stderr and done.stderr.count("\n") == 1


def test_a_stroke_drawn_with_the_mouse_is_saved_exported_and_undone(open_window, photo, tmp_path):
    file, out = tmp_path / "mine.qrgraph", tmp_path / "out.png"
    graph = Graph.chain("load", "brush_edit", "export")
    save_graph(graph.set_param("load", "path", str(photo)), file)
    window = open_window(file)
    viewer = (slice(250, 600), slice(1040, 1500))
    wait(lambda: window.shot()[viewer].std() > 25, 60, "the picture")
    time.sleep(1)
    window.select_viewed()
    time.sleep(0.5)
    before = window.shot()[viewer].copy()
    window.key("x")
    window.drag((1120, 330), (1420, 450))
    wait(lambda: (window.shot()[viewer] != before).any(2).sum() > 1000, 10, "the hole")
    raw = window.saved(file)["nodes"]["brush_edit"]["params"]["strokes"]
    assert len(raw) == 1 and raw[0]["mode"] == "erase"
    points = np.array(raw[0]["points"])
    assert points[0, 0] < 0.4 and points[-1, 0] > 0.6 and (np.diff(points, axis=0) > 0).all()
    command_line("run", file, "-o", out)
    matte = alpha(out)
    height, width = matte.shape
    y, x = np.mgrid[:height, :width] + 0.5
    path = np.linspace(points[0], points[-1], 400) * (width, height)
    away = np.min([np.hypot(x - px, y - py) for px, py in path], axis=0)
    radius = 0.04 * max(height, width) / 2
    assert (matte[away < radius * 0.5] == 0).all()
    assert (matte[away > radius + 4] == 255).all()
    window.key("ctrl+z")
    assert not window.saved(file)["nodes"]["brush_edit"]["params"].get("strokes")
    wait(lambda: (window.shot()[viewer] != before).any(2).sum() < 1000, 10, "the old picture")
