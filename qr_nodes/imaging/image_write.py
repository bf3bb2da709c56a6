"""Write pictures: straight alpha, exact depth, what the file knew, and never half a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import cv2
import numpy as np
from PIL import Image, ImageColor

from qr_nodes.errors import WriteError, suggest
from qr_nodes.imaging.color import profile_fault, without_owner
from qr_nodes.imaging.image_encode import Pixels, write_png, write_tiff
from qr_nodes.types import Cutout, Source, is_opaque
from qr_nodes.whole import replacing

FORMATS = {
    "png": "PNG",
    "webp": "WebP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "avif": "AVIF",
    "jpg": "JPEG",
    "jpeg": "JPEG",
}
"""A name's ending → the format it stands for."""

CHANNELS = {"PNG": (1, 2, 3, 4), "TIFF": (1, 3, 4), "JPEG": (1, 3), "WebP": (3, 4), "AVIF": (3, 4)}
# Grey with alpha is no TIFF: few programs read it.
SIDES = {"WebP": 16383, "JPEG": 65535, "AVIF": 65536}
DPI = {"JPEG": 65535, "PNG": 5e7}
JPEG_EXIF = 65533
"""Bytes of the largest EXIF block: a segment's length has 16 bits, and counts itself."""

CAMERA = {271, 272, 306}
"""EXIF tags that tell no private matter: make, model and date …"""
CAMERA_EXIF = {
    *(33434, 33437, 34850, 34855, 36864, 36867, 36868, 36880, 36881, 36882),
    *(*range(37377, 37387), 40961, 41986, 41987, 41988, 41989, 41990, 42034, 42035, 42036),
}
"""… exposure, dates, lens; not owner, serial numbers, comments, maker notes, unique ids."""
CREDIT = {315, 33432}
"""Whose picture it is: the artist's name and the copyright notice, which may name them as well."""
STALE = {256, 257, 274, 282, 283, 296, 40962, 40963, 40965}
"""Size, orientation and resolution, which are written anew or not at all."""


def format_of(path: str | os.PathLike) -> str:
    """Give the format that a name's ending stands for, or raise WriteError."""
    ending = Path(path).suffix.lower().lstrip(".")
    if ending not in FORMATS:
        what = f"no format is known for the ending '.{ending}'." if ending else "it has no ending."
        hint = suggest(ending, FORMATS, "End the name in png, webp, tif, avif or jpg.")
        raise WriteError(what, str(path), hint)
    return FORMATS[ending]


def check_target(path: str) -> None:
    """Raise what `write_image` would of a path whatever the picture: WriteError.

    The ending is unknown, the folder does not exist, or what is there is no file.
    """
    format_of(path)
    with _in_words(path):
        target = _target(Path(path))
        _check_there(target, overwrite=True)
        target.parent.stat()


