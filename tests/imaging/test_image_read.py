"""Reading: the right pixels of every kind of file, or one clear sentence."""

import io
import os
import struct
import subprocess
import threading
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from qr_nodes import pipes
from qr_nodes.errors import ReadError
from qr_nodes.imaging.image_decode import measure
from qr_nodes.imaging.image_io import measure_image, read_image
from qr_nodes.types import is_opaque

H, W = 37, 53
RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (H, W, 3), np.uint8)
RGBA = RNG.integers(0, 256, (H, W, 4), np.uint8)
GREY = RNG.integers(0, 256, (H, W), np.uint8)
DEEP = RNG.integers(0, 65536, (H, W, 4), np.uint16)
SMOOTH = np.dstack(
    [np.add.outer(np.arange(H) * i, np.arange(W) * (4 - i)) for i in (1, 2, 3)]
).astype(np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(pixels, format, mode=None, **options):
    """Give a picture's file as bytes, written by Pillow."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    (image.convert(mode) if mode else image).save(out, format, **options)
    return out.getvalue()


def tiff(pixels, **options):
    """Give a TIFF's bytes, written by tifffile."""
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def deep_png(pixels, kind, extra=b""):
    """Give a PNG of 16 bits, unfiltered."""
    rows = pixels.astype(">u2").reshape(len(pixels), -1).view(np.uint8)
    head = struct.pack(">2I5B", pixels.shape[1], len(pixels), 16, kind, 0, 0, 0)
    body = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            extra,
            chunk(b"IDAT", body),
            chunk(b"IEND", b""),
        ]
    )


def check(cutout, color, alpha=None):
    """Check colours to the bit and alpha to rounding, and what every Cutout must be."""
    np.testing.assert_array_equal(cutout.color, color)
    assert cutout.color.dtype == color.dtype and cutout.color.flags.c_contiguous
    assert cutout.source.bits == color.dtype.itemsize * 8
    if alpha is None:
        assert is_opaque(cutout.alpha)
    else:
        assert cutout.alpha.dtype == np.float32 and cutout.alpha.flags.c_contiguous
        np.testing.assert_allclose(cutout.alpha, alpha, atol=1e-7)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000", "PPM", "TGA"])
def test_rgb_of_8_bits_is_read_to_the_bit(format):
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    cutout = read_image(saved(SMOOTH, format, **options.get(format, {})))
    if format == "AVIF":
        assert abs(cutout.color.astype(int) - SMOOTH).max() <= 2
    else:
        check(cutout, SMOOTH)
    assert cutout.source.format == format and not cutout.source.grey


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "JPEG2000"])
def test_existing_alpha_is_kept(format):
    options = {"WEBP": {"lossless": True, "exact": True}}
    cutout = read_image(saved(RGBA, format, **options.get(format, {})))
    check(cutout, RGBA[..., :3], RGBA[..., 3] / 255)


def test_alpha_that_is_full_everywhere_is_opaque():
    cutout = read_image(saved(np.dstack([RGB, np.full((H, W), 255, np.uint8)]), "PNG"))
    check(cutout, RGB)
    assert cutout.alpha.strides == (0, 0)


def test_jpeg_equals_what_pillow_decodes():
    for data in (saved(RGB, "JPEG"), saved(GREY, "JPEG"), saved(RGB, "JPEG", progressive=True)):
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert abs(read_image(data).color.astype(int) - expected).max() <= 1


def test_heic_is_read_with_8_and_10_bits():
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(SMOOTH[:36, :52])).save(out, quality=-1, chroma=444)
    cutout = read_image(out.getvalue())
    assert cutout.source.format == "HEIF" and cutout.source.bits == 8
    assert abs(cutout.color.astype(int) - SMOOTH[:36, :52]).mean() < 2
    white = np.full((36, 52, 3), 65535, np.uint16)
    out = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (52, 36), white.tobytes()).save(out, quality=-1)
    check(read_image(out.getvalue()), white)


