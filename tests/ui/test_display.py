"""Where the window goes: as it was left, or onto a screen that it fits on."""

from __future__ import annotations

import json
import subprocess

import pytest
from driver import needs_a_screen

from qr_nodes.ui.display import TITLE_BAR, placed

SMALL, LARGE, LEFT = (0, 0, 1280, 720), (0, 0, 2560, 1440), (-1920, 40, 1920, 1040)


@pytest.mark.parametrize(
    ("size", "place", "free", "expected"),
    [
        ((1440, 900), None, [SMALL], (0, TITLE_BAR, 1280, 720 - TITLE_BAR)),
        ((1440, 900), None, [LARGE, LEFT], (100, 100, 1440, 900)),
        ((1440, 900), (700, 300), [LARGE], (700, 300, 1440, 900)),
        ((1280, 720), (0, 0), [SMALL], (0, 0, 1280, 720)),
        ((800, 600), (-1900, 60), [LARGE, LEFT], (-1900, 60, 800, 600)),
        ((800, 600), (-1900, 60), [LARGE], (0, 60, 800, 600)),
        ((800, 600), (-700, 60), [LARGE, LEFT], (-800, 76, 800, 600)),
        ((800, 600), (9000, 9000), [LARGE], (1760, 840, 800, 600)),
        ((3000, 2000), (5000, -300), [SMALL], (0, TITLE_BAR, 1280, 720 - TITLE_BAR)),
        ((1440, 900), (2500, 80), [], (2500, 80, 1440, 900)),
        ((1440, 900), None, [], (100, 100, 1440, 900)),
    ],
    ids=(
        *("first start, small screen", "first start, two screens", "as left", "fills it"),
        *("second screen", "second screen gone", "across two", "far away", "larger than any"),
        *("screens unknown", "nothing known"),
    ),
)
def test_a_window_goes_where_it_was_or_where_it_fits(size, place, free, expected):
    assert placed(size, place, free) == expected


@needs_a_screen
def test_a_window_left_on_a_larger_screen_opens_within_this_one(open_window, home):
    layout = {"window": (3000, 2000), "place": (5000, -300), "welcome": False}
    (home / "settings.json").write_text(json.dumps(layout))
    window = open_window()
    command = ["xdotool", "search", "--name", "QR Nodes", "getwindowgeometry", "--shell"]
    said = subprocess.run(command, env=window.env, capture_output=True, text=True).stdout
    found = dict(line.split("=") for line in said.split())
    place = tuple(int(found[name]) for name in ("X", "Y", "WIDTH", "HEIGHT"))
    assert place == (0, TITLE_BAR, 1600, 1000 - TITLE_BAR)
