"""What strokes do to a matte, kept apart from the matte, in tiles.

A stroke pulls alpha towards 1 or 0 by its coverage c: α ← α + c(1 − α) or α ← α(1 − c). Each is
linear in α, and so are any number of them together: α ← keep · α + add. So a list of strokes is
drawn once, whatever becomes of the matte beneath; a new stroke touches its own tiles only; and
one taken out of the middle costs the tiles that it had touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec
import numpy as np

from qr_nodes.imaging.edge_aware import EdgeAware
from qr_nodes.imaging.strokes import Trace
from qr_nodes.tiled import Box, Place, Tiled, box_of
from qr_nodes.types import Stroke

Tiles = Mapping[Place, np.ndarray]


@dataclass(frozen=True, eq=False)
class Correction:
    """What a list of strokes comes to on a picture of one size.

    Attributes
    ----------
    shape : height and width of the picture, px
    tiles : place → (2, h, w) float32: keep and add; where there is none, alpha stays
    unsure : place → (1, h, w) float32 in [0, 1]: how far the matte is marked as unsure
    color : (H, W, 3), the picture whose edges held strokes back, or None if none did
    """

    shape: tuple[int, int]
    tiles: Tiles = field(default_factory=dict)
    unsure: Tiles = field(default_factory=dict)
    color: np.ndarray | None = None

    @property
    def arrays(self) -> Iterator[np.ndarray]:
        """Every array that pixels are kept in."""
        yield from self.tiles.values()
        yield from self.unsure.values()
        if self.color is not None:
            yield self.color

    def fits(self, shape: tuple[int, int], color: np.ndarray | None) -> bool:
        """Say whether it is what the strokes come to on a picture, too."""
        return self.shape == shape and (self.color is None or self.color is color)

    def drawn(
        self,
        strokes: Sequence[Stroke],
        color: np.ndarray | None = None,
        where: Mapping[Place, Box] | None = None,
        checkpoint: Callable[[], None] = lambda: None,
    ) -> Correction:
        """Give the correction with strokes drawn over it.

        Parameters
        ----------
        strokes : sequence of Stroke
            First to last; drawn whether hidden or not.
        color : (H, W, 3) uint8, uint16 or float32
            The picture; asked only by strokes that its edges hold back.
        where : place → rows and columns, or None
            Parts of tiles to draw in, all else is left alone; None means everywhere.
        checkpoint : callable
            Called between tiles; may raise to stop.
        """
        tiles, unsure = _Own(self.tiles, self.shape, (1, 0)), _Own(self.unsure, self.shape, (0,))
        held = self.color
        for stroke in strokes:
            trace, edges = Trace(stroke, *self.shape), None
            if stroke.edge_aware > 0:
                edges, held = EdgeAware(color, stroke, checkpoint), color
            for place in trace.places() if where is None else where:
                box = trace.box(place)
                if box and where is not None:
                    box = _overlap(box, where[place])
                if box is None:
                    continue
                checkpoint()
                amount = trace.coverage(box)
                if edges is not None:
                    amount *= edges(*box)
                inside = _inside(box, box_of(place, self.shape))
                if stroke.mode == "refine":
                    _pull(unsure.tile(place)[0][inside], amount, 1)
                    continue
                keep, add = tiles.tile(place)
                _pull(keep[inside], amount, 0)
                _pull(add[inside], amount, stroke.mode == "paint")
                if place in unsure.tiles:  # what is painted or erased is sure again
                    _pull(unsure.tile(place)[0][inside], amount, 0)
        return Correction(self.shape, tiles.tiles, unsure.tiles, held)

    def mended(self, where: Mapping[Place, Box], other: Correction) -> Correction:
        """Give the correction with parts of tiles taken from another."""
        made = []
        for mine, theirs, start in (
            (self.tiles, other.tiles, (1, 0)),
            (self.unsure, other.unsure, (0,)),
        ):
            tiles = _Own(mine, self.shape, start)
            for place, box in where.items():
                if place in theirs:
                    inside = _inside(box, box_of(place, self.shape))
                    tiles.tile(place)[:, *inside] = theirs[place][:, *inside]
                elif place in mine and box == box_of(place, self.shape):
                    del tiles.tiles[place]
                elif place in mine:
                    inside = _inside(box, box_of(place, self.shape))
                    tiles.tile(place)[:, *inside] = tiles.start
            made.append(tiles.tiles)
        return Correction(self.shape, *made, other.color)

    def applied(self, alpha: Tiled, before: tuple[Correction, Tiled, Tiled] | None = None) -> Tiled:
        """Give keep · alpha + add.

        Parameters
        ----------
        alpha : Tiled
            Matte to correct.
        before : correction, matte and what came of them, or None
            Tiles for which both are still the same are taken from there.
        """
        known, matte, result = before or (Correction(self.shape), alpha, alpha)
        made = {}
        for place, layers in self.tiles.items():
            if known.tiles.get(place) is layers and matte.same(alpha, place):
                made[place] = result.tiles[place]
            else:
                made[place] = layers[0] * alpha.tile(place)
                made[place] += layers[1]
                np.minimum(made[place], 1, out=made[place])
        return alpha.with_tiles(made)

    def marked(self) -> np.ndarray:
        """Give how far the matte is marked as unsure: (H, W) float32 in [0, 1]."""
        if not self.unsure:
            return np.broadcast_to(np.float32(0), self.shape)
        mask = np.zeros(self.shape, np.float32)
        for place, tile in self.unsure.items():
            mask[box_of(place, self.shape)] = tile[0]
        return mask


def redrawn(
    start: Callable[[Sequence[Stroke]], Correction],
    old: Sequence[Stroke],
    known: Correction,
    strokes: Sequence[Stroke],
    color: np.ndarray | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Correction:
    """Give what `strokes` come to from what other strokes came to, drawing only what differs.

    Parameters
    ----------
    start : callable
        Gives the correction of the first strokes of the list, if it is at hand, or of none.
        It must tell how many: its answer is (count, correction).
    old, known : sequence of Stroke, Correction
        A list of strokes, and what it came to.
    strokes : sequence of Stroke
        The list wanted.
    color, checkpoint
        As in `Correction.drawn`.
    """
    same = sum(1 for _ in takewhile(_alike, zip(old, strokes, strict=False)))
    if same == len(old):
        return known.drawn(strokes[same:], color, checkpoint=checkpoint)
    ends = zip(reversed(old[same:]), reversed(strokes[same:]), strict=False)
    after = sum(1 for _ in takewhile(_alike, ends))
    gone, come = old[same : len(old) - after], strokes[same : len(strokes) - after]
    where = _differing(gone, come, known.shape, color)
    count, beginning = start(strokes[:same])
    fresh = beginning.drawn(strokes[count:], color, where, checkpoint)
    return known.mended(where, fresh)


def _alike(pair: tuple[Stroke, Stroke]) -> bool:
    return pair[0] is pair[1] or pair[0] == pair[1]


def _differing(
    gone: Sequence[Stroke], come: Sequence[Stroke], shape: tuple[int, int], color
) -> dict[Place, Box]:
    """Give the parts of tiles in which it matters that some strokes took others' place."""
    since = 0
    if len(gone) == len(come) == 1 and _one_brush(gone[0], come[0]):
        # A stroke that grows: what its first points cover stays.
        points = zip(gone[0].points, come[0].points, strict=False)
        since = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], points))
    found: dict[Place, Box] = {}
    for stroke in (*gone, *come):
        beyond = EdgeAware(color, stroke).reach if since and stroke.edge_aware > 0 else 0.0
        for place, box in Trace(stroke, *shape).boxes(since, beyond).items():
            found[place] = _around(found[place], box) if place in found else box
    return found


