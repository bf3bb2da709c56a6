"""The display: that no window can open, in a sentence, before Dear PyGui aborts the process over
it; and where on the screens one fits."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Sequence

from qr_nodes.errors import DeviceError

TITLE_BAR = 36
"""Height that the system's frame takes above a window, about, px."""

USUAL = (100, 100)
"""Where a window goes that was never moved, px."""

Rect = tuple[int, int, int, int]
"""Left, top, width and height, px."""

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


def screens() -> list[Rect]:
    """Return the part of each screen that windows may take; none where it cannot be told."""
    try:
        return _windows_screens() if sys.platform == "win32" else _glfw_screens()
    except (ImportError, OSError, AttributeError):  # a build that does not lend its GLFW
        return []


def placed(size: tuple[int, int], place: tuple[int, int] | None, free: Sequence[Rect]) -> Rect:
    """Return where a window goes: as it was left if that is on a screen, else moved and cut.

    Parameters
    ----------
    size : width and height wanted, px
    place : top left corner wanted, or None for a usual one
    free : the screens; without any, the window is put where it was left
    """
    width, height = size
    x, y = place or USUAL
    wanted = x, y, width, height
    if not free or any(_inside(wanted, screen) for screen in free):
        return wanted
    left, top, wide, high = max(free, key=lambda screen: _shared(wanted, screen))
    top, high = top + TITLE_BAR, high - TITLE_BAR
    width, height = min(width, wide), min(height, high)
    x, y = min(max(x, left), left + wide - width), min(max(y, top), top + high - height)
    return x, y, width, height


def _shared(one: Rect, other: Rect) -> int:
    """Return the area that two rectangles share, px²."""
    ends = (min(one[i] + one[i + 2], other[i] + other[i + 2]) for i in (0, 1))
    sides = [max(end - max(one[i], other[i]), 0) for i, end in enumerate(ends)]
    return sides[0] * sides[1]


def _inside(window: Rect, screen: Rect) -> bool:
    return _shared(window, screen) == window[2] * window[3]


def _glfw_screens() -> list[Rect]:
    import dearpygui._dearpygui as library

    glfw = ctypes.CDLL(library.__file__)
    numbers = [ctypes.c_int() for _ in range(4)]
    glfw.glfwGetMonitors.restype = ctypes.POINTER(ctypes.c_void_p)
    glfw.glfwGetMonitorWorkarea.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_int)] * 4]
    if not glfw.glfwInit():  # Dear PyGui asks again, to no effect
        return []
    count, found = ctypes.c_int(), []
    monitors = glfw.glfwGetMonitors(ctypes.byref(count))
    for index in range(count.value):
        glfw.glfwGetMonitorWorkarea(monitors[index], *map(ctypes.byref, numbers))
        found.append(tuple(number.value for number in numbers))
    return [rect for rect in found if rect[2] > 0 and rect[3] > 0]


def _windows_screens() -> list[Rect]:
    from ctypes import wintypes

    class Info(ctypes.Structure):
        _fields_ = (
            ("size", wintypes.DWORD),
            ("monitor", wintypes.RECT),
            ("work", wintypes.RECT),
            ("flags", wintypes.DWORD),
        )

    found: list[Rect] = []
    pointer = ctypes.POINTER(wintypes.RECT)
    more = (wintypes.HMONITOR, wintypes.HDC, pointer, wintypes.LPARAM)

    @ctypes.WINFUNCTYPE(wintypes.BOOL, *more)
    def take(monitor, _context, _rect, _data):
        info = Info(size=ctypes.sizeof(Info))
        if ctypes.windll.user32.GetMonitorInfoW(monitor, ctypes.byref(info)):
            work = info.work
            rect = work.left, work.top, work.right - work.left, work.bottom - work.top
            found.insert(0 if info.flags & 1 else len(found), rect)  # 1: the main screen
        return True

    ctypes.windll.user32.EnumDisplayMonitors(None, None, take, 0)
    return found
