"""How long each node goes on before it asks whether anybody still wants its result.

    python tests/bench/cancelling.py [--megapixels 12]

The longest time between two questions, in ms, at the node's defaults and at settings that make it
work: what Esc and the next move of a slider may have to wait for. Under 50 is not felt.
"""

from __future__ import annotations

import argparse
import time

import cv2
import numpy as np
from skimage import data

from qr_nodes.errors import QrNodesError
from qr_nodes.node import Job, NodeSpec
from qr_nodes.nodes import all_specs
from qr_nodes.types import Cutout, Mask

HARD = {
    "background": {"fill": "blur", "sigma": 60.0},
    "feather": {"sigma": 40.0},
    "grow_shrink": {"radius": 30.0},
    "levels": {"gamma": 2.0, "black": 10.0},
    "resize": {"by": "percent", "percent": 150.0},
    "smooth": {"amount": 10.0},
    "transparency_fix": {"where": "the whole subject"},
}


class Clock(Job):
    """Notes when it is asked."""

    def __init__(self):
        self.at = [time.perf_counter()]

    def checkpoint(self) -> None:
        self.at.append(time.perf_counter())

    def progress(self, fraction: float) -> None:
        self.checkpoint()


def picture(megapixels: float) -> Cutout:
    """Return a cat with a soft round matte."""
    width = round((megapixels * 1e6 * 451 / 300) ** 0.5)
    color = cv2.resize(data.chelsea(), (width, round(width * 300 / 451)))
    y, x = np.mgrid[: color.shape[0], :width].astype(np.float32) / width
    away = np.hypot(x - 0.5, y - 0.33) + 0.01 * np.sin(40 * x)
    return Cutout(color, np.clip((0.28 - away) * 60, 0, 1).astype(np.float32))


def longest(spec: NodeSpec, cutout: Cutout, settings: dict) -> tuple[float, float]:
    """Return all of a node's time and the longest of it without a question, in seconds."""
    given = {
        name: cutout if kind is not Mask else cutout.alpha
        for name, kind in spec.inputs.items()
        if name not in spec.optional
    }
    if "where" in settings:
        settings = {**settings, "where": cutout.alpha}
    clock = Clock()
    spec.fn(**given, **settings, **({"job": clock} if spec.takes_job else {}))
    times = [*clock.at, time.perf_counter()]
    return times[-1] - times[0], max(np.diff(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megapixels", type=float, default=12.0)
    cutout = picture(parser.parse_args().megapixels)
    print("| node | settings | all, ms | longest without asking, ms |\n| --- | --- | --- | --- |")
    for spec in all_specs():
        if not spec.inputs or spec.writes or spec.models:
            continue
        for settings in ({}, HARD[spec.id]) if spec.id in HARD else ({},):
            try:  # the first time counts what is loaded and made only once
                found = min((longest(spec, cutout, settings) for _ in range(3)), key=lambda f: f[1])
            except QrNodesError as error:
                raise SystemExit(f"{spec.id}: {error}") from error
            whole, gap = (f"{1000 * value:.0f}" for value in found)
            print(f"| {spec.id} | {settings or 'defaults'} | {whole} | {gap} |")


if __name__ == "__main__":
    main()
