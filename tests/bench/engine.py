"""What the scheduler costs, and how soon an edit is answered. Run by hand; prints medians.

    python tests/bench/engine.py [--megapixels 24] [--tweaks 2000] [--only PART ...]

The mission's chain runs on a photograph that comes with scikit-image, enlarged and grained.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from qr_nodes import heap
from qr_nodes.__main__ import tune
from qr_nodes.cache import Cache, Disk
from qr_nodes.document import Document
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.graph import Graph
from qr_nodes.imaging.resample import shrink
from qr_nodes.node import node, spec_of
from qr_nodes.nodes import all_specs
from qr_nodes.types import Cutout

CHAIN = (
    *("load", "segment", "transparency_fix", "feather", "smooth"),
    *("decontaminate", "brush_edit", "levels"),
)
"""The mission's eight, with Levels in the place of Export: what the window shows live."""

PARTS = ("overhead", "latency", "sliders", "cancelling", "reopening", "memory")


def say(what: str, value: str) -> None:
    print(f"{what:<66} {value:>14}", flush=True)


def milliseconds(times: list[float]) -> str:
    return f"{statistics.median(times) * 1e3:.1f} ms"


def photograph(folder: Path, megapixels: float) -> str:
    from skimage import data

    small = data.astronaut()[..., ::-1]
    side = round((megapixels * 1e6) ** 0.5)
    large = cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    large += np.random.default_rng(0).normal(0, 4, large.shape).astype(np.float32)
    file = folder / "photograph.jpg"
    cv2.imwrite(str(file), large.clip(0, 255).astype(np.uint8))
    return str(file)


def stub_chain(count: int) -> Graph:
    @node("Source", category="Bench")
    def bench_source(*, value: float = 0.0) -> Cutout:
        return Cutout(np.zeros((1, 1, 3), np.uint8), np.full((1, 1), value, np.float32))

    @node("Add", category="Bench")
    def bench_add(cutout: Cutout, *, amount: float = 0.0) -> Cutout:
        return cutout.with_alpha(cutout.alpha + np.float32(amount))

    source, add = spec_of(bench_source), spec_of(bench_add)
    graph, last = Graph().add(source, "n0"), "n0"
    for number in range(1, count):
        graph, last, before = graph.add(add, f"n{number}"), f"n{number}", last
        graph = graph.connect(before, last)
    return graph


def overhead() -> None:
    engine, graph = Engine(Cache()), stub_chain(1000)
    engine.plan(RunRequest(graph, ("n999",)))
    times = []
    for value in range(1, 31):
        graph = graph.set_param("n0", "value", value)
        began = time.perf_counter()
        engine.plan(RunRequest(graph, ("n999",)))
        times.append(time.perf_counter() - began)
    say("1,000-node chain, start changed: to know what must run", milliseconds(times))

    graph, times = stub_chain(200), []
    engine.run(RunRequest(graph, ("n199",)))
    for value in range(1, 31):
        graph = graph.set_param("n199", "amount", value)
        began = time.perf_counter()
        outcome = engine.run(RunRequest(graph, ("n199",)))
        times.append(time.perf_counter() - began)
        assert outcome.executed == ["n199"]
    say("200 trivial nodes, end changed: to the answer", milliseconds(times))
    engine.close()


def chain_of(file: str) -> Graph:
    return Graph.chain(*CHAIN).set_param("load", "path", file)


