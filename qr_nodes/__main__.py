"""`python -m qr_nodes` and the command `qr-nodes`."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys

from qr_nodes import heap


def main() -> int:
    """Run the command line; give its exit code."""
    tune()
    from qr_nodes.cli import main

    if not ({"QR_NODES_DEBUG", "PYTHONFAULTHANDLER"} & os.environ.keys() or "--debug" in sys.argv):
        hush()
    try:
        return main()
    finally:
        gc.freeze()  # Python's end would search all that is still there for circles: 20 ms


def tune() -> None:
    """Set for all of the process, before numpy is imported, what its libraries leave to it.

    numpy's BLAS starts a thread for each core that spins until it has work; here it never has, as
    the products are OpenCV's.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    heap.keep()


def hush() -> None:
    """Keep what C libraries print of damaged files off the terminal; Python's own goes there.

    libjpeg, libpng and libtiff write past any handler that can be set from here. What they find
    is said as one sentence by who called them.
    """
    try:
        terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # started without standard error
        return
    if sys.stderr is not None:
        sys.stderr.flush()
        sys.stderr = open(  # noqa: SIM115 - for as long as the process lives
            terminal, "w", 1, encoding=sys.stderr.encoding, errors="backslashreplace"
        )
        if faulthandler.is_enabled():
            faulthandler.enable(sys.stderr)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
