"""Combine Masks: one mask out of two."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from qr_nodes.errors import SocketError
from qr_nodes.imaging.strips import strips
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Mask

MODES = {
    "union": np.maximum,
    "intersection": np.minimum,
    "subtract": lambda a, b: np.minimum(a, 1 - b),
    "difference": lambda a, b: np.abs(a - b),
    "multiply": np.multiply,
    "average": lambda a, b: (a + b) * np.float32(0.5),
}


@node("Combine Masks", category="Mask")
def combine_masks(
    a: Mask,
    b: Mask,
    *,
    mode: Literal[
        "union", "intersection", "subtract", "difference", "multiply", "average"
    ] = "union",
    invert_b: bool = False,
    amount: Annotated[float, Param(0, 1)] = 1.0,
    job: Job = Job(),
) -> Mask:
    """Combine two masks into one.

    Parameters
    ----------
    a : Mask
        First mask.
    b : Mask
        Second mask, of the same size.
    mode : str
        Union keeps what is in either mask, intersection what is in both. Subtract removes the
        second from the first, difference keeps what is in only one. Multiply is a softer
        intersection, average lies halfway between.
    invert_b : bool
        Turn the second mask round first.
    amount : float
        How far to go from the first mask to the combined one.
    """
    if a.shape != b.shape:
        (ah, aw), (bh, bw) = a.shape, b.shape
        raise SocketError(
            f"a mask of {bw} × {bh} px does not fit one of {aw} × {ah} px.",
            "combine_masks.b",
            "Use masks made from the same picture.",
        )
    out = np.empty(a.shape, np.float32)
    for rows, *_ in strips(*a.shape):
        job.checkpoint()
        first, second = a[rows], 1 - b[rows] if invert_b else b[rows]
        combined = MODES[mode](first, second)
        out[rows] = combined if amount == 1 else first + (combined - first) * np.float32(amount)
    return out
