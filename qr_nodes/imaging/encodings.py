"""Colours that a file tells otherwise than by an ICC profile, brought to what the program reads.

Four ways lead here: CICP code points (HEIC, AVIF, PNG), PNG's gamma and chromaticities, and the
camera standard's mark for Adobe RGB in EXIF. Wider or other primaries go on as an ICC profile that
says the same, so no colour is lost. Light that is stored otherwise than for a screen, which a
network and a viewer would see far too dark or too pale, is encoded as sRGB: linear light, and HDR,
toned so that its reference white is white.

References
----------
ITU-T H.273 (2021), code points; ITU-R BT.2100 (2018), PQ and HLG; ITU-R BT.2408 (2019), reference
white; W3C, "Portable Network Graphics (Third Edition)", 2025; ICC.1:2022, profiles; Lindbloom,
chromatic adaptation by the Bradford matrix; CIPA DC-010 (2009), DCF optional colour space.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from qr_nodes.imaging.strips import strips

D65 = (0.3127, 0.3290)
SRGB = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *D65)
BT2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65)
ADOBE = (0.640, 0.330, 0.210, 0.710, 0.150, 0.060, *D65)
PRIMARIES = {
    1: SRGB,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *D65),
    9: BT2020,
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *D65),
}
"""CICP colour primaries: x and y of red, green, blue and white (H.273, table 2)."""
TRANSFERS = {4: 2.2, 5: 2.8, 8: 1.0, 16: "pq", 18: "hlg"}
"""CICP transfer characteristics that are not taken for sRGB's: a gamma, or HDR (H.273, table 3).
Those of television (1, 6, 14, 15) are meant for screens like sRGB's, and shown so by browsers."""
SCREEN = 1.6, 2.8
"""Gammas that a screen may have; a picture with another is not meant to be shown as it lies."""
WHITE_NITS = 203.0
"""Reference white of HDR pictures, cd/m² (BT.2408)."""
HLG_PEAK_NITS = 1000.0
"""Peak of the screen for which HLG's system gamma is 1.2 (BT.2100, table 5)."""
KNEE = 0.75
"""Light from which highlights are squeezed so that those beyond white stay apart; as in the
shoulder of film, the slope goes on without a step."""
SAME = 2e-3
"""Chromaticities that differ by less are the same: files round theirs to 1e-5 and D65 to 1e-4."""


@dataclass(frozen=True)
class Encoding:
    """What stored numbers mean as colours.

    Attributes
    ----------
    primaries : x and y of red, green, blue and white
    transfer : gamma of the stored numbers (1 is linear light), or "srgb", "pq" or "hlg"
    """

    primaries: tuple[float, ...] = SRGB
    transfer: float | str = "srgb"


def from_cicp(primaries: int, transfer: int) -> Encoding | None:
    """Return what CICP code points mean, or None where that is sRGB."""
    return _told(PRIMARIES.get(primaries, SRGB), TRANSFERS.get(transfer, "srgb"))


def from_png(gamma: float | None, chromaticities: tuple[float, ...] | None) -> Encoding | None:
    """Return what a PNG's gAMA (as stored, 1/2.2 for a screen) and cHRM mean, or None for sRGB.

    `chromaticities` are x and y of white, red, green and blue, as they stand there.
    """
    primaries = (*chromaticities[2:], *chromaticities[:2]) if chromaticities else SRGB
    if not all(0 <= value <= 1 for value in primaries) or not all(primaries[1::2]):
        primaries = SRGB
    power = 1 / gamma if gamma and 0.1 <= gamma <= 10 else 2.2
    # 1/2.2 stands for sRGB in files of programs that know no better.
    plain = abs(power - 2.2) < 0.05
    return _told(primaries, "srgb" if plain and _alike(primaries, SRGB) else power)


ADOBE_RGB = Encoding(ADOBE, 563 / 256)


def _told(primaries: tuple[float, ...], transfer: float | str) -> Encoding | None:
    if transfer == "srgb" and _alike(primaries, SRGB):
        return None
    return Encoding(primaries, transfer)