def test_grey_of_8_bits_and_1_bit_is_repeated_three_times():
    cutout = read_image(saved(GREY, "PNG"))
    check(cutout, np.dstack([GREY] * 3))
    assert cutout.source.grey
    bilevel = np.where(GREY > 99, 255, 0).astype(np.uint8)
    for format in ("PNG", "TIFF", "BMP"):
        check(read_image(saved(bilevel, format, "1")), np.dstack([bilevel] * 3))


def test_grey_with_alpha():
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(RGBA[..., 3])])
    cutout = read_image(saved(image, "PNG"))
    check(cutout, np.dstack([GREY] * 3), RGBA[..., 3] / 255)
    assert cutout.source.grey


def test_palette_with_and_without_transparency():
    indices = (np.indices((H, W)).sum(0) % 3).astype(np.uint8)
    colors = np.uint8([[255, 0, 0], [0, 200, 10], [3, 5, 250]])
    image = Image.fromarray(indices).convert("P")
    image.putdata(indices.ravel())
    image.putpalette(colors.tobytes())
    check(read_image(saved(image, "PNG")), colors[indices])
    alphas = np.float32([0, 128, 255]) / 255
    data = saved(image, "PNG", transparency=b"\x00\x80\xff")
    check(read_image(data), colors[indices], alphas[indices])
    data = saved(image, "GIF", transparency=1)
    check(read_image(data).with_color(colors[indices]), colors[indices], indices != 1)


def test_one_colour_marked_transparent():
    flat = np.where(RGB[..., :1] > 128, np.uint8([1, 2, 3]), np.uint8([9, 8, 7]))
    cutout = read_image(saved(flat, "PNG", transparency=(1, 2, 3)))
    check(cutout, flat, flat[..., 0] != 1)


@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_png_of_16_bits_stays_16_bits(channels, kind):
    pixels = DEEP[..., :channels]
    cutout = read_image(deep_png(pixels, kind))
    color = np.dstack([pixels[..., 0]] * 3) if channels < 3 else pixels[..., :3]
    check(cutout, color, pixels[..., -1] / 65535 if channels in (2, 4) else None)
    assert cutout.source.grey == (channels < 3)


@pytest.mark.parametrize(("channels", "kind"), [(1, 0), (3, 2)])
def test_png_of_16_bits_with_one_colour_marked_transparent(channels, kind):
    pixels = DEEP[..., :channels].copy()
    pixels[:5] = pixels[0, 0]
    key = chunk(b"tRNS", pixels[0, 0].astype(">u2").tobytes())
    alpha = (pixels != pixels[0, 0]).any(2)
    color = np.dstack([pixels[..., 0]] * 3) if channels == 1 else pixels
    check(read_image(deep_png(pixels, kind, key)), color, alpha)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "layout", [{}, {"compression": "deflate", "predictor": 2}, {"tile": (16, 16)}]
)
def test_tiff_of_16_bits_stays_16_bits(order, layout):
    options = {"byteorder": order, **layout}
    cutout = read_image(tiff(DEEP[..., 0], photometric="minisblack", **options))
    check(cutout, np.dstack([DEEP[..., 0]] * 3))
    assert cutout.source.grey
    check(read_image(tiff(DEEP[..., :3], photometric="rgb", **options)), DEEP[..., :3])
    data = tiff(DEEP, photometric="rgb", extrasamples=["unassalpha"], **options)
    check(read_image(data), DEEP[..., :3], DEEP[..., 3] / 65535)


