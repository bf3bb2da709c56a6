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
from qr_nodes.types import Stroke


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
        assert main(["run", edges, str(cut), "-o", f"{tmp_path}/no.png", "-s", setting]) == 2
        assert one_line(capsys) == said
    assert not (tmp_path / "no.png").exists()


def test_several_pictures_go_to_a_folder_and_none_collides(edges, cut, tmp_path):
    other = tmp_path / "cut.webp"
    Image.open(cut).save(other, lossless=True)
    out = tmp_path / "out"
    assert main(["run", edges, str(cut), str(other), "-o", str(out)]) == 0
    assert sorted(os.listdir(out)) == [".qr-nodes", "cut.png.png", "cut.webp.png"]


def test_one_bad_picture_does_not_stop_the_rest(edges, cut, tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    out = tmp_path / "out"
    assert main(["run", edges, str(bad), str(cut), "-o", str(out)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("bad.jpg: load") and said[1] == "1 of 2 pictures failed."
    assert sorted(os.listdir(out)) == [".qr-nodes", "cut.png"]


def test_an_input_is_never_overwritten(edges, cut, capsys):
    before = cut.read_bytes()
    assert main(["run", edges, str(cut), "-o", str(cut)]) == 1
    assert "the graph reads this picture. Name another file." in one_line(capsys)
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
    assert report["graph"] == edges and report["models"] == []
    assert [n["node"] for n in result["nodes"]] == ["load", "feather", "decontaminate", "export"]
    assert {n["did"] for n in result["nodes"]} == {"ran"}


def test_the_report_has_one_shape_and_absolute_paths(edges, cut, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"")
    pictures = ["cut.png", "bad.png"]
    for named in (pictures[:1], pictures, [str(cut)], ["."]):
        main(["run", edges, *named, "-o", "out/", "--json"])
        told = json.loads(capsys.readouterr().out)
        assert list(told) == [
            "format", "version", "program", "graph", "models", "results",
            "done", "failed", "skipped", "error",
        ]  # fmt: skip
        assert told["done"] + told["failed"] + told["skipped"] == len(told["results"])
        for result in told["results"]:
            files = [result["input"], result["output"], *result["files"].values()]
            assert all(os.path.isabs(file) for file in files if file)


@pytest.mark.parametrize("name", ["cut.png/out.png", "out"])
def test_an_output_that_cannot_be_is_said_before_anything_runs(edges, cut, tmp_path, capsys, name):
    asked = ["run", edges, "-i", str(cut), "-o", str(tmp_path / name), "--json"]
    assert main(asked) == 1
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["nodes"] == [] and name.partition("/")[0] in result["error"]


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
    assert main(["run", edges, str(tmp_path / "folder.png"), "-o", str(tmp_path / "out")]) == 1
    assert one_line(capsys) == (
        "folder.png: there is no picture that is read here. Name another folder."
    )
    for out in ("empty.png/no/out.png", "out"):
        assert main(["run", edges, str(cut), "-o", str(tmp_path / out)]) == 1
        assert one_line(capsys).startswith("cut.png: ")
    assert main(["run", edges, str(cut), "-o", str(tmp_path / "out.xyz")]) == 2
    assert "no format is known for the ending '.xyz'" in one_line(capsys)
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
    assert main(["run", str(tmp_path / "a.qrgraph"), str(cut), "-o", str(tmp_path / "o.png")]) == 2
    assert "nothing is linked" in one_line(capsys)


def test_nodes_are_listed_and_described(capsys):
    assert main(["nodes"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("load", "segment", "transparency_fix", "brush_edit"))
    assert main(["nodes", "feather"]) == 0
    assert "sigma = 2.0  [from 0 to 500 px]" in capsys.readouterr().out
    assert main(["nodes", "--json"]) == 0
    assert {"feather", "export"} <= {spec["id"] for spec in json.loads(capsys.readouterr().out)}
    assert main(["nodes", "glow"]) == 2
    for name, title in (("Feather", "Feather (feather, "), ("Grow/Shrink", "Grow/Shrink (grow_")):
        assert main(["nodes", name]) == 0
        assert capsys.readouterr().out.startswith(title)
    assert main(["nodes", "brush_edit"]) == 0
    said = capsys.readouterr().out
    assert "  cutout (cutout)  " in said and "  unsure (mask)  Where strokes of" in said
    assert all(f"\n        {field}: " in said for field in Stroke.__struct_fields__)


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run standart a.jpg", "standart: there is no such preset or file. Perhaps you mean 'sta"),
        ("remove a.jpg -p none.qrgraph", "none.qrgraph: there is no such preset or file."),
        (
            "remove a.jpg --model u2nett",
            "a.jpg: segment: there is no model 'u2nett'. Perhaps you mean 'u2",
        ),
        (
            "remove a.jpg --device gpuu",
            "a.jpg: segment: there is no device 'gpuu'. Perhaps you mean 'gpu'.",
        ),
        ("remove a.jpg -s segment.modle=u2net", "segment.modle: there is no such parameter. Perh"),
        ("remove a.jpg -s segmnt.model=u2net", "segmnt: there is no such node. Perhaps you mean "),
        ("remove a.jpg -s segment.quality=bset", "segment.quality: 'bset' cannot be used. Perhap"),
        (
            "remove a.jpg --format pgn",
            "--format: no format is known for the ending '.pgn'. Perhaps",
        ),
        ("remove a.jpg --name {stam}", "--name: '{stam}' has a field that is not known: 'stam'."),
        ("remove a.jpg --report x.txt", "--report: 'x.txt' cannot be used. End it in .json or"),
        (
            "check standart",
            "standart: there is no such preset or file. Perhaps you mean 'standard'.",
        ),
        ("nodes fether", "there is no node of type 'fether'. Perhaps you mean 'feather'."),
        ("models get u2netp u2nett", "there is no model 'u2nett'. Perhaps you mean 'u2net'."),
        ("models verify u2nett", "there is no model 'u2nett'. Perhaps you mean 'u2net'."),
        ("devices --benchmark u2nett", "there is no model 'u2nett'. Perhaps you mean 'u2net'."),
        ("watch standart . -o out", "standart: there is no such preset or file."),
        (
            "serve standart",
            "standart: there is no such preset or file. Perhaps you mean 'standard'.",
        ),
    ],
)
def test_a_wrong_command_ends_with_2_before_any_work(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30)).save("a.jpg")
    assert main(words.split()) == 2
    assert one_line(capsys).startswith(said)
    assert os.listdir() == ["a.jpg"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "run a.jpg -o x.png",
            "this is a picture, not a graph. You may mean: remove a.jpg -o x.png",
        ),
        (
            "run pic standard -o x.png",
            "this is a picture, not a graph. You may mean: run standard p",
        ),
        ("remove g", "this is a graph, not a picture. You may mean: run g PICTURE"),
        ("remove quick a.jpg", "this is a preset, not a picture. You may mean: run quick a.jpg"),
        ("run g h a.jpg", "this is a graph, not a picture. You may mean: run h a.jpg"),
        (
            "remove -p folder a.jpg",
            "this is a folder, not a graph. You may mean: remove folder a.j",
        ),
        ("run net a.jpg", "this is a model, not a graph. To use it: models add net"),
        ("remove net", "this is a model, not a picture. To use it: models add net"),
        (
            "remove edits",
            "these are the edits of one picture, not a picture. They are applied wher",
        ),
        (
            "check edits",
            "these are the edits of one picture, not a graph. They are applied where t",
        ),
        ("check pic", "this is a picture, not a graph. To cut it out: remove pic"),
        ("check folder", "this is a folder, not a graph. To cut out its pictures: remove folder"),
        ("watch pic folder -o out", "this is a picture, not a graph. To cut it out: remove pic"),
        ("models add g", "this is a graph, not a model. To run it: run g PICTURE"),
        ("remove a.jpg --model net", "there is no model 'net'. To use a file: models add net"),
    ],
)
def test_a_file_of_another_kind_is_told_the_command(
    words, said, edges, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("standard").mkdir()
    Image.new("RGB", (40, 30)).save("a.jpg")
    shutil.copy("a.jpg", "pic")
    for name in "gh":
        shutil.copy(edges, name)
    Path("net").write_bytes(b"\x08\x08:<\n\x0f\n\x02in\x12\x03out")
    Path("edits").write_text('{"nodes": {}, "format": "qredit", "version": 1}')
    before = sorted(os.listdir())
    assert main(words.split()) == 2
    line = one_line(capsys).replace("qr-nodes ", "")
    assert said in line
    assert sorted(os.listdir()) == before


def test_a_bare_name_is_a_preset_before_it_is_a_file_or_folder(edges, cut, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QR_NODES_HOME", str(tmp_path / "home"))
    Path("home/graphs").mkdir(parents=True)
    shutil.copy(edges, "home/graphs/mine.qrgraph")
    for name in ("mine", "standard"):
        Path(name).mkdir()
        assert main(["check", name]) == 0
    assert main(["run", "mine", str(cut), "-o", "out.png"]) == 0
    Path("quick").write_text("no graph")
    assert main(["check", "quick"]) == 0


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


# ---- what is there already -----------------------------------------------------------------


def pixels(size: int = 20) -> Image.Image:
    return Image.fromarray(np.full((size, size, 4), 200, np.uint8))


def ways(cut, tmp_path, folder) -> dict[str, tuple[list[str], list]]:
    """Return each way to say where a result goes: arguments, and the results' paths."""
    other = tmp_path / "other.png"
    pixels().save(other)
    return {
        "beside": ([str(cut)], [tmp_path / "cut-cutout.png"]),
        "several beside": (
            [str(cut), str(other)],
            [tmp_path / "cut-cutout.png", tmp_path / "other-cutout.png"],
        ),
        "a file": ([str(cut), "-o", str(folder / "x.png")], [folder / "x.png"]),
        "a folder": ([str(cut), "-o", f"{folder}/"], [folder / "cut.png"]),
        "several": (
            [str(cut), str(other), "-o", str(folder)],
            [folder / "cut.png", folder / "other.png"],
        ),
    }


@pytest.mark.parametrize("way", ["beside", "several beside", "a file", "a folder", "several"])
def test_what_is_current_is_skipped_and_what_is_not_ours_stays(way, edges, cut, tmp_path, capsys):
    asked, results = ways(cut, tmp_path, tmp_path / "out")[way]
    command = ["run", edges, *asked]
    if way in ("beside", "several beside"):
        command = ["remove", "-p", edges, *asked]
    assert main(command) == 0
    made = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in results}
    assert main(command) == 0  # nothing is done again
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in results} == made
    assert main([*command, "--again"]) == 0
    assert all(path.stat().st_mtime_ns != made[path][1] for path in results)
    assert main([*command, "-s", "feather.sigma=9"]) == 0  # ours, and out of date
    assert results[0].read_bytes() != made[results[0]][0]
    capsys.readouterr()
    results[0].write_bytes(b"retouched by hand")
    for more in ([], ["--again"], ["-s", "feather.sigma=3"]):
        assert main([*command, *more]) == 1
        said = capsys.readouterr().err.splitlines()
        assert said[0] == (
            f"cut.png: {results[0]}: a file is there that was not made here, or was changed since. "
            "Move it, name another output, or run with --overwrite."
        )
        assert results[0].read_bytes() == b"retouched by hand"
    assert main([*command, "--overwrite"]) == 0
    assert results[0].read_bytes() == made[results[0]][0]
    # No litter beside the user's files, but in a folder that takes results.
    there = {file.name for file in tmp_path.iterdir()} | {
        f.name for f in results[0].parent.iterdir()
    }
    assert (".qr-nodes" in there) == (way in ("a folder", "several"))
    assert not [name for name in there if name.startswith(".qr-nodes-")]


