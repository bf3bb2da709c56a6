"""Templates for the names of results, and what is said of those that cannot be used."""

from __future__ import annotations

import pytest

from qr_nodes.batch.find import Picture
from qr_nodes.batch.naming import Template, endings
from qr_nodes.errors import ParamError

ONE = {"export": ".png"}
TWO = {"export": ".png", "mask": ".webp"}
CAT = Picture("in/trip/cat.jpg", "trip/cat.jpg")
TOP = Picture("in/cat.jpg", "cat.jpg")


@pytest.mark.parametrize(
    ("text", "given", "named"),
    [
        ("", ONE, "trip/cat.png"),
        ("", TWO, "trip/cat-mask.webp"),
        ("{stem}-cutout{ext}", ONE, "trip/cat-cutout.png"),
        ("{stem}.{source}{ext}", ONE, "trip/cat.jpg.png"),
        ("{node}/{folder}/{stem}{ext}", TWO, "mask/trip/cat.webp"),
        ("{folder}-{stem}.avif", ONE, "trip-cat.avif"),
        ("sub/{stem}{ext}", ONE, "trip/sub/cat.png"),
        ("{{{stem}}}{ext}", ONE, "trip/{cat}.png"),
    ],
)
def test_a_template_names_a_result(text, given, named):
    assert Template(text, given).name(CAT, list(given)[-1]) == named


def test_at_the_top_there_is_no_folder():
    assert Template("{node}/{folder}/{stem}{ext}", ONE).name(TOP, "export") == "export/cat.png"
    assert Template("", ONE).name(TOP, "export", long=True) == "cat.jpg.png"


@pytest.mark.parametrize(
    ("text", "given", "said"),
    [
        ("{name}{ext}", ONE, "has a field that is not known: 'name'"),
        ("{stem:>9}{ext}", ONE, "has a field that is not known: 'stem'"),
        ("{stem.parent}{ext}", ONE, "has a field that is not known: 'stem.parent'"),
        ("{}{ext}", ONE, "has a field that is not known: ''"),
        ("{stem{ext}", ONE, "has a field that is not known|is no template"),
        ("all{ext}", ONE, "would give all pictures one name: put {stem} into it"),
        ("{stem}.png", TWO, "would give export, mask one name: put {node} into it"),
        ("../{stem}{ext}", ONE, "cannot name a file in the folder"),
        ("/tmp/{stem}{ext}", ONE, "cannot name a file in the folder"),
        ("a//{stem}{ext}", ONE, "cannot name a file in the folder"),
        ("{stem}?{ext}", ONE, "cannot name a file in the folder"),
        ("C:{stem}{ext}", ONE, "cannot name a file in the folder"),
        ("{stem}", ONE, r"it has no ending. Put \{ext\} at its end"),
        ("{stem}.xyz", ONE, r"no format is known for the ending '.xyz'. Put \{ext\} at its end"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(text, given, said):
    with pytest.raises(ParamError, match=said) as raised:
        Template(text, given)
    assert str(raised.value).startswith("--name: ") and "Fields: {stem}, {folder}" in str(
        raised.value
    )


def test_formats_come_from_what_is_asked_or_the_node_or_are_png():
    exports = [("export", ""), ("mask", "/somewhere/mask.WebP")]
    assert endings(exports) == TWO
    assert endings(exports, ".TIF") == {"export": ".tif", "mask": ".tif"}
    with pytest.raises(ParamError, match=r"no format is known for the ending '\.raw'"):
        Template("", endings(exports, "raw"))
