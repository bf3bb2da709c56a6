"""Brush Edit: strokes reach the matte, and bad ones are named."""

import msgspec
import numpy as np
import pytest

from qr_nodes.errors import ParamError
from qr_nodes.nodes.brush_edit import FAR, MOST, brush_edit
from qr_nodes.types import Cutout, Stroke, opaque


def cutout():
    return Cutout(np.zeros((37, 53, 3), np.uint8), opaque(37, 53))


def test_an_erased_dot_leaves_a_hole_and_the_colours():
    before = cutout()
    after = brush_edit(before, strokes=(Stroke(((0.5, 0.5),), size=0.2, mode="erase"),))
    assert after.color is before.color
    assert after.alpha[18, 26] == 0
    assert after.alpha[0, 0] == 1


def test_without_strokes_the_cutout_is_passed_on():
    before = cutout()
    assert brush_edit(before) is before
    assert brush_edit(before, strokes=(Stroke(((0.5, 0.5),), hidden=True),)) is before


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"hardness": 7}, "stroke 2 has a hardness of 7. Use 0 to 1."),
        ({"hardness": float("nan")}, "stroke 2 has a hardness of nan."),
        ({"opacity": -0.5}, "stroke 2 has an opacity of -0.5. Use 0 to 1."),
        ({"size": 0}, "stroke 2 has a size of 0. Use a value above 0 and up to 10."),
        ({"size": float("inf")}, "stroke 2 has a size of inf."),
        ({"points": ()}, "stroke 2 has no points. Give it at least one, or remove it."),
        ({"points": ((0.5, float("nan")),)}, r"stroke 2 has a point at \(0.5, nan\)."),
        ({"points": ((FAR + 1, 0.5),)}, "Use fractions from -10 to 10."),
        ({"points": ((0.5, 0.5),) * (MOST + 1)}, "stroke 2 has 100001 points. Split it"),
    ],
)
def test_a_stroke_that_cannot_be_drawn_is_named(bad, message):
    strokes = Stroke(((0.5, 0.5),)), Stroke(**{"points": ((0.5, 0.5),)} | bad)
    with pytest.raises(ParamError, match=f"^brush_edit.strokes: .*{message}"):
        brush_edit(cutout(), strokes=strokes)


def test_a_new_stroke_draws_one_stroke(monkeypatch):
    from qr_nodes.cache import Cache
    from qr_nodes.engine import Engine, RunRequest
    from qr_nodes.graph import Graph
    from qr_nodes.imaging import strokes as drawing
    from qr_nodes.node import SPECS, node

    drawn = []
    plain = drawing.draw_stroke

    def counted(window, stroke, **more):
        drawn.append(stroke)
        plain(window, stroke, **more)

    monkeypatch.setattr(drawing, "draw_stroke", counted)

    @node("Source", category="Stub")
    def brush_source() -> Cutout:
        return Cutout(np.zeros((37, 53, 3), np.uint8), np.zeros((37, 53), np.float32))

    rng = np.random.default_rng(5)
    strokes = tuple(
        Stroke(tuple(map(tuple, rng.random((3, 2)).tolist())), size=0.2, mode=mode)
        for mode in ("paint", "paint", "erase", "paint", "erase")
    )
    engine = Engine(Cache())
    graph = Graph().add(SPECS.pop("brush_source"), "source").add("brush_edit", "brush")
    graph = graph.connect("source", "brush")

    def alpha(shown):
        request = RunRequest(graph.set_param("brush", "strokes", shown), ("brush",))
        return engine.run(request).check().outputs["brush"]["cutout"].alpha

    for count in range(len(strokes) + 1):
        drawn.clear()
        painted = alpha(strokes[:count])
        assert len(drawn) == min(count, 1)
        blank = np.zeros((37, 53), np.float32)
        assert (painted == drawing.draw_strokes(blank, strokes[:count])).all()
    hidden = msgspec.structs.replace(strokes[3], hidden=True)
    drawn.clear()
    alpha((*strokes[:3], hidden, strokes[4]))
    assert drawn == [strokes[4]]
    engine.close()
