"""Colour spaces: profiles are used where they fit, and known colours come out right."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from qr_nodes.imaging.color import profile_fits, to_srgb
from qr_nodes.imaging.image_io import read_image

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def odd_cmyk_profile():
    """Give a profile of a press whose cyan ink is red: nobody gets that right by guessing.

    ICC.1:2001-04, 6.5.7: a lut8 of two grid points per ink, from CMYK to Lab.
    """
    white, red, black = (255, 128, 128), (138, 209, 198), (0, 128, 128)
    corners = [
        black if k else red if c else white
        for c in (0, 1)
        for m in (0, 1)
        for y in (0, 1)
        for k in (0, 1)
    ]
    ramp = bytes(range(256))
    one = 1 << 16
    lut = struct.pack(">4s4x4B9i", b"mft1", 4, 3, 2, 0, one, 0, 0, 0, one, 0, 0, 0, one)
    lut += ramp * 4 + bytes(np.ravel(corners).tolist()) + ramp * 3
    table = struct.pack(">I4s2I", 1, b"A2B0", 144, len(lut))
    head = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x",
        *(144 + len(lut), b"lcms", 0x02100000, b"prtr", b"CMYK", b"Lab ", b"acsp"),
        *(63190, 65536, 54061),  # D50
    )
    return head + table + lut


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(format):
    profile = odd_cmyk_profile()
    out = io.BytesIO()
    Image.new("CMYK", (64, 48), (255, 0, 0, 0)).save(out, format, icc_profile=profile)
    for scale in (1, 0.25):
        cutout = read_image(out.getvalue(), scale=scale)
        np.testing.assert_allclose(cutout.color[3, 3], (255, 0, 0), atol=12)
        assert cutout.source.icc is None and cutout.source.bits == 8


@pytest.mark.parametrize(
    ("lab", "rgb"),
    [((100, 0, 0), (255, 255, 255)), ((0, 0, 0), (0, 0, 0)), ((54, 81, 70), (255, 0, 0))],
)
def test_lab_comes_out_as_the_colour_it_names(lab, rgb):
    out = io.BytesIO()
    stored = (round(lab[0] * 2.55), lab[1] + 128, lab[2] + 128)
    Image.new("LAB", (3, 2), stored).save(out, "TIFF")
    image = Image.open(io.BytesIO(out.getvalue()))
    np.testing.assert_allclose(np.asarray(to_srgb(image, None))[0, 0], rgb, atol=12)


def test_cmyk_without_a_usable_profile_is_inverted_rgb():
    ink = Image.new("CMYK", (3, 2), (255, 0, 0, 0))
    for icc in (None, b"", SRGB, b"\0" * 200):
        assert to_srgb(ink, icc).getpixel((0, 0)) == (0, 255, 255)


def test_a_damaged_profile_that_claims_to_fit_is_passed_over():
    header = bytearray(SRGB[:200])
    header[16:20] = b"CMYK"
    ink = Image.new("CMYK", (3, 2), (0, 0, 0, 255))
    assert to_srgb(ink, bytes(header)).getpixel((0, 0)) == (0, 0, 0)


def test_a_profile_fits_its_own_kind_of_picture_only():
    assert profile_fits(SRGB, "RGB")
    assert not profile_fits(SRGB, "L") and not profile_fits(SRGB, "CMYK")
    assert not profile_fits(None, "RGB") and not profile_fits(SRGB[:100], "RGB")
