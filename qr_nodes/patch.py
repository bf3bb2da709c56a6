"""A step again after a small change: only the part of the matte that the change reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from qr_nodes.node import Before, NodeSpec
from qr_nodes.tiled import Box, Tiled, box_of
from qr_nodes.types import Cutout

WORTH = 0.4
"""Share of the picture up to which it is worth while to redo a part of it."""

GRID = 32
"""Least px whose multiples parts begin at; it is a power of two of a quarter of the reach."""


def redone(spec: NodeSpec, arguments: Mapping[str, Any], before: Before) -> Cutout | None:
    """Give what a node gives, most of it taken from its last call.

    Parameters
    ----------
    spec : NodeSpec
        A node with `reach`.
    arguments : mapping
        What it is to be called with.
    before : Before
        Its last call, with the same parameters.

    Returns
    -------
    cutout : Cutout or None
        Bit for bit what the call would give; None if that is best found by calling.
    """
    reach = spec.reach(**{name: arguments[name] for name in spec.params})
    new, old, result = arguments["cutout"], before.arguments["cutout"], before.outputs["cutout"]
    others = [name for name in spec.inputs if name != "cutout"]
    same = all(arguments.get(name) is before.arguments.get(name) for name in others)
    if reach is None or not same or not new.color is old.color is result.color:
        return None
    if new.shape != result.shape or new.tiles.base is not old.tiles.base:
        return None
    parts = [widened(box, reach, new.shape) for box in _gathered(_changes(new.tiles, old.tiles))]
    if (
        sum(_area(widened(part, reach, new.shape)) for part in parts)
        > WORTH * new.shape[0] * new.shape[1]
    ):
        return None
    tiles = result.tiles
    for part in parts:
        tiles = tiles.with_pixels(part, _part(spec, arguments, part, reach))
    return new.with_alpha(tiles)


def _changes(new: Tiled, old: Tiled) -> Iterator[Box]:
    """Give the rectangles around what differs, one a tile."""
    for place in new.changed(old):
        differs = new.tile(place) != old.tile(place)
        if differs.any():
            yield tuple(
                slice(whole.start + int(first), whole.start + int(last) + 1)
                for whole, axis in zip(box_of(place, new.shape), (1, 0), strict=True)
                for first, last in [np.flatnonzero(differs.any(axis))[[0, -1]]]
            )


def _gathered(boxes: Iterator[Box]) -> list[Box]:
    """Give the rectangle around them all, unless most of that is empty."""
    boxes = list(boxes)
    if len(boxes) < 2:
        return boxes
    around = tuple(
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
        for axis in (0, 1)
    )
    return [around] if _area(around) <= 2 * sum(map(_area, boxes)) else boxes


def _part(spec: NodeSpec, arguments: Mapping[str, Any], part: Box, reach: int) -> np.ndarray:
    """Give the matte that the node gives in a part of the picture."""
    cutout = arguments["cutout"]
    # On a grid, as the squares that nodes judge as a whole must lie where they always lie.
    grid = max(GRID, 1 << (max(reach // 4, 1) - 1).bit_length())
    outer: Box = tuple(
        slice(span.start // grid * grid, min(-(-span.stop // grid) * grid, side))
        for span, side in zip(widened(part, reach, cutout.shape), cutout.shape, strict=True)
    )
    inner = tuple(
        slice(span.start - whole.start, span.stop - whole.start)
        for span, whole in zip(part, outer, strict=True)
    )
    cropped = dict(arguments)
    for name, value in arguments.items():
        if name in spec.inputs and isinstance(value, np.ndarray):
            cropped[name] = value[outer]
    whole = cutout.window(outer)
    cropped["cutout"] = whole.with_alpha(np.ascontiguousarray(whole.alpha))
    return spec.fn(**cropped).alpha[inner]


def widened(box: Box, reach: int, shape: tuple[int, int]) -> Box:
    """Give a rectangle with `reach` px more on each side, cut at the picture's border."""
    return tuple(
        slice(max(span.start - reach, 0), min(span.stop + reach, side))
        for span, side in zip(box, shape, strict=True)
    )


def _area(box: Box) -> int:
    return (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
