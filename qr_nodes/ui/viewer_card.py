"""Small cards over the picture, such as the loupe: where they stand, and their ground."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from qr_nodes.ui import theme

MARGIN = 10
"""Px from the panel's border."""

BELOW = 34
"""Px that a card at the bottom leaves free: there it is told what runs."""

REACH = 24
"""A card gives way to a mouse that comes nearer than this, px."""

Size = tuple[int, int]
Point = tuple[float, float]


def corner(size: Size, panel: Size, right: bool, top: int, mouse: Point | None) -> Point:
    """Give the left top corner of a card in an upper corner of the panel.

    It stands `top` px below the panel's upper border, and goes to the lower corner while the
    mouse is near.
    """
    left = panel[0] - size[0] - MARGIN if right else MARGIN
    if mouse is not None and (
        left - REACH <= mouse[0] <= left + size[0] + REACH
        and top - REACH <= mouse[1] <= top + size[1] + REACH
    ):
        low = panel[1] - size[1] - BELOW
        # Where the panel is too low for both corners it would never be seen out of the way.
        return left, max(low, top) if low > top + size[1] / 2 else top
    return left, top


def board(parent: int | str, size: Size) -> None:
    """Draw what a card stands on."""
    dpg.draw_rectangle(
        (0, 0),
        size,
        color=(*theme.FIELD, 255),
        fill=(*theme.BACKGROUND, 232),
        rounding=5,
        thickness=1,
        parent=parent,
    )


def put(node: int | str, at: Point) -> None:
    """Move what a draw node holds to a place of the panel."""
    dpg.apply_transform(node, dpg.create_translation_matrix([*map(float, at), 0.0]))
