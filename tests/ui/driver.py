"""A window in a process of its own, on a screen of its own, used by mouse and keys.

Needs Xvfb and xdotool (Debian: xvfb, xdotool, libgl1-mesa-dri).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ImageGrab

from qr_nodes.ui import theme

COUNTED = str(Path(__file__).with_name("counted.py"))
TOOLS = ("Xvfb", "xdotool")
missing = [tool for tool in TOOLS if shutil.which(tool) is None]
needs_a_screen = pytest.mark.skipif(
    bool(missing) and "CI" not in os.environ,
    reason=f"{', '.join(missing)} not installed: no window tests",
)


def wait(condition, seconds=30.0, what="it"):
    """Give the first true answer of `condition`, asked again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not happen within {seconds:g} s")


class Window:
    """The editor in a process of its own."""

    def __init__(self, screen: str, *arguments: str, **more: str):
        self.screen = screen
        self.env = {**os.environ, "DISPLAY": screen, "QR_NODES_DEBUG": "1", **more}
        # A start that shows nothing has been seen once in some dozens, on a busy machine with
        # software OpenGL. It is tried again; where it hung is printed with the test's output.
        self.count = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the window
        for seconds in (30, 30, 60):
            self.count.truncate(0)
            self.count.truncate(8)
            file = f"/proc/{os.getpid()}/fd/{self.count.fileno()}"
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", COUNTED, file, "edit", *arguments],
                env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            try:
                wait(lambda: self.find("QR Nodes") and self.lit(), seconds, "the window")
                break
            except AssertionError:
                self.process.send_signal(signal.SIGABRT)
                print("no window:", self.process.communicate()[0])
        else:
            raise AssertionError("the window did not appear in three starts")
        self.move(500, 700)
        time.sleep(0.5)

    @property
    def drawn(self) -> int:
        """How many frames have been drawn."""
        return struct.unpack("<q", os.pread(self.count.fileno(), 8, 0))[0]

    def frames(self, count: int, seconds: float) -> None:
        """Wait until so many more frames are drawn, however slow, and for `seconds` at least."""
        last, began = self.drawn + count, time.monotonic()
        while time.monotonic() < began + 30 and self.process.poll() is None:
            if self.drawn >= last and time.monotonic() >= began + seconds:
                break
            time.sleep(0.02)

    def find(self, title: str) -> bool:
        command = ["xdotool", "search", "--name", title]
        return subprocess.run(command, env=self.env, capture_output=True).returncode == 0

    def lit(self) -> bool:
        """Say whether the window is drawn; an empty screen is of one colour."""
        return len(np.unique(self.shot()[::2, ::2].reshape(-1, 3), axis=0)) > 40

    def do(self, *command: str) -> None:
        assert self.process.poll() is None, self.process.stdout.read()
        subprocess.run(["xdotool", *map(str, command)], env=self.env, check=True)
        self.frames(3, 0.25)

    def move(self, x, y) -> None:
        self.do("mousemove", x, y)

    def key(self, *keys: str) -> None:
        for key in keys:
            self.do("key", key)

    def type(self, text: str) -> None:
        self.do("type", "--delay", "30", text)
        self.frames(2 * len(text), 0.06 * len(text))  # a letter takes two frames

    def drag(self, start, end, steps=12) -> None:
        self.move(*start)
        self.do("mousedown", 1)
        for step in range(1, steps + 1):
            x, y = (round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True))
            self.do("mousemove", x, y)
        self.do("mouseup", 1)

    def shot(self) -> np.ndarray:
        return np.asarray(ImageGrab.grab(xdisplay=self.screen).convert("RGB"))

    def blobs(self, color, area=(0, 0, 1000, 960)) -> list[tuple[int, int]]:
        """Give the middles of the spots of one colour on the canvas, left to right."""
        left, top, right, bottom = area
        near = np.abs(self.shot()[top:bottom, left:right].astype(int) - color).max(2) < 12
        count, _, stats, middles = cv2.connectedComponentsWithStats(near.astype(np.uint8))
        spots = [middles[i] for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= 6]
        return sorted((round(x + left), round(y + top)) for x, y in spots)

    def complains(self) -> bool:
        """Say whether the status bar shows an error."""
        bar = self.shot()[960:1000, 90:1540].astype(int)
        return int((np.abs(bar - theme.BAD).max(2) < 40).sum()) > 20

    def select_viewed(self) -> None:
        """Click on the title of the node that is viewed, by its green outline."""
        near = np.abs(self.shot()[:960, :1000].astype(int) - theme.GOOD).max(2) < 12
        rows, columns = np.nonzero(near)
        self.move(int(columns.min()) + 20, int(rows.min()) + 10)
        self.do("click", 1)

    def saved(self, file: Path) -> dict:
        """Save, and give what the file holds then."""
        file.unlink(missing_ok=True)
        self.key("ctrl+s")
        wait(file.exists, 10, "saving")
        return json.loads(file.read_text())

    def close(self) -> None:
        """Leave without saving: a window that asks whether to save is killed."""
        if self.process.poll() is None:
            self.key("ctrl+q")
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
        self.process.kill()
        self.process.wait()
        said = self.process.stdout.read()
        self.process.stdout.close()
        self.count.close()
        assert "Traceback" not in said, said
