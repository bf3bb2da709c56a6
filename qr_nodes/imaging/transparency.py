"""Take apart what is partly see-through, and close holes in what is not.

Everything that varies slowly (the predicted background, how far it may be off, how alpha
follows the colours) is found on a small copy; only the unmixing itself looks at every pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from qr_nodes.imaging.edges import ColorLines, on_lines
from qr_nodes.imaging.islands import filled, outlines
from qr_nodes.imaging.palette import Palette, blocks

SMALL = 384
"""Longer side of the small copy in px."""

HALVED = 4
"""Multiple of it from which a picture is halved first."""

HORIZON = 1.5
"""How much farther what is known of a background reaches to the sides than up and down: scenes
lie in layers along the horizon."""

REACH = 8
"""Half the side, on the small copy, of the windows that a local range of colours, and lines of
alpha over colour, are taken from."""

AROUND = 15
"""Standard deviation on the small copy over which it counts how much looks like the background."""

ROOM = 0.15
"""Least distance from the background to the end of the range of foregrounds."""

OFF = (0.03, 0.15)
"""Distances from the glass's own line of colours from and to which a pixel becomes solid."""

FLAT = 1e-4
"""Colour variance below which a window is flat, so that its alpha does not follow colours."""

SURE = 0.05
"""How far alpha may stay under the least that colours in [0, 1] allow."""

EMPTY = 0.02
"""Alpha up to which a pixel counts as background."""

FAINT = np.float32(0.05)
"""Alpha below which what is left of a colour, the scene behind taken out, is little but noise."""

TOLERANCE = 2.5
"""Standard deviations of the background around that a pixel may differ from it."""

DOUBT = 1.5
"""The same that does not count for alpha in colours that the background has around."""

ROUNDS = 4
"""Times that what looks like the background is added to what is known of it."""

SIGN = 0.2
"""Share of the outline that is a rim, and of the subject that a network is undecided about, from
which a subject may be see-through. Of 141 photographs one has both, a light bulb with 0.27 and
0.28; white bottles and drawings, which have a rim all around, have 0.09 of the other at most."""

ALIKE = 0.4
"""How much of a see-through subject must look like the background."""

SOLID = 0.95
"""Alpha from which a pixel counts as part of what encloses a hole."""

GRAIN = 1 << 17
"""Pixels of holes that are looked up at once: their colours fit the cache."""

SQUARE = np.ones((9, 9), np.uint8)
"""What fits into an area but not into an edge, on the small copy."""

_ONE = np.float32(1)


@dataclass(frozen=True, eq=False)
class Scene:
    """What is known of a picture's background, on the small copy.

    Attributes
    ----------
    background : (h, w, 3) float32, the background predicted everywhere
    doubt : (h, w) float32, up to how far off it a pixel may still be nothing but background
    alike : (h, w) float32 in [0, 1], how much each pixel looks like the background there
    """

    background: np.ndarray
    doubt: np.ndarray
    alike: np.ndarray


