"""Dropped files and the clipboard, with the system's side played by stand-ins."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageCms

from qr_nodes.errors import WriteError
from qr_nodes.types import Cutout, Source, opaque
from qr_nodes.ui import outside, system


class App:
    """Keeps what was posted; `settle` waits for it."""

    def __init__(self):
        self.posted, self.came = [], threading.Event()
        self.loop = SimpleNamespace(post=self.post)

    def say(self, text, kind="info"):
        raise AssertionError("must be posted")

    def post(self, call, *arguments):
        self.posted.append((call, arguments))
        self.came.set()

    def settle(self):
        assert self.came.wait(30)
        return self.posted[-1]


class Clipboard:
    """Stands in for copykitten."""

    class CopykittenError(Exception):
        pass

    def __init__(self):
        self.files, self.image, self.text = None, None, None

    def _give(self, value):
        if value is None:
            raise self.CopykittenError("not available")
        return value

    def paste_paths(self):
        return self._give(self.files)

    def paste_image(self):
        return self._give(self.image)

    def paste(self):
        return self._give(self.text)

    def copy(self, text):
        self.text = text

    def copy_image(self, pixels, width, height):
        self.image = pixels, width, height


@pytest.fixture
def clipboard(monkeypatch):
    clipboard = Clipboard()
    monkeypatch.setitem(sys.modules, "copykitten", clipboard)
    return clipboard


@pytest.fixture
def app():
    return App()


# ---- dropping ------------------------------------------------------------------------------


def fake_glfw(monkeypatch, window):
    calls = {}

    def get_context():
        return window

    def set_drop(window, callback):
        calls["drop"] = callback

    library = SimpleNamespace(glfwGetCurrentContext=get_context, glfwSetDropCallback=set_drop)
    monkeypatch.setattr(system.ctypes, "CDLL", lambda path: library)
    return calls


def test_dropped_files_come_with_their_names(monkeypatch):
    calls = fake_glfw(monkeypatch, window=1234)
    dropped = []
    assert system.accept_drops(dropped.append) is not None
    names = ["/pictures/Käse & Brot.jpg", "/pictures/b.qrgraph"]
    calls["drop"](1234, 2, (ctypes.c_char_p * 2)(*[name.encode() for name in names]))
    assert dropped == [names]


def test_without_a_window_nothing_can_be_dropped(monkeypatch):
    calls = fake_glfw(monkeypatch, window=None)
    assert system.accept_drops(print) is None
    assert not calls


def test_a_build_without_glfw_is_no_error(monkeypatch):
    monkeypatch.setattr(system.ctypes, "CDLL", lambda path: SimpleNamespace())
    assert system.accept_drops(print) is None


# ---- copying -------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
def test_a_cutout_of_any_depth_is_copied_straight_in_8_bits(dtype, top):
    color = np.zeros((37, 53, 3), dtype)
    color[:, 20:, 1] = top
    alpha = np.zeros((37, 53), np.float32)
    alpha[5:] = 0.5
    pixels = system.rgba(Cutout(color, alpha))
    assert pixels.dtype == np.uint8
    assert pixels[0, 0].tolist() == [0, 0, 0, 0]
    assert pixels[9, 30, :3].tolist() == [0, 255, 0]
    assert pixels[9, 30, 3] in (127, 128)


def test_a_picture_without_transparency_and_a_mask_are_opaque():
    color = np.full((3, 5, 3), 9, np.uint8)
    assert (system.rgba(Cutout(color, opaque(3, 5)))[..., 3] == 255).all()
    assert system.rgba(np.full((3, 5), 1.0, np.float32)).tolist() == [[[255] * 4] * 5] * 3


def test_colors_of_another_profile_are_copied_as_srgb():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A profile whose first channel is sRGB's blue and whose third is its red.
    icc = srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")
    color = np.zeros((37, 53, 3), np.uint8)
    color[..., 0] = 200
    copied = system.rgba(Cutout(color, opaque(37, 53), Source(icc=icc)))[..., :3].astype(int)
    assert np.abs(copied - (0, 0, 200)).max() <= 1


def test_what_is_copied_reaches_the_clipboard_and_the_status_bar(app, clipboard):
    system.copy_picture(app, Cutout(np.full((2, 3, 3), 7, np.uint8), opaque(2, 3)))
    assert app.settle() == (app.say, ("Copied 3 × 2 px.", "good"))
    assert clipboard.image == (bytes([7, 7, 7, 255] * 6), 3, 2)


def test_a_picture_too_large_to_copy_says_so(app, monkeypatch):
    monkeypatch.setattr(system, "MAX_COPY", 1000)
    system.copy_picture(app, Cutout(np.zeros((40, 40, 3), np.uint8), opaque(40, 40)))
    _, (text, kind) = app.settle()
    assert kind == "error"
    assert "too large to copy. Export it instead." in text


def test_text_reaches_the_clipboard(clipboard):
    system.copy_text('{"nodes": "ä"}')
    assert clipboard.text == '{"nodes": "ä"}'


def test_a_system_without_clipboard_says_so(clipboard, monkeypatch):
    def refuse(text):
        raise clipboard.CopykittenError("Clipboard was never initialized.")

    monkeypatch.setattr(clipboard, "copy", refuse)
    with pytest.raises(WriteError, match="clipboard: it cannot be written"):
        system.copy_text("a")


# ---- pasting -------------------------------------------------------------------------------


def test_a_pasted_picture_becomes_a_file_named_by_its_content(clipboard, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 4), np.uint8)
    clipboard.image = pixels.tobytes(), 7, 5
    folder = tmp_path / "pasted"
    (first,) = outside.paste(str(folder))["files"]
    assert np.array_equal(np.asarray(Image.open(first)), pixels)
    assert outside.paste(str(folder))["files"] == [first]
    assert [str(file) for file in folder.iterdir()] == [first]


def test_an_opaque_pasted_picture_has_no_alpha(clipboard, tmp_path):
    clipboard.image = bytes([1, 2, 3, 255] * 6), 3, 2
    (file,) = outside.paste(str(tmp_path))["files"]
    assert Image.open(file).mode == "RGB"


def test_files_come_before_text_and_an_empty_clipboard_gives_neither(clipboard, tmp_path):
    assert outside.paste(str(tmp_path)) == {"files": [], "text": ""}
    clipboard.text = "/a.png"
    assert outside.paste(str(tmp_path)) == {"files": [], "text": "/a.png"}
    clipboard.files = [Path("/a.png")]
    assert outside.paste(str(tmp_path)) == {"files": ["/a.png"], "text": ""}


@pytest.mark.parametrize(
    ("printed", "call", "arguments"),
    [
        ({"files": ["/a.png"], "text": ""}, "done", (["/a.png"], "")),
        ({"files": [], "text": "hi"}, "done", ([], "hi")),
        ({"files": [], "text": ""}, "say", ("The clipboard holds nothing to paste.",)),
    ],
)
def test_what_is_pasted_comes_through_the_loop(app, monkeypatch, printed, call, arguments):
    script = f"print({json.dumps(json.dumps(printed))})"
    monkeypatch.setattr(system, "outside_command", lambda *a: [sys.executable, "-c", script])
    calls = {"done": lambda files, text: None, "say": app.say}
    system.paste(app, calls["done"])
    assert app.settle() == (calls[call], arguments)


def test_a_clipboard_that_fails_is_an_error_in_the_status_bar(app, monkeypatch):
    script = "raise SystemExit(1)"
    monkeypatch.setattr(system, "outside_command", lambda *a: [sys.executable, "-c", script])
    system.paste(app, print)
    text = "clipboard: it cannot be read. Copy again."
    assert app.settle() == (app.say, (text, "error"))


def test_what_runs_outside_imports_nothing_of_the_program(tmp_path):
    code = f"import sys, runpy; runpy.run_path({outside.__file__!r}); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"qr_nodes", "numpy", "PIL", "tkinter"} & set(loaded)
