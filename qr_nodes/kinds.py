"""What a file is, by its content: somebody may name one kind where another belongs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from qr_nodes.errors import GraphError

Kind = Literal["graph", "edits", "model", "picture", "folder", ""]
CALLED = {
    "graph": "this is a graph",
    "preset": "this is a preset",
    "edits": "these are the edits of one picture",
    "model": "this is a model",
    "picture": "this is a picture",
    "folder": "this is a folder",
}
HEAD = 1 << 16
"""Bytes in which a graph or edits say what they are."""
ONNX = b"\x12\x1a\x22\x28\x32\x3a\x42"
"""Tags of the fields that may follow the version in an ONNX file."""


def kind_of(path: str | os.PathLike) -> Kind:
    """Return what there is at `path`, or "" for nothing, or what is none of these."""
    if os.path.isdir(path):
        return "folder"
    if not os.path.isfile(path):  # a pipe gives what it holds once
        return ""
    if kind := _of_program(path):
        return kind
    from qr_nodes.imaging.image_io import measure_image

    return "picture" if measure_image(path)[0] else ""


def _of_program(path: str | os.PathLike) -> Kind:
    """Return what a file of the program's own is, without a look at pictures."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(16)
            if len(head) > 2 and head[0] == 8 and 0 < head[1] < 64 and head[2] in ONNX:
                return "model"
            if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return ""
            head += file.read(HEAD)
    except OSError:
        return ""
    return "graph" if b'"qrgraph"' in head else "edits" if b'"qredit"' in head else ""


def not_a_picture(path: str | os.PathLike) -> Kind:
    """Return which file of the program's own there is at `path`, or ""."""
    return _of_program(path) if os.path.isfile(path) else ""


def not_a_graph(path: str | os.PathLike, kind: Kind) -> GraphError:
    """Return the fault of naming a file of another kind where a graph belongs."""
    name = os.fspath(path)
    return GraphError(f"{CALLED[kind]}, not a graph.", name, instead(name, kind), exit_code=2)


def instead(name: str, kind: Kind) -> str:
    """Return what to do with a file of some kind, with the command at its end, to be copied."""
    quoted = shlex.quote(name)
    if kind == "graph":
        return f"To run it: qr-nodes run {quoted} PICTURE"
    if kind == "model":
        return f"To use it: qr-nodes models add {quoted}"
    if kind == "edits":
        return "They are applied where their picture is run: qr-nodes remove PICTURE"
    what = "out its pictures" if kind == "folder" else "it out"
    return f"To cut {what}: qr-nodes remove {quoted}"


def check_words(
    graph: str, pictures: Sequence[str], output: str | None, is_preset: Callable[[str], bool]
) -> None:
    """Raise GraphError, with the command that was meant, where a word names another kind of file.

    Parameters
    ----------
    graph : what is named as a graph; a preset's name is one whatever else is called so
    pictures, output : what is named as pictures, and for the result
    is_preset : tells whether a preset has this name
    """

    def meant(other: str) -> str:
        rest = [name for name in dict.fromkeys(named) if name != other]
        words = ["run", other] if other else ["remove"]
        words += [*(rest or ["PICTURE"]), *(["-o", output] if output else [])]
        return f"You may mean: qr-nodes {shlex.join(words)}"

    named = [graph, *pictures]
    others = {
        name: not_a_picture(name) if os.path.exists(name) else is_preset(name) and "preset"
        for name in pictures
    }
    own = "graph" if is_preset(graph) else kind_of(graph)
    if own in ("picture", "folder"):
        graphs = [name for name in pictures if others[name] == "graph" or is_preset(name)]
        hint = meant(graphs[0] if graphs else "")
        raise GraphError(f"{CALLED[own]}, not a graph.", graph, hint)
    named.remove(graph)
    for name, kind in others.items():
        if kind:
            hint = meant(name) if kind in ("graph", "preset") else instead(name, kind)
            raise GraphError(f"{CALLED[kind]}, not a picture.", name, hint)