def unmixed(
    color: np.ndarray,
    alpha: np.ndarray,
    region: np.ndarray,
    haze: float,
    checkpoint: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Solve I = alpha F + (1 - alpha) B where a subject is see-through.

    B is predicted from what surrounds the region: a membrane, which then takes in pixel by
    pixel what looks like the background behind. Of the pairs of alpha and F that explain a
    pixel the one with the least alpha is taken, F being no brighter and no darker than it gets
    in the region nearby: so highlights and dark rims stay and clear glass goes. That is too
    little for most glass, so part of the alpha before is kept: where little around looks like
    the background, by `haze`, and where a colour is not on the line from the background to the
    glass, as with fruit in a drink. The result is made smooth as a function of the colours.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32
    alpha : (H, W) float32 in [0, 1]
    region : (H, W) float32 in [0, 1]
        Where the subject is see-through.
    haze : float in [0, 1]
        0 for the least alpha that any colour allows.
    checkpoint : callable
        Called between blocks; may raise to stop.

    Returns
    -------
    alpha, color
        Changed where `region` is not 0; or None if no background is known.

    References
    ----------
    Smith and Blinn, "Blue screen matting", SIGGRAPH 1996: the equation, and that one picture
    over one background leaves it open.
    Zongker, Werner, Curless and Salesin, "Environment matting and compositing", SIGGRAPH 1999:
    glass as highlights over an attenuated background; refraction is left out here.
    Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", SIGGRAPH 1996: filling in by
    pull and push.
    Torralba and Oliva, "Statistics of natural image categories", Network 14(3), 2003: along the
    horizon scenes change the least.
    He, Sun and Tang, "Single image haze removal using dark channel prior", CVPR 2009: what
    gets in the way is as dense as the extremes in a window around say.
    Fattal, "Dehazing using color-lines", ACM TOG 34(1), 2014: what a veil adds lies on one
    line of colours.
    He and Sun, "Fast guided filter", arXiv:1505.00996, 2015: lines of alpha over colour, found
    on a small copy.
    """
    scene = _scene(color, alpha, region, checkpoint)
    if scene is None:
        return None
    inside = (_small(region) > 0) * _ONE
    checkpoint()
    lines = _alpha_lines(scene, _small(color), _small(alpha), inside, haze, checkpoint)
    new_alpha = np.array(alpha)
    checkpoint()
    new_color = np.array(color)
    for box in blocks(*alpha.shape):
        checkpoint()
        weight = region[box]
        if not weight.any():
            continue
        seen, behind = _unit(color[box]), _enlarged(scene.background, box, alpha.shape)
        doubt = _enlarged(scene.doubt, box, alpha.shape)
        coverage = on_lines(
            np.moveaxis(_enlarged(lines, box, alpha.shape), 2, 0), np.moveaxis(seen, 2, 0)
        )
        # Averages over windows leave a breath of alpha where there is none.
        coverage = (coverage - EMPTY) / (1 - EMPTY)
        np.maximum(coverage, _least_alpha(seen, behind, doubt, 0.0, 1.0) - SURE, out=coverage)
        np.clip(coverage, 0, 1, out=coverage)
        new_alpha[box] += weight * (coverage - alpha[box])
        front = behind + (seen - behind) / np.maximum(coverage, FAINT)[..., None]
        front = seen + weight[..., None] * (np.clip(front, 0, 1) - seen)
        new_color[box] = _like(front, color, weight, new_color[box])
    checkpoint()
    return np.clip(new_alpha, 0, 1, out=new_alpha), new_color


def see_through(
    color: np.ndarray, alpha: np.ndarray, checkpoint: Callable[[], None] = lambda: None
) -> np.ndarray | None:
    """Find subjects that are see-through.

    Three signs must come together: along the outline a rim differs from what lies on both
    sides of it while these look alike; much of the subject looks like the background behind;
    and a network's matte is undecided over areas, not just along edges. Each alone is common
    with subjects that a network finds hard. What a network is sure of is solid, whatever it
    looks like: a white plate on a white table has a rim and the colour of what lies behind.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32
    alpha : (H, W) float32 in [0, 1]
    checkpoint : callable
        Called between steps; may raise to stop.

    Returns
    -------
    region : (H, W) float32 in [0, 1], or None if there is nothing see-through
    """
    small = _small(alpha, quick=True)
    checkpoint()
    picture = _small(color, quick=True)
    checkpoint()
    plateau = _plateau(small)
    count, labels = cv2.connectedComponents((small > 0.05).astype(np.uint8))
    found = np.zeros(small.shape, np.uint8)
    for label in range(1, count):
        subject = labels == label
        if subject.mean() <= 0.01:  # of the picture: too small to tell
            continue
        if plateau[subject].mean() < SIGN:
            continue
        if _rim_share(picture, (subject & (small > 0.1)).astype(np.uint8)) < SIGN:
            continue
        around = cv2.dilate(subject.astype(np.uint8), SQUARE)
        checkpoint()
        scene = _scene(picture, small, around.astype(np.float32), checkpoint)
        if scene is not None and scene.alike[subject].mean() >= ALIKE:
            found |= around
    if not found.any():
        return None
    region = cv2.blur(found.astype(np.float32), (5, 5))
    return cv2.resize(region, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _plateau(small: np.ndarray) -> np.ndarray:
    """Say where a small matte is undecided over an area."""
    undecided = ((small > 0.1) & (small < 0.9)).astype(np.uint8)
    return cv2.morphologyEx(undecided, cv2.MORPH_OPEN, SQUARE)


def holes_closed(
    color: np.ndarray,
    alpha: np.ndarray,
    largest: float,
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Close holes in a subject whose colours are the subject's, not the background's.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32
    alpha : (H, W) float32 in [0, 1]
    largest : float
        Area of the largest hole to close, as a fraction of the subject's.
    checkpoint : callable
        Called between holes; may raise to stop.

    Returns
    -------
    alpha : (H, W) float32 in [0, 1]
        1 in holes that were closed; the same array if none were.
    """
    solid = (alpha >= SOLID).view(np.uint8)
    _, found = outlines(solid)
    checkpoint()
    limit = largest * cv2.countNonZero(solid)
    holes = [outline for outline in found if cv2.contourArea(outline) <= limit]
    if not holes:
        return alpha
    small, picture = _small(alpha, quick=True), _small(color, quick=True)
    theirs = Palette.of(picture, ((small <= EMPTY) & ~_drawn(holes, small, alpha.shape)) * _ONE)
    own = Palette.of(picture, (small >= SOLID) * _ONE)
    alike = _commonness((theirs, own), color, alpha, holes, checkpoint)
    out = alpha
    for outline, (to_theirs, to_own) in zip(holes, alike, strict=True):
        if to_own > to_theirs + 0.1:
            if out is alpha:
                out = np.array(alpha)
            box, hole = filled(outline, alpha.shape)
            out[box][hole > 0] = 1.0
    return out


def _commonness(palettes, color, alpha, holes, checkpoint) -> np.ndarray:
    """Give (holes, palettes) how common the colours in each hole are on average.

    Pixels of many holes are looked up at once: asking costs more than looking.
    """
    sums = np.zeros((len(palettes), len(holes)))
    counts = np.zeros(len(holes))
    for ids, y, x in _pixels_in(holes, alpha):
        checkpoint()
        counts += np.bincount(ids, minlength=len(holes))
        seen = _unit(color[y, x])
        at = [
            ((place + 0.5) / n).astype(np.float32)
            for place, n in zip((y, x), alpha.shape, strict=True)
        ]
        for palette, total in zip(palettes, sums, strict=True):
            total += np.bincount(ids, palette.common(seen, *at), len(holes))
    return (sums / np.maximum(counts, 1)).T


def _pixels_in(
    holes: list[np.ndarray], alpha: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Walk over what is not solid in outlines, some at a time: number of the outline, y, x."""
    found, count = [], 0
    for number, outline in enumerate(holes):
        (rows, columns), hole = filled(outline, alpha.shape)
        step = max(GRAIN // hole.shape[1], 1)
        for top in range(0, len(hole), step):
            part = slice(rows.start + top, min(rows.start + top + step, rows.stop))
            inside = (hole[top : top + step] > 0) & (alpha[part, columns] < SOLID)
            y, x = np.nonzero(inside)
            found.append((np.full(len(y), number), y + part.start, x + columns.start))
            count += len(y)
            if count > GRAIN:
                yield tuple(map(np.concatenate, zip(*found, strict=True)))
                found, count = [], 0
    if count:
        yield tuple(map(np.concatenate, zip(*found, strict=True)))


def _drawn(holes: list[np.ndarray], small: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Say which pixels of the small copy lie in an outline of the picture, or next to one."""
    scale = np.array([small.shape[1] / shape[1], small.shape[0] / shape[0]])
    mask = np.zeros(small.shape, np.uint8)
    for outline in holes:
        cv2.drawContours(mask, [(outline * scale).astype(np.int32)], -1, 1, cv2.FILLED)
    return cv2.dilate(mask, np.ones((3, 3), np.uint8)).reshape(small.shape) > 0


def membrane(
    values: np.ndarray, weight: np.ndarray, sweeps: int = 8, wide: float = HORIZON
) -> np.ndarray:
    """Stretch a smooth surface over what is unknown, from coarse to fine.

    Parameters
    ----------
    values : (h, w, c) float32
    weight : (h, w) float32 in [0, 1]
        1 where `values` are known, 0 where they are to be found.
    sweeps : int
        Rounds of averaging with the neighbours at each size.
    wide : float
        How much farther what is known reaches to the sides than up and down.
    """
    height, width = weight.shape
    known = weight[..., None]
    if max(height, width) <= 2:
        total = float(weight.sum())
        mean = (values * known).sum(axis=(0, 1)) / total if total > 1e-6 else values.mean((0, 1))
        return values * known + (1 - known) * mean
    size = math.ceil(width / (2 * wide)), (height + 1) // 2
    less = cv2.resize(weight, size, interpolation=cv2.INTER_AREA).reshape(size[::-1])
    part = cv2.resize(values * known, size, interpolation=cv2.INTER_AREA)
    part = part.reshape(*size[::-1], -1) / np.maximum(less, 1e-6)[..., None]
    coarse = membrane(part, np.minimum(2 * less, 1), sweeps, 1.0)
    filled = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    filled = filled.reshape(values.shape)
    for _ in range(sweeps + 1):
        filled = filled + known * (values - filled)
        mean = cv2.blur(filled, (3, 3), borderType=cv2.BORDER_REPLICATE).reshape(values.shape)
        filled = mean + known * (values - mean)
    return filled


def _scene(
    color: np.ndarray, alpha: np.ndarray, region: np.ndarray, checkpoint: Callable[[], None]
) -> Scene | None:
    picture = _small(color)
    checkpoint()
    matte, inside = _small(alpha), (_small(region) > 0) * _ONE
    checkpoint()
    near = cv2.dilate((matte > EMPTY).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    near = near.reshape(matte.shape)
    known = (~near & (inside == 0)).astype(np.float32)
    if known.mean() < 0.01:
        known = (~near).astype(np.float32)
    if known.mean() < 0.01:
        return None
    palette = Palette.of(picture, known)
    common = palette.common_in(picture, tuple(slice(0, n) for n in matte.shape), matte.shape)
    checkpoint()
    spread = _spread(picture, known)
    checkpoint()
    behind = membrane(picture, known)
    for _ in range(ROUNDS):
        checkpoint()
        alike = _alike(picture, behind, spread, common)
        # Behind clear glass the background itself is seen: it beats any guess from outside.
        # What is only half alike counts for nothing, or its mere number would sway the rest.
        sure = np.clip((alike - 0.3) / 0.7, 0, 1) * inside
        behind = membrane(picture, np.clip(known + sure, 0, 1))
    return Scene(behind, DOUBT * spread * common, _alike(picture, behind, spread, common))


def _alike(
    picture: np.ndarray, behind: np.ndarray, spread: np.ndarray, common: np.ndarray
) -> np.ndarray:
    """Say how much pixels look like the background, in colour and against the prediction."""
    off = np.abs(picture - behind).max(axis=2) / (TOLERANCE * spread + 0.02)
    return np.exp(-off * off) * common**2


def _spread(picture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give the standard deviation of the known pixels around, carried into the unknown."""
    total = _around(known, 8) + 1e-4
    mean = _around(picture * known[..., None], 8) / total[..., None]
    variance = _around(((picture - mean) ** 2).max(axis=2) * known, 8) / total
    return np.sqrt(np.maximum(membrane(variance[..., None], known)[..., 0], 0)) + 0.02


def _alpha_lines(
    scene: Scene,
    picture: np.ndarray,
    alpha: np.ndarray,
    inside: np.ndarray,
    haze: float,
    checkpoint: Callable[[], None],
) -> np.ndarray:
    """Find alpha on the small copy, as (h, w, 4): slopes over the colours, and an offset."""
    # The lower half of `haze` narrows the range of F, all of it keeps more of what was there.
    narrow = min(2 * haze, 1.0)
    dark, bright = _range(picture, inside > 0)
    checkpoint()
    ends = narrow * dark, 1 - narrow * (1 - bright)
    least = _least_alpha(picture, scene.background, scene.doubt, *ends)
    subject = (alpha * inside > 0.05) * _ONE
    alike = _around(scene.alike * subject, AROUND) / (_around(subject, AROUND) + 1e-3)
    checkpoint()
    kept = haze * (1 - np.maximum(alike, scene.alike))
    first, last = OFF
    strange = _off_line(picture - scene.background, inside * (1 - scene.alike))
    solid = narrow * np.clip((strange - first) / (last - first), 0, 1)
    least += (1 - least) * alpha * np.maximum(kept, solid)
    least = alpha + inside * (least - alpha)
    guide = np.ascontiguousarray(np.moveaxis(picture, 2, 0))
    lines = ColorLines(guide, REACH, FLAT, checkpoint).coefficients(least)
    return np.ascontiguousarray(np.moveaxis(lines, 0, 2))


def _least_alpha(
    seen: np.ndarray, behind: np.ndarray, doubt: np.ndarray, dark, bright
) -> np.ndarray:
    """Give the least alpha with which a foreground from `dark` to `bright` explains `seen`.

    Differences up to `doubt` do not count, and from twice that they count in full.
    """
    size = seen - behind
    room = np.maximum(np.where(size > 0, bright - behind, behind - dark), ROOM)
    size = np.abs(size)
    size *= np.clip(size / (doubt + 1e-3)[..., None] - 1, 0, 1)
    return np.minimum((size / room).max(axis=2), 1).astype(np.float32)


def _range(picture: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the darkest and the brightest around within a region, per channel, without specks."""
    if not inside.any():
        return picture, picture
    levels = np.rint(255 * picture).astype(np.uint8)
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * REACH + 1,) * 2)

    def extreme(way: Callable, outside: int) -> np.ndarray:
        only = np.where(inside[..., None], levels, np.uint8(outside))
        out = way(cv2.medianBlur(only, 5), window).reshape(picture.shape)
        return _around(_unit(out), REACH / 2)

    return extreme(cv2.erode, 255), extreme(cv2.dilate, 0)


def _off_line(size: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give the distance of differences (h, w, 3) from the line that most of them follow."""
    spread = np.einsum("yxc,yxd,yx->cd", size, size, weight)
    line = np.linalg.eigh(spread)[1][:, -1].astype(np.float32)
    return np.linalg.norm(size - (size @ line)[..., None] * line, axis=2)


def _around(values: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), sigma).reshape(values.shape)


def _rim_share(picture: np.ndarray, subject: np.ndarray) -> float:
    """Return the share of an outline whose two sides look alike with a rim between."""
    height, width = subject.shape
    if min(height, width) < 30 or subject.all():
        return 0.0
    signed = cv2.distanceTransform(subject, cv2.DIST_L2, 5)
    signed -= cv2.distanceTransform(1 - subject, cv2.DIST_L2, 5)
    signed = cv2.GaussianBlur(signed, (0, 0), 2)
    dy, dx = np.gradient(signed)
    length = np.hypot(dy, dx) + 1e-6
    y, x = np.nonzero(np.abs(signed) < 0.6)
    free = (y > 14) & (y < height - 14) & (x > 14) & (x < width - 14)
    y, x = y[free], x[free]
    if len(y) < 10:
        return 0.0
    across_y, across_x = (dy / length)[y, x], (dx / length)[y, x]
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8)

    def at(way: np.ndarray) -> np.ndarray:
        places_x = (x + way[:, None] * across_x).astype(np.float32)
        places_y = (y + way[:, None] * across_y).astype(np.float32)
        return cv2.remap(picture, places_x, places_y, cv2.INTER_LINEAR)

    within = at(np.arange(8, 14)).mean(axis=0)
    without = at(np.arange(-12, -6)).mean(axis=0)
    rim = np.abs(at(np.arange(-5, 6)) - (within + without) / 2).max(axis=(0, 2))
    differ = np.abs(within - without).max(axis=1)
    return float(((differ < 0.1) & (rim > 0.1) & (rim > 2 * differ)).mean())


def _small(values: np.ndarray, quick: bool = False) -> np.ndarray:
    """Average a picture or mask down to `SMALL` px, as float32 in [0, 1].

    `quick` is for counting colours and areas: an odd row or column may get lost, and averages
    are rounded on the way.
    """
    height, width = values.shape[:2]
    scale = min(1.0, SMALL / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Halving is many times faster than other ratios.
    while quick and max(height, width) >= 2 * SMALL and min(height, width) >= 2:
        height, width = height // 2, width // 2
        even = values[: 2 * height, : 2 * width]
        values = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
        values = values.reshape(height, width, *even.shape[2:])
    small = cv2.resize(np.ascontiguousarray(values), size, interpolation=cv2.INTER_AREA)
    return _unit(small).reshape(size[1], size[0], *values.shape[2:])


def _enlarged(small: np.ndarray, box: tuple[slice, slice], shape: tuple[int, int]) -> np.ndarray:
    """Give the pixels `box` of `small` interpolated to a picture of size `shape`."""
    y, x = (
        ((np.arange(s.start, s.stop) + 0.5) * (n / full) - 0.5).astype(np.float32)
        for s, n, full in zip(box, small.shape, shape, strict=False)
    )
    grid_x, grid_y = np.meshgrid(x, y)
    large = cv2.remap(small, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return large.reshape(*grid_x.shape, *small.shape[2:])


def _unit(values: np.ndarray) -> np.ndarray:
    """Give integers as float32 in [0, 1]; floats as they are."""
    if values.dtype == np.float32:
        return values
    return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)


def _like(front: np.ndarray, color: np.ndarray, weight: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Give `front` in the dtype of `color`, and the old values where `weight` is 0."""
    if color.dtype != np.float32:
        front = np.rint(front * np.iinfo(color.dtype).max).astype(color.dtype)
    return np.where((weight > 0)[..., None], front, old)
