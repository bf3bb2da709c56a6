"""Brush Edit: correct the matte by hand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

from qr_nodes.errors import ParamError
from qr_nodes.imaging.correction import Correction, redrawn
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, Stroke, mark_of

STRIDE = 64
"""Strokes of a long list after which what they come to is kept, should somebody interrupt."""


class Edited(NamedTuple):
    """What Brush Edit gives."""

    cutout: Cutout
    unsure: Mask


def _check(params: Mapping[str, Any], linked: Collection[str] = ()) -> None:
    for number, stroke in enumerate(params["strokes"], 1):
        if stroke.fault:
            what, hint = stroke.fault
            raise ParamError(f"stroke {number} has {what}.", "brush_edit.strokes", hint)


def _unused(params: Mapping[str, Any], leading: Collection[str]) -> str:
    marks = sum(stroke.mode == "refine" for stroke in _shown(params["strokes"]))
    if not marks or "unsure" in leading:
        return ""
    count = "A stroke" if marks == 1 else f"{marks} strokes"
    return (
        f"{count} of the refine brush without effect: the output 'unsure' leads nowhere. "
        "Put a Refine Edges behind this node and link it to that."
    )


@node("Brush Edit", category="Edit", version=2, resumes=True, check=_check, unused=_unused)
def brush_edit(
    cutout: Cutout,
    *,
    strokes: Annotated[tuple[Stroke, ...], Param(of_picture=True)] = (),
    job: Job = Job(),
) -> Edited:
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
    _check({"strokes": strokes})
    old = near = None
    if (before := job.before()) is not None:
        was, were = before.arguments["cutout"], _shown(before.arguments["strokes"])
        if (known := _recalled(was, were, job)) is not None:
            old = known, was.tiles, before.outputs["cutout"].tiles
            near = (were, known) if known.fits(cutout.shape, cutout.color) else None
    correction = _correction(cutout, _shown(strokes), near, job)
    alpha = correction.applied(cutout.tiles, old)
    edited = cutout if alpha is cutout.tiles else cutout.with_alpha(alpha)
    return Edited(edited, correction.marked())


def _shown(strokes: Sequence[Stroke]) -> list[Stroke]:
    return [stroke for stroke in strokes if not stroke.hidden]


def _correction(
    cutout: Cutout,
    strokes: list[Stroke],
    near: tuple[list[Stroke], Correction] | None,
    job: Job,
) -> Correction:
    """Give what strokes come to; `near` are others, and what they come to on this picture."""

    def start(beginning: list[Stroke]) -> tuple[int, Correction]:
        """Give how many of the first strokes are known, and what they come to."""
        whole = len(beginning)
        for count in (whole, *range((whole - 1) // STRIDE * STRIDE, 0, -STRIDE)):
            if (found := _recalled(cutout, beginning[:count], job)) is not None:
                return count, found
        return 0, Correction(cutout.shape)

    def compute() -> Correction:
        how = {"color": cutout.color, "checkpoint": job.checkpoint}
        if near is not None:
            return redrawn(start, *near, strokes, **how)
        count, made = start(strokes)
        while count < len(strokes):
            job.progress(count / len(strokes))
            first, count = count, min((count // STRIDE + 1) * STRIDE, len(strokes))
            made = made.drawn(strokes[first:count], **how)
            if count < len(strokes):
                job.memo("strokes", _parts(cutout, strokes[:count]), lambda m=made: m, shared=True)
        return made

    if not strokes:
        return Correction(cutout.shape)
    return job.memo("strokes", _parts(cutout, strokes), compute, shared=True)


def _recalled(cutout: Cutout, strokes: list[Stroke], job: Job) -> Correction | None:
    """Give what strokes come to on a picture, if it is known."""
    if not strokes:
        return Correction(cutout.shape)
    return job.recall("strokes", _parts(cutout, strokes), shared=True)


def _parts(cutout: Cutout, strokes: list[Stroke]) -> tuple:
    mark = blake2b(b"".join(stroke.digest for stroke in strokes), digest_size=16).digest()
    # Strokes that edges hold back are another matter on every picture.
    held = any(stroke.edge_aware > 0 for stroke in strokes)
    return (*cutout.shape, mark, mark_of(cutout.color) if held else 0)
