"""Say in a sentence that no window can open, before Dear PyGui aborts the process over it."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys

from qr_nodes.errors import DeviceError

HINT = "The command line works without: see 'qr-nodes --help'."


def check_display() -> None:
    """Raise DeviceError if there is no display, or none with OpenGL."""
    if not sys.platform.startswith("linux"):
        return
    name = os.environ.get("DISPLAY", "")
    if not name:
        wayland = (
            "XWayland is needed too" if os.environ.get("WAYLAND_DISPLAY") else "DISPLAY is not set"
        )
        raise DeviceError(f"there is no display to open a window on ({wayland}).", "qr-nodes", HINT)
    try:
        x11, glx = _library("X11"), _library("GL")
    except OSError as error:
        raise DeviceError(
            f"a system library for windows is missing ({error}).", "qr-nodes", HINT
        ) from error
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XCloseDisplay.argtypes = [ctypes.c_void_p]
    glx.glXQueryExtension.argtypes = [ctypes.c_void_p] * 3
    display = x11.XOpenDisplay(None)
    if not display:
        raise DeviceError(f"the display {name!r} cannot be opened.", "qr-nodes", HINT)
    try:
        if not glx.glXQueryExtension(display, None, None):
            raise DeviceError(f"the display {name!r} has no OpenGL.", "qr-nodes", HINT)
    finally:
        x11.XCloseDisplay(display)


def _library(name: str) -> ctypes.CDLL:
    found = ctypes.util.find_library(name)
    if not found:
        raise OSError(f"lib{name}")
    return ctypes.CDLL(found)
