"""The Feather node."""

from __future__ import annotations

from typing import Annotated

from qr_nodes.imaging.alpha import feather_reach, feathered
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque, limited


@node("Feather", category="Edge", version=1, reach=feather_reach)
def feather(
    cutout: Cutout,
    where: Mask | None = None,
    *,
    sigma: Annotated[float, Param(0, 500, ui=(0, 40), unit="px")] = 2.0,
    shift: Annotated[float, Param(-1, 1)] = 0.0,
    job: Job = Job(),
) -> Cutout:
    """Soften the edge of the cut-out with a Gaussian.

    Parameters
    ----------
    cutout : Cutout
        The cut-out whose edge is to become softer.
    where : Mask
        Region to act in. Everywhere if nothing is linked.
    sigma : float
        How soft the edge becomes. The transition is about four times as wide.
    shift : float
        Which side softens. At -1 the softness lies inside the old edge, at 1 outside, at 0
        on both sides.

    Notes
    -----
    The subject stays opaque where the picture's frame cuts it.
    """
    check_fits(where, cutout, "feather.where")
    if sigma == 0 or is_opaque(cutout.alpha):
        return cutout
    soft = feathered(cutout.alpha, sigma, shift, job.checkpoint)
    return cutout.with_alpha(limited(soft, cutout.alpha, where))
