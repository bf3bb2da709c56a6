"""Give every loader damaged pictures: always a picture or one sentence, in time and in bounds.

    python tests/attack/files_in.py --cases 100000 [--first N] [--processes N] [--keep FOLDER]
    python tests/attack/files_in.py --first 4711 --cases 1 --keep FOLDER   # a case again

Each case runs in a process of its own kind, which is watched: one that crashes or hangs is
reported with its number, and the next goes on. --keep writes the files of cases with a fault.
"""

from __future__ import annotations

import argparse
import collections
import io
import itertools
import json
import os
import re
import resource
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

MAX_PIXELS = 2e6
"""The limit of Load in these runs, so that what is over it is met often."""
MEMORY = 200
"""MiB that a case may take beside what the process had: 40 bytes for each pixel of the limit,
for two copies in floating point, and 120 for the rest. A backdrop is read with Load's own limit
of 200 MP, at 8 bytes each."""
SECONDS = 6.0
"""CPU seconds that a case may take; the slowest sound ones take half a second."""
PATIENCE = 60.0
"""Seconds of wall time after which a process hangs, on a busy machine too."""
ADDRESSES = 6 << 30
"""Bytes of address space, which stop what runs away before the machine suffers."""
CODE = re.compile(r"Error\b|Exception|Traceback|\b0x[0-9a-f]+|<[a-z_.]+ object|OpenCV\(")
"""What belongs to programmers, not into a sentence."""


# ---- in the process that is watched --------------------------------------------------------


def _by_bytes(data: bytes, file: Path, notes: list):
    from qr_nodes.imaging.image_io import read_image

    return read_image(data, max_pixels=MAX_PIXELS, note=notes.append)


def _small(data: bytes, file: Path, notes: list):
    from qr_nodes.imaging.image_io import read_image

    return read_image(file, max_pixels=MAX_PIXELS, scale=0.3, note=notes.append)


def _second_page(data: bytes, file: Path, notes: list):
    from qr_nodes.imaging.image_io import read_image

    return read_image(file, max_pixels=MAX_PIXELS, page=2, note=notes.append)


def _node(data: bytes, file: Path, notes: list):
    from qr_nodes.node import Job
    from qr_nodes.nodes.load import load

    job = Job()
    job.note = notes.append
    return load(path=str(file), max_pixels=MAX_PIXELS / 1e6, job=job)


def _header(data: bytes, file: Path, notes: list):
    from qr_nodes.imaging.image_io import measure_image

    found = measure_image(file)
    assert len(found) == 3 and all(isinstance(side, int) for side in found), found


def _written_again(data: bytes, file: Path, notes: list):
    """Take what a hostile file says of itself on to every format that is written."""
    from qr_nodes.errors import WriteError
    from qr_nodes.imaging.image_io import read_image, write_image

    cutout, out = read_image(data, max_pixels=MAX_PIXELS, note=notes.append), io.BytesIO()
    for format in ("PNG", "TIFF", "WebP", "JPEG") if max(cutout.shape) < 300 else ():
        try:
            write_image(cutout, out, format=format, metadata="all", compression=0, quality=50)
        except WriteError as error:
            assert not _check_sentence(str(error)), error
    return cutout


def _copied(data: bytes, file: Path, notes: list):
    """Bring it to sRGB by its own profile, as the clipboard gets it."""
    from qr_nodes.imaging.image_io import read_image
    from qr_nodes.ui.system import rgba

    cutout = read_image(data, max_pixels=MAX_PIXELS)
    assert rgba(cutout).shape == (*cutout.shape, 4)
    return cutout


def _backdrop(data: bytes, file: Path, notes: list):
    from qr_nodes.ui.viewer_backdrop import _File

    made = _File(str(file)).make(0, lambda: None)
    if isinstance(made, Exception):
        raise made
    assert made.ndim == 3 and made.shape[2] == 3 and made.dtype.name == "uint8", made.shape


LOADERS: dict[str, Callable] = {
    "node": _node,
    "bytes": _by_bytes,
    "written again": _written_again,
    "small": _small,
    "copied": _copied,
    "header": _header,
    "backdrop": _backdrop,
    "page 2": _second_page,
}


def _check_sentence(text: str) -> str:
    if "\n" in text or len(text) > 500 or not text.endswith(".") or CODE.search(text):
        return f"no sentence: {text!r}"
    return ""


def _check_picture(cutout) -> str:
    import numpy as np

    color, alpha, source = cutout.color, cutout.alpha, cutout.source
    kinds = (np.uint8, np.uint16, np.float32)
    if color.ndim != 3 or color.shape[2] != 3 or color.dtype not in kinds or not color.size:
        return f"no colours: {color.shape} {color.dtype}"
    if alpha.shape != color.shape[:2] or alpha.dtype != np.float32:
        return f"no matte: {alpha.shape} {alpha.dtype}"
    if color.shape[0] * color.shape[1] > MAX_PIXELS:
        return f"over the limit: {color.shape}"
    for values in (color, alpha):
        if values.dtype == np.float32 and not (values.min() >= 0 and values.max() <= 1):
            return f"beyond 0 to 1: {values.min()} to {values.max()}"
    known = [(source.icc, bytes), (source.dpi, tuple), (source.exif, bytes), (source.format, str)]
    if any(value is not None and not isinstance(value, kind) for value, kind in known):
        return f"odd knowledge: {source}"
    return ""


