"""The viewer's own thread: makes 8-bit levels while the window goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qr_nodes.errors import Cancelled
from qr_nodes.tiled import Box, box_of
from qr_nodes.types import Cutout
from qr_nodes.ui import viewer_picture
from qr_nodes.ui.errands import Errands
from qr_nodes.ui.viewer_picture import Kind

FEW = 24
"""Tiles that are mended at once, on the main thread: 5 ms or less of work."""


@dataclass(eq=False)
class Picture:
    """A value to look at, and the levels of it that are made.

    Attributes
    ----------
    value : Cutout or mask
    scale : its size relative to the full picture
    size : width and height of the full picture, px
    kind : what of it is shown
    title : what it is
    order : the larger, the newer
    levels : number → (h, w, 4) uint8, see `viewer_picture.level`
    """

    value: Cutout | np.ndarray
    scale: float
    size: tuple[int, int]
    kind: Kind
    title: str = ""
    order: int = 0
    levels: dict[int, np.ndarray] = field(default_factory=dict)

    def best(self, number: int) -> int | None:
        """Give the level to show while `number` is wanted: it, the next finer or coarser."""
        finer = [n for n in self.levels if n <= number]
        return max(finer) if finer else min(self.levels, default=None)

    def succeed(self, other: Picture) -> list[Box] | None:
        """Take over the levels of a picture that differs in a few tiles, mended there.

        The other picture's levels change with it. Gives the rectangles that differ, in px of the
        value, or None if that is not how the two are.
        """
        old, new = other.value, self.value
        if not (isinstance(old, Cutout) and isinstance(new, Cutout) and other.levels):
            return None
        alike = (other.scale, other.size, other.kind) == (self.scale, self.size, self.kind)
        if not alike or old.color is not new.color:
            return None
        changed = new.tiles.changed(old.tiles)
        if changed is None or len(changed) > FEW:
            return None
        boxes = [] if self.kind == "original" else [box_of(at, new.shape) for at in changed]
        self.levels = dict(other.levels)
        for number, made in self.levels.items():
            for box in boxes:
                viewer_picture.mend_level(made, new, self.kind, number, box)
        return boxes

    def make(self, number: int, checkpoint: Callable[[], None] = lambda: None) -> np.ndarray:
        """Make a level, from a finer one if there is one."""
        finer = max((n for n in self.levels if n < number), default=None)
        if finer is None:
            return viewer_picture.level(self.value, self.kind, number, checkpoint)
        return viewer_picture.coarser(self.levels[finer], 1 << (number - finer))


class Worker:
    """Makes the level asked for last and hands it to `made(picture, number, pixels)`.

    Parameters
    ----------
    post : callable
        Has the main thread call something, as `Loop.post`.
    """

    def __init__(self, post: Callable[..., Any], made: Callable[[Picture, int, np.ndarray], None]):
        self._post, self._made = post, made
        self._errands = Errands("qr-nodes viewer", self._make)
        self.close = self._errands.close

    def ask(self, picture: Picture, number: int) -> None:
        """Ask for a level; takes the place of what was asked for and not begun."""
        self._errands.ask([(picture, number)])

    def _make(self, wish: tuple[Picture, int]) -> None:
        picture, number = wish
        try:
            pixels = picture.make(number, self._errands.checkpoint)
        except Cancelled:
            raise
        except Exception as error:  # the window reports it; the next picture may do
            self._post(_raise, error)
        else:
            self._post(self._made, picture, number, pixels)


class Showing:
    """What is to be seen of a value, and what is seen by now: the newer takes the older's place.

    Parameters
    ----------
    post : callable
        Has the main thread call something, as `Loop.post`.
    changed : callable
        Called when other pixels are there, with the picture that was shown before, or None.

    Attributes
    ----------
    wanted, present : the picture asked for and the one that has pixels; None if there is none
    """

    def __init__(self, post: Callable[..., Any], changed: Callable[[Picture | None], None]):
        self.wanted: Picture | None = None
        self.present: Picture | None = None
        self._changed, self._orders = changed, 0
        self._asked: tuple[Picture, int] | None = None
        self._worker = Worker(post, self._made)

    def want(
        self,
        value: Cutout | np.ndarray,
        scale: float,
        size: tuple[int, int],
        kind: Kind,
        title: str,
    ) -> bool:
        """Wish to see a value; say whether that is another picture than was wanted before."""
        known = self.wanted
        if known and known.value is value and (known.kind, known.scale) == (kind, scale):
            known.title = title
            return False
        self._orders += 1
        self.wanted = Picture(value, scale, size, kind, title, self._orders)
        return True

    def ask(self, number: int) -> None:
        """Have a level of what is wanted made, unless that is on its way."""
        if self._asked != (self.wanted, number):
            self._asked = (self.wanted, number)
            self._worker.ask(self.wanted, number)

    def mend(self) -> list[Box] | None:
        """Have what is shown become what is wanted at once, if the two differ in a few tiles.

        Gives the rectangles that differ, in px of the value, or None.
        """
        boxes = self.present and self.wanted.succeed(self.present)
        if boxes is not None:
            self.present = self.wanted
        return boxes

    def forget(self) -> None:
        """Show nothing, and want nothing."""
        self.wanted = self.present = self._asked = None

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    def _made(self, picture: Picture, number: int, pixels: np.ndarray) -> None:
        """Take a level from the thread."""
        picture.levels[number] = pixels
        before = self.present
        if self.wanted is None or (before and picture.order < before.order):
            return
        self.present = picture
        self._changed(before)


def _raise(error: Exception) -> None:
    raise error
