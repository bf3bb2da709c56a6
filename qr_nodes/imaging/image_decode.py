"""Decode picture files of every kind into plain arrays, in the file's own bit depth.

Pillow identifies files and decodes what has 8 bits, but for JPEGs (see `image_jpeg`). OpenCV
decodes colours of more than 8 bits, which Pillow would reduce, and tifffile what TIFFs hold that
neither knows. HEIC goes through pillow-heif. Each is imported only when it is needed.

State: importing this lifts Pillow's own pixel limit, which cannot be set per call, and silences
its warnings; `decode` has a limit that is checked before anything is decoded.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from qr_nodes.imaging import image_png
from qr_nodes.imaging.color import to_srgb
from qr_nodes.imaging.encodings import ADOBE_RGB, Encoding, from_cicp
from qr_nodes.imaging.image_jpeg import Damaged, decode_jpeg

if TYPE_CHECKING:
    from PIL import TiffImagePlugin

# Named one by one: Pillow also opens formats that start other programs (EPS) or are no pictures.
# The first few come without importing the plug-ins of the rest.
FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "DIB", "PPM", "WEBP", "TIFF", "AVIF"),
    *("JPEG2000", "TGA", "ICO", "PSD", "QOI", "SGI", "PCX"),
)
PAGED = ("PNG", "WEBP", "TIFF", "AVIF", "GIF")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AGAIN = "Copy or export it again."
COPY = "Copy it again."
RESAVE = "Save it as an ordinary RGB TIFF or PNG."
TIFF_EXIF = (270, 271, 272, 305, 306, 315, 33432, 34665, 34853)
"""TIFF tags that describe the picture rather than the file: texts, Exif and GPS directories."""

Image.MAX_IMAGE_PIXELS = None
# Pillow warns of odd metadata and goes on; what matters to the user is raised or noted here.
warnings.filterwarnings("ignore", module=r"PIL\.")
for _library in ("PIL", "tifffile"):
    logging.getLogger(_library).addHandler(logging.NullHandler())


@dataclass
class Decoded:
    """Pixels as they lie in a file, not yet upright, and what the file says of them.

    Attributes
    ----------
    pixels : (H, W) or (H, W, 2 to 4) uint8, uint16 or float32
        L, LA, RGB or RGBA with straight alpha.
    format : Pillow's name of the file format
    size : width and height in the file; `pixels` of a JPEG may be fewer
    icc : ICC profile of the file, or None; b"" for one that cannot be unpacked
    dpi : horizontal and vertical resolution, or None
    exif : EXIF block, or None
    orientation : EXIF orientation of `pixels`, 1 to 8
    encoding : what the file says of its colours otherwise than by a profile; None for sRGB
    """

    pixels: np.ndarray
    format: str
    size: tuple[int, int]
    icc: bytes | None = None
    dpi: tuple | None = None
    exif: bytes | None = None
    orientation: int = 1
    encoding: Encoding | None = None


class Refused(Exception):
    """Why a file is not read and what to do about it: two sentences.

    Attributes
    ----------
    kind : "damaged", "unknown" (no picture of a kind that is read) or "too large" (in pixels)
    """

    def __init__(self, what: str, hint: str, kind: str = "damaged"):
        super().__init__(what, hint)
        self.kind = kind


def decode(
    file: BinaryIO, page: int, scale: float, max_pixels: float, note: Callable[[str], None]
) -> Decoded:
    """Decode one page of a picture file.

    Parameters
    ----------
    file : seekable binary file
    page : int
        From 1.
    scale : float
        Size wanted, in (0, 1]; a JPEG may come smaller than stored, never smaller than this.
    max_pixels : float
        Largest size allowed, in pixels.
    note : callable
        Told what the user should know.

    Raises
    ------
    Refused
        For every fault with a name; damaged files raise what their decoder raises.
    """
    start = file.read(64)
    size = file.seek(0, 2)
    file.seek(0)
    if not start:
        raise Refused("the file is empty.", AGAIN)
    if size > most_bytes(max_pixels):
        raise Refused(
            f"the file has {size / 1e6:.0f} MB, and a picture within the limit of "
            f"{max_pixels / 1e6:.4g} MP has {most_bytes(max_pixels) / 1e6:.0f} MB at most.",
            "Raise the limit if you trust the file.",
            "too large",
        )
    if _is_heif(start):
        return _heif(file, page, max_pixels, note)
    if _is_tiff(start):
        pages = _tiff_pages(file)
        _check_page(page, len(pages), note)
        tags = _tiff_tags(file, pages[page - 1])
        bits, whole = max(tags.get(258, (1,))), 3 not in tags.get(339, (1,))
        alone = tags.get(277, 1) == 1
        if tags.get(262) in (0, 1, 2) and bits > 8 and not (bits == 32 and whole and alone):
            return _deep_tiff(file, tags, pages[page - 1], page, max_pixels, note)
    return _pillow(file, start, page, scale, max_pixels, note)


def most_bytes(max_pixels: float) -> float:
    """Give how large a file may be, since some decoders hold all of it in memory.

    Four channels of 32 bits for every pixel of the limit, and room for what is no pixels.
    """
    return 16 * max_pixels + (64 << 20)


def measure(file: BinaryIO) -> tuple[int, int, int]:
    """Return width and height in px and bytes per channel of a picture, from its header alone.

    They are those of the upright picture. Of a file with several pages the first is measured.
    Damaged files raise what their decoder raises.
    """
    start = file.read(64)
    file.seek(0)
    if _is_heif(start):
        import pillow_heif

        heif = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
        return *heif.size, 1 if heif.info.get("bit_depth", 8) <= 8 else 2
    if _is_tiff(start):  # Pillow knows not every depth
        tags = _tiff_tags(file, next(iter(_tiff_pages(file)), 0))
        size = int(tags[256]), int(tags[257])
        return *_turned(size, tags.get(274, 1)), max(1, max(tags.get(258, (8,))) // 8)
    image = _known(file)
    exif = Image.Exif()
    exif.load(image.info.get("exif"))  # what stands before the pixels: `getexif` may load them
    size = _turned(image.size, exif.get(274, 1))
    return *size, 1 if _deep_bits(image.format, start, file) <= 8 else 2


def _turned(size: tuple[int, int], orientation: object) -> tuple[int, int]:
    return size[::-1] if orientation in (5, 6, 7, 8) else size


def _is_heif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS and b"avif" not in start[8:32]


def _is_tiff(start: bytes) -> bool:
    return start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _check_size(width: int, height: int, max_pixels: float) -> None:
    if width < 1 or height < 1:
        raise Refused("the picture has no pixels.", AGAIN)
    if width * height > max_pixels:
        raise Refused(
            f"{width} × {height} px are {width * height / 1e6:.4g} MP, and the limit is "
            f"{max_pixels / 1e6:.4g} MP.",
            "Raise the limit if you trust the file.",
            "too large",
        )


def _check_page(page: int, pages: int, note: Callable[[str], None]) -> None:
    if page > pages:
        raise Refused(
            f"page {page} is asked for, and the file holds {pages}.",
            f"Use a page from 1 to {pages}." if pages > 1 else "Use page 1.",
        )
    if pages > 1 and page == 1:
        note(f"The file holds {pages} pages or frames; the first is used.")


# --- by way of Pillow ---------------------------------------------------------------------------


def _pillow(file, start, page, scale, max_pixels, note) -> Decoded:
    image = _known(file)
    _check_size(*image.size, max_pixels)
    if image.format != "TIFF":  # whose pages are counted already
        several = image.format in PAGED and getattr(image, "is_animated", False)
        _check_page(page, image.n_frames if several else 1, note)
    if page > 1:
        image.seek(page - 1)
        _check_size(*image.size, max_pixels)

    info, size, exif = image.info, image.size, None
    bits = _deep_bits(image.format, start, file) if page == 1 else 8
    pixels = _deep(file, start, image, bits) if bits > 8 else None
    if pixels is not None and image.format == "PNG":
        about = image_png.without_pixels(file)
        info, exif = about.info, about.getexif()
    if pixels is None and image.format in ("JPEG", "MPO"):
        pixels = _jpeg(file, image, scale, note)
    if pixels is None:
        if scale < 1:  # JPEG only: decodes to 1/2, 1/4 or 1/8 at a fraction of the cost
            image.draft(None, _least(image, scale))
        _load(image)
        if bits > 8 and image.mode in ("RGB", "RGBA"):
            note(f"Of the file's {bits} bits per channel, 8 could be read.")
        info = image.info
        pixels = _array(image, note)
    found = _described(image, pixels, size, info, exif)
    found.encoding = _encoding(image, file, info)
    return found


def _encoding(image: Image.Image, file: BinaryIO, info: dict) -> Encoding | None:
    """Return what a file says of its colours otherwise than by an ICC profile."""
    if image.mode in ("CMYK", "LAB"):
        return None
    if image.format == "PNG":
        return image_png.encoding(file)
    if image.format == "AVIF" and not info.get("icc_profile"):
        file.seek(0)
        head = file.read(1 << 16)
        at = head.find(b"colrnclx") + 8  # ISO/IEC 14496-12, ColourInformationBox
        if 8 <= at <= len(head) - 4:
            return from_cicp(*(int.from_bytes(head[at + i : at + i + 2], "big") for i in (0, 2)))
    if image.format in ("JPEG", "MPO") and not info.get("icc_profile") and info.get("exif"):
        exif = image.getexif()
        camera = exif.get_ifd(0x8769)
        space, related = camera.get(0xA001), exif.get_ifd(0xA005).get(1, "")
        # 2 stands for it in files of before the standard.
        if space == 2 or (space == 0xFFFF and str(related).startswith("R03")):
            return ADOBE_RGB
    return None


def _least(image: Image.Image, scale: float) -> tuple[int, int]:
    """Return the width and height that a picture must have to be shrunk to a scale."""
    return tuple(max(1, round(side * scale)) for side in image.size)


def _jpeg(file, image: Image.Image, scale: float, note) -> np.ndarray | None:
    """Decode a JPEG, or None for one that Pillow must; raises Refused for what is damaged."""
    if image.mode not in ("L", "RGB"):
        return None
    data = _bytes(file)
    least = _least(image, scale)[::-1] if scale < 1 else None
    try:
        return decode_jpeg(data, image.mode == "L", least, note)
    except Damaged as error:
        cut = Image.open(io.BytesIO(error.sound), formats=["JPEG"])
        with contextlib.suppress(OSError):
            cut.load()
        what, hint = ("the file ends early", COPY) if error.cut else ("its data are damaged", AGAIN)
        raise Refused(f"{what}{_so_far(cut)}.", hint) from error


def decoded_pillow(image: Image.Image, note: Callable[[str], None]) -> Decoded:
    """Return a Pillow picture of any mode as if it came from a file, or raise Refused."""
    _load(image)
    return _described(image, _array(image, note), image.size, image.info)


def _described(image, pixels, size, info: dict, exif: Image.Exif | None = None) -> Decoded:
    """Put together the pixels of a loaded picture and what is known of it."""
    # Asked after loading, since Pillow obeys a TIFF's orientation itself and then takes it out.
    # Of a PNG not loaded it would load all pixels in search of a block that is not there.
    exif = image.getexif() if exif is None else exif
    converted = image.mode in ("CMYK", "LAB")
    return Decoded(
        pixels,
        image.format or "",
        size,
        icc=None if converted else _profile(info),
        dpi=info.get("dpi"),
        exif=_tiff_exif(exif) if image.format == "TIFF" else info.get("exif"),
        orientation=exif.get(274, 1),
    )


def _profile(info: dict) -> bytes | None:
    """Return the ICC profile that Pillow found; b"" where it found one that cannot be unpacked."""
    icc = info.get("icc_profile")
    return icc if isinstance(icc, bytes) else b"" if "icc_profile" in info else None


def _known(file: BinaryIO) -> Image.Image:
    """Open by one of the decoders that Pillow loads at once, or by any it has."""
    for load in (Image.preinit, Image.init):
        load()
        with contextlib.suppress(UnidentifiedImageError):
            return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
    raise Refused(
        "this is not a picture of a kind that can be read.",
        "Use JPEG, PNG, WebP, TIFF, AVIF, HEIC, GIF, BMP or JPEG 2000.",
        "unknown",
    )


def _load(image: Image.Image) -> None:
    """Decode, or say how many rows of a file that ends early are there."""
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error):
            raise
        raise Refused(f"the file ends early{_so_far(image)}.", COPY) from error


def _so_far(image: Image.Image) -> str:
    """Return how much of a picture was decoded, in words, or "" if nobody knows."""
    box = image.im.getbbox() if image.im else None
    # Rows not decoded are black. BMP and TGA fill from the bottom.
    return f", after {100 * (box[3] - box[1]) // image.im.size[1]} % of its rows" if box else ""


def _array(image: Image.Image, note: Callable[[str], None]) -> np.ndarray:
    """Give a loaded picture of any mode as L, LA, RGB or RGBA."""
    mode = image.mode
    if mode.startswith("I;16"):
        pixels = np.asarray(image).astype(np.uint16)
        key = image.info.get("transparency")
        alpha = () if key is None else (np.where(pixels == key, 0, 65535).astype(np.uint16),)
        return np.dstack([pixels, *alpha]) if alpha else pixels
    if mode == "I":
        # Whole numbers of 32 bits mostly hold 16.
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 65535:
            raise Refused("its 32-bit whole numbers have no known white.", "Save it with 16 bits.")
        return pixels.astype(np.uint16)
    if mode == "F":
        return unit_floats(np.asarray(image), note)
    if mode in ("CMYK", "LAB"):
        return np.asarray(to_srgb(image, _profile(image.info), note))
    grey = mode in ("1", "L", "LA", "La")
    wanted = ("L" if grey else "RGB") + "A" * image.has_transparency_data
    return np.asarray(image if mode == wanted else image.convert(wanted))


def unit_floats(pixels: np.ndarray, note: Callable[[str], None]) -> np.ndarray:
    """Return floating-point values as float32 in [0, 1], and tell if some were beyond."""
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and high <= 1:
        return pixels.astype(np.float32, copy=False)
    note("Values below 0 or above 1, or not numbers, were brought to 0 and 1.")
    return np.nan_to_num(pixels, nan=0.0).clip(0, 1).astype(np.float32)


# --- by way of OpenCV ---------------------------------------------------------------------------


def _deep_bits(format: str, start: bytes, file: BinaryIO) -> int:
    """Give the bits per channel of colours that Pillow would reduce to 8; 8 for all else."""
    if format == "PNG":
        return 16 if start[24] == 16 and start[25] in (2, 4, 6) else 8
    if format not in ("AVIF", "JPEG2000", "PPM"):
        return 8
    file.seek(0)
    head = file.read(1 << 14)
    if format == "PPM":  # P6, width, height, largest value; other kinds Pillow keeps whole
        words = re.sub(rb"#[^\n]*", b"", head).split(maxsplit=4)
        return int(words[3]).bit_length() if words[0] == b"P6" and words[3].isdigit() else 8
    if format == "AVIF":  # AV1 codec configuration box: high_bitdepth, twelve_bit
        at = head.find(b"av1C")
        flags = head[at + 6] if 0 < at < len(head) - 6 else 0
        return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    at = head.find(b"\xff\x4f\xff\x51")  # JPEG 2000 SIZ: 40 bytes on, channels and their depth
    channels, depth = (head[at + 41], head[at + 42]) if 0 <= at < len(head) - 42 else (1, 7)
    return (depth & 0x7F) + 1 if channels > 1 else 8


def _deep(file, start: bytes, image: Image.Image, bits: int) -> np.ndarray | None:
    """Decode colours of more than 8 bits; None for damaged files, of which Pillow says more."""
    data = _bytes(file)
    if image.format == "PNG" and not image_png.is_intact(data):
        return None  # libpng would go on
    pixels = _rgb(_opencv(cv2.imdecode, data, cv2.IMREAD_UNCHANGED))
    if pixels is None or pixels.dtype != np.uint16:
        return None
    if image.format == "PNG" and start[25] == 4:
        return np.ascontiguousarray(pixels[..., ::3])  # grey and alpha
    return pixels if bits == 16 else _stretched(pixels, bits)


def _bytes(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


def _opencv(decoder: Callable, data: bytes, *args):
    """Call one of OpenCV's decoders without its log, which would go to the terminal."""
    log = getattr(cv2.utils, "logging", cv2)  # where OpenCV 5 has it, and 4
    level = log.getLogLevel()
    log.setLogLevel(0)  # silent
    try:
        return decoder(np.frombuffer(data, np.uint8), *args)
    finally:
        log.setLogLevel(level)


