"""Brush Edit: strokes reach the matte, and bad ones are named."""

import numpy as np
import pytest

from qr_nodes.errors import ParamError
from qr_nodes.imaging.correction import Correction
from qr_nodes.node import Job
from qr_nodes.nodes import find
from qr_nodes.nodes.brush_edit import brush_edit
from qr_nodes.types import FAR, MOST, Cutout, Stroke, opaque


def cutout_():
    return Cutout(np.zeros((37, 53, 3), np.uint8), opaque(37, 53))


def test_an_erased_dot_leaves_a_hole_and_the_colours():
    before = cutout_()
    after = brush_edit(before, strokes=(Stroke(((0.5, 0.5),), size=0.2, mode="erase"),)).cutout
    assert after.color is before.color
    assert after.alpha[18, 26] == 0
    assert after.alpha[0, 0] == 1


def test_without_strokes_the_cutout_is_passed_on():
    before = cutout_()
    assert brush_edit(before).cutout is before
    assert brush_edit(before, strokes=(Stroke(((0.5, 0.5),), hidden=True),)).cutout is before


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"hardness": 7}, "stroke 2 has a hardness of 7. Use 0 to 1."),
        ({"hardness": float("nan")}, "stroke 2 has a hardness of nan."),
        ({"opacity": -0.5}, "stroke 2 has an opacity of -0.5. Use 0 to 1."),
        ({"size": 0}, "stroke 2 has a size of 0. Use a value above 0 and up to 10."),
        ({"size": float("inf")}, "stroke 2 has a size of inf."),
        ({"edge_aware": 2}, "stroke 2 has an edge awareness of 2. Use 0 to 1."),
        ({"points": ()}, "stroke 2 has no points. Give it at least one, or remove it."),
        ({"points": ((0.5, float("nan")),)}, r"stroke 2 has a point at \(0.5, nan\)."),
        ({"points": ((FAR + 1, 0.5),)}, "Use fractions from -10 to 10."),
        ({"points": ((0.5, 0.5),) * (MOST + 1)}, "stroke 2 has 100001 points. Split it"),
    ],
)
def test_a_stroke_that_cannot_be_drawn_is_named(bad, message):
    strokes = Stroke(((0.5, 0.5),)), Stroke(**{"points": ((0.5, 0.5),)} | bad)
    with pytest.raises(ParamError, match=f"^brush_edit.strokes: .*{message}"):
        brush_edit(cutout_(), strokes=strokes)


def test_the_refine_brush_marks_and_painting_makes_sure_again():
    refine = Stroke(((0.2, 0.5), (0.8, 0.5)), size=0.2, hardness=1, mode="refine")
    paint = Stroke(((0.5, 0.5),), size=0.1, hardness=1)
    cutout, unsure = brush_edit(before := cutout_(), strokes=(refine,))
    assert cutout is before
    assert unsure[18, 13] == unsure[18, 26] == 1
    assert unsure[2, 2] == 0
    _, unsure = brush_edit(before, strokes=(refine, paint))
    assert unsure[18, 13] == 1
    assert unsure[18, 26] == 0
    assert not brush_edit(before, strokes=(paint,)).unsure.any()


def test_a_stroke_of_a_kind_unknown_here_is_found_in_the_list():
    param = find("brush_edit").params["strokes"]
    good, odd = {"points": [[0.5, 0.5]]}, {"points": [[0.5, 0.5]], "mode": "hologram"}
    with pytest.raises(ParamError, match=r"strokes\[1\]\.mode: .*'hologram'\. Use one of paint, "):
        param.check([good, odd])
    with pytest.raises(ParamError, match=r"strokes\[0\]\.pts: .* Perhaps you mean 'points'\."):
        param.check([{"pts": []}])
    with pytest.raises(ParamError, match=r"^brush_edit\.strokes: it is no JSON\."):
        param.check("paint", text=True)


def test_what_edges_held_back_is_kept_apart_for_every_picture_that_ever_was():
    class Recording(Job):
        def memo(self, name, parts, compute, **how):
            kept.append(parts)
            return Correction((37, 53))  # holds no picture alive

    kept: list[tuple] = []
    stroke = Stroke(((0.5, 0.5),), edge_aware=0.5)
    for _ in range(20):  # each one lives where the last one lived
        brush_edit(cutout_(), strokes=(stroke,), job=Recording())
    assert len(set(kept)) == 20
    same = cutout_()
    for alpha in (same.alpha, opaque(37, 53)):
        brush_edit(same.with_alpha(alpha), strokes=(stroke,), job=Recording())
    assert len(set(kept)) == 21