def test_tiff_with_white_as_zero_is_not_a_negative():
    data = tiff(DEEP[..., 0], photometric="miniswhite")
    check(read_image(data), np.dstack([65535 - DEEP[..., 0]] * 3))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_premultiplied_tiff_alpha_is_made_straight(dtype):
    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    alpha = np.full((H, W), 0.6)
    alpha[:3] = 0
    premultiplied = np.dstack([np.full((H, W), value) * alpha for value in (0.9, 0.5, 0.1)])
    stored = (np.dstack([premultiplied, alpha]) * full).round(0 if full > 1 else 9).astype(dtype)
    cutout = read_image(tiff(stored, photometric="rgb", extrasamples=["assocalpha"]))
    seen = cutout.color[3:] / full
    assert np.abs(seen - [0.9, 0.5, 0.1]).max() < 1.5 / 255
    np.testing.assert_allclose(cutout.alpha, alpha, atol=1 / 255)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_float_tiff_is_read_as_float_and_cut_to_0_and_1(channels):
    values = RNG.random((H, W, channels)).astype(np.float32)
    options = {"photometric": "rgb" if channels > 1 else "minisblack"}
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    notes = []
    cutout = read_image(tiff(values.squeeze(), **options), note=notes.append)
    color = values[..., :3] if channels > 1 else np.dstack([values] * 3)
    check(cutout, color, values[..., 3] if channels == 4 else None)
    assert not notes and cutout.source.bits == 32
    values[0, :3, 0] = [-1, 7, np.nan]
    cutout = read_image(tiff(values.squeeze(), **options), note=notes.append)
    np.testing.assert_array_equal(cutout.color[0, :3, 0], [0, 1, 0])
    np.testing.assert_array_equal(cutout.color[1:], color[1:])
    assert "brought to 0 and 1" in notes[0]


def test_deep_channels_in_separate_planes():
    data = tiff(np.moveaxis(DEEP[..., :3], -1, 0), photometric="rgb", planarconfig="separate")
    check(read_image(data), DEEP[..., :3])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_halves_are_read_as_they_are(channels):
    half = (DEEP[..., :channels] / 65535).astype(np.float16)
    kind = "minisblack" if channels == 1 else "rgb"
    more = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    cutout = read_image(tiff(half.squeeze(), photometric=kind, **more))
    color = np.dstack([half] * 3) if channels == 1 else half[..., :3]
    alpha = half[..., 3].astype(np.float32) if channels == 4 else None
    check(cutout, color.astype(np.float32), alpha)


def test_grey_of_16_bits_with_alpha_in_a_tiff():
    how = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
    data = tiff(DEEP[..., :2], **how, extratags=[(274, 3, 1, 6, True)])
    cutout = read_image(data)
    assert cutout.source.grey
    color = np.rot90(np.dstack([DEEP[..., 0]] * 3), -1)
    check(cutout, color, np.rot90(DEEP[..., 1] / np.float32(65535), -1))


