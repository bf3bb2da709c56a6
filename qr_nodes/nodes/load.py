"""Load: a picture from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from qr_nodes.errors import GraphError
from qr_nodes.imaging.image_io import measure_image, read_image
from qr_nodes.node import Job, Param, Size, node
from qr_nodes.types import Cutout


def _size(params: Mapping[str, Any], sizes: Mapping[str, None]) -> Size | None:
    """Return the size of the file's first page; None if it cannot be read."""
    width, height, _ = measure_image(params["path"])
    return (height, width) if width and params["page"] == 1 else None


@node("Load", category="File", version=1, size=_size)
def load(
    *,
    path: Annotated[str, Param(kind="file")] = "",
    page: Annotated[int, Param(1, 100_000, ui=(1, 20), of_picture=True)] = 1,
    max_pixels: Annotated[
        float, Param(0.001, 10_000, ui=(10, 1000), unit="MP", machine=True)
    ] = 200.0,
    job: Job = Job(),
) -> Cutout:
    """Read a picture, upright, in its own bit depth, with its profile and transparency.

    Parameters
    ----------
    path : str
        The picture: JPEG, PNG, WebP, TIFF, AVIF, HEIC, GIF, BMP, JPEG 2000 and others. Colours
        that it tells by CICP, gamma or chromaticities get a profile that says the same; linear
        light and HDR are encoded as sRGB.
    page : int
        Which page of a TIFF, or frame of an animation.
    max_pixels : float
        Larger pictures are refused before any of them is decoded.

    Returns
    -------
    Cutout
        At a preview's scale the picture shrunk by area averaging.

    Raises
    ------
    GraphError
        No picture is named.
    ReadError
        The file is missing, damaged, no picture, or over the limit.
    """
    if not path:  # like a missing link: a graph that is not finished, not a wrong value
        raise GraphError("no picture is named.", "load.path", "Choose a picture.")
    return read_image(path, page=page, scale=job.scale, max_pixels=max_pixels * 1e6, note=job.note)
