"""One picture: what takes long and needs no picture is got ready while that is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qr_nodes.batch.one import cli_engine, run_one
from qr_nodes.graph import Graph
from qr_nodes.nodes import find
from qr_nodes.qredit import save_edit
from qr_nodes.types import Stroke


@pytest.fixture
def engine():
    engine = cli_engine(cached=False)
    yield engine
    engine.close()


@pytest.fixture
def readied():
    """Parameters of the Feather nodes that were got ready; 5 px cannot be."""
    seen = []

    def ahead(params):
        seen.append(params["sigma"])
        if params["sigma"] == 5:
            raise RuntimeError("no such network")

    return seen, replace(find("feather"), ahead=ahead)


@pytest.mark.parametrize("sigma", [2.0, 5.0])
def test_nodes_get_ready_and_what_goes_wrong_in_that_is_no_error(
    engine, readied, photos, tmp_path, sigma
):
    seen, feather = readied
    graph = Graph().add("load").add(feather).add("export").set_param("feather", "sigma", sigma)
    graph = graph.connect("load", "feather").connect("feather", "export")
    result = run_one(engine, graph, str(photos / "a.png"), str(tmp_path / "out.png"))
    assert result.error is None and (tmp_path / "out.png").exists()
    assert seen == [sigma]


def test_a_bypassed_node_does_not_get_ready(engine, readied, photos, tmp_path):
    seen, feather = readied
    graph = Graph().add("load").add(feather).add("export").change("feather", bypass=True)
    graph = graph.connect("load", "feather").connect("feather", "export")
    run_one(engine, graph, str(photos / "a.png"), str(tmp_path / "out.png"))
    assert seen == []


@pytest.fixture
def painted(photos):
    """A graph with a stroke painted on b.jpg."""
    graph = Graph.chain("load", "brush_edit", "export")
    graph = graph.set_param("load", "path", str(photos / "b.jpg"))
    return graph.set_param("brush_edit", "strokes", (Stroke(((0.5, 0.5),)),))


FOREIGN = ["brush_edit: 1 stroke of another picture, b.jpg."]


@pytest.mark.parametrize(("name", "notes"), [("a.png", FOREIGN), ("b.jpg", [])])
def test_strokes_of_another_picture_are_noted(
    engine, painted, photos, tmp_path, monkeypatch, name, notes
):
    monkeypatch.chdir(photos)
    result = run_one(engine, painted, name, str(tmp_path / "out.png"))
    assert result.error is None and result.notes == notes


def test_strokes_of_the_pictures_own_edits_are_not(engine, painted, photos, tmp_path):
    edits = {"brush_edit": {"strokes": [{"points": [[0.1, 0.2]]}]}}
    save_edit(edits, photos / "a.png")
    result = run_one(engine, painted, str(photos / "a.png"), str(tmp_path / "out.png"))
    assert result.edited and result.notes == []
