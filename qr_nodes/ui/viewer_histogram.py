"""How the alpha of the viewed picture is distributed: clear, opaque, and the soft edge between.

Counted in a thread, in full where the full result is there. State: what was counted last, and
whether it is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.imaging.strips import strips
from qr_nodes.types import Cutout
from qr_nodes.ui import theme
from qr_nodes.ui.viewer_card import Point, Size, board, corner, put
from qr_nodes.ui.viewer_worker import Picture, Worker

BINS = 56
BAR = 4
"""Px that a bar is wide."""

PAD, TALL = 12, 64
SIZE = (BINS * BAR + 2 * PAD, TALL + 96)
"""Width and height of the card, px."""


@dataclass(frozen=True)
class Counts:
    """How many pixels are how opaque.

    Attributes
    ----------
    bins : (BINS,) int64
        Pixels with alpha between 0 and 1, by alpha; the ends are not among them.
    clear, opaque : int
        Pixels with alpha 0 and 1.
    """

    bins: np.ndarray
    clear: int
    opaque: int

    @property
    def unsure(self) -> int:
        """Pixels with alpha between 0 and 1."""
        return int(self.bins.sum())

    @property
    def total(self) -> int:
        """All pixels."""
        return self.clear + self.unsure + self.opaque


def count(alpha: np.ndarray, checkpoint: Callable[[], None] = lambda: None) -> Counts:
    """Count the pixels of a matte, (H, W) float32 in [0, 1], by how opaque they are."""
    bins, clear, opaque = np.zeros(BINS, np.int64), 0, 0
    if alpha.strides == (0, 0) and alpha.flat[0] == 1:
        return Counts(bins, 0, alpha.size)
    for rows, _, _ in strips(*alpha.shape):
        checkpoint()
        part = np.ascontiguousarray(alpha[rows])
        # The upper end is not counted: alpha 1 is in no bin.
        found = cv2.calcHist([part], [0], None, [BINS], [0.0, 1.0]).ravel().astype(np.int64)
        zeros = part.size - cv2.countNonZero(part)
        found[0] -= zeros
        bins += found
        clear += zeros
        opaque += part.size - zeros - int(found.sum())
    return Counts(bins, clear, opaque)


def heights(bins: np.ndarray) -> np.ndarray:
    """Give the height of each bar, 0 to 1: by square root, so that small counts are seen."""
    return np.sqrt(bins / max(bins.max(), 1))


def percent(part: int, whole: int) -> str:
    """Write a share so that a little is not nothing and most is not all."""
    share = 100 * part / max(whole, 1)
    if 0 < share < 0.01:
        return "< 0.01 %"
    digits = 2 if share < 1 else 1
    text = f"{share:.{digits}f}"
    if part < whole and float(text) == 100:
        text = "99.9"
    return f"{text} %" if 0 < part < whole else f"{share:.0f} %"


@dataclass(frozen=True, eq=False)
class _Job:
    """A wish for the thread, which calls `make`."""

    value: Cutout | np.ndarray
    scale: float

    def make(self, number: int, checkpoint: Callable[[], None]) -> Counts:
        value = self.value
        return count(value.alpha if isinstance(value, Cutout) else value, checkpoint)


class Histogram:
    """A card in the upper right corner of the panel.

    Attributes
    ----------
    on : it is to be seen
    counts : what it shows, or None
    """

    def __init__(self, app, parent: int | str):
        self._app = app
        self.on = False
        self.counts: Counts | None = None
        self._job: _Job | None = None
        self._place: Point | None = None
        self._node = dpg.add_draw_node(parent=parent, show=False)
        self._worker = Worker(app.loop.post, self._made)

    def close(self) -> None:
        """End the thread."""
        self._worker.close()

    def frame(self, picture: Picture | None, panel: Size, top: int, mouse: Point | None) -> None:
        """Follow what is shown; count only what is looked at."""
        if picture is None or not self.on:
            self._job = self.counts = self._place = None
            dpg.hide_item(self._node)
            return
        if self._job is None or self._job.value is not picture.value:
            self._job = _Job(picture.value, picture.scale)
            self._worker.ask(self._job, 0)
        place = corner(SIZE, panel, True, top, mouse)
        if self.counts is not None and place != self._place:
            self._place = place
            put(self._node, place)
            dpg.show_item(self._node)

    def _made(self, job: _Job, number: int, counts: Counts) -> None:
        if job is self._job:
            self.counts = counts
            self._draw(job.scale)
            self._app.loop.wake()

    def _draw(self, scale: float) -> None:
        counts = self.counts
        dpg.delete_item(self._node, children_only=True)
        board(self._node, SIZE)
        unsure, size = percent(counts.unsure, counts.total), theme.FONT_SIZE
        self._text((PAD, 7), f"Soft edge  {unsure}", theme.TEXT)
        bottom = 34 + TALL
        for place, height in enumerate(heights(counts.bins)):
            if height > 0:
                left = PAD + place * BAR
                top = bottom - max(height * TALL, 1.0)
                dpg.draw_rectangle(
                    (left, top), (left + BAR, bottom),
                    color=(0, 0, 0, 0), fill=(*theme.ACCENT, 255), thickness=0, parent=self._node,
                )  # fmt: skip
        end = PAD + BINS * BAR
        dpg.draw_line(
            (PAD, bottom + 0.5), (end, bottom + 0.5), color=theme.FAINT, parent=self._node
        )
        for share, text in ((0.0, "0"), (0.5, "alpha"), (1.0, "1")):
            room = _width(text) * share
            self._text((PAD + share * BINS * BAR - room, bottom + 3), text, theme.FAINT)
        low = bottom + 8 + size
        self._text((PAD, low), f"Clear  {percent(counts.clear, counts.total)}", theme.FAINT)
        opaque = f"Opaque  {percent(counts.opaque, counts.total)}"
        self._text((end - _width(opaque), low), opaque, theme.FAINT)
        pixels = f"{counts.unsure:,} px soft" if scale == 1 else "counted in the preview"
        self._text((PAD, low + size + 3), pixels, theme.FAINT)

    def _text(self, at: Point, text: str, color: tuple[int, int, int]) -> None:
        dpg.draw_text(at, text, size=theme.FONT_SIZE, color=color, parent=self._node)


def _width(text: str) -> float:
    measured = dpg.get_text_size(text)
    return measured[0] if measured else len(text) * theme.FONT_SIZE * 0.5
