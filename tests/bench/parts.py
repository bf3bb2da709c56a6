"""How good the steps after the network are, each judged apart from it.

    python tests/bench/parts.py FOLDER [matting|foreground|glass|contour ...]

FOLDER is as for quality.py. matting solves trimaps made of the true mattes, with bands of 10
and 30 px, beside pymatting's closed form; foreground estimates colours from the true matte
beside pymatting's multi-level method and blur fusion, on the folder's composites and on others
made here; glass compares mattes with rembg's, a rough region drawn over the object or found by
itself, also on glasses rendered here; contour needs no photographs.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cv2
import metrics
import numpy as np
import peers
import skimage.data
from PIL import Image

from qr_nodes import resources
from qr_nodes.__main__ import tune
from qr_nodes.inference import store
from qr_nodes.nodes.decontaminate import decontaminate
from qr_nodes.nodes.feather import feather
from qr_nodes.nodes.refine_edges import refine_edges
from qr_nodes.nodes.segment import segment
from qr_nodes.nodes.smooth import smooth
from qr_nodes.nodes.transparency_fix import transparency_fix
from qr_nodes.types import Cutout, opaque

SOFT = 0.005
"""Share of a true matte in between from which it is no mask."""


def pictures(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Walk over names, colours and true mattes, hard masks left out."""
    for path in sorted((folder / "images").iterdir()):
        true = folder / "alpha" / f"{path.stem}.png"
        if true.exists() and not (folder / "ignore" / true.name).exists():
            alpha = np.asarray(Image.open(true).convert("L"), np.float32) / 255
            if ((alpha > 0.05) & (alpha < 0.95)).mean() > SOFT:
                yield path.stem, np.asarray(Image.open(path).convert("RGB")), alpha


def trimap(true: np.ndarray, band: int) -> np.ndarray:
    """Give 0, ½ and 1, sure only farther than `band` px from anything soft."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1,) * 2)
    known = np.full(true.shape, 0.5, np.float32)
    known[cv2.erode((true > 0.95).astype(np.uint8), disk) > 0] = 1
    known[cv2.erode((true < 0.05).astype(np.uint8), disk) > 0] = 0
    return known


def ratio(mine: list[float], theirs: list[float]) -> float:
    """Give the geometric mean of ratios."""
    return math.exp(
        statistics.fmean(math.log(a / b) for a, b in zip(mine, theirs, strict=True) if b)
    )


def compare(title: str, mine: dict, theirs: dict, keys: tuple[str, ...], times=None) -> None:
    """Print each error of ours over the peer's: means' ratio and geometric mean."""
    cells = []
    for key in keys:
        a, b = ([row[key] for row in rows.values() if key in row] for rows in (mine, theirs))
        cells.append(f"{key} {np.mean(a) / np.mean(b):.2f} (each {ratio(a, b):.2f})")
    if times:
        cells.append(f"time {sum(times[0].values()) / sum(times[1].values()):.4f}")
    print(f"{title}: {', '.join(cells)}", flush=True)


def matting(folder: Path, python: str, scratch: Path) -> None:
    for band in (10, 30):
        pairs, ours, theirs, seconds, truths = [], {}, {}, {}, {}
        for name, color, true in pictures(folder):
            known = trimap(true, band)
            began = time.perf_counter()
            found = refine_edges(Cutout(color, opaque(*true.shape)), trimap=known).alpha
            seconds[name] = time.perf_counter() - began
            ours[name] = metrics.errors(found, true)
            files = [str(scratch / f"{name}-{what}.npy") for what in ("color", "known", "found")]
            np.save(files[0], (color / 255).astype(np.float32))
            np.save(files[1], known)
            pairs.append((*files[:2], str(scratch / f"{name}.npy")))
            truths[name] = true
        slow = peers.closed_form(python, pairs)
        for name, true in truths.items():
            found = np.load(scratch / f"{name}.npy")
            theirs[name] = metrics.errors(found, true)
        title = f"trimaps of {band} px, {len(ours)} pictures, ours over closed form"
        compare(title, ours, theirs, ("SAD", "Grad"), (seconds, slow))


def composites(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Walk over the folder's composites: name, picture, true matte and true colours."""
    for name, color, true in pictures(folder):
        path = folder / "fg" / f"{name}.jpg"
        if path.exists():
            yield name, color, true, np.asarray(Image.open(path).convert("RGB"))


