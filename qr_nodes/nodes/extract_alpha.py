"""Extract Alpha: the matte of a cut-out as a mask."""

from __future__ import annotations

from qr_nodes.node import node
from qr_nodes.types import Cutout, Mask


@node("Extract Alpha", category="Mask")
def extract_alpha(cutout: Cutout, *, invert: bool = False) -> Mask:
    """Take the matte out of a cut-out, to be used as a mask.

    Parameters
    ----------
    cutout : Cutout
        Cut-out whose matte is wanted.
    invert : bool
        Give the background instead of the subject.
    """
    return 1 - cutout.alpha if invert else cutout.alpha