def latency(file: str, folder: Path, megapixels: float) -> None:
    pixels = megapixels * 1e6
    engine = Engine(Cache(8 << 30, Disk(folder / "networks")), shrink=shrink)
    document = Document(engine, chain_of(file), lambda graph, held: pixels)

    def answer(act, wanted_scale) -> tuple[float, list[str]]:
        """Time from an edit to its result at a scale; give what ran meanwhile."""
        list(document.drain(1))
        began, ran = time.perf_counter(), []
        revision = act()
        while True:
            event = document.events.get(timeout=120)
            if event.run != revision:
                continue
            if event.kind == "done":
                ran.append(event.node)
            if event.outputs and event.node == CHAIN[-1] and (event.scale == 1) == wanted_scale:
                return time.perf_counter() - began, ran

    seconds, ran = answer(lambda: document.view(CHAIN[-1]), True)
    document.settle()
    say(f"the chain of 8 at {megapixels:g} MP, first run, cold", f"{seconds:.2f} s")

    small, large = [], []
    for step in range(1, 16):

        def tweak(step=step):
            return document.set_param("feather", "sigma", 2 + step / 8)

        seconds, ran = answer(tweak, False)
        assert "segment" not in ran
        small.append(seconds)
        if step % 5 == 0:
            list(document.drain(1))
            began = time.perf_counter()
            document.settle()
            large.append(time.perf_counter() - began)
    say("feather.sigma changed: to the preview", milliseconds(small))
    say("  and then to the full result (150 ms of rest in it)", milliseconds(large))

    inferences = []
    for value in ("replace", "multiply"):
        began = time.perf_counter()
        document.set_param("segment", "existing_alpha", value)
        document.settle()
        inferences.append(time.perf_counter() - began)
    say(
        "segment.existing_alpha changed: to the full result, no inference", milliseconds(inferences)
    )

    times = []
    for go in (document.undo, document.redo) * 10:
        list(document.drain(1))
        began = time.perf_counter()
        go()
        while document.events.get(timeout=60).kind != "reused":
            pass
        times.append(time.perf_counter() - began)
        ran = [e for e in document.drain(1) if e.kind == "done"]
        assert not ran
    say("undo, redo: to the result, nothing executed", milliseconds(times))
    document.close()
    engine.close()


def sliders(file: str, megapixels: float) -> None:
    """Drag every slider of every node, an edit each 30 ms: how soon the picture first changes."""
    engine = Engine(Cache(6 << 30), shrink=shrink)
    document = Document(engine, Graph(), lambda graph, held: megapixels * 1e6)
    for spec in all_specs():
        ranged = [param for param in spec.params.values() if param.type in (int, float)]
        if spec.writes or not spec.inputs or not ranged or Cutout not in spec.inputs.values():
            continue
        front = ("load",) if spec.id == "segment" else ("load", "segment")
        graph = Graph.chain(*front, spec.id).set_param("load", "path", file)
        for param in ranged:
            low, high = param.ui or (param.lo, param.hi)
            document.open(graph, spec.id)
            document.settle(300)
            list(document.drain(1))
            began, first, worst, last, count = time.perf_counter(), None, 0.0, None, 0
            while (now := time.perf_counter()) < began + 3:
                if now >= began + 0.03 * count:
                    share = 0.2 + 0.6 * count / 100
                    value = param.type(round(low + (high - low) * share, 3))
                    document.set_param(spec.id, param.name, value)
                    count += 1
                for event in document.drain(0.002):
                    if event.node == spec.id and event.kind == "done":
                        now = time.perf_counter()
                        first = first or now - began
                        worst, last = max(worst, now - (last or began)), now
                time.sleep(0.001)
            worst = max(worst, time.perf_counter() - (last or began))
            told = "nothing" if first is None else f"{first * 1e3:.0f}, then {worst * 1e3:.0f} ms"
            say(f"{spec.id}.{param.name} dragged: to the first picture, longest without", told)
    document.close()
    engine.close()


def cancelling(file: str, megapixels: float) -> None:
    engine = Engine(Cache(4 << 30), shrink=shrink)
    document = Document(engine, chain_of(file), lambda graph, held: megapixels * 1e6)
    document.view(CHAIN[-1])
    document.settle()
    late: list[float] = []
    plain_run = engine.run

    def run(request, emit, superseded):
        asked = []

        def watched():
            if not asked and document._newest is not None:
                asked.append(document._newest[1])
            return superseded()

        outcome = plain_run(request, emit, watched)
        if asked:
            while any(flight.stop.is_set() for flight in list(engine.flights.values())):
                time.sleep(0.0005)
            late.append(time.monotonic() - asked[0])
        return outcome

    engine.run = run
    for step in range(200):
        document.set_param("feather", "sigma", 1 + step / 40)
        time.sleep(0.01)
    document.settle()
    say(
        "200 tweaks, 10 ms apart: newer request to the older run's end, longest",
        f"{max(late, default=0) * 1e3:.0f} ms",
    )
    last = plain_run(RunRequest(document.graph, (CHAIN[-1],))).outputs[CHAIN[-1]]["cutout"]
    fresh_engine = Engine(Cache(0))
    fresh = fresh_engine.run(RunRequest(document.graph, (CHAIN[-1],))).check()
    again = fresh.outputs[CHAIN[-1]]["cutout"]
    assert np.array_equal(last.alpha, again.alpha) and np.array_equal(last.color, again.color)
    say("  the last result against a fresh run", "bit for bit")
    document.close()
    engine.close()

    engine = Engine(Cache(0))
    request = RunRequest(chain_of(file), ("segment",))
    times = []
    for delay in (0.15, 0.2, 0.25, 0.3):
        began = time.perf_counter()
        stopped = []

        def superseded(began=began, delay=delay, stopped=stopped):
            if time.perf_counter() - began < delay:
                return None
            stopped.append(time.perf_counter())
            return ()

        engine.run(request, superseded=superseded)
        while engine.flights:
            time.sleep(0.0005)
        times.append(time.perf_counter() - stopped[0])
    say("stopped while segmenting: to the end of all work, longest", f"{max(times) * 1e3:.0f} ms")
    engine.close()


