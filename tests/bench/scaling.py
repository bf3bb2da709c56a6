"""Time and memory of every node against the picture's size: both must grow in step with it.

    python tests/bench/scaling.py [--megapixels 1 4 12 24 50 100] [--only NODE ...] [--chain]

Each size has a process of its own, in which every node runs on a photograph that comes with
scikit-image, enlarged and grained, with a soft matte. Scratch is what a node's call takes at its
peak beyond its inputs and what it gives, in bytes for each pixel of the picture; it is read off
the resident memory that the kernel counts (Linux only). The last columns compare the largest size
with the smallest that is at least 4 MP: time per pixel, 1.0 being linear, and bytes of scratch for
each further pixel, so that what a node takes at any size (a network, a picture of bounded size
that it solves on) does not count. With --chain also whole presets, from a JPEG to a PNG, as a
command; their memory is all of the process's.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIMIT = 12
"""Bytes of scratch that a node may take for each further pixel."""

PRESETS = ("standard", "portrait", "hair", "product", "glass")


def picture(megapixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Give colours uint8 and a matte with soft contours, a ragged one among them."""
    import cv2
    from skimage import data

    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    color = cv2.resize(data.astronaut(), (width, height), interpolation=cv2.INTER_CUBIC)
    rng = np.random.default_rng(0)
    for top in range(0, height, 256):
        rows = color[top : top + 256]
        grain = rng.normal(0, 4, (*rows.shape[:2], 1)).astype(np.float32)
        rows[:] = np.clip(rows + grain, 0, 255).astype(np.uint8)
    rough = rng.normal(0, 1, (90, 135)).astype(np.float32)
    alpha = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    alpha *= 0.05
    y = (np.arange(height, dtype=np.float32) / height - 0.55)[:, None]
    x = (np.arange(width, dtype=np.float32) / height - 0.75)[None]
    for top in range(0, height, 256):
        rows = slice(top, top + 256)
        alpha[rows] += 0.32 - np.hypot(y[rows], x)
    alpha *= height / 12  # an edge of 12 px
    alpha += 0.5
    return color, np.clip(alpha, 0, 1, out=alpha)


def calls(color: np.ndarray, alpha: np.ndarray, folder: Path) -> dict[str, Callable[[], Any]]:
    """Give a call of each node; Load reads what Export has written, so it comes last."""
    from qr_nodes.nodes import all_specs
    from qr_nodes.types import Cutout, Stroke

    cutout, full = Cutout(color, alpha), Cutout(color, np.ones_like(alpha))
    strokes = tuple(
        Stroke(((0.2 + 0.01 * n, 0.2), (0.5, 0.5 + 0.01 * n), (0.8, 0.3)), 0.02) for n in range(20)
    )
    inputs = {
        "background": {"cutout": cutout},
        "brush_edit": {"cutout": cutout, "strokes": strokes},
        "combine_masks": {"a": alpha, "b": alpha},
        "export": {"cutout": cutout, "path": str(folder / "written.png")},
        "load": {"path": str(folder / "photograph.jpg")},
        "segment": {"cutout": full, "device": "cpu"},
        "set_alpha": {"cutout": cutout, "mask": alpha},
        "grow_shrink": {"cutout": cutout, "radius": 5.0},
        "levels": {"cutout": cutout, "black": 0.1},
        "resize": {"cutout": cutout, "by": "percent", "percent": 50.0},
    }
    found = {}
    for spec in all_specs():
        given = inputs.get(spec.id, {"cutout": cutout})
        found[spec.id] = lambda spec=spec, given=given: spec.fn(**given)
    found["background, blurred"] = lambda: find("background").fn(cutout, fill="blur", sigma=30.0)
    found["feather, 40 px"] = lambda: find("feather").fn(cutout, sigma=40.0)
    found["export, tif"] = lambda: find("export").fn(cutout, path=str(folder / "written.tif"))
    found["export, webp"] = lambda: find("export").fn(cutout, path=str(folder / "written.webp"))
    return found


def find(name: str):
    from qr_nodes.nodes import find

    return find(name)


