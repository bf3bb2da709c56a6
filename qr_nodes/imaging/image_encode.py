"""Encode pictures as PNG or TIFF: any depth, strip by strip, on all cores.

Pillow writes no colours of 16 bits; OpenCV does, but drops profile, resolution and EXIF. Both
need the whole picture interleaved in memory and cannot be stopped. Here a strip of about a
megabyte at a time is asked for, filtered and compressed, so scratch memory stays small.

Two libraries compress. ISA-L is several times as fast as any zlib and comes near its sizes where
there is grain; on smooth pictures and graphics zlib-ng gives clearly less.

CPU time and size of a cut-out of 12 MP with cleared background, with noise of 4 levels and then
without. Wall time here is that over the cores; Export asks for level 4, Pillow for 6:

    Pillow level 6     2.6 s    9.1 MiB     1.8 s    5.6 MiB
    Pillow level 1     0.62 s  10.5 MiB     0.53 s   7.1 MiB
    OpenCV             0.30 s  11.3 MiB     0.28 s   7.9 MiB
    here, level 1      0.11 s   9.9 MiB     0.07 s   6.5 MiB
    here, level 4      0.20 s   9.8 MiB     0.30 s   5.7 MiB
    here, level 6      0.8 s    9.0 MiB     0.55 s   5.4 MiB
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from isal import isal_zlib
from PIL import Image
from zlib_ng import zlib_ng as zlib

from qr_nodes.imaging.strips import in_order

if TYPE_CHECKING:
    from PIL import TiffImagePlugin

STRIP = 1 << 20
"""Bytes per strip: 10 to 20 ms of compression, which bounds how late a cancel is heard."""
FAST = 4
"""Highest level at which ISA-L may be taken."""
NEAR = 1.055
"""How much larger than by zlib-ng its strip may be; at level 1, as large as it comes."""


@dataclass(frozen=True)
class Pixels:
    """A picture to be encoded, handed out strip by strip.

    Attributes
    ----------
    width, height : size in px
    channels : 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA)
    dtype : uint8, uint16 or (TIFF only) float32
    rows : gives rows `top` to `bottom` as (bottom - top, width, channels) of `dtype`
    icc, dpi, exif : what else to write, or None
    """

    width: int
    height: int
    channels: int
    dtype: np.dtype
    rows: Callable[[int, int], np.ndarray]
    icc: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: Image.Exif | None = None

    def strips(self) -> list[tuple[int, int]]:
        """Cut the rows into strips of about `STRIP` bytes: pairs of first and last + 1."""
        row = self.width * self.channels * self.dtype.itemsize
        step = max(1, STRIP // row)
        return [(top, min(top + step, self.height)) for top in range(0, self.height, step)]


def write_png(out: BinaryIO, pixels: Pixels, level: int, progress: Callable[[float], None]) -> None:
    """Write a PNG of 8 or 16 bits.

    Parameters
    ----------
    out : binary file
        Need not be seekable.
    pixels : Pixels
        Of dtype uint8 or uint16.
    level : int
        Compression, from 0 (none) to 9.
    progress : callable
        Told the fraction done after each strip; may raise to stop.

    References
    ----------
    W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025.
    """
    depth = pixels.dtype.itemsize * 8
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.channels]
    out.write(b"\x89PNG\r\n\x1a\n")
    _chunk(out, b"IHDR", struct.pack(">2I5B", pixels.width, pixels.height, depth, kind, 0, 0, 0))
    if pixels.icc:
        _chunk(out, b"iCCP", b"ICC Profile\0\0" + zlib.compress(pixels.icc))
    if pixels.dpi:
        _chunk(out, b"pHYs", struct.pack(">2IB", *(round(v / 0.0254) for v in pixels.dpi), 1))
    if pixels.exif:
        _chunk(out, b"eXIf", pixels.exif.tobytes().removeprefix(b"Exif\0\0"))

    strips = pixels.strips()
    jobs = ((lambda strip=strip: _png_strip(pixels, *strip, level)) for strip in strips)
    low, high, head = 1, 0, b"\x78\x01"  # the two halves of Adler-32; zlib's header
    for done, (data, size, adler) in enumerate(in_order(jobs), 1):
        # Checksums of parts add up: see adler32_combine in zlib.
        low, high = (
            (low + (adler & 0xFFFF) - 1) % 65521,
            (high + (adler >> 16) + size * (low - 1)) % 65521,
        )
        tail = struct.pack(">2H", high, low) if done == len(strips) else b""
        _chunk(out, b"IDAT", head + data + tail)
        head = b""
        progress(done / len(strips))
    _chunk(out, b"IEND", b"")


def _chunk(out: BinaryIO, name: bytes, data: bytes) -> None:
    crc = zlib.crc32(data, zlib.crc32(name))
    out.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", crc))


def _png_strip(pixels: Pixels, top: int, bottom: int, level: int) -> tuple[bytes, int, int]:
    """Filter and compress one strip: its part of the zlib stream, plain size and Adler-32."""
    above = min(top, 1)
    block = pixels.rows(top - above, bottom)
    if block.dtype == np.uint16:
        block = block.astype(">u2")
    rows = np.ascontiguousarray(block).view(np.uint8).reshape(len(block), -1)
    step = pixels.channels * pixels.dtype.itemsize
    both = _filtered_up(rows, above), _filtered_sub(rows[above:], step)
    last = bottom == pixels.height
    alone = last and not above
    sizes = [len(_quickly(_sample(data, alone), 15)) for data in both]
    filtered = both[sizes[1] < sizes[0]]
    packed = _deflated(filtered, level, -15, alone, last, min(sizes))
    return packed, filtered.size, zlib.adler32(filtered)


def _filtered_up(rows: np.ndarray, above: int) -> np.ndarray:
    out = np.empty((len(rows) - above, rows.shape[1] + 1), np.uint8)
    out[:, 0] = 2
    np.subtract(rows[1:], rows[:-1], out=out[1 - above :, 1:])
    if not above:
        out[0, 1:] = rows[0]
    return out


def _filtered_sub(rows: np.ndarray, step: int) -> np.ndarray:
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = 1
    out[:, 1 : step + 1] = rows[:, :step]
    np.subtract(rows[:, step:], rows[:, :-step], out=out[:, step + 1 :])
    return out


def _sample(data: np.ndarray, alone: bool) -> np.ndarray:
    """Give some rows of a strip to try things on: the middle twentieth, or all of a single one."""
    if alone:
        return data
    return data[len(data) * 19 // 40 : len(data) * 21 // 40 + 1]


def _deflated(
    data: np.ndarray,
    level: int,
    wbits: int,
    alone: bool,
    last: bool = True,
    quickly: int | None = None,
) -> bytes:
    """Compress a strip in the way that suits it; a sample of the rows tells.

    Searching for repetitions pays in smooth pictures and graphics. In noise it finds short
    accidental ones, which cost more bits than they save: there runs of equal bytes and Huffman
    codes alone can give smaller files in half the time. `quickly` is what ISA-L makes of the
    sample, if that is known.
    """
    end = zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH
    if level == 1:
        return _quickly(data, wbits, end)
    sample, quick = _sample(data, alone), 0 < level <= FAST
    if quick and quickly is None:
        quickly = len(_quickly(sample, wbits))
    sizes = {
        way: len(_packed(sample, level - quick, wbits, way))
        for way in (zlib.Z_RLE, zlib.Z_DEFAULT_STRATEGY)
    }
    best = min(sizes, key=sizes.__getitem__)
    if quick and quickly < NEAR * sizes[best]:
        return _quickly(data, wbits, end)
    return _packed(data, level, wbits, best, end)


def _quickly(data: np.ndarray, wbits: int, end: int = zlib.Z_FINISH) -> bytes:
    engine = isal_zlib.compressobj(2, isal_zlib.DEFLATED, wbits)
    return engine.compress(data) + engine.flush(end)


def _packed(
    data: np.ndarray,
    level: int,
    wbits: int,
    strategy: int = zlib.Z_DEFAULT_STRATEGY,
    end: int = zlib.Z_FINISH,
) -> bytes:
    engine = zlib.compressobj(level, zlib.DEFLATED, wbits, 9, strategy)
    return engine.compress(data) + engine.flush(end)


def write_tiff(
    out: BinaryIO, pixels: Pixels, level: int, progress: Callable[[float], None]
) -> None:
    """Write a TIFF of 8 or 16 bits or 32-bit floating point, with straight alpha.

    Parameters
    ----------
    out : binary file
        Need not be seekable.
    pixels : Pixels
        With 1, 3 or 4 channels.
    level : int
        Compression, from 0 (none) to 9.
    progress : callable
        Told the fraction done after each strip; may raise to stop.

    Raises
    ------
    OverflowError
        The file would be larger than 4 GiB, where the offsets of a TIFF end.

    References
    ----------
    Adobe, "TIFF Revision 6.0", 1992; "TIFF Technical Note 2" (deflate), 2002.
    """
    strips = pixels.strips()
    jobs = ((lambda strip=strip: _tiff_strip(pixels, *strip, level)) for strip in strips)
    packed: list[bytes] = []
    for data in in_order(jobs):
        packed.append(data + b"\0" * (len(data) % 2))  # offsets must be even
        progress(len(packed) / len(strips))
    sizes = [len(data) for data in packed]
    if sum(sizes) > 0xFFFFFFFF - (1 << 24):
        raise OverflowError("larger than 4 GiB")
    tags = _tiff_tags(pixels, level)
    tags[278] = strips[0][1]
    tags[273] = tuple(np.cumsum([0, *sizes[:-1]]).tolist())  # Pillow adds where the strips begin
    tags[279] = tuple(sizes)
    out.write(b"II*\0" + struct.pack("<I", 8) + tags.tobytes(8))
    out.writelines(packed)


def _tiff_strip(pixels: Pixels, top: int, bottom: int, level: int) -> bytes:
    block = pixels.rows(top, bottom)
    if _predicted(pixels, level):
        block = np.concatenate([block[:, :1], block[:, 1:] - block[:, :-1]], axis=1)
    block = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("<"), copy=False))
    rows = block.view(np.uint8).reshape(len(block), -1)
    return _deflated(rows, level, 15, len(rows) == pixels.height) if level else rows.tobytes()


def _predicted(pixels: Pixels, level: int) -> bool:
    return level > 0 and pixels.dtype.kind == "u"


def _tiff_tags(pixels: Pixels, level: int) -> TiffImagePlugin.ImageFileDirectory_v2:
    from PIL import TiffImagePlugin, TiffTags

    count = pixels.channels
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in (pixels.exif or {}).items():
        tags[tag] = value
    tags[256], tags[257] = pixels.width, pixels.height
    tags[258] = (pixels.dtype.itemsize * 8,) * count
    tags[259] = 8 if level else 1  # Adobe deflate
    tags[262] = 1 if count == 1 else 2  # black is zero, RGB
    tags[277] = count
    tags[284] = 1  # channels interleaved
    tags[317] = 2 if _predicted(pixels, level) else 1
    tags[339] = (3 if pixels.dtype.kind == "f" else 1,) * count
    if count == 4:
        tags[338] = (2,)  # straight alpha
    if pixels.icc:
        tags.tagtype[34675] = TiffTags.UNDEFINED
        tags[34675] = pixels.icc
    if pixels.dpi:
        tags[282], tags[283] = (TiffImagePlugin.IFDRational(v) for v in pixels.dpi)
        tags[296] = 2  # inch
    for tag in (256, 257, 273, 278, 279):
        tags.tagtype[tag] = TiffTags.LONG
    return tags
