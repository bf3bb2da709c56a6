"""Writing: every depth comes back as it was, and no failure leaves half a file."""

import errno
import io
import os
import stat

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from qr_nodes.errors import Cancelled, WriteError
from qr_nodes.imaging.image_io import check_target, format_of, read_image, write_image
from qr_nodes.types import Cutout, Source, opaque

H, W = 37, 53
RNG = np.random.default_rng(11)
COLOR = RNG.integers(0, 256, (H, W, 3), np.uint8)
ALPHA = np.clip(np.linspace(-0.3, 1.3, W, dtype=np.float32) + np.zeros((H, 1), np.float32), 0, 1)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
DTYPES = [np.uint8, np.uint16, np.float32]


def exif_block():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x013B], exif[0x8298] = 6, "Maker", "Jane Doe", "(c) me"
    exif[34665] = {33434: 0.01, 37500: b"secret notes", 42032: "Jane Doe", 40962: 9}
    exif[34853] = {1: "N", 2: (51.0, 30.0, 0.0)}
    return exif.tobytes()


SOURCE = Source(name="a.jpg", icc=SRGB, dpi=(240.0, 300.0), exif=exif_block())


def picture(dtype=np.uint8, alpha=ALPHA, source=SOURCE):
    color = {np.uint8: COLOR, np.uint16: COLOR * np.uint16(257) + np.uint16(5)}.get(dtype)
    if color is None:
        color = COLOR.astype(np.float32) / 255
    for array in (color, alpha):
        array.setflags(write=False)
    return Cutout(color, alpha, source)


def written(cutout, format, **options):
    out = io.BytesIO()
    write_image(cutout, out, format=format, **options)
    return out.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("size", [(H, W), (1, 1), (1, 20000), (20000, 1), (700, 1003)])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_written_comes_back(dtype, format, size):
    full = 1 if dtype == np.float32 else np.iinfo(dtype).max
    color = (RNG.random((*size, 3)) * full).astype(dtype)
    alpha = RNG.random(size, dtype=np.float32)
    back = read_image(written(Cutout(color, alpha), format, hidden="keep"))
    if dtype == np.float32 and format == "PNG":
        np.testing.assert_allclose(back.color / 65535, color, atol=0.51 / 65535)
        assert back.source.bits == 16
    else:
        np.testing.assert_array_equal(back.color, color)
        assert back.color.dtype == dtype
    step = {np.uint8: 255}.get(dtype, 65535)
    np.testing.assert_allclose(back.alpha, alpha, atol=0.51 / step)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_opaque_and_grey_pictures_take_no_channels_they_do_not_need(dtype, format):
    rgb = picture(dtype, opaque(H, W))
    back = read_image(written(rgb, format))
    assert back.alpha.strides == (0, 0) and back.shape == (H, W)
    values = np.repeat(rgb.color[..., :1], 3, axis=2)
    grey = Cutout(values, opaque(H, W), Source(grey=True))
    back = read_image(written(grey, format))
    assert back.source.grey
    if (dtype, format) != (np.float32, "PNG"):
        np.testing.assert_array_equal(back.color, values)
    back = read_image(written(grey.with_alpha(ALPHA), format, bits="8"))
    assert back.source.grey == (format == "PNG")
    np.testing.assert_allclose(back.alpha, ALPHA, atol=0.51 / 255)
    coloured = grey.with_color(rgb.color)
    assert not read_image(written(coloured, format)).source.grey


@pytest.mark.parametrize("level", [0, 1, 4, 9])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_compression_changes_the_size_and_no_pixel(level, format):
    smooth = np.add.outer(np.arange(300), np.arange(400)).astype(np.uint8)
    cutout = Cutout(np.dstack([smooth] * 3), opaque(300, 400))
    data = written(cutout, format, compression=level)
    np.testing.assert_array_equal(read_image(data).color, cutout.color)
    assert (len(data) < 300 * 400) == (level > 0)


def test_other_programs_read_the_same():
    cutout = picture(np.uint16)
    pixels = tifffile.imread(io.BytesIO(written(cutout, "TIFF", hidden="keep")))
    np.testing.assert_array_equal(pixels[..., :3], cutout.color)
    data = written(picture(), "PNG", hidden="keep")
    np.testing.assert_array_equal(np.asarray(opened(data))[..., :3], COLOR)
    floats = tifffile.imread(io.BytesIO(written(picture(np.float32), "TIFF", hidden="keep")))
    np.testing.assert_array_equal(floats[..., :3], picture(np.float32).color)
    np.testing.assert_array_equal(floats[..., 3], ALPHA)


