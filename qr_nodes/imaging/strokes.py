"""How much of each pixel a brush stroke covers, the same at every resolution.

A stroke covers a pixel by its distance to the stroke's path, however often the path passes:
no build-up where points lie close. Distances are exact and computed only where a segment can
be the nearest one, so the cost grows with what is painted and not with the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qr_nodes.tiled import SIDE, Box, Place, box_of
from qr_nodes.types import Stroke


class Trace:
    """A stroke on a picture of one size.

    Parameters
    ----------
    stroke : Stroke
        Traced whether hidden or not.
    height, width : int
        Size of the picture, px.
    """

    def __init__(self, stroke: Stroke, height: int, width: int):
        self.stroke, self.shape = stroke, (height, width)
        radius = _radius(stroke, height, width)
        self._path = _segments(_path(stroke.points, height, width), radius + 0.5)
        self._far = (radius + 1) ** 2
        table, self._first, self._steps = _coverage_table(radius, stroke.hardness)
        self._table = table * np.float32(stroke.opacity)

    def places(self) -> set[Place]:
        """Give the tiles that the stroke can change."""
        return _touched(self._path.low, self._path.high, self.shape)

    def box(self, place: Place) -> Box | None:
        """Give the rows and columns of a tile that the stroke can change, or None."""
        return _within(self._path.low, self._path.high, place, self.shape)

    def boxes(self, since: int = 0, beyond: float = 0.0) -> dict[Place, Box]:
        """Give the tiles that the stroke can change, and the rows and columns of each.

        Parameters
        ----------
        since : int
            Only where taking away the points from this index on can make a difference.
        beyond : float
            How far beyond its radius a point makes one, px.
        """
        low, high = self._path.low, self._path.high
        if since:
            # Whole disks: what a new piece covers first may be an older one's turn afterwards.
            fresh = _path(self.stroke.points[since - 1 :], *self.shape)
            reach = _radius(self.stroke, *self.shape) + 1 + beyond
            if len(fresh) > 1:
                fresh = _short_steps(fresh)
            start, end = fresh[: max(len(fresh) - 1, 1)], fresh[-max(len(fresh) - 1, 1) :]
            low = np.floor(np.minimum(start, end) - reach).astype(np.int64)
            high = np.ceil(np.maximum(start, end) + reach).astype(np.int64)
        found = {at: _within(low, high, at, self.shape) for at in _touched(low, high, self.shape)}
        return {at: box for at, box in found.items() if box is not None}

    def coverage(self, box: Box) -> np.ndarray:
        """Give coverage × opacity of some rows and columns, at most a tile: (h, w) float32.

        Any part gives the same values as the whole.
        """
        distance = np.sqrt(_squared_distance(self._path, *box, self._far))
        distance -= np.float32(self._first)
        distance *= np.float32(self._steps)
        return np.take(self._table, distance.astype(np.intp), mode="clip")


def _touched(low: np.ndarray, high: np.ndarray, shape: tuple[int, int]) -> set[Place]:
    """Give the tiles that rectangles touch; low and high are (n, 2) columns and rows."""
    low, high = np.maximum(low, 0), np.minimum(high, shape[::-1])
    seen = (low < high).all(1)
    first, last = low[seen] // SIDE, (high[seen] - 1) // SIDE
    return {
        (row, column)
        for left, top, right, bottom in set(map(tuple, np.hstack([first, last]).tolist()))
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    }


def _within(low: np.ndarray, high: np.ndarray, place: Place, shape: tuple[int, int]) -> Box | None:
    """Give what of a tile lies in the rectangle around all parts of rectangles there, or None."""
    rows, columns = box_of(place, shape)
    low = np.maximum(low, (columns.start, rows.start))
    high = np.minimum(high, (columns.stop, rows.stop))
    near = (low < high).all(1)
    if not near.any():
        return None
    (left, top), (right, bottom) = low[near].min(0).tolist(), high[near].max(0).tolist()
    return slice(top, bottom), slice(left, right)


def _path(points: Sequence[tuple[float, float]], height: int, width: int) -> np.ndarray:
    """Give points (n, 2) as x, y in px, without immediate repetitions."""
    path = np.array(points, np.float64).reshape(-1, 2) * (width, height)
    return path[np.append(True, (path[1:] != path[:-1]).any(1))]


def _radius(stroke: Stroke, height: int, width: int) -> float:
    return stroke.size * max(height, width) / 2


class _Segments(NamedTuple):
    """The pieces of a path, one row each."""

    along: np.ndarray  # (n, 2) unit vector x, y
    middle: np.ndarray  # (n,) position of the segment's middle on the axis `along`, px
    offset: np.ndarray  # (n,) distance of the segment's line from the picture's corner, px
    half: np.ndarray  # (n,) half its length, px
    low: np.ndarray  # (n, 2) first column and row for which it may be the nearest
    high: np.ndarray  # (n, 2) one past the last


def _segments(path: np.ndarray, reach: float) -> _Segments:
    """Cut a path into segments and say where each can be the nearest one within `reach` px.

    A pixel beyond a segment's end belongs to it only within the wedge that a bend by the angle
    φ opens there; half of the wedge is the next segment's, which leaves reach · sin(φ/2).
    """
    if len(path) == 1:
        start = end = path
        along, length = np.array([[1.0, 0.0]]), np.zeros(1)
    else:
        path = _short_steps(path)
        start, end = path[:-1], path[1:]
        length = np.hypot(*(end - start).T)
        along = (end - start) / length[:, None]
    cosine = (along[:-1] * along[1:]).sum(1)
    wedge = reach * np.sqrt(np.clip((1 - cosine) / 2, 0, 1)) + 0.01
    before, after = np.append(reach, wedge), np.append(wedge, reach)
    back, front = start - along * before[:, None], end + along * after[:, None]
    aside = np.abs(along[:, ::-1]) * reach
    low = np.maximum(np.minimum(back, front) - aside, np.minimum(start, end) - reach)
    high = np.minimum(np.maximum(back, front) + aside, np.maximum(start, end) + reach)
    return _Segments(
        along=along,
        middle=((start + end) / 2 * along).sum(1),
        offset=start[:, 1] * along[:, 0] - start[:, 0] * along[:, 1],
        half=length / 2,
        low=np.ceil(low - 0.5).astype(np.int64),
        high=np.floor(high - 0.5).astype(np.int64) + 1,
    )


def _short_steps(path: np.ndarray) -> np.ndarray:
    """Divide long steps, whose rectangle would be mostly empty, into those of half a tile."""
    step = np.diff(path, axis=0)
    pieces = np.maximum(np.ceil(np.hypot(*step.T) * 2 / SIDE), 1).astype(np.int64)
    index = np.repeat(np.arange(len(pieces)), pieces)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    divided = path[index] + step[index] * (nth / pieces[index])[:, None]
    return np.concatenate([divided, path[-1:]])


def _squared_distance(path: _Segments, rows: slice, columns: slice, far: float) -> np.ndarray:
    """Give the squared distance in px from each pixel's centre to the path, at most `far`."""
    corner = np.array((columns.start, rows.start))
    size = np.array((columns.stop, rows.stop)) - corner
    low, high = np.maximum(path.low - corner, 0), np.minimum(path.high - corner, size)
    near = np.flatnonzero((low < high).all(1))
    x, y = (np.arange(n) + (0.5 + first) for n, first in zip(size, corner, strict=True))
    ax, ay = path.along[near].T[:, :, None]
    # Where a pixel lies along and aside of a segment: a part from its column, one from its row.
    along_x, aside_x = np.float32(ax * x - path.middle[near, None]), np.float32(ay * x)
    along_y, aside_y = np.float32(ay * y), np.float32(ax * y - path.offset[near, None])
    half = path.half[near].astype(np.float32)
    nearest = np.full(size[::-1], far, np.float32)
    parts = zip(low[near].tolist(), high[near].tolist(), strict=True)
    for i, ((left, top), (right, bottom)) in enumerate(parts):
        squared = along_y[i, top:bottom, None] + along_x[i, left:right]
        np.abs(squared, out=squared)
        squared -= half[i]
        np.maximum(squared, 0, out=squared)
        squared *= squared
        aside = aside_y[i, top:bottom, None] - aside_x[i, left:right]
        aside *= aside
        squared += aside
        part = nearest[top:bottom, left:right]
        np.minimum(part, squared, out=part)
    return nearest


