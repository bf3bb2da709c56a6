"""What a PNG's chunks say that decoders do not: soundness, colours, what deep ones are about."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from qr_nodes.imaging.encodings import Encoding, from_cicp, from_png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST = 64 << 20
"""Bytes of a chunk of text or metadata that is still looked at."""


def is_intact(data: bytes) -> bool:
    """Return whether every chunk up to the last is there and has the right checksum."""
    view = memoryview(data)
    for kind, start, length in chunks(io.BytesIO(data)):
        end = start + length
        if zlib.crc32(view[start - 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return False
        if kind == b"IEND":
            return True
    return False


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and length of each chunk's content; damaged files end early."""
    at = len(SIGNATURE)
    while True:
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], at + 8, length
        at += length + 12


def encoding(file: BinaryIO) -> Encoding | None:
    """Return what a PNG says of its colours beside an ICC profile; None for sRGB or nothing.

    The newer way counts: cICP before iCCP and sRGB, these before gAMA and cHRM.
    """
    found: dict[bytes, bytes] = {}
    for kind, start, length in chunks(file):
        if kind == b"IDAT":
            break
        if kind in (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM"):
            file.seek(start)
            found[kind] = file.read(min(length, 32))
    if len(found.get(b"cICP", b"")) == 4:
        return from_cicp(found[b"cICP"][0], found[b"cICP"][1])
    if b"iCCP" in found or b"sRGB" in found:
        return None
    gamma = chromaticities = None
    if len(found.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(found[b"gAMA"], "big") / 100_000
    if len(found.get(b"cHRM", b"")) == 32:
        chromaticities = tuple(value / 100_000 for value in struct.unpack(">8I", found[b"cHRM"]))
    return None if gamma is None and chromaticities is None else from_png(gamma, chromaticities)


def without_pixels(file: BinaryIO) -> Image.Image:
    """Return a PNG of one grey pixel with all that another file says beside its own.

    Pillow looks for EXIF, texts and XMP behind the pixels as well, and decodes these on the way;
    it would reduce deep ones, which are decoded elsewhere.
    """
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", header)]
    behind = False
    for kind, start, length in chunks(file):
        if kind == b"IDAT":
            if not behind:
                parts.append(_chunk(b"IDAT", zlib.compress(b"\0\0")))
            behind = True
        elif kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"pHYs") and length < LARGEST:
            file.seek(start)
            parts.append(_chunk(kind, file.read(length)))
    image = Image.open(io.BytesIO(b"".join([*parts, _chunk(b"IEND", b"")])), formats=["PNG"])
    image.load()
    return image


def _chunk(kind: bytes, content: bytes) -> bytes:
    end = zlib.crc32(kind + content).to_bytes(4, "big")
    return len(content).to_bytes(4, "big") + kind + content + end
