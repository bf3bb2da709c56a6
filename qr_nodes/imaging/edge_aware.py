"""Keep a stroke of the brush inside the edge that it touches.

What lies under the middle of the brush is what the user means. Around each spot of the stroke
two colour models are made, of what is meant and of what differs from it, and each cell is told
by which of the two explains it better; but what can be reached from the stroke's middle without
crossing an edge stays, whatever its colour. The picture's own pixels then take over the local
colour lines of the cells.

Everything happens on cells whose size goes with the brush and whose lattice starts in the
picture's corner, with sums of whole numbers, which are exact in any order. So any window of the
picture gets the same values, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.foreground import SCALE
from qr_nodes.imaging.strokes import _path, _radius, _segments, _squared_distance
from qr_nodes.types import Stroke

FINEST = 10
"""Most cells in the brush's radius."""

REACH = 5.0
"""How far from the path, in radii of the brush, it can matter for the factor."""

LEVELS = 4095
"""Whole numbers that stand for colours: 0 to this."""

ONE = LEVELS / 255
"""What one step of 8 bits is in them."""

CORE = 0.3
"""Radius of the middle of the brush, which is what is meant, in radii of the brush."""

NOISE = 2.5 * ONE
"""Differences that tell nothing even where colours hardly vary."""

SHADING = 3.0 * ONE
"""Difference between neighbouring cells that is no edge, whatever the sensitivity."""

SAMPLES = 8
"""Most rows and columns of a cell that are looked at; more tell hardly more."""

LINES = 2
"""Half the side of the windows in which the mask is a linear function of colour, in cells."""

FLAT = (2.0 * ONE) ** 2
"""Colour variance of a window that tells nothing."""


