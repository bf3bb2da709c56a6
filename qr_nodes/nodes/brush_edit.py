"""Brush Edit: correct the matte by hand."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from qr_nodes.errors import ParamError
from qr_nodes.imaging.correction import Correction, redrawn
from qr_nodes.node import Job, node
from qr_nodes.types import Cutout, Mask, Stroke

STRIDE = 64
"""Strokes of a long list after which what they come to is kept, should somebody interrupt."""


class Edited(NamedTuple):
    """What Brush Edit gives."""

    cutout: Cutout
    unsure: Mask


@node("Brush Edit", category="Edit", version=2, resumes=True)
def brush_edit(cutout: Cutout, *, strokes: tuple[Stroke, ...] = (), job: Job = Job()) -> Edited:
    """Paint parts of the picture back in, or erase what was left over.

    Parameters
    ----------
    cutout : Cutout
        Cut-out to correct. Its colours stay as they are.
    strokes : tuple of Stroke
        Strokes of the brush, drawn first to last. Points and sizes are fractions of the
        picture, so strokes fit it at any resolution.

    Returns
    -------
    cutout : Cutout
        The cut-out with the corrected matte.
    unsure : Mask
        Where strokes of the refine brush mark the matte as unsure: for Refine Edges. Painting
        or erasing there makes it sure again.

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
        if stroke.fault:
            what, hint = stroke.fault
            raise ParamError(f"stroke {number} has {what}.", "brush_edit.strokes", hint)
    shown, before, old = _shown(strokes), job.before(), None
    if before is not None:
        was, known = before.arguments["cutout"], before.arguments["strokes"]
        if (known := _recalled(was, _shown(known), job)) is not None:
            old = known, was.tiles, before.outputs["cutout"].tiles
    correction = _correction(cutout, shown, job)
    alpha = correction.applied(cutout.tiles, old)
    edited = cutout if alpha is cutout.tiles else cutout.with_alpha(alpha)
    return Edited(edited, correction.marked())


def _shown(strokes: Sequence[Stroke]) -> list[Stroke]:
    return [stroke for stroke in strokes if not stroke.hidden]


def _correction(cutout: Cutout, strokes: list[Stroke], job: Job) -> Correction:
    """Give what strokes come to, from the nearest that is known."""

    def start(beginning: list[Stroke]) -> tuple[int, Correction]:
        """Give how many of the first strokes are known, and what they come to."""
        whole = len(beginning)
        for count in (whole, *range((whole - 1) // STRIDE * STRIDE, 0, -STRIDE)):
            if (found := _recalled(cutout, beginning[:count], job)) is not None:
                return count, found
        return 0, Correction(cutout.shape)

    def compute() -> Correction:
        how = {"color": cutout.color, "checkpoint": job.checkpoint}
        if (before := job.before()) is not None:
            old = _shown(before.arguments["strokes"])
            if (known := _recalled(cutout, old, job)) is not None:
                return redrawn(start, old, known, strokes, **how)
        count, made = start(strokes)
        while count < len(strokes):
            job.progress(count / len(strokes))
            first, count = count, min((count // STRIDE + 1) * STRIDE, len(strokes))
            made = made.drawn(strokes[first:count], **how)
            if count < len(strokes):
                job.memo("strokes", _parts(cutout, strokes[:count]), lambda m=made: m, shared=True)
        return made

    if (found := _recalled(cutout, strokes, job)) is not None:
        return found
    made = compute()
    return job.memo("strokes", _parts(cutout, strokes), lambda: made, shared=True)


def _recalled(cutout: Cutout, strokes: list[Stroke], job: Job) -> Correction | None:
    """Give what strokes come to on a picture, if it is known."""
    if not strokes:
        return Correction(cutout.shape)
    found = job.recall("strokes", _parts(cutout, strokes), shared=True)
    return found if found is not None and found.fits(cutout.shape, cutout.color) else None


def _parts(cutout: Cutout, strokes: list[Stroke]) -> tuple:
    mark = blake2b(b"".join(stroke.digest for stroke in strokes), digest_size=16).digest()
    return (*cutout.shape, mark)