def memory(name: str) -> int:
    """Give a line of the kernel's about this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{name} is not told by this system")


def held(value: Any, known: set[int]) -> int:
    """Give the bytes of the arrays in what a node gave, those of its inputs aside."""
    from qr_nodes.cache import arrays

    owners = {}
    for array in arrays(value._asdict() if hasattr(value, "_asdict") else value):
        while isinstance(array.base, np.ndarray):
            array = array.base
        owners[id(array)] = array.nbytes if 0 not in array.strides else 4
    return sum(size for id, size in owners.items() if id not in known)


def child(megapixels: float, only: list[str]) -> dict[str, tuple[float, float, float]]:
    """Give seconds of CPU, and bytes of scratch and of what is given a pixel, of each node."""
    import cv2

    color, alpha = picture(megapixels)
    found, libc = {}, ctypes.CDLL(None)
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(str(Path(folder, "photograph.jpg")), color[..., ::-1])
        small = calls(*picture(0.3), Path(folder))
        for name, call in calls(color, alpha, Path(folder)).items():
            if only and name.partition(",")[0] not in only:
                continue
            # Loads what is to be loaded; "photograph.jpg" is the large one, so not Load.
            (small[name] if name != "load" else lambda: None)()
            gc.collect()
            libc.malloc_trim(0)
            before = memory("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            began = time.process_time()
            given = call()
            seconds = time.process_time() - began
            peak = memory("VmHWM") - before
            kept = held(given, {id(color), id(alpha)})
            del given
            found[name] = (seconds, (peak - kept) / alpha.size, kept / alpha.size)
    return found


def chains(megapixels: list[float]) -> None:
    """Print seconds of CPU and memory of whole presets."""
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        photograph, out = Path(folder, "photograph.jpg"), Path(folder, "written.png")
        for size in megapixels:
            cv2.imwrite(str(photograph), picture(size)[0][..., ::-1])
            for preset in PRESETS:
                command = [sys.executable, "-m", "qr_nodes", "run", preset, "--no-cache", "--again"]
                # Through a process of its own: a child's peak begins with its parent's memory.
                code = (
                    "import os, subprocess, sys; p = subprocess.Popen(sys.argv[1:]);"
                    "_, status, use = os.wait4(p.pid, 0); assert status == 0;"
                    "print(use.ru_utime + use.ru_stime, use.ru_maxrss / 2**20)"
                )
                call = [*command, "-i", str(photograph), "-o", str(out)]
                done = subprocess.run(
                    [sys.executable, "-c", code, *call], check=True, stdout=subprocess.PIPE
                )
                seconds, peak = map(float, done.stdout.split())
                print(f"{preset:<24}{size:>6g} MP {seconds:8.2f} s of CPU {peak:6.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 4, 12, 24, 50, 100])
    parser.add_argument("--only", nargs="*", default=[], metavar="NODE")
    parser.add_argument("--chain", action="store_true", help="whole presets as well")
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(child(asked.child, asked.only)))
        return
    found = {}
    for size in asked.megapixels:
        order = [sys.executable, __file__, "--child", str(size), "--only", *asked.only]
        done = subprocess.run(order, check=True, stdout=subprocess.PIPE, text=True)
        found[size] = json.loads(done.stdout.splitlines()[-1])
        for name, (seconds, scratch, given) in found[size].items():
            told = f"{seconds:8.3f} s, scratch {scratch:5.1f}, gives {given:4.1f} bytes a pixel"
            print(f"{size:g} MP, {name:<22}{told}", file=sys.stderr, flush=True)
    sizes = "".join(f"{f'{size:g} MP':>16}" for size in asked.megapixels)
    print(f"{os.cpu_count()} cores; ms of CPU and bytes of scratch per pixel; * over {LIMIT}")
    print(f"{'':<22}{sizes}{'time':>8}{'further':>9}")
    small = min((size for size in asked.megapixels if size >= 4), default=asked.megapixels[0])
    large = max(asked.megapixels)
    for name in found[large]:
        cells = ""
        for size in asked.megapixels:
            seconds, scratch, _ = found[size][name]
            cells += f"{seconds * 1e3:9.0f}{scratch:7.1f}"
        (first, low, _), (last, high, _) = found[small][name], found[large][name]
        grows = last / large / max(first / small, 1e-9)
        further = (high * large - low * small) / max(large - small, 1e-9)
        print(f"{name:<22}{cells}{grows:8.2f}{further:9.1f}{' *' if further > LIMIT else ''}")
    if asked.chain:
        chains(asked.megapixels)


if __name__ == "__main__":
    main()
