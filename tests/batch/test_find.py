"""Which files of a folder are pictures to be done, and in what order."""

from __future__ import annotations

import os

import pytest

from qr_nodes.batch import find_pictures, first_picture, picture_at
from qr_nodes.errors import ReadError


@pytest.fixture
def folder(tmp_path):
    names = (
        "b.jpg", "a.JPG", "a.tif", "c.cr2", "c.jpg", "notes.txt", "c.qredit", ".hidden.jpg",
        "trip/a.jpg", "trip/rejects/x.jpg", "trip/._x.jpg", "out/b.png", "out/.qr-nodes/y.png",
    )  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def places(*args, **how) -> list[str]:
    return [picture.place for picture in find_pictures(*args, **how).pictures]


def test_pictures_come_sorted_and_what_is_none_is_counted(folder):
    found = find_pictures([folder], out=folder / "out")
    assert [p.place for p in found.pictures] == [
        "a.JPG", "a.tif", "b.jpg", "c.jpg", "trip/a.jpg", "trip/rejects/x.jpg",
    ]  # fmt: skip
    assert [p.place for p in found.pictures if p.twin] == ["a.JPG", "a.tif"]
    assert dict(found.left_out) == {".cr2": 1, ".txt": 1}


def test_the_first_picture_is_the_first_of_the_list(folder, tmp_path):
    assert first_picture(folder) == find_pictures([folder]).pictures[0].path
    assert first_picture(folder / "trip" / "rejects") == str(folder / "trip" / "rejects" / "x.jpg")
    (tmp_path / "none" / "in" / "it").mkdir(parents=True)
    assert first_picture(tmp_path / "none") == "" == first_picture(tmp_path / "gone")
    (tmp_path / "none" / "in" / "it" / "z.png").write_bytes(b"x")
    assert first_picture(tmp_path / "none").endswith("z.png")


def test_patterns_choose_by_name_or_place(folder):
    assert places([folder], ["*.tif"]) == ["a.tif"]
    assert places([folder], ["*.tif", "TRIP/*"]) == ["a.tif", "trip/a.jpg", "trip/rejects/x.jpg"]
    assert places([folder], "*.jpg", ["trip"]) == ["a.JPG", "b.jpg", "c.jpg"]
    assert places([folder], "a.*", ["rejects", "*.tif"]) == ["a.JPG", "trip/a.jpg"]
    assert places([folder], ["*.cr2"]) == ["c.cr2"]


def test_a_twin_that_is_not_chosen_is_none(folder):
    (one,) = find_pictures([folder], ["a.jpg"], ["trip"]).pictures
    assert one.place == "a.JPG" and not one.twin


def test_folders_of_one_name_cannot_be_told_apart(folder):
    with pytest.raises(ReadError, match="two folders are called 'trip'"):
        (folder / "x" / "trip").mkdir(parents=True)
        find_pictures([folder / "trip", folder / "x" / "trip"])


def test_links_to_folders_are_not_followed(folder):
    os.symlink(folder, folder / "trip" / "round", target_is_directory=True)
    assert len(places([folder], out=folder / "out")) == 6


def test_a_picture_that_has_just_come_is_described_the_same(folder):
    for picture in find_pictures([folder], out=folder / "out").pictures:
        assert picture_at(picture.path, folder) == picture
