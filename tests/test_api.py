"""The library as a script meets it: pictures in memory and in files, one call."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qr_nodes
from qr_nodes import Graph, QrNodesError, remove, run
from qr_nodes.cache import Cache
from qr_nodes.engine import Engine

PLAIN = Graph.chain("load", "feather", "export")
"""Needs no network: a picture's own alpha."""


def rgba(size=(37, 53), dtype=np.uint8) -> np.ndarray:
    pixels = np.zeros((*size, 4), np.uint8)
    pixels[8:30, 10:40] = (200, 40, 90, 255)
    return pixels if dtype == np.uint8 else pixels.astype(dtype) * dtype(257)


@pytest.fixture
def blurred(tmp_path) -> np.ndarray:
    """What the command line writes for `rgba()`, which every way in memory must give."""
    Image.fromarray(rgba()).save(tmp_path / "in.png")
    (result,) = run(PLAIN, tmp_path / "in.png", tmp_path / "true.png")
    assert result.error is None
    return np.asarray(Image.open(result.output))


def test_a_pillow_picture_gives_one_with_alpha(blurred):
    made = remove(Image.fromarray(rgba()), preset=PLAIN)
    assert isinstance(made, Image.Image) and made.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(made), blurred)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_a_pillow_picture_may_have_any_mode(mode):
    image = Image.fromarray(rgba()).convert("L" if mode in ("I;16", "F") else mode)
    image = Image.fromarray(np.float32(image) / 255) if mode == "F" else image.convert(mode)
    made = remove(image, preset=PLAIN)
    assert made.mode == "RGBA" and made.size == (53, 37)


def test_a_pillow_picture_is_turned_upright_and_keeps_profile_and_resolution():
    from PIL import ImageCms

    icc, exif = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), Image.Exif()
    exif[274], file = 6, io.BytesIO()
    pixels = Image.fromarray(rgba()[..., :3])
    pixels.save(file, "JPEG", icc_profile=icc, exif=exif, dpi=(300, 300))
    made = remove(Image.open(file), preset=PLAIN)
    assert made.size == (37, 53) and made.info["dpi"] == (300, 300)
    assert len(made.info["icc_profile"]) == len(icc)
    bare = remove(Image.open(file), preset=PLAIN, set={"export.keep_profile": False})
    assert "icc_profile" not in bare.info


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_array_gives_straight_rgba_in_its_own_depth(blurred, dtype):
    given = rgba(dtype=dtype)
    made = remove(given, preset=PLAIN)
    assert made.dtype == dtype and made.shape == (37, 53, 4) and made.flags.writeable
    np.testing.assert_allclose(made / np.iinfo(dtype).max, blurred / 255, atol=0.51 / 255)
    assert given.flags.writeable and (given == rgba(dtype=dtype)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_stays_so(blurred, dtype):
    made = remove((rgba() / 255).astype(dtype), preset=PLAIN)
    assert made.dtype == dtype
    np.testing.assert_allclose(made, blurred / 255, atol=0.51 / 255)


def test_an_array_may_lie_in_memory_in_any_order_and_stays_as_it_is():
    image = rgba()[..., :3]
    for given in (image, image.copy(), image[:, ::-1], np.asfortranarray(image), image[..., ::-1]):
        before = given.copy()
        made = remove(given, preset=PLAIN)
        np.testing.assert_array_equal(made[..., :3], before)
        assert (made[..., 3] == 255).all() and (given == before).all() and given.flags.writeable


@pytest.mark.parametrize("shape", [(37, 53), (37, 53, 1), (37, 53, 2), (37, 53, 3)])
def test_grey_and_other_channels_come_in_too(shape):
    assert remove(np.full(shape, 255, np.uint8), preset=PLAIN).shape == (37, 53, 4)


def test_bytes_and_binary_files_give_the_bytes_of_a_file(blurred):
    file = io.BytesIO()
    Image.fromarray(rgba()).save(file, "PNG")
    for given in (file.getvalue(), bytearray(file.getvalue()), io.BytesIO(file.getvalue())):
        made = remove(given, preset=PLAIN)
        assert isinstance(made, bytes)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(made))), blurred)
    assert remove(file.getvalue(), preset=PLAIN, format="webp")[8:12] == b"WEBP"


