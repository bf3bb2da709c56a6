"""Crop to Subject: cut the picture down to what is opaque in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import cv2
import numpy as np

from qr_nodes.errors import ParamError
from qr_nodes.imaging.resample import MOST, crop
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, is_opaque

ASPECTS = {"square": 1.0, "4:5": 4 / 5, "3:4": 3 / 4, "2:3": 2 / 3, "4:3": 4 / 3, "16:9": 16 / 9}


@node("Crop to Subject", category="Frame", size=lambda params, sizes: None)
def crop_to_subject(
    cutout: Cutout,
    *,
    threshold: Annotated[float, Param(0, 1)] = 0.05,
    margin: Annotated[float, Param(0, 10000, ui=(0, 400), unit="px")] = 0.0,
    margin_percent: Annotated[float, Param(0, 400, ui=(0, 50), unit="%")] = 0.0,
    aspect: Literal["free", "picture", "square", "4:5", "3:4", "2:3", "4:3", "16:9"] = "free",
    extend: bool = False,
    job: Job = Job(),
) -> Cutout:
    """Crop the picture to the subject, with a margin around it.

    Parameters
    ----------
    cutout : Cutout
        Picture to crop. Without any subject it stays as it is.
    threshold : float
        How opaque a pixel must be to count as subject: more than this, or fully opaque.
    margin : float
        Space left around the subject on every side.
    margin_percent : float
        More space, in percent of the subject's longer side.
    aspect : str
        Proportion of width to height: free, as the picture was, or fixed. The shorter side
        grows until it fits.
    extend : bool
        Add transparent space where the crop reaches beyond the picture. Off, the crop is moved
        inwards and ends at the picture's border.

    Raises
    ------
    ParamError
        The result would be too large to hold.
    """
    if is_opaque(cutout.alpha):
        box = ((0, cutout.shape[0]), (0, cutout.shape[1]))
    else:
        box = _bounds(cutout.alpha, threshold, job)
    if box is None:
        job.note("No subject was found, so nothing was cropped.")
        return cutout
    longer = max(end - start for start, end in box)
    space = round(margin + margin_percent / 100 * longer)
    lengths = [end - start + 2 * space for start, end in box]
    if aspect != "free":
        height, width = lengths
        ratio = ASPECTS.get(aspect, cutout.shape[1] / cutout.shape[0])
        lengths = max(height, round(width / ratio)), max(width, round(height * ratio))
    spans = [_span(*args, extend) for args in zip(box, lengths, cutout.shape, strict=True)]
    height, width = (end - start for start, end in spans)
    if height * width > MOST:
        raise ParamError(
            f"the result would have {width} × {height} px.",
            "crop_to_subject.margin",
            "Use a smaller margin.",
        )
    return _cut(cutout, *spans)


def _bounds(alpha: np.ndarray, threshold: float, job: Job) -> tuple[tuple[int, int], ...] | None:
    """Give first and last + 1 of the rows and of the columns that hold subject."""
    # The largest value under 1 makes 1 count as subject at a threshold of 1.
    limit = min(np.float32(threshold), np.nextafter(np.float32(1), np.float32(0)))
    box = []
    for axis in (1, 0):
        job.checkpoint()
        largest = cv2.reduce(np.ascontiguousarray(alpha), axis, cv2.REDUCE_MAX)
        found = np.flatnonzero(largest.ravel() > limit)
        if not len(found):
            return None
        box.append((int(found[0]), int(found[-1]) + 1))
    return tuple(box)


def _span(bounds: tuple[int, int], length: int, size: int, extend: bool) -> tuple[int, int]:
    """Centre a span of `length` px on `bounds`; keep it within 0 … `size` unless `extend`."""
    start = (sum(bounds) - length) // 2
    if not extend:
        length = min(length, size)
        start = min(max(start, 0), size - length)
    return start, start + length


def _cut(cutout: Cutout, rows: tuple[int, int], columns: tuple[int, int]) -> Cutout:
    """Cut out a rectangle; what lies beyond the picture repeats its border and is transparent."""
    height, width = cutout.shape
    top, bottom = max(-rows[0], 0), max(rows[1] - height, 0)
    left, right = max(-columns[0], 0), max(columns[1] - width, 0)
    if (rows, columns) == ((0, height), (0, width)):
        return cutout
    cutout = crop(cutout, slice(max(rows[0], 0), rows[1]), slice(max(columns[0], 0), columns[1]))
    if not (top or bottom or left or right):
        return cutout
    sides = top, bottom, left, right
    alpha = np.pad(cutout.alpha, ((top, bottom), (left, right)))
    return replace(
        cutout,
        color=cv2.copyMakeBorder(cutout.color, *sides, cv2.BORDER_REPLICATE),
        alpha=alpha,
    )