@pytest.mark.parametrize(
    ("dtype", "said"), [(np.int16, "signed 16-bit"), (np.uint32, "32-bit"), (np.int32, "signed 32")]
)
def test_whole_numbers_without_a_known_white_are_said(dtype, said):
    pixels = (DEEP[..., :3] // 3).astype(dtype)
    with pytest.raises(ReadError, match=f"its {said}.* have no known white"):
        read_image(tiff(pixels, photometric="rgb"))
    assert read_image(tiff(DEEP[..., :3], photometric="rgb")).color.dtype == np.uint16


def test_ppm_of_16_bits_stays_16_bits():
    data = b"P6\n# a comment\n%d %d\n65535\n" % (W, H) + DEEP[..., :3].astype(">u2").tobytes()
    check(read_image(data), DEEP[..., :3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_premultiplied_colours_of_every_depth_give_the_straight_picture(dtype):
    from qr_nodes.imaging.image_decode import _straight

    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    ramp = np.linspace(0.2, 1, 40)[None] * np.linspace(0.3, 1, 30)[:, None]
    straight, alpha = np.dstack([ramp, 1 - ramp, ramp**2]), np.sqrt(ramp)
    stored = np.dstack([straight * alpha[..., None], alpha]) * full
    stored = (stored if dtype == np.float32 else np.rint(stored)).astype(dtype)
    found = _straight(stored)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[..., 3], stored[..., 3])
    step = 0 if dtype == np.float32 else 0.5 / alpha[..., None] + 0.5
    assert (np.abs(found[..., :3].astype(float) - straight * full) <= 1e-4 * full + 3 * step).all()


def test_a_heic_with_premultiplied_alpha_is_not_black():
    straight = np.full((64, 64, 4), (200, 120, 40, 128), np.uint8)
    stored = straight.copy()
    stored[..., :3] = np.rint(straight[..., :3] * (128 / 255))
    import pillow_heif

    heif, out = pillow_heif.from_bytes("RGBA;premultiplied".partition(";")[0], (64, 64),
        stored.tobytes()), io.BytesIO()  # fmt: skip
    heif.premultiplied_alpha = True
    heif.save(out, quality=-1, chroma=444)
    cutout = read_image(out.getvalue())
    if not pillow_heif.open_heif(io.BytesIO(out.getvalue())).premultiplied_alpha:
        pytest.fail("the file does not say that its colours are premultiplied")
    assert np.abs(cutout.color.astype(int) - (200, 120, 40)).max() <= 6


def test_pages_of_a_heic_are_counted_from_the_one_that_it_is_about():
    import pillow_heif

    heif = pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red"))
    heif.add_from_pillow(Image.new("RGB", (64, 64), "lime"))
    heif.add_from_pillow(Image.new("RGB", (64, 64), "blue"))
    out = io.BytesIO()
    heif.save(out, quality=90, primary_index=1)
    shown = [read_image(out.getvalue(), page=page).color[32, 32].argmax() for page in (1, 2, 3)]
    assert shown == [1, 0, 2]


def test_whole_numbers_of_32_bits():
    data = tiff(DEEP[..., 0].astype(np.uint32), photometric="minisblack")
    check(read_image(data), np.dstack([DEEP[..., 0]] * 3))
    with pytest.raises(ReadError, match="no known white"):
        read_image(tiff(DEEP[..., 0].astype(np.uint32) * 9, photometric="minisblack"))


def test_avif_and_jpeg_2000_of_more_than_8_bits():
    ramp = np.linspace(0, 1023, 64 * 48).reshape(48, 64).astype(np.uint16)
    done, data = cv2.imencode(".avif", np.dstack([ramp] * 3), [cv2.IMWRITE_AVIF_DEPTH, 10])
    assert done
    cutout = read_image(data.tobytes())
    assert cutout.source.bits == 16 and cutout.color.max() > 65000
    assert np.abs(cutout.color[..., 1] / 65535 - ramp / 1023).mean() < 0.01
    done, data = cv2.imencode(
        ".jp2", DEEP[..., 2::-1], [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    )
    assert done
    check(read_image(data.tobytes()), DEEP[..., :3])


def test_cmyk_without_profile_and_adobe_inversion():
    cmyk = Image.new("CMYK", (W, H), (0, 255, 255, 0))  # magenta and yellow ink: red
    for data in (saved(cmyk, "JPEG", quality=95), saved(cmyk, "TIFF")):
        cutout = read_image(data)
        assert cutout.color[5, 5, 0] > 230 and cutout.color[5, 5, 1:].max() < 40
        assert cutout.source.icc is None


def test_lab_tiff_becomes_srgb():
    # CIE L*a*b* of sRGB red: 53, 80, 67; D50 moves it by a few units.
    lab = Image.new("LAB", (W, H), (round(54.3 * 2.55), 128 + 81, 128 + 70))
    color = read_image(saved(lab, "TIFF")).color[3, 3]
    np.testing.assert_allclose(color, [255, 0, 0], atol=12)


def test_ycbcr_tiff():
    data = saved(SMOOTH, "TIFF", "YCbCr")
    assert abs(read_image(data).color.astype(int) - SMOOTH).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied(orientation, format):
    upright = np.zeros((40, 64, 3), np.uint8)
    upright[:20, :32] = [250, 20, 30]
    upright[:20, 32:] = [20, 240, 30]
    upright[20:, :32] = [30, 20, 230]
    # What each orientation means: row 0 and column 0 of the file are these sides of the picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    data = saved(np.ascontiguousarray(stored), format, exif=exif)
    assert measure(io.BytesIO(data))[:2] == (64, 40)
    for scale in (1, 0.5):
        cutout = read_image(data, scale=scale)
        expected = upright[:: round(1 / scale), :: round(1 / scale)]
        assert cutout.shape == expected.shape[:2]
        assert np.abs(cutout.color.astype(int) - expected).mean() < 8
    kept = Image.Exif()
    kept.load(cutout.source.exif)
    assert kept.get(0x0112, 1) == 1 and kept[0x010F] == "Maker"


def test_orientation_of_deep_tiff_and_png():
    exif = Image.Exif()
    exif[0x0112] = 6
    block = chunk(b"eXIf", exif.tobytes()[6:])
    turned = np.rot90(DEEP[..., :3], -1)
    check(read_image(deep_png(DEEP[..., :3], 2, block)), turned)
    tag = [(274, "H", 1, 6, True)]
    check(read_image(tiff(DEEP[..., :3], photometric="rgb", extratags=tag)), turned)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_profile_resolution_and_exif_are_kept(format):
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[282], exif[283], exif[296] = 240, 240, 2
    dpi = {} if format in ("WEBP", "AVIF") else {"dpi": (240, 240)}
    source = read_image(saved(RGB, format, exif=exif, icc_profile=SRGB, **dpi)).source
    assert source.icc == SRGB
    assert source.dpi == pytest.approx((240, 240), abs=0.01)
    assert b"Maker" in source.exif


def test_profile_and_resolution_of_a_deep_tiff():
    tags = [(34675, "B", len(SRGB), SRGB, True), (271, "s", 0, "Maker", True)]
    data = tiff(
        DEEP[..., :3], photometric="rgb", resolution=(100, 100), resolutionunit=3, extratags=tags
    )
    source = read_image(data).source
    assert source.icc == SRGB and source.dpi == pytest.approx((254, 254))
    assert b"Maker" in source.exif


def with_profile(icc: bytes) -> dict[str, bytes]:
    """Return files of every kind, in 8 bits and more, that hold `icc` as their colour profile."""
    import pillow_heif

    files = {f: saved(RGB, f, icc_profile=icc) for f in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF")}
    tags = [(34675, "B", len(icc), icc, True)]
    files["deep TIFF"] = tiff(DEEP[..., :3], photometric="rgb", extratags=tags)
    packed = zlib.compress(icc)
    plain = cv2.imencode(".png", DEEP[..., :3])[1].tobytes()
    files["deep PNG"] = plain[:33] + chunk(b"iCCP", b"ICC\0\0" + packed) + plain[33:]
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(SMOOTH[:36, :52])).save(out, icc_profile=icc)
    return files | {"HEIC": out.getvalue()}


def told(data: bytes) -> tuple[bytes | None, list[str]]:
    """Return the profile that is read, and what is said of it."""
    notes: list[str] = []
    return read_image(data, note=notes.append).source.icc, notes


def test_a_sound_profile_comes_through_every_format():
    for kind, data in with_profile(SRGB).items():
        assert told(data) == (SRGB, []), kind


@pytest.mark.parametrize("cut", [60, 130, 200, 400, -1])
def test_a_profile_that_is_cut_is_left_out_and_said(cut):
    for kind, data in with_profile(SRGB[:cut]).items():
        assert told(data) == (None, ["The colour profile is damaged, so it was left out."]), kind


def test_a_profile_whose_tags_are_no_tags_is_left_out():
    for place in (132, 200):  # the names and places of tags, then what they say
        icc = SRGB[:place] + b"\xff" * 200 + SRGB[place + 200 :]
        assert told(saved(RGB, "JPEG", icc_profile=icc))[0] is None
    link = SRGB[:12] + b"link" + SRGB[16:]
    said = "The colour profile is not one for pictures, so it was left out."
    assert told(saved(RGB, "JPEG", icc_profile=link)) == (None, [said])
    torn = saved(RGB, "PNG")
    torn = torn[:33] + chunk(b"iCCP", b"ICC\0\0no zlib") + torn[33:]
    assert told(torn) == (None, ["The colour profile is damaged, so it was left out."])


def test_a_profile_of_the_wrong_kind_is_left_out_and_said(grey_icc):
    cmyk = grey_icc[:16] + b"CMYK" + grey_icc[20:]
    for icc, called in ((grey_icc, "grey"), (cmyk, "CMYK")):
        for kind, data in with_profile(icc).items():
            said = f"The colour profile is one for {called} pictures and this is an RGB one"
            assert told(data) == (None, [f"{said}, so it was left out."]), kind
    said = "The colour profile is one for RGB pictures and this is a grey one, so it was left out."
    assert told(saved(GREY, "PNG", icc_profile=SRGB)) == (None, [said])
    assert told(saved(GREY, "JPEG", icc_profile=SRGB)) == (None, [said])
    assert told(saved(GREY, "PNG", icc_profile=grey_icc)) == (grey_icc, [])
    inks = Image.new("CMYK", (W, H), (0, 255, 255, 0))
    icc, (said,) = told(saved(inks, "JPEG", icc_profile=SRGB))
    assert icc is None and "RGB pictures and this is a CMYK one, so the colours are those" in said


def test_first_frame_is_taken_and_said_and_others_can_be_asked_for():
    frames = [Image.fromarray(np.full((H, W, 3), value, np.uint8)) for value in (0, 60, 200)]
    for format in ("TIFF", "WEBP", "PNG", "GIF"):
        options = {"WEBP": {"lossless": True}}.get(format, {})
        data = saved(frames[0], format, save_all=True, append_images=frames[1:], **options)
        notes = []
        assert read_image(data, note=notes.append).color.max() == 0
        assert notes == ["The file holds 3 pages or frames; the first is used."]
        assert read_image(data, page=3, note=notes.append).color[0, 0, 0] == 200
        assert len(notes) == 1
        with pytest.raises(ReadError, match=r"page 4 is asked.*holds 3\. Use a page from 1 to 3"):
            read_image(data, page=4)
    with pytest.raises(ReadError, match=r"page 2 is asked for, and the file holds 1\. Use page 1"):
        read_image(saved(RGB, "JPEG"), page=2)


def test_pages_of_a_deep_tiff():
    pages = RNG.integers(0, 65536, (3, H, W, 3), np.uint16)
    for big in (False, True):
        data = tiff(pages, photometric="rgb", bigtiff=big)
        for page in (1, 2, 3):
            check(read_image(data, page=page), pages[page - 1])


@pytest.mark.parametrize("scale", [0.5, 0.37, 0.11])
def test_scale_gives_area_averages(scale):
    ramp = np.dstack([np.add.outer(np.arange(201), np.arange(303)) / 2] * 3).astype(np.uint8)
    size = (round(303 * scale), round(201 * scale))
    expected = cv2.resize(ramp, size, interpolation=cv2.INTER_AREA).astype(int)
    for data in (saved(ramp, "JPEG", quality=98), saved(ramp, "PNG"), saved(ramp, "TIFF")):
        cutout = read_image(data, scale=scale)
        assert cutout.shape == expected.shape[:2]
        # A JPEG's last block is counted whole when it is decoded at 1/8.
        assert np.abs(cutout.color - expected).max() <= 5
        assert np.abs(cutout.color - expected).mean() <= 2


def test_scale_keeps_clear_pixels_from_bleeding():
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[...] = [0, 255, 0, 0]
    pixels[:, 1::2] = [200, 10, 30, 255]
    for dtype in (np.uint8, np.uint16):
        data = saved(pixels, "PNG") if dtype == np.uint8 else deep_png(pixels * np.uint16(257), 6)
        small = read_image(data, scale=0.5)
        full = np.iinfo(dtype).max
        np.testing.assert_allclose(small.alpha, 0.5, atol=1 / 255)
        np.testing.assert_allclose(
            small.color[3, 3] / full, np.float32([200, 10, 30]) / 255, atol=1e-3
        )


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_extreme_sizes(size):
    pixels = np.full((*size, 3), 77, np.uint8)
    for format in ("PNG", "JPEG", "TIFF"):
        assert read_image(saved(pixels, format)).color.shape == (*size, 3)
        small = read_image(saved(pixels, format), scale=0.001)
        assert small.shape == tuple(max(1, round(side * 0.001)) for side in size)


class Pipe(io.BytesIO):
    """A file that cannot go back."""

    def seekable(self):
        return False

    def seek(self, *args):
        raise io.UnsupportedOperation("seek")


def test_paths_bytes_and_streams_give_the_same(tmp_path):
    data = saved(RGB, "PNG")
    (tmp_path / "sea.png").write_bytes(data)
    from_path = read_image(tmp_path / "sea.png")
    assert from_path.source.name == "sea.png"
    check(read_image(Pipe(data)), RGB)
    check(read_image(data), RGB)
    check(from_path, RGB)


def test_the_pixel_limit_holds_before_decoding():
    head = struct.pack(">2I5B", 40000, 40000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99))
    with pytest.raises(ReadError, match="40000 × 40000 px are 1600 MP, and the limit is 200 MP"):
        read_image(bomb)
    for data in (saved(RGB, "JPEG"), tiff(DEEP[..., :3], photometric="rgb")):
        with pytest.raises(ReadError, match="Raise the limit"):
            read_image(data, max_pixels=H * W - 1)
        assert read_image(data, max_pixels=H * W).shape == (H, W)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP"])
def test_a_file_that_ends_early_says_how_much_is_there(format):
    noisy = RNG.integers(1, 256, (400, 300, 3), np.uint8)
    data = saved(noisy, format)
    with pytest.raises(ReadError, match=r"the file ends early, after (4|5)\d % of its rows\. Copy"):
        read_image(data[: len(data) // 2], name="harbour.jpg")


@pytest.mark.parametrize("grey", [False, True])
def test_a_jpeg_that_lacks_its_last_marker_only_is_a_picture_with_a_note(grey):
    data, notes = saved(Image.fromarray(SMOOTH), "JPEG", "L" if grey else "RGB", quality=95), []
    whole = read_image(data)
    for ends in (data[:-2], data[:-2] + bytes(4096)):
        notes.clear()
        np.testing.assert_array_equal(read_image(ends, note=notes.append).color, whole.color)
        assert notes == ["The file's end is missing; all rows are there."]
    small = read_image(data[:-2], scale=0.3, note=notes.append)
    assert len(notes) == 2 and small.shape[0] < H


def test_half_a_jpeg_with_an_end_marker_is_no_picture():
    noisy = RNG.integers(1, 256, (400, 300, 3), np.uint8)
    data = saved(noisy, "JPEG")
    for scale in (1.0, 0.25):
        with pytest.raises(ReadError, match=r"its data are damaged, after (4|5)\d % of its rows"):
            read_image(data[: len(data) // 2] + b"\xff\xd9", name="harbour.jpg", scale=scale)


@pytest.mark.parametrize("part", [0.3, 0.5, 0.7])
def test_zeros_in_the_middle_of_a_jpeg_are_said_wherever_they_stand(part):
    noisy = RNG.integers(1, 256, (400, 300, 3), np.uint8)
    data = bytearray(saved(noisy, "JPEG", quality=90))
    at = int(len(data) * part)
    data[at : at + 200] = bytes(200)
    share = int(part * 10)
    with pytest.raises(ReadError, match=rf"damaged, after ({share - 1}|{share})\d % of its rows"):
        read_image(bytes(data), name="harbour.jpg")


@pytest.mark.parametrize("how", [{}, {"optimize": True}, {"progressive": True}])
def test_flat_jpegs_whose_data_are_zeros_are_no_damage(how):
    notes = []
    cutout = read_image(
        saved(np.full((800, 800, 3), 255, np.uint8), "JPEG", **how), note=notes.append
    )
    assert cutout.color.min() == 255 and not notes


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_file_cut_anywhere_is_an_error_in_any_format(part):
    noisy = RNG.integers(1, 256, (96, 64, 3), np.uint8)
    files = [saved(noisy, f) for f in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "GIF", "BMP")]
    files += [
        saved(noisy, "JPEG", progressive=True),
        deep_png(noisy * np.uint16(257), 2),
        tiff(noisy * np.uint16(257), photometric="rgb"),
    ]
    for data in files:
        with pytest.raises(ReadError):
            read_image(data[: int(len(data) * part)])


def test_faults_of_the_path_are_one_sentence_each(tmp_path):
    def message(path):
        with pytest.raises(ReadError) as caught:
            read_image(path)
        text = str(caught.value)
        assert text.startswith(str(path).replace("\0", "\ufffd")[:300])
        assert text.endswith(".") and text.isprintable() and len(text) < 1000
        return text

    assert "there is no such file. Check the name." in message(tmp_path / "no.png")
    assert "this is a folder." in message(tmp_path)
    (tmp_path / "empty.jpg").touch()
    assert "the file is empty." in message(tmp_path / "empty.jpg")
    (tmp_path / "notes.jpg").write_text("Dear diary, " * 20)
    assert "not a picture of a kind that can be read. Use JPEG" in message(tmp_path / "notes.jpg")
    assert "raw files of cameras" in message(tmp_path / "a.nef")
    assert "cannot be opened" in message(f"{tmp_path}/nul\0byte.png")
    assert "cannot be opened" in message(tmp_path / ("x" * 999))


def test_no_permission_is_said(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(saved(RGB, "PNG"))

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ReadError, match="you have no permission to read it"):
        read_image(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # pytest sets aside the reader's own
def test_hostile_bytes_give_an_error_or_a_picture_never_anything_else(capfd):
    rng = np.random.default_rng(3)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    whole = [saved(RGB, f, exif=exif, icc_profile=SRGB) for f in ("PNG", "TIFF", "WEBP", "AVIF")]
    whole += [saved(RGBA, "PNG"), saved(GREY, "GIF"), saved(RGB, "JPEG2000")]
    whole += [deep_png(DEEP, 6), tiff(DEEP, photometric="rgb", extrasamples=["assocalpha"])]
    whole += [tiff(RNG.random((H, W, 3)).astype(np.float32), photometric="rgb")]
    for data in whole:
        for _ in range(40):
            broken = bytearray(data)
            for at in rng.integers(0, min(len(data), 400), 3):
                broken[at] = rng.integers(256)
            try:
                cutout = read_image(bytes(broken), max_pixels=1e6)
            except ReadError as error:
                assert "\n" not in str(error)
            else:
                assert cutout.color.ndim == 3 and np.isfinite(cutout.alpha).all()
    assert capfd.readouterr().err == ""


# ---- pipes, devices, and files without end -------------------------------------------------


def test_a_pipe_is_read_to_its_end(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = saved(RGB, "PNG")
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    check(read_image(pipe), RGB)
    writer.join()


def test_a_pipe_that_nobody_writes_to_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(pipes, "PATIENCE", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReadError, match="nothing comes out of this pipe"):
        read_image(tmp_path / "pipe")


@pytest.mark.process
def test_a_pipe_without_end_is_given_up(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    yes = subprocess.Popen(["sh", "-c", f"exec cat /dev/zero > {pipe}"], stderr=subprocess.DEVNULL)
    with pytest.raises(ReadError, match="more than 67 MB come out of this pipe"):
        read_image(pipe, max_pixels=1000)
    yes.wait(10)


def test_a_file_larger_than_its_pixels_can_be_is_refused_before_it_is_read(tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(saved(RGB, "JPEG"))
    os.truncate(file, 1 << 40)
    with pytest.raises(ReadError, match="the file has 1099512 MB"):
        read_image(file)


@pytest.mark.parametrize("kind", ["fifo", "folder", "/dev/zero", "missing"])
def test_a_size_is_taken_of_files_only(kind, tmp_path):
    path = tmp_path / kind if kind[0] != "/" else kind
    os.mkfifo(path) if kind == "fifo" else path.mkdir() if kind == "folder" else None
    assert measure_image(path) == (0, 0, 1)
