"""The brush: its settings, and what a movement of the mouse becomes. Nothing here draws.

Places are fractions of the picture's width and height, as in a `Stroke`, so a view that moves
while the button is down changes nothing of what was drawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from qr_nodes.graph import Graph, Node
from qr_nodes.imaging.resample import shrunk_size
from qr_nodes.types import FAR, Stroke
from qr_nodes.ui.viewer_picture import View

SIZES = (0.0005, 2.0)
"""Smallest and largest brush, in fractions of the picture's longer side."""

HEED = 0.6
"""How far edges hold the brush back when a key switches that on."""

STEP = 2**0.25
"""Factor between two sizes of the keys and the wheel."""

DIGITS = 6
"""Decimals of a stroke's points: 0.01 px of a picture 10,000 px wide."""

TOLERANCE = 1.0
"""Screen px that a stroke's path may be beside the mouse's."""

BEND = 0.4
"""Cosine of the sharpest turn that is drawn as one line."""

Point = tuple[float, float]
Size = tuple[int, int]
"""Width and height, px."""

LONGEST = 48.0
"""Screen px that a straight piece of a path is long at most: as much is drawn anew at its end."""

STRING = 80.0
"""Screen px that the brush is drawn behind the mouse, as on a string, at full smoothing."""

OTHER = {"paint": "erase", "erase": "paint", "refine": "erase"}
"""What the right button does, by what the left one does."""


@dataclass
class Brush:
    """The brush in hand.

    Attributes
    ----------
    size : diameter in fractions of the picture's longer side
    hardness, opacity, edge_aware : as in a `Stroke`
    smoothing : how far the hand is smoothed, from 0 to 1
    mode : what the left button does; the right one does the other
    """

    size: float = 0.04
    hardness: float = 0.8
    opacity: float = 1.0
    edge_aware: float = 0.0
    smoothing: float = 0.0
    mode: str = "paint"

    @property
    def remembered(self) -> dict[str, float | tuple[float, ...]]:
        """The settings to begin the next time with, as `Settings` calls them."""
        look = (self.size, self.hardness, self.opacity)
        return {"brush": look, "edge_aware": self.edge_aware, "smoothing": self.smoothing}

    def resize(self, steps: float) -> None:
        """Make the brush larger, or smaller with negative steps."""
        size = float(f"{self.size * STEP**steps:.3g}")
        self.size = min(max(size, SIZES[0]), SIZES[1])

    def swap(self) -> None:
        """Have the left button do what the right one did."""
        self.mode = OTHER[self.mode]

    def refine(self) -> None:
        """Have the left button mark the matte as unsure, or paint again."""
        self.mode = "paint" if self.mode == "refine" else "refine"

    def heed(self) -> None:
        """Have edges of the picture hold the brush back, or no longer."""
        self.edge_aware = 0.0 if self.edge_aware else HEED

    def radius(self, size: Size, zoom: float) -> float:
        """Give the radius on the screen, in px, over a picture of a size."""
        return self.size * max(size) * zoom / 2


