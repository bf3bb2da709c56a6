"""A folder of photographs, beside `rembg p` with the same weights: whole processes, run in turn.

    python tests/bench/many.py [--pictures 200] [--graphs quick fast standard] [--jobs 2]
    python tests/bench/many.py --overlap

Photographs of 12 MP are made by enlarging those of scikit-image and adding grain. Both programs are
given the same folder; rates are pictures per second of the whole process, its start included.
CPU seconds tell more than the clock where other programs run: rembg keeps about one core busy.

`--overlap` tells how the rate grows with jobs when what takes the time is a network that overlaps:
a node that sleeps stands in its place.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import peers
from speed import run

from qr_nodes.resources import cache_folder
from qr_nodes.types import Cutout

GRAPHS = {
    "quick": ["quick"],
    "fast": ["standard", "-s", "segment.quality=fast"],
    "standard": ["standard"],
}


def photographs(folder: Path, count: int) -> None:
    """Write photographs of 4000 × 3000 px; in a process of its own, for the sake of memory."""
    import numpy as np
    from PIL import Image
    from skimage import data

    for number in range(count):
        source = (data.astronaut, data.chelsea, data.coffee)[number % 3]()
        picture = Image.fromarray(source).resize((4000, 3000), Image.Resampling.LANCZOS)
        grain = np.random.default_rng(number).normal(0, 4, (3000, 4000, 3)).astype(np.float32)
        pixels = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=92)


def beside_rembg(count: int, names: list[str], jobs: int | None) -> None:
    """Print rate, CPU and memory of each graph beside rembg's."""
    weights = cache_folder("models") / "u2netp.onnx"
    get = [sys.executable, "-m", "qr_nodes", "models", "get", "u2netp"]
    subprocess.run(get, check=True, stdout=subprocess.DEVNULL)
    theirs = Path(peers.python(cache_folder("bench-peers"))).with_name("rembg")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pictures = folder / "pictures"
        pictures.mkdir()
        with ProcessPoolExecutor(1) as pool:
            pool.submit(photographs, pictures, count).result()
        for models in (folder / "cache" / "qr-nodes" / "models", folder / "rembg"):
            models.mkdir(parents=True)
            shutil.copy(weights, models / weights.name)
        env = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # both as they are once installed: compiled
        env["U2NET_HOME"] = str(folder / "rembg")
        print(f"{os.cpu_count()} cores, {count} pictures of 12 MP; rembg last of each row")
        for name in names:
            shutil.rmtree(folder / "cache" / "qr-nodes" / "networks", ignore_errors=True)
            mine = [sys.executable, "-m", "qr_nodes", "run", *GRAPHS[name], str(pictures)]
            mine += ["-o", str(folder / name), *(["--jobs", str(jobs)] if jobs else [])]
            ours = run(mine, env)
            other = run([str(theirs), "p", "-m", "u2netp", str(pictures), place + "/other"], env)
            for out in (folder / name, folder / "other"):
                assert len(list(out.glob("*.png"))) == count, out
                shutil.rmtree(out)
            row(name, "pictures/s", count / ours[0], count / other[0])
            row(name, "CPU s/picture", ours[1] / count, other[1] / count)
            row(name, "most memory, MiB", ours[2], other[2])


def row(name: str, what: str, mine: float, other: float) -> None:
    print(f"{name:<10} {what:<18} {mine:8.2f} {other:8.2f}   {mine / other:5.2f} ×", flush=True)


def overlap(count: int, seconds: float = 0.4) -> None:
    """Print how the rate grows with jobs while a sleeping node stands for the network."""
    import numpy as np
    from PIL import Image

    from qr_nodes import run
    from qr_nodes.graph import Graph
    from qr_nodes.node import node, spec_of

    @node("Slow", category="Bench")
    def slow(cutout: Cutout) -> Cutout:
        time.sleep(seconds)
        return cutout

    graph = Graph().add("load").add(spec_of(slow), "slow").add("export")
    graph = graph.connect("load", "slow").connect("slow", "export")
    with tempfile.TemporaryDirectory() as place:
        pictures = Path(place, "pictures")
        pictures.mkdir()
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 255, (120, 160, 3), np.uint8)
            Image.fromarray(pixels).save(pictures / f"{number}.png")
        list(run(graph, pictures, Path(place, "warm")))
        first = 0.0
        for jobs in (1, 2, 4, 8):
            began = time.perf_counter()
            results = list(run(graph, pictures, Path(place, f"out{jobs}"), jobs=jobs))
            rate = len(results) / (time.perf_counter() - began)
            assert not [result.error for result in results if result.error]
            first = first or rate
            share = rate / first / jobs
            print(f"{jobs} jobs {rate:8.2f} pictures/s   {share:5.2f} of linear", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pictures", type=int, default=200)
    options.add_argument("--graphs", nargs="*", default=list(GRAPHS), choices=list(GRAPHS))
    options.add_argument("--jobs", type=int)
    options.add_argument("--overlap", action="store_true")
    asked = options.parse_args()
    if asked.overlap:
        overlap(min(asked.pictures, 64))
    else:
        beside_rembg(asked.pictures, asked.graphs, asked.jobs)


if __name__ == "__main__":
    main()
