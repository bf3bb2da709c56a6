"""The row above the picture: what is shown and behind it, fit, zoom, and what can be laid over."""

from __future__ import annotations

from functools import partial

import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.ui import theme
from qr_nodes.ui.viewer_icons import SIDE, mode_icon, toggle_icon
from qr_nodes.ui.viewer_picture import Kind

MODES: dict[str, tuple[str, Kind, tuple[int, int, int] | None]] = {
    "checker": ("Over a checkerboard", "cutout", None),
    "black": ("Over black", "cutout", (0, 0, 0)),
    "white": ("Over white", "cutout", (255, 255, 255)),
    "color": ("Over a colour (right click chooses it)", "cutout", (128, 128, 128)),
    "picture": ("Over a picture (right click chooses it)", "cutout", None),
    "original": ("The colours without transparency", "original", None),
    "alpha": ("The transparency alone: white is opaque", "alpha", None),
    "overlay": (
        "What is removed is tinted, Q (right click chooses the colour)",
        "overlay",
        (230, 30, 30),
    ),
}
"""Name → tooltip, what of a cut-out is shown, and the colour behind it (None: checks).

"picture" has checks behind it as long as there is no picture. The tint of "overlay" is the
colour behind it: there the removed is half transparent.
"""

PICKED = ("color", "overlay")
"""Modes whose colour can be chosen."""

TOGGLES = {
    "split": "Before and after, side by side, Y (right click chooses what is compared with)",
    "loupe": "Loupe: the pixels at the mouse, Z",
    "histogram": "Histogram of the soft edge, H",
}
"""What can be switched on and off → tooltip."""


