"""The loupe: a card with the pixels around the mouse, large, the one under it marked.

State: whether it is on, what it shows, and a texture that rests when nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.ui.viewer_card import Point, Size, board, corner, put
from qr_nodes.ui.viewer_picture import Kind
from qr_nodes.ui.viewer_probe import patch
from qr_nodes.ui.viewer_tiles import CHECK, LIVE
from qr_nodes.ui.viewer_worker import Picture

SIDE = 168
"""Screen px that the enlarged part is wide and high."""

TIMES = 8
"""How much it enlarges; more where the viewer does as much already."""

PAD = 5
CARD = (SIDE + 2 * PAD, SIDE + 2 * PAD)
OUTSIDE = 30 / 255
"""Grey of what lies beside the picture."""

CHECKS = (np.float32(0.52), np.float32(0.68))

Ground = tuple[int, int, int] | Callable[[np.ndarray, np.ndarray], np.ndarray] | None
"""What is behind the pixels: a colour, a function of places in the picture, None for checks."""


def enlarged(
    picture: Picture, kind: Kind, x: float, y: float, times: float, ground: Ground
) -> np.ndarray:
    """Enlarge the surroundings of a pixel.

    Parameters
    ----------
    picture : Picture
        What is looked at; of a preview the pixels appear as large as they stand for.
    kind : Kind
        What of it is shown.
    x, y : float
        Place in the full-size picture, px; the middle of its pixel is the middle of the result.
    times : float
        Screen px per full-size px.
    ground : Ground
        What is behind it.

    Returns
    -------
    pixels : (SIDE, SIDE, 3) float32 in [0, 1]
    """
    offsets = (np.arange(SIDE) + 0.5 - SIDE / 2) / times
    places, indices, slices, inside = [], [], [], []
    for at, whole, length in zip((x, y), picture.size, picture.value.shape[1::-1], strict=True):
        place = math.floor(at) + 0.5 + offsets
        index = np.clip(np.floor(place * length / whole).astype(int), 0, length - 1)
        places.append(place)
        slices.append(slice(int(index[0]), int(index[-1]) + 1))
        indices.append(index - index[0])
        inside.append((place >= 0) & (place < whole))
    small = patch(picture.value, kind, slices[1], slices[0])
    seen = small[indices[1][:, None], indices[0]].astype(np.float32) / 255
    if callable(ground):
        behind = ground(*np.meshgrid(*places))
    elif ground is None:
        row, column = np.ogrid[:SIDE, :SIDE]
        behind = np.where((row // CHECK + column // CHECK) & 1, *CHECKS)[..., None]
    else:
        behind = np.float32(ground) / 255
    pixels = seen[..., :3] + behind * (1 - seen[..., 3:])
    pixels[~(inside[1][:, None] & inside[0])] = OUTSIDE
    return pixels


class Loupe:
    """A card in the upper left corner of the panel.

    Attributes
    ----------
    on : it is to be seen
    """

    def __init__(self, parent: int | str):
        self.on = False
        self._shown: tuple | None = None
        self._place: Point | None = None
        self._times, self._frames = 0.0, 0
        self._live, self._stage = dpg.add_texture_registry(), dpg.add_stage()
        self.pixels = np.ones((SIDE, SIDE, 4), np.float32)
        self._texture = dpg.add_raw_texture(
            SIDE, SIDE, self.pixels, format=dpg.mvFormat_Float_rgba, parent=self._stage
        )
        self._node = dpg.add_draw_node(parent=parent, show=False)
        board(self._node, CARD)
        dpg.draw_image(self._texture, (PAD, PAD), (PAD + SIDE, PAD + SIDE), parent=self._node)
        self._marks = [
            dpg.draw_rectangle((0, 0), (1, 1), color=color, thickness=1, parent=self._node)
            for color in ((0, 0, 0, 200), (255, 255, 255, 255))
        ]

    @property
    def moving(self) -> bool:
        """Whether a change is still on its way to the screen."""
        return self._frames > 0

    def frame(
        self,
        picture: Picture | None,
        place: Point,
        zoom: float,
        ground: Ground,
        panel: Size,
        top: int,
        mouse: Point | None,
    ) -> None:
        """Show a place of a picture, in px of its full size; None hides the card."""
        self._rest()
        if not self.on or picture is None:
            if self._place is not None:
                self._place = self._shown = None
                dpg.hide_item(self._node)
            return
        times = TIMES
        while times <= zoom and times < 64:
            times *= 2
        whole = math.floor(place[0]), math.floor(place[1])
        shown = (picture.value, picture.kind, whole, times, ground)
        if self._shown is None or not _same(shown, self._shown):
            self._shown = shown
            self.pixels[..., :3] = enlarged(picture, picture.kind, *place, times, ground)
            self._mark(times)
            dpg.move_item(self._texture, parent=self._live)
            self._frames = LIVE
        at = corner(CARD, panel, False, top, mouse)
        if at != self._place:
            self._place = at
            put(self._node, at)
            dpg.show_item(self._node)

    def _mark(self, times: float) -> None:
        """Frame the pixel in the middle."""
        if times != self._times:
            self._times = times
            low, high = PAD + SIDE / 2 - times / 2, PAD + SIDE / 2 + times / 2
            for grow, mark in zip((1.5, 0.5), self._marks, strict=True):
                ends = (low - grow, low - grow), (high + grow, high + grow)
                dpg.configure_item(mark, pmin=ends[0], pmax=ends[1])

    def _rest(self) -> None:
        """Let the texture rest once it has reached the screen: a live one costs every frame."""
        if self._frames:
            self._frames -= 1
            if not self._frames:
                dpg.move_item(self._texture, parent=self._stage)


def _same(one: tuple, other: tuple) -> bool:
    return one[0] is other[0] and one[1:] == other[1:]