class EdgeAware:
    """How far the edges of a picture hold one stroke back, for any window of the picture.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
        The whole picture. Only what lies around a window is read.
    stroke : Stroke
        Its `edge_aware` is the sensitivity.
    checkpoint : callable
        Called every few ms; may raise to stop.

    References
    ----------
    Criminisi, Sharp, Rother and Pérez, "Geodesic image and video editing", ACM Transactions on
    Graphics 29(5), 2010, for distances that grow across edges; Liu, Sun and Shum, "Paint
    selection", ACM Transactions on Graphics 28(3), 2009, for colour models made of what the
    brush has just touched; He and Sun, "Fast guided filter", arXiv:1505.00996, 2015.
    """

    def __init__(
        self, color: np.ndarray, stroke: Stroke, checkpoint: Callable[[], None] = lambda: None
    ):
        self.color, self.stroke, self.checkpoint = color, stroke, checkpoint
        height, width = color.shape[:2]
        radius = _radius(stroke, height, width)
        self.cell = 1
        while radius > FINEST * self.cell:
            self.cell *= 2
        self.radius = radius / self.cell
        # With few cells in the radius, those that the path crosses are the middle.
        self.core = max(CORE, 0.75 / self.radius)
        self.path = _segments(_path(stroke, height, width) / self.cell, 2.5 * self.radius)
        self.size = -(-height // self.cell), -(-width // self.cell)

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        """Give the factor by which the stroke's coverage is multiplied.

        Parameters
        ----------
        rows, columns : slice
            Window of the picture.

        Returns
        -------
        factor : (h, w) float32 in [0, 1]
            1 where nothing holds the stroke back. The same for a pixel whatever the window.
        """
        shape = rows.stop - rows.start, columns.stop - columns.start
        if self.stroke.edge_aware <= 0 or not min(shape):
            return np.ones(shape, np.float32)
        cells = [
            slice(max(s.start // self.cell - 1, 0), min((s.stop - 1) // self.cell + 2, end))
            for s, end in zip((rows, columns), self.size, strict=True)
        ]
        lines = self._lines(*cells)
        self.checkpoint()
        factor = _grown(lines, cells, self.cell, rows, columns)
        picture = _opponent(self.color[rows, columns])
        matte = factor[3]
        for slope, plane in zip(factor, picture, strict=False):
            matte += slope * plane
        return np.clip(matte * np.float32(1 / 255), 0, 1, out=matte)

    def _lines(self, rows: slice, columns: slice) -> np.ndarray:
        """Give coefficients (4, h, w) of the mask, 0 to 255, on the colours of cells."""
        reach = round(0.75 * self.radius) or 1  # of each of a tent's two boxes
        rows, inner_rows = _wider(rows, 2 * LINES, self.size[0])
        columns, inner_columns = _wider(columns, 2 * LINES, self.size[1])
        wide_rows, middle_rows = _wider(rows, 4 * reach, self.size[0])
        wide_columns, middle_columns = _wider(columns, 4 * reach, self.size[1])
        middle = middle_rows, middle_columns
        picture = self._cells(wide_rows, wide_columns)
        self.checkpoint()
        distance = self._distance(wide_rows, wide_columns)
        edges = self._across_edges(picture, distance, wide_rows, wide_columns, middle)
        held = _told(picture, distance, self.core, reach, self.checkpoint)
        mask = self._factor(held[middle], edges)
        self.checkpoint()
        lines = _color_lines(picture[:, middle_rows, middle_columns], mask)
        return lines[:, inner_rows, inner_columns]

    def _cells(self, rows: slice, columns: slice) -> np.ndarray:
        """Give the mean colours (3, h, w) of cells as whole numbers, float32."""
        cell, (height, width) = self.cell, self.color.shape[:2]
        step = max(cell // SAMPLES, 1)
        y = np.arange(rows.start * cell + step // 2, rows.stop * cell, step)
        x = np.arange(columns.start * cell + step // 2, columns.stop * cell, step)
        part = self.color[y[0] : min(y[-1] + 1, height) : step, x[0] : min(x[-1] + 1, width) : step]
        down, right = len(y) - part.shape[0], len(x) - part.shape[1]
        if not min(part.shape[:2]):
            part = self.color[np.minimum(y, height - 1)[:, None], np.minimum(x, width - 1)]
        elif down or right:
            part = np.pad(part, ((0, down), (0, right), (0, 0)), mode="edge")
        count = cell // step
        while count > 1:
            part = part.astype(np.float32, copy=False)
            part = part[0::2] + part[1::2]
            part = part[:, 0::2] + part[:, 1::2]
            count //= 2
        planes = _opponent(part, self.color.dtype, (cell // step) ** 2)
        return np.rint(planes, out=planes)

    def _distance(self, rows: slice, columns: slice) -> np.ndarray:
        """Give the distance of cells from the path, in radii."""
        far = 2.5 * self.radius
        squared = _squared_distance(self.path, rows, columns, np.float32(far * far))
        return np.sqrt(squared, out=squared) / np.float32(self.radius)

    def _across_edges(self, picture, distance, rows, columns, middle) -> np.ndarray:
        """Give the least sum of colour differences on a way from the stroke's middle."""
        steps = int(1.2 * self.radius) + 1
        near = [
            slice(max(m.start - steps, 0), min(m.stop + steps, s.stop - s.start))
            for m, s in zip(middle, (rows, columns), strict=True)
        ]
        picture, distance = picture[:, near[0], near[1]], distance[near[0], near[1]]
        far = np.where(distance <= self.core, np.float32(0), np.float32(1e6))
        height, width = far.shape
        ways = []
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            one = slice(0, height - dy), slice(max(-dx, 0), width - max(dx, 0))
            other = slice(dy, height), slice(max(dx, 0), width + min(dx, 0))
            step = picture[:, *one] - picture[:, *other]
            step *= step
            cost = np.sqrt(step[0] + step[1] + step[2])
            cost -= np.float32(SHADING)
            ways.append((one, other, np.maximum(cost, 0, out=cost)))
        for _ in range(steps):
            self.checkpoint()
            before = far.copy()
            for one, other, cost in ways:
                np.minimum(far[other], before[one] + cost, out=far[other])
                np.minimum(far[one], before[other] + cost, out=far[one])
        inner = [
            slice(m.start - n.start, m.stop - n.start) for m, n in zip(middle, near, strict=True)
        ]
        return far[inner[0], inner[1]]

    def _factor(self, held: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Give the mask, whole numbers from 0 to 255."""
        e = self.stroke.edge_aware
        limit = np.float32(1.0 + 2.5 * (1 - e) / e)
        by_model = _falling((held - limit) * np.float32(1 / 1.4) + np.float32(0.5))
        cost = np.float32(4 * ONE / e)
        by_edges = _falling(edges / (2 * cost) - np.float32(0.25))
        return np.rint(np.maximum(by_model, by_edges) * np.float32(255))


def held_back(
    color: np.ndarray,
    stroke: Stroke,
    rows: slice,
    columns: slice,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Give the factor (h, w) float32 in [0, 1] for one window; see `EdgeAware`."""
    return EdgeAware(color, stroke, checkpoint)(rows, columns)


def _told(picture, distance, middle, reach, checkpoint) -> np.ndarray:
    """Give how much more what is not meant explains each cell than what is meant."""
    core = _falling((distance - np.float32(middle)) * np.float32(1 / 0.15) + np.float32(0.5))
    meant = _Model(picture, np.rint(core * 15), reach)
    checkpoint()
    unlike = np.sqrt(meant.misfit(picture)) * np.float32(1 / 3)
    unlike *= np.float32(0.4) + np.float32(0.3) * distance + np.float32(1.1) * distance * distance
    same = _falling((unlike - np.float32(0.28)) * np.float32(1 / 0.84))
    fore = np.maximum(core, np.float32(0.2) * same * np.clip(np.float32(1.6) - distance, 0, 1))
    back = (1 - same) * (distance < np.float32(2.2))
    meant = _Model(picture, np.rint(fore * 15), reach)
    checkpoint()
    other = _Model(picture, np.rint(back * 15), reach)
    checkpoint()
    told = np.minimum(meant.misfit(picture), 40) + meant.spread
    told -= np.minimum(other.misfit(picture), 40) + other.spread
    told *= np.float32(0.35) * other.share
    told += 3 * distance - np.float32(1.8)
    told -= 6 * core
    return told


class _Model:
    """The Gaussian distribution of the weighted colours around each cell."""

    def __init__(self, picture: np.ndarray, weight: np.ndarray, reach: int):
        weight = weight.astype(np.float64)
        r, g, b = (weight * plane for plane in picture)
        total = _tent(weight, reach)
        self.share = (total / (total + 0.02 * 15 * (2 * reach + 1) ** 4)).astype(np.float32)
        scale = 1 / np.maximum(total, 1e-3)
        x, y, z = (_tent(plane, reach) * scale for plane in (r, g, b))
        rr = _tent(r * picture[0], reach) * scale - x * x + NOISE**2
        rg = _tent(r * picture[1], reach) * scale - x * y
        rb = _tent(r * picture[2], reach) * scale - x * z
        gg = _tent(g * picture[1], reach) * scale - y * y + NOISE**2
        gb = _tent(g * picture[2], reach) * scale - y * z
        bb = _tent(b * picture[2], reach) * scale - z * z + NOISE**2
        rg_rr, rb_rr = rg / rr, rb / rr
        gg -= rg * rg_rr
        gb -= rg * rb_rr
        gb_gg = gb / gg
        bb -= rb * rb_rr + gb * gb_gg
        self.mean = np.array([x, y, z], np.float32)
        self.lower = np.array([rg_rr, rb_rr, gb_gg], np.float32)
        self.scale = np.array([1 / rr, 1 / gg, 1 / bb], np.float32)
        self.spread = _log(rr * (1 / NOISE**2) * (gg * (1 / NOISE**2)) * (bb * (1 / NOISE**2)))

    def misfit(self, picture: np.ndarray) -> np.ndarray:
        """Give the squared Mahalanobis distance of each cell's colour."""
        x, y, z = picture - self.mean
        y -= self.lower[0] * x
        z -= self.lower[1] * x
        z -= self.lower[2] * y
        return x * x * self.scale[0] + y * y * self.scale[1] + z * z * self.scale[2]


def _tent(plane: np.ndarray, reach: int) -> np.ndarray:
    """Sum whole numbers under a tent that reaches 2 · `reach` cells; exact in any order."""
    for _ in range(2):
        plane = _boxed(plane, reach, cv2.BORDER_CONSTANT)
    return plane


def _boxed(plane: np.ndarray, reach: int, border: int) -> np.ndarray:
    side = 2 * reach + 1
    return cv2.boxFilter(plane, cv2.CV_64F, (side, side), normalize=False, borderType=border)


def _log(x: np.ndarray) -> np.ndarray:
    """Give the natural logarithm to 1e-2 by steps that round the same wherever a number lies."""
    mantissa, exponent = np.frexp(x)
    # A parabola through the logarithm of ½, ¾ and 1.
    log2 = exponent - 2.6797 + mantissa * (4.0391 - 1.3594 * mantissa)
    return (log2 * 0.69315).astype(np.float32)


def _color_lines(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Fit the mask by colour in small windows; coefficients are averaged over a cell's windows."""
    n = 1 / (2 * LINES + 1) ** 2

    def mean(plane):
        return _boxed(plane.astype(np.float64), LINES, cv2.BORDER_REPLICATE) * n

    r, g, b = picture.astype(np.float64)
    x, y, z, m = mean(r), mean(g), mean(b), mean(mask)
    rr, gg, bb = mean(r * r) - x * x + FLAT, mean(g * g) - y * y + FLAT, mean(b * b) - z * z + FLAT
    rg, rb, gb = mean(r * g) - x * y, mean(r * b) - x * z, mean(g * b) - y * z
    p, q, s = mean(r * mask) - x * m, mean(g * mask) - y * m, mean(b * mask) - z * m
    rg_rr, rb_rr = rg / rr, rb / rr
    gg -= rg * rg_rr
    gb -= rg * rb_rr
    gb_gg = gb / gg
    bb -= rb * rb_rr + gb * gb_gg
    q -= rg_rr * p
    s -= rb_rr * p
    s -= gb_gg * q
    s /= bb
    q /= gg
    q -= gb_gg * s
    p /= rr
    p -= rg_rr * q
    p -= rb_rr * s
    m -= p * x + q * y + s * z
    # Rounded to whole numbers of a small unit, sums of them are exact as well.
    unit = 2.0**20
    return np.array([mean(np.rint(k * unit)) / unit for k in (p, q, s, m)], np.float32)


def _opponent(color: np.ndarray, dtype: np.dtype | None = None, count: int = 1) -> np.ndarray:
    """Give light and two colour differences (3, h, w) float32, all on a scale of LEVELS.

    `color` holds sums of `count` pixels of a picture of `dtype`.
    """
    scale = LEVELS / (SCALE[np.dtype(dtype or color.dtype)] * count)
    r, g, b = (color[..., i].astype(np.float32) for i in range(3))
    out = np.empty((3, *r.shape), np.float32)
    sides = r + b
    np.multiply(sides + 2 * g, np.float32(scale / 4), out=out[0])
    np.multiply(r - b, np.float32(scale * 0.75), out=out[1])
    np.multiply(g - sides * np.float32(0.5), np.float32(scale * 0.75), out=out[2])
    return out


def _falling(x: np.ndarray) -> np.ndarray:
    """Give a smooth step from 1 at x ≤ 0 to 0 at x ≥ 1."""
    x = np.clip(x, 0, 1)
    return 1 - x * x * (3 - 2 * x)


def _wider(span: slice, by: int, end: int) -> tuple[slice, slice]:
    """Give a span grown by `by` within 0 … end, and where it lies in that."""
    outer = slice(max(span.start - by, 0), min(span.stop + by, end))
    return outer, slice(span.start - outer.start, span.stop - outer.start)


def _grown(lines, cells, cell, rows, columns) -> np.ndarray:
    """Interpolate planes of cells between their middles, for a window of pixels."""
    for axis, (span, pixels) in enumerate(zip(cells, (rows, columns), strict=True), 1):
        at = (np.arange(pixels.start, pixels.stop) + 0.5) / cell - 0.5
        first = np.floor(at)
        part = (at - first).astype(np.float32)
        low = np.clip(first.astype(np.intp) - span.start, 0, span.stop - span.start - 1)
        high = np.clip(first.astype(np.intp) + 1 - span.start, 0, span.stop - span.start - 1)
        part = part[:, None] if axis == 1 else part
        lower, upper = lines.take(low, axis=axis), lines.take(high, axis=axis)
        upper -= lower
        upper *= part
        lines = lower
        lines += upper
    return lines
