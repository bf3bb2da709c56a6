"""What strokes do to a matte, kept apart from the matte, in tiles.

A stroke pulls alpha towards 1 or 0 by its coverage c: α ← α + c(1 − α) or α ← α(1 − c). Each is
linear in α, and so are any number of them together: α ← keep · α + add. So a list of strokes is
drawn once, whatever becomes of the matte beneath; a new stroke touches its own tiles only; and
one taken out of the middle costs the tiles that it had touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec
import numpy as np

from qr_nodes.imaging.strokes import Trace
from qr_nodes.tiled import Place, Tiled, box_of
from qr_nodes.types import Stroke

Tiles = Mapping[Place, np.ndarray]


@dataclass(frozen=True, eq=False)
class Correction:
    """What a list of strokes comes to on a picture of one size.

    Attributes
    ----------
    shape : height and width of the picture, px
    tiles : place → (2, h, w) float32: keep and add; where there is none, alpha stays
    unsure : place → (h, w) float32 in [0, 1]: how far the matte is marked as unsure
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
        places: Collection[Place] | None = None,
        checkpoint: Callable[[], None] = lambda: None,
    ) -> Correction:
        """Give the correction with strokes drawn over it.

        Parameters
        ----------
        strokes : sequence of Stroke
            First to last; drawn whether hidden or not.
        color : (H, W, 3) uint8, uint16 or float32
            The picture; asked only by strokes that its edges hold back.
        places : collection of places, or None
            Tiles to draw in, all others are left alone; None means all.
        checkpoint : callable
            Called between tiles; may raise to stop.
        """
        tiles, unsure, mine = dict(self.tiles), dict(self.unsure), set()
        held = self.color
        for stroke in strokes:
            trace = Trace(stroke, *self.shape)
            if stroke.edge_aware > 0:
                held = color
            for place in trace.places() if places is None else places:
                if (box := trace.box(place)) is None:
                    continue
                checkpoint()
                if stroke.mode == "refine":
                    layers = _owned(unsure, place, self.shape, (0,), mine)
                else:
                    layers = _owned(tiles, place, self.shape, (1, 0), mine)
                amount = trace.coverage(box)
                rows, columns = (
                    slice(part.start - whole.start, part.stop - whole.start)
                    for part, whole in zip(box, box_of(place, self.shape), strict=True)
                )
                if stroke.mode == "refine":
                    _pull(layers[rows, columns], amount, 1)
                    continue
                keep, add = layers[:, rows, columns]
                _pull(keep, amount, 0)
                _pull(add, amount, stroke.mode == "paint")
                if place in unsure:  # what is painted or erased is sure again
                    _pull(_owned(unsure, place, self.shape, (0,), mine)[rows, columns], amount, 0)
        return Correction(self.shape, tiles, unsure, held)

    def with_places(self, places: Collection[Place], other: Correction) -> Correction:
        """Give the correction with some tiles taken from another, there or not."""
        tiles, unsure = (
            {
                **{place: tile for place, tile in old.items() if place not in places},
                **{place: new[place] for place in places if place in new},
            }
            for old, new in ((self.tiles, other.tiles), (self.unsure, other.unsure))
        )
        return Correction(self.shape, tiles, unsure, other.color)

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
            mask[box_of(place, self.shape)] = tile
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
    places = _differing(gone, come, known.shape)
    count, beginning = start(strokes[:same])
    fresh = beginning.drawn(strokes[count:], color, places, checkpoint)
    return known.with_places(places, fresh)


def _alike(pair: tuple[Stroke, Stroke]) -> bool:
    return pair[0] is pair[1] or pair[0] == pair[1]


def _differing(
    gone: Sequence[Stroke], come: Sequence[Stroke], shape: tuple[int, int]
) -> set[Place]:
    """Give the tiles in which it matters that some strokes took others' place."""
    since = 0
    if len(gone) == len(come) == 1 and _one_brush(gone[0], come[0]):
        # A stroke that grows: what its first points cover stays.
        points = zip(gone[0].points, come[0].points, strict=False)
        since = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], points))
    return set().union(*(Trace(stroke, *shape).places(since) for stroke in (*gone, *come)))


def _one_brush(one: Stroke, other: Stroke) -> bool:
    return msgspec.structs.replace(one, points=()) == msgspec.structs.replace(other, points=())


def _owned(
    tiles: dict, place: Place, shape: tuple[int, int], start: tuple[int, ...], mine: set
) -> np.ndarray:
    """Give a tile that may be written to: a copy, or a new one filled with `start`."""
    if (id(tiles), place) not in mine:
        mine.add((id(tiles), place))
        if place in tiles:
            tiles[place] = np.array(tiles[place])
        else:
            rows, columns = box_of(place, shape)
            size = rows.stop - rows.start, columns.stop - columns.start
            made = np.empty((len(start), *size), np.float32)
            made[...] = np.array(start, np.float32)[:, None, None]
            tiles[place] = made if len(start) > 1 else made[0]
    return tiles[place]


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
