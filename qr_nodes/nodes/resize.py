"""Resize: another size in pixels."""

from __future__ import annotations

from typing import Annotated, Literal

from qr_nodes.errors import ParamError
from qr_nodes.imaging.resample import MOST, Enlarging, fitted, resize_cutout, shrunk_size
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout


@node("Resize", category="Frame", version=2)
def resize(
    cutout: Cutout,
    *,
    by: Literal["longest side", "percent", "box"] = "longest side",
    longest: Annotated[float, Param(1, 65535, ui=(64, 8192), unit="px")] = 2048,
    percent: Annotated[float, Param(0.1, 1000, ui=(5, 200), unit="%")] = 50,
    width: Annotated[float, Param(1, 65535, ui=(64, 8192), unit="px")] = 1080,
    height: Annotated[float, Param(1, 65535, ui=(64, 8192), unit="px")] = 1080,
    fit: Literal["inside", "cover", "stretch"] = "inside",
    enlarge: bool = False,
    kernel: Enlarging = "lanczos",
    job: Job = Job(),
) -> Cutout:
    """Change the size of the picture without leaving a fringe along the cut-out.

    Parameters
    ----------
    cutout : Cutout
        Picture to resize. Its colour depth stays.
    by : str
        What decides the new size: the longest side, a percentage, or a box of width and height.
    longest : float
        New length of the longer side.
    percent : float
        New size in percent of the old one.
    width : float
        Width of the box.
    height : float
        Height of the box.
    fit : str
        Inside keeps the whole picture within the box. Cover fills the box and cuts off what
        stands out, evenly on both sides. Stretch distorts the picture to the box.
    enlarge : bool
        Let a smaller picture grow to the length or box. A percentage may always enlarge.
    kernel : str
        How new pixels are made where the picture grows. Lanczos is sharpest, linear softest,
        nearest keeps square pixels, also where the picture shrinks.

    Raises
    ------
    ParamError
        The result would be too large to hold.
    """
    if by == "box":
        box = max(1, round(height)), max(1, round(width))
        cutout, size = fitted(cutout, box, fit)
    else:
        scale = percent / 100 if by == "percent" else longest / max(cutout.shape)
        size = shrunk_size(*cutout.shape, scale)
    if not enlarge and by != "percent":
        size = min(size[0], cutout.shape[0]), min(size[1], cutout.shape[1])
    if size[0] * size[1] > MOST:
        raise ParamError(
            f"the result would have {size[1]} × {size[0]} px.", "resize", "Use a smaller size."
        )
    if size == cutout.shape:
        return cutout
    return resize_cutout(cutout, size, kernel, job.checkpoint)
