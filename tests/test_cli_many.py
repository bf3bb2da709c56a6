"""The command line over folders, as a person meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from qr_nodes.cli import main
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import save_graph


@pytest.fixture
def edges(tmp_path) -> str:
    file = tmp_path / "edges.qrgraph"
    save_graph(Graph.chain("load", "feather", "export"), file)
    return str(file)


@pytest.fixture
def photos(tmp_path) -> str:
    for number, name in enumerate(("a.png", "b.png", "trip/c.png")):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30, 4), 40 * number + 20, np.uint8)).save(file)
    return str(tmp_path / "photos")


def test_a_folder_goes_to_a_folder_and_says_nothing(edges, photos, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["run", edges, photos, "-o", out, "--name", "{stem}-cut{ext}"]) == 0
    assert capsys.readouterr() == ("", "")
    assert os.path.exists(os.path.join(out, "trip", "c-cut.png"))


def test_remove_without_an_output_makes_a_folder_beside(edges, photos, tmp_path):
    assert main(["remove", photos + "/", "-p", edges, "--format", "webp"]) == 0
    assert (tmp_path / "photos-cutout" / "trip" / "c.webp").exists()


def test_failures_are_listed_in_the_end_and_decide_the_code(edges, photos, tmp_path, capsys):
    (tmp_path / "photos" / "trip" / "bad.jpg").write_bytes(b"no picture")
    report = tmp_path / "report.csv"
    command = ["run", edges, photos, "-o", str(tmp_path / "out"), "--report", str(report)]
    assert main(command) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("trip/bad.jpg: load: this is not a picture")
    assert said[1:] == ["1 of 4 pictures failed."]
    assert report.read_text().count("\n") == 5
    assert main([*command, "--on-error", "stop", "--exclude", "bad.*"]) == 0


def test_json_tells_what_was_skipped(edges, photos, tmp_path, capsys):
    for skipped in (0, 3):
        assert main(["run", edges, photos, "-o", str(tmp_path / "out"), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["skipped"] == skipped and len(told["results"]) == 3


def test_a_dry_run_lists_and_does_nothing(edges, photos, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", edges, photos, "-o", str(out), "--dry-run"]) == 0
    said, summary = capsys.readouterr()
    assert said.splitlines()[2] == f"trip/c.png → {out / 'trip' / 'c.png'}"
    assert summary == "3 to do, 0 current, 0 refused.\n" and not out.exists()
    assert main(["run", edges, photos, "-o", str(out), "--pattern", "a.*"]) == 0
    assert main(["run", edges, photos, "-o", str(out), "--dry-run"]) == 0
    assert capsys.readouterr().err == "2 to do, 1 current, 0 refused.\n"


def test_what_is_wrong_has_one_line(edges, photos, tmp_path, capsys):
    for options, code, said in [
        (["--name", "x{ext}"], 2, "--name: 'x{ext}' would give all pictures one name"),
        (["--format", "raw"], 2, "no format is known for the ending '.raw'"),
        (["--memory", "lots"], 2, "--memory: 'lots' is no size. Write it as in 4G or 750M."),
        (
            ["--memory", "0"],
            2,
            "--memory: '0' is less than the program takes without any picture. Use 200M or more.",
        ),
        (["--memory", "1K"], 2, "'1K' is less than the program takes"),
        (
            ["--memory", "1G", "--scheduler", "local", "--workers", "9"],
            2,
            "than 9 workers take without any picture. Use 1750M or more.",
        ),
        (["--model", "u2net"], 2, "model: the graph has no Segment node that it would be for."),
        (["--report", "x.txt"], 2, "--report: 'x.txt' cannot be used. End it in .json or .csv."),
        (["--jobs", "0"], 2, "Invalid value for '-j' / '--jobs'"),
        (["--pattern", "*.gif"], 1, "photos: there is no picture that fits."),
        (["-o", "-"], 2, "A folder goes to a folder, not to standard output."),
        (["-"], 2, "Standard input is one picture: name no other beside it."),
        (["--format", "bmp"], 2, "--format: no format is known for the ending '.bmp'."),
        (["-o", f"{photos}/a.png"], 2, "a.png names one file, and there may be several results."),
        (["-o", photos], 2, "pictures are read from this folder. Name another folder"),
    ]:
        assert main(["run", edges, photos, "-o", str(tmp_path / "out"), *options]) == code
        out, err = capsys.readouterr()
        assert out == "" and said in err and "Traceback" not in err, err
    assert main(["run", edges, f"{photos}/a.png", "-o", "a.png", "--pattern", "b*"]) == 2
    assert "--pattern is for folders, and no folder is named." in capsys.readouterr().err


@pytest.mark.parametrize("files", [True, False])
def test_what_would_fail_every_picture_is_said_once_before_the_first(
    files, photos, tmp_path, capsys, monkeypatch
):
    from qr_nodes.inference import download

    tried = []

    def get(source, *how):
        tried.append(source)
        raise download.Failed("no way there")

    monkeypatch.setattr(download, "get", get)
    pictures = [f"{photos}/a.png", f"{photos}/b.png"] if files else [photos]
    command = ["run", "quick", *pictures, "-o", str(tmp_path / "out")]
    for more, said in (
        (["--model", "u2nett"], "segment: there is no model 'u2nett'"),
        (["--device", "cpu", "--require-gpu"], "segment: CPU is no GPU."),
        ([], "segment: u2netp: its weights could not be fetched"),
    ):
        for how in ([], ["--dry-run"]) if more else ([],):
            assert main([*command, *more, *how]) in (1, 2)
            (line,) = capsys.readouterr().err.splitlines()
            assert said in line, line
        assert main([*command, *more, "--json"]) in (1, 2)
        out, err = capsys.readouterr()
        told = json.loads(out)
        assert told["results"] == [] and told["error"] == err.strip()
    assert len(tried) == 2 * len(set(tried)) > 0  # by each of the two runs once


def test_weights_are_fetched_once_for_all_and_that_is_said(photos, fetched, tmp_path, capsys):
    assert main(["run", "quick", photos, "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err.count("segment: Fetched the model u2netp.") == 1


def test_memory_counts_for_one_picture_too(edges, photos, tmp_path, capsys):
    one = ["run", edges, f"{photos}/a.png", "-o", str(tmp_path / "a.png"), "--again"]
    assert main([*one, "--memory", "1K"]) == 2
    assert main([*one, "--workers", "2"]) == 2
    capsys.readouterr()
    assert main([*one, "--memory", "1G"]) == 0
    assert capsys.readouterr().err == ""
    Image.new("L", (3000, 3000)).save(f"{photos}/a.png")
    assert main([*one, "--memory", "200M"]) == 0
    assert capsys.readouterr().err == (
        "a.png: it may take 0.5G of memory, more than --memory allows.\n"
    )


def test_edits_beside_pictures_may_be_ignored(edges, photos, tmp_path, capsys):
    (tmp_path / "photos" / "a.qredit").write_text("{")
    out = str(tmp_path / "out")
    assert main(["run", edges, photos, "-o", out]) == 1
    assert capsys.readouterr().err.startswith("a.png: a.qredit: it is no JSON")
    assert main(["run", edges, photos, "-o", out, "--no-edits"]) == 0


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_and_the_next_run_goes_on(edges, tmp_path, number, code):
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (300, 400, 4), np.uint8)
    for shade in range(60):
        Image.fromarray(pixels ^ np.uint8(shade)).save(folder / f"{shade}.png", compress_level=0)
    command = [sys.executable, "-m", "qr_nodes", "run", edges, str(folder), "-o", str(out)]
    process = subprocess.Popen(
        [*command, "--report", str(tmp_path / "r.json")], stderr=subprocess.PIPE, text=True
    )
    while not list(out.glob("*.png")):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.startswith("Stopped: ") and said.endswith("The same command goes on from there.\n")
    there = {file: file.stat().st_mtime_ns for file in out.glob("*.png")}
    assert 0 < len(there) < 60
    assert len(json.loads((tmp_path / "r.json").read_text())["results"]) <= len(there)
    assert subprocess.run(command).returncode == 0
    assert len(list(out.glob("*.png"))) == 60
    assert {file: file.stat().st_mtime_ns for file in there} == there


def test_a_graph_on_its_own_files_says_all_of_its_failure_in_a_report_too(tmp_path, capsys):
    graph = Graph.chain("load", "export").set_param("load", "path", str(tmp_path / "gone.png"))
    save_graph(graph.set_param("export", "path", "out.png"), tmp_path / "own.qrgraph")
    report = str(tmp_path / "r.json")
    plain, told = (
        (main(["run", str(tmp_path / "own.qrgraph"), *more]), capsys.readouterr().err)
        for more in ([], ["--report", report])
    )
    assert plain == told and "gone.png: " in told[1]
