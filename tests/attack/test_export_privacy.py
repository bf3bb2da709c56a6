"""What Export writes says nothing of path, name or place of the user unless asked."""

from __future__ import annotations

import functools
import getpass
import io
import os
import re
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pictures import chunk, png
from PIL import Image, ImageCms

from qr_nodes.batch import run
from qr_nodes.graph import Graph
from qr_nodes.imaging.color import profile_fits, to_srgb, without_owner

MARK = "Zorblatt"
"""Stands in every text that a source holds; "all" must show it, so that the search is proved."""

RGB = np.random.default_rng(5).integers(0, 256, (24, 36, 3), np.uint8)
PLACE = (52.0, 31.0, 12.25)
FORMATS = ("png", "tif", "webp", "avif", "jpg")


def exif() -> bytes:
    """Give an EXIF block in which everything private names the owner."""
    block = Image.Exif()
    for tag in (269, 270, 305, 315, 316, 33432, 40091, 40092, 40093, 40094, 40095):
        block[tag] = f"{MARK} {tag}"
    block[271], block[272], block[306] = "Camera", "Model", "2026:01:02 03:04:05"
    block[700], block[33723] = f"<x>{MARK}</x>".encode(), MARK.encode()
    block[34665] = {
        33434: 0.01, 36867: "2026:01:02 03:04:05", 42036: "Lens",
        **{tag: f"{MARK} {tag}" for tag in (42016, 42032, 42033, 42037, 40964)},
        **{tag: f"{MARK} {tag}".encode() for tag in (37500, 37510)},
    }  # fmt: skip
    block[34853] = {1: "N", 2: PLACE, 3: "E", 4: PLACE, 29: "2026:01:02", 28: MARK.encode()}
    return block.tobytes()


@functools.cache  # it tells the second that it was made in
def owned_profile(
    name: str = f"{MARK}'s screen", version: int = 4, notice: str = f"Copyright {MARK}"
) -> bytes:
    """Give an sRGB profile that is called after its owner and tells of their device."""
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = int.from_bytes(plain[128:132], "big")
    tags = {}
    for entry in range(132, 132 + 12 * count, 12):
        at, size = (int.from_bytes(plain[entry + i : entry + i + 4], "big") for i in (4, 8))
        tags[plain[entry : entry + 4]] = plain[at : at + size]
    wide = name.encode("utf-16-be")
    if version == 4:
        text = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(wide), 28)
        tags[b"desc"] = text + wide
    else:
        text = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name.encode() + b"\0"
        text += struct.pack(">II", 0, len(name) + 1) + wide + b"\0\0"
        tags[b"desc"] = text + bytes(2) + bytes([len(name)]) + name.encode().ljust(67, b"\0")
    tags[b"dmdd"] = tags[b"desc"]
    tags[b"cprt"] = b"text" + bytes(4) + notice.encode() + b"\0"
    tags[b"mmod"] = b"mmod" + bytes(4) + MARK.encode()
    tags[b"targ"] = b"text" + bytes(4) + f"/home/{MARK}/a.ti3".encode() + b"\0"
    head, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        head += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(content))
        body += content.ljust((len(content) + 3) // 4 * 4, b"\0")
    whole = bytearray(plain[:128] + head + body)
    whole[:4] = struct.pack(">I", len(whole))
    whole[8] = version
    return bytes(whole)


def jpeg() -> bytes:
    out = io.BytesIO()
    comment = f"{MARK} comment".encode()
    Image.fromarray(RGB).save(
        out, "JPEG", exif=exif(), icc_profile=owned_profile(), comment=comment, dpi=(300, 300)
    )
    data = out.getvalue()
    extra = b""
    for marker, content in (
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>" + MARK.encode() + b"</x>"),
        (0xED, b"Photoshop 3.0\0008BIM\x04\x04\0\0\0\0\0\x0d\x1c\x02\x50\0\x08" + MARK.encode()),
    ):
        extra += bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
    return data[:2] + extra + data[2:]


def png_file() -> bytes:
    texts = chunk(b"tEXt", f"Author\0{MARK}".encode()) + chunk(b"eXIf", exif()[6:])
    texts += chunk(b"zTXt", b"Source\0\0" + zlib.compress(f"/home/{MARK}".encode()))
    texts += chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + MARK.encode())
    texts += chunk(b"iCCP", b"Zorblatt\0\0" + zlib.compress(owned_profile(version=2)))
    return png(RGB, 2, extra=texts)


