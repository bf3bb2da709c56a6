"""One picture: what takes long and needs no picture is got ready while that is read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qr_nodes.batch.one import cli_engine, run_one
from qr_nodes.graph import Graph
from qr_nodes.nodes import find


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