def _one_brush(one: Stroke, other: Stroke) -> bool:
    return msgspec.structs.replace(one, points=()) == msgspec.structs.replace(other, points=())


class _Own:
    """Tiles that may be written to: each is copied, or made, when it is first asked for."""

    def __init__(self, tiles: Tiles, shape: tuple[int, int], start: tuple[int, ...]):
        self.tiles, self._shape, self._mine = dict(tiles), shape, set()
        self.start = np.array(start, np.float32)[:, None, None]

    def tile(self, place: Place) -> np.ndarray:
        if place not in self._mine:
            self._mine.add(place)
            if place in self.tiles:
                self.tiles[place] = np.array(self.tiles[place])
            else:
                rows, columns = box_of(place, self._shape)
                size = rows.stop - rows.start, columns.stop - columns.start
                self.tiles[place] = made = np.empty((len(self.start), *size), np.float32)
                made[...] = self.start
        return self.tiles[place]


def _inside(box: Box, tile: Box) -> Box:
    """Give where a rectangle lies within the tile that holds it."""
    rows, columns = (
        slice(part.start - whole.start, part.stop - whole.start)
        for part, whole in zip(box, tile, strict=True)
    )
    return rows, columns


def _overlap(one: Box, other: Box) -> Box | None:
    rows, columns = (
        slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _around(one: Box, other: Box) -> Box:
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns


def _pull(values: np.ndarray, amount: np.ndarray, towards: float) -> None:
    """Move values towards 0 or 1 by an amount in [0, 1], in place."""
    if towards:
        values += amount * (1 - values)
        values[amount == 1] = 1  # exactly, whatever the rounding: opaque is opaque
    else:
        values -= amount * values


def corrected(
    alpha: np.ndarray,
    strokes: Sequence[Stroke],
    color: np.ndarray | None = None,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Draw strokes into a matte, from nothing.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
        Matte to start from; not written to.
    strokes : sequence of Stroke
        First to last; hidden ones are left out.
    color, checkpoint
        As in `Correction.drawn`.

    Returns
    -------
    alpha : (H, W) float32 in [0, 1]
        `alpha` itself if no stroke touches the picture.
    """
    shown = [stroke for stroke in strokes if not stroke.hidden]
    correction = Correction(alpha.shape).drawn(shown, color, checkpoint=checkpoint)
    return correction.applied(Tiled(alpha)).whole()
