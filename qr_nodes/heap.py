"""The C library's heap: keep what is freed for what comes next, give it back when nothing comes.

Arrays of some MB it would take from the system each time and give back at once, and the system
clears them anew, which costs a third of some nodes' time. This is about glibc; with another C
library both functions do nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""What `mallopt` calls them."""

KEPT = 512 << 20
"""Bytes that may lie free at the heap's end: what a picture of 24 MP needs on its way."""

IDLE = 5.0
"""Seconds without work after which what lives on, such as the window, should `give_back`."""


def keep() -> None:
    """Let all threads of this process share one heap that keeps what is freed.

    Threads would have heaps of their own, and what one frees others cannot use: 670 MiB for a
    picture of 24 MP instead of 550, in the same time. With all memory on the heap the next picture
    takes 0.8 of the time, a first one 0.93, and a process that works for long a fifth more
    memory, as between what is in use some lies free; `give_back` hands that over too.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        with contextlib.suppress(OSError, AttributeError):
            for setting, value in ((ARENA_MAX, 1), (MMAP_MAX, 0), (TRIM_THRESHOLD, KEPT)):
                _library().mallopt(setting, value)


def give_back() -> None:
    """Give the system what lies free on the heap: 5 ms for some 300 MB, else next to nothing."""
    with contextlib.suppress(OSError, AttributeError):
        _library().malloc_trim(0)


@cache
def _library() -> Any:
    import ctypes

    if sys.platform != "linux":
        raise OSError
    return ctypes.CDLL(None)
