"""Read a pipe to its end, but not for ever."""

from __future__ import annotations

import errno
import os
import select

PATIENCE = 10.0
"""Seconds in which something must come out of a pipe."""


def drained(path: str | os.PathLike, most: float) -> bytes:
    """Give all that comes out of the pipe at `path`.

    Raises
    ------
    OSError
        Nobody writes to it, or more than `most` bytes come.
    """
    pipe = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        data = bytearray()
        while len(data) <= most:
            if not select.select([pipe], [], [], PATIENCE)[0]:
                raise OSError(errno.ETIMEDOUT, "nothing comes out of this pipe")
            block = os.read(pipe, 1 << 20)
            if not block:
                return bytes(data)
            data += block
    finally:
        os.close(pipe)
    raise OSError(errno.EFBIG, f"more than {most / 1e6:.0f} MB come out of this pipe")