def _rgb(pixels: np.ndarray | None) -> np.ndarray | None:
    """Turn OpenCV's BGR or BGRA round; float64 becomes float32."""
    if pixels is not None and pixels.dtype == np.float64:
        pixels = pixels.astype(np.float32)
    if pixels is None or pixels.ndim == 2:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


def _stretched(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Spread `bits` significant low bits over the 16 there are: full stays full."""
    top = (1 << bits) - 1
    levels = (np.arange(top + 1, dtype=np.uint32) * 65535 + top // 2) // top
    return levels.astype(np.uint16)[np.minimum(pixels, top)]


# --- TIFF and HEIF ------------------------------------------------------------------------------


def _tiff_pages(file: BinaryIO) -> list[int]:
    """Give where each page's tags stand, without reading them: a chain of counts and offsets."""
    header = file.read(16)
    order = "little" if header[:2] == b"II" else "big"
    big = 43 in header[2:4]
    counter, entry, pointer = (8, 20, 8) if big else (2, 12, 4)
    at, pages = int.from_bytes(header[pointer : 2 * pointer], order), {}
    while at and at not in pages and len(pages) < 10_000:  # damaged chains may never end
        pages[at] = None
        file.seek(at)
        count = int.from_bytes(file.read(counter), order)
        file.seek(at + counter + count * entry)
        at = int.from_bytes(file.read(pointer), order)
    return list(pages)


def _tiff_tags(file: BinaryIO, offset: int) -> TiffImagePlugin.ImageFileDirectory_v2:
    from PIL import TiffImagePlugin

    file.seek(0)
    header = file.read(16)
    tags = TiffImagePlugin.ImageFileDirectory_v2(header if 43 in header[2:4] else header[:8])
    file.seek(offset)
    tags.load(file)
    file.seek(0)
    return tags


def _deep_tiff(file, tags, offset: int, page: int, max_pixels: float, note) -> Decoded:
    """Decode grey, RGB or RGBA of 16 bits or floating point."""
    width, height, samples = tags[256], tags[257], tags.get(277, 1)
    _check_size(width, height, max_pixels)
    kind, bits, orientation = max(tags.get(339, (1,))), max(tags.get(258, (1,))), 1
    if kind == 2 or (kind == 1 and bits == 32):
        sign = "signed " if kind == 2 else ""
        raise Refused(f"its {sign}{bits}-bit whole numbers have no known white.", RESAVE)
    if samples > 4:
        raise Refused(f"its {samples} channels are not read.", RESAVE)
    # Of halves, grey with alpha and channels one after the other OpenCV would give wrong pixels.
    half, apart = kind == 3 and bits == 16, samples > 1 and tags.get(284, 1) != 1
    if half or apart or samples == 2:
        pixels, orientation = _by_tifffile(file, page), tags.get(274, 1)
    else:
        data, flags = _bytes(file), cv2.IMREAD_UNCHANGED
        _, pages = _opencv(cv2.imdecodemulti, data, flags, None, (page - 1, page))
        pixels = _rgb(pages[0]) if pages else None
    if pixels is None or pixels.dtype not in (np.uint16, np.float32):
        raise Refused("its pixels are damaged or of a kind that is not read.", RESAVE)
    if pixels.dtype == np.float32:
        pixels = unit_floats(pixels, note)
    if tags[262] == 0:  # white is zero
        pixels = (65535 if pixels.dtype == np.uint16 else 1) - pixels
    meaning = tags.get(338, (0,))[
        0
    ]  # of a channel beyond colour: 1 premultiplied alpha, 2 straight
    if samples in (2, 4):
        pixels = _straight(pixels) if meaning == 1 else pixels
        pixels = pixels if meaning in (1, 2) else pixels[..., :-1]
        pixels = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    per_inch = {2: 1.0, 3: 2.54}.get(tags.get(296, 2))
    dpi = tuple(float(tags[tag]) * per_inch for tag in (282, 283) if tag in tags and per_inch)
    exif = Image.Exif()
    file.seek(0)
    head = file.read(4)
    exif.endian, exif.bigtiff = "<" if head[:2] == b"II" else ">", 43 in head[2:]
    exif.load_from_fp(file, offset)
    # OpenCV obeys the orientation, so the size is that of its pixels.
    size = (pixels.shape[1], pixels.shape[0])
    icc = _profile({"icc_profile": tags[34675]} if 34675 in tags else {})
    return Decoded(pixels, "TIFF", size, icc, dpi or None, _tiff_exif(exif), orientation)


def _by_tifffile(file, page: int) -> np.ndarray:
    """Decode a page of a TIFF as it lies, floating point as float32; raises Refused."""
    import tifffile

    file.seek(0)
    try:
        with tifffile.TiffFile(file) as pages:
            found = pages.pages[page - 1]
            pixels = found.asarray()
            if found.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
                pixels = np.moveaxis(pixels, 0, -1)
    except Exception as error:  # whatever it raises of a compression or of damaged bytes
        raise Refused("its deep channels cannot be decoded.", RESAVE) from error
    return np.ascontiguousarray(pixels.astype(np.float32) if pixels.dtype.kind == "f" else pixels)


def _straight(pixels: np.ndarray) -> np.ndarray:
    """Divide premultiplied colours by their alpha; clear ones become black."""
    whole = pixels.dtype != np.float32
    full = np.float32(np.iinfo(pixels.dtype).max if whole else 1)
    alpha = pixels[..., -1:].astype(np.float32)
    color = np.minimum(pixels[..., :-1] * (full / np.maximum(alpha, full * 1e-6)), full)
    color = np.rint(color) if whole else color
    return np.dstack([color.astype(pixels.dtype), pixels[..., -1]])


def _tiff_exif(exif: Image.Exif) -> bytes | None:
    """Give what describes the picture among a TIFF's tags, as an EXIF block of its own."""
    kept = Image.Exif()
    for tag in TIFF_EXIF:
        value = exif.get_ifd(tag) if tag in (34665, 34853) else exif.get(tag)
        if value:
            kept[tag] = value
    return kept.tobytes() if len(kept) else None


def _heif(file, page: int, max_pixels: float, note) -> Decoded:
    import pillow_heif

    heif = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
    _check_page(page, len(heif), note)
    # The first page is the picture that the file is about, wherever it lies.
    order = sorted(range(len(heif)), key=lambda place: place != heif.primary_index)
    image = heif[order[page - 1]]
    _check_size(*image.size, max_pixels)
    pixels = np.asarray(image)
    if pixels.dtype == np.uint16:  # 10 or 12 bits, at the upper end of 16
        bits = int(image.info["bit_depth"])
        pixels = _stretched(pixels >> (16 - bits), bits)
    if image.premultiplied_alpha:
        pixels = _straight(pixels)
    # Its decoder applies rotation and mirroring itself; the EXIF orientation only repeats them.
    info = image.info
    found = Decoded(pixels, "HEIF", image.size, _profile(info), exif=info.get("exif"))
    if not found.icc and (told := info.get("nclx_profile")):
        found.encoding = from_cicp(told["color_primaries"], told["transfer_characteristics"])
    return found
