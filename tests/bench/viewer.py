"""What the viewer costs the main thread per change, at 1600 × 1000 and 24 MP. Run by hand.

    xvfb-run -s "-screen 0 1600x1000x24" python tests/bench/viewer.py

A change is followed through the frames it takes; the figures are the viewer's own work in the
costliest of them (`Viewer.frame` and what it calls), not what Dear PyGui draws: by the clock, and
in time of the main thread on a core, with OpenCV held to that thread. The latter is what counts
on a machine that has other things to do. With GALLIUM_NOOP=1 Mesa draws nothing, and whole frames
are the program's own share too.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import cv2
import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.types import Cutout
from qr_nodes.ui.app import App
from qr_nodes.ui.viewer import Viewer
from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_tools import MODES

HEIGHT, WIDTH = 4000, 6000
PANEL = (1600, 1000)
ROUNDS = 15


def picture(seed: int = 1) -> Cutout:
    """A disk of noise with a soft edge of 300 px, 24 MP."""
    random = np.random.default_rng(seed)
    color = cv2.resize(random.integers(0, 256, (400, 600, 3), np.uint8), (WIDTH, HEIGHT))
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    away = np.hypot(x - WIDTH / 2, y - HEIGHT / 2)
    return Cutout(color, np.clip((1500 - away) / 300 + 0.5, 0, 1).astype(np.float32))


class Bench:
    """A viewer that fills the window, and a clock around its frame."""

    def __init__(self):
        dpg.create_context()
        dpg.configure_app(manual_callback_management=True)
        self.app = app = App()
        dpg.create_viewport(title="bench", width=PANEL[0], height=PANEL[1] + 100)
        dpg.setup_dearpygui()
        app.build()
        dpg.hide_item("app window")
        with dpg.window(pos=(0, 0), width=PANEL[0] + 20, height=PANEL[1] + 120, no_title_bar=True):
            parent = dpg.add_child_window(width=-1, height=-1, border=False)
        app.viewer.close()
        app.viewer = self.viewer = Viewer(app, parent)
        app.loop.hooks = []
        dpg.show_viewport()
        self.mouse = (700.0, 500.0)
        self.viewer._mouse = lambda: self.mouse
        self.viewer._mine = lambda: self.viewer._present is not None
        self.viewer._words.sync = self.viewer._words.event = lambda *_: None
        self.viewer._words._message = lambda: ("", (0, 0, 0))
        self.settle()

    def frame(self, change: Callable[[], None] = lambda: None) -> tuple[float, float, float]:
        """Make a change and draw a frame.

        Gives ms: the viewer's by the clock and on the core, and those of the whole frame.
        """
        began, busy = time.perf_counter(), time.thread_time()
        change()
        self.viewer.frame()
        own, core = time.perf_counter() - began, time.thread_time() - busy
        self.app.loop.step()
        return own * 1e3, core * 1e3, (time.perf_counter() - began) * 1e3

    def settle(self, seconds: float = 0.4) -> None:
        """Draw until nothing comes from the threads any more."""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            before = self.app.loop.inbox.qsize()
            self.frame()
            if before or self.viewer._dirty:
                end = time.perf_counter() + seconds

    def measure(self, what: str, change: Callable[[int], None], pause: float = 0.0) -> None:
        """Make a change again and again, and say what it costs; `pause` s between frames."""
        costs = []
        for number in range(ROUNDS):
            frames = [self.frame(lambda: change(number))]  # noqa: B023
            for _ in range(8):
                time.sleep(pause)
                frames.append(self.frame())
            costs.append([max(kind) for kind in zip(*frames, strict=True)])
        clock, core, whole = (statistics.median(kind) for kind in zip(*costs, strict=True))
        print(
            f"{what:<36} {core:6.1f} ms, by the clock {clock:5.1f}; frame {whole:5.1f}", flush=True
        )

    def moves(self, what: str) -> None:
        """Measure moving the picture and zooming in it."""

        def move(number: int) -> None:
            self.viewer._view, self.viewer._fitting = self.viewer._view.moved(7, -5), False
            self.viewer._touch()

        for zoom, name in ((0.26, "fitted"), (0.35, "35 %"), (1.0, "100 %"), (8.0, "800 %")):
            place = (PANEL[0] / 2 - WIDTH / 2 * zoom, PANEL[1] / 2 - HEIGHT / 2 * zoom)
            self.viewer._view, self.viewer._fitting = View(zoom, *map(round, place)), False
            self.viewer._touch()
            self.settle()
            self.measure(f"{what}, moved at {name}", move)


def main() -> None:
    cv2.setNumThreads(1)
    noop = os.environ.get("GALLIUM_NOOP", "")
    print(f"{os.cpu_count()} cores, GALLIUM_NOOP={noop}")
    bench = Bench()
    viewer, value = bench.viewer, picture()
    viewer.show(value, 1.0, "Bench")
    bench.settle()
    print(f"panel {viewer._panel[0]} × {viewer._panel[1]}, {WIDTH} × {HEIGHT} px")
    viewer._behind.pixels = None
    for mode in MODES:
        if mode == "picture":
            viewer._behind._made(viewer._behind._wanted, 0, value.color[:1000:2, :1400:2].copy())
            viewer._behind.path = "made here"
        viewer.mode(mode)
        bench.settle()
        bench.moves(mode)
    viewer.mode("checker")
    bench.settle()

    other = Cutout(value.color, np.ascontiguousarray(value.alpha[::-1]))
    split = viewer._split
    split._node, split._what = "other", "node"
    split._value = (other, 1.0)
    viewer.toggle("split")
    split._app.watch = lambda: None
    bench.settle()
    bench.moves("split")

    def drag(number: int) -> None:
        split._dragged = True
        split.move((500.0 + 40 * number, 300.0))

    bench.measure("the split's line dragged", drag)
    split.release()
    viewer.toggle("split")
    viewer.toggle("loupe")
    bench.settle()

    def point(number: int) -> None:
        bench.mouse = (700.0 + 9 * number, 500.0 + 5 * number)

    bench.measure("loupe and readout, the mouse moved", point)
    bench.moves("loupe")
    viewer.toggle("loupe")
    viewer.toggle("histogram")
    bench.settle()
    values = [picture(2), value]
    bench.measure(
        "another value, with its histogram", lambda n: viewer.show(values[n % 2], 1.0, "Bench"), 0.1
    )
    for name in ("split", "loupe"):
        viewer.toggle(name)
    bench.settle()
    bench.moves("all of it")
    os._exit(0)


if __name__ == "__main__":
    main()
