"""How well the edge-aware brush keeps to what it is drawn on, and how long a tile takes.

    python tests/bench/edge_aware.py FOLDER [--strokes 2] [--write FOLDER]

FOLDER holds images/NAME.jpg or .png and alpha/NAME.png, the true mattes, and may hold
ignore/NAME.png, where they are not to be believed. Strokes are drawn along the true contours,
their middle on one side and their rim over the other one.

spill   what is covered on the wrong side, in parts of what the plain brush covers there
loss    what is not covered on the right side, in parts of what the plain brush covers there
inside  loss of strokes that lie wholly on one side, away from the contour
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import cv2
import msgspec
import numpy as np

from qr_nodes.imaging.correction import corrected
from qr_nodes.imaging.edge_aware import EdgeAware
from qr_nodes.imaging.strokes import Trace
from qr_nodes.tiled import SIDE as TILE
from qr_nodes.types import Stroke

SIZES = (0.01, 0.025, 0.06, 0.12)
"""Diameters of the brush in fractions of the longer side."""


def pictures(folder: Path, only: list[str]):
    """Give name, colour, true matte and what to ignore of each picture."""
    for file in sorted((folder / "alpha").glob("*.png")):
        if only and not any(file.stem.startswith(name) for name in only):
            continue
        photo = next((folder / "images").glob(f"{file.stem}.*"))
        alpha = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
        ignore = folder / "ignore" / file.name
        ignore = cv2.imread(str(ignore), cv2.IMREAD_GRAYSCALE) if ignore.exists() else None
        ignore = np.zeros(alpha.shape, bool) if ignore is None else ignore > 0
        yield file.stem, np.ascontiguousarray(cv2.imread(str(photo))[..., ::-1]), alpha, ignore


def depth(side: np.ndarray) -> np.ndarray:
    """Give how far each pixel lies from the other side; the frame is no other side."""
    padded = np.pad(side.astype(np.uint8), 1, constant_values=1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def stroke_of(points, size, mode, shape) -> Stroke:
    points = tuple((float(x / shape[1]), float(y / shape[0])) for x, y in points)
    return Stroke(points, size=size, mode=mode)


def along(deep, side, size, mode, rng) -> Stroke | None:
    """Draw along the contour, 0.3 to 0.9 radii away from it."""
    radius = size * max(side.shape) / 2
    away = rng.uniform(0.3, 0.9) * radius
    inside = ((deep >= away) & side).astype(np.uint8)
    found = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    found = [contour[:, 0] for contour in found if len(contour) > 2 * radius]
    if not found:
        return None
    lengths = np.array([len(contour) for contour in found])
    contour = found[rng.choice(len(found), p=lengths / lengths.sum())]
    count = min(int(rng.uniform(2, 8) * radius), len(contour))
    path = np.take(contour, rng.integers(len(contour)) + np.arange(count), axis=0, mode="wrap")
    if not count or (deep[path[:, 1], path[:, 0]] < away + 1.5).mean() < 0.9:
        return None  # along the picture's frame
    path = path[:: max(int(radius / 4), 1)] + 0.5
    path[1:-1] = (path[:-2] + 2 * path[1:-1] + path[2:]) / 4
    return stroke_of(path, size, mode, side.shape)


def within(deep, side, size, mode, rng) -> Stroke | None:
    """Draw at random, nowhere nearer to the contour than 1.3 radii."""
    radius = size * max(side.shape) / 2
    free = deep > 1.3 * radius
    spots = np.argwhere(free & side)
    if len(spots) < 50:
        return None
    y, x = spots[rng.integers(len(spots))]
    path, way = [(x, y)], rng.uniform(0, 6.28)
    for _ in range(int(rng.uniform(4, 20)) * 4):
        way += rng.normal(0, 0.5)
        x, y = path[-1][0] + np.cos(way) * radius / 3, path[-1][1] + np.sin(way) * radius / 3
        if 0 <= x < side.shape[1] and 0 <= y < side.shape[0] and free[int(y), int(x)]:
            path.append((x, y))
    return stroke_of(path, size, mode, side.shape)


def rectangle(stroke: Stroke, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Give the rows and columns that a stroke can change."""
    boxes = list(Trace(stroke, *shape).boxes().values())
    return tuple(
        slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes))
        for axis in (0, 1)
    )


