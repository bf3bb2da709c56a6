"""The rules of the house: who may import whom, and what an import costs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


def lint_imports(folder: Path) -> tuple[bool, str]:
    """Return whether all contracts are kept in a tree, and what was said."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def test_imports_point_down():
    kept, said = lint_imports(ROOT)
    assert kept, said


@pytest.fixture
def house(tmp_path):
    """Return a copy of the package with its contracts, to plant violations in."""
    shutil.copytree(ROOT / "qr_nodes", tmp_path / "qr_nodes")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def plant(house: Path, line: str) -> set[str]:
    """Write a line into every module of a copy; return their names."""
    names = set()
    for path in (house / "qr_nodes").rglob("*.py"):
        with path.open("a") as file:
            file.write(f"\n{line}\n")
        names.add(".".join(path.relative_to(house).with_suffix("").parts))
    return {name.removesuffix(".__init__") for name in names}


ALLOWED = {
    "dearpygui": r"qr_nodes\.ui\..*",
    "onnxruntime": r"qr_nodes\.inference\..*",
    "distributed": r"qr_nodes\.batch\.cluster",
    "networkx": r"qr_nodes\.graph",
    "cv2": r"qr_nodes\.(imaging|inference|nodes|ui)\..*",
}


def test_a_library_is_found_in_every_file_that_must_not_import_it(house):
    names = plant(house, "import " + ", ".join(ALLOWED))
    _, said = lint_imports(house)
    for library, allowed in ALLOWED.items():
        found = set(re.findall(rf"- +(\S+) -> {library} ", said))
        assert found == {name for name in names if not re.fullmatch(allowed, name)}, library


def test_an_import_that_points_up_is_found_in_every_room(house):
    names = plant(house, "import qr_nodes.__main__")
    _, said = lint_imports(house)
    rooms = {name.split(".")[1] for name in names if "." in name} - {"__main__"}
    found = set(re.findall(r"qr_nodes\.(\w+) is not allowed to import qr_nodes\.__main__", said))
    assert found == rooms


def test_a_new_file_belongs_to_a_layer(house):
    (house / "qr_nodes" / "attic.py").write_text("")
    kept, said = lint_imports(house)
    assert not kept
    assert "attic" in said


def python(code: str, *flags: str) -> str:
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_package_loads_nothing_that_is_not_used():
    heavy = "{'cv2', 'numpy', 'onnxruntime', 'dearpygui', 'PIL', 'networkx', 'msgspec', 'tqdm'}"
    code = f"import sys, qr_nodes; print(sorted({heavy} & set(sys.modules)))"
    assert python(code).strip() == "[]"


def test_help_loads_no_opencv_and_no_numpy():
    code = (
        "import sys, qr_nodes.cli as c; c.main(['remove', '--help']);"
        "print(sorted({'cv2', 'numpy', 'onnxruntime', 'networkx', 'msgspec'} & set(sys.modules)))"
    )
    assert python(code).splitlines()[-1] == "[]"


def test_the_engine_loads_no_pixels_library():
    code = (
        "import sys, qr_nodes.engine, qr_nodes.qrgraph;"
        "print(sorted({'cv2', 'onnxruntime', 'dearpygui'} & set(sys.modules)))"
    )
    assert python(code).strip() == "[]"


def test_every_node_imports_without_dear_pygui_and_onnxruntime():
    code = (
        "import sys; sys.modules.update(dearpygui=None, onnxruntime=None);"
        "import qr_nodes.nodes as n; print(len(n.all_specs()))"
    )
    assert int(python(code)) >= 17


def test_no_module_is_larger_than_a_room():
    sizes = {p: p.stat().st_size for p in (ROOT / "qr_nodes").rglob("*.py")}
    assert not {str(p): size for p, size in sizes.items() if size > 24 * 1024}


def test_code_is_formatted_and_linted():
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "avif", "jp2"])
def test_a_new_process_reads_its_first_picture_whatever_the_format(tmp_path, ending):
    file = tmp_path / f"first.{ending}"
    Image.new("RGB", (5, 3)).save(file)
    code = f"from qr_nodes.nodes.load import load; print(load(path={str(file)!r}).shape)"
    assert python(code) == "(3, 5)\n"


def test_the_wheel_brings_presets_and_registry_and_no_weights(tmp_path):
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=ignored)
    (source / "models" / "mine.onnx").write_bytes(b"weights")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run(wheel, check=True, capture_output=True)
    (file,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "site")
        assert not [name for name in archive.namelist() if name.endswith(".onnx")]
    code = (
        "import qr_nodes; from qr_nodes.qrgraph import presets;"
        "from qr_nodes.inference import registry;"
        "print(qr_nodes.__file__, len(presets()), 'u2netp' in registry.models())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "site/qr_nodes/__init__.py"), "6", "True"]
