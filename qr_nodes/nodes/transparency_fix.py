"""The Transparency Fix node."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from qr_nodes.imaging.transparency import holes_closed, see_through, unmixed
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque


@node("Transparency Fix", category="Matte", version=6)
def transparency_fix(
    cutout: Cutout,
    where: Mask | None = None,
    *,
    find: bool = True,
    strength: Annotated[float, Param(0, 1)] = 1.0,
    haze: Annotated[float, Param(0, 1)] = 0.5,
    holes: Annotated[float, Param(0, 20, ui=(0, 2), unit="%")] = 0.1,
    job: Job = Job(),
) -> Cutout:
    """Let the scene behind go from glass, water and veils, and close holes in what is solid.

    Parameters
    ----------
    cutout : Cutout
        The cut-out to mend, with its photograph's own colours.
    where : Mask
        Region that is see-through. If nothing is linked it is looked for.
    find : bool
        Look for see-through subjects when no region is linked. Only clear cases are taken, where
        the network itself was in doubt.
    strength : float
        How far the see-through region changes.
    haze : float
        How much tint and milkiness stays. At 0 the glass is as clear as the picture allows; from
        0.5 its densest parts are opaque.
    holes : float
        Largest hole to close, in parts of the subject's area. Holes that show the background
        stay open.

    Notes
    -----
    The background is predicted from what surrounds the region, so some must be in the picture.
    Colours change in the see-through region as well as alpha, so that Refine Edges and
    Decontaminate leave it alone from here on. Refraction stays in the picture.
    """
    check_fits(where, cutout, "transparency_fix.where")
    color, alpha = cutout.color, cutout.alpha
    if is_opaque(alpha) or not alpha.any():
        return cutout
    job.checkpoint()
    region = where
    if where is None and find and strength > 0:
        region = see_through(color, alpha, job.checkpoint)
        if region is not None:
            job.note("The subject looks see-through; the scene behind it was taken out.")
    if region is not None and strength > 0:
        region = region if strength == 1 else region * strength
        if (result := unmixed(color, alpha, region, haze, job.checkpoint)) is not None:
            alpha, color = result
            if cutout.unmixed is not None:
                region = np.maximum(region, cutout.unmixed)
            return replace(cutout, color=color, alpha=alpha, unmixed=region)
        job.note("No background is in sight to tell what is see-through.")
    elif holes > 0:
        alpha = holes_closed(color, alpha, holes / 100, job.checkpoint)
    return cutout if alpha is cutout.alpha else cutout.with_alpha(alpha)
