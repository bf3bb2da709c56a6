"""The Grow/Shrink node."""

from __future__ import annotations

from typing import Annotated

from qr_nodes.imaging.morphology import grow
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque, limited


@node("Grow/Shrink", category="Edge", version=2)
def grow_shrink(
    cutout: Cutout,
    where: Mask | None = None,
    *,
    radius: Annotated[float, Param(-200, 200, ui=(-20, 20), unit="px")] = -1.0,
    job: Job = Job(),
) -> Cutout:
    """Move the edge of the cut-out outwards or inwards, keeping its softness.

    Parameters
    ----------
    cutout : Cutout
        The cut-out whose edge is to move.
    where : Mask
        Region to act in. Everywhere if nothing is linked.
    radius : float
        How far the edge moves: outwards above 0, inwards below. Fractions of a pixel count.

    Notes
    -----
    Where the picture's frame cuts the subject the edge does not move away from the frame.
    """
    check_fits(where, cutout, "grow_shrink.where")
    if radius == 0 or is_opaque(cutout.alpha):
        return cutout
    moved = grow(cutout.alpha, radius, job.checkpoint)
    return cutout.with_alpha(limited(moved, cutout.alpha, where))
