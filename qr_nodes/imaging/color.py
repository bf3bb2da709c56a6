"""Colour profiles: whether one fits, what it says of its owner, and pictures by it in sRGB."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import lru_cache

from PIL import Image

SPACES = {"1": b"GRAY", "L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK", "LAB": b"Lab "}
"""What an ICC profile calls the colour space of Pillow's modes."""
CALLED = {b"GRAY": "grey", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "Lab"}
"""What users call these spaces."""
CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
"""Kinds of profiles that tell what a picture's numbers mean; others join two devices, say."""


def profile_fits(icc: bytes | None, mode: str) -> bool:
    """Return whether `icc` is a sound profile for pictures of Pillow's `mode`."""
    return bool(icc) and profile_fault(icc, mode) == ""


@lru_cache(16)
def profile_fault(icc: bytes, mode: str) -> str:
    """Return why a profile cannot be used for pictures of Pillow's `mode`; "" if it can.

    Parameters
    ----------
    icc : bytes
        Content of an ICC profile.
    mode : "L", "RGB" or "CMYK"

    References
    ----------
    International Color Consortium, "Specification ICC.1:2022".
    """
    if len(icc) < 132 or icc[36:40] != b"acsp" or int.from_bytes(icc[:4], "big") > len(icc):
        return "The colour profile is damaged"
    if icc[12:16] not in CLASSES:
        return "The colour profile is not one for pictures"
    if (space := icc[16:20]) != SPACES[mode]:
        called = CALLED.get(space, "other")
        return f"The colour profile is one for {called} pictures and this is {_article(mode)} one"
    from PIL import ImageCms

    try:  # whoever opens the picture will, and what is no profile for lcms is none for others
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return "The colour profile is damaged"
    return ""


def _article(mode: str) -> str:
    called = CALLED[SPACES[mode]]
    return f"an {called}" if called == "RGB" else f"a {called}"


COMMON = re.compile(
    r"s-?RGB|scRGB|Adobe|Apple|Display|P3|DCI|ProPhoto|ROMM|eciRGB|ECI|Rec|BT|ITU-R|Wide|Gamut|"
    r"ColorMatch|Generic|Gr[ae]y|Dot|Gain|Color LCD|ACES|Linear|Camera|RGB|CIE|Lab|XYZ|FOGRA|SWOP|"
    r"GRACoL|Coated|Uncoated|ISO|IEC|built-in|profile|colou?r|space|gamma|black|scaled|white|point|"
    r"version|preference|appearance|perceptual|viewing|conditions|reference|companding|compatible|"
    r"Microsoft|Google|Skia|Facebook|Nikon|Kodak|artifex|ICC|HP|[DvL]\d+|the|of|in|and|for|with",
    re.IGNORECASE,
)
"""Words in the names of colour spaces that anybody may have; a screen's may hold a person's."""

MAKERS = re.compile(
    r"\(c\)|\b(copyright(ed)?|all|rights?|reserved|no|none|use|freely|public|domain|CC0|CC|BY|SA|"
    r"Creative|Commons|Attribution|Inc|Incorporated|Corp|Corporation|Company|Co|Ltd|LLC|GmbH|AG|"
    r"Systems|Hewlett|Packard|Eastman|Canon|Sony|Fuji|Fujifilm|Epson|Pentax|Olympus|Panasonic|"
    r"Leica|Samsung|Huawei|Phase One|Hasselblad|X-Rite|Pantone|Datacolor|DisplayCAL|ArgyllCMS|"
    r"Linotype|Heidelberger?|basICColor|European|Initiative|International|Consortium|little|cms|"
    r"lcms|GIMP|darktable|RawTherapee|created|free|licen[cs]ed?|under)\b",
    re.IGNORECASE,
)
"""Words in the copyright notices of profiles that come with programs, cameras and systems."""

PRIVATE = (b"mmod", b"meta", b"ndin", b"CIED", b"DevD")
"""Tags that tell one device from others: model and serial number, measurements."""


def without_owner(icc: bytes) -> bytes:
    """Give a profile without what its texts say of whose it is; colours are the same.

    A screen's profile is often called after its owner. Names of common colour spaces stay, and
    so do the copyright notices of those who make profiles for everybody. Everything keeps its
    place and size; one that cannot be read stays whole.

    References
    ----------
    International Color Consortium, "Specification ICC.1:2022".
    """
    data = bytearray(icc)
    try:
        tags = min(int.from_bytes(icc[128:132], "big"), len(icc) // 12)
        for entry in range(132, 132 + 12 * tags, 12):
            name = icc[entry : entry + 4]
            at, size = (int.from_bytes(icc[entry + i : entry + i + 4], "big") for i in (4, 8))
            if not name or at < 132 or at + size > len(icc):
                return icc
            if name in PRIVATE:
                data[at + 8 : at + size] = bytes(size - 8)
            else:
                for start, end, letter in _texts(icc, at, at + size):
                    words = icc[start:end].decode("utf-16-be" if len(letter) == 2 else "latin-1")
                    if name == b"cprt":
                        words = MAKERS.sub("", words)
                    if re.search("[^\\W\\d_]", COMMON.sub("", words)):
                        data[start:end] = letter * ((end - start) // len(letter))
    except ValueError:
        return icc
    if data != icc:
        data[84:100] = bytes(16)  # the checksum: "not computed"
    return bytes(data)


def _texts(icc: bytes, at: int, end: int) -> list[tuple[int, int, bytes]]:
    """Give where the texts of a tag begin and end, and the blank of their encoding."""

    def number(place: int) -> int:
        return int.from_bytes(icc[place : place + 4], "big")

    found, kind = [], icc[at : at + 4]
    if kind == b"text":
        found = [(at + 8, end - 1, b" ")]
    elif kind == b"mluc":  # a record of 12 bytes for each language
        if at + 16 + 12 * number(at + 8) > end:
            raise ValueError("records beyond their tag")
        for record in range(at + 16, at + 16 + 12 * number(at + 8), 12):
            start = at + number(record + 8)
            found.append((start, start + number(record + 4) // 2 * 2, b"\0 "))
    elif kind == b"desc":  # in ASCII, in Unicode, and for the Macintosh
        wide = at + 20 + number(at + 8)
        rest = wide + 2 * number(wide - 4)
        found = [(at + 12, wide - 9, b" "), (wide, rest, b"\0 "), (rest + 3, end, b"\0")]
    found = [(start, stop, blank) for start, stop, blank in found if start < stop]
    if any(stop > end for _, stop, _ in found):
        raise ValueError("a text beyond its tag")
    return found


def to_srgb(
    image: Image.Image, icc: bytes | None, note: Callable[[str], None] = lambda text: None
) -> Image.Image:
    """Give a CMYK or Lab picture in sRGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode "CMYK" (0 is no ink) or "LAB" (as Pillow reads it from a TIFF).
    icc : bytes or None
        The picture's profile. Without a usable one CMYK is taken for plain inverted RGB, and
        Lab for D50, which is what TIFF and ICC define.
    note : callable
        Told if there is a profile that cannot be used.
    """
    from PIL import ImageCms

    lab = image.mode == "LAB"
    if not lab and not profile_fits(icc, image.mode):
        if icc is not None:
            fault = profile_fault(icc, image.mode)
            note(f"{fault}, so the colours are those of plain inks.")
        return image.convert("RGB")
    try:
        profile = ImageCms.createProfile("LAB") if lab else io.BytesIO(icc)
        return ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:
        return image.convert("RGB")
