"""The brush: its settings, and what a movement of the mouse becomes. Nothing here draws.

Places are fractions of the picture's width and height, as in a `Stroke`, so a view that moves
while the button is down changes nothing of what was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from qr_nodes.graph import Graph, Node
from qr_nodes.imaging.resample import shrunk_size
from qr_nodes.types import FAR, Stroke
from qr_nodes.ui.viewer_picture import View

SIZES = (0.0005, 2.0)
"""Smallest and largest brush, in fractions of the picture's longer side."""

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

OTHER = {"paint": "erase", "erase": "paint"}


@dataclass
class Brush:
    """The brush in hand.

    Attributes
    ----------
    size : diameter in fractions of the picture's longer side
    hardness, opacity : as in a `Stroke`
    mode : what the left button does; the right one does the other
    """

    size: float = 0.04
    hardness: float = 0.8
    opacity: float = 1.0
    mode: str = "paint"

    def resize(self, steps: float) -> None:
        """Make the brush larger, or smaller with negative steps."""
        size = float(f"{self.size * STEP**steps:.3g}")
        self.size = min(max(size, SIZES[0]), SIZES[1])

    def swap(self) -> None:
        """Have the left button do what the right one did."""
        self.mode = OTHER[self.mode]

    def radius(self, size: Size, zoom: float) -> float:
        """Give the radius on the screen, in px, over a picture of a size."""
        return self.size * max(size) * zoom / 2


@dataclass
class Gesture:
    """A stroke while the button is down.

    Attributes
    ----------
    button : the mouse's
    mode : "paint" or "erase"
    points : where the mouse was, in fractions of the picture
    """

    button: int
    mode: str
    points: list[Point] = field(default_factory=list)

    def add(self, point: Point) -> bool:
        """Go on to a point; say whether that is somewhere else."""
        if self.points and self.points[-1] == point:
            return False
        self.points.append(point)
        return True

    def stroke(self, brush: Brush, size: Size, zoom: float) -> Stroke:
        """Give what was drawn, without the points that nobody would miss on the screen."""
        scale = size[0] * zoom, size[1] * zoom
        points = simplified(self.points, scale)
        return Stroke(tuple(points), brush.size, brush.hardness, brush.opacity, self.mode)


def fraction(view: View, size: Size, place: Point) -> Point:
    """Give what of the picture lies at a place of the panel, as far as strokes may reach."""
    ends = zip(view.to_picture(*place), size, strict=True)
    x, y = (min(max(round(at / side, DIGITS), -FAR), FAR) for at, side in ends)
    return x, y


def on_screen(view: View, size: Size, point: Point) -> Point:
    """Give the place in the panel of a point of the picture."""
    x, y = (part * side * view.zoom for part, side in zip(point, size, strict=True))
    return x + view.x, y + view.y


def simplified(points: list[Point], scale: tuple[float, float]) -> list[Point]:
    """Leave out points of a path; both ends stay.

    Parameters
    ----------
    points : list of (x, y)
        The path.
    scale : (x, y)
        Screen px per unit; no point left out is farther than `TOLERANCE` px from what stays.

    References
    ----------
    Douglas, Peucker: Algorithms for the reduction of the number of points required to represent
    a digitized line or its caricature. Cartographica 10 (1973).
    """
    path = np.asarray(points, np.float64).reshape(-1, 2) * scale
    keep = np.zeros(len(path), bool)
    keep[[0, -1]] = True
    pieces = [(0, len(path) - 1)]
    while pieces:
        first, last = pieces.pop()
        if last - first < 2:
            continue
        away = _distances(path[first + 1 : last], path[first], path[last])
        farthest = int(away.argmax())
        if away[farthest] > TOLERANCE:
            middle = first + 1 + farthest
            keep[middle] = True
            pieces += [(first, middle), (middle, last)]
    return [point for point, kept in zip(points, keep, strict=True) if kept]


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


def added(graph: Graph, id: str, stroke: Stroke) -> Graph:
    """Give the graph with one more stroke on a node."""
    return graph.set_param(id, "strokes", (*graph.nodes[id].params["strokes"], stroke))


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
