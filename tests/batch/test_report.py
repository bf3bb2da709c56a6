"""What came of each picture, in a file."""

from __future__ import annotations

import csv
import io
import json
import os

import pytest

from qr_nodes import run
from qr_nodes.batch.report import Report
from qr_nodes.errors import ParamError, WriteError


@pytest.fixture
def results(graph, photos, tmp_path):
    (photos / "a.png").write_bytes(b'broken, "really"')
    list(run(graph, photos, tmp_path / "out", patterns=["b.jpg"]))
    return sorted(run(graph, photos, tmp_path / "out"), key=lambda result: result.input)


def test_json_holds_every_result_with_the_times_of_its_nodes(results, tmp_path, graph):
    with Report(tmp_path / "r.json", graph.order) as report:
        for result in results:
            report.add(result)
            assert not (tmp_path / "r.json").exists()
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["failed"] == 1 and told["skipped"] == 1
    assert told["results"] == json.loads(json.dumps([result.as_json() for result in results]))
    done = told["results"][2]
    assert [node["node"] for node in done["nodes"]] == ["load", "feather", "export"]
    assert all(node["seconds"] >= 0 for node in done["nodes"]) and done["files"]["export"]


def test_csv_has_a_row_for_each_picture_and_a_column_for_each_node(results, tmp_path, graph):
    with Report(tmp_path / "r.csv", graph.order) as report:
        for result in results:
            report.add(result)
    rows = list(csv.DictReader((tmp_path / "r.csv").open()))
    assert [row["did"] for row in rows] == ["failed", "skipped", "done", "done"]
    assert "load" in rows[0]["error"] and rows[2]["error"] == ""
    assert float(rows[2]["feather seconds"]) >= 0 and rows[1]["feather seconds"] == ""


def test_an_empty_report_is_one(tmp_path):
    Report(tmp_path / "r.json").close()
    assert json.loads((tmp_path / "r.json").read_text())["results"] == []
    out = io.StringIO()
    Report(out).close()
    assert json.loads(out.getvalue())["failed"] == 0


def test_a_name_or_place_that_cannot_be_used_says_so_and_leaves_nothing(tmp_path):
    with pytest.raises(ParamError, match=r"--report: .* End it in \.json or \.csv\."):
        Report(tmp_path / "r.txt")
    with pytest.raises(WriteError, match="the report cannot be written"):
        Report(tmp_path / "nowhere" / "r.json")
    (tmp_path / "r.json").mkdir()
    report = Report(tmp_path / "r.json")
    with pytest.raises(WriteError, match="the report cannot be written"):
        report.close()
    assert os.listdir(tmp_path) == ["r.json"]