def test_nothing_in_memory_touches_the_disk(tmp_path, monkeypatch, home):
    import tempfile

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    graph = PLAIN.set_param("export", "path", str(tmp_path / "own.png"))
    remove(rgba(), preset=graph)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert not [path for path in before if home not in path.parents]


def test_the_mask_alone_is_grey():
    settings = {"export.content": "mask"}
    assert remove(rgba(), preset=PLAIN, set=settings).shape == (37, 53)
    made = remove(Image.fromarray(rgba()), preset=PLAIN, set=["export.content=mask"])
    assert made.mode == "L"


def test_a_path_gives_the_path_that_was_written(tmp_path, blurred):
    made = remove(str(tmp_path / "in.png"), preset=PLAIN)
    assert made == tmp_path / "in-cutout.png"
    np.testing.assert_array_equal(np.asarray(Image.open(made)), blurred)
    assert remove(tmp_path / "in.png", tmp_path / "b.webp", preset=PLAIN) == tmp_path / "b.webp"
    assert remove(rgba(), tmp_path / "c.png", preset=PLAIN) == tmp_path / "c.png"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "c.png")), blurred)


def test_a_file_of_somebody_elses_is_not_replaced_unasked(tmp_path, blurred):
    for picture in (tmp_path / "in.png", rgba()):
        out = tmp_path / "dear.png"
        out.write_bytes(b"dear")
        with pytest.raises(QrNodesError, match="was not made here, or was changed since"):
            remove(picture, out, preset=PLAIN)
        assert out.read_bytes() == b"dear"
        assert remove(picture, out, preset=PLAIN, overwrite=True) == out
        written = out.stat().st_mtime_ns
        assert remove(picture, out, preset=PLAIN) == out and out.stat().st_mtime_ns == written
        remove(picture, out, preset=PLAIN, again=True)
        assert out.stat().st_mtime_ns != written
        np.testing.assert_array_equal(np.asarray(Image.open(out)), blurred)


def test_a_list_gives_a_list_of_the_same_kinds(tmp_path, blurred):
    Image.fromarray(rgba()).save(tmp_path / "b.png")
    given = [rgba(), Image.fromarray(rgba()), tmp_path / "in.png"]
    kinds = [type(made) for made in remove(given[:2], preset=PLAIN)]
    assert kinds == [np.ndarray, Image.Image] and remove([]) == []
    made = remove([tmp_path / "in.png", tmp_path / "b.png"], tmp_path / "cutouts", preset=PLAIN)
    assert made == [tmp_path / "cutouts" / name for name in ("in.png", "b.png")]
    files = [tmp_path / f"{place}.png" for place in range(3)]
    assert remove(given, files, preset=PLAIN) == files


