"""Look for bytes that a reader trips over, led by which lines of the program they reach.

    pip install atheris
    python tests/attack/fuzz.py qrgraph|qredit|models|strokes FOLDER -max_total_time=1800
    python tests/attack/fuzz.py qrgraph FOLDER keep

FOLDER takes the corpus as it grows, and what a target trips over as crash-…; further options
are libFuzzer's. "keep" copies from there into corpus/ what reaches lines that nothing in it does.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import atheris

with atheris.instrument_imports(include=["qr_nodes", "json", "tomllib"]):
    import targets

ODD = (None, True, -1, 0, 1, 0.5, 1e308, -1e308, 1e-320, 2**63, 10**30, "", "\0", "a.b", ".", "é")
ODD += ("load", "load.cutout", "feather", "paint", [], {}, [[0, 0]], [[0.5, 0.5], [9, 9]])


def _places(value, at=()) -> list[tuple]:
    """Give the way to every value within a value, itself included."""
    found, inner = [at], ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, item in inner:
        found += _places(item, (*at, key))
    return found


def _changed(value, rng: random.Random):
    """Change one value within JSON: replace, drop, copy or rename it."""
    way = rng.choice(_places(value))
    if not way:
        return rng.choice(ODD)
    parent = value
    for key in way[:-1]:
        parent = parent[key]
    kind, key = rng.randrange(4), way[-1]
    source = value
    for step in rng.choice(_places(value)):
        source = source[step]
    if kind == 0:
        parent[key] = rng.choice(ODD)
    elif kind == 1:
        del parent[key]
    elif kind == 2:
        parent[key] = json.loads(json.dumps(source))
    elif isinstance(parent, dict):
        parent[rng.choice([str(odd) for odd in ODD])] = parent.pop(key)
    else:
        parent.append(json.loads(json.dumps(source)))
    return value


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """Change bytes, or values where they are JSON."""
    rng = random.Random(seed)
    if rng.random() < 0.6:
        try:
            value = json.loads(data)
            for _ in range(rng.choice((1, 1, 2, 4))):
                value = _changed(value, rng)
            new = json.dumps(value).encode()
            if len(new) <= most:
                return new
        except (ValueError, RecursionError):
            pass
    return atheris.Mutate(data, most)


def _reached(name: str, data: bytes) -> set:
    """Give the steps from line to line of the program that a target takes."""
    found: set = set()
    last = None

    def trace(frame, event, argument):
        nonlocal last
        if "qr_nodes" not in frame.f_code.co_filename:
            return None
        here = (frame.f_code.co_filename, frame.f_lineno)
        found.add((last, here))
        last = here
        return trace

    sys.settrace(trace)
    try:
        targets.TARGETS[name](data)
    finally:
        sys.settrace(None)
    return found


def keep(name: str, folder: Path) -> None:
    """Copy from a folder into the corpus what reaches more than is there, small files first."""
    kept = targets.CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    known = set().union(*(_reached(name, path.read_bytes()) for path in kept.iterdir()))
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_size):
        new = _reached(name, data := path.read_bytes()) - known
        if new:
            known |= new
            (kept / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


def main() -> None:
    """Run from the command line."""
    name, folder, *options = sys.argv[1:]
    if options == ["keep"]:
        keep(name, Path(folder))
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    seeds = str(targets.CORPUS / name)
    limits = ["-max_len=8000", "-timeout=20", "-rss_limit_mb=3000", f"-artifact_prefix={folder}/"]
    arguments = [sys.argv[0], folder, seeds, *limits, *options]
    atheris.Setup(arguments, targets.TARGETS[name], custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
