"""A matte in tiles that its versions share: a change costs its own tiles, however large the rest.

Nothing here is ever changed, so "what changed?" is an identity comparison of tiles.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping

import numpy as np

SIDE = 256
"""Side of a tile in px: its distances to a stroke fit a core's own cache."""

Place = tuple[int, int]
"""Row and column of a tile."""

Box = tuple[slice, slice]
"""Rows and columns, px."""


class Tiled:
    """A matte (H, W) float32: one array, and the tiles that have taken a part's place since.

    Attributes
    ----------
    base : (H, W) float32
    tiles : place → (h, w) float32, at most `SIDE` px a side
    """

    __slots__ = ("__weakref__", "_whole", "base", "tiles")

    def __init__(self, base: np.ndarray, tiles: Mapping[Place, np.ndarray] | None = None):
        self.base, self.tiles = base, tiles or {}
        # Weak: whoever works on the whole keeps it; the tiles are all that has to stay.
        self._whole = weakref.ref(base) if not self.tiles else lambda: None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.base.shape

    @property
    def arrays(self) -> Iterator[np.ndarray]:
        """Every array that pixels are kept in."""
        yield self.base
        yield from self.tiles.values()

    def with_tiles(self, tiles: Mapping[Place, np.ndarray]) -> Tiled:
        """Give a version with other tiles at some places; all others are shared."""
        return Tiled(self.base, {**self.tiles, **tiles}) if tiles else self

    def tile(self, place: Place) -> np.ndarray:
        """Give the pixels at a place, without copying them."""
        found = self.tiles.get(place)
        return self.base[box_of(place, self.shape)] if found is None else found

    def same(self, other: Tiled, place: Place) -> bool:
        """Say whether both share what lies at a place."""
        return self.base is other.base and self.tiles.get(place) is other.tiles.get(place)

    def changed(self, other: Tiled) -> set[Place] | None:
        """Give the places where the two differ, or None if they have nothing in common."""
        if self.base is not other.base:
            return None
        places = self.tiles.keys() | other.tiles.keys()
        return {at for at in places if self.tiles.get(at) is not other.tiles.get(at)}

    def with_pixels(self, box: Box, pixels: np.ndarray) -> Tiled:
        """Give a version with other pixels in a rectangle."""
        made = {}
        for place in places_in(box, self.shape):
            rows, columns = box_of(place, self.shape)
            (into_y, from_y), (into_x, from_x) = _shared(rows, box[0]), _shared(columns, box[1])
            made[place] = np.array(self.tile(place))
            made[place][into_y, into_x] = pixels[from_y, from_x]
        return self.with_tiles(made)

    def window(self, box: Box) -> np.ndarray:
        """Give a rectangle of it: a view where it can be, a new array where it cannot."""
        inside = [at for at in places_in(box, self.shape) if at in self.tiles]
        if not inside:
            return self.base[box]
        made = np.array(self.base[box])
        for at in inside:
            rows, columns = box_of(at, self.shape)
            (into_y, from_y), (into_x, from_x) = _shared(box[0], rows), _shared(box[1], columns)
            made[into_y, into_x] = self.tiles[at][from_y, from_x]
        return made

    def sampled(self, step: int) -> np.ndarray:
        """Give every `step`-th pixel of it, as `[::step, ::step]` does, in a new array."""
        made = np.array(self.base[::step, ::step])
        for place, pixels in self.tiles.items():
            (y, x) = (side * SIDE for side in place)
            part = pixels[-y % step :: step, -x % step :: step]
            top, left = -(-y // step), -(-x // step)
            made[top : top + part.shape[0], left : left + part.shape[1]] = part
        return made

    def whole(self) -> np.ndarray:
        """Give all of it, read-only; put together only if nobody holds it at the moment."""
        made = self._whole()
        if made is None:
            made = np.array(self.base)
            for at, pixels in self.tiles.items():
                made[box_of(at, self.shape)] = pixels
            made.flags.writeable = False
            self._whole = weakref.ref(made)
        return made


def box_of(place: Place, shape: tuple[int, int]) -> Box:
    """Give the rows and columns of a tile in a picture of a shape."""
    (row, column), (height, width) = place, shape
    return (
        slice(row * SIDE, min((row + 1) * SIDE, height)),
        slice(column * SIDE, min((column + 1) * SIDE, width)),
    )


def places_in(box: Box, shape: tuple[int, int]) -> list[Place]:
    """Give the places of the tiles that a rectangle touches."""
    rows, columns = (slice(*part.indices(side)) for part, side in zip(box, shape, strict=True))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return []
    return [
        (row, column)
        for row in range(rows.start // SIDE, (rows.stop - 1) // SIDE + 1)
        for column in range(columns.start // SIDE, (columns.stop - 1) // SIDE + 1)
    ]


def _shared(one: slice, other: slice) -> tuple[slice, slice]:
    """Give what two spans share: where it lies in the one and in the other."""
    first, last = max(one.start, other.start), min(one.stop, other.stop)
    return (
        slice(first - one.start, last - one.start),
        slice(first - other.start, last - other.start),
    )
