"""How the system says to stop: Ctrl+C, SIGTERM, and a terminal that is closed.

A signal that is ignored when the program starts stays so. A shell has Ctrl+C ignored by what it
starts with & in a script, and nohup the end of the terminal: they are meant for somebody else.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals beside Ctrl+C that ask a program to end."""


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by `ENDS`, as KeyboardInterrupt is by Ctrl+C.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def exit_code(stop: BaseException) -> int:
    """Return the exit code of a program that was stopped: 128 and the signal, as shells have it."""
    return 128 + getattr(stop, "number", signal.SIGINT)


def stop(number: int, frame: object = None) -> None:
    """Raise Stopped: the handler for `ENDS`."""
    raise Stopped(number)


@contextmanager
def handled(handler: Callable, numbers: tuple[int, ...]) -> Iterator[None]:
    """Have a handler take signals while the block runs, except those that are ignored.

    Does nothing in a thread other than the main one, which alone may set handlers.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)
