"""Load: the picture a person named, or a sentence."""

import numpy as np
import pytest
from PIL import Image

from qr_nodes.errors import GraphError, ReadError
from qr_nodes.node import Job, spec_of
from qr_nodes.nodes.load import load
from qr_nodes.types import is_opaque


@pytest.fixture
def photo(tmp_path, chelsea):
    path = tmp_path / "cat.png"
    Image.fromarray(chelsea).save(path)
    return path


def test_load_gives_the_photograph(photo, chelsea):
    cutout = load(path=str(photo))
    np.testing.assert_array_equal(cutout.color, chelsea)
    assert is_opaque(cutout.alpha)
    assert (cutout.source.name, cutout.source.format) == ("cat.png", "PNG")


@pytest.mark.parametrize("scale", [0.5, 0.3])
def test_a_preview_is_the_shrunk_picture(photo, chelsea, scale):
    job = Job()
    job.scale = scale
    small = load(path=str(photo), job=job)
    height, width = chelsea.shape[:2]
    assert small.shape == (max(1, round(height * scale)), max(1, round(width * scale)))
    np.testing.assert_allclose(small.color.mean((0, 1)), chelsea.mean((0, 1)), atol=0.6)


def test_page_and_notes_go_through_the_job(tmp_path):
    notes = []
    job = Job()
    job.note = notes.append
    first, second = (Image.new("RGB", (9, 7), color) for color in ("red", "blue"))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[second])
    assert load(path=str(tmp_path / "a.tif"), job=job).color[0, 0].tolist() == [255, 0, 0]
    assert notes == ["The file holds 2 pages or frames; the first is used."]
    assert load(path=str(tmp_path / "a.tif"), page=2, job=job).color[0, 0].tolist() == [0, 0, 255]
    with pytest.raises(ReadError, match="page 3 is asked for, and the file holds 2"):
        load(path=str(tmp_path / "a.tif"), page=3)


def test_the_limit_is_in_megapixels(photo):
    with pytest.raises(ReadError, match=r"cat\.png: 451 × 300 px are 0\.1353 MP, and the limit"):
        load(path=str(photo), max_pixels=0.1)
    assert load(path=str(photo), max_pixels=0.14).shape == (300, 451)


def test_no_name_is_a_fault_of_the_parameter():
    with pytest.raises(GraphError, match=r"load\.path: no picture is named\. Choose a picture"):
        load()


def test_path_is_a_file_to_read():
    assert spec_of(load).reads == ("path",)
