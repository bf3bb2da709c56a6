"""Change the size of pictures and mattes; colour is weighted by alpha, so no fringe appears."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import cv2
import numpy as np

from qr_nodes.imaging.strips import GRAIN, strips
from qr_nodes.imaging.tiles import soft_tiles
from qr_nodes.types import Cutout, is_opaque, opaque

Enlarging = Literal["lanczos", "cubic", "linear", "nearest"]
KERNELS = {
    "lanczos": cv2.INTER_LANCZOS4,
    "cubic": cv2.INTER_CUBIC,
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST_EXACT,
}
REACH = 4
"""Pixels that the widest kernel looks to either side."""
MOST = 500_000_000
"""Pixels that a result may have: 3.5 GB."""
WIDE = 512
"""Least width in px of the columns that a picture is cut into."""
SIDE = 64
"""Largest side of the tiles in which colours are weighed, px of the result."""
TRACE = np.float32(1 / 1024)
"""Weight of a transparent pixel's colour: too little to show, enough to keep it for a brush."""


def shrunk_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Give height and width in px after scaling, at least 1."""
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink(value: Cutout | np.ndarray, scale: float) -> Cutout | np.ndarray:
    """Make a picture or matte smaller by averaging the area under each new pixel.

    Parameters
    ----------
    value : Cutout, or (H, W) or (H, W, 3) uint8, uint16 or float32
        The colours of a cut-out are averaged by weight of alpha.
    scale : float
        New size over old, in (0, 1]; see `shrunk_size`.

    Returns
    -------
    value : of the same kind and type
        `value` itself if its size stays; a matte made by `opaque` stays one.
    """
    size = shrunk_size(*value.shape[:2], scale)
    if size == value.shape[:2]:
        return value
    if isinstance(value, Cutout):
        return resize_cutout(value, size)
    if value.ndim == 2 and value.strides == (0, 0):
        return np.broadcast_to(value[0, 0], size)
    return cv2.resize(value, size[::-1], interpolation=cv2.INTER_AREA)


def resize_array(
    array: np.ndarray,
    size: tuple[int, int],
    enlarging: Enlarging = "lanczos",
    checkpoint: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Change the size of a picture or matte, each axis on its own.

    Parameters
    ----------
    array : (H, W) or (H, W, C) uint8, uint16 or float32
    size : height and width wanted, px
    enlarging : "lanczos", "cubic", "linear" or "nearest"
        Kernel for an axis that grows; one that shrinks is averaged over area, except that
        "nearest" takes single pixels there too.
    checkpoint : callable
        Called between strips; may raise to stop.

    Returns
    -------
    array : (h, w) or (h, w, C) of the same type
        `array` itself if its size stays.
    """
    if size[0] < array.shape[0] and size[1] < array.shape[1] and enlarging != "nearest":
        return _averaged(array, size, checkpoint)
    # The axis that shrinks most goes first: less is left to do for the other.
    ratios = [new / old for new, old in zip(size, array.shape, strict=False)]
    for axis in sorted((0, 1), key=ratios.__getitem__):
        array = _resize_axis(array, axis, size[axis], enlarging, checkpoint)
    return array