@pytest.mark.parametrize("bits", ["8", "16"])
def test_depth_can_be_chosen_and_full_stays_full(bits):
    full = 255 if bits == "8" else 65535
    for dtype in DTYPES:
        top = 1 if dtype == np.float32 else np.iinfo(dtype).max
        color = np.array([[[0, 0, 0], [top, top, top]]], dtype)
        cutout = Cutout(color, np.float32([[0.5, 1.0]]))
        pixels = tifffile.imread(io.BytesIO(written(cutout, "TIFF", bits=bits)))
        assert pixels.dtype.itemsize * 8 == int(bits)
        np.testing.assert_array_equal(pixels[0, 1], [full] * 4)
        assert pixels[0, 0, 3] in (full // 2, full // 2 + 1) and not pixels[0, 0, :3].any()


def test_depths_are_rounded_not_cut_off():
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    cutout = Cutout(np.dstack([ramp] * 3), opaque(256, 256))
    back = read_image(written(cutout, "PNG", bits="8")).color[..., 0]
    np.testing.assert_array_equal(back, np.rint(ramp / 257))
    values = np.linspace(0, 1, 256 * 256, dtype=np.float32).reshape(256, 256)
    alpha = read_image(written(Cutout(np.dstack([ramp] * 3), values), "PNG", bits="8")).alpha
    np.testing.assert_array_equal(alpha * 255, np.rint(values * 255))


@pytest.mark.parametrize("format", ["PNG", "WebP", "TIFF"])
def test_soft_edges_keep_straight_colour_and_are_not_darker_on_white(format):
    color = np.full((H, W, 3), [230, 120, 40], np.uint8)
    data = written(Cutout(color, ALPHA), format, lossless=True)
    back = read_image(data)
    seen = back.alpha > 0
    np.testing.assert_array_equal(back.color[seen], color[seen])
    on_white = back.color * back.alpha[..., None] + 255 * (1 - back.alpha[..., None])
    assert (on_white[seen] >= color[seen] - 1e-3).all()


@pytest.mark.parametrize("format", ["PNG", "WebP", "TIFF"])
def test_hidden_colours_are_cleared_or_kept(format):
    pixels = np.asarray(opened(written(picture(), format, lossless=True)))
    assert not pixels[pixels[..., 3] == 0].any()
    kept = np.asarray(opened(written(picture(), format, lossless=True, hidden="keep")))
    np.testing.assert_array_equal(kept[..., :3], COLOR)


@pytest.mark.parametrize(
    ("name", "magic"),
    [
        ("a.png", b"\x89PNG"),
        ("a.PNG", b"\x89PNG"),
        ("a.jpg", b"\xff\xd8\xff"),
        ("a.jpeg", b"\xff\xd8\xff"),
        ("a.tif", b"II*\0"),
        ("a.tiff", b"II*\0"),
        ("a.webp", b"RIFF"),
        ("a.avif", b"\0\0\0 ftypavif"),
    ],
)
def test_the_ending_decides_the_bytes(tmp_path, name, magic):
    write_image(picture(), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)
    assert read_image(tmp_path / name).shape == (H, W)
    assert os.listdir(tmp_path) == [name]


def test_jpeg_is_laid_over_a_colour():
    flat = Cutout(np.full((H, W, 3), [200, 40, 90], np.uint8), ALPHA)
    back = read_image(written(flat, "JPEG", background="#00ff80", quality=95)).color
    expected = flat.color * ALPHA[..., None] + np.float32([0, 255, 128]) * (1 - ALPHA[..., None])
    assert np.abs(back - expected).max() < 6
    grey = Cutout(np.full((H, W, 3), 50, np.uint8), ALPHA, Source(grey=True))
    assert opened(written(grey, "JPEG")).mode == "L"
    assert read_image(written(grey, "JPEG", background="#ff0000")).color[3, 0, 0] > 240


def test_quality_and_lossless_matter():
    for format in ("JPEG", "WebP", "AVIF"):
        small, large = (written(picture(), format, quality=quality) for quality in (20, 95))
        assert len(small) < len(large)
    back = read_image(written(picture(), "WebP", lossless=True, hidden="keep"))
    np.testing.assert_array_equal(back.color, COLOR)
    back = read_image(written(picture(alpha=opaque(H, W)), "AVIF", lossless=True))
    assert np.abs(back.color.astype(int) - COLOR).max() <= 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_matte_alone_is_a_grey_picture(dtype):
    for format in ("PNG", "TIFF"):
        image = opened(written(picture(dtype), format, content="mask"))
        assert len(image.getbands()) == 1 and "icc_profile" not in image.info
        back = read_image(written(picture(dtype), format, content="mask"))
        full = 1 if back.color.dtype == np.float32 else np.iinfo(back.color.dtype).max
        np.testing.assert_allclose(back.color[..., 1] / full, ALPHA, atol=0.51 / 255)
        depth = np.dtype(dtype).itemsize * 8
        assert back.source.bits == (min(depth, 16) if format == "PNG" else depth)
    for format in ("JPEG", "WebP", "AVIF"):
        assert opened(written(picture(dtype), format, content="mask")).size == (W, H)
    for value in (0, 1):
        flat = picture(alpha=np.full((H, W), value, np.float32))
        assert (read_image(written(flat, "PNG", content="mask")).color == 255 * value).all()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WebP", "AVIF"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_profile_and_resolution_are_kept_or_left_out(dtype, format):
    source = read_image(written(picture(dtype), format)).source
    assert source.icc == SRGB
    assert source.dpi == pytest.approx((240, 300), abs=0.02)
    bare = written(picture(dtype), format, keep_profile=False, keep_dpi=False, metadata="none")
    source = read_image(bare).source
    assert source.icc is None and source.dpi is None and not source.exif


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WebP", "AVIF"])
def test_metadata_without_anything_private_unless_asked_for(format):
    def block(which):
        exif = Image.Exif()
        exif.load(read_image(written(picture(), format, metadata=which)).source.exif or b"")
        return exif

    camera = block("camera")
    assert camera[0x010F] == "Maker" and 0x8298 not in camera
    assert float(camera.get_ifd(34665)[33434]) == 0.01
    assert 0x013B not in camera and not camera.get_ifd(34853) and camera.get(0x0112, 1) == 1
    assert not {37500, 42032, 40962} & set(camera.get_ifd(34665))
    data = written(picture(), format)
    assert b"Jane" not in data and b"(c) me" not in data and b"secret" not in data
    credit = block("credit")
    assert (credit[0x013B], credit[0x8298]) == ("Jane Doe", "(c) me")
    assert credit[0x010F] == "Maker" and not credit.get_ifd(34853)
    assert not {37500, 42032, 40962} & set(credit.get_ifd(34665))
    everything = block("all")
    assert everything[0x013B] == "Jane Doe" and everything.get_ifd(34853)[1] == "N"
    assert everything.get_ifd(34665)[37500] == b"secret notes"
    assert everything.get(0x0112, 1) == 1 and 40962 not in everything.get_ifd(34665)
    assert 0x010F not in block("none")


@pytest.mark.filterwarnings("ignore::UserWarning")  # pytest sets aside the reader's own
def test_metadata_that_cannot_be_read_is_left_out():
    for block in (b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"nonsense" * 9):
        cutout = picture(source=Source(exif=block))
        for format in ("PNG", "TIFF", "JPEG"):
            assert read_image(written(cutout, format, metadata="all")).source.exif is None


def test_a_grey_profile_is_not_put_into_a_coloured_picture(grey_icc):
    grey = Cutout(np.dstack([COLOR[..., 0]] * 3), opaque(H, W), Source(grey=True, icc=grey_icc))
    notes = []
    assert read_image(written(grey, "PNG", note=notes.append)).source.icc == grey_icc
    assert read_image(written(grey, "JPEG", note=notes.append)).source.icc == grey_icc
    mask = written(grey.with_color(COLOR), "PNG", content="mask", note=notes.append)
    assert read_image(mask).source.icc is None
    written(grey.with_color(COLOR), "PNG", keep_profile=False, note=notes.append)
    assert notes == []
    said = "The colour profile is one for grey pictures and this is an RGB one, so it was left out."
    for format in ("PNG", "TIFF", "JPEG", "WebP", "AVIF"):
        data = written(grey.with_color(COLOR), format, note=notes.append)
        assert "icc_profile" not in Image.open(io.BytesIO(data)).info and notes.pop() == said
        assert notes == []


def test_a_damaged_profile_is_written_into_no_format():
    for format in ("PNG", "TIFF", "JPEG", "WebP", "AVIF"):
        notes = []
        data = written(picture(source=Source(icc=SRGB[:200])), format, note=notes.append)
        assert "icc_profile" not in Image.open(io.BytesIO(data)).info
        assert "The colour profile is damaged, so it was left out." in notes


def test_what_a_format_cannot_hold_is_said():
    notes = []
    written(picture(np.uint16), "WebP", note=notes.append)
    assert notes == ["WebP holds 8 bits per channel; the picture has 16."]
    with pytest.raises(WriteError, match=r"output: JPEG holds 8 bits .* Use png or tif for 16"):
        written(picture(), "JPEG", bits="16")
    wide = Cutout(np.zeros((1, 20000, 3), np.uint8), opaque(1, 20000))
    with pytest.raises(WriteError, match=r"at most 16383 px a side.* 20000 × 1\. Use png or tif"):
        written(wide, "WebP")


def test_unknown_endings_are_refused_by_name():
    with pytest.raises(
        WriteError, match=r"a\.bmp: no format .* '\.bmp'\. End the name in png, webp"
    ):
        format_of("a.bmp")
    with pytest.raises(WriteError, match="it has no ending"):
        format_of("folder/cutout")


def test_faults_of_the_target_are_one_sentence_and_leave_nothing(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "there.png").write_bytes(b"old")
    for name, text, options in [
        ("folder.png", "this is a folder. Give a file name.", {}),
        ("no/a.png", "its folder does not exist. Make the folder first, or choose another.", {}),
        ("there.png/a.png", "its folder does not exist.", {}),
        ("there.png", "the file is there already. Allow overwriting", {"overwrite": False}),
        ("x" * 300 + ".png", "it cannot be written (", {}),
    ]:
        with pytest.raises(WriteError) as caught:
            write_image(picture(), tmp_path / name, **options)
        assert str(caught.value).startswith(f"{tmp_path / name}: {text}")
        if not options:
            with pytest.raises(WriteError) as known:
                check_target(str(tmp_path / name))
            assert str(known.value) == str(caught.value)
    check_target(str(tmp_path / "there.png"))
    check_target(str(tmp_path / "new.webp"))
    assert (tmp_path / "there.png").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["folder.png", "there.png"]


@pytest.mark.parametrize("format", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize(
    ("code", "text"),
    [(errno.ENOSPC, "the disk is full. Free some space"), (errno.EIO, "it cannot be written (")],
)
def test_a_disk_that_fills_up_leaves_the_old_file_and_no_other(
    tmp_path, monkeypatch, format, code, text
):
    target = tmp_path / f"a.{format}"
    target.write_bytes(b"old")

    def full(handle):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError) as caught:
        write_image(picture(), target)
    assert str(caught.value).startswith(f"{target}: {text}")
    assert os.listdir(tmp_path) == [target.name] and target.read_bytes() == b"old"


@pytest.mark.parametrize("there", [True, False])
def test_a_read_only_disk_is_called_so(tmp_path, monkeypatch, there):
    target = tmp_path / "a.png"
    if there:
        target.write_bytes(b"old")

    def refuse(*args):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "access", lambda *args: False)  # as the system answers there
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(WriteError, match=r"a\.png: the disk is read-only\. Write to another disk"):
        write_image(picture(), target)


