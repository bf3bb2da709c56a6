"""Read pictures: pixels in their own depth, upright, with what the file knew."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image

from qr_nodes.errors import ReadError
from qr_nodes.imaging.color import profile_fault
from qr_nodes.imaging.encodings import brought_in
from qr_nodes.imaging.image_decode import AGAIN, Decoded, Refused, decode, measure, most_bytes
from qr_nodes.pipes import drained
from qr_nodes.types import Cutout, Source, opaque

ENDINGS = (
    *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "tif", "tiff", "avif", "avifs"),
    *("heic", "heif", "hif", "gif", "bmp", "dib", "ppm", "pgm", "pbm", "pnm", "jp2", "j2k", "jpx"),
    *("tga", "ico", "psd", "qoi", "sgi", "pcx"),
)
"""Endings of names that pictures which are read here usually have."""

# TIFF underneath, so they would open as their thumbnail.
RAW = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".pef", ".raf", ".rw2", ".srw")


def read_image(
    source: str | os.PathLike | bytes | BinaryIO,
    *,
    page: int = 1,
    scale: float = 1.0,
    max_pixels: float = 200e6,
    name: str = "",
    note: Callable[[str], None] = lambda text: None,
) -> Cutout:
    """Read a picture, upright and in its own bit depth.

    Parameters
    ----------
    source : path, bytes or binary file
        What to read; a file need not be seekable, and is left open.
    page : int
        Page of a TIFF or frame of an animation, from 1.
    scale : float
        Size of the result relative to the picture, in (0, 1]; shrunk by area averaging.
    max_pixels : float
        Refuse pictures with more pixels than this; checked before decoding.
    name : str
        What messages call a source that is no path.
    note : callable
        Told what the user should know, one sentence each.

    Returns
    -------
    Cutout
        `color` is uint8, uint16 (more than 8 bits in the file) or float32 (a float TIFF, cut to
        [0, 1]). CMYK and Lab come as sRGB; other colours keep their encoding and profile.

    Raises
    ------
    ReadError
        The file is missing, damaged, not a picture, over the limit, or of a kind not read here.
    """
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    with _in_words(name or str(path or "picture")):
        with _opened(source if path is None else path, most_bytes(max_pixels)) as file:
            picture = decode(file, page, scale, max_pixels, note)
        return cutout_of(picture, scale, path.name if path else "", note)


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Turn whatever is wrong with the file called `name` into a ReadError."""
    try:
        yield
    except Refused as refused:
        raise ReadError(refused.args[0], name, refused.args[1]) from refused
    # Whatever a decoder raises on hostile bytes means that they cannot be decoded.
    except Exception as error:
        raise ReadError("the file is damaged and cannot be decoded.", name, AGAIN) from error


def measure_image(path: str | os.PathLike) -> tuple[int, int, int]:
    """Give width and height in px and bytes per channel, read off a picture's header.

    (0, 0, 1) for what is no picture: reading it says why.
    """
    try:
        path = Path(path)
        with _opened(path, 0) if path.is_file() else BytesIO() as file:  # a pipe gives it once
            return measure(file)
    except Exception:  # as in `read_image`, whatever a decoder raises
        return 0, 0, 1


