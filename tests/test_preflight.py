"""What is known to fail before anything runs: each fault is one that a run meets."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from qr_nodes import batch
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.preflight import faults
from qr_nodes.types import Stroke


@pytest.fixture
def folder(tmp_path):
    """Return a folder with pictures of two sizes, one of them turned by its EXIF block."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, size in (("wide.png", (53, 37)), ("other.png", (53, 37)), ("tall.png", (37, 53))):
        Image.fromarray(np.full((*size[::-1], 3), 90, np.uint8)).save(tmp_path / name)
    Image.fromarray(np.full((37, 53, 3), 90, np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    return tmp_path


def combined(folder, first: str, second: str) -> Graph:
    """Return a graph that puts two pictures' mattes together and sets them on the first."""
    graph = Graph.chain("load", "set_alpha", "export").add("combine_masks")
    for id, name in (("a", first), ("b", second)):
        graph = graph.add("load", id, path=str(folder / name))
        graph = graph.connect(id, "combine_masks", input=id)
    graph = graph.set_param("load", "path", str(folder / first))
    return graph.connect("combine_masks", "set_alpha", input="mask")


LARGE = Stroke(((0.5, 0.5),), size=99)
CHAIN = Graph.chain("load", "background", "export")
FAULTY = {
    "nothing is written": (
        lambda folder: Graph.chain("load", "feather"),
        "export: nothing of the graph is written to a file. Add an Export node, and link it.",
    ),
    "a picture that is not linked": (
        lambda folder: CHAIN.set_param("background", "fill", "picture"),
        "background.picture: no picture is connected. Connect one, or choose a colour.",
    ),
    "a second picture without a name": (
        lambda folder: CHAIN.add("load").connect("load2", "background", input="picture"),
        "load2.path: no picture is named, and a run names that of load only. Choose a picture.",
    ),
    "two pictures without a name": (
        lambda folder: (
            Graph()
            .add("load", "a")
            .add("load", "b")
            .add("set_alpha")
            .add("export")
            .connect("a", "set_alpha")
            .connect("b", "set_alpha", input="mask")
            .connect("set_alpha", "export")
        ),
        "a: a run cannot tell which of a, b gets its picture. "
        "Call one 'load', and name a file in the others.",
    ),
    "masks of two sizes": (
        lambda folder: combined(folder, "wide.png", "tall.png"),
        "combine_masks.b: 37 × 53 px do not fit the 53 × 37 px of 'a'. "
        "Use a mask made from the same picture.",
    ),
    "a picture that is turned": (
        lambda folder: combined(folder, "wide.png", "turned.jpg"),
        "combine_masks.b: 37 × 53 px do not fit the 53 × 37 px of 'a'. "
        "Use a mask made from the same picture.",
    ),
    "a size after a node that changes it": (
        lambda folder: (
            combined(folder, "wide.png", "other.png")
            .add("resize", percent=50, by="percent")
            .connect("load", "resize")
            .connect("resize", "set_alpha")
        ),
        "set_alpha.mask: 53 × 37 px do not fit the 26 × 18 px of 'cutout'. "
        "Use a mask made from the same picture.",
    ),
    "a model": (
        lambda folder: Graph.chain("load", "segment", "export").set_param("segment", "model", "u3"),
        "segment: there is no model 'u3'. 'qr-nodes models list' shows those there are.",
    ),
    "a stroke": (
        lambda folder: Graph.chain("load", "brush_edit", "export").set_param(
            "brush_edit", "strokes", [LARGE]
        ),
        "brush_edit.strokes: stroke 1 has a size of 99. Use a value above 0 and up to 10.",
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_what_a_run_would_meet_is_known_before(name, folder):
    make, said = FAULTY[name]
    graph = make(folder)
    assert [str(fault) for fault in faults(graph, folder)] == [said]
    with pytest.raises(QrNodesError):
        (result,) = batch.run(graph, str(folder / "wide.png"), str(folder / "out.png"))
        raise result.error
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize("second", ["other.png", "gone/far.png"])
def test_sizes_that_fit_or_are_not_known_are_no_fault(second, folder):
    graph = combined(folder, "wide.png", second)
    assert [fault for fault in faults(graph, folder) if "fit" in fault.what] == []
    assert faults(combined(folder, "wide.png", "../tall.png"), folder) == []  # not looked at


def test_what_is_not_run_is_no_fault(folder):
    beside = CHAIN.add("load").add("feather").connect("load2", "feather")
    assert faults(beside, folder) == []
    off = CHAIN.set_param("background", "fill", "picture").change("background", bypass=True)
    assert faults(off, folder) == []
    assert faults(CHAIN.change("export", bypass=True), folder) != []
