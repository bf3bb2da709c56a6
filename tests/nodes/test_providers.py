"""Nodes that the program does not bring itself: one's own files, and installed packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qr_nodes import nodes
from qr_nodes.cli import main
from qr_nodes.errors import GraphError
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import dump, parse, save_graph
from qr_nodes.types import Cutout

OUTLINE = '''
from typing import Annotated

from qr_nodes.node import Param, node
from qr_nodes.types import Cutout


@node("Outline", category="Edge")
def outline(cutout: Cutout, *, width: Annotated[float, Param(0, 9)] = 1.0) -> Cutout:
    """Draw a line around the subject."""
    return cutout
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return a function that writes a file into the folder for nodes of one's own."""
    monkeypatch.setenv("QR_NODES_HOME", str(tmp_path / "home"))

    def write(name: str, code: str):
        path = nodes.own_folder() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(code))
        nodes.refresh()
        return path

    nodes.refresh()
    yield write
    monkeypatch.undo()
    nodes.refresh()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that installs a package of nodes, as far as Python is concerned."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, module: str, code: str, id: str, version: str = "1.2"):
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[qr_nodes.nodes]\n{id} = {module}:{id}\n")
        nodes.refresh()

    yield install
    monkeypatch.undo()
    nodes.refresh()
    for module in [name for name in sys.modules if name.startswith("strange_")]:
        del sys.modules[module]


def test_a_file_in_the_own_folder_is_a_node(own):
    own("outline.py", OUTLINE)
    assert "outline" in nodes.names()
    spec = nodes.find("outline")
    assert (spec.title, spec.provider) == ("Outline", "own")
    assert spec in nodes.all_specs()
    assert Graph().add("outline", width=3).nodes["outline"].params == {"width": 3}


def test_another_file_of_the_same_node_has_another_key(own):
    own("outline.py", OUTLINE)
    before = Graph().add("outline").nodes["outline"].digest
    assert Graph().add("outline").nodes["outline"].digest == before
    own("outline.py", OUTLINE + "\n# the same values, other code\n")
    assert Graph().add("outline").nodes["outline"].digest != before


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("broken.py", "def broken(:\n", "broken.py: the node cannot be used (SyntaxError"),
        ("broken.py", "import nowhere_at_all\n", "ModuleNotFoundError: No module named"),
        ("broken.py", "import sys\nsys.exit(3)\n", "broken.py: the node cannot be used"),
        ("broken.py", "broken = 3\n", "no function 'broken' marked with @node"),
        ("other.py", OUTLINE, "no function 'other' marked with @node"),
        ("feather.py", OUTLINE, "feather.py: the program has a node 'feather' itself."),
    ],
)
def test_an_own_node_that_cannot_be_used_is_said_and_stops_nothing(own, name, code, said):
    own(name, code)
    (fault,) = nodes.faults()
    assert said in str(fault)
    assert len(str(fault).splitlines()) == 1
    assert nodes.find("feather").provider == ""
    assert {spec.id for spec in nodes.all_specs()} == nodes._built_in()
    if name == "broken.py":
        with pytest.raises(GraphError, match="cannot be used"):
            nodes.find("broken")


def test_an_own_function_of_a_built_in_name_does_not_take_its_place(own):
    feather = nodes.find("feather")
    own("outline.py", OUTLINE + "\n\n@node('Mine', category='Edge')\n"
        "def feather(cutout: Cutout) -> Cutout:\n    return cutout\n")  # fmt: skip
    nodes.find("outline")
    assert nodes.find("feather") is feather


def test_a_file_with_a_leading_underscore_is_no_node(own):
    own("_common.py", "raise RuntimeError")
    assert nodes.faults() == []


def test_an_installed_package_brings_nodes(own, package):
    package("qr-outline", "strange_outline", OUTLINE, "outline")
    spec = nodes.find("outline")
    assert spec.provider == "qr-outline 1.2"
    assert "outline" in nodes.names()


def test_another_version_of_a_package_has_another_key(own, package):
    package("qr-outline", "strange_outline", OUTLINE, "outline")
    before = Graph().add("outline").nodes["outline"].digest
    (about,) = Path(sys.path[0]).glob("*.dist-info/METADATA")
    about.write_text(about.read_text().replace("1.2", "1.3"))
    nodes.refresh()
    assert Graph().add("outline").nodes["outline"].digest != before