def test_a_graph_on_its_own_files_is_current_too(cut, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph = Graph.chain("load", "feather", "export").set_param("load", "path", str(cut))
    save_graph(graph.set_param("export", "path", str(tmp_path / "x.png")), "own.qrgraph")
    assert main(["run", "own.qrgraph"]) == 0
    made = (tmp_path / "x.png").stat().st_mtime_ns
    assert main(["run", "own.qrgraph"]) == 0 and (tmp_path / "x.png").stat().st_mtime_ns == made
    assert main(["run", "own.qrgraph", "-s", "feather.sigma=9"]) == 0
    assert (tmp_path / "x.png").stat().st_mtime_ns != made


def test_files_and_their_folder_agree_about_an_output_folder(edges, cut, tmp_path, capsys):
    folder, out = tmp_path / "pictures", tmp_path / "out"
    for place in ("a.png", "trip/a.png"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        pixels(len(place)).save(folder / place)
    files = [str(folder / "a.png"), str(folder / "trip" / "a.png")]
    assert main(["run", edges, str(folder), "-o", str(out)]) == 0
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.png")}
    assert [file.relative_to(out).as_posix() for file in sorted(before)] == ["a.png", "trip/a.png"]
    for again in (files, files[:1], [files[1], "-o", str(out / "trip" / "a.png")], [str(folder)]):
        to = [] if "-o" in again else ["-o", str(out)]
        assert main(["run", edges, *again, *to, "-s", "feather.sigma=2"]) == 0
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*.png")} == before
    assert capsys.readouterr().err == ""


def test_results_of_an_earlier_run_are_no_pictures(edges, tmp_path):
    folder = tmp_path / "ue"
    folder.mkdir()
    pixels().save(folder / "a.png")
    remove = ["remove", "-p", edges]
    assert main([*remove, str(folder), "-o", str(folder / "out")]) == 0
    assert main([*remove, str(folder / "a.png")]) == 0
    for _ in range(2):
        assert main([*remove, str(folder), "-o", str(tmp_path / "second")]) == 0
        both = [str(folder / "a-cutout.png"), str(folder / "a.png")]
        assert main([*remove, *both, "-o", str(tmp_path / "third")]) == 0
    for out in ("second", "third"):
        assert [file.name for file in (tmp_path / out).rglob("*.png")] == ["a.png"]
    # Where the pictures they were made of are not, results are what is meant.
    assert main([*remove, str(folder / "out"), "-o", str(tmp_path / "chain")]) == 0
    assert main([*remove, str(folder / "a-cutout.png"), "-o", str(tmp_path / "chain")]) == 0
    assert len(list((tmp_path / "chain").glob("*.png"))) == 2


def test_standard_output_has_no_record(edges, cut, home):
    command = [sys.executable, "-m", "qr_nodes", "run", edges, str(cut), "-o", "-"]
    given = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)]
    assert given[0] == given[1] != b"" and not (home / "results").exists()