def remade(folder: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Composite anew, with colours that no method estimated: every pixel of them was taken.

    A matte of one photograph, the colours of the next, over the one after; with grain.
    """
    known = list(pictures(folder))
    random = np.random.default_rng(5)
    for place, (name, _, true) in enumerate(known):
        size = true.shape[::-1]
        pure, behind = (
            cv2.resize(known[(place + step) % len(known)][1], size, interpolation=cv2.INTER_AREA)
            for step in (1, 2)
        )
        alpha = true[..., None]
        mixed = alpha * pure + (1 - alpha) * behind
        mixed += (alpha < 1) * random.normal(0, 1.5, mixed.shape)
        yield name, np.rint(mixed).clip(0, 255).astype(np.uint8), true, pure


def blur_fusion(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Estimate colours with blur fusion, twice: Forte, arXiv:2104.02984, 2021, fig. 2."""
    mixed, a = color / np.float32(255), alpha[..., None]
    found = behind = mixed
    for side in (90, 6):
        weight = cv2.blur(alpha, (side, side))[..., None]
        near = cv2.blur(found * a, (side, side)) / (weight + 1e-5)
        behind = cv2.blur(behind * (1 - a), (side, side)) / (1 - weight + 1e-5)
        found = np.clip(near + a * (mixed - a * near - (1 - a) * behind), 0, 1)
    return np.rint(found * 255).astype(np.uint8)


def foreground(folder: Path, python: str, scratch: Path) -> None:
    for title, some in (("composites", composites), ("composites made anew", remade)):
        pairs, seconds, truths = [], {}, {}
        rows: dict[str, dict] = {"untouched": {}, "blur fusion": {}, "multi-level": {}, "ours": {}}
        for name, color, true, pure in some(folder):
            began = time.perf_counter()
            found = decontaminate(Cutout(color, true)).color
            seconds[name] = time.perf_counter() - began
            full = true == 1
            assert (found[full] == color[full]).all(), f"{name}: an opaque pixel changed"
            rows["ours"][name] = metrics.errors(true, true, None, found, pure)
            rows["untouched"][name] = metrics.errors(true, true, None, color, pure)
            fused = blur_fusion(color, true)
            rows["blur fusion"][name] = metrics.errors(true, true, None, fused, pure)
            files = [str(scratch / f"{name}-{what}.npy") for what in ("color", "alpha")]
            np.save(files[0], (color / 255).astype(np.float32))
            np.save(files[1], true)
            pairs.append((*files, str(scratch / f"{name}.npy")))
            truths[name] = true, pure
        slow = peers.multi_level(python, pairs)
        for name, (true, pure) in truths.items():
            found = np.rint(np.load(scratch / f"{name}.npy").clip(0, 1) * 255).astype(np.uint8)
            rows["multi-level"][name] = metrics.errors(true, true, None, found, pure)
        keys = ("recomp", "fgMAE")
        print(f"{len(truths)} {title}: recomp, fgMAE")
        for way, errors in rows.items():
            means = (np.mean([row[key] for row in errors.values()]) for key in keys)
            print(f"  {way}: {' / '.join(f'{mean:.2f}' for mean in means)}")
        compare("  ours over multi-level", rows["ours"], rows["multi-level"], keys, (seconds, slow))


def glass(folder: Path, python: str, scratch: Path) -> None:
    with (folder / "manifest.csv").open(newline="") as file:
        kinds = {row["name"]: row["kind"] for row in csv.DictReader(file)}
    paths = [p for p in sorted((folder / "images").iterdir()) if p.stem in kinds]
    clear = [path for path in paths if kinds[path.stem] == "transparent"]
    peers.rembg(python, store.fetch("u2netp"), clear, scratch, {"only_mask": True})
    others, changed = [], []
    for path in paths:
        true = Image.open(folder / "alpha" / f"{path.stem}.png").convert("L")
        true = np.asarray(true, np.float32) / 255
        color = np.asarray(Image.open(path).convert("RGB"))
        cut = segment(Cutout(color, opaque(*true.shape)), device="cpu")
        before, after = (np.abs(c.alpha - true).mean() for c in (cut, transparency_fix(cut)))
        if path not in clear:
            if abs(after - before) > 0.01:
                changed.append(f"{path.stem} {before:.3f} to {after:.3f}")
            else:
                others.append((before, after))
            continue
        plain = np.asarray(Image.open(scratch / f"{path.stem}.png"), np.float32) / 255
        fixed = transparency_fix(cut, drawn_over(true, 41))
        drawn = np.abs(fixed.alpha - true).mean()
        plain = np.abs(plain - true).mean()
        print(
            f"{path.stem}: MAE over rembg's {plain:.3f}: Segment {before / plain:.2f}, found "
            f"by itself {after / plain:.2f}, with a region {drawn / plain:.2f}"
        )
    before, after = np.mean(others, axis=0)
    print(f"the other {len(others)}: MAE after over before {after / before:.4f}")
    print(f"changed by over 0.01: {', '.join(changed) or 'none'}")
    rendered()


def rendered() -> None:
    """Score glass whose alpha is known exactly, from a matte that takes it for solid."""
    rows, found = [], 0
    for number in range(24):
        color, true, solid = glassware(number)
        cut = Cutout(color, solid)
        region = drawn_over(true, 21)
        mattes = solid, transparency_fix(cut).alpha, transparency_fix(cut, region).alpha
        rows.append([float(np.abs(alpha - true).mean()) for alpha in mattes])
        found += mattes[1] is not solid
    solid, alone, drawn = zip(*rows, strict=True)
    print(
        f"{len(rows)} rendered glasses taken for solid: MAE over before, each: found by itself "
        f"({found} of them) {ratio(alone, solid):.2f}, with a region {ratio(drawn, solid):.2f}"
    )


def drawn_over(true: np.ndarray, brush: int) -> np.ndarray:
    """Give a region as a person would draw it: all over the object, and past its edge."""
    over = cv2.dilate((true > 0.02).astype(np.uint8), np.ones((brush, brush), np.uint8))
    outlines, _ = cv2.findContours(over, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(over, outlines, -1, 1, cv2.FILLED).astype(np.float32)


def glassware(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render a tumbler, ball, goblet or vase before a photograph out of focus.

    Layers over the background: the glass's tint, a drink in every third, reflection at grazing
    angles (Schlick 1994), the rim and the foot, highlights, drops on every fourth, and in every
    fifth a solid ball. The background is refracted a little.

    Returns
    -------
    color (600, 800, 3) uint8, true alpha, and a matte that takes the glass for solid
    """
    random = np.random.default_rng(number)
    names = ("coffee", "rocket", "chelsea", "astronaut", "brick", "grass")
    photo = getattr(skimage.data, names[number % len(names)])()
    photo = np.repeat(photo[..., None], 3, 2) if photo.ndim == 2 else photo
    behind = cv2.resize(photo, (800, 600), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    behind = cv2.GaussianBlur(behind, (0, 0), random.uniform(2, 20))
    y, x = np.mgrid[:600, :800].astype(np.float32)
    top, foot, middle, wide = random.uniform((60, 480, 280, 110), (150, 570, 520, 190))
    down = np.clip((y - top) / (foot - top), 0, 1)
    half = (
        wide
        * (
            1 - 0.2 * down,
            np.sqrt(1 - (2 * down - 1) ** 2),
            np.where(
                down < 0.5,
                np.sqrt(np.maximum(1 - (down / 0.51) ** 2, 0)),
                0.08 + (down > 0.95) * 0.5,
            ),
            0.55 + 0.3 * np.sin(5 * down + 0.6),
        )[number % 4]
    )
    across = (x - middle) / np.maximum(half, 2)
    solid = ((abs(across) < 1) & (y > top) & (y < foot)).astype(np.float32)
    solid = cv2.GaussianBlur(solid, (0, 0), 0.8)
    turned = np.minimum(abs(across), 1)
    moved = x - random.uniform(0, 0.06) * half * np.sign(across) * turned**3 * solid
    picture = cv2.remap(
        behind, moved.astype(np.float32), y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    alpha = np.zeros((600, 800), np.float32)

    def layer(cover, color) -> None:
        nonlocal picture, alpha
        cover = np.clip(cover, 0, 1) * solid
        picture = picture + cover[..., None] * (np.float32(color) - picture)
        alpha = alpha + cover * (1 - alpha)

    def grain(sigma):
        noise = cv2.GaussianBlur(random.standard_normal((600, 800)), (0, 0), sigma)
        return noise / noise.std()

    grazing = (1 - np.sqrt(1 - turned**2)) ** random.uniform(2, 4)
    layer(random.uniform(0, 0.15), random.uniform(0.1, 0.9, 3))
    if number % 3 == 1:
        full = y > top + (foot - top) * random.uniform(0.3, 0.6)
        layer(full * (random.uniform(0.3, 0.8) + 0.1 * grain(25)), random.uniform(0.3, 0.95, 3))
    edge = random.uniform(0.02, 0.2, 3) if number % 2 else (0.85, 0.87, 0.9)
    layer(random.uniform(0.5, 0.95) * grazing, edge)
    layer(
        0.7 * np.exp(-(((y - top - 3) / 2.5) ** 2)) + 0.7 * np.exp(-(((y - foot + 5) / 4) ** 2)),
        edge,
    )
    for _ in range(3):
        place, size = random.uniform((-0.7, 0.1), (0.7, 0.8)), random.uniform(0.03, 0.13, 2)
        far = ((across - place[0]) / size[0]) ** 4 + ((down - place[1]) / size[1]) ** 4
        layer(random.uniform(0.5, 1) * np.exp(-far), (0.97, 0.98, 1))
    if number % 4 == 3:
        layer(np.clip(2 * grain(3) - 2.4, 0, 0.6), (0.92, 0.94, 0.97))
    if number % 5 == 2:
        far = np.hypot(x - middle, y - (0.3 * top + 0.7 * foot)) - 0.35 * wide
        layer(0.5 - far, random.uniform(0.1, 0.8, 3))
    picture = picture + random.normal(0, 0.006, picture.shape)
    color = np.rint(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return color, alpha.astype(np.float32), solid


def contour(folder: Path, python: str, scratch: Path) -> None:
    y, x = np.mgrid[:600, :600].astype(np.float64)
    angle, random = np.arctan2(y - 300, x - 300), np.random.default_rng(0)
    wave = sum(0.6 * np.sin(k * angle + random.uniform(0, 6)) for k in (90, 131, 170))
    far = np.hypot(y - 300, x - 300) - 200
    shapes = {"wobble": np.clip(0.5 - far - wave, 0, 1), "steps": (far < 0).astype(float)}
    round_ = np.clip(0.5 - far, 0, 1).astype(np.float32)
    for title, true in shapes.items():
        matte = true.astype(np.float32)
        for amount in (1.5, 3.0):
            cut = Cutout(np.zeros((600, 600, 3), np.uint8), matte)
            found = smooth(cut, amount=amount).alpha
            moved = float((found - matte).sum(dtype=np.float64)) / (2 * math.pi * 200)
            # A true circle's own turn is no wobble.
            own = metrics.wobble(round_)
            less = (metrics.wobble(found) - own) / (metrics.wobble(matte) - own)
            print(f"{title}, amount {amount}: {less:.2f} of it is left, moved {moved:+.3f} px")
    across = math.cos(0.4) * (x - 300) + math.sin(0.4) * (y - 300)
    down = math.cos(0.4) * (y - 300) - math.sin(0.4) * (x - 300)
    turned = np.maximum(abs(across), abs(down))
    square = np.clip(150.5 - turned, 0, 1).astype(np.float32)
    found = smooth(Cutout(np.zeros((600, 600, 3), np.uint8), square)).alpha
    corner = (abs(across) > 130) & (abs(down) > 130)
    lost = 1 - float(found[corner].sum()) / float(square[corner].sum())
    print(f"a turned square: its corners lose {100 * lost:.2f} % of their area")
    for sigma in (0.5, 2.0, 10.0, 40.0):
        hard = np.zeros((64, 600), np.float32)
        hard[:, 300:] = 1
        found = feather(Cutout(np.zeros((64, 600, 3), np.uint8), hard), sigma=sigma).alpha[32]
        at = (np.arange(600) + 0.5 - 300) / (sigma * math.sqrt(2))
        exact = np.array([0.5 + 0.5 * math.erf(v) for v in at])
        off = np.abs(found - exact).max() * 255
        print(f"feather {sigma} px: off the error function by {off:.2f} / 255")


def main() -> None:
    tune()  # as the command does
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    known = {"matting": matting, "foreground": foreground, "glass": glass, "contour": contour}
    parser.add_argument("parts", nargs="*", choices=[*known, []], default=[])
    options = parser.parse_args()
    python = peers.python(resources.cache_folder("bench-peers"))
    for part in options.parts or known:
        with tempfile.TemporaryDirectory() as scratch:
            known[part](options.folder, python, Path(scratch))


if __name__ == "__main__":
    main()