def _opened(source: Path | bytes | BinaryIO, most: float):
    """Give a context with a seekable file, or say why the path leads to none.

    A pipe is read up to `most` bytes.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return BytesIO(source)
    if not isinstance(source, Path):
        return nullcontext(source if source.seekable() else BytesIO(source.read()))
    if source.suffix.lower() in RAW:
        raise Refused(
            "raw files of cameras are not read.", "Develop it to a TIFF of 16 bits first."
        )
    try:
        found = source.stat()
        mode = found.st_mode
        if stat.S_ISDIR(mode):
            raise Refused("this is a folder.", "Name a picture in it.")
        if stat.S_ISFIFO(mode):
            return BytesIO(drained(source, most))
        if not stat.S_ISREG(mode):
            raise Refused("this is a device, not a file.", "Name a picture.")
        if found.st_size == 0:  # some that the system shows as files keep their reader waiting
            raise Refused("the file is empty.", AGAIN)
        return source.open("rb")
    except PermissionError as error:
        raise Refused("you have no permission to read it.", "Change its permissions.") from error
    except FileNotFoundError as error:
        raise Refused("there is no such file.", "Check the name.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Refused(f"it cannot be opened ({reason}).", "Check the name.") from error


def cutout_of(
    picture: Decoded,
    scale: float = 1.0,
    name: str = "",
    note: Callable[[str], None] = lambda text: None,
) -> Cutout:
    """Return decoded pixels upright, shrunk to `scale`, with alpha apart from the colours.

    A profile that is damaged or does not fit is left out, and `note` told.
    """
    pixels = _upright(_shrunk(picture.pixels, picture.size, scale), picture.orientation)
    grey = pixels.ndim == 2 or pixels.shape[2] == 2
    alpha = None
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        alpha = _unit_alpha(pixels[..., -1])
        pixels = pixels[..., 0] if grey else pixels[..., :3]
    color = cv2.merge([pixels] * 3) if grey else np.ascontiguousarray(pixels)
    icc = picture.icc
    if icc is not None and (fault := profile_fault(icc, "L" if grey else "RGB")):
        note(f"{fault}, so it was left out.")
        icc = None
    if icc is None and picture.encoding is not None:
        color, icc = brought_in(color, picture.encoding, grey, note)
    source = Source(
        name=name,
        format=picture.format,
        bits=color.dtype.itemsize * 8,
        grey=grey,
        icc=icc,
        dpi=_dpi(picture),
        exif=_exif_upright(picture.exif),
    )
    return Cutout(color, opaque(*color.shape[:2]) if alpha is None else alpha, source)


def _unit_alpha(stored: np.ndarray) -> np.ndarray | None:
    """Give a stored alpha as float32 in [0, 1]; None if it is full everywhere."""
    full = 1 if stored.dtype == np.float32 else np.iinfo(stored.dtype).max
    if stored.min() == full:
        return None
    return np.divide(stored, np.float32(full), dtype=np.float32)


def _shrunk(pixels: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray:
    """Shrink to `scale` times `size` (width, height) by area averaging."""
    if scale >= 1:
        return pixels
    wanted = tuple(max(1, round(side * scale)) for side in size)
    small = cv2.resize(pixels, wanted, interpolation=cv2.INTER_AREA)
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        _weigh_by_alpha(small, pixels)
    return small


def _weigh_by_alpha(small: np.ndarray, pixels: np.ndarray) -> None:
    """Average the colours of `pixels` into `small` by their alpha, so clear ones do not bleed."""
    last, size = pixels.shape[2] - 1, small.shape[1::-1]
    alpha = cv2.extractChannel(pixels, last)
    total = cv2.resize(alpha.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mixed = total > 0
    for channel in range(last):
        weighed = cv2.multiply(cv2.extractChannel(pixels, channel), alpha, dtype=cv2.CV_32F)
        value = cv2.resize(weighed, size, interpolation=cv2.INTER_AREA)
        value = np.divide(value, total, out=value, where=mixed)
        value = value if pixels.dtype == np.float32 else np.rint(value)
        np.copyto(small[..., channel], value, where=mixed, casting="unsafe")


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an EXIF orientation: 2 to 4 mirror or turn round, 5 to 8 also swap the axes."""
    if orientation in (5, 6, 7, 8):
        pixels = cv2.transpose(pixels)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else cv2.flip(pixels, flip)


def _dpi(picture: Decoded) -> tuple[float, float] | None:
    """Give a resolution that makes sense, from the file or else from its EXIF block."""
    try:
        dpi = picture.dpi
        if dpi is None and picture.exif:
            exif = Image.Exif()
            exif.load(picture.exif)
            per_inch = {2: 1.0, 3: 2.54}[exif.get(296, 2)]
            dpi = (exif[282] * per_inch, exif[283] * per_inch)
        x, y = (float(value) for value in dpi)
    except Exception:  # a missing or hostile block: then there is no resolution
        return None
    # Pillow gives 1 for a TIFF that says nothing.
    return (x, y) if isfinite(x + y) and min(x, y) > 1 else None


def _exif_upright(exif: bytes | None) -> bytes | None:
    """Set the orientation in an EXIF block to 1 and leave every other byte as it is.

    Written in place: building the block anew would break maker notes, which hold offsets.
    """
    if not exif:
        return None
    block = bytearray(exif)
    tiff = 6 if block[:6] == b"Exif\0\0" else 0
    order = "little" if block[tiff : tiff + 2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], order)

    first = tiff + number(tiff + 4, 4)
    for entry in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if entry + 12 > len(block):
            return None
        if number(entry, 2) == 0x0112:
            block[entry + 8 : entry + 10] = (1).to_bytes(2, order)
    return bytes(block)
