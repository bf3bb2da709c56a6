"""Resize: another size in pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from qr_nodes.errors import ParamError
from qr_nodes.imaging.resample import (
    MOST,
    Enlarging,
    crop,
    framed,
    resize_cutout,
    shrunk_size,
)
from qr_nodes.node import Job, Param, Size, node
from qr_nodes.types import Cutout


def _framed(shape: Size, params: Mapping[str, Any]) -> tuple[slice, slice, Size]:
    """Return the rows and columns that stay of a picture, and its new size, or raise ParamError."""
    rows, columns, by = slice(0, shape[0]), slice(0, shape[1]), params["by"]
    if by == "box":
        box = max(1, round(params["height"])), max(1, round(params["width"]))
        rows, columns, size = framed(shape, box, params["fit"])
    else:
        scale = params["percent"] / 100 if by == "percent" else params["longest"] / max(shape)
        size = shrunk_size(*shape, scale)
    if not params["enlarge"] and by != "percent":
        size = min(size[0], rows.stop - rows.start), min(size[1], columns.stop - columns.start)
    if size[0] * size[1] > MOST:
        raise ParamError(
            f"the result would have {size[1]} × {size[0]} px.", "resize", "Use a smaller size."
        )
    return rows, columns, size


def _size(params: Mapping[str, Any], sizes: Mapping[str, Size | None]) -> Size | None:
    return sizes["cutout"] and _framed(sizes["cutout"], params)[2]


@node("Resize", category="Frame", version=3, size=_size)
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
    asked = {"by": by, "longest": longest, "percent": percent, "width": width, "height": height}
    rows, columns, size = _framed(cutout.shape, asked | {"fit": fit, "enlarge": enlarge})
    if (rows.stop - rows.start, columns.stop - columns.start) != cutout.shape:
        cutout = crop(cutout, rows, columns)
    if size == cutout.shape:
        return cutout
    return resize_cutout(cutout, size, kernel, job.checkpoint)