REOPEN = """
import sys, time
from pathlib import Path
sys.path.insert(0, str(Path({here!r}).parent))
from engine import CHAIN, chain_of
from qr_nodes.cache import Cache, Disk
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.inference import session
count = 0
plain = session.predict
def counted(*a, **k):
    global count
    count += 1
    return plain(*a, **k)
session.predict = counted
engine = Engine(Cache(4 << 30, Disk({disk!r})))
began = time.perf_counter()
engine.run(RunRequest(chain_of({file!r}), (CHAIN[-1],))).check()
print(time.perf_counter() - began, count)
engine.close()
"""


def reopening(file: str, folder: Path) -> None:
    code = REOPEN.format(here=__file__, disk=str(folder / "reopened"), file=file)
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        found.append([float(part) for part in done.stdout.split()])
    (first, once), (second, none) = found
    say("a new process, first run", f"{first:.2f} s, {once:.0f} inference")
    say("a new process, the graph reopened", f"{second:.2f} s, {none:.0f} inferences")


def memory(file: str, tweaks: int) -> None:
    def resident() -> float:
        return psutil.Process().memory_info().rss / (1 << 20)

    budget = 1536 << 20
    engine = Engine(Cache(budget), shrink=shrink)
    pick, graph = random.Random(1), chain_of(file)
    sizes, most = [], 0
    for count in range(tweaks):
        graph = pick.choice(
            [
                lambda g: g.set_param("feather", "sigma", pick.uniform(0, 8)),
                lambda g: g.set_param("levels", "gamma", pick.uniform(0.5, 2)),
                lambda g: g.change("smooth", bypass=not g.nodes["smooth"].bypass),
                lambda g: g.set_param("decontaminate", "strength", pick.uniform(0, 100)),
            ]
        )(graph)
        # Nineteen previews to one full result: what a person's sliders ask for.
        scale = 1.0 if count % 20 == 0 else 0.25
        engine.run(RunRequest(graph, (CHAIN[-1],), scale)).check()
        most = max(most, engine.cache.used)
        if count % (tweaks // 8) == 0:
            sizes.append(resident())
    say(
        f"{tweaks} random tweaks: most bytes kept, of a budget of {budget >> 20} MiB",
        f"{most >> 20} MiB",
    )
    say("  the process's own size on the way", " ".join(f"{size:.0f}" for size in sizes) + " MiB")
    heap.give_back()
    say("  at rest, as the window has it after 5 s", f"{resident():.0f} MiB")
    engine.close()


def main() -> None:
    tune()  # as the command does
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megapixels", type=float, default=24)
    options.add_argument("--tweaks", type=int, default=2000)
    options.add_argument("--only", nargs="+", default=PARTS, choices=PARTS, metavar="PART")
    asked = options.parse_args()
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, "
        f"OpenCV {cv2.__version__} on {cv2.getNumThreads()} threads"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = photograph(folder, asked.megapixels)
        parts = {
            "overhead": overhead,
            "latency": lambda: latency(file, folder, asked.megapixels),
            "sliders": lambda: sliders(file, asked.megapixels),
            "cancelling": lambda: cancelling(file, asked.megapixels),
            "reopening": lambda: reopening(file, folder),
            "memory": lambda: memory(file, asked.tweaks),
        }
        for part in asked.only:
            parts[part]()


if __name__ == "__main__":
    main()
