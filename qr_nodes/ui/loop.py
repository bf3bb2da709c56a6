"""The frame loop: takes results of other threads, calls callbacks, draws.

State: the inbox of calls posted from other threads, and when something last moved.
"""

from __future__ import annotations

import inspect
import queue
import time
from collections.abc import Callable

import dearpygui.dearpygui as dpg

SHARE = 0.008
"""Seconds of posted calls per frame."""

AWAKE = 0.5
"""Seconds after the last event until the loop slows down."""

ASLEEP = 5.0
"""Seconds after the last event until it slows down once more."""

IDLE = 1 / 15
"""Seconds between frames when nothing moves; twice that when asleep."""


class Loop:
    """Drives Dear PyGui with manual callback management.

    Parameters
    ----------
    on_error : callable
        Takes an exception that a callback let through; the loop goes on.
    """

    def __init__(self, on_error: Callable[[BaseException], None]):
        self.on_error = on_error
        self.hooks: list[Callable[[], None]] = []
        self.inbox: queue.SimpleQueue = queue.SimpleQueue()
        self._moved, self._mouse = time.monotonic(), None

    def post(self, call: Callable, *arguments) -> None:
        """Have the main thread call something before its next frame; from any thread."""
        self.inbox.put((call, arguments))

    def wake(self) -> None:
        """Draw at full speed for the next moment."""
        self._moved = time.monotonic()

    def run(self) -> None:
        """Draw frames until the window is closed."""
        while dpg.is_dearpygui_running():
            mouse = dpg.get_mouse_pos(local=False)
            if mouse != self._mouse or any(map(dpg.is_mouse_button_down, (0, 1, 2))):
                self._mouse = mouse
                self.wake()
            self.step(self.pause())

    def pause(self) -> float:
        """Give the seconds that a frame may wait: none while things move, more and more after."""
        still = time.monotonic() - self._moved
        return 0.0 if still < AWAKE else IDLE if still < ASLEEP else 2 * IDLE

    def step(self, wait: float = 0.0) -> None:
        """Do one frame; with nothing to do, wait up to `wait` seconds for something first."""
        end = time.perf_counter() + wait + SHARE
        while time.perf_counter() < end:
            try:
                call, arguments = self.inbox.get(timeout=wait) if wait else self.inbox.get_nowait()
            except queue.Empty:
                break
            wait = 0.0
            self._guard(call, *arguments)
            self.wake()
        for callback, *arguments in dpg.get_callback_queue() or ():
            if callback is not None and _is_there(*arguments[:1]):
                self._guard(_called, callback, arguments)
        for hook in self.hooks:
            self._guard(hook)
        dpg.render_dearpygui_frame()

    def _guard(self, call: Callable, *arguments) -> None:
        try:
            call(*arguments)
        except Exception as error:
            self.on_error(error)


def _is_there(sender: object = 0) -> bool:
    """Say whether what calls is still there: a callback before may have closed its dialog."""
    return not (isinstance(sender, int) and sender) or dpg.does_item_exist(sender)


def _called(callback: Callable, arguments: list) -> None:
    """Call back with as many of (sender, data, user data) as the callback takes."""
    kinds = inspect.signature(callback).parameters.values()
    count = sum(kind.kind <= kind.POSITIONAL_OR_KEYWORD for kind in kinds)
    callback(*arguments[:count])
