"""Draw brush strokes into an alpha matte, the same at every resolution.

A stroke covers a pixel by its distance to the stroke's path, however often the path passes:
no build-up where points lie close. Distances are exact and computed only where a segment can
be the nearest one, so the cost grows with what is painted and not with the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from qr_nodes.types import Stroke

TILE = 256
"""Side of the squares worked on, in px: their distances fit a core's own cache."""


def stroke_rect(stroke: Stroke, height: int, width: int) -> tuple[slice, slice]:
    """Give the rows and columns of a picture that a stroke can change.

    Returns
    -------
    rows, columns : slice
        Within the picture of `height` × `width` px; empty if the stroke misses it.
    """
    path, reach = _path(stroke, height, width), _radius(stroke, height, width) + 0.5
    (left, top), (right, bottom) = path.min(0) - reach, path.max(0) + reach
    return _span(top, bottom, 0, height), _span(left, right, 0, width)


def draw_strokes(
    alpha: np.ndarray, strokes: Sequence[Stroke], checkpoint: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Draw strokes one over the other.

    Parameters
    ----------
    alpha : (H, W) float32 in [0, 1]
        Matte to start from; not written to.
    strokes : sequence of Stroke
        First to last; hidden ones are left out.
    checkpoint : callable
        Called between tiles; may raise to stop.

    Returns
    -------
    alpha : (H, W) float32 in [0, 1]
        `alpha` itself if no stroke touches the picture.
    """
    height, width = alpha.shape
    drawn = alpha
    for stroke in strokes:
        rows, columns = stroke_rect(stroke, height, width)
        if stroke.hidden or rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        if drawn is alpha:
            drawn = np.array(alpha, order="C")
        draw_stroke(drawn, stroke, checkpoint=checkpoint)
    return drawn


def draw_stroke(
    window: np.ndarray,
    stroke: Stroke,
    *,
    shape: tuple[int, int] | None = None,
    origin: tuple[int, int] = (0, 0),
    checkpoint: Callable[[], None] = lambda: None,
) -> None:
    """Draw one stroke in place: alpha moves towards 1 or 0 by coverage × opacity.

    Parameters
    ----------
    window : (h, w) float32 in [0, 1]
        Part of a picture's matte; changed. Any part gives the same pixels as the whole.
    stroke : Stroke
        Drawn whether hidden or not.
    shape : height and width of the whole picture in px, if `window` is not the whole
    origin : row and column of the window's first pixel in the picture
    checkpoint : callable
        Called between tiles; may raise to stop, leaving the stroke half drawn.
    """
    height, width = shape or window.shape
    radius = _radius(stroke, height, width)
    path = _segments(_path(stroke, height, width), radius + 0.5)
    table, first, steps = _coverage_table(radius, stroke.hardness)
    table *= np.float32(stroke.opacity)
    for rows, columns in _tiles(path, window.shape, origin):
        checkpoint()
        distance = np.sqrt(_squared_distance(path, rows, columns, (radius + 1) ** 2))
        distance -= np.float32(first)
        distance *= np.float32(steps)
        amount = np.take(table, distance.astype(np.intp), mode="clip")
        part = window[
            rows.start - origin[0] : rows.stop - origin[0],
            columns.start - origin[1] : columns.stop - origin[1],
        ]
        if stroke.mode == "paint":
            amount *= 1 - part
            part += amount
            np.minimum(part, 1, out=part)
        else:
            amount *= part
            part -= amount


def _path(stroke: Stroke, height: int, width: int) -> np.ndarray:
    """Give the points (n, 2) as x, y in px, without immediate repetitions."""
    points = np.array(stroke.points, np.float64).reshape(-1, 2) * (width, height)
    return points[np.append(True, (points[1:] != points[:-1]).any(1))]


def _radius(stroke: Stroke, height: int, width: int) -> float:
    return stroke.size * max(height, width) / 2


def _span(first: float, last: float, lo: int, hi: int) -> slice:
    """Give the pixels within lo … hi whose centres lie between two coordinates."""
    start = min(max(int(np.ceil(first - 0.5)), lo), hi)
    return slice(start, min(max(int(np.floor(last - 0.5)) + 1, start), hi))


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
    pieces = np.maximum(np.ceil(np.hypot(*step.T) * 2 / TILE), 1).astype(np.int64)
    index = np.repeat(np.arange(len(pieces)), pieces)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    divided = path[index] + step[index] * (nth / pieces[index])[:, None]
    return np.concatenate([divided, path[-1:]])


def _tiles(
    path: _Segments, window: tuple[int, int], origin: tuple[int, int]
) -> Iterator[tuple[slice, slice]]:
    """Walk over the parts of a window, tile by tile, that some segment can reach."""
    first = np.maximum(path.low.min(0), origin[::-1])
    last = np.minimum(path.high.max(0), (origin[1] + window[1], origin[0] + window[0]))
    (left, top), (right, bottom) = first.tolist(), last.tolist()
    for y in range(top // TILE * TILE, bottom, TILE):
        in_row = (path.low[:, 1] < y + TILE) & (path.high[:, 1] > y)
        for x in range(left // TILE * TILE, right, TILE):
            near = in_row & (path.low[:, 0] < x + TILE) & (path.high[:, 0] > x)
            if near.any():
                low = np.maximum(path.low[near].min(0), (max(x, left), max(y, top)))
                high = np.minimum(
                    path.high[near].max(0), (min(x + TILE, right), min(y + TILE, bottom))
                )
                if (low < high).all():
                    yield slice(low[1], high[1]), slice(low[0], high[0])


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
