"""Networks of a few layers, written as ONNX files without the onnx package."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

# Field numbers are those of onnx.proto; only what these few networks need is written.


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _block(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _value(name: str, shape) -> bytes:
    """A named float32 tensor; a side given as text may have any length."""
    sides = b"".join(
        _block(1, _block(2, side) if isinstance(side, str) else _number(1, side)) for side in shape
    )
    return _block(1, name) + _block(2, _block(1, _number(1, 1) + _block(2, sides)))


def _constant(name: str, value) -> bytes:
    array = np.asarray(value)
    kind = 7 if array.dtype == np.int64 else 1
    array = array if kind == 7 else array.astype(np.float32)
    sides = b"".join(_number(1, side) for side in array.shape)
    return sides + _number(2, kind) + _block(8, name) + _block(9, array.tobytes())


def _step(kind: str, inputs, output: str, attributes: dict) -> bytes:
    node = b"".join(_block(1, name) for name in inputs) + _block(2, output) + _block(4, kind)
    for name, value in attributes.items():
        if isinstance(value, float):
            typed = _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
        elif isinstance(value, int):
            typed = _number(3, value) + _number(20, 2)
        else:
            typed = b"".join(_number(8, item) for item in value) + _number(20, 7)
        node += _block(5, _block(1, name) + typed)
    return node


def network(steps, constants=(), shape=(1, 3, 8, 8), result=(1, 1, 8, 8)) -> bytes:
    """Give an ONNX file's bytes for a chain from "in" to "out".

    `steps` are (operator, input names, output name, attributes), `constants` (name, value).
    """
    graph = b"".join(_block(1, _step(*step)) for step in steps) + _block(2, "test")
    graph += b"".join(_block(5, _constant(*constant)) for constant in constants)
    graph += _block(11, _value("in", shape)) + _block(12, _value("out", result))
    return _number(1, 8) + _block(7, graph) + _block(8, _block(1, "") + _number(2, 13))


MEAN = ("ReduceMean", ["in"], "mean", {"axes": [1], "keepdims": 1})

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