def test_a_result_is_written_though_it_cannot_be_recorded(edges, cut, tmp_path, home, capsys):
    (home / "results").write_text("in its way")
    assert main(["run", edges, str(cut), "-o", str(tmp_path / "x.png")]) == 0
    said = capsys.readouterr().err
    assert "export: " in said and "the ledger cannot be written" in said and said.count("\n") == 1
    assert Image.open(tmp_path / "x.png").size == (53, 37)


def test_a_write_protected_result_stays(edges, cut, tmp_path, capsys, monkeypatch):
    out = tmp_path / "x.png"
    assert main(["run", edges, str(cut), "-o", str(out)]) == 0
    before = out.read_bytes()

    def guarded(target):
        raise PermissionError(13, "Permission denied", str(target))

    monkeypatch.setattr("qr_nodes.whole._guard", lambda t: guarded(t) if t == out else None)
    assert main(["run", edges, str(cut), "-o", str(out), "-s", "feather.sigma=9"]) == 1
    assert "cannot be put there (Permission denied)" in one_line(capsys)
    assert out.read_bytes() == before


# ---- paths that do not say what they seem to -----------------------------------------------


def test_one_file_for_several_pictures_is_refused_with_what_was_meant(edges, cut, tmp_path, capsys):
    other, out = tmp_path / "b.png", tmp_path / "one.png"
    pixels().save(other)
    for pictures in ([str(cut), str(other)], [str(tmp_path)]):
        assert main(["run", edges, *pictures, "-o", str(out)]) == 2
        said = capsys.readouterr().err
        assert f"qr-nodes run {edges} {' '.join(pictures)} -o {tmp_path}/one/\n" in said
    assert not out.exists()
    out.mkdir()  # whatever its name, it is a folder
    assert main(["run", edges, str(cut), str(other), "-o", str(out)]) == 0
    assert sorted(file.name for file in out.glob("*.png")) == ["b.png", "cut.png"]


