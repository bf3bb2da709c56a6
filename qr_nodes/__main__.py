"""`python -m qr_nodes` and the command `qr-nodes`."""

from __future__ import annotations

import faulthandler
import gc
import io
import os
import sys

from qr_nodes import heap, names


def main() -> int:
    """Run the command line; give its exit code."""
    tune()
    fill()
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


def fill() -> None:
    """Have standard input, output and error be something, also where a shell has closed them.

    Otherwise the next file that is opened would be one of them. Reading or writing these fails as
    it does on what is closed.
    """
    ways = (("stdin", os.O_WRONLY, "r"), ("stdout", os.O_RDONLY, "w"), ("stderr", os.O_RDONLY, "w"))
    for number, (name, closed, mode) in enumerate(ways):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, closed)
            if handle != number:
                os.dup2(handle, number)
                os.close(handle)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
        if mode == "w":
            getattr(sys, name).reconfigure(errors=names.SHOWN)


class _Unheard(io.FileIO):
    """Standard error: that nobody can be told of a fault is no fault of its own."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


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
        told = io.BufferedWriter(_Unheard(terminal, "w"))
        sys.stderr = io.TextIOWrapper(told, sys.stderr.encoding, names.SHOWN, line_buffering=True)
        if faulthandler.is_enabled():
            faulthandler.enable(sys.stderr)
    os.dup2(nowhere, 2)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
