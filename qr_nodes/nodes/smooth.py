"""The Smooth node."""

from __future__ import annotations

from typing import Annotated

from qr_nodes.imaging.contour import smoothed
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque, limited


@node("Smooth", category="Edge", version=1)
def smooth(
    cutout: Cutout,
    where: Mask | None = None,
    *,
    amount: Annotated[float, Param(0, 20, ui=(0, 10), unit="px")] = 1.5,
    corners: Annotated[float, Param(0, 1)] = 1.0,
    job: Job = Job(),
) -> Cutout:
    """Take steps and wobble out of the contour without moving it.

    Parameters
    ----------
    cutout : Cutout
        The cut-out whose contour is to become smooth.
    where : Mask
        Region to act in. Everywhere if nothing is linked.
    amount : float
        Size of what is smoothed away. Wobble shorter than about four times this goes.
    corners : float
        How far corners are spared. At 0 they are rounded like all else.

    Notes
    -----
    Soft edges, such as hair, and strands thinner than the amount stay as they are.
    """
    check_fits(where, cutout, "smooth.where")
    if amount < 0.05 or is_opaque(cutout.alpha):
        return cutout
    matte = smoothed(cutout.alpha, amount, corners, job.checkpoint)
    return cutout.with_alpha(limited(matte, cutout.alpha, where))