def tiff_file() -> bytes:
    out = io.BytesIO()
    more = [(tag, "s", 0, f"{MARK} {tag}", True) for tag in (269, 285, 315, 316, 33432)]
    more += [(700, "B", 8, MARK.encode(), True), (34675, "B", 0, owned_profile(), True)]
    more[-1] = (34675, 7, len(owned_profile()), owned_profile(), True)
    tifffile.imwrite(out, RGB, description=MARK, software=MARK, extratags=more)
    return out.getvalue()


def heic() -> bytes:
    import pillow_heif

    out = io.BytesIO()
    image = pillow_heif.from_pillow(Image.fromarray(RGB))
    image.save(out, exif=exif(), xmp=MARK.encode(), icc_profile=owned_profile())
    return out.getvalue()


SOURCES = {"jpg": jpeg, "png": png_file, "tif": tiff_file, "heic": heic}


def everything(file: Path) -> bytes:
    """Give a file's bytes and all that is packed within them."""
    data = file.read_bytes()
    image = Image.open(io.BytesIO(data))
    image.load()
    parts = [data, image.info.get("icc_profile") or b"", repr(image.info).encode()]
    parts.append(repr(dict(image.getexif())).encode())
    parts += [repr(image.getexif().get_ifd(tag)).encode() for tag in (34665, 34853)]
    return b"\0".join(parts)


def private(home: Path) -> list[str]:
    """Give what must not stand in a file: names of the user, the machine and the folders."""
    names = {getpass.getuser(), socket.gethostname(), str(Path.home()), str(home)}
    return [MARK, *sorted(name for name in names if len(name) > 4)]


def told(data: bytes, words: list[str]) -> list[str]:
    ways = ("utf-8", "utf-16-le", "utf-16-be")
    return [w for w in words if any(w.lower().encode(way) in data.lower() for way in ways)]


def exported(source: Path, ending: str, **params) -> Path:
    out = source.parent / f"out.{ending}"
    graph = Graph.chain("load", "export")
    for name, value in params.items():
        graph = graph.set_param("export", name, value)
    (result,) = run(graph, source, out, overwrite=True)
    assert result.error is None, result.error
    return out


@pytest.fixture(params=list(SOURCES))
def source(request, tmp_path) -> Path:
    """A picture full of private matters, in a folder and under a name that are too."""
    folder = tmp_path / f"{MARK} pictures"
    folder.mkdir()
    file = folder / f"{MARK}-in-bed.{request.param}"
    file.write_bytes(SOURCES[request.param]())
    return file


@pytest.mark.parametrize("metadata", ["default", "none", "camera"])
@pytest.mark.parametrize("ending", FORMATS)
def test_nothing_private_is_written_unless_asked(ending, metadata, source):
    asked = {} if metadata == "default" else {"metadata": metadata}
    out = exported(source, ending, **asked)
    assert told(everything(out), private(source.parent)) == []
    with Image.open(out) as image:
        assert not image.getexif().get_ifd(34853)
        assert image.info.get("icc_profile"), "the profile itself is to be kept"


