"""One thread beside the window that does what was asked for last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from qr_nodes.errors import Cancelled


class Errands:
    """Does wishes one after another; newer ones take the place of what is not begun.

    Parameters
    ----------
    name : of the thread
    do : callable
        Takes a wish, on the thread. `checkpoint` raises Cancelled in it once the thread is to end.
    """

    def __init__(self, name: str, do: Callable[[Any], None]):
        self._do = do
        self._mail = threading.Condition()
        self._wishes: list[Any] = []
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name)
        self._thread.start()

    def ask(self, wishes: Iterable[Any]) -> None:
        """Ask for these, the first first, and for nothing that was asked for and not begun."""
        with self._mail:
            self._wishes = list(wishes)
            self._mail.notify()

    def close(self) -> None:
        """End the thread."""
        with self._mail:
            self._closed = True
            self._mail.notify()
        self._thread.join()

    def checkpoint(self) -> None:
        if self._closed:
            raise Cancelled

    def _work(self) -> None:
        while True:
            with self._mail:
                self._mail.wait_for(lambda: self._wishes or self._closed)
                if self._closed:
                    return
                wish = self._wishes.pop(0)
            try:
                self._do(wish)
            except Cancelled:
                return
            del wish  # what it holds would stay in memory until the next one
