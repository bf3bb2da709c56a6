"""The command `qr-nodes`, which also counts the frames that its window draws.

    python tests/ui/counted.py FILE edit …

The count stands in the first eight bytes of FILE, for whoever uses the window to wait for.
"""

from __future__ import annotations

import mmap
import struct
import sys

from qr_nodes.__main__ import main, tune


def count_frames(file: str) -> None:
    """Have every frame of the window counted in a file of eight bytes."""
    from qr_nodes.ui.loop import Loop

    with open(file, "r+b") as opened:
        held = mmap.mmap(opened.fileno(), 8)
    draw, drawn = Loop.step, 0

    def step(*arguments):
        nonlocal drawn
        draw(*arguments)
        drawn += 1
        struct.pack_into("<q", held, 0, drawn)

    Loop.step = step


if __name__ == "__main__":
    tune()
    count_frames(sys.argv.pop(1))
    sys.exit(main())
