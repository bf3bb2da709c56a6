"""What the tests of filters share."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest


class Stop(Exception):
    """Raised where work is to stop."""


@pytest.fixture
def stopping() -> Callable[[Callable], None]:
    """Call work with a checkpoint that stops it the third time, and see that it stops."""

    def stopping(work: Callable) -> None:
        calls = []

        def third_time():
            calls.append(1)
            if len(calls) == 3:
                raise Stop

        with pytest.raises(Stop):
            work(third_time)

    return stopping


@pytest.fixture(scope="session")
def grey_icc() -> bytes:
    """A sound ICC profile for grey pictures: a gamma of 2.2."""
    curve = struct.pack(">4s4xIH2x", b"curv", 1, round(2.2 * 256))
    head = struct.pack(
        ">I4sI4s4s4s12x4s28x3i48x",
        *(144 + len(curve), b"lcms", 0x02100000, b"mntr", b"GRAY", b"XYZ ", b"acsp"),
        *(63190, 65536, 54061),  # D50
    )
    return head + struct.pack(">I4s2I", 1, b"kTRC", 144, len(curve)) + curve
