"""Keep a stroke of the brush inside the edge that it touches.

What lies under the middle of the brush is what the user means. Around each spot of the stroke
two colour models are made, of what is meant and of what differs from it, and each cell is told
by which of the two explains it better. Where no edge lies between a cell and the middle of the
stroke, the stroke stays full whatever the models say. Small windows' colour lines then carry
the answer from the cells to the picture's own pixels.

All this happens on cells whose size goes with the brush and whose lattice starts in the
picture's corner. Only whole numbers are summed, and such sums are exact in any order; so any
window of the picture gets the same values, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from qr_nodes.imaging.edges import on_lines
from qr_nodes.imaging.foreground import SCALE
from qr_nodes.imaging.strokes import _path, _radius, _segments, _squared_distance
from qr_nodes.types import Stroke

FINEST = 10
"""Most cells in the radius of the brush."""

SAMPLES = 8
"""Most rows and columns of a cell that are looked at; more tell hardly more."""

LEVELS = 1023
"""Colours are whole numbers up to this: the weighted square of one fits a float32."""

WEIGHTS = 15
"""Weights are whole numbers up to this."""

STEP = LEVELS / 255
"""What one step of 8 bits is on the scale of LEVELS."""

CORE = 0.3
"""What is meant lies nearer to the path than this, in radii."""

AROUND = 1.5
"""What differs is looked for as near to the path as this, in radii."""

NOISE = 2.5 * STEP
"""Standard deviation that colours have at least: grain, and the blocks of a JPEG."""

SHADING = 3.0 * STEP
"""Difference between neighbouring cells that is no edge."""

FLAT = (2.0 * STEP) ** 2
"""Colour variance of a window that tells nothing."""

BESIDE = 2
"""Cells around those wanted that take part in their colour lines."""

RARE = 150.0
"""Squared deviations from a model's mean beyond which a colour is no rarer still."""

