"""How much of a change to an algorithm the tests would notice: mutants over `qr_nodes/imaging/`.

    python tests/bench/mutants.py [--count 200] [--seed 1] [--only MODULE ...]

Each mutant is one change of one place: a number doubled, halved or made 1, a comparison turned,
plus for minus, times for divided by, `and` for `or`, a condition negated. It runs in a copy of the
tree, under the tests of its module and the pinned figures, or all of the room's where a module
has none of its own; a sample of all places is taken by the seed. Printed are the survivors, which
are places to look at (some change nothing that can be seen), and the share caught.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOM = Path("qr_nodes", "imaging")
TIMEOUT_S = 120
"""A mutant that takes longer loops: that is noticed."""
SWAPPED = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And},
}


def places(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the number of each node that can be changed, in order of `ast.walk`, and how."""
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if part is not None
        for inner in ast.walk(part)
    }
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in annotations:
            continue
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield from ((number, how) for how in ("double", "halve"))
        elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp | ast.Compare):
            operator = node.ops[0] if isinstance(node, ast.Compare) else node.op
            if type(operator) in SWAPPED:
                yield number, "swap"
        elif isinstance(node, ast.If | ast.IfExp):
            yield number, "negate"


def changed(tree: ast.Module, number: int, how: str) -> tuple[ast.Module, str]:
    """Return a copy of a module with one place changed, and what that was."""
    tree = copy.deepcopy(tree)
    node = list(ast.walk(tree))[number]
    before, line = ast.unparse(node), node.lineno
    if how == "negate":
        node.test = ast.UnaryOp(ast.Not(), node.test)
    elif how == "swap" and isinstance(node, ast.Compare):
        node.ops[0] = SWAPPED[type(node.ops[0])]()
    elif how == "swap":
        node.op = SWAPPED[type(node.op)]()
    elif not node.value:
        node.value = type(node.value)(1)
    else:
        more = node.value * 2 if how == "double" else node.value / 2
        node.value = more if isinstance(node.value, float) else int(more)
    after = ast.unparse(node)
    return tree, f"{line}: {before.splitlines()[0][:60]} → {after.splitlines()[0][:60]}"


def caught(copied: Path, module: Path, source: str) -> bool:
    """Return whether a test fails with a module's source changed."""
    target, tests = copied / ROOM / module.name, copied / "tests" / "imaging"
    before = target.read_text()
    own = tests / f"test_{module.stem}.py"
    files = map(str, (own, tests / "test_pinned.py") if own.exists() else (tests,))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *files]
    target.write_text(source)
    try:
        done = subprocess.run(
            command, cwd=copied, capture_output=True, timeout=TIMEOUT_S,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        return done.returncode != 0
    except subprocess.TimeoutExpired:
        return True
    finally:
        target.write_text(before)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], metavar="MODULE")
    options = parser.parse_args()
    modules = [m for m in sorted((ROOT / ROOM).glob("*.py")) if m.stem != "__init__"]
    modules = [module for module in modules if not options.only or module.stem in options.only]
    trees = {module: ast.parse(module.read_text()) for module in modules}
    every = [(module, *place) for module in modules for place in places(trees[module])]
    sample = random.Random(options.seed).sample(every, min(options.count, len(every)))
    noticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        for name in ("qr_nodes", "tests", "graphs", "models"):
            shutil.copytree(ROOT / name, copied / name)
        shutil.copy(ROOT / "pyproject.toml", copied)
        for done, (module, number, how) in enumerate(sample, 1):
            tree, what = changed(trees[module], number, how)
            if caught(copied, module, ast.unparse(tree)):
                noticed += 1
            else:
                print(f"survived  {module.name}:{what}", flush=True)
            print(f"{done} of {len(sample)}", end="\r", file=sys.stderr)
    print(f"{noticed} of {len(sample)} mutants caught, {noticed / len(sample):.0%}")


if __name__ == "__main__":
    main()