def test_no_permission_is_said(tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(WriteError, match="you have no permission to write it"):
        write_image(picture(), tmp_path / "a.png")
    assert os.listdir(tmp_path) == []


class Pipe(io.BytesIO):
    """A file that cannot go back."""

    def seekable(self):
        return False

    def seek(self, *args):
        raise io.UnsupportedOperation("seek")

    tell = seek


class FullDisk(io.RawIOBase):
    """A file on a disk that is full after some bytes."""

    room = 300

    def writable(self):
        return True

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(data)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WebP", "AVIF"])
def test_a_stream_that_fills_up_is_an_error(format):
    with pytest.raises(WriteError, match=r"stdout: the disk is full"):
        write_image(picture(), FullDisk(), format=format, name="stdout")


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WebP", "AVIF"])
def test_a_pipe_takes_every_format(format):
    pipe = Pipe()
    write_image(picture(), pipe, format=format)
    assert not pipe.closed
    assert read_image(Pipe(pipe.getvalue())).shape == (H, W)


@pytest.mark.parametrize("format", ["png", "tif", "jpg"])
def test_cancelling_leaves_nothing(tmp_path, format):
    def stop(fraction):
        raise Cancelled

    with pytest.raises(Cancelled):
        write_image(picture(), tmp_path / f"a.{format}", progress=stop)
    assert os.listdir(tmp_path) == []


def test_progress_rises_to_the_end():
    told = []
    large = Cutout(np.zeros((900, 1100, 3), np.uint8), opaque(900, 1100))
    for format in ("PNG", "TIFF"):
        told.clear()
        written(large, format, progress=told.append)
        assert told == sorted(told) and len(told) > 1 and told[-1] == 1


def test_a_link_is_written_through_and_the_file_has_ordinary_permissions(tmp_path):
    (tmp_path / "real.png").write_bytes(b"old")
    os.symlink(tmp_path / "real.png", tmp_path / "link.png")
    write_image(picture(), tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert read_image(tmp_path / "real.png").shape == (H, W)
    (tmp_path / "plain").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "real.png")]
    assert modes[0] == modes[1]


