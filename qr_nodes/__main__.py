"""`python -m qr_nodes` and the command `qr-nodes`."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys


def main() -> int:
    """Run the command line; give its exit code."""
    tune()
    from qr_nodes.cli import main

    if not ({"QR_NODES_DEBUG", "PYTHONFAULTHANDLER"} & os.environ.keys() or "--debug" in sys.argv):
        hush()
    return main()


def tune() -> None:
    """Set for all of the process, before numpy is imported, what its libraries leave to it.

    numpy's BLAS starts a thread for each core that spins until it has work; here it never has, as
    the products are OpenCV's. With glibc most threads take memory from heaps of their own, and what
    one frees, others cannot use: 670 MiB for a picture of 24 MP instead of 550, in the same time.
    Memory of some MB it takes from the system at each turn and gives back at once, and the system
    clears it anew: with what is freed kept, up to 128 MiB of it, Refine Edges takes 0.75 of the
    time. Larger pieces would leave holes that nothing fits into.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        import ctypes

        with contextlib.suppress(OSError, AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(-8, 1)  # M_ARENA_MAX
            mallopt(-3, 16 << 20)  # M_MMAP_THRESHOLD
            mallopt(-1, 128 << 20)  # M_TRIM_THRESHOLD


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
