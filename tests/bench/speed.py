"""What people wait for, beside rembg with the same weights: whole processes, run in turn.

    python tests/bench/speed.py [--runs 3] [--quality fast balanced]

Photographs of 0.5, 12 and 24 MP are made by enlarging one of scikit-image's and adding grain. Cold
means a new process from the picture to the PNG, with no result kept from before; warm means the
next picture in a process that has loaded all it needs. rembg is installed on first use into an
environment of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import peers

from qr_nodes.resources import cache_folder

SIZES = {"0.5 MP": (816, 612), "12 MP": (4000, 3000), "24 MP": (6000, 4000)}

WARM = """
import json, sys, time
from qr_nodes import load_graph, run
graph = load_graph("standard")
for item in json.loads(sys.argv[2]):
    graph = graph.set_param(*item)
paths = sys.argv[1].split(",")
times = []
for path in paths:
    began = time.perf_counter()
    for result in run(graph, [path], [path + ".warm.png"]):
        assert result.error is None, result.error
    times.append(time.perf_counter() - began)
print(json.dumps(times[1:]))
"""

WARM_REMBG = """
import json, sys, time
from rembg import new_session, remove
session = new_session("u2netp")
times = []
for path in sys.argv[1].split(","):
    began = time.perf_counter()
    with open(path, "rb") as file:
        cut = remove(file.read(), session=session)
    with open(path + ".rembg.png", "wb") as file:
        file.write(cut)
    times.append(time.perf_counter() - began)
print(json.dumps(times[1:]))
"""


def photographs(folder: Path) -> dict[str, list[Path]]:
    """Write three photographs of each size; give their paths.

    In a process of its own: a process's peak memory counts what its parent had when it began.
    """
    import numpy as np
    from PIL import Image
    from skimage import data

    made = {}
    for name, size in SIZES.items():
        made[name] = []
        for number in range(3):
            rng = np.random.default_rng(number)
            picture = Image.fromarray(data.astronaut()).resize(size, Image.Resampling.LANCZOS)
            grain = rng.normal(0, 4, (size[1], size[0], 3))
            pixels = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
            path = folder / f"{name.replace(' ', '')}-{number}.jpg"
            Image.fromarray(pixels).save(path, quality=92)
            made[name].append(path)
    return made


def run(command: list[str], env: dict) -> tuple[float, float, float]:
    """Run a process; give its wall and CPU seconds and its peak memory in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def row(what: str, ours: list[float], theirs: list[float], unit: str) -> None:
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{what:<44} {mine:9.2f} {other:9.2f} {unit:<4} {mine / other:7.2f} ×", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--quality", nargs="*", default=["fast", "balanced"])
    asked = options.parse_args()
    weights = cache_folder("models") / "u2netp.onnx"
    get = [sys.executable, "-m", "qr_nodes", "models", "get", "u2netp"]
    subprocess.run(get, check=True, stdout=subprocess.DEVNULL)
    interpreter = Path(peers.python(cache_folder("bench-peers")))
    folder = Path(tempfile.mkdtemp())
    with ProcessPoolExecutor(1) as pool:
        pictures = pool.submit(photographs, folder).result()
    cache = folder / "cache" / "qr-nodes"
    (cache / "models").mkdir(parents=True)
    shutil.copy(weights, cache / "models" / weights.name)
    (folder / "rembg").mkdir()
    shutil.copy(weights, folder / "rembg" / "u2netp.onnx")
    env = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    env["U2NET_HOME"] = str(folder / "rembg")
    command = interpreter.with_name("rembg")
    print(f"{os.cpu_count()} cores, {asked.runs} runs in turn; ours, rembg's, ratio of medians")
    for quality in asked.quality:
        setting = ["-s", f"segment.quality={quality}"]
        for name, (path, *_) in pictures.items():
            ours, theirs = [], []
            out, other = folder / "ours.png", folder / "rembg.png"
            for _ in range(asked.runs + 1):
                shutil.rmtree(cache / "networks", ignore_errors=True)
                mine = [sys.executable, "-m", "qr_nodes", "run", "standard", "-i", path, "-o", out]
                ours.append(run([*map(str, mine), *setting], env))
                theirs.append(run([str(command), "i", "-m", "u2netp", str(path), str(other)], env))
            for place, (what, unit) in enumerate((("wall", "s"), ("CPU", "s"), ("memory", "MiB"))):
                columns = [[one[place] for one in runs[1:]] for runs in (ours, theirs)]
                row(f"cold, {quality}, {name}: {what}", *columns, unit)
            sizes = [[file.stat().st_size / 2**20] for file in (out, other)]
            row(f"cold, {quality}, {name}: file", *sizes, "MiB")
        for name in ("12 MP", "24 MP"):
            many = ",".join(map(str, pictures[name]))
            settings = json.dumps([["segment", "quality", quality]])
            times = []
            for interpreter_, code in ((sys.executable, WARM), (str(interpreter), WARM_REMBG)):
                shutil.rmtree(cache / "networks", ignore_errors=True)
                call = [interpreter_, "-c", code, many, settings]
                done = subprocess.run(call, env=env, check=True, capture_output=True, text=True)
                times.append(json.loads(done.stdout.splitlines()[-1]))
            row(f"warm, {quality}, {name}, picture to file: wall", *times, "s")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
