"""What people wait for, beside rembg and pymatting with the same weights: run in turn.

    python tests/bench/peers.py [--runs 3] [--rows ROW ...] [--only PART ...]
    python tests/bench/peers.py --only matting --matting 1 4 12    (12: 7 GB and minutes)

Photographs of 0.5, 12 and 24 MP are made by enlarging one of scikit-image's and adding grain.
A ROW is a preset, with settings of its own after it in the same quotes, as in quality.py: `quick`
gives what rembg gives; `standard` draws the matte to the edges, refines and decontaminates as well.

cold         a new process from the picture to the PNG, with no result kept from before
floor        at 0.5 MP, a new process that imports numpy, OpenCV and onnxruntime, reads the picture,
             asks the network once and writes the answer, and nothing else: no program made of
             these packages takes less
warm         the next picture in a process that has loaded all it needs
chain        the mission's eight nodes on the next picture in a process that has loaded all it
             needs, inference, Load and Export aside; memory is all of the process's, in bytes
             for each byte of the picture's 8-bit RGB
foreground   Decontaminate, beside pymatting's multi-level estimate and what `decontaminate` adds
             to rembg's call; seconds of CPU
matting      Refine Edges, beside closed-form matting of the same trimap; seconds of CPU

rembg is installed on first use into an environment of its own.
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

ROWS = ("quick", "standard segment.quality=fast", "standard")

PARTS = ("cold", "floor", "warm", "chain", "foreground", "matting")

BAND = 6
"""Half the width of what is unsure in the trimaps, px: what the preset `standard` asks."""

FLOOR = """
import os, sys
os.environ["OPENBLAS_NUM_THREADS"] = "1"
import cv2, numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
network = onnxruntime.InferenceSession(sys.argv[1], options, ["CPUExecutionProvider"])
picture = cv2.imread(sys.argv[2])
square = cv2.resize(picture, (320, 320)).transpose(2, 0, 1)[None] / np.float32(255)
matte = network.run(None, {network.get_inputs()[0].name: square})[0][0, 0]
alpha = np.uint8(cv2.resize(matte, picture.shape[1::-1]) * 255)
cv2.imwrite(sys.argv[3], np.dstack([picture, alpha]))
"""

WARM = """
import json, sys, time
from qr_nodes.__main__ import tune
tune()  # as the command does
from qr_nodes import load_graph, run
from qr_nodes.batch import override
preset, *settings = sys.argv[2].split()
graph = override(load_graph(preset), settings)
paths = sys.argv[1].split(",")
times = []
for path in paths:
    began = time.perf_counter(), time.process_time()
    for result in run(graph, [path], [path + ".warm.png"], again=True):
        assert result.error is None, result.error
    times.append((time.perf_counter() - began[0], time.process_time() - began[1]))
print(json.dumps(times[1:]))
"""

CHAIN = """
import json, resource, sys, time
from qr_nodes.__main__ import tune
tune()  # as the command does
from qr_nodes.batch import run
from qr_nodes.graph import Graph
from qr_nodes.inference import session
from qr_nodes.types import Stroke

def now():
    return time.perf_counter(), time.process_time()

def since(began):
    return [after - before for after, before in zip(now(), began)]

inference, nodes, began, predict = [0.0, 0.0], {}, {}, session.predict

def predicted(*args):
    start = now()
    matte = predict(*args)
    inference[:] = [a + b for a, b in zip(inference, since(start))]
    return matte

def listen(event):
    if event.kind == "started":
        began[event.node] = now()
    elif event.kind == "done":
        nodes[event.node] = since(began[event.node])

session.predict = predicted
graph = Graph.chain("load", "segment", "transparency_fix", "feather", "smooth", "decontaminate",
                    "brush_edit", "export")
stroke = Stroke(((0.3, 0.3), (0.5, 0.6), (0.7, 0.4)))
graph = graph.set_param("brush_edit", "strokes", (stroke,))
found = []
for path in sys.argv[1].split(","):
    inference[:] = [0.0, 0.0]
    for result in run(graph, [path], [path + ".chain.png"], emit=listen, again=True):
        assert result.error is None, result.error
    own = [sum(times) for times in zip(*(nodes[id] for id in list(graph.nodes)[1:-1]))]
    found.append([a - b for a, b in zip(own, inference)])
