"""What the presets give beside rembg, to look at: the README's picture.

    python tests/bench/gallery.py OUT.jpg

Photographs that come with scikit-image and may be shown; crops at 200 %, over one loud colour:
the photograph, rembg with the same weights, the preset.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import peers
import skimage
from PIL import Image, ImageDraw, ImageFont

from qr_nodes import resources
from qr_nodes.batch import cli_engine, run
from qr_nodes.inference import store
from qr_nodes.qrgraph import load_graph

SHOWN = (  # preset, photograph, left and top of its crop
    ("portrait", "astronaut", 110, 20),
    ("hair", "chelsea", 0, 110),
    ("product", "coffee", 380, 110),
)
SIDE, ZOOM, BEHIND = 190, 2, (225, 40, 170)


def main() -> None:
    cells = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        photos = [folder / f"{name}.png" for _, name, _, _ in SHOWN]
        for photo in photos:
            Image.fromarray(getattr(skimage.data, photo.stem)()).save(photo)
        python = peers.python(resources.cache_folder("bench-peers"))
        (folder / "rembg").mkdir()
        peers.rembg(python, store.fetch("u2netp"), photos, folder / "rembg", {})
        engine = cli_engine(cached=False)
        for (preset, name, left, top), photo in zip(SHOWN, photos, strict=True):
            ours = folder / f"{name}-{preset}.png"
            for result in run(load_graph(preset), photo, ours, engine=engine, again=True):
                if result.error:
                    raise result.error
            box = (left, top, left + SIDE, top + SIDE)
            for title, file in (
                (f"{name}", photo),
                ("rembg", folder / "rembg" / photo.name),
                (preset, ours),
            ):
                cells.append((title, shown(Image.open(file).convert("RGBA").crop(box))))
        engine.close()
    side, font = SIDE * ZOOM, ImageFont.load_default(18)
    sheet = Image.new("RGB", (3 * side + 20, len(SHOWN) * (side + 40)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (title, cell) in enumerate(cells):
        row, column = divmod(place, 3)
        at = column * (side + 10), row * (side + 40) + 30
        sheet.paste(cell, at)
        draw.text((at[0], at[1] - 25), title, "black", font)
    sheet.save(sys.argv[1], quality=90, optimize=True)


def shown(cut: Image.Image) -> Image.Image:
    """Give a cut-out over the loud colour, enlarged without smoothing."""
    rgba = np.asarray(cut, np.float32)
    alpha = rgba[..., 3:] / 255
    over = np.rint(alpha * rgba[..., :3] + (1 - alpha) * np.float32(BEHIND)).astype(np.uint8)
    return Image.fromarray(over).resize((SIDE * ZOOM,) * 2, Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
