"""Brush Edit: correct the matte by hand."""

from __future__ import annotations

import math
from hashlib import blake2b

import msgspec

from qr_nodes.errors import ParamError
from qr_nodes.imaging.strokes import draw_strokes
from qr_nodes.node import Job, node
from qr_nodes.types import Cutout, Stroke

FAR = 10.0
"""Points may lie this many pictures away from the picture's corner."""
MOST = 100_000
"""Points in one stroke: an hour with the button held down."""


@node("Brush Edit", category="Edit")
def brush_edit(cutout: Cutout, *, strokes: tuple[Stroke, ...] = (), job: Job = Job()) -> Cutout:
    """Paint parts of the picture back in, or erase what was left over.

    Parameters
    ----------
    cutout : Cutout
        Cut-out to correct. Its colours stay as they are.
    strokes : tuple of Stroke
        Strokes of the brush, drawn first to last. Points and sizes are fractions of the
        picture, so strokes fit it at any resolution.

    Raises
    ------
    ParamError
        A stroke has no points, or a value out of its range.

    Notes
    -----
    Within one stroke the path may cross itself without building up: coverage is that of the
    nearest point of the path. Strokes do build up on each other.
    """
    for number, stroke in enumerate(strokes, 1):
        _check(stroke, number)
    shown = [stroke for stroke in strokes if not stroke.hidden]
    marks = _prefix_marks(shown)
    # What was drawn for the longest beginning of the list is still there: draw the rest on it.
    alpha, start = cutout.alpha, 0
    for count in range(len(shown), 0, -1):
        if (drawn := job.recall("strokes", (marks[count - 1],))) is not None:
            alpha, start = drawn, count
            break
    if start < len(shown):
        rest = draw_strokes(alpha, shown[start:], job.checkpoint)
        alpha = job.memo("strokes", (marks[-1],), lambda: rest)
    return cutout if alpha is cutout.alpha else cutout.with_alpha(alpha)


def _prefix_marks(strokes: list[Stroke]) -> list[bytes]:
    """Give a hash for every beginning of the list: hᵢ = H(hᵢ₋₁, strokeᵢ)."""
    marks, last = [], b""
    for stroke in strokes:
        last = blake2b(last + msgspec.msgpack.encode(stroke), digest_size=16).digest()
        marks.append(last)
    return marks


def _check(stroke: Stroke, number: int) -> None:
    def fail(what: str, hint: str) -> None:
        raise ParamError(f"stroke {number} has {what}.", "brush_edit.strokes", hint)

    if not 0 < stroke.size <= FAR:
        fail(f"a size of {stroke.size:g}", f"Use a value above 0 and up to {FAR:g}.")
    if not 0 <= stroke.hardness <= 1:
        fail(f"a hardness of {stroke.hardness:g}", "Use 0 to 1.")
    if not 0 <= stroke.opacity <= 1:
        fail(f"an opacity of {stroke.opacity:g}", "Use 0 to 1.")
    if not 0 <= stroke.edge_aware <= 1:
        fail(f"an edge awareness of {stroke.edge_aware:g}", "Use 0 to 1.")
    if not stroke.points:
        fail("no points", "Give it at least one, or remove it.")
    if len(stroke.points) > MOST:
        fail(f"{len(stroke.points)} points", f"Split it into strokes of up to {MOST}.")
    for x, y in stroke.points:
        if not (math.fabs(x) <= FAR and math.fabs(y) <= FAR):
            fail(f"a point at ({x:g}, {y:g})", f"Use fractions from {-FAR:g} to {FAR:g}.")
