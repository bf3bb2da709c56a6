"""The row above the picture: what is shown behind it, fit, 100 % and the zoom."""

from __future__ import annotations

from functools import partial

import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.ui import theme
from qr_nodes.ui.viewer_picture import Kind

MODES: dict[str, tuple[str, Kind, tuple[int, int, int] | None]] = {
    "checker": ("Over a checkerboard", "cutout", None),
    "black": ("Over black", "cutout", (0, 0, 0)),
    "white": ("Over white", "cutout", (255, 255, 255)),
    "color": ("Over a colour (right click chooses it)", "cutout", (128, 128, 128)),
    "original": ("The colours without transparency", "original", None),
    "alpha": ("The transparency alone: white is opaque", "alpha", None),
}
"""Name → tooltip, what of a cut-out is shown, and the colour behind it (None: checks)."""

ICON = 18


class Tools:
    """Buttons that call the viewer's commands; the mode in use is kept here.

    Attributes
    ----------
    mode : a key of `MODES`
    color : the one behind a cut-out in the mode "color"
    bare : theme of a child window without padding
    """

    def __init__(self, viewer, parent: int | str):
        self._viewer = viewer
        self.mode, self.color = "checker", MODES["color"][2]
        self._plain, self._chosen = _framed((0, 0, 0, 0)), _framed((*theme.ACCENT, 255))
        with dpg.theme() as self.bare, dpg.theme_component(dpg.mvAll):
            dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, 0, 0)
            dpg.add_theme_color(dpg.mvThemeCol_ChildBg, (24, 25, 28))
        self._registry = dpg.add_texture_registry()
        self._buttons: dict[str, int | str] = {}
        with dpg.group(horizontal=True, parent=parent, horizontal_spacing=3):
            for name, (tooltip, _, _) in MODES.items():
                self._buttons[name] = button = dpg.add_image_button(
                    self._icon(name), width=ICON, height=ICON, callback=partial(self._pressed, name)
                )
                with dpg.tooltip(button, delay=0.4):
                    dpg.add_text(tooltip)
            dpg.add_spacer(width=4)
            dpg.add_button(label="Fit", callback=lambda: viewer.fit())
            dpg.add_button(label="100 %", callback=lambda: viewer.actual())
            dpg.add_spacer(width=4)
            self._zoom = dpg.add_text("")
        dpg.bind_item_theme(self._zoom, theme.text(theme.FAINT))
        with dpg.popup(self._buttons["color"], mousebutton=dpg.mvMouseButton_Right):
            self._picker = dpg.add_color_picker(
                (*self.color, 255), no_alpha=True, width=200, callback=self._recolored
            )
        self.choose(self.mode)

    @property
    def kind(self) -> Kind:
        """What of a cut-out is shown."""
        return MODES[self.mode][1]

    @property
    def backdrop(self) -> tuple[int, int, int] | None:
        """The colour behind a cut-out, or None for checks."""
        return self.color if self.mode == "color" else MODES[self.mode][2]

    def choose(self, name: str) -> None:
        """Make a mode the one in use."""
        if name in MODES:
            self.mode = name
        for key, button in self._buttons.items():
            dpg.bind_item_theme(button, self._chosen if key == self.mode else self._plain)

    def following(self) -> str:
        """Give the mode after the one in use."""
        names = list(MODES)
        return names[(names.index(self.mode) + 1) % len(names)]

    def zoomed(self, zoom: float | None) -> None:
        """Show the zoom, or nothing for None."""
        text = "" if zoom is None else f"{zoom * 100:.3g} %"
        if dpg.get_value(self._zoom) != text:
            dpg.set_value(self._zoom, text)

    def _pressed(self, name: str) -> None:
        self._viewer.mode(name)

    def recolor(self, color: tuple[int, ...]) -> None:
        """Take another colour for the mode "color"."""
        dpg.set_value(self._picker, [*color, 255])
        self._follow()

    def _recolored(self) -> None:
        self._follow()
        self._viewer.mode("color")

    def _follow(self) -> None:
        """Take the picker's colour. Setting it while it is dragged would lose a grey's hue."""
        self.color = tuple(round(value) for value in dpg.get_value(self._picker)[:3])
        old = dpg.get_item_configuration(self._buttons["color"])["texture_tag"]
        dpg.configure_item(self._buttons["color"], texture_tag=self._icon("color"))
        dpg.delete_item(old)

    def _icon(self, name: str) -> int | str:
        pixels = np.ones((ICON, ICON, 4), np.float32)
        y, x = np.mgrid[:ICON, :ICON]
        disk = np.clip(ICON * 0.36 + 0.5 - np.hypot(x - ICON / 2 + 0.5, y - ICON / 2 + 0.5), 0, 1)
        back = self.color if name == "color" else MODES[name][2]
        if name == "checker":
            pixels[..., :3] = np.where((x // 6 + y // 6) & 1, 0.45, 0.75)[..., None]
        elif name == "original":
            pixels[..., :3] = np.where(
                (y > ICON * 0.6)[..., None], (0.36, 0.5, 0.3), (0.5, 0.7, 0.9)
            )
        elif name == "alpha":
            pixels[..., :3] = 0
        else:
            pixels[..., :3] = np.float32(back) / 255
        figure = (1.0, 1.0, 1.0) if name == "alpha" else (0.85, 0.45, 0.3)
        pixels[..., :3] += disk[..., None] * (np.float32(figure) - pixels[..., :3])
        return dpg.add_static_texture(ICON, ICON, pixels.ravel(), parent=self._registry)


def _framed(color: tuple[int, int, int, int]) -> int | str:
    """Make the theme of a button with a frame of a colour."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 3, 3)
        dpg.add_theme_style(dpg.mvStyleVar_FrameBorderSize, 2)
        dpg.add_theme_color(dpg.mvThemeCol_Border, color)
        dpg.add_theme_color(dpg.mvThemeCol_Button, (0, 0, 0, 0))
    return made