def test_a_folder_gives_what_was_written_for_each_picture_in_it(tmp_path):
    for name in ("a.png", "b/c.png"):
        (tmp_path / "pics" / name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(rgba()).save(tmp_path / "pics" / name)
    cut = [tmp_path / "pics-cutout" / name for name in ("a.png", "b/c.png")]
    assert sorted(remove(tmp_path / "pics", preset=PLAIN)) == cut
    assert sorted(remove(tmp_path / "pics", preset=PLAIN)) == cut  # there and current
    assert [result.skipped for result in run(PLAIN, tmp_path / "pics")] == [True, True]


def test_what_goes_wrong_is_raised_and_what_is_said_is_logged(caplog):
    with pytest.raises(QrNodesError, match="load: picture: this is not a picture"):
        remove(b"no picture", preset=PLAIN)
    remove(np.full((37, 53), 1.5), preset=PLAIN)
    (said,) = caplog.messages
    assert said.startswith("picture: load: Values below 0 or above 1")


REFUSED = [
    (lambda: remove(5), "pictures: int is no picture. Give a path, a file's bytes, an array"),
    (lambda: remove([[rgba()]]), "pictures: list is no picture"),
    (lambda: remove(rgba().astype(int)), "picture: values of the kind int64 are no picture's"),
    (lambda: remove(rgba().astype(float)), "floating-point values reach 255. Divide them"),
    (lambda: remove(np.zeros((3, 37, 53), np.uint8)), r"an array of shape \(3, 37, 53\) is no"),
    (lambda: remove(["a.jpg", "b.jpg"], ["c.png"]), "2 pictures and 1 outputs are given. Name one"),
    (lambda: run("quick", ["a.jpg"], ["c", "d"]), "1 pictures and 2 outputs are given"),
    (lambda: remove([rgba(), rgba()], "out/"), "pictures in memory have no names"),
    (lambda: remove([rgba(), "."]), "a folder and pictures in memory are given at once"),
    (lambda: remove(rgba(), set={"feather.sigma": 2}), "feather: there is no such node"),
    (lambda: remove(rgba(), set={"sigma": 2}), "'sigma' sets nothing"),
    (lambda: run("quick", rgba(), on_error="halt"), "on_error: 'halt' cannot be used"),
    (lambda: remove(rgba(), preset="standrad"), "standrad"),
    (lambda: remove(rgba(), preset=Graph.chain("load", "feather")), "no Export node"),
]


@pytest.mark.parametrize(("call", "said"), REFUSED)
def test_what_cannot_be_is_one_sentence(call, said):
    with pytest.raises(QrNodesError, match=said):
        call()


def test_run_takes_a_presets_name_and_the_command_lines_options(weights, chelsea):
    (result,) = run("quick", chelsea, quality="fast", device="cpu", set=["segment.edges=0"])
    (named,) = run("quick", chelsea, quality="balanced", set={"segment.edges": 100})
    assert result.picture.shape == named.picture.shape == (300, 451, 4)
    assert result.output is None and result.nodes[0].node == "load"
    assert (result.picture != named.picture).any()
    (failed,) = run("quick", chelsea, model="u2netp", require_gpu=True, device="cpu")
    assert "is no GPU" in str(failed.error) and failed.picture is None


def test_what_a_network_said_of_a_picture_is_not_asked_again(weights, chelsea, monkeypatch):
    from qr_nodes.inference import session

    first, asked, predict = remove(chelsea, preset="quick", quality="fast"), [], session.predict
    monkeypatch.setattr(session, "predict", lambda *a: asked.append(1) or predict(*a))
    np.testing.assert_array_equal(remove(chelsea, preset="quick", quality="fast"), first)
    assert not asked
    remove(chelsea, preset="quick", quality="fast", cache=False)
    other = chelsea.copy()
    other[:100] = 0
    remove(other, preset="quick", quality="fast")
    assert len(asked) == 2


def test_an_engine_that_is_shared_keeps_no_picture():
    import gc
    import weakref

    given = Image.fromarray(rgba())
    seen = weakref.ref(given)
    remove(given, preset=PLAIN)
    del given
    gc.collect()
    assert seen() is None


def test_an_engine_of_ones_own_that_keeps_results_gives_them_each_time():
    engine = Engine(Cache(1 << 28))
    try:
        (first,), (again,) = (run(PLAIN, rgba(), engine=engine) for _ in range(2))
    finally:
        engine.close()
    np.testing.assert_array_equal(first.picture, again.picture)
    assert [report.did for report in again.nodes] == ["reused", "ran"]


def test_dir_shows_what_there_is_and_importing_it_loads_nothing():
    assert {"remove", "run", "load_graph", "Graph", "Result"} <= set(dir(qr_nodes))
    assert set(qr_nodes.__all__) <= set(dir(qr_nodes))
    assert all(getattr(qr_nodes, name) is not None for name in qr_nodes.__all__)
    with pytest.raises(AttributeError, match="no attribute 'removed'"):
        _ = qr_nodes.removed
    code = "import sys, qr_nodes; print([m for m in ('numpy', 'cv2', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n"
    assert (Path(qr_nodes.__file__).parent / "py.typed").is_file()


def test_the_options_have_the_command_lines_names():
    from qr_nodes.api import Options
    from qr_nodes.cli import cli

    command = {option for param in cli.commands["remove"].params for option in param.opts}
    named = {f"--{name.replace('_', '-')}" for name in Options.__annotations__}
    assert named - {"--cache", "--edits"} <= command
    assert {"--no-cache", "--no-edits"} <= command
    mine = set(inspect.signature(remove).parameters) - {"pictures", "output"}
    assert mine == set(Options.__annotations__) and mine - {"preset"} <= set(
        inspect.signature(run).parameters
    )
