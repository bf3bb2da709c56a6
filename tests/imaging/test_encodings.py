"""Colours told by CICP, gAMA, cHRM or EXIF come out as what they mean."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from qr_nodes.imaging.encodings import ADOBE_RGB, PRIMARIES, Encoding, brought_in, profile
from qr_nodes.imaging.image_io import read_image, write_image

GRID = np.stack(np.meshgrid(*[np.linspace(0, 1, 6)] * 3), -1).reshape(12, 18, 3) * 0.8 + 0.1
"""Colours in the middle of sRGB, where no other space clips them: what every file here means."""
P3 = np.array([[0.8225, 0.1774, 0], [0.0332, 0.9669, 0], [0.0171, 0.0724, 0.9108]])
BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""From linear sRGB to linear P3 (SMPTE EG 432-1) and BT.2020 (BT.2087)."""


def linear(x):
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def srgb(x):
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)


def pq(light):
    y = (light * 203 / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(light):
    """Of light relative to 203 cd/m² on a screen of 1,000, in BT.2020."""
    shown = light * 0.203
    luma = shown @ (0.2627, 0.6780, 0.0593)
    scene = shown * np.maximum(luma, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    )


def chunk(kind, content):
    end = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", end)


def png(stored, bits, *chunks, grey=False):
    values = np.rint(stored * (2**bits - 1)).astype(">u2" if bits == 16 else np.uint8)
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, bits, 0 if grey else 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def cicp(primaries, transfer):
    return b"cICP", bytes([primaries, transfer, 0, 1])


def gama(value):
    return b"gAMA", struct.pack(">I", value)


SCREEN_P3 = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
FILES = {
    "P3 by cICP": (srgb(linear(GRID) @ P3.T), [cicp(12, 13)]),
    "P3 by cHRM": ((linear(GRID) @ P3.T) ** (1 / 2.2), [gama(45455), SCREEN_P3]),
    "linear by gAMA": (linear(GRID), [gama(100000)]),
    "an old Mac's by gAMA": (linear(GRID) ** (1 / 1.8), [gama(55556)]),
    "linear by cICP": (linear(GRID), [cicp(1, 8)]),
    "PQ": (pq(linear(GRID) @ BT2020.T), [cicp(9, 16)]),
    "HLG": (hlg(linear(GRID) @ BT2020.T), [cicp(9, 18)]),
    "cICP before gAMA": (GRID, [cicp(1, 13), gama(100000)]),
    "sRGB before gAMA": (GRID, [(b"sRGB", b"\0"), gama(100000)]),
    "a screen's gAMA": (GRID, [gama(45455)]),
}


def shown(cutout):
    """Return a picture's colours in sRGB, by its profile."""
    top = 1 if cutout.color.dtype == np.float32 else np.iinfo(cutout.color.dtype).max
    stored = np.rint(cutout.color / top * 255).astype(np.uint8)
    if cutout.source.icc is None:
        return stored / 255
    srgb = ImageCms.createProfile("sRGB")
    given = io.BytesIO(cutout.source.icc)
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(stored), given, srgb, 1)) / 255


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", FILES)
def test_a_png_means_the_same_colours_however_it_tells_them(name, bits):
    stored, chunks = FILES[name]
    if name in ("PQ", "HLG"):
        bits = 16  # with 8 a step in a dark channel is a tenth of all there is
    cutout = read_image(png(stored, bits, *chunks))
    assert cutout.color.dtype == (np.uint8 if bits == 8 else np.uint16)
    # 8 bits of linear light have steps that are larger than those of sRGB.
    coarse = bits == 8 and cutout.source.icc is None and stored is not GRID
    np.testing.assert_allclose(shown(cutout), GRID, atol=(9 if coarse else 2.6) / 255)


def test_what_is_plain_srgb_stays_as_it_is_without_a_profile():
    for name in ("cICP before gAMA", "sRGB before gAMA", "a screen's gAMA"):
        cutout = read_image(png(GRID, 8, *FILES[name][1]))
        assert cutout.source.icc is None
        np.testing.assert_array_equal(cutout.color, np.rint(GRID * 255).astype(np.uint8))


