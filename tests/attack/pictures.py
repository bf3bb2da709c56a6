"""Real picture files of every kind that is read, small, and ways to damage them.

`seeds()` makes the files; `case(number)` damages one of them, always in the same way for the same
number (and the same versions of the libraries that write the seeds).
"""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from functools import cache

import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageCms
from skimage import data

SIDES = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
"""Numbers that programs trip over."""


# ---- whole files ---------------------------------------------------------------------------


def chunk(name: bytes, content: bytes) -> bytes:
    """Give a chunk of a PNG."""
    crc = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def png(pixels: np.ndarray, color: int, interlaced: bool = False, extra: bytes = b"") -> bytes:
    """Give a PNG of (h, w) or (h, w, n) uint8 or uint16, unfiltered, which Pillow cannot write.

    `color` is PNG's number of the kind of colours; `extra` are chunks before the pixels.
    """
    depth = pixels.dtype.itemsize * 8
    big = pixels.astype(f">u{pixels.dtype.itemsize}").reshape(*pixels.shape[:2], -1)
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: first column and row, steps
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)]
        passes += [(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(
        b"\0" + row.tobytes() for x, y, dx, dy in passes for row in big[y::dy, x::dx] if row.size
    )
    size = pixels.shape[1], pixels.shape[0]
    head = struct.pack(">2I5B", *size, depth, color, 0, 0, int(interlaced))
    parts = [chunk(b"IHDR", head), extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif() -> bytes:
    """Give an EXIF block with orientation, resolution, texts, an Exif and a GPS directory."""
    block = Image.Exif()
    block[274], block[282], block[283], block[296] = 6, 300.0, 300.0, 2
    block[271], block[315], block[33432] = "Camera", "Somebody", "Nobody's"
    block[34665] = {33434: 0.01, 36867: "2026:01:01 00:00:00", 37500: b"maker" * 9}
    block[34853] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return block.tobytes()


@cache
def seeds() -> dict[str, bytes]:
    """Give a file of every kind, by name; a photograph of 60 × 44 px."""
    rgb = np.ascontiguousarray(data.chelsea()[40:260:5, 60:360:5])
    height, width = rgb.shape[:2]
    alpha = np.linspace(0, 255, width).astype(np.uint8)[None].repeat(height, 0)
    grey, rgba = rgb[..., 1].copy(), np.dstack([rgb, alpha])
    deep, unit = rgba.astype(np.uint16) * 257, rgb.astype(np.float32) / 255
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    frames = [Image.fromarray(np.roll(rgb, 7 * i, 1)) for i in range(3)]
    known = {"icc_profile": icc, "exif": exif()}
    several = {"save_all": True, "append_images": frames[1:]}

    def saved(pixels, format: str, mode: str = "", **options) -> bytes:
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
        out = io.BytesIO()
        (image.convert(mode) if mode else image).save(out, format, **options)
        return out.getvalue()

    def tiff(pixels, **options) -> bytes:
        out = io.BytesIO()
        tifffile.imwrite(out, pixels, **options)
        return out.getvalue()

    def heif(pixels, **options) -> bytes:
        out = io.BytesIO()
        if pixels.dtype == np.uint16:
            mode = "RGBA;16" if pixels.shape[2] == 4 else "RGB;16"
            image = pillow_heif.from_bytes(mode, (width, height), pixels.tobytes())
        else:
            image = pillow_heif.from_pillow(Image.fromarray(pixels))
        image.save(out, **options)
        return out.getvalue()

    palette = frames[0].quantize(16)
    return {
        "jpeg": saved(rgb, "JPEG", quality=90),
        "jpeg progressive": saved(rgb, "JPEG", progressive=True, **known),
        "jpeg upright": saved(rgb, "JPEG", exif=exif(), subsampling=0),
        "jpeg grey": saved(grey, "JPEG", dpi=(300, 300)),
        "jpeg cmyk": saved(rgb, "JPEG", "CMYK"),
        "jpeg profile": saved(rgb, "JPEG", icc_profile=icc, restart_marker_blocks=2),
        "mpo": saved(frames[0], "MPO", **several),
        "png": saved(rgb, "PNG", **known),
        "png alpha": saved(rgba, "PNG", dpi=(300, 300)),
        "png grey": saved(grey, "PNG"),
        "png 1 bit": saved(grey, "PNG", "1"),
        "png palette": saved(palette, "PNG", transparency=3),
        "png interlaced": png(rgba, 6, interlaced=True),
        "png 16": png(deep, 6),
        "png 16 interlaced": png(deep[..., :3], 2, interlaced=True),
        "png 16 grey": png(deep[..., 0], 0, extra=chunk(b"tRNS", b"\x10\x10")),
        "png 16 grey alpha": png(deep[..., 2:], 4),
        "png animated": saved(frames[0], "PNG", **several),
        "tiff": saved(rgb, "TIFF", **known),
        "tiff alpha": tiff(rgba, photometric="rgb", extrasamples=["unassalpha"]),
        "tiff lzw": saved(rgb, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": saved(rgb, "TIFF", compression="jpeg"),
        "tiff packbits": saved(grey, "TIFF", compression="packbits"),
        "tiff fax": saved(grey, "TIFF", "1", compression="group4"),
        "tiff cmyk": saved(rgb, "TIFF", "CMYK", compression="tiff_adobe_deflate"),
        "tiff lab": saved(rgb, "TIFF", "LAB"),
        "tiff tiles": tiff(rgb, tile=(16, 16), photometric="rgb", compression="zlib"),
        "tiff 16": tiff(deep, photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=7),
        "tiff 16 tiles": tiff(deep[..., :3], tile=(32, 16), compression="zlib", predictor=True),
        "tiff 16 grey": tiff(deep[..., 0], byteorder=">"),
        "tiff float": tiff(unit, photometric="rgb", compression="zlib"),
        "tiff float big": tiff(unit[..., 0], bigtiff=True, resolution=(300, 300)),
        "tiff planes": tiff(np.moveaxis(rgb, 2, 0), photometric="rgb", planarconfig="separate"),
        "tiff pages": tiff(np.stack([rgb, rgb[::-1]]), photometric="rgb", compression="zlib"),
        "webp": saved(rgb, "WEBP", **known),
        "webp lossless": saved(rgb, "WEBP", lossless=True),
        "webp alpha": saved(rgba, "WEBP", quality=60),
        "webp animated": saved(frames[0], "WEBP", **several),
        "gif": saved(palette, "GIF"),
        "gif clear": saved(palette, "GIF", transparency=2, interlace=1),
        "gif animated": saved(frames[0].quantize(8), "GIF", **several),
        "avif": saved(rgb, "AVIF", speed=10, **known),
        "avif alpha": saved(rgba, "AVIF", speed=10, subsampling="4:4:4"),
        "avif animated": saved(frames[0], "AVIF", speed=10, **several),
        "heic": heif(rgb, exif=exif(), icc_profile=icc),
        "heic alpha": heif(rgba),
        "heic 10 bits": heif(np.ascontiguousarray(deep[..., :3]), chroma=444),
        "jpeg 2000": saved(rgb, "JPEG2000"),
        "jpeg 2000 16": saved(deep[..., 0], "JPEG2000", irreversible=True),
        "bmp": saved(rgb, "BMP"),
        "bmp palette": saved(palette, "BMP"),
        "ppm": saved(rgb, "PPM"),
        "tga": saved(rgba, "TGA", compression="tga_rle"),
        "ico": saved(rgba, "ICO", sizes=[(16, 16), (32, 32)]),
        "qoi": saved(rgba, "QOI"),
        "sgi": saved(rgb, "SGI"),
        "pcx": saved(rgb, "PCX"),
        "psd": psd(rgb),
    }


def psd(rgb: np.ndarray) -> bytes:
    """Give a Photoshop file without layers."""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, *rgb.shape[:2], 8, 3)
    planes = b"".join(rgb[..., i].tobytes() for i in range(3))
    return head + struct.pack(">III", 0, 0, 0) + b"\0\0" + planes


# ---- damage --------------------------------------------------------------------------------


def case(number: int) -> tuple[str, bytes]:
    """Give the damaged file with this number, and in words what it is."""
    rng = random.Random(number)
    name = rng.choice(list(seeds()))
    if rng.random() < 0.01:
        name = rng.choice(list(BOMBS))
        return f"{name} bomb", BOMBS[name](rng)
    data, told = bytearray(seeds()[name]), [name]
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        way = rng.choice(WAYS)
        way(rng, data)
        told.append(way.__name__.strip("_").replace("_", " "))
    if data[:4] == b"\x89PNG" and rng.random() < 0.7:
        _with_checksums(data)
    return ", ".join(told), bytes(data)


def _place(rng: random.Random, data: bytearray) -> int:
    """Give a place in the file, every second time near its beginning, where headers are."""
    end = max(1, len(data))
    return rng.randrange(min(end, 400)) if rng.random() < 0.5 else rng.randrange(end)


def _flipped_bits(rng, data):
    for _ in range(rng.choice((1, 1, 2, 5, 20, 100))):
        if data:
            data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _odd_bytes(rng, data):
    at, count = _place(rng, data), rng.choice((1, 1, 2, 4, 16))
    value = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    data[at : at + count] = bytes([value]) * len(data[at : at + count])


def _cut_end(rng, data):
    del data[_place(rng, data) :]


def _cut_out(rng, data):
    at = _place(rng, data)
    del data[at : at + rng.choice((1, 2, 7, 50, 400))]


def _inserted(rng, data):
    at, source = _place(rng, data), _place(rng, data)
    count = rng.choice((1, 2, 4, 30, 300, 3000))
    block = data[source : source + count] if rng.random() < 0.5 else rng.randbytes(count)
    data[at:at] = block * rng.choice((1, 1, 1, 5))


def _spliced(rng, data):
    other = seeds()[rng.choice(list(seeds()))]
    data[_place(rng, data) :] = other[_place(rng, bytearray(other)) :]


def _swapped(rng, data):
    a, b, count = _place(rng, data), _place(rng, data), rng.choice((1, 4, 20, 100))
    data[a : a + count], data[b : b + count] = data[b : b + count], data[a : a + count]


def _odd_number(rng, data):
    kind = rng.choice(["<H", ">H", "<I", ">I", "<Q", ">Q", "<i", ">i"])
    room, value = struct.calcsize(kind), rng.choice((*SIDES, rng.randrange(2**32)))
    at = _place(rng, data)
    if at + room <= len(data):
        value &= (1 << 8 * room) - 1
        value -= (value >> 31) << 32 if kind[1] == "i" else 0
        data[at : at + room] = struct.pack(kind, value)


def _lying_size(rng, data):
    """Write another width or height where this kind of file has it."""
    value = rng.choice((*SIDES, rng.randrange(1, 5000), rng.randrange(1, 200)))
    for at, kind in _size_places(rng, data):
        room = struct.calcsize(kind)
        if rng.random() < 0.7 and at + room <= len(data):
            data[at : at + room] = struct.pack(kind, value & ((1 << 8 * room) - 1))


def _size_places(rng, data) -> list[tuple[int, str]]:
    start = bytes(data[:12])
    if start[:4] == b"\x89PNG":
        return [(16, ">I"), (20, ">I")]
    if start[:3] == b"GIF":
        frames = [match.start() for match in re.finditer(b"\x2c", data)][:20]
        return [(6, "<H"), (8, "<H")] + [(at + rng.choice((1, 3, 5, 7)), "<H") for at in frames]
    if start[:2] == b"\xff\xd8":
        found = [match.start() for match in re.finditer(b"\xff[\xc0-\xc2]\0", data)]
        return [(at + 5 + 2 * i, ">H") for at in found for i in (0, 1)]
    if start[:4] == b"RIFF":
        return [(24, "<H"), (27, "<H"), (26, "<H"), (29, "<H"), (16, "<I"), (4, "<I")]
    if start[:2] == b"BM":
        return [(18, "<I"), (22, "<I")]
    if start[4:8] == b"ftyp":
        found = [match.start() for match in re.finditer(b"ispe", data)]
        return [(at + 8 + 4 * i, ">I") for at in found for i in (0, 1)]
    if start[:2] in (b"II", b"MM"):
        return _tag_places(rng, data, (256, 257, 258, 273, 277, 278, 279, 322, 323, 324, 325))
    if start[:4] == b"8BPS":
        return [(12, ">H"), (14, ">I"), (18, ">I")]
    found = [match.start() for match in re.finditer(b"\xff\x51", data)][:1]
    return [(at + 6 + 4 * i, ">I") for at in found for i in range(8)]


def _tag_places(rng, data, wanted: tuple) -> list[tuple[int, str]]:
    """Give where the values, and now and then types and counts, of a TIFF's tags stand."""
    order, places = ("<" if data[:2] == b"II" else ">"), []
    for tag in wanted:
        at = data.find(struct.pack(order + "H", tag), 8)
        if at >= 0:
            places += [(at + 8, order + "I")] + [(at + 4, order + "I")] * (rng.random() < 0.2)
            places += [(at + 2, order + "H")] * (rng.random() < 0.1)
    return [place for place in places if rng.random() < 0.4]


def _hostile_exif(rng, data):
    """Put an EXIF block of nonsense in the place of the one that is there, or anywhere."""
    entries = rng.choice((0, 1, 3, 12, 65535))
    order = rng.choice("<>")
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", rng.choice((8, 0)))
    block += struct.pack(order + "H", entries)
    for _ in range(min(entries, 12)):
        tag = rng.choice((274, 282, 296, 34665, 34853, 40965, 37500, 330, 700, 0, 65535))
        kind, count = rng.randrange(20), rng.choice(SIDES)
        block += struct.pack(order + "HHII", tag, kind, count, rng.choice((0, 8, 10, 22, *SIDES)))
    block += struct.pack(order + "I", rng.choice((0, 8, 10)))  # the next directory: this one again
    at = data.find(b"Exif\0\0")
    at = at + 6 if at >= 0 else max(data.find(b"eXIf") + 4, data.find(b"EXIF") + 8)
    data[at : at + len(block)] = block


def _hostile_profile(rng, data):
    """Damage a colour profile behind its signature, or cut it."""
    at = data.find(b"acsp") - 36
    if at < 0:
        return _odd_number(rng, data)
    for _ in range(rng.choice((1, 3, 10))):
        place = at + rng.choice((0, 1, 2, 3, 16, 20, 128, 131, rng.randrange(500)))
        if place < len(data):
            data[place] = rng.choice((0, 255, rng.randrange(256)))
    return None


def _other_pixels(rng, data):
    """Compress other, or far too many, bytes into a PNG's pixels."""
    at = data.find(b"IDAT")
    if at < 0:
        return _flipped_bits(rng, data)
    plain = rng.choice((b"", b"\5" * 9999, rng.randbytes(900), bytes(3_000_000)))
    size = int.from_bytes(data[at - 4 : at], "big")
    data[at - 4 : at + size + 8] = chunk(b"IDAT", zlib.compress(plain))
    return None


WAYS = (
    *(_flipped_bits, _flipped_bits, _odd_bytes, _cut_end, _cut_out, _inserted, _spliced, _swapped),
    *(_odd_number, _odd_number, _lying_size, _lying_size, _hostile_exif, _hostile_profile),
    _other_pixels,
)


def _with_checksums(data: bytearray) -> None:
    """Make a PNG's checksums right again, so that what is damaged is read."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[at + 4 : end]))
        at = end + 4


# ---- small files that claim, or hold, far too much -----------------------------------------


def _png_bomb(rng) -> bytes:
    side = rng.choice((1500, 30_000, 2**31 - 1))
    depth, color = rng.choice(((8, 2), (16, 6), (1, 0), (8, 3)))
    rows = zlib.compress(bytes(min(side, 30_000) * 300))
    head = struct.pack(">2I5B", side, side, depth, color, 0, 0, rng.randrange(2))
    parts = chunk(b"IHDR", head), chunk(b"PLTE", bytes(9)), chunk(b"IDAT", rows)
    return b"\x89PNG\r\n\x1a\n" + b"".join((*parts, chunk(b"IEND", b"")))


def _profile_bomb(rng) -> bytes:
    packed = zlib.compress(bytes(50_000_000), 9)
    name = rng.choice((b"iCCP", b"zTXt", b"iTXt"))
    start = b"a\0\1\0\0\0" if name == b"iTXt" else b"a\0\0"
    return png(np.zeros((4, 4, 3), np.uint8), 2, extra=chunk(name, start + packed) * 3)


def _frames_bomb(rng) -> bytes:
    """Give a GIF of very many frames, of a small or a very large canvas."""
    side = rng.choice((1, 1400, 65535))
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x4c\1\0"
    return head + frame * rng.choice((2, 3000, 100_000)) + b";"


def _promised_frames(rng) -> bytes:
    count = struct.pack(">II", rng.choice((2, 2**31 - 1, 2**32 - 1)), 0)
    return png(np.zeros((4, 4, 3), np.uint8), 2, extra=chunk(b"acTL", count))


def _tiff_bomb(rng) -> bytes:
    """Give a TIFF of one deflated strip or tile with a size that it never has."""
    side = rng.choice((1400, 20_000, 60_000, 2**31 - 1))
    packed = zlib.compress(bytes(rng.choice((100, 3_000_000, 60_000_000))), 9)
    bits, kind = rng.choice(((8, 1), (16, 1), (32, 3)))
    tags = {256: side, 257: side, 258: bits, 259: 8, 262: 1, 277: 1, 339: kind}
    if rng.random() < 0.5:
        tile = rng.choice((16, 1408, 65536, 2**31 - 16))
        tags |= {322: tile, 323: tile, 324: 300, 325: len(packed)}
    else:
        tags |= {273: 300, 278: side, 279: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return head.ljust(300, b"\0") + packed


def _pages_bomb(rng) -> bytes:
    """Give a TIFF whose pages go on and on, or in a circle."""
    page = struct.pack("<HHHII", 1, 256, 4, 1, 1)
    count = rng.choice((3, 9000, 20_000))
    pages = b"".join(page + struct.pack("<I", 8 + 18 * (i + 1)) for i in range(count))
    return b"II*\0" + struct.pack("<I", 8) + pages + page + struct.pack("<I", rng.choice((0, 8)))


def _webp_bomb(rng) -> bytes:
    side = rng.choice((1400, 16_384, 1 << 24))
    inner = b"VP8X" + struct.pack("<I", 10) + bytes([rng.choice((0, 2, 16)), 0, 0, 0])
    inner += struct.pack("<I", side - 1)[:3] * 2
    whole = seeds()["webp lossless"]
    inner += whole[12:]
    return b"RIFF" + struct.pack("<I", len(inner) + 4) + b"WEBP" + inner


BOMBS = {
    "png": _png_bomb,
    "profile": _profile_bomb,
    "frames": _frames_bomb,
    "promised frames": _promised_frames,
    "tiff": _tiff_bomb,
    "tiff pages": _pages_bomb,
    "webp": _webp_bomb,
}
