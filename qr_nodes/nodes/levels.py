"""The Levels node."""

from __future__ import annotations

from typing import Annotated

from qr_nodes.imaging.alpha import levelled
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque, limited


@node("Levels", category="Edge", version=1, reach=lambda **_: 0)
def levels(
    cutout: Cutout,
    where: Mask | None = None,
    *,
    black: Annotated[float, Param(0, 1)] = 0.0,
    white: Annotated[float, Param(0, 1)] = 1.0,
    gamma: Annotated[float, Param(0.1, 10, scale="log")] = 1.0,
    job: Job = Job(),
) -> Cutout:
    """Change the contrast of the matte.

    Parameters
    ----------
    cutout : Cutout
        The cut-out whose matte is to change.
    where : Mask
        Region to act in. Everywhere if nothing is linked.
    black : float
        Alpha up to this value becomes 0: clears haze from the background.
    white : float
        Alpha from this value on becomes 1: fills a subject that is not quite solid. At or
        under the black point the matte is cut hard.
    gamma : float
        Bends what lies between. Over 1 thickens the soft parts, under 1 thins them.
    """
    check_fits(where, cutout, "levels.where")
    if (black, white, gamma) == (0.0, 1.0, 1.0) or is_opaque(cutout.alpha):
        return cutout
    matte = levelled(cutout.alpha, black, white, gamma, job.checkpoint)
    return cutout.with_alpha(limited(matte, cutout.alpha, where))
