"""Refine Edges: a matte that follows hair and contours of the full-size picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from qr_nodes.imaging.matting import refined_alpha, unsure_band
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque, limited, without


def _idle(arguments: Mapping[str, Any]) -> bool:
    """Return whether the region to act in is empty, as where the brush has marked nothing."""
    where = arguments.get("where")
    return where is not None and where.strides == (0, 0) and not where.flat[0]


@node("Refine Edges", category="Edge", version=5, idle=_idle)
def refine_edges(
    cutout: Cutout,
    where: Mask | None = None,
    trimap: Mask | None = None,
    unsure: Mask | None = None,
    *,
    width: Annotated[float, Param(0, 200, ui=(0, 40), unit="px")] = 2.0,
    trust: Annotated[float, Param(0, 100, unit="%")] = 30.0,
    contrast: Annotated[float, Param(0, 95, unit="%")] = 10.0,
    job: Job = Job(),
) -> Cutout:
    """Find the edge of the subject anew from the picture's colours.

    Where the matte is neither 0 nor 1, and a little around its contour, each pixel is asked
    how much of it is subject. Hair, fur and crisp contours that the matte only blurs come
    out in full resolution. What the matte is sure of becomes 0 or 1. Glass that Transparency
    Fix has taken the scene out of stays as it is.

    Parameters
    ----------
    cutout : Cutout
        Picture with the matte to refine.
    where : Mask
        Region to act in. Without it, the whole edge.
    trimap : Mask
        Black where all is background, white where all is subject, grey where to search. It
        takes the place of the matte, of width and of trust.
    unsure : Mask
        Where the matte is not to be believed, beside what it leaves open itself, such as what
        the brush has marked. There only the picture's colours count.
    width : float
        How far from its contour the matte may be wrong. Hair that it misses needs more.
    trust : float
        How much the matte counts against the picture's colours. More keeps its shape.
    contrast : float
        How much of the faintest and the fullest of the edge is cut off. More is crisper.

    References
    ----------
    See `qr_nodes.imaging.matting`.
    """
    check_fits(where, cutout, "refine_edges.where")
    check_fits(trimap, cutout, "refine_edges.trimap")
    check_fits(unsure, cutout, "refine_edges.unsure")
    if unsure is not None and not (unsure[:1, :1] if unsure.strides == (0, 0) else unsure).any():
        unsure = None  # the brush has marked nothing
    marked = None
    if unsure is not None:
        unsure = np.ascontiguousarray(unsure)
        marked = (unsure > 0.5).view(np.uint8)
    if trimap is None and is_opaque(cutout.alpha) and (marked is None or not marked.any()):
        return cutout
    if trimap is None:
        guess, trust = np.ascontiguousarray(cutout.alpha), trust / 100
        band = unsure_band(guess, round(width), job.checkpoint)
    else:
        guess, trust = np.ascontiguousarray(trimap), 0.0
        band = unsure_band(guess, 0, job.checkpoint)
    if marked is not None:
        band |= marked
    alpha = refined_alpha(
        cutout.color, guess, band, trust, contrast / 100, job.checkpoint, doubted=unsure
    )
    return cutout.with_alpha(limited(alpha, cutout.alpha, without(where, cutout.unmixed)))