def test_two_nodes_of_one_id_are_an_error_that_names_both(own, package):
    own("outline.py", OUTLINE)
    package("qr-outline", "strange_outline", OUTLINE, "outline")
    with pytest.raises(GraphError, match=r"outline.py and qr-outline 1.2 both have .* 'outline'"):
        nodes.find("outline")
    assert len(nodes.faults()) == 1


def test_a_graph_keeps_a_node_of_a_package_that_is_gone_and_says_which(own, package, tmp_path):
    package("qr-outline", "strange_outline", OUTLINE, "outline")
    graph = Graph.chain("load", "outline", "export").set_param("outline", "width", 3)
    saved = dump(graph, tmp_path)
    shutil.rmtree(next(tmp_path.glob("*.dist-info")))
    nodes.refresh()
    found, faults = parse(saved, tmp_path)
    assert faults == []
    (problem,) = found.problems()
    assert "It came with the package qr-outline 1.2. Install that package" in str(problem)
    assert dump(found, tmp_path) == saved


def test_a_graph_says_what_is_wrong_with_an_own_node(own, tmp_path):
    path = own("outline.py", OUTLINE)
    saved = dump(Graph.chain("load", "outline"), tmp_path)
    own("outline.py", "import nowhere_at_all")
    (problem,) = parse(saved, tmp_path)[0].problems()
    assert "outline.py: the node cannot be used (ModuleNotFoundError" in str(problem)
    path.unlink()
    nodes.refresh()
    (problem,) = parse(saved, tmp_path)[0].problems()
    assert f"Put outline.py into {nodes.own_folder()}" in str(problem)


@pytest.mark.process
def test_to_open_a_graph_runs_no_code_from_its_folder(own, tmp_path):
    ran = tmp_path / "ran"
    (tmp_path / "outline.py").write_text(f"open({str(ran)!r}, 'w')")
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "outline.py").write_text(f"open({str(ran)!r}, 'w')")
    file = tmp_path / "a.qrgraph"
    nodes_in_it = '{"n": {"type": "outline", "provider": "own"}}'
    file.write_text(f'{{"format": "qrgraph", "version": 1, "nodes": {nodes_in_it}}}')
    code = f"from qr_nodes import load_graph; print(load_graph({str(file)!r}).problems()[0])"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "not known here" in done.stdout
    assert not ran.exists()


@pytest.mark.process
def test_the_programs_own_nodes_cost_no_look_at_others():
    code = (
        "import sys; before = set(sys.modules); from qr_nodes import load_graph;"
        "load_graph('portrait'); print('importlib.metadata' in set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_node_that_the_command_began_works_like_any_other(own, tmp_path, capsys):
    assert main(["nodes", "--new", "fainter"]) == 0
    assert capsys.readouterr().out.strip() == str(nodes.own_folder() / "fainter.py")
    nodes.refresh()
    color = np.full((4, 5, 3), 40_000, np.uint16)
    found = nodes.find("fainter").fn(Cutout(color, np.ones((4, 5), np.float32)), amount=25.0)
    assert (found.alpha == 0.75).all() and found.color is color

    Image.fromarray(np.full((4, 5, 4), 200, np.uint8)).save(tmp_path / "in.png")
    save_graph(Graph.chain("load", "fainter", "export"), tmp_path / "a.qrgraph")
    files = [str(tmp_path / name) for name in ("a.qrgraph", "in.png", "out.png")]
    assert main(["run", *files[:2], "-o", files[2]]) == 0
    assert np.asarray(Image.open(files[2]))[0, 0, 3] == 100
    assert main(["nodes"]) == 0
    assert "Fainter" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["feather", "fainter", "My Node", "_own", "../own", "1st"])
def test_a_name_that_cannot_be_a_nodes_is_refused(own, name, capsys):
    own("fainter.py", "anything")
    assert main(["nodes", "--new", name]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in nodes.own_folder().iterdir()] == ["fainter.py"]


def test_the_list_of_nodes_says_what_cannot_be_used_and_is_whole(own, capsys):
    own("broken.py", "import nowhere_at_all")
    assert main(["nodes"]) == 0
    out, err = capsys.readouterr()
    assert "feather" in out
    assert err.startswith("broken.py: the node cannot be used (ModuleNotFoundError")