# Pillow chooses among five filters for every row, which pays where there is no grain at all.
@pytest.mark.parametrize(
    ("kind", "limit"), [("small", 1.1), ("grained", 1.1), ("smooth", 1.15), ("drawn", 1.1)]
)
def test_png_of_a_cut_out_is_not_much_larger_than_pillows(kind, limit):
    from skimage import data

    color = data.astronaut()
    if kind != "small":  # several strips, each compressed in the way that suits it
        color = np.asarray(Image.fromarray(color).resize((1400, 1300), Image.Resampling.LANCZOS))
    if kind == "grained":
        grain = np.random.default_rng(0).normal(0, 4, color.shape)
        color = np.clip(color + grain, 0, 255).astype(np.uint8)
    elif kind == "drawn":
        color = color // 64 * 64
    y, x = (np.arange(length) / length for length in color.shape[:2])
    alpha = np.clip((0.35 - np.hypot(y[:, None] - 0.45, x - 0.45)) * 90 + 0.5, 0, 1)
    ours = written(Cutout(color, alpha.astype(np.float32)), "PNG")
    theirs = io.BytesIO()
    opened(ours).save(theirs, "PNG")
    assert len(ours) <= limit * len(theirs.getvalue())


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WebP", "AVIF", "JPEG"])
@pytest.mark.parametrize("dpi", [(536871212.0, 300.0), (300.0, 99999.0), (0.004, 1.0)])
def test_a_resolution_that_a_format_cannot_hold_is_left_out_and_said(format, dpi):
    notes, odd = [], Source(dpi=dpi)
    data = written(picture(source=odd), format, note=notes.append)
    np.testing.assert_array_equal(opened(data).size, (W, H))
    too_high = max(dpi) > (65535 if format == "JPEG" else 1e7)
    assert len(notes) == too_high and all("dpi; the resolution was left out." in n for n in notes)


def test_jpeg_leaves_out_what_is_too_much_for_it_and_says_so():
    exif = Image.Exif()
    exif[0x010F], exif[34665] = "Maker", {37500: bytes(70_000)}
    notes, long = [], Source(exif=exif.tobytes())
    data = written(picture(source=long), "JPEG", metadata="all", note=notes.append)
    assert not opened(data).getexif() and len(notes) == 1 and "was left out" in notes[0]
    data = written(picture(source=long), "JPEG", note=notes.append)
    assert opened(data).getexif()[0x010F] == "Maker" and len(notes) == 1


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png"])
def test_a_name_that_no_file_can_have_is_a_sentence(name, tmp_path):
    with pytest.raises(WriteError, match="a file cannot be called so"):
        write_image(picture(), f"{tmp_path}/{name}")
    assert os.listdir(tmp_path) == []
