"""Tweak and cancel without a window, thousands of times; tell what is left of it.

    python tests/attack/tweaks.py --tweaks 10000 --cancels 1000 --seed 1

A tweak is an edit of a document that is being computed; now and then one waits for the result.
A cancel gives a run up at a random moment, in the network as well if its weights are here. Prints
a line of JSON: threads and open files before and after, memory after each tenth.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from robot import memory

from qr_nodes.cache import Cache, Disk
from qr_nodes.document import Document
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.graph import Graph
from qr_nodes.imaging.image_io import write_image
from qr_nodes.imaging.resample import shrink
from qr_nodes.inference import store
from qr_nodes.types import Cutout, Stroke

CHAIN = ("load", "segment", "levels", "feather", "smooth", "decontaminate", "brush_edit")


def resting(engine: Engine) -> tuple[int, int]:
    """Give the threads and open files of the process once nothing runs."""
    engine.cache.pin(())
    engine.cache.clear()
    gc.collect()
    end = time.monotonic() + 10
    while any("inference" in t.name for t in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.02)
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def tweak(graph: Graph, chance: random.Random) -> Graph:
    """Change one thing at random."""
    kind = chance.randrange(6)
    if kind == 0:
        return graph.set_param("feather", "sigma", chance.uniform(0, 8))
    if kind == 1:
        return graph.set_param("levels", "gamma", chance.uniform(0.5, 2))
    if kind == 2:
        return graph.set_param("smooth", "amount", chance.uniform(0, 5))
    if kind == 3:
        id = chance.choice(["levels", "feather", "smooth", "decontaminate"])
        return graph.change(id, bypass=not graph.nodes[id].bypass)
    strokes = graph.nodes["brush_edit"].params["strokes"]
    path = tuple((chance.random(), chance.random()) for _ in range(3))
    strokes = (*strokes[-20:], Stroke(path, size=0.1, mode=chance.choice(["paint", "erase"])))
    return graph.set_param("brush_edit", "strokes", strokes)


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--tweaks", type=int, default=10_000)
    options.add_argument("--cancels", type=int, default=1_000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    chance = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as scratch:
        noise = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)
        color = np.kron(noise, np.ones((10, 10, 1), np.uint8))  # 0.5 MP, previews and all
        write_image(Cutout(color, np.ones(color.shape[:2], np.float32)), Path(scratch, "a.png"))
        graph = Graph.chain(*CHAIN).set_param("load", "path", str(Path(scratch, "a.png")))
        if not store.is_here("u2netp"):
            graph = graph.change("segment", bypass=True)
        graph = graph.set_param("segment", "quality", "fast")
        engine = Engine(Cache(128 << 20, Disk(Path(scratch, "networks"))), lanes=2, shrink=shrink)
        request = RunRequest(graph, ("brush_edit",))
        assert not engine.run(request).errors
        before, memories, waited = resting(engine), [], 0

        document = Document(engine, graph, lambda graph: 2_000_000)
        document.view("brush_edit")
        for number in range(chosen.tweaks):
            if chance.random() < 0.2:
                document.undo() if chance.random() < 0.6 else document.redo()
            else:
                document.edit(tweak(document.graph, chance), "tweak", chance.choice([None, 1]))
            for _ in document.drain():
                pass
            if chance.random() < 0.05:
                assert document.settle(), "it is still computing"
                waited += 1
            else:
                time.sleep(chance.uniform(0, 0.01))
            if (number + 1) % max(1, chosen.tweaks // 10) == 0:
                document.settle()
                resting(engine)
                memories.append(round(memory()))
        document.settle()
        document.close()
        while list(document.drain()):
            pass
        tweaked = resting(engine)

        stopped = 0
        for _ in range(chosen.cancels):
            engine.cache.clear()
            for path in Path(scratch, "networks").glob("*.npz"):
                path.unlink()
            end = time.monotonic() + chance.uniform(0, 0.3)
            outcome = engine.run(
                RunRequest(tweak(graph, chance), ("brush_edit",)),
                superseded=lambda end=end: () if time.monotonic() > end else None,
            )
            assert not outcome.errors, outcome.errors
            stopped += outcome.superseded
        assert not engine.run(request).errors
        cancelled = resting(engine)
        told = {"tweaks": chosen.tweaks, "waited for": waited, "MB": memories}
        told |= {"cancels": chosen.cancels, "stopped half-way": stopped}
        told |= {"threads, files": [before, tweaked, cancelled], "MB at the end": round(memory())}
        engine.close()
        told["threads at the end"] = threading.active_count()
        print(json.dumps(told), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