def test_hdr_is_said_and_lights_beyond_white_stay_apart():
    lights = np.repeat(np.linspace(0.2, 4, 20)[None, :, None], 3, 2)
    notes = []
    cutout = read_image(png(pq(lights @ BT2020.T), 16, cicp(9, 16)), note=notes.append)
    assert notes == [
        "Its high dynamic range was brought to that of a screen; brighter lights are whiter."
    ]
    steps = np.diff(cutout.color[0, :, 0].astype(int))
    assert (steps > 0).all()


def test_grey_of_linear_light():
    cutout = read_image(png(linear(GRID[..., 0]), 16, gama(100000), grey=True))
    assert cutout.source.grey and cutout.source.icc is None
    np.testing.assert_allclose(cutout.color[..., 1] / 65535, GRID[..., 0], atol=1e-4)


@pytest.mark.parametrize(
    ("code", "stored"), [((12, 13), FILES["P3 by cICP"][0]), ((9, 16), FILES["PQ"][0])]
)
def test_heic(code, stored):
    wide = np.kron(np.rint(stored * 65535).astype(np.uint16), np.ones((8, 8, 1), np.uint16))
    heif = pillow_heif.from_bytes("RGB;16", wide.shape[1::-1], wide.tobytes())
    out = io.BytesIO()
    told = {"color_primaries": code[0], "transfer_characteristics": code[1]}
    told |= {"matrix_coefficients": 6, "full_range_flag": 1, "save_nclx_profile": True}
    heif.save(out, quality=100, chroma=444, **told)
    found = shown(read_image(out.getvalue()))[4::8, 4::8]
    assert np.abs(found - GRID).mean() < 2 / 255


def test_avif():
    pixels = np.kron(np.rint(FILES["P3 by cICP"][0] * 255), np.ones((8, 8, 1))).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "AVIF", quality=100, subsampling="4:4:4")
    data = bytearray(out.getvalue())
    at = data.find(b"nclx")
    data[at + 4 : at + 8] = struct.pack(">HH", 12, 13)
    found = shown(read_image(bytes(data)))[4::8, 4::8]
    assert np.abs(found - GRID).mean() < 2 / 255


def test_a_cameras_adobe_rgb_by_exif():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    to_adobe = np.array([[0.7152, 0.2848, 0], [0, 1, 0], [0, 0.0412, 0.9588]])
    stored = (linear(GRID) @ to_adobe.T) ** (256 / 563)
    pixels = np.kron(np.rint(stored * 255), np.ones((8, 8, 1))).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=100, subsampling=0, exif=exif)
    found = shown(read_image(out.getvalue()))[4::8, 4::8]
    assert np.abs(found - GRID).mean() < 2 / 255


def test_the_meaning_goes_on_into_what_is_written(tmp_path):
    stored, chunks = FILES["P3 by cICP"]
    write_image(read_image(png(stored, 8, *chunks)), tmp_path / "out.png")
    again = read_image(tmp_path / "out.png")
    assert again.source.icc == profile(Encoding(PRIMARIES[12]))
    np.testing.assert_allclose(shown(again), GRID, atol=2.6 / 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("transfer", [1.0, "pq", "hlg"])
def test_every_depth_stays_what_it_is(dtype, transfer):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    color = (GRID * top).astype(dtype)
    found, icc = brought_in(
        color, Encoding(ADOBE_RGB.primaries, transfer), False, lambda text: None
    )
    assert found.dtype == dtype and found.shape == color.shape
    assert (icc is None) == (transfer != 1.0)


def test_orientation_is_found_wherever_a_png_tells_it():
    exif = Image.Exif()
    exif[0x0112] = 6
    block = exif.tobytes()
    raw = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    ways = [
        (b"eXIf", block.removeprefix(b"Exif\0\0")),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp),
    ]
    for bits in (8, 16):
        upright = read_image(png(GRID, bits)).color
        for way in ways:
            data = png(GRID, bits, way)
            np.testing.assert_array_equal(read_image(data).color, np.rot90(upright, -1))
            behind = png(GRID, bits)[:-12] + chunk(*way) + chunk(b"IEND", b"")
            np.testing.assert_array_equal(read_image(behind).color, np.rot90(upright, -1))
