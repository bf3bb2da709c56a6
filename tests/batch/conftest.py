"""What the tests of many pictures share: folders of small pictures, and a graph without network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qr_nodes.graph import Graph


@pytest.fixture
def graph() -> Graph:
    """Feather a picture's own alpha."""
    return Graph.chain("load", "feather", "export")


@pytest.fixture
def draw():
    """Write a small picture with transparency; `shade` makes it another one."""

    def draw(path: Path, shade: int = 40, size: tuple[int, int] = (37, 53)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rgba = np.zeros((*size, 4), np.uint8)
        rgba[8:30, 10:40] = (200, shade, 90, 255)
        image = Image.fromarray(rgba)
        image.convert("RGB").save(path) if path.suffix == ".jpg" else image.save(path)
        return path

    return draw


@pytest.fixture
def photos(tmp_path, draw) -> Path:
    """A folder with a tree of pictures, and with what is none."""
    folder = tmp_path / "photos"
    for number, place in enumerate(("a.png", "b.jpg", "trip/a.png", "trip/day 2/c.png")):
        draw(folder / place, 10 * number)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"of some program")
    return folder


@pytest.fixture
def tree():
    """Give every file below a folder with its content, but for the ledger's own."""

    def tree(folder: Path) -> dict[str, bytes]:
        return {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file() and ".qr-nodes" not in file.parts
        }

    return tree
