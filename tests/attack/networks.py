"""ONNX files written by hand, without the onnx package: networks of a few layers, hostile ones."""

from __future__ import annotations

import struct

import numpy as np

# Field numbers are those of onnx.proto; only what these few networks need is written.


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def value(name: str, shape, kind: int = 1) -> bytes:
    """Give a named tensor of float32, or another of ONNX's kinds; a side may be a name."""
    sides = b"".join(
        block(1, block(2, side) if isinstance(side, str) else number(1, side)) for side in shape
    )
    return block(1, name) + block(2, block(1, number(1, kind) + block(2, sides)))


def constant(name: str, value) -> bytes:
    array = np.asarray(value)
    kind = {np.dtype(np.int64): 7, np.dtype(bool): 9}.get(array.dtype, 1)
    array = array.astype(np.float32) if kind == 1 else array
    sides = b"".join(number(1, side) for side in array.shape)
    return sides + number(2, kind) + block(8, name) + block(9, array.tobytes())


def step(kind: str, inputs, output: str, attributes: dict) -> bytes:
    domain, _, kind = kind.rpartition("::")
    node = b"".join(block(1, name) for name in inputs) + block(2, output) + block(4, kind)
    node += block(7, domain) if domain else b""
    for name, value in attributes.items():
        if isinstance(value, float):
            typed = varint(2 << 3 | 5) + struct.pack("<f", value) + number(20, 1)
        elif isinstance(value, int):
            typed = number(3, value) + number(20, 2)
        elif isinstance(value, bytes):  # a graph
            typed = block(6, value) + number(20, 5)
        else:
            typed = b"".join(number(8, item) for item in value) + number(20, 7)
        node += block(5, block(1, name) + typed)
    return node


def network(
    steps, constants=(), shape=(1, 3, 8, 8), result=(1, 1, 8, 8), *, more=b"", domain="", kind=1
) -> bytes:
    """Give an ONNX file's bytes for a chain from "in" to "out".

    `steps` are (operator, input names, output name, attributes), `constants` (name, value),
    `more` further fields of the graph; `domain` is where operators come from beside ONNX's own,
    `kind` ONNX's number of what the output holds.
    """
    graph = b"".join(block(1, step(*one)) for one in steps) + block(2, "test")
    graph += b"".join(block(5, constant(*one)) for one in constants)
    graph += more + block(11, value("in", shape)) + block(12, value("out", result, kind))
    model = number(1, 8) + block(7, graph) + block(8, block(1, "") + number(2, 13))
    return model + (block(8, block(1, domain) + number(2, 1)) if domain else b"")


MEAN = ("ReduceMean", ["in"], "mean", {"axes": [1], "keepdims": 1})
SIDES = ("ReduceMean", ["big"], "one", {"axes": [2, 3], "keepdims": 1})


def elsewhere(location: str) -> bytes:
    """Give a network that keeps a weight in another file."""
    tensor = number(1, 1) + number(2, 1) + block(8, "w")
    tensor += block(13, block(1, "location") + block(2, location)) + number(14, 1)
    return network([MEAN, ("Mul", ["mean", "w"], "out", {})], more=block(5, tensor))


def filled(side: int) -> bytes:
    """Give a network that fills an array of side × side, before it sees a picture."""
    steps = [
        ("ConstantOfShape", ["s"], "big", {}),
        SIDES,
        MEAN,
        ("Mul", ["mean", "one"], "out", {}),
    ]
    return network(steps, [("s", np.int64([1, 1, side, side]))])


