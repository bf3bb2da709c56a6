"""The benches that the README quotes still run: a figure is worth nothing if it cannot be repeated.

What they print is not looked at. Those beside other programs install them and take minutes; the
others are run here at small sizes.
"""

import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent / "bench"

SMALL = {
    "engine": "--megapixels 1 --tweaks 10 --only overhead latency memory",
    "brush": "--megapixels 0.5",
    "cancelling": "--megapixels 0.3",
    "scaling": "--megapixels 0.5 --only feather",
    "workers": "--workers 1 --seconds 0.1 --each 2",
}


@pytest.mark.parametrize("name", SMALL)
def test_a_bench_runs(name, weights):
    done = subprocess.run(
        [sys.executable, BENCH / f"{name}.py", *SMALL[name].split()],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") >= 2
