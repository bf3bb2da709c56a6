"""Background: put something behind the subject."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from PIL import ImageColor

from qr_nodes.errors import SocketError
from qr_nodes.imaging.backdrop import blurred_behind, composite_onto, to_dtype
from qr_nodes.imaging.resample import fitted, resize_cutout
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, is_opaque, opaque


def _check(params: Mapping[str, Any], linked: Collection[str]) -> None:
    if params["fill"] == "picture" and "picture" not in linked:
        raise SocketError(
            "no picture is connected.", "background.picture", "Connect one, or choose a colour."
        )


@node(
    "Background",
    category="Finish",
    version=2,
    check=_check,
    size=lambda params, sizes: sizes["cutout"],
)
def background(
    cutout: Cutout,
    picture: Cutout | None = None,
    *,
    fill: Literal["color", "picture", "blur"] = "color",
    color: Annotated[str, Param(kind="color")] = "#ffffff",
    fit: Literal["cover", "inside", "stretch"] = "cover",
    sigma: Annotated[float, Param(0, 1000, ui=(0, 200), unit="px")] = 40.0,
    linear: bool = False,
    job: Job = Job(),
) -> Cutout:
    """Put a colour, another picture or the blurred original behind the subject.

    Parameters
    ----------
    cutout : Cutout
        Subject. It keeps its colour depth; the result is opaque.
    picture : Cutout
        What to put behind it when the fill is a picture.
    fill : str
        What goes behind: a colour, the picture, or the original background out of focus.
    color : str
        Colour of the background, also where the picture leaves space or is transparent.
    fit : str
        Cover fills the frame and cuts off what stands out, inside shows the whole picture,
        stretch distorts it to the frame.
    sigma : float
        How far the original background is blurred. The subject does not bleed into it.
    linear : bool
        Mix light instead of sRGB values where the subject is half transparent: brighter soft
        edges.

    Raises
    ------
    SocketError
        The fill is a picture and none is connected.
    """
    _check({"fill": fill}, () if picture is None else ("picture",))
    if is_opaque(cutout.alpha):
        return cutout
    if fill == "blur":
        out = blurred_behind(cutout.color, cutout.alpha, sigma, job.checkpoint)
    else:
        rgb = np.array(ImageColor.getrgb(color)[:3], np.uint8)
        out = np.empty_like(cutout.color)
        out[:1] = to_dtype(rgb, out.dtype)
        out[1:] = out[:1]  # whole rows are copied far faster than pixels of three bytes
        if fill == "picture":
            _put_picture(out, picture, fit, linear, job)
    composite_onto(out, cutout.color, cutout.alpha, linear, job.checkpoint)
    return replace(cutout, color=out, alpha=opaque(*cutout.shape), unmixed=None)


def _put_picture(out: np.ndarray, picture: Cutout, fit: str, linear: bool, job: Job) -> None:
    """Fit a picture into the frame `out`, centred, over what is there."""
    part, size = fitted(picture, out.shape[:2], fit)
    part = resize_cutout(part, size, checkpoint=job.checkpoint)
    top, left = ((whole - inner) // 2 for whole, inner in zip(out.shape, size, strict=False))
    frame = out[top : top + size[0], left : left + size[1]]
    composite_onto(frame, to_dtype(part.color, out.dtype), part.alpha, linear, job.checkpoint)
