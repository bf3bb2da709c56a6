"""What other programs give, run in a virtual environment of their own.

    python tests/bench/peers.py [--runs 3] [--rows ROW ...] [--only cold ...]

compares the program with them: see speed.py. rembg, and pymatting with it, are installed on first
use into the user's cache folder; nothing of the project depends on them. Inside that environment
this file does the work, told on standard input what to do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

WORK = "--work"
"""Tells this file, as a script, that it is to do what it is told on standard input."""

PACKAGES = ("rembg[cpu,cli]==2.0.86", "numpy", "Pillow")


def python(folder: Path) -> str:
    """Give the interpreter of the environment in `folder`, made if it is not there."""
    where = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    found, ready = folder.joinpath(*where), folder / "ready"
    if not ready.exists() or ready.read_text() != repr(PACKAGES):
        print(f"installing {PACKAGES[0]} into {folder}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(found), "-m", "pip", "install", "-q", *PACKAGES]
        subprocess.run(install, check=True)
        ready.write_text(repr(PACKAGES))
    return str(found)


def rembg(
    interpreter: str,
    weights: Path,
    pictures: list[Path],
    out: Path,
    options: dict,
    clock: str = "perf_counter",
) -> dict[str, float]:
    """Write rembg's cut-outs as PNG into `out`; give the seconds that each took.

    The network is loaded beforehand, and reading and writing files does not count.

    Parameters
    ----------
    interpreter : path
        From `python`.
    weights : path
        The network, called as rembg calls it.
    pictures : list of paths
    out : path of a folder
    options : dict
        What `rembg.remove` is told.
    clock : str
        The function of `time` that the seconds are of.
    """
    models = out / "models"
    models.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(weights, models / weights.name)
    return _told(
        interpreter,
        {"do": "rembg", "model": weights.stem, "out": str(out), "options": options, "clock": clock}
        | {"pictures": [str(picture) for picture in pictures]},
        {"U2NET_HOME": str(models)},
    )


def closed_form(
    interpreter: str, pairs: list[tuple[str, str, str]], clock: str = "perf_counter"
) -> dict[str, float]:
    """Have pymatting solve closed-form matting; (picture, trimap, matte) paths of .npy files.

    `clock` is the function of `time` that the seconds are of.
    """
    return _told(interpreter, {"do": "closed form", "pairs": pairs, "clock": clock})


def multi_level(
    interpreter: str, pairs: list[tuple[str, str, str]], clock: str = "perf_counter"
) -> dict[str, float]:
    """Have pymatting estimate foregrounds; (picture, alpha, colour) paths of .npy files."""
    return _told(interpreter, {"do": "multi level", "pairs": pairs, "clock": clock})


def _told(interpreter: str, order: dict, environment: dict | None = None) -> dict[str, float]:
    done = subprocess.run(
        [interpreter, str(Path(__file__).resolve()), WORK],
        input=json.dumps(order),
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _rembg(order: dict) -> dict[str, float]:
    from PIL import Image
    from rembg import new_session, remove

    session, seconds, clock = new_session(order["model"]), {}, getattr(time, order["clock"])
    remove(Image.new("RGB", (64, 64), "red"), session=session)
    for path in map(Path, order["pictures"]):
        picture = Image.open(path).convert("RGB")
        picture.load()
        began = clock()
        found = remove(picture, session=session, **order["options"])
        seconds[path.stem] = clock() - began
        found.save(Path(order["out"], f"{path.stem}.png"), compress_level=1)
    return seconds


def _pymatting(order: dict) -> dict[str, float]:
    import numpy as np
    from pymatting import estimate_alpha_cf, estimate_foreground_ml

    solve = estimate_alpha_cf if order["do"] == "closed form" else estimate_foreground_ml
    clock = getattr(time, order["clock"])
    random, seconds = np.random.default_rng(0).random((16, 16, 3)), {}
    solve(random, np.linspace(0, 1, 256).reshape(16, 16).round(1))  # compiles it
    for picture, matte, out in order["pairs"]:
        color, plane = (np.load(file).astype(np.float64) for file in (picture, matte))
        began = clock()
        found = solve(color, plane)
        seconds[Path(out).stem] = clock() - began
        np.save(out, found.astype(np.float32))
    return seconds


def main() -> None:
    if sys.argv[1:] != [WORK]:
        import speed

        speed.main()
        return
    told = json.load(sys.stdin)
    print(json.dumps((_rembg if told["do"] == "rembg" else _pymatting)(told)))


if __name__ == "__main__":
    main()
