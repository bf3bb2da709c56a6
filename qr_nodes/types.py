"""What flows along a link, and what each array must be.

Cutout   the main pipe: straight colour, its alpha matte, what the file knew, and where the
         scene behind was taken out of the colours already
Mask     the side pipe: (H, W) float32 in [0, 1]
Written  what an output node leaves behind: a file, and whether it is still the one written
Stroke   one movement of the brush, in fractions of the picture
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Literal, NewType

import msgspec
import numpy as np

from qr_nodes.errors import SocketError
from qr_nodes.tiled import Box, Tiled

Mask = NewType("Mask", np.ndarray)
"""(H, W) float32 in [0, 1]: a region to act in, an alpha matte, or a trimap (0, ½, 1).

A plain array at run time; the name tells a node's signature which socket is meant."""


@dataclass(frozen=True)
class Source:
    """What the file knew that should reach the output.

    Attributes
    ----------
    name : file name without its folder, or "" for a picture made here
    format : Pillow's name of the format read ("JPEG", "PNG", …)
    bits : bits per channel in the file: 8, 16 or 32
    grey : the file held one colour channel; `Cutout.color` repeats it three times
    icc : ICC profile of `Cutout.color`, or None for sRGB
    dpi : horizontal and vertical resolution, or None
    exif : EXIF block as bytes, orientation already applied and set to 1, or None
    """

    name: str = ""
    format: str = ""
    bits: int = 8
    grey: bool = False
    icc: bytes | None = field(default=None, repr=False)
    dpi: tuple[float, float] | None = None
    exif: bytes | None = field(default=None, repr=False)


class _Alpha:
    """`Cutout.alpha`: the array itself, or one put together from tiles when it is asked for."""

    def __get__(self, cutout: Cutout | None, owner: type) -> np.ndarray:
        if cutout is None:
            raise AttributeError("alpha")  # so that the dataclass sees a field without a default
        kept = cutout.__dict__["alpha"]
        return kept.whole() if isinstance(kept, Tiled) else kept

    def __set__(self, cutout: Cutout, alpha: np.ndarray | Tiled) -> None:
        cutout.__dict__["alpha"] = alpha


@dataclass(frozen=True, eq=False)
class Cutout:
    """A picture with its alpha matte: what travels on the main link.

    Attributes
    ----------
    color : (H, W, 3) uint8, uint16 or float32 in [0, 1]
        Straight (not multiplied by alpha) RGB in the source's own depth and encoding.
    alpha : (H, W) float32 in [0, 1]
        Alpha matte; 1 everywhere for a photograph without one (see `opaque`). May be given as
        `Tiled`, and is put together from its tiles whenever somebody asks for the array.
    source : Source
        What the file knew.
    unmixed : (H, W) float32 in [0, 1] or None
        How far `color` is the subject's own there, without the scene seen through it: alpha and
        colours were found together, and neither can be told from the other any more. None for
        nowhere.
    """

    color: np.ndarray
    alpha: np.ndarray = _Alpha()
    source: Source = Source()
    unmixed: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.__dict__["alpha"].shape

    @property
    def tiles(self) -> Tiled:
        """The matte in tiles, to look at a part of it or to change a part."""
        kept = self.__dict__["alpha"]
        if not isinstance(kept, Tiled):
            kept = self.__dict__.setdefault("_tiles", Tiled(kept))
        return kept

    @property
    def arrays(self) -> Iterator[np.ndarray]:
        """Every array that pixels are kept in."""
        yield self.color
        yield from self.tiles.arrays
        if self.unmixed is not None:
            yield self.unmixed

    def with_alpha(self, alpha: np.ndarray | Tiled) -> Cutout:
        """Give the same picture with another matte; `color` is shared, not copied."""
        return Cutout(self.color, alpha, self.source, self.unmixed)

    def with_color(self, color: np.ndarray) -> Cutout:
        """Give the same matte with other colours; `alpha` is shared, not copied."""
        return Cutout(color, self.__dict__["alpha"], self.source, self.unmixed)

    def window(self, box: Box) -> Cutout:
        """Give a rectangle of it: views where they can be, new arrays where they cannot."""
        unmixed = None if self.unmixed is None else self.unmixed[box]
        return Cutout(self.color[box], self.tiles.window(box), self.source, unmixed)


def mark_of(array: np.ndarray) -> int:
    """Return a number that stands for this very array in this process, and for no other ever.

    Unlike `id`, it is not given again when the array is gone. Free, however large the array.
    """
    key = id(array)
    ref, mark = _MARKS.get(key, (None, 0))
    if ref is None or ref() is not array:
        mark = next(_NEXT_MARK)
        _MARKS[key] = weakref.ref(array, lambda gone: _forget(key, gone)), mark
    return mark