CRISP = 2.0
"""Contrast given to the mask in full size, to take back what cells have blurred."""


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

    Attributes
    ----------
    reach : float
        How many rows or columns away, in px, the path can matter for a pixel: a piece added to
        the stroke changes nothing outside its rectangle grown by this.

    References
    ----------
    Liu, Sun and Shum, "Paint selection", ACM Transactions on Graphics 28(3), 2009, for colour
    models made of what the brush has just touched; Criminisi, Sharp, Rother and Pérez,
    "Geodesic image and video editing", ACM Transactions on Graphics 29(5), 2010, for distances
    that grow across edges; He and Sun, "Fast guided filter", arXiv:1505.00996, 2015.
    """

    def __init__(
        self, color: np.ndarray, stroke: Stroke, checkpoint: Callable[[], None] = lambda: None
    ):
        self.color, self.stroke, self.checkpoint = color, stroke, checkpoint
        height, width = color.shape[:2]
        radius, self.cell = _radius(stroke, height, width), 1
        while radius > FINEST * self.cell:
            self.cell *= 2
        self.size = -(-height // self.cell), -(-width // self.cell)
        # From here on everything is in cells. The finest brushes look around like one of two.
        self.radius = max(radius / self.cell, 2.0)
        self.core = max(CORE * self.radius, 0.75)
        self.around = AROUND * self.radius
        self.window = round(self.radius)
        self.turns = -(-self.window // 2)
        path = _path(stroke.points, height, width) / self.cell
        self.path = _segments(path, self.around + 1)
        # The way from the path: what differs and one window, or what is meant and two.
        far = max(self.around, self.core + 1 + self.window) + self.window
        self.reach = (far + BESIDE + 2) * self.cell

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
        cells = tuple(
            slice(max(s.start // self.cell - 1, 0), min((s.stop - 1) // self.cell + 2, end))
            for s, end in zip((rows, columns), self.size, strict=True)
        )
        lines = _between(self._lines(cells), cells, self.cell, (rows, columns))
        self.checkpoint()
        held = on_lines(lines, _opponent(self.color[rows, columns]))
        held *= np.float32(CRISP / 255)
        held += np.float32((1 - CRISP) / 2)
        np.clip(held, 0, 1, out=held)
        return np.subtract(1, held, out=held)

    def _lines(self, cells: tuple[slice, slice]) -> np.ndarray:
        """Give coefficients (4, h, w) that tell from a cell's colours what is held back."""
        fitted = self._wider(cells, BESIDE)
        second = self._wider(fitted, self.window)
        first = self._wider(fitted, max(2 * self.window, 3 * self.turns))
        picture, distance = self._colors(*first), self._distance(*first)
        self.checkpoint()
        ahead, width = self._ahead(picture, distance, first, second, fitted)
        on_the_way = self._wider(fitted, 3 * self.turns)
        at = _inside(on_the_way, first)
        crossed = self._crossed(picture[:, *at], distance[at])[_inside(fitted, on_the_way)]
        self.checkpoint()
        held = np.rint(self._held(ahead, width, crossed) * np.float32(255))
        lines = _color_lines(picture[:, *_inside(fitted, first)], held)
        return lines[:, *_inside(cells, fitted)]

    def _wider(self, spans: tuple[slice, slice], by: int) -> tuple[slice, slice]:
        """Give spans of cells grown by `by`, within the picture."""
        return tuple(
            slice(max(s.start - by, 0), min(s.stop + by, end))
            for s, end in zip(spans, self.size, strict=True)
        )

    def _colors(self, rows: slice, columns: slice) -> np.ndarray:
        """Give the mean colours (3, h, w) of cells as whole numbers, float32."""
        cell, (height, width) = self.cell, self.color.shape[:2]
        step = max(cell // SAMPLES, 1)
        ends, short = [], []
        for span, length in ((rows, height), (columns, width)):
            first, stop = span.start * cell + step // 2, span.stop * cell
            # A cell at the border may have its first sample beyond it: take the last pixel.
            inside = slice(min(first, length - 1), min(stop, length), step)
            ends.append(inside)
            short.append((stop - first + step - 1) // step - len(range(length)[inside]))
        part = self.color[*ends]
        if any(short):
            part = np.pad(part, ((0, short[0]), (0, short[1]), (0, 0)), mode="edge")
        count = (cell // step) ** 2
        while cell > step:
            part = part.astype(np.float32, copy=False)
            part = part[0::2] + part[1::2]
            part = part[:, 0::2] + part[:, 1::2]
            cell //= 2
        planes = _opponent(part, self.color.dtype, count)
        return np.rint(planes, out=planes)

    def _distance(self, rows: slice, columns: slice) -> np.ndarray:
        """Give the distance (h, w) of cells from the path, in radii."""
        far = np.float32((self.around + 1) ** 2)
        squared = _squared_distance(self.path, rows, columns, far)
        np.sqrt(squared, out=squared)
        squared *= np.float32(1 / self.radius)
        return squared

    def _ahead(self, picture, distance, first, second, fitted) -> tuple[np.ndarray, np.ndarray]:
        """Give how much better what differs explains the cells of `fitted` than what is meant.

        `picture` and `distance` are those of the cells of `first`; cells of `second` take part
        in the models.

        Returns
        -------
        ahead : (h, w) float32
            By how much its −2 log of likelihood is the lower one.
        width : (h, w) float32
            Over how much of that cells go from what is meant to what differs.
        """
        near = self.core / self.radius
        core = _falling((distance - np.float32(near)) * np.float32(1 / 0.15) + np.float32(0.5))
        at = _inside(second, first)
        meant = _Model(picture, core, self.window, at)
        self.checkpoint()
        picture, distance, core = picture[:, *at], distance[at], core[at]
        unlike = np.sqrt(meant.misfit(picture), dtype=np.float32)
        # The nearer to the rim and beyond, the less it takes to differ.
        unlike *= np.float32(0.16) + distance * (np.float32(0.12) + np.float32(0.44) * distance)
        differs = 1 - _falling(unlike - np.float32(0.33))
        like = (1 - differs) * np.clip(np.float32(1.6) - distance, 0, 1) * np.float32(0.2)
        at = _inside(fitted, second)
        meant = _Model(picture, np.maximum(core, like), self.window, at)
        self.checkpoint()
        differs *= distance < np.float32(AROUND)
        other = _Model(picture, differs, self.window, at)
        self.checkpoint()
        picture = picture[:, *at]
        ahead = meant.unlikely(picture)
        ahead -= other.unlikely(picture)
        ahead *= other.share
        ahead -= 16 * core[at]
        # Between the two, colours are mixed: the farther apart they are, the wider the way.
        apart = np.minimum(meant.misfit(other.mean), RARE)
        return ahead, np.maximum(apart * np.float32(0.2), 4)

    def _crossed(self, picture: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Give the least sum of edges that are crossed on a way from the stroke's middle."""
        near = np.float32(self.core / self.radius)
        crossed = np.where(distance <= near, np.float32(0), np.float32(1e6))
        height, width = crossed.shape
        ways = []
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            one = slice(0, height - dy), slice(max(-dx, 0), width - max(dx, 0))
            other = slice(dy, height), slice(max(dx, 0), width + min(dx, 0))
            apart = picture[:, *one] - picture[:, *other]
            apart *= apart
            edge = np.sqrt(apart[0] + apart[1] + apart[2])
            edge -= np.float32(SHADING)
            ways.append((crossed[one], crossed[other], np.maximum(edge, 0, out=edge), apart[0]))
        for _ in range(self.turns):
            self.checkpoint()
            for one, other, edge, through in ways:
                np.minimum(other, np.add(one, edge, out=through), out=other)
                np.minimum(one, np.add(other, edge, out=through), out=one)
        return crossed

    def _held(self, ahead: np.ndarray, width: np.ndarray, crossed: np.ndarray) -> np.ndarray:
        """Give how far cells are held back, 0 to 1, from what the models and the edges say."""
        sensitivity = max(self.stroke.edge_aware, 1e-3)
        lead = np.float32(7 / sensitivity - 6.2)
        by_models = 1 - _falling((ahead - lead) / width)
        # At most sensitive an edge of one step begins to count, and one of five holds.
        by_edges = 1 - _falling(crossed * np.float32(sensitivity / (4 * STEP)) - np.float32(0.25))
        return np.minimum(by_models, by_edges, out=by_models)


class _Model:
    """The normal distribution of weighted colours in the window around each cell.

    Parameters
    ----------
    picture : (3, H, W) float32, whole numbers
    weight : (H, W) float32 in [0, 1]
    window : half the side of the windows, in cells
    at : the part of the cells that the model is wanted for
    """

    def __init__(self, picture: np.ndarray, weight: np.ndarray, window: int, at):
        weight = np.rint(weight * np.float32(WEIGHTS))
        side = 2 * window + 1

        def summed(plane):
            return _summed(plane, window)[at]

        total = summed(weight)
        self.share = total / (total + np.float32(0.02 * WEIGHTS * side * side))
        scale = 1 / np.maximum(total, 1)
        r, g, _ = weighted = picture * weight
        mean = x, y, z = np.stack([summed(plane) for plane in weighted]) * scale
        rr, gg, bb = (
            summed(one * other) * scale - m * m + np.float32(NOISE**2)
            for one, other, m in zip(weighted, picture, mean, strict=True)
        )
        rg = summed(r * picture[1]) * scale - x * y
        rb = summed(r * picture[2]) * scale - x * z
        gb = summed(g * picture[2]) * scale - y * z
        self.mean, self.lower, self.spread = mean, *_factors(rr, gg, bb, rg, rb, gb)

    def misfit(self, picture: np.ndarray) -> np.ndarray:
        """Give the squared Mahalanobis distance of each cell's colour."""
        x, y, z = apart = picture - self.mean
        y -= self.lower[0] * x
        z -= self.lower[1] * x
        z -= self.lower[2] * y
        apart *= apart
        apart /= self.spread
        x += y
        x += z
        return x

    def unlikely(self, picture: np.ndarray) -> np.ndarray:
        """Give −2 log of the density of each cell's colour; rare is rare beyond 6 deviations."""
        x, y, z = self.spread
        return np.minimum(self.misfit(picture), RARE) + _log(x * y * z)


def _factors(rr, gg, bb, rg, rb, gb) -> tuple[list[np.ndarray], np.ndarray]:
    """Factor covariances as LDLᵀ: three of L, and D (3, h, w). `gg` and `bb` are used up."""
    rg_rr, rb_rr = rg / rr, rb / rr
    gg -= rg * rg_rr
    gb -= rg * rb_rr
    gb_gg = gb / gg
    bb -= rb * rb_rr
    bb -= gb * gb_gg
    return [rg_rr, rb_rr, gb_gg], np.stack([rr, gg, bb])


def _log(x: np.ndarray) -> np.ndarray:
    """Give the natural logarithm to 0.01, rounded the same wherever in an array a number lies."""
    mantissa, exponent = np.frexp(x)
    # The parabola through log₂ of ½, ¾ and 1.
    log2 = mantissa * (np.float32(4.0391) - np.float32(1.3594) * mantissa)
    log2 += exponent.astype(np.float32)
    log2 -= np.float32(2.6797)
    log2 *= np.float32(0.693147)
    return log2


def _summed(plane: np.ndarray, window: int) -> np.ndarray:
    """Sum whole numbers over the window around each cell; beyond the cells there is nothing."""
    side = 2 * window + 1
    return cv2.boxFilter(
        plane, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT
    )


def _color_lines(picture: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Fit `held`, whole numbers, by colour in windows of 3 × 3 cells, as `edges.ColorLines`.

    Returns
    -------
    coefficients : (4, h, w) float32
        Each the mean of those of the windows that a cell is in.
    """
    third = np.float32(1 / 3)

    def mean(plane):
        plane = cv2.boxFilter(
            plane, cv2.CV_32F, (3, 3), normalize=False, borderType=cv2.BORDER_REPLICATE
        )
        plane *= third
        plane *= third
        return plane

    r, g, b = picture
    means = x, y, z = [mean(plane) for plane in picture]
    rr, gg, bb = (
        mean(plane * plane) - m * m + np.float32(FLAT)
        for plane, m in zip(picture, means, strict=True)
    )
    rg, rb, gb = mean(r * g) - x * y, mean(r * b) - x * z, mean(g * b) - y * z
    (rg_rr, rb_rr, gb_gg), spread = _factors(rr, gg, bb, rg, rb, gb)
    level = mean(held)
    p, q, s = (mean(plane * held) - m * level for plane, m in zip(picture, means, strict=True))
    q -= rg_rr * p
    s -= rb_rr * p
    s -= gb_gg * q
    p /= spread[0]
    q /= spread[1]
    s /= spread[2]
    q -= gb_gg * s
    p -= rg_rr * q
    p -= rb_rr * s
    level -= p * x + q * y + s * z
    # In whole numbers again, so that their mean is exact.
    fine = np.float32(4096), np.float32(64)
    out = [mean(np.rint(slope * fine[0])) / fine[0] for slope in (p, q, s)]
    return np.stack([*out, mean(np.rint(level * fine[1])) / fine[1]])


def _opponent(color: np.ndarray, dtype: np.dtype | None = None, count: int = 1) -> np.ndarray:
    """Give light and two colour differences (3, h, w) float32, on the scale of LEVELS.

    Hues count 1½ times: shading and grain are mostly light. `color` holds sums of `count` pixels
    of a picture of `dtype`; encoded as it is, a step is as visible in the dark as in the bright.
    """
    scale = LEVELS / (SCALE[np.dtype(dtype or color.dtype)] * count)
    out = np.empty((3, *color.shape[:2]), np.float32)
    light, warm, green = out
    r, g, b = (color[..., i].astype(np.float32) for i in range(3))
    np.subtract(r, b, out=warm)
    r += b
    np.multiply(r, np.float32(-0.5), out=green)
    green += g
    g *= 2
    np.add(r, g, out=light)
    for plane, factor in zip(out, (0.25, 0.75, 0.75), strict=True):
        plane *= np.float32(factor * scale)
    return out


def _falling(x: np.ndarray) -> np.ndarray:
    """Give a smooth step from 1 at x ≤ 0 to 0 at x ≥ 1."""
    x = np.clip(x, 0, 1)
    y = np.float32(3) - x - x
    x *= x
    y *= x
    return np.subtract(1, y, out=y)


def _inside(inner: tuple[slice, slice], outer: tuple[slice, slice]) -> tuple[slice, slice]:
    """Give where spans lie in larger ones."""
    return tuple(
        slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
    )


def _between(planes, cells, cell: int, window) -> np.ndarray:
    """Interpolate planes (n, h, w) of cells linearly at each pixel of a window."""
    for axis, (span, pixels) in enumerate(zip(cells, window, strict=True), 1):
        at = (np.arange(pixels.start, pixels.stop) + 0.5) / cell - 0.5
        first = np.floor(at)
        share = (at - first).astype(np.float32).reshape(-1, *(1,) * (2 - axis))
        lower = np.clip(first.astype(np.intp), span.start, span.stop - 1) - span.start
        upper = np.clip(first.astype(np.intp) + 1, span.start, span.stop - 1) - span.start
        below, above = planes.take(lower, axis=axis), planes.take(upper, axis=axis)
        above -= below
        above *= share
        planes = below
        planes += above
    return planes