@pytest.mark.parametrize("ending", FORMATS)
def test_asked_for_credit_it_writes_the_photographer_and_nothing_else(ending, tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg())
    out = exported(file, ending, metadata="credit")
    with Image.open(out) as image:
        exif = dict(image.getexif())
        assert (exif[315], exif[33432]) == (f"{MARK} 315", f"{MARK} 33432")
        assert not image.getexif().get_ifd(34853)
    data = everything(out)
    for told_ in ("315", "33432"):
        data = data.replace(f"{MARK} {told_}".encode(), b"")
    assert told(data, private(tmp_path)) == []


@pytest.mark.parametrize("ending", FORMATS)
def test_nothing_private_is_written_with_a_mask(ending, source):
    out = exported(source, ending, content="mask", metadata="all")
    assert told(everything(out), private(source.parent)) == []


@pytest.mark.parametrize("ending", FORMATS)
def test_asked_for_all_it_writes_all(ending, tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg())
    out = exported(file, ending, metadata="all")
    assert told(everything(out), [MARK]) == [MARK]
    with Image.open(out) as image:
        assert image.getexif().get_ifd(34853)[2] == PLACE
        assert image.info["icc_profile"] == owned_profile()


@pytest.mark.parametrize("ending", FORMATS)
def test_a_file_tells_neither_its_own_path_nor_when_it_was_written(ending, tmp_path):
    folder = tmp_path / MARK
    folder.mkdir()
    Image.fromarray(RGB).save(folder / "a.png")
    first = exported(folder / "a.png", ending).read_bytes()
    assert told(first, private(tmp_path)) == []
    assert not re.search(rb"20[2-9]\d[:-]", first)
    os.rename(folder, tmp_path / "other")
    assert exported(tmp_path / "other" / "a.png", ending).read_bytes() == first


# ---- profiles ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("name", [f"{MARK}'s screen", f"sRGB of {MARK}", f"Display P3 {MARK}"])
def test_a_profile_loses_its_owner_and_keeps_its_colours(name, version):
    owned = owned_profile(name, version)
    plain = without_owner(owned)
    assert told(owned, [MARK]) and not told(plain, [MARK]) and len(plain) == len(owned)
    assert profile_fits(plain, "RGB")
    ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(plain)))
    image = Image.fromarray(RGB)
    assert to_srgb(image, plain).tobytes() == to_srgb(image, owned).tobytes()


@pytest.mark.parametrize(
    "name", ["sRGB IEC61966-2.1", "Display P3", "Adobe RGB (1998)", "Dot Gain 20%", "Color LCD"]
)
def test_a_common_profile_keeps_its_name(name):
    plain = without_owner(owned_profile(name).replace(MARK.encode(), b" " * len(MARK)))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(plain))
    assert ImageCms.getProfileDescription(profile).strip() == name


@pytest.mark.parametrize(
    ("notice", "kept"),
    [
        ("Copyright Apple Inc., 2025", True),
        ("Copyright (c) 1998 Hewlett-Packard Company", True),
        ("Copyright 2000 Adobe Systems Incorporated", True),
        ("No copyright, use freely", True),
        ("Copyright International Color Consortium, 2015", True),
        ("Public Domain", True),
        ("Google Inc. 2016", True),
        ("Copyright (c) Eastman Kodak Company, 1999, all rights reserved.", True),
        (f"Copyright {MARK}", False),
        (f"(c) 2026 {MARK} and friends", False),
    ],
)
def test_a_makers_copyright_notice_of_a_profile_stays_and_a_persons_goes(notice, kept):
    owned = owned_profile("sRGB", notice=notice)
    assert (notice.encode() in without_owner(owned)) == kept


def test_an_ordinary_profile_stays_as_it_is():
    plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert without_owner(plain) == plain


def test_a_damaged_profile_is_left_alone_or_blanked_but_never_grows():
    rng, owned = np.random.default_rng(3), owned_profile()
    for _ in range(2000):
        data = bytearray(owned[: rng.integers(1, len(owned))] if rng.random() < 0.3 else owned)
        for at in rng.integers(0, len(data), 4):
            data[at] = rng.integers(0, 256)
        assert len(without_owner(bytes(data))) == len(data)