def write_image(
    cutout: Cutout,
    target: str | os.PathLike | BinaryIO,
    *,
    format: str = "",
    content: Literal["cutout", "mask"] = "cutout",
    bits: Literal["source", "8", "16"] = "source",
    compression: int = 4,
    quality: int = 90,
    lossless: bool = False,
    background: str = "#ffffff",
    hidden: Literal["clear", "keep"] = "clear",
    keep_profile: bool = True,
    keep_dpi: bool = True,
    metadata: Literal["none", "camera", "credit", "all"] = "camera",
    overwrite: bool = True,
    name: str = "",
    note: Callable[[str], None] = lambda text: None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> None:
    """Write a cut-out or its matte to a file.

    Parameters
    ----------
    cutout : Cutout
        What to write. Alpha that is 1 everywhere is left out.
    target : path or binary file
        A path is written under another name in the same folder and renamed when complete. A
        file need not be seekable, is flushed and left open.
    format : str
        "PNG", "WebP", "TIFF", "AVIF" or "JPEG"; a path's ending decides when empty.
    content, bits, compression, quality, lossless, background, hidden, keep_profile, keep_dpi,
    metadata, overwrite
        See the node Export.
    name : str
        What messages call a target that is no path.
    note : callable
        Told what could not be kept, one sentence each.
    progress : callable
        Told the fraction done; may raise to stop, which leaves no file behind.

    Raises
    ------
    WriteError
        The ending is unknown, the format cannot hold the picture, or the file cannot be written.
    """
    path = Path(target) if isinstance(target, (str, os.PathLike)) else None
    name = name or str(path or "output")
    with _in_words(name):
        format = format or format_of(name)
        kept = {"keep_profile": keep_profile, "keep_dpi": keep_dpi, "metadata": metadata}
        how = {"content": content, "bits": bits, "background": background, "hidden": hidden}
        pixels = planned_pixels(cutout, format, **how, **kept, note=note)
        with _replacing(path, overwrite) if path else _flushed(target) as out:
            if format == "PNG":
                write_png(out, pixels, compression, progress)
            elif format == "TIFF":
                write_tiff(out, pixels, compression, progress)
            else:
                _write_by_pillow(out, pixels, format, quality, lossless, hidden, progress)


def planned_pixels(
    cutout: Cutout,
    format: str,
    *,
    content: Literal["cutout", "mask"] = "cutout",
    bits: Literal["source", "8", "16"] = "source",
    background: str = "#ffffff",
    hidden: Literal["clear", "keep"] = "clear",
    keep_profile: bool = True,
    keep_dpi: bool = True,
    metadata: Literal["none", "camera", "credit", "all"] = "camera",
    note: Callable[[str], None] = lambda text: None,
) -> Pixels:
    """Return what `write_image` would put into a file of a format, strip by strip."""
    pixels = _pixels(cutout, format, content, bits, background, hidden, note)
    return _with_knowledge(
        pixels, cutout.source, format, content, keep_profile, keep_dpi, metadata, note
    )


class _Refused(Exception):
    """Why a file is not written and what to do about it: two sentences."""


@contextmanager
def _in_words(name: str) -> Iterator[None]:
    """Raise as WriteError what keeps the file `name` from being written."""
    try:
        yield
    except _Refused as refused:
        raise WriteError(refused.args[0], name, refused.args[1]) from refused.__cause__
    except OverflowError as error:
        raise WriteError("a TIFF cannot be larger than 4 GiB.", name, "Use png.") from error
    except OSError as error:
        raise WriteError(*_why(error, name)) from error


def _why(error: OSError, name: str) -> tuple[str, str, str]:
    """Give the words for a failed write: what, where, hint."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full.", name, "Free some space or write to another disk."
    if error.errno == errno.EROFS:
        return "the disk is read-only.", name, "Write to another disk."
    if error.errno in (errno.EACCES, errno.EPERM):
        return "you have no permission to write it.", name, "Choose another folder."
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "its folder does not exist.", name, "Make the folder first, or choose another."
    reason = error.strerror or str(error) or type(error).__name__
    return f"it cannot be written ({reason}).", name, "Choose another name or format."


# --- what is written ----------------------------------------------------------------------------


def _pixels(cutout, format: str, content: str, bits: str, background: str, hidden: str, note):
    """Plan the picture that `format` gets, as `Pixels` without profile, resolution and EXIF."""
    height, width = cutout.shape
    if max(width, height) > SIDES.get(format, 1 << 31):
        raise _Refused(
            f"{format} holds at most {SIDES[format]} px a side, and the picture has "
            f"{width} × {height}.",
            "Use png or tif.",
        )
    dtype = _dtype(cutout.color.dtype, format, bits, note)
    color, alpha = cutout.color, None if is_opaque(cutout.alpha) else cutout.alpha
    if content == "mask":
        grey, color, alpha = True, cutout.alpha[..., None], None
    else:
        grey = cutout.source.grey and bool((color[..., 1:] == color[..., :1]).all())
    color = color[..., :1] if grey else color
    flatten = alpha is not None and max(CHANNELS[format]) < 4
    channels = color.shape[2] + (alpha is not None and not flatten)
    if channels not in CHANNELS[format]:
        channels += 2
    over = np.float32(ImageColor.getrgb(background)[:3]) / 255
    if grey and flatten and np.ptp(over):
        channels, color = 3, np.broadcast_to(color, (height, width, 3))

    def rows(top: int, bottom: int) -> np.ndarray:
        part = color[top:bottom]
        if flatten:
            cover = alpha[top:bottom, :, None]
            part = _levels(part, np.dtype(np.float32))
            part = part * cover + over[: part.shape[2]] * (1 - cover)
        part = _levels(part, dtype)
        if part.shape[2] < channels - 1:
            part = np.repeat(part, 3, axis=2)
        if alpha is None or flatten:
            return part
        cover = _levels(alpha[top:bottom], dtype)
        whole = cv2.merge([np.ascontiguousarray(part), cover]).reshape(*part.shape[:2], channels)
        if hidden == "clear":
            _clear(whole, cover > 0)
        return whole

    return Pixels(width, height, channels, dtype, rows)


def _clear(pixels: np.ndarray, kept: np.ndarray) -> None:
    """Set every channel to 0 where `kept` is not, in place."""
    bytes = pixels.itemsize * pixels.shape[2]
    if bytes <= 8:  # then a pixel is one number
        pixels.view(f"u{bytes}")[..., 0] *= kept
    else:
        pixels *= kept[..., None]


def _dtype(have: np.dtype, format: str, bits: str, note) -> np.dtype:
    if format not in ("PNG", "TIFF"):
        if bits == "16":
            raise _Refused(f"{format} holds 8 bits per channel.", "Use png or tif for 16 bits.")
        if have != np.uint8 and bits == "source":
            note(f"{format} holds 8 bits per channel; the picture has {have.itemsize * 8}.")
        return np.dtype(np.uint8)
    if bits == "source":
        return np.dtype(np.uint16) if format == "PNG" and have == np.float32 else have
    return np.dtype(np.uint8 if bits == "8" else np.uint16)


def _levels(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert between depths: 0 and full stay 0 and full, all else is rounded."""
    if values.dtype == dtype:
        return values
    if values.dtype == np.float32:
        if dtype == np.uint8:
            return cv2.convertScaleAbs(values, alpha=255).reshape(values.shape)
        return np.rint(values * np.float32(np.iinfo(dtype).max)).astype(dtype)
    if dtype == np.float32:
        return np.divide(values, np.float32(np.iinfo(values.dtype).max), dtype=np.float32)
    if dtype == np.uint16:
        return values * np.uint16(257)  # 65535 = 255 · 257
    return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _with_knowledge(
    pixels, source: Source, format, content, keep_profile, keep_dpi, metadata, note
):
    """Add the profile, resolution and EXIF that are wanted and fit."""
    picture = content == "cutout"
    icc = source.icc if picture and keep_profile else None
    if icc is not None and (fault := profile_fault(icc, "L" if pixels.channels < 3 else "RGB")):
        note(f"{fault}, so it was left out.")
        icc = None
    dpi = source.dpi if keep_dpi else None
    if dpi and not all(0 < value <= DPI.get(format, 1e7) for value in dpi):
        note(f"{format} cannot hold {dpi[0]:g} × {dpi[1]:g} dpi; the resolution was left out.")
        dpi = None
    exif = _chosen_exif(source.exif, metadata) if picture else Image.Exif()
    if format == "JPEG" and len(exif) and len(exif.tobytes()) > JPEG_EXIF:
        note("JPEG cannot hold so much about how the picture was taken; it was left out.")
        exif = Image.Exif()
    if dpi and format in ("WebP", "AVIF"):  # which have no other place for it
        exif[282], exif[283], exif[296] = *dpi, 2
    return replace(
        pixels,
        icc=icc and _chosen_profile(icc, metadata),
        dpi=dpi,
        exif=exif if len(exif) else None,
    )


def _chosen_profile(icc: bytes, which: str) -> bytes:
    return icc if which == "all" else without_owner(icc)


def _chosen_exif(block: bytes | None, which: str) -> Image.Exif:
    """Give what of an EXIF block is to be written; nothing of one that cannot be read."""
    chosen = Image.Exif()
    if not block or which == "none":
        return chosen
    try:
        exif = Image.Exif()
        exif.load(block)
        everything = which == "all"
        told = CAMERA | CREDIT if which == "credit" else CAMERA
        for tag, value in exif.items():
            if tag in told or (everything and tag not in STALE | {34665, 34853}):
                chosen[tag] = value
        wanted = {
            tag: value
            for tag, value in exif.get_ifd(34665).items()
            if tag in CAMERA_EXIF or (everything and tag not in STALE)
        }
        if wanted:
            chosen[34665] = wanted
        if everything and (place := exif.get_ifd(34853)):
            chosen[34853] = dict(place)
        chosen.tobytes()
    except Exception:  # a damaged block is the camera's or an editor's doing: leave it out
        return Image.Exif()
    return chosen


def _write_by_pillow(out, pixels, format, quality, lossless, hidden, progress) -> None:
    whole = np.empty((pixels.height, pixels.width, pixels.channels), pixels.dtype)
    for top, bottom in pixels.strips():
        whole[top:bottom] = pixels.rows(top, bottom)
    image = Image.fromarray(whole[..., 0] if pixels.channels == 1 else whole)
    extra = {"icc_profile": pixels.icc, "exif": pixels.exif.tobytes() if pixels.exif else None}
    extra = {key: value for key, value in extra.items() if value}
    if format == "JPEG":
        # Sharp coloured edges on a flat ground: halved chroma would show.
        extra["subsampling"] = 0 if quality >= 90 else 2
        if pixels.dpi:
            extra["dpi"] = tuple(round(value) for value in pixels.dpi)
    elif format == "WebP":
        extra |= {"lossless": lossless, "exact": hidden == "keep"}
    elif lossless:
        # AVIF holds YCbCr: at full quality and chroma it is near, not exact.
        quality, extra["subsampling"] = 100, "4:4:4"
    data = BytesIO()
    progress(0.1)
    image.save(data, format, quality=quality, **extra)
    progress(0.9)
    out.write(data.getbuffer())


# --- where it is written ------------------------------------------------------------------------


@contextmanager
def _flushed(file: BinaryIO) -> Iterator[BinaryIO]:
    yield file
    file.flush()


@contextmanager
def _replacing(path: Path, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` once it is complete, or leaves no trace."""
    target = _target(path)
    _check_there(target, overwrite)
    with replacing(target) as file:
        yield file
        _check_there(target, overwrite)


def _target(path: Path) -> Path:
    """Give the file that a path means: through a link, not over it."""
    try:
        target = Path(os.path.realpath(path))
        os.fsencode(target)
    except ValueError as error:
        raise _Refused("a file cannot be called so.", "Give another name.") from error
    return target


def _check_there(target: Path, overwrite: bool) -> None:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise _Refused("this is a folder.", "Give a file name.")
    if not stat.S_ISREG(mode):
        raise _Refused("this is a device, not a file.", "Give a file name.")
    if not overwrite:
        raise _Refused("the file is there already.", "Allow overwriting or give another name.")
