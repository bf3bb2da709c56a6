"""Names that are no text, and standard streams that are full or closed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qr_nodes.graph import Graph
from qr_nodes.names import from_json, shown, to_json
from qr_nodes.qrgraph import save_graph

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names are text there")

STRANGE = "latin1_\udce9"
"""A name as Python has it, whose last letter is one byte, 0xe9."""


@pytest.fixture
def edges(tmp_path) -> str:
    save_graph(Graph.chain("load", "feather", "export"), tmp_path / "edges.qrgraph")
    return str(tmp_path / "edges.qrgraph")


@pytest.fixture
def photos(tmp_path, picture) -> Path:
    """Two pictures: one in a folder whose name is no text, one whose own is none."""
    folder = tmp_path / "photos"
    (folder / STRANGE).mkdir(parents=True)
    shutil.copyfile(picture, folder / STRANGE / "a.png")
    shutil.copyfile(picture, folder / f"{STRANGE}.png")
    return folder


def called(*arguments: str | Path, shell: str = "", **env: str) -> subprocess.CompletedProcess:
    """Run the program, with what a shell does to its streams."""
    command = ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "qr_nodes", *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **env})


def test_names_that_are_no_text_are_read_written_recorded_and_shown(edges, photos, tmp_path):
    out, report = tmp_path / "out", tmp_path / "r.csv"
    command = ("run", edges, photos, "-o", out, "--json", "--report", report)
    for did in ("done", "skipped"):
        done = called(*command)
        assert (done.returncode, done.stderr) == (0, b"")
        results = json.loads(done.stdout)["results"]
        assert {result["did"] for result in results} == {did}
        assert {result["output"] for result in results} == {
            str(out / STRANGE / "a.png"),
            str(out / f"{STRANGE}.png"),
        }
        assert all(Path(result["output"]).exists() for result in results)
    with report.open(newline="") as file:
        inputs = {row["input"] for row in csv.DictReader(file)}
    assert inputs == {str(photos / r"latin1_\xe9" / "a.png"), str(photos / r"latin1_\xe9.png")}
    listed = called("run", edges, photos, "-o", out, "--dry-run", "--again")
    assert rb"latin1_\xe9.png" in listed.stdout and listed.returncode == 0


def test_a_fault_shows_the_bytes_of_a_name(edges, tmp_path):
    bad = tmp_path / f"{STRANGE}.jpg"
    bad.write_bytes(b"no picture")
    done = called("run", edges, bad)
    assert done.returncode == 1 and done.stderr.startswith(rb"latin1_\xe9.jpg: load: ")
    assert called("run", edges, bad, "-o", f"{STRANGE}.xyz").stderr.startswith(rb"latin1_\xe9.xyz")


def test_a_name_that_is_text_works_where_the_locale_knows_none(edges, picture, tmp_path):
    out = tmp_path / "grün.png"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = called("run", edges, picture, "-o", out, **plain)
    assert (done.returncode, done.stderr) == (0, b"") and out.exists()


@pytest.mark.parametrize(
    ("shell", "arguments", "said"),
    [
        (">/dev/full", ["nodes"], "standard output: it cannot be written (No space left"),
        (">/dev/full", ["run", "{g}", "{p}", "--json"], "standard output: it cannot be written"),
        (">&-", ["nodes"], "standard output: it cannot be written (Bad file descriptor)."),
        (">&-", ["run", "{g}", "{p}", "-o", "-"], "standard output: it cannot be written (Bad"),
        ("<&-", ["run", "{g}", "-"], "standard input: it cannot be read (Bad file descriptor)."),
    ],
)
def test_a_stream_that_is_full_or_closed_is_one_sentence(edges, picture, shell, arguments, said):
    done = called(*(each.format(g=edges, p=picture) for each in arguments), shell=shell)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1 and len(lines) == 1 and lines[0].startswith(said), done.stderr


def test_a_stream_that_nothing_is_said_to_may_be_closed(edges, picture, tmp_path):
    out = tmp_path / "out.png"
    assert called("run", edges, picture, "-o", out, shell=">&- 2>&- <&-").returncode == 0
    assert out.exists()
    assert called("nodes", "none", shell="2>/dev/full").returncode == 2


def test_json_gives_names_back_as_they_were():
    value = {"b": [STRANGE, "grün"], "a": 1}
    assert from_json(to_json(value), dict) == value
    assert to_json({"b": "grün", "a": 1}) == '{"a":1,"b":"grün"}'.encode()
    assert shown(f"{STRANGE} grün") == r"latin1_\xe9 grün"