def _alike(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return bool(np.allclose(first, second, atol=SAME))


def brought_in(
    color: np.ndarray, encoding: Encoding, grey: bool, note: Callable[[str], None]
) -> tuple[np.ndarray, bytes | None]:
    """Return colours as the program reads them, and the ICC profile that says what they are.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
    encoding : Encoding
        What they mean.
    grey : bool
        All three channels are one.
    note : callable
        Told what was changed.

    Returns
    -------
    color : (H, W, 3) of the same type
    icc : bytes, or None for sRGB
    """
    primaries, transfer = encoding.primaries, encoding.transfer
    if transfer in ("pq", "hlg"):
        note("Its high dynamic range was brought to that of a screen; brighter lights are whiter.")
        return _toned(color, encoding), None
    shown_so = transfer == "srgb" or SCREEN[0] <= transfer <= SCREEN[1]
    if not shown_so or grey:
        if not shown_so:
            note(f"Its light is stored with a gamma of {transfer:.3g}; it was encoded as sRGB.")
        color, transfer = _by_table(color, lambda x: _srgb(_linear(x, transfer))), "srgb"
    if grey or (transfer == "srgb" and _alike(primaries, SRGB)):
        return color, None
    return color, profile(Encoding(primaries, transfer))


def _by_table(color: np.ndarray, curve: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a curve of [0, 1] to [0, 1] to numbers of any depth."""
    if color.dtype == np.float32:
        return curve(color).astype(np.float32)
    top = np.iinfo(color.dtype).max
    table = np.rint(curve(np.arange(top + 1) / top) * top).astype(color.dtype)
    return table[color]


def _linear(stored: np.ndarray, transfer: float | str) -> np.ndarray:
    """Return light relative to white for stored numbers."""
    if transfer == "srgb":
        low = stored / 12.92
        return np.where(stored <= 0.04045, low, ((stored + 0.055) / 1.055) ** 2.4)  # IEC 61966-2-1
    if transfer == "pq":  # BT.2100, table 4
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = stored ** (1 / m2)
        return (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * (10000 / WHITE_NITS)
    if transfer == "hlg":  # BT.2100, table 5: light of the scene
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(stored <= 0.5, stored**2 / 3, (np.exp((stored - c) / a) + b) / 12)
    return stored**transfer


def _srgb(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _toned(color: np.ndarray, encoding: Encoding) -> np.ndarray:
    """Return an HDR picture in sRGB: up to its reference white as it is, beyond squeezed."""
    to_srgb = np.linalg.inv(_to_xyz(SRGB)) @ _to_xyz(encoding.primaries)
    top = 1.0 if color.dtype == np.float32 else float(np.iinfo(color.dtype).max)
    luma = _to_xyz(encoding.primaries)[1]
    blocks = [rows for rows, _, _ in strips(*color.shape[:2])]

    def light(rows: slice) -> np.ndarray:
        found = _linear(color[rows] / top, encoding.transfer)
        if encoding.transfer == "hlg":  # the screen's system gamma of 1.2
            found *= np.maximum(found @ luma, 1e-9)[..., None] ** 0.2 * HLG_PEAK_NITS / WHITE_NITS
        return found

    beyond = max(float(light(rows).max()) for rows in blocks) > 1
    out = np.empty_like(color)
    for rows in blocks:
        found = light(rows)
        if beyond:
            most = found.max(axis=2, keepdims=True)
            over = np.maximum(most - KNEE, 0) / (1 - KNEE)
            squeezed = KNEE + (1 - KNEE) * over / (1 + over)  # Reinhard et al., SIGGRAPH 2002
            found *= np.where(most > KNEE, squeezed / np.maximum(most, KNEE), 1)
        stored = _srgb(found @ to_srgb.T) * top
        out[rows] = stored if color.dtype == np.float32 else np.rint(stored)
    return out


def _to_xyz(primaries: tuple[float, ...]) -> np.ndarray:
    """Return the matrix (3, 3) from linear RGB to XYZ, white with a luminance of 1."""
    x, y = np.reshape(primaries, (4, 2)).T
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])


BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
D50 = np.array([0.9642, 1.0, 0.8249])
"""White that profiles refer all colours to (ICC.1:2022, 6.3.1)."""


@cache
def profile(encoding: Encoding) -> bytes:
    """Return an ICC profile (version 4, matrix and curves) that says what `encoding` says."""
    to_xyz = _to_xyz(encoding.primaries)
    cones = BRADFORD @ to_xyz.sum(axis=1)
    adapt = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / cones) @ BRADFORD
    if encoding.transfer == "srgb":
        curve = _fixed(b"para", 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, kind=3)
    else:
        curve = _fixed(b"para", float(encoding.transfer), kind=0)
    tags = {
        b"desc": _text("RGB colour space"),
        b"cprt": _text("CC0"),
        b"wtpt": _fixed(b"XYZ ", *D50),
        b"chad": _fixed(b"sf32", *adapt.ravel()),
        **dict(
            zip(
                (b"rXYZ", b"gXYZ", b"bXYZ"),
                (_fixed(b"XYZ ", *column) for column in (adapt @ to_xyz).T),
                strict=True,
            )
        ),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, data = struct.pack(">I", len(tags)), b""
    first = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    for name, tag in tags.items():
        if tag not in places:  # the three curves are one
            places[tag] = first + len(data)
            data += tag + bytes(-len(tag) % 4)
        table += name + struct.pack(">II", places[tag], len(tag))
    size = first + len(data)
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    white = b"".join(_s15(value) for value in D50)
    head = struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x04400000, b"mntr", b"RGB ", b"XYZ ")
    head += date + b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + table + data


def _s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _fixed(type: bytes, *values: float, kind: int | None = None) -> bytes:
    """Return a tag of fixed-point numbers; of a parametric curve `kind` is its function."""
    head = type + bytes(4) + (b"" if kind is None else struct.pack(">HH", kind, 0))
    return head + b"".join(map(_s15, values))


def _text(text: str) -> bytes:
    letters = text.encode("utf-16-be")
    head = struct.pack(">4sIII2s2sII", b"mluc", 0, 1, 12, b"en", b"US", len(letters), 28)
    return head + letters
