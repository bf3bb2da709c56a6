"""The Remove Specks node."""

from __future__ import annotations

from typing import Annotated

from qr_nodes.imaging.islands import without_islands
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, Mask, check_fits, is_opaque, limited, without


@node("Remove Specks", category="Matte", version=1)
def remove_specks(
    cutout: Cutout,
    where: Mask | None = None,
    *,
    below: Annotated[float, Param(0, 100, ui=(0, 5), unit="%")] = 1.0,
    job: Job = Job(),
) -> Cutout:
    """Clear small parts that lie apart from the subject.

    Parameters
    ----------
    cutout : Cutout
        The cut-out to tidy.
    where : Mask
        Region to act in. Everywhere if nothing is linked.
    below : float
        Least area that stays, as a share of the largest part's. At 100 only the largest stays.

    Notes
    -----
    Single hairs may lie apart as well: lead the matte around this node where they count.
    """
    check_fits(where, cutout, "remove_specks.where")
    if below == 0 or is_opaque(cutout.alpha):
        return cutout
    tidy = without_islands(cutout.alpha, below / 100, job.checkpoint)
    if tidy is cutout.alpha:
        return cutout
    return cutout.with_alpha(limited(tidy, cutout.alpha, without(where, cutout.unmixed)))
