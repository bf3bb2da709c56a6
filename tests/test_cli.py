"""The command line as a person meets it: results, messages, exit codes, nothing half-written."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qr_nodes.cli import main
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import dump, save_graph


@pytest.fixture
def photo(tmp_path, chelsea):
    file = tmp_path / "chelsea.jpg"
    Image.fromarray(chelsea).save(file, quality=95)
    return file


@pytest.fixture
def edges(tmp_path) -> str:
    """A graph that needs no network: the picture's own alpha, feathered."""
    file = tmp_path / "edges.qrgraph"
    save_graph(Graph.chain("load", "feather", "decontaminate", "export"), file)
    return str(file)


@pytest.fixture
def cut(tmp_path):
    """A small picture that has transparency."""
    file = tmp_path / "cut.png"
    rgba = np.zeros((37, 53, 4), np.uint8)
    rgba[8:30, 10:40] = (200, 40, 90, 255)
    Image.fromarray(rgba).save(file)
    return file


def one_line(capsys) -> str:
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "Traceback" not in err, err
    return err.strip()


def test_remove_writes_a_transparent_png_beside_the_photo(photo, weights):
    assert main(["remove", str(photo)]) == 0
    with Image.open(photo.with_name("chelsea-cutout.png")) as image:
        assert image.mode == "RGBA" and image.size == (451, 300)
        alpha = np.asarray(image)[..., 3]
    assert alpha.max() == 255 and alpha.min() == 0 and 0.2 < (alpha > 127).mean() < 0.9


def test_quality_is_set_for_every_segment_node(photo, weights, tmp_path, capsys):
    written = []
    for given in (["--quality", "fast"], ["-s", "segment.quality=fast"], []):
        out = tmp_path / f"{len(written)}.png"
        assert main(["remove", str(photo), "-o", str(out), *given]) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1] != written[2]
    assert main(["remove", str(photo), "--quality", "great"]) == 2
    assert "'fast', 'balanced', 'best'" in capsys.readouterr().err


def test_quick_equals_a_plain_run_and_keeps_the_colours(photo, weights, tmp_path):
    out = tmp_path / "out.png"
    assert main(["run", "quick", "-i", str(photo), "-o", str(out)]) == 0
    rgba = np.asarray(Image.open(out))
    seen = rgba[..., 3] > 0
    assert (rgba[..., :3][seen] == np.asarray(Image.open(photo))[seen]).all()


def test_settings_change_the_result_and_name_what_is_wrong(edges, cut, tmp_path, capsys):
    for sigma in ("0.5", "6"):
        assert (
            main(
                [
                    "run",
                    edges,
                    str(cut),
                    "-o",
                    f"{tmp_path}/{sigma}.png",
                    "-s",
                    f"feather.sigma={sigma}",
                ]
            )
            == 0
        )
    assert (tmp_path / "0.5.png").read_bytes() != (tmp_path / "6.png").read_bytes()
    capsys.readouterr()
    for setting, said in [
        ("feather.sigma=900", "feather.sigma: 900 px is out of range. Use a value from 0 to 500."),
        ("feather.sigma=x", "feather.sigma: 'x' cannot be used. Use a number from 0 to 500."),
        ("feather.size=1", "feather.size: there is no such parameter. Use sigma, shift."),
        (
            "feater.sigma=1",
            "feater: there is no such node. Perhaps you mean 'feather'.",
        ),
        ("sigma", "--set: 'sigma' sets nothing. Write NODE.PARAMETER=VALUE."),
    ]:
        assert main(["run", edges, str(cut), "-o", f"{tmp_path}/no.png", "-s", setting]) == 1
        assert one_line(capsys) == said
    assert not (tmp_path / "no.png").exists()


def test_several_pictures_go_to_a_folder_and_none_collides(edges, cut, tmp_path):
    other = tmp_path / "cut.webp"
    Image.open(cut).save(other, lossless=True)
    out = tmp_path / "out"
    assert main(["run", edges, str(cut), str(other), "-o", str(out)]) == 0
    assert sorted(os.listdir(out)) == ["cut.png.png", "cut.webp.png"]