def _forget(key: int, gone: weakref.ref) -> None:
    if _MARKS.get(key, (None,))[0] is gone:
        del _MARKS[key]


_MARKS: dict[int, tuple[weakref.ref, int]] = {}
_NEXT_MARK = itertools.count(1)


def opaque(height: int, width: int) -> np.ndarray:
    """Give an alpha matte of 1 that takes four bytes whatever its size.

    Returns
    -------
    alpha : (height, width) float32, read-only, strides 0
        Use `np.ascontiguousarray` before handing it to code that needs real strides.
    """
    return np.broadcast_to(np.float32(1), (height, width))


def is_opaque(alpha: np.ndarray) -> bool:
    """Say whether a matte is 1 everywhere; free for one made by `opaque`."""
    if alpha.strides == (0, 0):
        return float(alpha.flat[0]) == 1.0
    # Most mattes that are not opaque show it in a few rows, long before the last.
    return all(bool((rows == 1).all()) for rows in (alpha[::97], alpha))


def check_fits(mask: np.ndarray | None, cutout: Cutout, where: str) -> None:
    """Raise SocketError unless `mask` is None or has the size of `cutout`.

    `where` names the socket, as in "feather.where".
    """
    if mask is not None and mask.shape != cutout.shape:
        (mh, mw), (h, w) = mask.shape, cutout.shape
        raise SocketError(
            f"a mask of {mw} × {mh} px does not fit a picture of {w} × {h} px.",
            where,
            "Use a mask made from the same picture.",
        )


def limited(new: np.ndarray, old: np.ndarray, where: np.ndarray | None) -> np.ndarray:
    """Give `new` where the mask `where` is 1, `old` where it is 0, a blend between.

    `where` None means everywhere. All are (H, W) float32; a blend of equal values keeps them.
    """
    return new if where is None else old + (new - old) * where


def without(where: np.ndarray | None, marked: np.ndarray | None) -> np.ndarray | None:
    """Give the region `where`, None for all, without what a mask marks, None for nothing."""
    if marked is None:
        return where
    return 1 - marked if where is None else where * (1 - marked)


@dataclass(frozen=True)
class Written:
    """A file that an output node has written.

    Attributes
    ----------
    path : absolute path
    size, mtime_ns : as the file system told them right after writing
    """

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: str | os.PathLike) -> Written:
        """Describe the file at `path` as it is now."""
        stat = os.stat(path)
        return cls(os.path.abspath(path), stat.st_size, stat.st_mtime_ns)

    def intact(self) -> bool:
        """Say whether the file is still there as it was written."""
        try:
            return Written.of(self.path) == self
        except OSError:
            return False


FAR = 10.0
"""Points of a stroke may lie this many pictures away from the picture's corner."""

MOST = 100_000
"""Points in one stroke: an hour with the button held down."""


class Stroke(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True
):
    """One movement of the brush, independent of resolution.

    Attributes
    ----------
    points : (x, y) pairs in fractions of the picture's width and height
    size : diameter of the brush in fractions of the picture's longer side
    hardness : 0 fades from the centre on, 1 is full up to the rim
    opacity : how far the stroke pulls alpha towards its end value
    mode : "paint" pulls alpha to 1, "erase" to 0, "refine" marks as unsure instead
    edge_aware : how far edges of the picture hold the stroke back, from 0, not at all, to 1
    hidden : keep the stroke in the list but do not draw it
    """

    points: tuple[tuple[float, float], ...]
    size: float = 0.02
    hardness: float = 0.8
    opacity: float = 1.0
    mode: Literal["paint", "erase", "refine"] = "paint"
    edge_aware: float = 0.0
    hidden: bool = False

    @cached_property
    def digest(self) -> bytes:
        """Hash of all that it is; worked out once, so that a thousand strokes cost one each."""
        return blake2b(msgspec.msgpack.encode(self), digest_size=16).digest()

    @cached_property
    def fault(self) -> tuple[str, str] | None:
        """What keeps it from being drawn, and what to do; None if nothing does."""
        for name in ("hardness", "opacity", "edge_aware"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                called = name.replace("edge_aware", "edge awareness")
                return f"{'an' if called[0] in 'oe' else 'a'} {called} of {value:g}", "Use 0 to 1."
        if not 0 < self.size <= FAR:
            return f"a size of {self.size:g}", f"Use a value above 0 and up to {FAR:g}."
        if not self.points:
            return "no points", "Give it at least one, or remove it."
        if len(self.points) > MOST:
            return f"{len(self.points)} points", f"Split it into strokes of up to {MOST}."
        for x, y in self.points:
            if not (abs(x) <= FAR and abs(y) <= FAR):
                return f"a point at ({x:g}, {y:g})", f"Use fractions from {-FAR:g} to {FAR:g}."
        return None