def endless(start: str) -> bytes:
    """Give a network that loops for ever over `start`: "mean" of its picture, or constant "k"."""
    body = block(1, step("Identity", ["go"], "on", {}))
    body += block(1, step("Identity", ["x"], "y", {})) + block(2, "body")
    body += block(11, value("i", (), 7)) + block(11, value("go", (), 9))
    body += block(11, value("x", (1, 1, 8, 8))) + block(12, value("on", (), 9))
    body += block(12, value("y", (1, 1, 8, 8)))
    steps = [MEAN, ("Loop", ["", "yes", start], "looped", {"body": body})]
    constants = [("yes", np.bool_(True)), ("k", np.zeros((1, 1, 8, 8)))]
    return network([*steps, ("Mul", ["mean", "looped"], "out", {})], constants)


def nested(depth: int) -> bytes:
    """Give a network with conditions within conditions."""
    inner = block(1, step("Identity", ["mean"], "y", {})) + block(12, value("y", (1, 1, 8, 8)))
    for level in range(depth):
        name = f"y{level}"
        both = {"then_branch": inner, "else_branch": b""}
        inner = block(1, step("If", ["yes"], name, both)) + block(12, value(name, (1, 1, 8, 8)))
    steps = [MEAN, ("If", ["yes"], "out", {"then_branch": inner, "else_branch": inner})]
    return network(steps, [("yes", np.bool_(True))])


def resized(height: int, width: int) -> bytes:
    """Give a network whose matte has another size than its picture, of 8 × 8 px."""
    steps = [MEAN, ("ReduceMean", ["mean"], "one", SIDES[3]), ("Expand", ["one", "s"], "out", {})]
    shape = (1, 1, height, width)
    return network(steps, [("s", np.int64(shape))], result=shape)


HOSTILE = {
    "weights in a folder above": lambda: elsewhere("../secret.bin"),
    "weights at the root": lambda: elsewhere("/etc/hostname"),
    "weights that never end": lambda: elsewhere("/dev/zero"),
    "weights beside it": lambda: elsewhere("u2netp.onnx"),
    "an operator of its own": lambda: network(
        [MEAN, ("evil::Run", ["mean"], "out", {})], domain="evil"
    ),
    "an operator that there is not": lambda: network([MEAN, ("System", ["mean"], "out", {})]),
    "6 GB from nothing": lambda: filled(40_000),
    "4 TB from nothing": lambda: filled(1_000_000),
    "more than numbers can count": lambda: filled(2**40),
    "a picture of a million px": lambda: network(
        [(*MEAN[:2], "out", MEAN[3])], shape=(1, 3, 10**6, 10**6), result=(1, 1, 10**6, 10**6)
    ),
    "a picture of no px": lambda: network([(*MEAN[:2], "out", MEAN[3])], shape=(1, 3, 0, 0)),
    "a loop without end": lambda: endless("mean"),
    "a loop without end while it is loaded": lambda: endless("k"),
    "conditions 2,000 deep": lambda: nested(2000),
    "a matte of 1 × 4,000 px": lambda: resized(1, 4000),
    "a matte of 100 million pixels": lambda: resized(10_000, 10_000),
    "not a number": lambda: network(
        [MEAN, ("Mul", ["mean", "zero"], "none", {}), ("Div", ["none", "none"], "out", {})],
        [("zero", np.float32([0]))],
    ),
    "texts": lambda: network([MEAN, ("Cast", ["mean"], "out", {"to": 8})], kind=8),
    "two pictures": lambda: network(
        [("Add", ["in", "other"], "out", {})],
        more=block(11, value("other", (1, 3, 8, 8))),
        result=(1, 3, 8, 8),
    ),
    "a text as its input": lambda: network([MEAN, ("Identity", ["mean"], "out", {})]).replace(
        value("in", (1, 3, 8, 8)), value("in", (1, 3, 8, 8), 8)
    ),
    "no output": lambda: number(1, 8) + block(7, block(2, "empty")) + block(8, number(2, 13)),
    "nothing": lambda: b"",
    "a picture, not a network": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
    "a length beyond its end": lambda: b"\x3a\xff\xff\xff\xff\x07" + bytes(100),
    "a number without end": lambda: b"\xff" * 100_000,
}
"""What no network may be, by what is wrong with it."""
