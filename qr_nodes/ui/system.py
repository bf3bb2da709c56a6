"""What the window asks of the system: files dropped on it, and the clipboard.

Dear PyGui's own clipboard is left alone: reading it ends the process when the clipboard holds a
picture. Reading goes through a process of its own, since the clipboard's owner may be this
very window, or one that takes its time.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from qr_nodes import resources
from qr_nodes.errors import QrNodesError, ReadError, WriteError
from qr_nodes.types import Cutout
from qr_nodes.ui import outside

PATIENCE = 20.0
"""Seconds after which the clipboard's owner is taken for dead."""

MAX_COPY = 100_000_000
"""Pixels of the largest picture that is copied."""


def accept_drops(dropped: Callable[[list[str]], None]) -> object | None:
    """Have `dropped(paths)` called when files are dropped on the window.

    Call it once, after `show_viewport` and from the main thread. `dropped` is called while a
    frame is drawn: it must post what it does.

    Returns
    -------
    object or None
        To be kept for as long as the window lives; None where dropping cannot be had.
    """
    import dearpygui._dearpygui as library

    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))

    @kind
    def callback(window, count, paths):
        dropped([os.fsdecode(paths[index]) for index in range(count)])

    try:
        glfw = ctypes.CDLL(library.__file__)
        glfw.glfwGetCurrentContext.restype = ctypes.c_void_p
        glfw.glfwSetDropCallback.argtypes = [ctypes.c_void_p, kind]
        window = glfw.glfwGetCurrentContext()
    except (OSError, AttributeError):  # a build that does not lend its GLFW
        return None
    if not window:
        return None
    glfw.glfwSetDropCallback(window, callback)
    return callback


def copy_text(text: str) -> None:
    """Put text on the clipboard; raises WriteError if there is none."""
    import copykitten

    try:
        copykitten.copy(text)
    except copykitten.CopykittenError as error:
        raise _no_clipboard(error) from error


def copy_picture(app, value: Cutout | np.ndarray) -> None:
    """Put a cut-out or a mask on the clipboard, in a thread; the status bar says how it went."""

    def work():
        try:
            height, width = _copied(value)
        except QrNodesError as error:
            app.loop.post(app.say, str(error), "error")
        else:
            app.loop.post(app.say, f"Copied {width} × {height} px.", "good")

    threading.Thread(target=work, name="qr-nodes copy").start()


def _copied(value: Cutout | np.ndarray) -> tuple[int, int]:
    import copykitten

    pixels = rgba(value)
    height, width = pixels.shape[:2]
    try:
        copykitten.copy_image(pixels.tobytes(), width, height)
    except copykitten.CopykittenError as error:
        raise _no_clipboard(error) from error
    return height, width


def rgba(value: Cutout | np.ndarray) -> np.ndarray:
    """Give a cut-out (in sRGB) or a mask (as opaque grey) as (H, W, 4) straight uint8.

    Raises
    ------
    WriteError
        It is too large for a clipboard.
    """
    height, width = value.shape[:2]
    if height * width > MAX_COPY:
        raise WriteError(
            f"a picture of {height * width / 1e6:.0f} MP is too large to copy.",
            "clipboard",
            "Export it instead.",
        )
    if not isinstance(value, Cutout):
        return cv2.cvtColor(_bytes(value), cv2.COLOR_GRAY2RGBA)
    color = _bytes(value.color)
    if value.source.icc:
        from PIL import Image

        from qr_nodes.imaging.color import to_srgb

        color = np.asarray(to_srgb(Image.fromarray(color), value.source.icc))
    return np.dstack([color, _bytes(value.alpha)])


def _bytes(values: np.ndarray) -> np.ndarray:
    """Give levels of any depth in 8 bits."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    top = 65535 if values.dtype == np.uint16 else 1
    return cv2.convertScaleAbs(np.ascontiguousarray(values), alpha=255 / top)


def _no_clipboard(error: Exception) -> WriteError:
    return WriteError(f"it cannot be written ({error}).", "clipboard", "Export to a file instead.")


def paste(app, done: Callable[[list[str], str], None]) -> None:
    """Read the clipboard and have `done(files, text)` called by the loop.

    A picture comes as a file in the user's folder "pasted", files as themselves, text as text.
    Nothing is called when the clipboard is empty: the status bar says so.
    """

    def work():
        try:
            files, text = _pasted(resources.data_folder() / "pasted")
        except QrNodesError as error:
            app.loop.post(app.say, str(error), "error")
            return
        if files or text:
            app.loop.post(done, files, text)
        else:
            app.loop.post(app.say, "The clipboard holds nothing to paste.")

    threading.Thread(target=work, name="qr-nodes paste", daemon=True).start()


def outside_command(what: str, arguments: dict) -> list[str]:
    """Give the command line that does something of `outside` in a process of its own."""
    return [sys.executable, "-P", str(Path(outside.__file__)), what, json.dumps(arguments)]


def _pasted(folder: Path) -> tuple[list[str], str]:
    command = outside_command("paste", {"folder": str(folder)})
    try:
        process = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
        found = json.loads(process.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise ReadError("it cannot be read.", "clipboard", "Copy again.") from error
    return found["files"], found["text"]
