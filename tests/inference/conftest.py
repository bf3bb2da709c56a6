"""Networks of a few layers, as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import MEAN, network

NETWORKS = {
    # The mean of the three channels, as it is.
    "matte": lambda: network([(*MEAN[:2], "out", MEAN[3])]),
    "any size": lambda: network(
        [(*MEAN[:2], "out", MEAN[3])], shape=(1, 3, "h", "w"), result=(1, 1, "h", "w")
    ),
    "logits": lambda: network(
        [MEAN, ("Mul", ["mean", "ten"], "out", {})], [("ten", np.float32([10]))]
    ),
    "classes": lambda: network(
        [("Conv", ["in", "kernel"], "out", {})],
        [("kernel", 5 * np.float32(np.eye(4, 3)).reshape(4, 3, 1, 1))],
        result=(1, 4, 8, 8),
    ),
    "nan": lambda: network(
        [MEAN, ("Mul", ["mean", "zero"], "none", {}), ("Div", ["none", "none"], "out", {})],
        [("zero", np.float32([0]))],
    ),
    "beyond": lambda: network(
        [MEAN, ("Add", ["mean", "seven"], "out", {})], [("seven", np.float32([7]))]
    ),
    "flat": lambda: network(
        [("ReduceMean", ["in"], "out", {"axes": [1, 2, 3], "keepdims": 0})], result=(1,)
    ),
    "four channels": lambda: network([(*MEAN[:2], "out", MEAN[3])], shape=(1, 4, 8, 8)),
    # Whatever the file says of its size, 64 numbers are added to it.
    "eight only": lambda: network(
        [MEAN, ("Add", ["mean", "pixels"], "out", {})],
        [("pixels", np.zeros((1, 1, 8, 8), np.float32))],
    ),
    # 128 MiB on the way, for 512 × 512 px.
    "roomy": lambda: network(
        [("Conv", ["in", "widen"], "wide", {}), ("Conv", ["wide", "narrow"], "out", {})],
        [("widen", np.full((128, 3, 1, 1), 0.01)), ("narrow", np.full((1, 128, 1, 1), 1 / 128))],
        shape=(1, 3, 512, 512),
        result=(1, 1, 512, 512),
    ),
    # Seconds of work in many small steps, so that it can be stopped between them.
    "slow": lambda: network(
        [("Conv", ["in", "widen"], "x0", {})]
        + [("Conv", [f"x{i}", "kernel"], f"x{i + 1}", {"pads": [2] * 4}) for i in range(40)]
        + [("Conv", ["x40", "narrow"], "out", {})],
        [
            ("widen", np.full((64, 3, 1, 1), 0.01)),
            ("kernel", np.full((64, 64, 5, 5), 1 / 1600)),
            ("narrow", np.full((1, 64, 1, 1), 1 / 64)),
        ],
        shape=(1, 3, 320, 320),
        result=(1, 1, 320, 320),
    ),
}


@pytest.fixture
def onnx_file(tmp_path):
    """Write one of the small networks to a file and give its path."""

    def write(kind: str, name: str = "") -> Path:
        path = tmp_path / f"{name or kind.replace(' ', '-')}.onnx"
        path.write_bytes(NETWORKS[kind]())
        return path

    return write
