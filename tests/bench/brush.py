"""What a stroke of the brush costs: from the edit to the changed matte. Run by hand.

    python tests/bench/brush.py [--megapixels 1 12 24 50]
    xvfb-run -s "-screen 0 1600x1000x24" python tests/bench/brush.py --window

A stroke is drawn point by point, as by a mouse; each point is an edit of the document, and its
time runs until the engine's event with the new matte is there. By the picture's size and by the
number of strokes before it; with Brush Edit last, with Feather after it, and the time that a
graph with 500 strokes takes to open. With --window: in how many frames the stroke is on the screen
after the mouse has moved, and the main thread's work for it; with GALLIUM_NOOP=1 in the
environment only the program's own share of a frame counts.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time

import numpy as np

from qr_nodes.__main__ import tune
from qr_nodes.cache import Cache
from qr_nodes.document import Document
from qr_nodes.engine import Engine
from qr_nodes.graph import Graph
from qr_nodes.imaging.correction import Correction
from qr_nodes.imaging.resample import shrink
from qr_nodes.node import Job, node, spec_of
from qr_nodes.types import Cutout, Stroke

PIXELS = 1e6


@node("Source", category="Stub")
def bench_source(*, job: Job = Job()) -> Cutout:
    """Give a disk in a picture of `PIXELS`."""
    height = round((PIXELS / 1.5) ** 0.5 * job.scale)
    width = round(height * 1.5)
    y, x = np.ogrid[:height, :width]
    y, x = y.astype(np.float32), x.astype(np.float32)
    disk = (height * 0.3 - np.hypot(y - height / 2, x - width / 2)) / 20 + 0.5
    alpha = np.clip(disk, 0, 1, dtype=np.float32)
    return Cutout(np.full((height, width, 3), 90, np.uint8), alpha)


SOURCE = spec_of(bench_source)


def say(what: str, value: str) -> None:
    print(f"{what:<66} {value:>18}", flush=True)


def random_strokes(count: int) -> tuple[Stroke, ...]:
    rng = np.random.default_rng(count)
    made = []
    for _ in range(count):
        points = rng.random(2) + np.cumsum(rng.normal(0, 0.01, (30, 2)), 0)
        mode = "paint" if rng.random() < 0.5 else "erase"
        made.append(Stroke(tuple(map(tuple, points.tolist())), 0.01, mode=mode))
    return tuple(made)


def opened(pixels: float, strokes: int, *after: str) -> tuple[Document, str, float]:
    """Give a document with strokes, computed in full, the node viewed, and seconds it took."""
    global PIXELS
    PIXELS = pixels
    graph = Graph().add(SOURCE, "source").add("brush_edit", "brush").connect("source", "brush")
    graph = graph.set_param("brush", "strokes", random_strokes(strokes))
    last = "brush"
    for id in after:
        graph = graph.add(id, id).connect(last, id)
        last = id
    engine = Engine(Cache(3 << 30), shrink=shrink)
    document = Document(engine, Graph(), lambda graph, held: int(pixels), watch_all=True)
    document.select("brush")
    began = time.perf_counter()
    document.open(graph, last)
    assert document.settle(600)
    took = time.perf_counter() - began
    list(document.drain(1))
    return document, last, took


def latencies(document: Document, viewed: str, points: int = 60) -> list[float]:
    """Draw one stroke point by point; give the seconds from each edit to the changed matte."""
    before = document.graph.nodes["brush"].params["strokes"]
    times, path = [], []
    for step in range(points):
        path.append((0.3 + 0.004 * step, 0.4 + 0.05 * math.sin(step / 8)))
        stroke = Stroke(tuple(path), 0.02)
        began = time.perf_counter()
        graph = document.graph.set_param("brush", "strokes", (*before, stroke))
        run = document.edit(graph, "Paint", drag="bench")
        while True:
            event = document.events.get(timeout=60)
            if event.run == run and event.node == viewed and event.kind == "done":
                break
        assert event.scale == 1
        times.append(time.perf_counter() - began)
        time.sleep(0.008)
    return times


def close(document: Document) -> None:
    document.close()
    document.engine.close()


def window(sizes: list[float]) -> None:
    """Draw a stroke in a real window, as the mouse's handlers would, and count frames."""
    global PIXELS
    from qr_nodes.ui.app import opened

    sys.setswitchinterval(0.0005)
    app = opened()
    for megapixels in sizes:
        PIXELS = megapixels * 1e6
        app.engine.cache.clear()
        app.document.pixels = lambda graph, held, pixels=PIXELS: int(pixels)
        graph = Graph().add(SOURCE, "source").add("brush_edit", "brush").connect("source", "brush")
        graph = graph.add("load", "load").set_param("load", "path", "a picture")
        app.show_graph(graph)
        app.view("brush")
        app.document.select("brush")
        viewer = app.viewer
        settle = time.monotonic() + 3 + megapixels / 12
        while time.monotonic() < settle:
            app.loop.step()
        painter, size = viewer._painter, viewer._present.size
        places = [(200 + 3 * step, 150 + step) for step in range(60)]
        painter.press(0, places[0])
        frames, times = [], []
        for place in places[1:]:
            before = viewer._present
            painter.move(place)
            for count in range(1, 30):  # noqa: B007
                began = time.thread_time()
                app.loop.step()
                times.append(time.thread_time() - began)
                if viewer._present is not before:
                    break
            frames.append(count)
        painter.release(0, places[-1])
        say(
            f"window, {size[0]} × {size[1]} px: frames until filled, median and most",
            f"{statistics.median(frames):.0f}, {max(frames)}",
        )
        say("… main thread's CPU a frame, median and most, ms", _words(times))
    app.close()
    os._exit(0)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--megapixels", type=float, nargs="+", default=[1, 12, 24, 50])
    options.add_argument("--window", action="store_true")
    asked = options.parse_args()
    tune()  # as the command does
    window(asked.megapixels) if asked.window else engine(asked.megapixels)


def engine(sizes: list[float]) -> None:
    sys.setswitchinterval(0.0005)
    print(f"{os.cpu_count()} cores; median and 95th percentile of 60 points of a stroke, ms")
    for after in ((), ("feather",)):
        for megapixels in sizes:
            document, viewed, _ = opened(megapixels * 1e6, 1, *after)
            times = latencies(document, viewed)
            say(f"brush{''.join(f' → {id}' for id in after)}, {megapixels:g} MP", _words(times))
            close(document)
    middle = sorted(sizes)[len(sizes) // 2]
    for count in (1, 100, 1000):
        document, viewed, _ = opened(middle * 1e6, count)
        say(f"brush, {middle:g} MP, {count} strokes before", _words(latencies(document, viewed)))
        close(document)
    document, _, took = opened(middle * 1e6, 500)
    say(f"a graph with 500 strokes, {middle:g} MP: opened, preview and full", f"{took:.2f} s")
    shape = round((middle * 1e6 / 1.5) ** 0.5), round((middle * 1.5e6) ** 0.5)
    began = time.perf_counter()
    Correction(shape).drawn(random_strokes(500))
    say("… drawing the strokes once takes", f"{time.perf_counter() - began:.2f} s")
    close(document)


def _words(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.1f}, {np.quantile(times, 0.95) * 1e3:.1f}"


if __name__ == "__main__":
    main()
