"""Pictures in memory: arrays and Pillow's pictures, in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from qr_nodes.errors import ParamError
from qr_nodes.imaging.image_decode import Decoded, Refused, decoded_pillow, unit_floats
from qr_nodes.imaging.image_read import cutout_of
from qr_nodes.imaging.image_write import planned_pixels
from qr_nodes.types import Cutout

FLOAT_MOST = 2.0
"""Values of floating-point pictures above this are no rounding: they count to 255 or 65535."""


def from_pillow(image: Image.Image, note: Callable[[str], None] = lambda text: None) -> Cutout:
    """Return a Pillow picture of any mode as a cut-out, turned upright as its EXIF block says.

    Raises
    ------
    ParamError
        Its values have no known meaning.
    """
    try:
        cutout = cutout_of(decoded_pillow(image, note), note=note)
    except Refused as refused:
        raise ParamError(refused.args[0], "picture", refused.args[1]) from refused
    return _own(cutout)


def from_array(array: np.ndarray, note: Callable[[str], None] = lambda text: None) -> Cutout:
    """Return an array as a cut-out; it is never written to.

    Parameters
    ----------
    array : (H, W) or (H, W, 1 to 4) uint8, uint16 or floating point in [0, 1]
        Grey, grey and alpha, RGB, or RGBA with straight alpha, sRGB-encoded.
    note : callable
        Told if values had to be brought to 0 and 1.

    Raises
    ------
    ParamError
        The array has another shape or kind of values.
    """
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or not 1 <= channels <= 4 or 0 in array.shape:
        raise ParamError(
            f"an array of shape {array.shape} is no picture.",
            "picture",
            "Use (height, width), or (height, width, channels) with 1 to 4 channels.",
        )
    pixels = array[..., 0] if array.ndim == 3 and channels == 1 else array
    if pixels.dtype.kind == "f":
        if (high := float(np.nanmax(pixels))) > FLOAT_MOST:
            what = f"floating-point values reach {high:g}."
            raise ParamError(what, "picture", "Divide them, to go from 0 to 1.")
        pixels = unit_floats(pixels, note)
    elif pixels.dtype not in (np.uint8, np.uint16):
        raise ParamError(
            f"values of the kind {array.dtype} are no picture's.",
            "picture",
            "Use uint8, uint16, or floating point from 0 to 1.",
        )
    return _own(cutout_of(Decoded(pixels.view(), "", pixels.shape[1::-1])))


def to_array(cutout: Cutout, like: np.dtype, **settings: Any) -> np.ndarray:
    """Return what Export would write as an array.

    Parameters
    ----------
    cutout : Cutout
    like : dtype
        Of the picture that it was made from; floating point of any width stays so.
    **settings
        Parameters of Export; those that concern files alone are not asked for.

    Returns
    -------
    array : (H, W, 4) straight RGBA, or (H, W) where the content is the mask
    """
    array = _channels(planned_pixels(cutout, "TIFF", **settings))
    return array.astype(like) if array.dtype == np.float32 and like.kind == "f" else array


def to_pillow(cutout: Cutout, **settings: Any) -> Image.Image:
    """Return what Export would write as a Pillow picture: RGBA, or L where it is the mask.

    Its `info` holds the profile, the resolution and the EXIF block that Export would write.
    """
    pixels = planned_pixels(cutout, "PNG", **settings | {"bits": "8"})
    image = Image.fromarray(_channels(pixels))
    known = {"icc_profile": pixels.icc, "dpi": pixels.dpi}
    known["exif"] = pixels.exif.tobytes() if pixels.exif else None
    image.info.update({name: value for name, value in known.items() if value})
    return image


def _own(cutout: Cutout) -> Cutout:
    """Return the cut-out as a coloured picture, whose results always have four channels."""
    return replace(cutout, source=replace(cutout.source, grey=False, name=""))


def _channels(pixels) -> np.ndarray:
    """Return all rows: (H, W) of one channel, else (H, W, 4), opaque where no alpha is stored."""
    array = pixels.rows(0, pixels.height)
    if pixels.channels == 1:
        return np.ascontiguousarray(array[..., 0])
    if pixels.channels == 4:
        return array
    full = 1 if array.dtype == np.float32 else np.iinfo(array.dtype).max
    return np.dstack([array, np.full(array.shape[:2], full, array.dtype)])
