"""Colours, fonts and sizes: what the window looks like, in one place.

State: fonts and themes made so far, by size and zoom.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import dearpygui.dearpygui as dpg

BACKGROUND = (30, 31, 34)
PANEL = (37, 39, 43)
FIELD = (52, 55, 61)
HOVER = (70, 74, 82)
TEXT = (222, 224, 228)
FAINT = (140, 144, 152)
ACCENT = (76, 141, 255)
GOOD = (110, 196, 120)
BAD = (236, 100, 92)
WARN = (232, 180, 84)

SOCKET = {"cutout": (232, 180, 84), "mask": (126, 200, 227), "file": (170, 170, 170)}
"""Colour of links and pins by what flows there."""

CATEGORY = {
    "File": (96, 110, 128),
    "Matte": (62, 118, 178),
    "Edge": (66, 140, 120),
    "Color": (160, 100, 70),
    "Mask": (84, 130, 150),
    "Edit": (140, 84, 140),
    "Finish": (130, 120, 66),
    "Frame": (104, 104, 116),
    "Unknown": (150, 60, 60),
}
"""Colour of a node's title by its category."""

FONT_SIZE = 15

_FONTS = {
    "win32": ("C:/Windows/Fonts/segoeui.ttf",),
    "darwin": ("/System/Library/Fonts/SFNS.ttf", "/System/Library/Fonts/Helvetica.ttc"),
    "linux": (
        "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
        "/usr/share/fonts/noto/NotoSans-Regular.ttf",
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
        "/usr/share/fonts/TTF/DejaVuSans.ttf",
        "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
        "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    ),
}


@cache
def font(size: int) -> int | str:
    """Give the system's own sans serif font at a size in px, or 0 for Dear PyGui's."""
    file = next((name for name in _FONTS.get(sys.platform, ()) if Path(name).exists()), None)
    if file is None:
        return 0
    if not dpg.does_item_exist("fonts"):
        dpg.add_font_registry(tag="fonts")
    return dpg.add_font(file, size, parent="fonts")


def _color(target: int, value: tuple, category: int = dpg.mvThemeCat_Core) -> None:
    dpg.add_theme_color(target, value, category=category)


def _style(target: int, x: float, y: float = -1, category: int = dpg.mvThemeCat_Core) -> None:
    dpg.add_theme_style(target, x, y, category=category)


@cache
def window() -> int | str:
    """Give the theme of everything that has no other."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        for target, value in (
            (dpg.mvThemeCol_WindowBg, BACKGROUND),
            (dpg.mvThemeCol_ChildBg, PANEL),
            (dpg.mvThemeCol_PopupBg, PANEL),
            (dpg.mvThemeCol_MenuBarBg, PANEL),
            (dpg.mvThemeCol_TitleBgActive, PANEL),
            (dpg.mvThemeCol_Border, (58, 61, 67)),
            (dpg.mvThemeCol_FrameBg, FIELD),
            (dpg.mvThemeCol_FrameBgHovered, HOVER),
            (dpg.mvThemeCol_Button, FIELD),
            (dpg.mvThemeCol_ButtonHovered, HOVER),
            (dpg.mvThemeCol_ButtonActive, ACCENT),
            (dpg.mvThemeCol_Header, FIELD),
            (dpg.mvThemeCol_HeaderHovered, HOVER),
            (dpg.mvThemeCol_CheckMark, ACCENT),
            (dpg.mvThemeCol_SliderGrab, ACCENT),
            (dpg.mvThemeCol_SliderGrabActive, (120, 170, 255)),
            (dpg.mvThemeCol_Text, TEXT),
            (dpg.mvThemeCol_TextDisabled, FAINT),
        ):
            _color(target, value)
        _style(dpg.mvStyleVar_FrameRounding, 4)
        _style(dpg.mvStyleVar_ChildRounding, 4)
        _style(dpg.mvStyleVar_WindowPadding, 8, 8)
        _style(dpg.mvStyleVar_FramePadding, 6, 4)
        _style(dpg.mvStyleVar_ItemSpacing, 6, 5)
    return made


@cache
def canvas(zoom: float) -> int | str:
    """Give the theme of the node canvas at a zoom."""
    nodes = dpg.mvThemeCat_Nodes
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        _style(dpg.mvStyleVar_FramePadding, 4 * zoom, 2 * zoom)
        _style(dpg.mvStyleVar_ItemSpacing, 4 * zoom, 3 * zoom)
        _style(dpg.mvNodeStyleVar_GridSpacing, 24 * zoom, category=nodes)
        _style(dpg.mvNodeStyleVar_NodePadding, 8 * zoom, 5 * zoom, nodes)
        _style(dpg.mvNodeStyleVar_NodeCornerRounding, 4 * zoom, category=nodes)
        _style(dpg.mvNodeStyleVar_LinkThickness, max(1.5, 3 * zoom), category=nodes)
        _style(dpg.mvNodeStyleVar_PinCircleRadius, max(2.5, 4.5 * zoom), category=nodes)
        _color(dpg.mvNodeCol_GridBackground, (26, 27, 30), nodes)
        _color(dpg.mvNodeCol_GridLine, (36, 37, 41), nodes)
        _color(dpg.mvNodeCol_NodeBackground, (44, 46, 51), nodes)
        _color(dpg.mvNodeCol_NodeBackgroundHovered, (50, 53, 58), nodes)
        _color(dpg.mvNodeCol_NodeBackgroundSelected, (54, 58, 66), nodes)
        _color(dpg.mvNodeCol_NodeOutline, (70, 73, 80), nodes)
        _color(dpg.mvNodeCol_LinkHovered, (255, 255, 255), nodes)
        _color(dpg.mvNodeCol_LinkSelected, ACCENT, nodes)
    return made


@cache
def node(category: str, state: str = "") -> int | str:
    """Give the theme of a node: title by category; outline by `state`.

    `state` is "", "running", "failed", "blocked", "bypass" or "viewed".
    """
    nodes = dpg.mvThemeCat_Nodes
    title = CATEGORY.get(category, CATEGORY["Frame"])
    outline = {"failed": BAD, "blocked": WARN, "running": ACCENT, "viewed": GOOD}.get(state)
    if state == "bypass":
        title = (70, 70, 74)
    with dpg.theme() as made, dpg.theme_component(dpg.mvNode):
        bright = tuple(min(255, value + 22) for value in title)
        _color(dpg.mvNodeCol_TitleBar, title, nodes)
        _color(dpg.mvNodeCol_TitleBarHovered, bright, nodes)
        _color(dpg.mvNodeCol_TitleBarSelected, bright, nodes)
        if outline:
            _color(dpg.mvNodeCol_NodeOutline, outline, nodes)
            _style(dpg.mvNodeStyleVar_NodeBorderThickness, 2, category=nodes)
    return made


@cache
def pin(kind: str) -> int | str:
    """Give the theme of a pin by what flows there."""
    color = SOCKET.get(kind, FAINT)
    with dpg.theme() as made, dpg.theme_component(dpg.mvNodeAttribute):
        _color(dpg.mvNodeCol_Pin, color, dpg.mvThemeCat_Nodes)
        _color(dpg.mvNodeCol_PinHovered, (255, 255, 255), dpg.mvThemeCat_Nodes)
    return made


@cache
def link(kind: str) -> int | str:
    """Give the theme of a link by what flows along it."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvNodeLink):
        _color(dpg.mvNodeCol_Link, SOCKET.get(kind, FAINT), dpg.mvThemeCat_Nodes)
    return made


@cache
def text(color: tuple[int, int, int]) -> int | str:
    """Give a theme that colours text."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        _color(dpg.mvThemeCol_Text, color)
    return made


def forget() -> None:
    """Forget fonts and themes of a context that is gone."""
    for made in (font, window, canvas, node, pin, link, text):
        made.cache_clear()
