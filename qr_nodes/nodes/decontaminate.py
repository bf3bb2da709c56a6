"""Decontaminate: the soft edge in the subject's own colours."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from qr_nodes.imaging.foreground import decontaminated
from qr_nodes.imaging.transparency import FAINT
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque, without


@node("Decontaminate", category="Color", version=2)
def decontaminate(
    cutout: Cutout,
    where: Mask | None = None,
    *,
    strength: Annotated[float, Param(0, 100, unit="%")] = 100.0,
    spread: Annotated[float, Param(0, 200, ui=(0, 30), unit="px")] = 4.0,
    job: Job = Job(),
) -> Cutout:
    """Take the old background's colour out of the soft edge.

    Hair, fur and blurred rims show some of the background they were photographed against.
    This finds the subject's own colour there, so that no fringe is left on a new background.
    Opaque pixels and the matte stay as they are, and so does glass that Transparency Fix has
    taken the scene out of.

    Parameters
    ----------
    cutout : Cutout
        Picture with the matte that belongs to it.
    where : Mask
        Region to act in. Without it, the whole edge.
    strength : float
        How much of the background's colour is taken out.
    spread : float
        How far the subject's colour goes on beyond the edge, unseen. It keeps a later feather
        or resize from picking up the background.

    References
    ----------
    See `qr_nodes.imaging.foreground`.
    """
    check_fits(where, cutout, "decontaminate.where")
    if strength == 0 or is_opaque(cutout.alpha):
        return cutout
    if (own := cutout.unmixed) is not None:
        told = cutout.alpha / FAINT  # fainter, a colour is better taken from around
        np.minimum(told, 1, out=told)
        told *= own
        where = without(where, told)
    color = decontaminated(
        cutout.color, cutout.alpha, strength / 100, round(spread), where, job.checkpoint
    )
    return cutout if color is cutout.color else cutout.with_color(color)
