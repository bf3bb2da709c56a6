"""How good cut-outs are: any graphs, beside rembg, over a folder of photographs with true mattes.

    python tests/bench/quality.py FOLDER [ROW ...] [--rembg u2netp] [-s NODE.PARAMETER=VALUE]

A ROW is a preset or a .qrgraph file, with settings of its own after it in the same quotes:
"quick segment.quality=best". FOLDER holds images/NAME.jpg (or .png) and alpha/NAME.png, and
where known fg/NAME.jpg (true colours), ignore/NAME.png (what is not scored) and manifest.csv
(name, kind and gt, which is "alpha" or "mask"). Whole-picture errors, means; "ratio" is the
geometric mean of each picture's SAD to the first row's. Cut-outs are scored as written to 8-bit
PNG. Seconds are of the nodes, or of rembg's call: files and the loading of networks aside.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import cv2
import metrics
import numpy as np
import peers
from PIL import Image

from qr_nodes import resources
from qr_nodes.__main__ import tune
from qr_nodes.batch import cli_engine, override, run
from qr_nodes.cache import Cache
from qr_nodes.engine import Engine
from qr_nodes.inference import store
from qr_nodes.qrgraph import load_graph

REMBG = {"": {}, "post": {"post_process_mask": True}, "decontaminate": {"decontaminate": True}}
REMBG |= {"matting": {"alpha_matting": True}}
HARD = 0.002
"""A true matte with fewer pixels in between is a mask."""


def main() -> None:
    tune()  # as the command does
    options = _options()
    pictures = _pictures(options)
    rows: dict[str, dict[str, dict]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.rembg:
            out = _folder(options, scratch, f"rembg {name}")
            seconds = _rembg(name, pictures, out)
            rows[f"rembg {name}"] = _scores(pictures, out, seconds)
        for given in options.mattes:
            name, _, folder = given.rpartition("=")
            rows[name or folder] = _scores(pictures, Path(folder), {})
        for row in options.rows:
            out = _folder(options, scratch, row)
            seconds = _ours(row, options, pictures, out)
            rows[row] = _scores(pictures, out, seconds)
    _print(rows, pictures, options)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("-s", "--set", action="append", default=[], help="for every ROW")
    parser.add_argument(
        "--rembg", action="append", default=[], metavar="MODEL[+HOW]", help=f"HOW: {list(REMBG)}"
    )
    parser.add_argument("--mattes", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--only", action="append", default=[], metavar="COLUMN=VALUE")
    parser.add_argument("--halves", type=int, default=0, help="random halves to judge apart")
    parser.add_argument("--by-kind", action="store_true")
    parser.add_argument(
        "--reuse", action="store_true", help="ask no network twice; seconds then tell nothing"
    )
    parser.add_argument("--keep", type=Path, help="folder to leave the cut-outs in")
    parser.add_argument("--json", help="file for every picture's errors")
    return parser.parse_args()


def _pictures(options) -> dict[str, dict]:
    """Give name → what is known of each picture: its path, kind and gt."""
    listed, table = {}, options.folder / "manifest.csv"
    if table.exists():
        with table.open(newline="") as file:
            listed = {row["name"]: row for row in csv.DictReader(file)}
    found = {}
    for path in sorted((options.folder / "images").iterdir()):
        about = {"kind": "any", "gt": ""} | listed.get(path.stem, {}) | {"path": path}
        true = options.folder / "alpha" / f"{path.stem}.png"
        if not true.exists():
            continue
        if not about["gt"]:
            values = np.asarray(Image.open(true).convert("L"))
            soft = np.mean((values > 12) & (values < 243))
            about["gt"] = "alpha" if soft > HARD else "mask"
        if all(
            about.get(key) == value for key, _, value in (o.partition("=") for o in options.only)
        ):
            found[path.stem] = about | {"true": true}
    if not found:
        raise SystemExit(f"{options.folder}: no picture with a true matte.")
    return found


def _folder(options, scratch: str, row: str) -> Path:
    out = (options.keep or Path(scratch)) / "".join(c if c.isalnum() else "-" for c in row)
    out.mkdir(parents=True, exist_ok=True)
    return out


def _rembg(name: str, pictures: dict, out: Path) -> dict[str, float]:
    model, _, how = name.partition("+")
    interpreter = peers.python(resources.cache_folder("bench-peers"))
    paths = [about["path"] for about in pictures.values()]
    return peers.rembg(interpreter, store.fetch(model), paths, out, REMBG[how])


def _ours(row: str, options, pictures: dict, out: Path) -> dict[str, float]:
    name, *own = row.split()
    graph = override(load_graph(name), [*options.set, *own])
    engine = cli_engine() if options.reuse else Engine(Cache(0))
    seconds: dict[str, float] = {}
    picture, about = next(iter(pictures.items()))
    how = {"engine": engine, "again": True}
    list(run(graph, about["path"], out / f"{picture}.png", **how))  # loads the networks
    for picture, about in pictures.items():
        for result in run(graph, about["path"], out / f"{picture}.png", **how):
            if result.error:
                raise SystemExit(f"{picture}: {result.error}")
            kinds = {id: node.spec.id for id, node in graph.nodes.items()}
            work = [r.seconds for r in result.nodes if kinds[r.node] not in ("load", "export")]
            seconds[picture] = sum(work)
    engine.close()
    return seconds


def _scores(pictures: dict, out: Path, seconds: dict[str, float]) -> dict[str, dict]:
    scores = {}
    for name, about in pictures.items():
        color, found = _read(out / f"{name}.png")
        true = np.asarray(Image.open(about["true"]).convert("L"), np.float32) / 255
        folder, scored, pure = about["true"].parent.parent, None, None
        if (ignored := folder / "ignore" / f"{name}.png").exists():
            scored = np.asarray(Image.open(ignored).convert("L")) == 0
        if (own := folder / "fg" / f"{name}.jpg").exists():
            pure = np.asarray(Image.open(own).convert("RGB"))
            if color is None:
                color = np.asarray(Image.open(about["path"]).convert("RGB"))
        if found.shape != true.shape:
            raise SystemExit(f"{name}: the matte is {found.shape}, the true one {true.shape}.")
        scores[name] = metrics.errors(found, true, scored, color, pure)
        if name in seconds:
            scores[name]["seconds"] = seconds[name]
    return scores


def _read(path: Path) -> tuple[np.ndarray | None, np.ndarray]:
    """Give colours, if there are any, and alpha of a matte or a cut-out."""
    picture = Image.open(path)
    if picture.mode in ("RGBA", "LA"):
        values = np.asarray(picture.convert("RGBA"))
        return values[..., :3], values[..., 3].astype(np.float32) / 255
    return None, np.asarray(picture.convert("L"), np.float32) / 255


def _print(rows: dict, pictures: dict, options) -> None:
    groups = {"": list(pictures)}
    if options.by_kind:
        for kind in sorted({about["kind"] for about in pictures.values()}):
            groups[kind] = [name for name in pictures if pictures[name]["kind"] == kind]
    base = next(iter(rows.values()))
    for group, names in groups.items():
        print(f"\n{len(names)} pictures{f' of kind {group}' if group else ''}\n")
        head = ["", "ratio", *(["worst half"] if options.halves else [])]
        head += ["MAE all / alpha / mask", "Grad", "IoU", "BIoU", "recomp", "seconds"]
        print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
        for row, scores in rows.items():
            print(f"| {row} | {' | '.join(_cells(scores, base, names, pictures, options))} |")


def _cells(scores, base, names, pictures, options) -> list[str]:
    def mean(key: str, form: str, some: list[str] = names) -> str:
        values = [scores[name][key] for name in some if key in scores[name]]
        return format(statistics.fmean(values), form) if values else "–"

    def ratio(some: list[str]) -> float:
        logs = [
            math.log(max(scores[name]["SAD"], 1e-3) / max(base[name]["SAD"], 1e-3)) for name in some
        ]
        return math.exp(statistics.fmean(logs)) if logs else math.nan

    of = {gt: [name for name in names if pictures[name]["gt"] == gt] for gt in ("alpha", "mask")}
    cells = [f"{ratio(names):.3f}"]
    if options.halves:
        shuffle, halves = random.Random(0), []
        for _ in range(options.halves):
            order = shuffle.sample(names, len(names))
            halves += [ratio(order[::2]), ratio(order[1::2])]
        cells.append(f"{max(halves):.3f}")
    cells.append(" / ".join(mean("MAE", ".4f", some) for some in (names, *of.values())))
    cells += [mean("Grad", ".1f"), mean("IoU", ".3f"), mean("BIoU", ".3f")]
    return [*cells, mean("recomp", ".1f"), mean("seconds", ".2f")]


if __name__ == "__main__":
    cv2.setNumThreads(2)
    main()