def _averaged(array, size, checkpoint) -> np.ndarray:
    """Average areas along both axes at once, in strips where whole rows make whole rows."""
    out = np.empty((*size, *array.shape[2:]), array.dtype)
    common = math.gcd(array.shape[0], size[0])
    whole, step = array.shape[0] // common, size[0] // common  # rows of which rows are made
    rows = max(1, GRAIN // (array.shape[1] * whole))
    for first in range(0, common, rows):
        checkpoint()
        last = min(first + rows, common)
        part, target = array[first * whole : last * whole], out[first * step : last * step]
        cv2.resize(part, target.shape[1::-1], dst=target, interpolation=cv2.INTER_AREA)
    return out


def _resize_axis(array, axis, length, enlarging, checkpoint) -> np.ndarray:
    """Change one axis. The other one's lines do not mix, so strips of them are exact."""
    if array.shape[axis] == length:
        return array
    shrinks = length < array.shape[axis] and enlarging != "nearest"
    kernel = cv2.INTER_AREA if shrinks else KERNELS[enlarging]
    shape = list(array.shape)
    shape[axis] = length
    out = np.empty(shape, array.dtype)
    overshoots = array.dtype == np.float32 and kernel in (cv2.INTER_LANCZOS4, cv2.INTER_CUBIC)
    # Columns cut narrow would take a page of memory for each row of a large picture.
    line = min(max(array.shape[axis], length), GRAIN // WIDE if axis == 0 else GRAIN)
    for part, *_ in strips(array.shape[1 - axis], line):
        checkpoint()
        at = (slice(None),) * (1 - axis) + (part,)
        target = out[at]
        target[...] = cv2.resize(array[at], target.shape[1::-1], interpolation=kernel)
        if overshoots:  # whole numbers cannot; the other axis would spread it
            np.clip(target, 0, 1, out=target)
    return out


def resize_cutout_arrays(
    color: np.ndarray,
    alpha: np.ndarray,
    size: tuple[int, int],
    enlarging: Enlarging = "lanczos",
    checkpoint: Callable[[], None] = lambda: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Change the size of straight colour and its matte so that composites agree.

    Colour is averaged by weight of alpha: what lies under transparent pixels does not leak into
    the edge. Where all is transparent, the hidden colours are resized as they are.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
    alpha : (H, W) float32 in [0, 1]
    size : height and width wanted, px
    enlarging, checkpoint
        See `resize_array`.

    Returns
    -------
    color : (h, w, 3) of the same type
    alpha : (h, w) float32 in [0, 1]
    """
    if size == alpha.shape:
        return color, alpha
    resized = resize_array(color, size, enlarging, checkpoint)
    if color.dtype == np.float32:
        np.clip(resized, 0, 1, out=resized)
    if is_opaque(alpha):
        return resized, opaque(*size)
    alpha = np.ascontiguousarray(alpha)
    new_alpha = _snapped(resize_array(alpha, size, enlarging, checkpoint))
    if enlarging != "nearest":
        _weigh(resized, color, alpha, new_alpha, checkpoint)
    return resized, new_alpha


def resize_cutout(
    cutout: Cutout,
    size: tuple[int, int],
    enlarging: Enlarging = "lanczos",
    checkpoint: Callable[[], None] = lambda: None,
) -> Cutout:
    """Change the size of a cut-out; see `resize_cutout_arrays`."""
    arrays = resize_cutout_arrays(cutout.color, cutout.alpha, size, enlarging, checkpoint)
    unmixed = cutout.unmixed
    if unmixed is not None:  # it has no edges for a sharper kernel to keep
        unmixed = resize_array(unmixed, size, "linear", checkpoint)
    return Cutout(*arrays, cutout.source, unmixed)


def _weigh(resized, color, alpha, new_alpha, checkpoint) -> None:
    """Put colours averaged by weight of alpha where an average may have met transparency.

    Lanczos and cubic kernels have negative weights, whose sums may be 0: the weighted average
    is linear where the picture grows.
    """
    down, across = (_taps(*lengths) for lengths in zip(alpha.shape, new_alpha.shape, strict=True))
    growth = max(1.0, *(new / old for new, old in zip(new_alpha.shape, alpha.shape, strict=True)))
    square = np.ones((2 * REACH + 1,) * 2, np.uint8)
    # Where alpha is the same all around, weights change nothing.
    for box, _, _ in soft_tiles(new_alpha, math.ceil(REACH * growth), SIDE):
        checkpoint()
        rows, columns = (
            _looked_at(*taps, part) for taps, part in zip((down, across), box, strict=True)
        )
        solid = np.uint8(alpha[rows, columns] == 1)
        planes = np.empty((5, *solid.shape), np.float32)
        np.subtract(1, cv2.erode(solid, square).reshape(solid.shape), out=planes[4])
        np.add(alpha[rows, columns], TRACE, out=planes[3])
        np.multiply(color[rows, columns].transpose(2, 0, 1), planes[3], out=planes[:3])
        for (starts, taps), part, whole, axis in zip(
            (down, across), box, (rows, columns), (1, 2), strict=True
        ):
            planes = _sampled(planes, starts[part] - whole.start, taps[part], axis)
        new = (planes[:3] / planes[3]).transpose(1, 2, 0)
        values = new if color.dtype == np.float32 else np.rint(new)
        np.copyto(resized[box], values, where=planes[4, ..., None] > 0, casting="unsafe")


def _taps(old: int, new: int) -> tuple[np.ndarray, np.ndarray]:
    """Give, for each new sample, the first old one that it is made of and weights from there on.

    Area under each new sample where there are fewer of them, linear where there are more.

    Returns
    -------
    starts : (new,) int
    taps : (new, n) float32, rows summing to 1
    """
    step = old / new
    if new > old:
        at = np.clip((np.arange(new) + 0.5) * step - 0.5, 0, old - 1)
        starts = np.minimum(at.astype(int), max(old - 2, 0))
        after = at - starts
        taps = np.stack([1 - after, after][: min(old, 2)], axis=1)
    else:
        ends = np.arange(new + 1) * step
        starts = ends[:-1].astype(int)
        at = starts[:, None] + np.arange(min(math.ceil(step) + 1, old))
        first, last = np.maximum(at, ends[:-1, None]), np.minimum(at + 1, ends[1:, None])
        taps = np.maximum(last - first, 0)
        # The last samples' taps may look beyond the end, with weight 0: they begin earlier.
        over = np.maximum(starts + taps.shape[1] - old, 0)
        for row in np.flatnonzero(over):
            taps[row], starts[row] = np.roll(taps[row], over[row]), starts[row] - over[row]
    return starts, (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)


def _looked_at(starts: np.ndarray, taps: np.ndarray, part: slice) -> slice:
    """Give the old samples that a part of the new ones is made of."""
    return slice(starts[part.start], starts[part.stop - 1] + taps.shape[1])


def _sampled(planes: np.ndarray, starts: np.ndarray, taps: np.ndarray, axis: int) -> np.ndarray:
    """Make each new sample along an axis of (n, h, w) planes of old ones."""
    shape = [1, 1, 1]
    shape[axis] = len(starts)
    out = 0
    for place, weights in enumerate(taps.T):
        out += planes.take(starts + place, axis=axis) * weights.reshape(shape)
    return out


def crop(cutout: Cutout, rows: slice, columns: slice) -> Cutout:
    """Give a part of a cut-out as arrays of its own; one made by `opaque` stays so."""
    part = cutout.window((rows, columns))
    return Cutout(
        np.ascontiguousarray(part.color),
        part.alpha if part.alpha.strides == (0, 0) else np.ascontiguousarray(part.alpha),
        part.source,
        None if part.unmixed is None else np.ascontiguousarray(part.unmixed),
    )


def fitted(
    cutout: Cutout, box: tuple[int, int], fit: Literal["inside", "cover", "stretch"]
) -> tuple[Cutout, tuple[int, int]]:
    """Return the part of a picture that goes into a box, and its size there: see `framed`."""
    rows, columns, size = framed(cutout.shape, box, fit)
    whole = (rows.stop - rows.start, columns.stop - columns.start) == cutout.shape
    return cutout if whole else crop(cutout, rows, columns), size


def framed(
    shape: tuple[int, int],
    box: tuple[int, int],
    fit: Literal["inside", "cover", "stretch"],
) -> tuple[slice, slice, tuple[int, int]]:
    """Say which part of a picture goes into a box, and at what size.

    Parameters
    ----------
    shape : height and width of the picture in px
    box : height and width in px
    fit : "inside", "cover" or "stretch"
        Inside keeps all of the picture and may leave part of the box free, cover fills the box
        and cuts off what stands out, evenly on both sides, stretch distorts.

    Returns
    -------
    rows, columns : slices
        The part that is kept.
    size : height and width in px that it is to get
    """
    (height, width), (box_height, box_width) = shape, box
    if fit == "inside":
        box = shrunk_size(height, width, min(box_height / height, box_width / width))
    if fit == "cover":
        scale = max(box_height / height, box_width / width)
        rows = min(height, max(1, round(box_height / scale)))
        columns = min(width, max(1, round(box_width / scale)))
        top, left = (height - rows) // 2, (width - columns) // 2
        return slice(top, top + rows), slice(left, left + columns), box
    return slice(0, height), slice(0, width), box


def _snapped(alpha: np.ndarray) -> np.ndarray:
    """Cut off overshoot, and put rounding dust at either end on exactly 0 and 1, in place."""
    np.clip(alpha, 0, 1, out=alpha)
    alpha[alpha < 1e-6] = 0
    alpha[alpha > 1 - 1e-6] = 1
    return alpha
