"""The readers of text that strangers write, each as a function that any bytes may be given to.

A target returns if the bytes are refused with a sentence or give what is sound, and raises
otherwise. The files in corpus/ are what fuzz.py kept; the tests give each to its target.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from qr_nodes.errors import ModelError, QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.inference import registry
from qr_nodes.node import Param
from qr_nodes.nodes import find
from qr_nodes.nodes.brush_edit import brush_edit
from qr_nodes.plan import Files, RunRequest, steps
from qr_nodes.qredit import _parsed, apply_edit
from qr_nodes.qrgraph import dump, parse
from qr_nodes.types import Cutout, opaque

CORPUS = Path(__file__).parent / "corpus"


def _sentence(error: QrNodesError) -> None:
    text = str(error)
    assert text.isprintable() and text.endswith(".") and len(text) < 2000, text


def qrgraph(data: bytes) -> None:
    """Read a graph; what is sound of it can be planned, and comes back as it was written."""
    try:
        graph, faults = parse(data, "/nowhere/at all")
    except QrNodesError as error:
        return _sentence(error)
    for fault in [*faults, *graph.problems()]:
        _sentence(fault)
    assert set(graph.order) == set(graph.nodes)
    sound = [id for id in graph.nodes if not graph.problems([id])]
    steps(RunRequest(graph, tuple(sound[:4]), 0.5), Files())
    text = dump(graph, "/nowhere/at all")
    again, none = parse(text, "/nowhere/at all")
    kept = ("there is no such parameter.", "the node was saved by a newer version")
    assert all(fault.what.startswith(kept) for fault in none), none
    assert again.links == graph.links and list(again.nodes) == list(graph.nodes)
    assert dump(again, "/nowhere/at all") == text


def qredit(data: bytes) -> None:
    """Read what is different for one picture, and apply it to a graph that has all of it."""
    graph = Graph.chain("load", "segment", "feather", "brush_edit", "export")
    try:
        changed = apply_edit(graph, _parsed(data).nodes, "/nowhere/at all")
    except QrNodesError as error:
        return _sentence(error)
    assert changed.links == graph.links and list(changed.nodes) == list(graph.nodes)
    assert changed.nodes["export"].params["path"] == ""
    again, none = parse(dump(changed, "/nowhere/at all"), "/nowhere/at all")
    assert none == [] and again.links == changed.links


def models(data: bytes) -> None:
    """Read a list of models: TOML after a "#", else JSON."""
    place = Path("models.json")
    try:
        if data[:1] == b"#":
            listed = registry._named(
                lambda data, type: msgspec.convert(registry._toml(data), type), data, place
            )
        else:
            listed = registry._named(msgspec.json.decode, data, place)
    except ModelError as error:
        return _sentence(error)
    for name, model in listed.items():
        assert model.name == name and Path(model.file).name == model.file
        repr(model.preprocessing)
        assert all(np.isfinite(np.float32(model.preprocessing[2:8])))


def strokes(data: bytes) -> None:
    """Read strokes as Brush Edit takes them from a file or a command line, and draw them."""
    param: Param = find("brush_edit").params["strokes"]
    try:
        given = param.check(data.decode(errors="replace"), text=True)
        shape = (37, 53)
        cutout = Cutout(np.full((*shape, 3), 99, np.uint8), opaque(*shape))
        if sum(len(stroke.points) for stroke in given) > 200:
            return  # sound, and not worth the time
        edited, unsure = brush_edit(cutout, strokes=given)
    except QrNodesError as error:
        return _sentence(error)
    for matte in (edited.alpha, np.asarray(unsure)):
        assert matte.shape == shape and matte.dtype == np.float32
        assert matte.min() >= 0 and matte.max() <= 1


TARGETS = {"qrgraph": qrgraph, "qredit": qredit, "models": models, "strokes": strokes}
