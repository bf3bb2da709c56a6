"""What the README says is so: the nodes, the presets, the commands, the Python."""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from PIL import Image

from qr_nodes import load_graph
from qr_nodes.nodes import all_specs
from qr_nodes.qredit import EditFile, edited
from qr_nodes.qrgraph import FRAMES, MAX_BYTES, MAX_NODES, GraphFile, NodeEntry, presets
from qr_nodes.types import FAR, MOST, Stroke

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
FORMATS = (ROOT / "qr_nodes" / "manual" / "formats.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README, re.S)


def row(spec) -> str:
    inputs = [f"{name}?" if name in spec.optional else name for name in spec.inputs]
    params = ", ".join(f"`{name}`" for name in spec.params)
    does = " ".join(spec.doc.split("\n\n")[0].split())
    return f"| {spec.title} `{spec.id}` | {does} | {', '.join(inputs) or '—'} | {params or '—'} |"


def test_every_node_has_its_row():
    listed = re.search(r"<!-- nodes -->\n(.*?)<!-- /nodes -->", README, re.S)[1]
    assert listed.splitlines() == [row(spec) for spec in all_specs()]


def test_every_preset_has_its_row():
    table = README.split("## Presets")[1].split("## ")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.M)) == presets()


def required() -> set[str]:
    """Give the names of all packages that the program and its tests ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = project["dependencies"] + extras["test"]
    for own in [requirement for requirement in asked if requirement.startswith("qr-nodes[")]:
        asked.remove(own)
        asked += [r for extra in own[len("qr-nodes[") : -1].split(",") for r in extras[extra]]
    return {re.match(r"[\w-]+", requirement)[0] for requirement in asked}


def test_every_dependency_has_its_reason():
    table = README.split("## What it is made of")[1].split("## ")[0]
    assert {"fastapi", "pytest", "numpy"} <= required()
    for name in required():
        assert name.removeprefix("onnxruntime") in table


def test_every_dependency_is_locked():
    lock = (ROOT / ".ci" / "requirements.lock").read_text().lower()
    locked = {line.partition("==")[0] for line in lock.splitlines()}
    assert {name.lower() for name in required()} <= locked


def texts() -> dict[str, str]:
    """Return all that a user may read: what lies beside the program, and the program itself."""
    files = [*ROOT.glob("*.md"), ROOT / "models/README.md", ROOT / "models/registry.toml"]
    return {str(file): file.read_text() for file in [*files, *(ROOT / "qr_nodes").rglob("*.py")]}


def test_nothing_tells_to_install_the_program_from_an_index():
    """It is on none, so anybody may take its name there."""
    for file, text in texts().items():
        assert not re.search(r"pip3? install[^`\n]*[\s'\"]qr-nodes\b", text), file
        assert "qr-nodes[" not in text, file


def test_every_extra_that_is_named_is_there_and_its_command_names_all_of_it():
    from qr_nodes.resources import install_command

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = set(re.findall(r"install [^`\n]*'[^'\n]*\[(\w+)\]'", README))
    assert {"serve", "cluster", "webgpu", "openvino"} <= named <= set(extras)
    for extra in ("serve", "cluster"):
        command = shlex.split(install_command(extra))
        assert command[:4] == [sys.executable, "-m", "pip", "install"]
        asked = {re.match(r"[\w-]+", one)[0] for one in extras[extra]}
        assert {re.match(r"[\w-]+", one)[0] for one in command[4:]} == asked


def test_whose_addresses_the_weights_come_from_is_said():
    from qr_nodes.inference import registry

    urls = [s.url for model in registry.packaged().values() for s in model.sources if s.url]
    hosts = {"/".join(url.split("/")[:5]) for url in urls}
    (project,) = hosts
    registered = (ROOT / "models/registry.toml").read_text().partition("[models.")[0]
    for text in (README, (ROOT / "models/README.md").read_text(), registered):
        assert project in text and "authors' release" not in text


def test_every_command_exists():
    from qr_nodes.cli import cli

    table = README.split("## The command line")[1].split("## ")[0]
    assert set(re.findall(r"`qr-nodes (\w+) ", table)) == set(cli.commands)


@pytest.mark.parametrize("block", re.findall(r"```python\n(from.*?)```", README, re.S))
def test_the_python_runs(block, tmp_path, monkeypatch, weights, chelsea):
    monkeypatch.chdir(tmp_path)
    Path("pictures").mkdir()
    for name in ("cat.jpg", "dog.jpg", "pictures/dog.jpg"):
        Image.fromarray(chelsea).save(name)
    exec(block, {})
    out = "cutouts/dog.png" if "cutouts/" in block else "dog.png"
    assert np.asarray(Image.open(out)).shape == (300, 451, 4)


def test_options_for_many_pictures_exist():
    from qr_nodes.cli import cli

    many = README.split("## Many pictures")[1].split("\n## ")[0]
    run, rest = many.split("**A watched folder.**")
    watch, machines = rest.split("**On several machines.**")
    machines = "".join(re.findall(r"qr-nodes run .*", machines))  # the rest is Dask's
    for text, name in ((run, "run"), (watch, "watch"), (machines, "run")):
        known = {option for param in cli.commands[name].params for option in param.opts}
        said = set(re.findall(r"(?<![-\w}])--?[a-z][a-z-]*", text))
        assert said and said <= known


def test_the_edits_in_the_readme_fit_their_preset(tmp_path):
    (text,) = [text for text in blocks("json") if '"qredit"' in text]
    (tmp_path / "photo.qredit").write_text(text)
    graph = edited(load_graph("portrait"), tmp_path / "photo.jpg")
    assert graph.nodes["feather"].params["sigma"] == 4.0


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", FORMATS, re.S))
def test_what_the_manual_shows_runs(text, tmp_path, monkeypatch, weights, chelsea, capsys):
    from qr_nodes.cli import main

    monkeypatch.chdir(tmp_path)
    Image.fromarray(chelsea).save("photo.jpg")
    graph = tmp_path / "soft.qrgraph"
    if '"qredit"' in text:
        graph = "portrait"
        Path("photo.qredit").write_text(text)
        assert edited(load_graph(graph), "photo.jpg").nodes["brush_edit"].params["strokes"]
    else:
        graph.write_text(text)
        assert main(["check", str(graph)]) == 0, capsys.readouterr().err
    assert (
        main(["run", str(graph), "photo.jpg", "-o", "cut.png", "-s", "segment.quality=fast"]) == 0
    )
    assert np.asarray(Image.open("cut.png")).shape == (300, 451, 4)


def test_the_manual_has_a_row_for_every_field():
    def rows(section: str) -> list[list[str]]:
        text = FORMATS.split(f"# {section}\n")[1].split("\n#")[0]
        rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.M)
        return {name: [cell.strip() for cell in rest.split("|")] for name, rest in rows}

    assert list(rows("The file")) == [*GraphFile.__struct_fields__, FRAMES]
    assert set(rows("A node")) == set(NodeEntry.__struct_fields__)
    assert set(rows("Edits of one picture: `.qredit`")) == set(EditFile.__struct_fields__)
    strokes, plain = rows("Strokes of the brush"), Stroke(points=((0.5, 0.5),))
    assert list(strokes) == list(Stroke.__struct_fields__)
    for name, (_, _, default) in strokes.items():
        assert name == "points" or json.loads(default.strip("`")) == getattr(plain, name)
    assert f"from {-FAR:g} to {FAR:g}; 1 to {MOST:,} points" in strokes["points"][1]
    assert all(
        f'"{mode}"' in strokes["mode"][0] for mode in get_args(get_type_hints(Stroke)["mode"])
    )
    assert f"{MAX_BYTES >> 20} MB and {MAX_NODES:,} nodes" in FORMATS


def test_the_report_in_the_readme_has_the_shape_of_one(tmp_path, weights, chelsea, capsys):
    from qr_nodes.cli import main

    def shape(value):
        if isinstance(value, dict):
            return {key: shape(part) for key, part in value.items()}
        return shape(value[0]) if isinstance(value, list) and value else type(value)

    (text,) = [json.loads(text) for text in blocks("json") if '"qr-nodes report"' in text]
    Image.fromarray(chelsea).save(tmp_path / "cat.png")
    assert main(["remove", str(tmp_path / "cat.png"), "--json", "-s", "segment.quality=fast"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert shape(told) == shape(text)
    for key in ("format", "version", "graph", "models", "done", "failed", "skipped", "error"):
        assert told[key] == text[key]


def test_settings_in_the_readme_are_parameters_of_the_presets():
    for preset, rest in re.findall(r"qr-nodes run (\w+) (.*-s .*)", README):
        graph = load_graph(preset)
        for node, param, value in re.findall(r"-s (\w+)\.(\w+)=(\S+)", rest):
            graph.set_param(node, param, value, text=True)
