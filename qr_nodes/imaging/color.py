"""Bring pictures in print and laboratory colour spaces to sRGB."""

from __future__ import annotations

import io

from PIL import Image

SPACES = {"1": b"GRAY", "L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}
"""What an ICC profile calls the colour space of Pillow's modes."""


def profile_fits(icc: bytes | None, mode: str) -> bool:
    """Say whether `icc` is a profile for pictures of Pillow's `mode`, going by its header."""
    return bool(icc) and len(icc) >= 128 and icc[36:40] == b"acsp" and icc[16:20] == SPACES[mode]


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """Give a CMYK or Lab picture in sRGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode "CMYK" (0 is no ink) or "LAB" (as Pillow reads it from a TIFF).
    icc : bytes or None
        The picture's profile. Without a usable one CMYK is taken for plain inverted RGB, and
        Lab for D50, which is what TIFF and ICC define.
    """
    from PIL import ImageCms

    lab = image.mode == "LAB"
    if not lab and not profile_fits(icc, image.mode):
        return image.convert("RGB")
    try:
        profile = ImageCms.createProfile("LAB") if lab else io.BytesIO(icc)
        return ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:
        return image.convert("RGB")
