"""The picture's place on the screen: tiles of texture that are filled on change and then rest.

A live raw texture is uploaded on every frame, seen or not, and a deleted one leaks. So tiles
are never deleted, as many exist as the panel ever needed, and they are parked when nothing
changes.
"""

from __future__ import annotations

from collections.abc import Callable

import dearpygui.dearpygui as dpg
import numpy as np

SIDE = 512
"""Screen px that a tile is wide and high."""

LIVE = 5
"""Frames until a new or changed texture has surely reached the screen."""

CHECK = 8
"""Screen px that a square of the checkerboard is wide and high."""

_CHECKS = (np.float32(0.52), np.float32(0.68))

Area = tuple[int, int, int, int]
"""Left, top, right, bottom in the panel, px."""


class Tiles:
    """A panel's tiles.

    Parameters
    ----------
    parent : int or str
        Drawlist or draw node to draw into.
    """

    def __init__(self, parent: int | str):
        self._live, self._stage = dpg.add_texture_registry(), dpg.add_stage()
        self._tiles: dict[tuple[int, int], _Tile] = {}
        self._frames = 0
        self._backdrop = dpg.draw_rectangle((0, 0), (1, 1), parent=parent, show=False, thickness=0)
        self._checks = _checks(self._live)
        self._under, self._over = dpg.add_draw_node(parent=parent), dpg.add_draw_node(parent=parent)

    def lay(self, area: Area, backdrop: tuple[int, ...] | None) -> None:
        """Say where the picture is, and what is behind it: RGB or RGBA, or None for checks."""
        left, top, right, bottom = area
        empty = left >= right or top >= bottom
        color = (*(backdrop or (0, 0, 0)), 255)[:4]
        dpg.configure_item(
            self._backdrop,
            pmin=(left, top),
            pmax=(right, bottom),
            color=color,
            fill=color,
            show=not empty and backdrop is not None,
        )
        needed = () if empty else _covering(area)
        for place in needed:
            if place not in self._tiles:
                self._tiles[place] = _Tile(place, self._live, self._checks, self._under, self._over)
        for place, tile in self._tiles.items():
            tile.lay(area if place in needed else None, checks=backdrop is None)

    def fill(
        self,
        paint: Callable[[tuple[int, int], np.ndarray], None],
        within: Area | None = None,
    ) -> None:
        """Have the shown parts painted: `paint(corner, out)` fills out (h, w, 4) float32.

        With `within`, only what of them lies there: the rest is as it should be.
        """
        for tile in self._tiles.values():
            part = tile.area and (overlap(tile.area, within) if within else tile.area)
            if part is not None:
                left, top, right, bottom = part
                x, y = tile.corner
                paint((left, top), tile.pixels[top - y : bottom - y, left - x : right - x])
                if not tile.live:
                    dpg.move_item(tile.texture, parent=self._live)
                    tile.live = True
        self._frames = LIVE

    def frame(self) -> None:
        """Let tiles rest once they have reached the screen; call it on every frame."""
        if self._frames:
            self._frames -= 1
            if not self._frames:
                for tile in self._tiles.values():
                    if tile.live:
                        dpg.move_item(tile.texture, parent=self._stage)
                        tile.live = False

    @property
    def moving(self) -> bool:
        """Whether a change is still on its way to the screen."""
        return self._frames > 0


class _Tile:
    """A texture and the two images that show it: checks beneath, pixels above."""

    def __init__(self, place: tuple[int, int], registry, checks, under, over):
        self.corner = (place[0] * SIDE, place[1] * SIDE)
        self.pixels = np.zeros((SIDE, SIDE, 4), np.float32)
        self.area: Area | None = None
        self.live = True
        self.texture = dpg.add_raw_texture(
            SIDE, SIDE, self.pixels, format=dpg.mvFormat_Float_rgba, parent=registry
        )
        self._images = [
            dpg.draw_image(texture, (0, 0), (1, 1), parent=layer, show=False)
            for texture, layer in ((checks, under), (self.texture, over))
        ]

    def lay(self, area: Area | None, checks: bool) -> None:
        (x, y), (under, over) = self.corner, self._images
        if area is None:
            self.area = None
            dpg.hide_item(under)
            dpg.hide_item(over)
            return
        left, top = max(area[0], x), max(area[1], y)
        right, bottom = min(area[2], x + SIDE), min(area[3], y + SIDE)
        self.area = (left, top, right, bottom)
        for image, show in ((under, checks), (over, True)):
            dpg.configure_item(
                image,
                pmin=(left, top),
                pmax=(right, bottom),
                uv_min=((left - x) / SIDE, (top - y) / SIDE),
                uv_max=((right - x) / SIDE, (bottom - y) / SIDE),
                show=show,
            )


def overlap(one: Area, other: Area) -> Area | None:
    """Give what two areas share, or None."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _covering(area: Area) -> list[tuple[int, int]]:
    """Give the places of the tiles that an area touches."""
    left, top, right, bottom = area
    return [
        (column, row)
        for row in range(top // SIDE, (bottom - 1) // SIDE + 1)
        for column in range(left // SIDE, (right - 1) // SIDE + 1)
    ]


def _checks(registry: int | str) -> int | str:
    """Make the texture of a checkerboard of a tile's size."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    odd = (rows // CHECK + columns // CHECK) & 1
    pixels = np.ones((SIDE, SIDE, 4), np.float32)
    pixels[..., :3] = np.where(odd, *_CHECKS)[..., None]
    return dpg.add_static_texture(SIDE, SIDE, pixels.ravel(), parent=registry)
