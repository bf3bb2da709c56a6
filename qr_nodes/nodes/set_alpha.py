"""Set Alpha: give a picture a matte."""

from __future__ import annotations

from typing import Literal

import numpy as np

from qr_nodes.node import node
from qr_nodes.types import Cutout, Mask, check_fits


@node("Set Alpha", category="Mask")
def set_alpha(
    cutout: Cutout,
    mask: Mask,
    *,
    mode: Literal["replace", "multiply", "add", "subtract"] = "replace",
    invert: bool = False,
) -> Cutout:
    """Use a mask as the matte of a cut-out, or combine it with the one it has.

    Parameters
    ----------
    cutout : Cutout
        Picture that gets the matte. Its colours stay as they are.
    mask : Mask
        New matte, of the same size.
    mode : str
        Replace takes the mask as it is. Multiply keeps what is in both, add what is in either,
        subtract removes the mask from the matte.
    invert : bool
        Turn the mask round first.
    """
    check_fits(mask, cutout, "set_alpha.mask")
    if invert:
        mask = 1 - mask
    if mode == "multiply":
        mask = cutout.alpha * mask
    elif mode == "add":
        mask = np.maximum(cutout.alpha, mask)
    elif mode == "subtract":
        mask = np.minimum(cutout.alpha, 1 - mask)
    return cutout.with_alpha(mask)