def test_a_result_named_as_a_second_picture_is_told_the_option(edges, cut, tmp_path, capsys):
    photo, out = tmp_path / "in.jpg", tmp_path / "out.png"
    pixels().convert("RGB").save(photo)
    command = f"qr-nodes remove {photo} -o {out}\n"
    assert main(["remove", "-p", edges, str(photo), str(out)]) == 2
    assert command in capsys.readouterr().err
    assert not (tmp_path / "in-cutout.png").exists()
    pixels().save(out)
    assert main(["remove", "-p", edges, str(photo), str(out)]) == 0
    assert command in capsys.readouterr().err
    assert main(["remove", "-p", edges, str(cut), str(out)]) == 0
    assert capsys.readouterr().err == ""  # two of a kind are two pictures


def test_a_folder_that_is_named_is_made(edges, cut, tmp_path):
    assert main(["run", edges, str(cut), "-o", str(tmp_path / "new" / "er" / "x.png")]) == 0
    assert (tmp_path / "new" / "er" / "x.png").exists()


# ---- graphs with two Exports ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "path", "where", "names"),
    [
        ("export", "", ["-o", "x.png"], ["x-mask.png", "x.png"]),
        ("export", "own.webp", ["-o", "x.png"], ["own.webp", "x.png"]),
        ("cutout", "own.webp", ["-o", "x.png"], ["own.webp", "x.png"]),
        ("cutout", "", [], ["cut-cutout.png", "cut-mask.png"]),
        ("cutout", "", ["-o", "out/"], ["out/cut-cutout.png", "out/cut-mask.png"]),
        ("export", "own.webp", ["-o", "out/"], ["out/cut-export.png", "out/cut-mask.webp"]),
    ],
)
def test_two_exports_write_a_file_each_as_often_as_asked(
    first, path, where, names, cut, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    graph = Graph.chain("load", "feather").add("export", first).add("export", "mask", path=path)
    graph = graph.set_param("mask", "content", "mask").connect("feather", first)
    save_graph(graph.connect("feather", "mask"), tmp_path / "two.qrgraph")
    for _ in range(2):
        assert main(["run", "two.qrgraph", "cut.png", *where]) == 0
        made = [
            file.as_posix()
            for end in ("png", "webp")
            for file in sorted(file.relative_to(tmp_path) for file in tmp_path.rglob(f"*.{end}"))
        ]
        assert sorted(made) == sorted(["cut.png", *names])


def test_two_exports_that_nothing_tells_apart_say_what_to_do(cut, tmp_path, capsys):
    graph = Graph.chain("load", "export").add("export", "a").add("export", "b").remove("export")
    graph = graph.connect("load", "a").connect("load", "b")
    save_graph(graph, tmp_path / "two.qrgraph")
    assert main(["run", f"{tmp_path}/two.qrgraph", str(cut), "-o", str(tmp_path / "x.png")]) == 2
    assert one_line(capsys).startswith("the graph has 2 Export nodes: a, b. ")
