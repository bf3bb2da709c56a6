"""What the tests of filters share."""

from __future__ import annotations

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
