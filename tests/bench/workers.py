"""How the rate grows with the workers of a cluster, the network simulated by a sleep.

    python tests/bench/workers.py [--workers 1 2 4 8] [--seconds 1] [--each 20]

A scheduler and N workers, processes on this machine, run the preset `quick` over N × EACH small
photographs; in the workers the network sleeps for SECONDS in place of working, so that few cores
can stand for many machines. Everything else is done as always: planning, keys, the way to the
workers and back, decoding, encoding, the ledger. Prints the pictures per second from the first
one begun to the last one named, and what part of N times one worker's rate that is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import distributed
from PIL import Image
from skimage import data

from qr_nodes import load_graph
from qr_nodes.batch import Batch, cli_engine, cluster, find_pictures
from qr_nodes.inference import store

SLEEPY = """
import time
import numpy as np
from qr_nodes.inference import session

def predict(model, weights, rgb, *rest):
    with session._turns["cpu"]:
        time.sleep({seconds})
    return np.full(rgb.shape[:2], 0.75, np.float32)

session.predict = predict
"""


class Timed(Batch):
    """A batch that knows when its first picture was begun."""

    began = 0.0

    def plan(self, picture):
        self.began = self.began or time.perf_counter()
        return super().plan(picture)


@contextmanager
def workers(number: int, folder: Path, seconds: float):
    """Give the address of a scheduler with sleepy workers."""
    file, sleepy = folder / "scheduler.json", folder / "sleepy.py"
    file.unlink(missing_ok=True)
    sleepy.write_text(SLEEPY.format(seconds=seconds))
    dask, quiet = [sys.executable, "-m", "dask"], ["--no-dashboard", "--scheduler-file", str(file)]
    one = ["--nthreads", "1", "--no-nanny", "--preload", str(sleepy)]
    commands = [[*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *quiet]]
    commands += [[*dask, "worker", *one, *quiet]] * number
    with ExitStack() as stack, open(folder / "log", "ab") as log:
        for command in commands:
            process = subprocess.Popen(command, stderr=log, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.kill)
        while not file.exists():
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(number, timeout=120)
        yield address


def rate(number: int, folder: Path, seconds: float, each: int) -> float:
    """Give pictures per second; a first picture for each worker loads what it needs."""
    photos, out = folder / "photos", folder / f"out{number}"
    with workers(number, folder, seconds) as address:
        for share in (number, number * each):
            for place in range(share):
                if not (file := photos / str(share) / f"{place:04}.png").exists():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    cat = Image.fromarray(data.chelsea()).resize((150, 100))
                    cat.putpixel((0, 0), (place % 256, place // 256, 0))
                    cat.save(file)
            engine = cli_engine()
            batch = Timed(load_graph("quick"), out / str(share), [file.parent], engine=engine)
            found = find_pictures([file.parent])
            results = cluster.run_batch(batch, found, scheduler=address, cached=False)
            for result in results:
                assert result.error is None, result.error
                ended = time.perf_counter()
            engine.close()
    return number * each / (ended - batch.began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--each", type=int, default=20)
    asked = parser.parse_args()
    store.fetch("u2netp")
    print(f"{len(os.sched_getaffinity(0))} cores, a network of {asked.seconds:g} s")
    first = None
    with tempfile.TemporaryDirectory() as folder:
        for number in asked.workers:
            found = rate(number, Path(folder), asked.seconds, asked.each)
            first = first or found / number
            linear = found / number / first
            print(f"{number} workers: {found:.2f} pictures/s, {linear:.3f} of linear", flush=True)


if __name__ == "__main__":
    main()