print(json.dumps([found[1:], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""

WARM_REMBG = """
import json, sys, time
from rembg import new_session, remove
session = new_session("u2netp")
times = []
for path in sys.argv[1].split(","):
    began = time.perf_counter(), time.process_time()
    with open(path, "rb") as file:
        cut = remove(file.read(), session=session)
    with open(path + ".rembg.png", "wb") as file:
        file.write(cut)
    times.append((time.perf_counter() - began[0], time.process_time() - began[1]))
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


def compare(what: str, ours: list[float], theirs: list[float], unit: str) -> None:
    mine, other = statistics.median(ours), statistics.median(theirs)
    print(f"{what:<60} {mine:9.2f} {other:9.2f} {unit:<4} {mine / other:7.2f} ×", flush=True)


def cold(pictures: dict, row: str, rounds: int, command: Path, env: dict, folder: Path):
    """Compare whole processes: wall, CPU, peak memory and the size of the file."""
    out, other = folder / "ours.png", folder / "rembg.png"
    preset, *settings = row.split()
    for name, (path, *_) in pictures.items():
        mine = [sys.executable, "-m", "qr_nodes", "run", preset, "-i", path, "-o", out, "--again"]
        mine += [part for setting in settings for part in ("-s", setting)]
        theirs = [command, "i", "-m", "u2netp", path, other]
        processes(f"cold, {row}, {name}", mine, theirs, rounds, env, folder)
        sizes = [[file.stat().st_size / 2**20] for file in (out, other)]
        compare(f"cold, {row}, {name}: file", *sizes, "MiB")


def floor(pictures: dict, rounds: int, command: Path, weights: Path, env: dict, folder: Path):
    """Compare a process that does what no other can do without."""
    path, out = pictures["0.5 MP"][0], folder / "rembg.png"
    mine = [sys.executable, "-c", FLOOR, weights, path, folder / "floor.png"]
    theirs = [command, "i", "-m", "u2netp", path, out]
    processes("floor, 0.5 MP", mine, theirs, rounds, env, folder)


def processes(what: str, mine: list, theirs: list, rounds: int, env: dict, folder: Path) -> None:
    """Run two commands in turn and print how they compare: wall, CPU and peak memory."""
    ours, other = [], []
    for _ in range(rounds + 1):  # the first fills the system's caches
        forget(folder)
        ours.append(run(list(map(str, mine)), env))
        other.append(run(list(map(str, theirs)), env))
    for place, (name, unit) in enumerate((("wall", "s"), ("CPU", "s"), ("memory", "MiB"))):
        columns = [[one[place] for one in runs[1:]] for runs in (ours, other)]
        compare(f"{what}: {name}", *columns, unit)


def warm(pictures: dict, row: str, rounds: int, interpreter: Path, env: dict, folder: Path):
    """Compare the second and the third picture of a process, from file to file."""
    for name in ("12 MP", "24 MP"):
        many = ",".join(map(str, pictures[name]))
        times = [[], []]
        for _ in range(rounds):
            for place, call in enumerate(((sys.executable, WARM), (interpreter, WARM_REMBG))):
                forget(folder)
                command = [str(call[0]), "-c", call[1], many, row]
                done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
                times[place] += json.loads(done.stdout.splitlines()[-1])
        for place, what in enumerate(("wall", "CPU")):
            columns = [[one[place] for one in runs] for runs in times]
            compare(f"warm, {row}, {name}, picture to file: {what}", *columns, "s")


def chain(pictures: dict, rounds: int, env: dict):
    """Print what the eight nodes cost, inference, reading and writing aside."""
    for name in ("12 MP", "24 MP"):
        times, width_height = [], SIZES[name]
        for _ in range(rounds):
            command = [sys.executable, "-c", CHAIN, ",".join(map(str, pictures[name]))]
            done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
            found, peak = json.loads(done.stdout.splitlines()[-1])
            times += found
        for place, what in enumerate(("wall", "CPU")):
            median = statistics.median(one[place] for one in times)
            print(f"{f'chain, {name}: {what}':<60} {median:9.2f} s")
        ratio = peak / (3 * width_height[0] * width_height[1])
        print(f"{f'chain, {name}: memory':<60} {ratio:9.2f} × RGB", flush=True)


def forget(folder: Path) -> None:
    """Forget what networks have said."""
    shutil.rmtree(folder / "cache" / "qr-nodes" / "networks", ignore_errors=True)


def foreground(pictures: dict, rounds: int, interpreter: Path, weights: Path, folder: Path):
    """Compare the estimation of the subject's colours."""
    python = str(interpreter)
    for name in ("12 MP", "24 MP"):
        ours, levels, added = [], [], []
        pair = tuple(str(folder / f"{what}.npy") for what in ("color", "alpha", "found"))
        for path in pictures[name][:rounds]:
            with ProcessPoolExecutor(1) as pool:
                ours.append(pool.submit(decontamination, path, pair).result())
            levels += peers.multi_level(python, [pair], "process_time").values()
            plain, whole = (
                sum(peers.rembg(python, weights, [path], folder, how, "process_time").values())
                for how in ({}, {"decontaminate": True})
            )
            added.append(whole - plain)
        compare(f"foreground, {name}, multi-level: CPU", ours, levels, "s")
        compare(f"foreground, {name}, rembg's: CPU", ours, added, "s")


def decontamination(path: Path, pair: tuple[str, str, str]) -> float:
    """Give the seconds of CPU that Decontaminate takes; leave its input for the peer."""
    import numpy as np

    from qr_nodes.nodes.decontaminate import decontaminate
    from qr_nodes.nodes.load import load
    from qr_nodes.nodes.segment import segment

    cutout = segment(load(path=str(path)), device="cpu")
    np.save(pair[0], (cutout.color / np.float32(255)).astype(np.float32))
    np.save(pair[1], cutout.alpha)
    return cpu_of(lambda: decontaminate(cutout))


def matting(pictures: dict, megapixels: list[float], interpreter: Path, folder: Path):
    """Compare the solution of one trimap."""
    for size in megapixels:
        pair = tuple(str(folder / f"{what}.npy") for what in ("color", "trimap", "found"))
        with ProcessPoolExecutor(1) as pool:
            ours = pool.submit(refinement, pictures["12 MP"][0], size, pair).result()
        theirs = peers.closed_form(str(interpreter), [pair], "process_time").values()
        compare(f"matting, {size:g} MP, closed form: CPU", [ours], list(theirs), "s")


def refinement(path: Path, megapixels: float, pair: tuple[str, str, str]) -> float:
    """Give the seconds of CPU that Refine Edges takes with a trimap; leave both for the peer."""
    import numpy as np

    from qr_nodes.imaging.matting import unsure_band
    from qr_nodes.imaging.resample import shrink
    from qr_nodes.nodes.load import load
    from qr_nodes.nodes.refine_edges import refine_edges
    from qr_nodes.nodes.segment import segment

    cutout = segment(load(path=str(path)), device="cpu")
    height, width = cutout.shape
    cutout = shrink(cutout, min((megapixels * 1e6 / (height * width)) ** 0.5, 1.0))
    unsure = unsure_band(cutout.alpha, BAND) > 0
    known = np.where(unsure, np.float32(0.5), (cutout.alpha > 0.5).astype(np.float32))
    np.save(pair[0], (cutout.color / np.float32(255)).astype(np.float32))
    np.save(pair[1], known)
    return cpu_of(lambda: refine_edges(cutout, trimap=known))


def cpu_of(work) -> float:
    """Give the median seconds of CPU of five calls."""
    times = []
    for _ in range(5):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return statistics.median(times)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--rows", nargs="+", default=ROWS, metavar="ROW")
    options.add_argument("--only", nargs="+", default=PARTS, choices=PARTS, metavar="PART")
    options.add_argument("--matting", type=float, nargs="+", default=[1, 4], metavar="MP")
    asked = options.parse_args()
    weights = cache_folder("models") / "u2netp.onnx"
    get = [sys.executable, "-m", "qr_nodes", "models", "get", "u2netp"]
    subprocess.run(get, check=True, stdout=subprocess.DEVNULL)
    interpreter = Path(peers.python(cache_folder("bench-peers")))
    folder = Path(tempfile.mkdtemp())
    with ProcessPoolExecutor(1) as pool:
        pictures = pool.submit(photographs, folder).result()
    for place in (folder / "cache" / "qr-nodes" / "models", folder / "rembg"):
        place.mkdir(parents=True)
        shutil.copy(weights, place / weights.name)
    env = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # both as they are once installed: compiled
    env["U2NET_HOME"] = str(folder / "rembg")
    print(f"{os.cpu_count()} cores, {asked.runs} runs in turn; ours, the peer's, ratio of medians")
    command = interpreter.with_name("rembg")
    if "floor" in asked.only:
        floor(pictures, asked.runs, command, weights, env, folder)
    for row in asked.rows:
        if "cold" in asked.only:
            cold(pictures, row, asked.runs, command, env, folder)
        if "warm" in asked.only:
            warm(pictures, row, asked.runs, interpreter, env, folder)
    if "chain" in asked.only:
        chain(pictures, asked.runs, env)
    if "foreground" in asked.only:
        foreground(pictures, asked.runs, interpreter, weights, folder)
    if "matting" in asked.only:
        matting(pictures, asked.matting, interpreter, folder)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