class Tools:
    """Buttons that call the viewer's commands; the mode in use is kept here.

    Attributes
    ----------
    mode : a key of `MODES`
    colors : the ones of the modes that have one to choose
    bare : theme of a child window without padding
    """

    def __init__(self, viewer, parent: int | str):
        self._viewer = viewer
        self.mode = "checker"
        self.colors = {name: MODES[name][2] for name in PICKED}
        self._thumbnail: np.ndarray | None = None
        self._plain, self._chosen = _framed((0, 0, 0, 0)), _framed((*theme.ACCENT, 255))
        with dpg.theme() as self.bare, dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, 0, 0)
            dpg.add_theme_color(dpg.mvThemeCol_ChildBg, (24, 25, 28))
        self._registry = dpg.add_texture_registry()
        self._buttons: dict[str, int | str] = {}
        self._pickers: dict[str, int | str] = {}
        with dpg.group(horizontal=True, parent=parent, horizontal_spacing=2):
            for name, (tooltip, _, _) in MODES.items():
                self._button(name, self._icon(name), tooltip, partial(self._pressed, name))
            dpg.add_spacer(width=3)
            for name, tooltip in TOGGLES.items():
                icon = self._texture(toggle_icon(name))
                self._button(name, icon, tooltip, partial(self._toggled, name))
                self.switch(name, False)
            dpg.add_spacer(width=3)
            for label, tooltip, call in (
                ("Fit", "The whole picture, 0", lambda: viewer.fit()),
                ("100 %", "A screen pixel for each of the picture's, 1", lambda: viewer.actual()),
            ):
                with dpg.tooltip(dpg.add_button(label=label, callback=call), delay=0.4):
                    dpg.add_text(tooltip)
            dpg.add_spacer(width=3)
            self._zoom = dpg.add_text("")
        dpg.bind_item_theme(self._zoom, theme.text(theme.FAINT))
        for name in PICKED:
            with dpg.popup(self._buttons[name], mousebutton=dpg.mvMouseButton_Right):
                self._pickers[name] = dpg.add_color_picker(
                    (*self.colors[name], 255),
                    no_alpha=True,
                    width=200,
                    callback=partial(self._recolored, name),
                )
        for name, call in (
            ("picture", lambda: viewer.choose_backdrop()),
            ("split", lambda: viewer.choose_other()),
        ):
            with dpg.item_handler_registry() as handlers:
                dpg.add_item_clicked_handler(dpg.mvMouseButton_Right, callback=call)
            dpg.bind_item_handler_registry(self._buttons[name], handlers)
        self.choose(self.mode)

    @property
    def kind(self) -> Kind:
        """What of a cut-out is shown."""
        return MODES[self.mode][1]

    @property
    def backdrop(self) -> tuple[int, int, int] | None:
        """The colour behind a cut-out, or None for checks."""
        return self.colors.get(self.mode, MODES[self.mode][2])

    def choose(self, name: str) -> None:
        """Make a mode the one in use."""
        if name in MODES:
            self.mode = name
        for key in MODES:
            self.switch(key, key == self.mode)

    def switch(self, name: str, on: bool) -> None:
        """Show whether a mode or a toggle is on."""
        dpg.bind_item_theme(self._buttons[name], self._chosen if on else self._plain)

    def following(self) -> str:
        """Give the mode after the one in use; one that has no picture to show is passed over."""
        names = [name for name in MODES if name != "picture" or self._thumbnail is not None]
        place = names.index(self.mode) if self.mode in names else -1
        return names[(place + 1) % len(names)]

    def zoomed(self, zoom: float | None) -> None:
        """Show the zoom, or nothing for None."""
        digits = ".0f" if zoom and zoom >= 1 else ".3g"
        text = "" if zoom is None else f"{zoom * 100:{digits}} %"
        if dpg.get_value(self._zoom) != text:
            dpg.set_value(self._zoom, text)

    def recolor(self, name: str, color: tuple[int, ...]) -> None:
        """Take another colour for a mode of `PICKED`."""
        dpg.set_value(self._pickers[name], [*color, 255])
        self._follow(name)

    def depict(self, pixels: np.ndarray | None) -> None:
        """Take the (h, w, 3) uint8 picture of the mode "picture", or None."""
        self._thumbnail = pixels
        self._redraw("picture")

    def _button(self, name: str, texture: int | str, tooltip: str, call) -> None:
        self._buttons[name] = dpg.add_image_button(texture, width=SIDE, height=SIDE, callback=call)
        with dpg.tooltip(self._buttons[name], delay=0.4):
            dpg.add_text(tooltip)

    def _pressed(self, name: str) -> None:
        self._viewer.mode(name)

    def _toggled(self, name: str) -> None:
        self._viewer.toggle(name)

    def _recolored(self, name: str) -> None:
        self._follow(name)
        self._viewer.mode(name)

    def _follow(self, name: str) -> None:
        """Take the picker's colour. Setting it while it is dragged would lose a grey's hue."""
        picked = dpg.get_value(self._pickers[name])[:3]
        self.colors[name] = tuple(round(value) for value in picked)
        self._redraw(name)

    def _redraw(self, name: str) -> None:
        old = dpg.get_item_configuration(self._buttons[name])["texture_tag"]
        dpg.configure_item(self._buttons[name], texture_tag=self._icon(name))
        dpg.delete_item(old)

    def _icon(self, name: str) -> int | str:
        back = self._thumbnail if name == "picture" else self.colors.get(name, MODES[name][2])
        return self._texture(mode_icon(name, back))

    def _texture(self, pixels: np.ndarray) -> int | str:
        return dpg.add_static_texture(SIDE, SIDE, pixels.ravel(), parent=self._registry)


def _framed(color: tuple[int, int, int, int]) -> int | str:
    """Make the theme of a button with a frame of a colour."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 3, 3)
        dpg.add_theme_style(dpg.mvStyleVar_FrameBorderSize, 2)
        dpg.add_theme_color(dpg.mvThemeCol_Border, color)
        dpg.add_theme_color(dpg.mvThemeCol_Button, (0, 0, 0, 0))
    return made