@dataclass(eq=False)
class Gesture:
    """A stroke while the button is down.

    Points that the path can do without are left out as it grows, and what has been kept stays:
    only the last piece of a stroke ever changes.

    Attributes
    ----------
    button : the mouse's
    mode : "paint", "erase" or "refine"
    smoothing : how far the hand is smoothed, from 0 to 1
    hand : where the mouse was last, in fractions of the picture
    """

    button: int
    mode: str
    smoothing: float = 0.0
    hand: Point | None = None
    _kept: list[Point] = field(default_factory=list)
    _loose: list[Point] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """The path so far, in fractions of the picture."""
        return self._kept + self._loose[-1:]

    def start(self, point: Point) -> None:
        """Begin at a place where the mouse is not."""
        self.hand = point
        self._kept = [point]

    def add(self, hand: Point, scale: tuple[float, float]) -> bool:
        """Follow the mouse to a place; say whether the path has changed.

        Parameters
        ----------
        hand : (x, y)
            In fractions of the picture.
        scale : (x, y)
            Screen px per unit.
        """
        self.hand = hand
        point = self._drawn_behind(hand, scale)
        if self._kept and point == self.points[-1]:
            return False
        if not self._kept:
            self._kept.append(point)
            return True
        if not _straight(self._kept[-1], self._loose, point, scale):
            self._kept.append(self._loose[-1])
            self._loose.clear()
        self._loose.append(point)
        return True

    def stroke(self, brush: Brush) -> Stroke:
        """Give what was drawn."""
        look = brush.size, brush.hardness, brush.opacity, self.mode, brush.edge_aware
        return Stroke(tuple(self.points), *look)

    def _drawn_behind(self, hand: Point, scale: tuple[float, float]) -> Point:
        """Give where the brush is: at the end of a string that the mouse pulls."""
        if not self.smoothing or not self._kept:
            return hand
        tip = self.points[-1]
        x, y = ((b - a) * s for a, b, s in zip(tip, hand, scale, strict=True))
        length = math.hypot(x, y)
        share = max(1 - self.smoothing * STRING / max(length, 1e-9), 0)
        at = (a + (b - a) * share for a, b in zip(tip, hand, strict=True))
        x, y = (round(part, DIGITS) for part in at)
        return x, y


def _straight(start: Point, between: list[Point], end: Point, scale: tuple[float, float]) -> bool:
    """Say whether one line may stand for a path from `start` to `end`.

    References
    ----------
    Reumann, Witkam: Optimizing curves in cartography. Proc. Int. Computing Symposium (1974), for
    simplifying a path in the order in which it is drawn.
    """
    if not between:
        return True
    path = np.array([start, *between, end]) * scale
    if np.hypot(*(path[-1] - path[0])) > LONGEST:
        return False
    return float(_distances(path[1:-1], path[0], path[-1]).max()) <= TOLERANCE


def fraction(view: View, size: Size, place: Point) -> Point:
    """Give what of the picture lies at a place of the panel, as far as strokes may reach."""
    ends = zip(view.to_picture(*place), size, strict=True)
    x, y = (min(max(round(at / side, DIGITS), -FAR), FAR) for at, side in ends)
    return x, y


def on_screen(view: View, size: Size, point: Point) -> Point:
    """Give the place in the panel of a point of the picture."""
    x, y = (part * side * view.zoom for part, side in zip(point, size, strict=True))
    return x + view.x, y + view.y


def unfolded(path: list[Point]) -> list[list[Point]]:
    """Cut a path of two points or more where it turns sharply: a wide line cannot be bent so."""
    steps = np.diff(np.asarray(path, np.float64), axis=0)
    ahead, behind = steps[1:], steps[:-1]
    turn = (ahead * behind).sum(1) < BEND * np.hypot(*ahead.T) * np.hypot(*behind.T)
    cuts = [0, *(np.flatnonzero(turn) + 1), len(path) - 1]
    return [path[a : b + 1] for a, b in pairwise(cuts)]


def _distances(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Give how far points (n, 2) are from a piece of a line, which may be a point."""
    along = end - start
    share = (points - start) @ along / max(along @ along, 1e-12)
    return np.hypot(*(points - start - np.clip(share, 0, 1)[:, None] * along).T)


def brushed(graph: Graph, id: str) -> Node | None:
    """Give the node that the brush paints on while `id` is selected."""
    node = graph.nodes.get(id)
    return node if node and node.spec.fn is not None and node.spec.id == "brush_edit" else None


@dataclass(frozen=True)
class Extent:
    """How large a value is: its rows and columns, and its size relative to the full one."""

    shape: tuple[int, int]
    scale: float

    def matches(self, other: Extent) -> bool:
        """Say whether two values may be of one size in full; rounding hides a px or two."""
        return self._holds(other) or other._holds(self)

    def _holds(self, other: Extent) -> bool:
        full = [round(side / self.scale) for side in self.shape]
        return shrunk_size(*full, other.scale) == tuple(other.shape)
