"""Export: the file a person asked for, complete or not at all."""

import os

import numpy as np
import pytest
from PIL import Image

from qr_nodes.errors import ParamError, WriteError
from qr_nodes.node import Job
from qr_nodes.nodes.export import export
from qr_nodes.nodes.load import load
from qr_nodes.types import Cutout, Source


@pytest.fixture
def cutout(chelsea):
    height, width = chelsea.shape[:2]
    alpha = np.clip(np.linspace(-0.5, 1.5, width, dtype=np.float32), 0, 1)
    return Cutout(chelsea, np.tile(alpha, (height, 1)), Source(name="cat.jpg", dpi=(300, 300)))


def test_export_writes_what_load_reads(cutout, tmp_path):
    path = tmp_path / "cat.png"
    written = export(cutout, path=str(path))
    assert written.path == str(path) and written.size == path.stat().st_size and written.intact()
    back = load(path=str(path))
    seen = np.rint(cutout.alpha * 255) > 0
    np.testing.assert_array_equal(back.color[seen], cutout.color[seen])
    np.testing.assert_allclose(back.alpha, cutout.alpha, atol=0.51 / 255)
    assert back.source.dpi == pytest.approx((300, 300), abs=0.02)


@pytest.mark.parametrize(
    ("ending", "change"),
    [
        ("png", {"content": "mask"}),
        ("png", {"bits": "16"}),
        ("png", {"compression": 9}),
        ("webp", {"quality": 30}),
        ("webp", {"lossless": True}),
        ("jpg", {"background": "#123456"}),
        ("png", {"hidden": "keep"}),
        ("png", {"keep_dpi": False}),
    ],
)
def test_every_choice_changes_the_file(cutout, tmp_path, ending, change):
    plain, changed = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    export(cutout, path=str(plain))
    export(cutout, path=str(changed), **change)
    assert plain.read_bytes() != changed.read_bytes()


def test_the_ending_decides_and_is_checked_first(cutout, tmp_path):
    export(cutout, path=str(tmp_path / "a.jpg"))
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"
    with pytest.raises(WriteError, match=r"'\.gif'\. End the name in png, webp, tif, avif or jpg"):
        export(cutout, path=str(tmp_path / "a.gif"))
    with pytest.raises(ParamError, match=r"export\.path: no file is named"):
        export(cutout)


def test_a_file_is_kept_when_overwriting_is_off(cutout, tmp_path):
    path = str(tmp_path / "a.png")
    first = export(cutout, path=path)
    with pytest.raises(WriteError, match=r"the file is there already\. Allow overwriting"):
        export(cutout, path=path, overwrite=False)
    assert first.intact()
    export(cutout, path=path)
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_truncated_photograph_leaves_no_output(cutout, tmp_path):
    Image.fromarray(cutout.color).save(tmp_path / "whole.jpg")
    half = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(half[: len(half) // 2])
    with pytest.raises(Exception, match=r"half\.jpg: the file ends early, after \d+ % of its rows"):
        export(load(path=str(tmp_path / "half.jpg")), path=str(tmp_path / "out.png"))
    assert sorted(os.listdir(tmp_path)) == ["half.jpg", "whole.jpg"]


def test_what_cannot_be_kept_is_noted_and_progress_told(cutout, tmp_path):
    notes, told = [], []
    job = Job()
    job.note, job.progress = notes.append, told.append
    deep = cutout.with_color(cutout.color * np.uint16(257))
    export(deep, path=str(tmp_path / "a.webp"), job=job)
    assert notes == ["WebP holds 8 bits per channel; the picture has 16."]
    export(deep, path=str(tmp_path / "a.png"), job=job)
    assert told[-1] == 1