def _coverage_table(radius: float, hardness: float) -> tuple[np.ndarray, float, float]:
    """Give how much of a pixel the brush covers by its distance from the path.

    The profile, 1 up to hardness × radius and then a smooth step down to 0 at the radius, is
    averaged over the pixel's width across the path. That antialiases a hard rim over one
    pixel, and lets a brush thinner than a pixel fade instead of break up.

    Returns
    -------
    table : (n,) float32 in [0, 1]
        Coverage; its steps are less than 1/1000.
    first : float
        Distance of the first entry in px; nearer pixels are covered just as much.
    steps : float
        Entries per px; the last entry is 0.
    """
    core = hardness * radius
    first = max(core - 0.5, 0.0)
    # A smooth step of the width w is nowhere steeper than 1.5/w, an averaged one than 1 per px.
    steps = 1024 * min(1.0, 1.5 / max(radius - core, 1e-6))
    count = int(np.ceil((radius + 0.5 - first) * steps)) + 2
    distance = first + np.arange(count) / steps
    upper = _profile_integral(distance + 0.5, core, radius)
    lower = _profile_integral(np.abs(distance - 0.5), core, radius)
    table = upper - np.copysign(lower, distance - 0.5)
    return np.clip(table, 0, 1).astype(np.float32), first, steps


def _profile_integral(distance: np.ndarray, core: float, radius: float) -> np.ndarray:
    """Give the integral of the brush's profile from 0 to a distance ≥ 0, in px."""
    ramp = max(radius - core, 1e-9)
    u = np.clip((distance - core) / ramp, 0, 1)
    # The second term is the integral of 1 − (3u² − 2u³).
    return np.minimum(distance, core) + ramp * (u - u**3 + u**4 / 2)