def test_one_bad_picture_does_not_stop_the_rest(edges, cut, tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    out = tmp_path / "out"
    assert main(["run", edges, str(bad), str(cut), "-o", str(out)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("bad.jpg: load") and said[1] == "1 of 2 pictures failed."
    assert os.listdir(out) == ["cut.png"]


def test_an_input_is_never_overwritten(edges, cut, capsys):
    before = cut.read_bytes()
    assert main(["run", edges, str(cut), "-o", str(cut)]) == 1
    assert "would be overwritten. Name another output." in one_line(capsys)
    assert cut.read_bytes() == before


def test_standard_input_and_output(edges, cut):
    done = subprocess.run(
        [sys.executable, "-m", "qr_nodes", "run", edges, "-"],
        input=cut.read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    assert Image.open(io.BytesIO(done.stdout)).size == (53, 37) and done.stderr == b""


def test_a_pipe_gets_no_progress(edges, cut, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "qr_nodes", "run", edges, str(cut), "-o", str(tmp_path / "a.png")],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == done.stderr == b""


def test_the_report_is_json(edges, cut, tmp_path, capsys):
    assert main(["run", edges, str(cut), "-o", str(tmp_path / "a.png"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (result,) = report["results"]
    assert result["error"] is None and result["output"] == str(tmp_path / "a.png")
    assert [n["node"] for n in result["nodes"]] == ["load", "feather", "decontaminate", "export"]
    assert {n["did"] for n in result["nodes"]} == {"ran"}


@pytest.mark.parametrize("name", ["out.gif", "no/out.png", "out"])
def test_an_output_that_cannot_be_is_said_before_anything_runs(edges, cut, tmp_path, capsys, name):
    asked = ["run", edges, "-i", str(cut), "-o", str(tmp_path / name), "--json"]
    assert main(asked) == 1
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert [(node["node"], node["did"]) for node in result["nodes"]] == [("export", "failed")]
    assert name in result["error"]


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "avif", "jpg"])
def test_the_names_ending_decides_the_format(edges, cut, tmp_path, ending):
    out = tmp_path / f"out.{ending}"
    assert main(["run", edges, str(cut), "-o", str(out)]) == 0
    formats = {"tif": "TIFF", "jpg": "JPEG"}
    assert Image.open(out).format == formats.get(ending, ending.upper())


def test_bad_pictures_and_places_give_one_line_and_leave_nothing(edges, cut, tmp_path, capsys):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "half.png").write_bytes(cut.read_bytes()[:80])
    (tmp_path / "folder.png").mkdir()
    before = sorted(os.listdir(tmp_path))
    for name in ("empty.png", "text.png", "half.png", "none.png"):
        assert main(["run", edges, str(tmp_path / name), "-o", str(tmp_path / "out.png")]) == 1
        assert one_line(capsys).startswith(f"{name}: load: ")
    assert main(["run", edges, str(tmp_path / "folder.png"), "-o", str(tmp_path / "out.png")]) == 1
    assert one_line(capsys) == (
        "folder.png: there is no picture that is read here. Name another folder."
    )
    for out in ("nowhere/out.png", "folder.png/no/out.png", "out.xyz", "out"):
        assert main(["run", edges, str(cut), "-o", str(tmp_path / out)]) == 1
        assert one_line(capsys).startswith("cut.png: export")
    assert sorted(os.listdir(tmp_path)) == before


def test_check_names_the_node_and_the_fault(tmp_path, capsys):
    graph = Graph.chain("load", "feather", "export")
    file = tmp_path / "a.qrgraph"
    raw = json.loads(dump(graph))
    raw["nodes"]["feather"]["params"]["sigma"] = -3
    raw["nodes"]["export"]["inputs"] = {}
    raw["nodes"]["glow"] = {"type": "glow"}
    file.write_text(json.dumps(raw))
    assert main(["check", str(file)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "a.qrgraph: feather.sigma: -3 px is out of range. Use a value from 0 to 500.",
        "a.qrgraph: export.cutout: nothing is linked to this input. Link a node to it.",
        "a.qrgraph: glow: the node type 'glow' is not known here. "
        "Install the program that has it, or bypass or delete the node.",
    ]
    file.write_bytes(dump(graph))
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == "a.qrgraph: 3 nodes, 2 links, no fault.\n"


def test_check_names_files_that_are_missing_or_cannot_be_in_the_graphs_folder(
    tmp_path, cut, capsys, monkeypatch
):
    file = tmp_path / "a.qrgraph"
    graph = Graph.chain("load", "export")

    def checked(load: str, export: str) -> list[str]:
        save_graph(graph.set_param("load", "path", load).set_param("export", "path", export), file)
        code = main(["check", str(file)])
        lines = capsys.readouterr().err.splitlines()
        assert code == (1 if lines else 0)
        return lines

    inside = str(tmp_path / "gone.png"), str(tmp_path / "out.gif")
    assert checked(*inside) == [
        f"a.qrgraph: load: {inside[0]}: there is no such file. Check the name.",
        f"a.qrgraph: export: {inside[1]}: no format is known for the ending '.gif'. "
        "End the name in png, webp, tif, avif or jpg.",
    ]
    assert checked(str(cut), str(tmp_path / "out.png")) == []
    assert checked("", "") == []  # given when it runs

    looked, exists = [], os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: looked.append(str(path)) or exists(path))
    elsewhere = tmp_path.parent / "elsewhere"
    assert checked(str(elsewhere / "gone.png"), str(elsewhere / "out.gif")) == []
    assert not any("elsewhere" in path for path in looked)


def test_a_graph_with_two_loads_asks_which(tmp_path, cut, capsys):
    graph = Graph.chain("load", "export").add("load", "other")
    for id in ("load", "other"):
        graph = graph.set_param(id, "path", str(cut))
    graph = graph.add("load", "third")
    save_graph(graph.remove("load"), tmp_path / "a.qrgraph")
    assert main(["run", str(tmp_path / "a.qrgraph"), str(cut), "-o", str(tmp_path / "o.png")]) == 1
    assert "nothing is linked" in one_line(capsys)


def test_nodes_are_listed_and_described(capsys):
    assert main(["nodes"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("load", "segment", "transparency_fix", "brush_edit"))
    assert main(["nodes", "feather"]) == 0
    assert "sigma = 2.0  [from 0 to 500 px]" in capsys.readouterr().out
    assert main(["nodes", "--json"]) == 0
    assert {"feather", "export"} <= {spec["id"] for spec in json.loads(capsys.readouterr().out)}
    assert main(["nodes", "glow"]) == 1
    for name, title in (("Feather", "Feather (feather, "), ("Grow/Shrink", "Grow/Shrink (grow_")):
        assert main(["nodes", name]) == 0
        assert capsys.readouterr().out.startswith(title)
    assert main(["nodes", "brush_edit"]) == 0
    said = capsys.readouterr().out
    assert "  cutout (cutout)  " in said and "  unsure (mask)  Where strokes of" in said


def test_what_a_graph_holds_and_nothing_reads_is_said_once(edges, cut, tmp_path, capsys):
    raw = json.loads(Path(edges).read_text())
    raw["nodes"]["feather"]["input"] = {}
    Path(edges).write_text(json.dumps(raw))
    said = "edges.qrgraph: feather.input: this field is not known, and does nothing. Perhaps you "
    assert main(["check", edges]) == 1
    assert one_line(capsys).startswith(said)
    assert main(["run", edges, str(cut), str(cut), "-o", str(tmp_path / "out")]) in (0, 1)
    assert capsys.readouterr().err.count(said) == 1
    assert main(["run", edges, str(cut), "-o", str(tmp_path / "out.png"), "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_a_file_where_a_command_belongs_is_told_the_commands(cut, edges, capsys):
    assert main([str(cut)]) == 2
    said = capsys.readouterr().err
    assert f"qr-nodes edit {cut}\n" in said and f"qr-nodes remove {cut}\n" in said
    assert main([edges]) == 2
    assert f"qr-nodes run {edges} PICTURE\n" in capsys.readouterr().err
    assert main(["removee"]) == 2
    assert "No such command 'removee'" in capsys.readouterr().err


def test_a_wrong_option_is_a_usage_error(capsys):
    assert main(["remove"]) == 2
    assert main(["remove", "--no-such-option", "a.jpg"]) == 2
    assert main(["run", "quick", "-i", "a.jpg", "-o", "-", "--json"]) == 2


def test_the_command_line_works_without_dear_pygui(edges, cut, tmp_path):
    code = (
        "import sys; sys.modules['dearpygui'] = None; from qr_nodes.cli import main;"
        f"sys.exit(main(['run', {edges!r}, {str(cut)!r}, '-o', {str(tmp_path / 'a.png')!r}]))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_tool_is_there_after_installing():
    assert shutil.which("qr-nodes", path=os.path.dirname(sys.executable))