def _peak() -> float:
    """Give the most memory since the last `_reset`, MiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def _reset() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def attack(number: int, folder: Path) -> dict:
    """Run one case; give what came of it, with `fault` empty if all is well."""
    from pictures import case

    from qr_nodes.errors import ReadError

    what, data = case(number)
    loader = list(LOADERS)[number % len(LOADERS)]
    file = folder / "picture"
    file.write_bytes(data)
    notes: list[str] = []
    _reset()
    before, began = _peak(), time.process_time()
    came, fault = "picture", ""
    try:
        cutout = LOADERS[loader](data, file, notes)
        fault = _check_picture(cutout) if cutout is not None else ""
    except ReadError as error:
        came, fault = "sentence", _check_sentence(str(error))
    except BaseException as error:
        fault = f"{type(error).__name__}: {error}"
    seconds, memory = time.process_time() - began, _peak() - before
    fault = fault or next(filter(None, map(_check_sentence, notes)), "")
    if not fault and seconds > SECONDS:
        fault = f"slow: {seconds:.1f} s"
    if not fault and memory > MEMORY + 1600 * (loader == "backdrop"):
        fault = f"large: {memory:.0f} MiB"
    found = {"case": number, "what": what, "loader": loader, "came": came, "fault": fault}
    return found | {"seconds": round(seconds, 3), "memory": round(memory)}


def work(first: int, end: int) -> None:
    """Run cases, telling of each on standard output as it begins and ends."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import cv2
    from pictures import case

    from qr_nodes.__main__ import hush
    from qr_nodes.imaging.image_io import read_image

    cv2.setNumThreads(1)
    case(first)
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        noise = os.open(Path(folder, "noise"), os.O_RDWR | os.O_CREAT)
        os.dup2(noise, 2)
        hush()  # as the program does; what Python's own standard error gets counts
        for kind in ("jpeg", "heic", "tiff", "avif"):  # what is loaded once counts for no case
            from pictures import seeds

            read_image(seeds()[kind])
        for number in range(first, end):
            os.write(1, b"%d\n" % number)
            found = attack(number, Path(folder))
            if size := os.fstat(noise).st_size:
                said = os.pread(noise, size, 0).decode(errors="replace")
                os.ftruncate(noise, 0)
                os.lseek(noise, 0, os.SEEK_SET)
                found["fault"] = found["fault"] or f"noise: {said[:300]!r}"
            os.write(1, json.dumps(found).encode() + b"\n")


# ---- in the process that watches -----------------------------------------------------------


def watched(first: int, end: int) -> Iterator[dict]:
    """Run cases in a process, a new one after each that crashes or hangs; give what came."""
    while first < end:
        command = [sys.executable, __file__, "--worker", str(first), str(end)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE)
        at, died, lines = first, "", _lines(worker)
        for line in lines:
            if line is None:
                died = f"hangs: nothing for {PATIENCE:g} s"
                worker.kill()
                break
            if line.isdigit():
                at = int(line)
            else:
                yield json.loads(line)
                first = at + 1
        code = worker.wait()
        worker.stdout.close()
        if first < end:
            from pictures import case

            loader = list(LOADERS)[at % len(LOADERS)]
            fault = died or f"the process ends with {code}"
            yield {"case": at, "what": case(at)[0], "loader": loader, "came": "", "fault": fault}
            first = at + 1


def _lines(worker) -> Iterator[bytes | None]:
    """Give lines that a process prints; None when it is silent for too long."""
    rest = b""
    while True:
        if not select.select([worker.stdout], [], [], PATIENCE)[0]:
            yield None
            return
        data = os.read(worker.stdout.fileno(), 1 << 16)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def run(first: int, count: int, processes: int, told: Callable[[dict], None]) -> None:
    """Share cases out among processes; `told` gets what came of each."""
    lock = threading.Lock()

    def part(begin: int, end: int) -> None:
        for found in watched(begin, end):
            with lock:
                told(found)

    edges = [first + count * i // processes for i in range(processes + 1)]
    threads = [threading.Thread(target=part, args=edge) for edge in itertools.pairwise(edges)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> int:
    """Run from the command line; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--worker", type=int, nargs=2)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return 0
    counts, worst = collections.Counter(), {"seconds": 0.0, "memory": 0}
    began = time.monotonic()

    def told(found: dict) -> None:
        counts["fault" if found["fault"] else found["came"]] += 1
        for name in worst:
            worst[name] = max(worst[name], found.get(name, 0))
        if found["fault"]:
            print(f"case {found['case']} ({found['what']}; {found['loader']}): {found['fault']}")
            sys.stdout.flush()
            if options.keep:
                from pictures import case

                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / str(found["case"])).write_bytes(case(found["case"])[1])
        if counts.total() % 10_000 == 0:
            print(f"{dict(counts)}, worst {worst}, {time.monotonic() - began:.0f} s", flush=True)

    run(options.first, options.cases, options.processes, told)
    print(f"{dict(counts)}, worst {worst}, {time.monotonic() - began:.0f} s")
    return 1 if counts["fault"] else 0


if __name__ == "__main__":
    sys.exit(main())
