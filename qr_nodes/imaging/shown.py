"""What a network is shown of a picture: 8-bit RGB at a small size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from PIL import Image

from qr_nodes.imaging.strips import THREADS, in_order, strips

GAP = 4
"""How often the size to give fits at least into the half that it is made of by Lanczos. At 4 one
byte in 10,000 of a photograph with grain is more than 1 from what the whole picture gives."""

GAP_OF_MEANS = 3
"""The same for means, which blur what a half's borders share between two pixels."""


class Shown:
    """A picture as it is at smaller sizes, laid over a flat grey where it is transparent.

    Halves are kept, so that a second size costs little.

    Parameters
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
    alpha : (H, W) float32 in [0, 1], or None for an opaque picture
    ground : int
        Grey under transparent parts, from 0 to 255.
    checkpoint : callable
        Called between strips; may raise.

    Attributes
    ----------
    color : as given
    size : (H, W)
    """

    def __init__(
        self,
        color: np.ndarray,
        alpha: np.ndarray | None = None,
        *,
        ground: int = 128,
        checkpoint: Callable[[], None] = lambda: None,
    ):
        self.color, self.size = color, color.shape[:2]
        self._alpha, self._ground = alpha, ground
        self._checkpoint = checkpoint
        self._halves: list[np.ndarray] = []

    def part(self, rows: slice, columns: slice) -> Shown:
        """Give a rectangle of the picture as a picture of its own."""
        alpha = None if self._alpha is None else self._alpha[rows, columns]
        color = self.color[rows, columns]
        return Shown(color, alpha, ground=self._ground, checkpoint=self._checkpoint)

    def resized(self, height: int, width: int) -> np.ndarray:
        """Give the picture at a size with a Lanczos filter of three lobes, as Pillow has it.

        A picture much larger than that is halved before, by means of 2 × 2 pixels. Any other gives
        what Pillow's `resize` gives, but for rounding where that takes rows before columns.

        Returns
        -------
        rgb : (height, width, 3) uint8

        References
        ----------
        Williams, "Pyramidal parametrics", SIGGRAPH 1983.
        """
        source, times = self._near(height, width, GAP)
        # A half of an odd length has a last pixel that stands for one, not for two.
        rows, columns = (length / 2**times for length in self.size)
        narrow = np.empty((source.shape[0], width, 3), np.uint8)

        def shrink(strip: slice) -> None:
            picture = Image.fromarray(np.ascontiguousarray(self._bytes(source, strip)))
            size, box = (width, picture.height), (0, 0, columns, picture.height)
            narrow[strip] = picture.resize(size, Image.Resampling.LANCZOS, box)

        for _ in in_order((partial(shrink, s) for s, _, _ in strips(*source.shape[:2])), THREADS):
            self._checkpoint()
        size, box = (width, height), (0, 0, width, rows)
        return np.asarray(Image.fromarray(narrow).resize(size, Image.Resampling.LANCZOS, box))

    def averaged(self, height: int, width: int) -> np.ndarray:
        """Give the picture at a size, each pixel the mean of those that it covers.

        Returns
        -------
        rgb : (height, width, 3) uint8
        """
        source, times = self._near(height, width, GAP_OF_MEANS)
        if times == 0 and (source.dtype != np.uint8 or self._alpha is not None):
            source = np.empty((*self.size, 3), np.uint8)
            for rows, _, _ in strips(*self.size):
                self._checkpoint()
                source[rows] = self._bytes(self.color, rows)
        self._checkpoint()
        small = cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
        return small.reshape(height, width, 3)

    def _near(self, height: int, width: int, gap: int) -> tuple[np.ndarray, int]:
        """Give the smallest half that a size may be made of, and how often it was halved."""
        ratio = min(self.size[0] / height, self.size[1] / width) / gap
        times = int(np.log2(ratio)) if ratio >= 2 else 0
        while len(self._halves) < times:
            self._halves.append(self._halved(self._halves[-1] if self._halves else self.color))
        return self._halves[times - 1] if times else self.color, times

    def _halved(self, picture: np.ndarray) -> np.ndarray:
        height, width = (-(-length // 2) for length in picture.shape[:2])
        half = np.empty((height, width, 3), np.uint8)

        def halve(strip: slice) -> None:
            part = slice(2 * strip.start, 2 * strip.stop)
            rgb = self._bytes(picture, part)
            odd = (2 * length - n for length, n in zip(half[strip].shape, rgb.shape, strict=False))
            below, right, _ = odd
            if below or right:
                rgb = cv2.copyMakeBorder(rgb, 0, below, 0, right, cv2.BORDER_REPLICATE)
            size = width, strip.stop - strip.start
            half[strip] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)

        for _ in in_order((partial(halve, s) for s, _, _ in strips(height, 4 * width)), THREADS):
            self._checkpoint()
        return half

    def _bytes(self, picture: np.ndarray, rows: slice) -> np.ndarray:
        """Give rows as 8-bit RGB over the ground; halves are so already."""
        if picture is not self.color:
            return picture[rows]
        rgb = in_bytes(picture[rows])
        return rgb if self._alpha is None else _over(rgb, self._alpha[rows], self._ground)


def in_bytes(color: np.ndarray) -> np.ndarray:
    """Give any depth of colour as uint8, rounded."""
    if color.dtype == np.uint8:
        return color
    if color.dtype == np.uint16:
        return ((color.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)


def _over(rgb: np.ndarray, alpha: np.ndarray, ground: int) -> np.ndarray:
    """Lay 8-bit colours over a flat grey."""
    mixed = (rgb - np.float32(ground)) * alpha[..., None]
    mixed += ground + 0.5
    return mixed.astype(np.uint8)
