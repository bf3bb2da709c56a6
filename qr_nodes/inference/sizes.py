"""Read and change ONNX files as bytes: picture sizes, and where the weights lie."""

from __future__ import annotations

from collections.abc import Iterator

from qr_nodes.errors import ModelError

# Field numbers of onnx.proto: the path from a model to the dimensions of its inputs and outputs.
GRAPH, INPUT, OUTPUT, TYPE, TENSOR, SHAPE, DIM = 7, 11, 12, 2, 1, 2, 1
VALUE, NAME = 0x08, 0x12
"""First byte of a dimension that is a number, and of one that is a name."""

INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Kind of message → field number → kind of message in it: all that lead to a tensor."""
EXTERNAL, LOCATION = 13, 14
"""Fields of a tensor whose numbers lie in another file."""


def freed(network: bytes) -> bytes:
    """Give an ONNX network whose picture may be of any height and width.

    A dimension that is a number is overwritten by one that is a name, in the bytes that it
    takes, so nothing else moves. The networks of the package were exported with layers that
    ask for sizes as they run; one that was not gives an error then.

    Parameters
    ----------
    network : bytes of an .onnx file

    Raises
    ------
    ModelError
        It is no ONNX file.

    References
    ----------
    The ONNX authors, "onnx.proto", and Google, "Protocol buffers: encoding".
    """
    free = bytearray(network)
    try:
        for start, end in _inside(free, [(0, len(free))], GRAPH):
            ends = [*_inside(free, [(start, end)], INPUT), *_inside(free, [(start, end)], OUTPUT)]
            for end_ in ends:
                shape = list(_inside(free, [end_], TYPE, TENSOR, SHAPE, DIM))
                for name, (at, until) in zip(b"hw", shape[2:], strict=False):
                    if free[at] == VALUE and until - at >= 3:
                        free[at : at + 2] = NAME, until - at - 2
                        free[at + 2 : until] = bytes([name]) * (until - at - 2)
    except (IndexError, ValueError) as error:
        raise ModelError("the file is no ONNX network.") from error
    return bytes(free)


def self_contained(network: bytes) -> bool:
    """Say whether an ONNX network keeps all its weights in its own file.

    Raises
    ------
    ModelError
        It is no ONNX file.
    """
    data, todo = memoryview(network), [("model", 0, len(network))]
    try:
        while todo:
            kind, start, end = todo.pop()
            for number, at, until in _fields(data, start, end):
                if until > end:
                    raise ValueError
                if kind == "tensor":
                    if number == EXTERNAL or (number == LOCATION and data[at] != 0):
                        return False
                elif number in INSIDE[kind]:
                    todo.append((INSIDE[kind][number], at, until))
    except (IndexError, ValueError) as error:
        raise ModelError("the file is no ONNX network.") from error
    return True


def _inside(data: bytearray, spans: list[tuple[int, int]], *path: int) -> Iterator[tuple[int, int]]:
    """Walk over where the messages at the end of a path of field numbers begin and end."""
    for start, end in spans:
        for number, at, until in _fields(data, start, end):
            if number == path[0]:
                if path[1:]:
                    yield from _inside(data, [(at, until)], *path[1:])
                else:
                    yield at, until


def _fields(data: bytearray | memoryview, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Walk over a message's fields: their numbers, and where their contents begin and end."""
    while at < end:
        tag, at = _number(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _number(data, at)
        elif kind == 0:
            size = _number(data, at)[1] - at
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(kind)
        yield tag >> 3, at, at + size
        at += size


def _number(data: bytearray | memoryview, at: int) -> tuple[int, int]:
    """Read a number of seven bits per byte; give it and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number without end")