def tiles(rows: slice, columns: slice):
    for y in range(rows.start // TILE * TILE, rows.stop, TILE):
        for x in range(columns.start // TILE * TILE, columns.stop, TILE):
            yield (
                slice(max(y, rows.start), min(y + TILE, rows.stop)),
                slice(max(x, columns.start), min(x + TILE, columns.stop)),
            )


def held(color, stroke, rows, columns, times) -> np.ndarray:
    factor = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    tool = EdgeAware(color, stroke)
    for part in tiles(rows, columns):
        began = time.perf_counter()
        at = [
            slice(p.start - s.start, p.stop - s.start)
            for p, s in zip(part, (rows, columns), strict=True)
        ]
        factor[at[0], at[1]] = tool(*part)
        times.append((time.perf_counter() - began) * 1e3)
    return factor


def measure(folder: Path, count: int, levels, only, write: Path | None) -> None:
    rows_of, ms = defaultdict(list), defaultdict(list)
    for name, color, alpha, ignore in pictures(folder, only):
        rng = np.random.default_rng(abs(hash_of(name)))
        for mode in ("paint", "erase"):
            right = alpha if mode == "paint" else 1 - alpha
            # Beyond what is not scored lies the true other side.
            deep, side = depth((right > 0.02) | ignore), (right > 0.98) & ~ignore
            deep = np.minimum(deep, depth(side | ignore))
            for size in SIZES:
                for draw in (along, within):
                    for number in range(count):
                        stroke = draw(deep, side, size, mode, rng)
                        if stroke is None:
                            continue
                        rows, columns = rectangle(stroke, alpha.shape)
                        plain = msgspec.structs.replace(stroke, mode="paint", edge_aware=0.0)
                        blank = np.zeros(alpha.shape, np.float32)
                        cover = corrected(blank, [plain])[rows, columns]
                        scored, good = cover * ~ignore[rows, columns], right[rows, columns]
                        wrong, wanted = (scored * (1 - good)).sum(), (scored * good).sum()
                        if draw is along and wrong < max(1, 0.05 * wanted):
                            continue
                        for level in levels:
                            asked = msgspec.structs.replace(stroke, edge_aware=level)
                            factor = held(color, asked, rows, columns, ms[size])
                            loss = (scored * (1 - factor) * good).sum() / wanted
                            if draw is within:
                                rows_of["inside", size, level].append((np.nan, loss))
                                continue
                            spill = (scored * factor * (1 - good)).sum() / wrong
                            for key in (size, mode, name.split("_")[0]):
                                rows_of["along", key, level].append((spill, loss))
                            rows_of["along", "all", level].append((spill, loss))
                            if write and level == levels[-1]:
                                show(write, f"{name}-{mode}-{size}-{number}-{spill:.2f}-{loss:.2f}",
                                     color, rows, columns, cover, cover * factor, good)  # fmt: skip
    for kind in ("along", "inside"):
        print(f"\n{kind:8s}{'':12s}" + "".join(f"  edge_aware {level:<14}" for level in levels))
        for key in dict.fromkeys(k[1] for k in rows_of if k[0] == kind):
            line = f"{key!s:12s} {len(rows_of[kind, key, levels[0]]):5d}  "
            for level in levels:
                values = np.array(rows_of[kind, key, level])
                if kind == "along":
                    line += f"  spill {values[:, 0].mean():.3f} ({np.median(values[:, 0]):.3f})"
                line += f"  loss {values[:, 1].mean():.3f} ({np.median(values[:, 1]):.3f})"
            print(line)
    for size, times in ms.items():
        print(
            f"size {size}: {np.mean(times):.1f} ms a tile, {np.percentile(times, 95):.1f} of 95 %"
        )


def hash_of(name: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**32


def show(folder, name, color, rows, columns, plain, drawn, good) -> None:
    """Write the spot, and over it in red what is covered: plainly, held back, and the truth."""
    folder.mkdir(parents=True, exist_ok=True)
    scale = 255 / {np.uint8: 255, np.uint16: 65535}.get(color.dtype.type, 1)
    spot = color[rows, columns].astype(np.float32) * scale
    red = np.array([255, 0, 0], np.float32)
    over = [spot] + [
        spot + (red - spot) * 0.6 * mask[..., None] for mask in (plain, drawn, good * plain)
    ]
    cv2.imwrite(str(folder / f"{name}.png"), np.hstack(over)[..., ::-1])


def speed() -> None:
    """Time full tiles of a large picture for brushes of every size."""
    rng = np.random.default_rng(1)
    color = cv2.resize(rng.integers(0, 256, (200, 300, 3), np.uint8), (6000, 4000))
    for radius in (3, 6, 10, 20, 50, 100, 200, 400, 800):
        points = ((0.2, 0.2), (0.5, 0.6), (0.8, 0.5))
        stroke = Stroke(points, size=radius * 2 / 6000, edge_aware=0.7)
        times = []
        tool = EdgeAware(color, stroke)
        for _ in range(5):
            began = time.perf_counter()
            tool(slice(2304, 2560), slice(2816, 3072))
            times.append((time.perf_counter() - began) * 1e3)
            tool = EdgeAware(color, stroke)
        began = time.perf_counter()
        side = min(2 * radius, TILE)
        tool(slice(2400, 2400 + side), slice(3000, 3000 + side))
        dab = (time.perf_counter() - began) * 1e3
        print(f"radius {radius:4d} px: {min(times):6.1f} ms a full tile, {dab:6.1f} ms a dab")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path, nargs="?")
    options.add_argument("--strokes", type=int, default=2)
    options.add_argument("--levels", type=float, nargs="*", default=[0.3, 0.6, 1.0])
    options.add_argument("--only", nargs="*", default=[])
    options.add_argument("--write", type=Path)
    asked = options.parse_args()
    cv2.setNumThreads(1)
    speed()
    if asked.folder:
        measure(asked.folder, asked.strokes, asked.levels, asked.only, asked.write)


if __name__ == "__main__":
    main()
