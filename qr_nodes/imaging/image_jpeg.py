"""Decode JPEGs, and tell those that are whole from those that only look so.

A decoder goes on where data are damaged and fills the rest with grey. libjpeg-turbo warns of it;
only through simplejpeg can its warnings be heard. Zeros in the place of data, as a bad disk or a
copy that was cut leaves them, decode without a warning as often as not: they are looked for.

References
----------
ITU-T T.81 (1992), the markers and Huffman tables of JPEG.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

END = b"\xff\xd9"
"""The marker that every JPEG ends with."""


ZEROS = 64
"""Bytes of zeros in a row that are no picture: with most tables, twenty coefficients of -1."""


class Damaged(Exception):
    """The data end, or make no sense, before all rows are there.

    Attributes
    ----------
    sound : the data up to there, or all of them without an end marker if that is not known
    cut : nothing follows them
    """

    def __init__(self, sound: bytes, cut: bool = False):
        super().__init__()
        self.sound, self.cut = sound, cut


def decode_jpeg(
    data: bytes, grey: bool, least: tuple[int, int] | None, note: Callable[[str], None]
) -> np.ndarray | None:
    """Return a JPEG's pixels, or None if it is of a kind that is not decoded here.

    Parameters
    ----------
    data : bytes
    grey : bool
        Decode to grey rather than to RGB.
    least : (height, width) or None
        What is needed; the result has at least so many rows and columns, and at most twice that
        or what is stored. None for all that is stored.
    note : callable
        Told of what is odd, though all rows are there.

    Returns
    -------
    pixels : (H, W) or (H, W, 3) uint8

    Raises
    ------
    Damaged
        Some rows are not there.
    """
    import simplejpeg

    def pixels(data: bytes, strict: bool = True) -> np.ndarray:
        height, width = least or (0, 0)
        found = simplejpeg.decode_jpeg(
            data, "GRAY" if grey else "RGB", min_height=height, min_width=width, strict=strict
        )
        return found[..., 0] if grey else found

    if (zeros := _zeros(data)) >= 0:
        raise Damaged(data[:zeros])
    try:
        return pixels(data)
    except ValueError as error:
        fault = str(error)
    if "extraneous bytes" in fault:
        note("Its data do not end where its rows do: parts of the picture may be wrong.")
        return pixels(data, strict=False)
    if "Premature end of JPEG file" in fault:
        try:
            found = pixels(_ended(data))
        except ValueError as error:
            raise Damaged(data, cut=True) from error
        note("The file's end is missing; all rows are there.")
        return found
    if "Corrupt" in fault or "premature" in fault:
        raise Damaged(data[: data.rfind(END)])
    return None


def _zeros(data: bytes) -> int:
    """Return where zeros stand in the place of a sequential JPEG's data, or -1.

    A code of zeros alone is the first of its Huffman table. Where that means that nothing more
    comes in a block, rows of them are flat parts of the picture.
    """
    at, first = 2, []
    while at + 4 <= len(data) and data[at] == 0xFF:
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xC2:  # progressive: zeros may mean anything
            return -1
        if kind == 0xC4:
            first += _first_symbols(data[at + 4 : at + 2 + length])
        if kind == 0xDA:
            zeros = data.find(bytes(ZEROS), at)
            end = data.find(END, at)
            inside = 0 <= zeros < (len(data.rstrip(b"\0")) if end < 0 else end)
            return zeros if inside and any(symbol & 15 for symbol in first) else -1
        at += 2 + length
    return -1


def _first_symbols(tables: bytes) -> list[int]:
    """Return what the code of zeros alone means in each table of coefficients but the first."""
    found, at = [], 0
    while at + 17 < len(tables):
        if tables[at] >> 4:  # of AC coefficients
            found.append(tables[at + 17])
        at += 17 + sum(tables[at + 1 : at + 17])
    return found


def _ended(data: bytes) -> bytes:
    """Return a JPEG with an end marker in the place of zeros that a copy left there."""
    sound = data.rstrip(b"\0")
    return sound + (b"\0" if sound.endswith(b"\xff") else b"") + END
