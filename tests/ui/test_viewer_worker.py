"""The viewer's thread: the newest wish is made, faults are handed on, closing ends it."""

from __future__ import annotations

import queue
import threading

import numpy as np
import pytest

from qr_nodes.ui.viewer_worker import Picture, Worker


class Slow(Picture):
    """A picture whose levels wait to be let through."""

    def make(self, number, checkpoint=lambda: None):
        self.begun.set()
        self.gate.wait(20)
        return super().make(number, checkpoint)


def picture(kind=Picture, name="") -> Picture:
    made = kind(np.zeros((6, 8), np.float32), 1.0, (8, 6), "alpha", name)
    made.begun, made.gate = threading.Event(), threading.Event()
    return made


@pytest.fixture
def posted():
    return queue.SimpleQueue()


@pytest.fixture
def worker(posted):
    made = Worker(lambda *call: posted.put(call), lambda *level: level)
    yield made
    made.close()


def test_of_wishes_that_come_while_it_works_the_newest_is_made(worker, posted):
    slow, skipped, newest = picture(Slow), picture(name="skipped"), picture(name="newest")
    worker.ask(slow, 0)
    assert slow.begun.wait(20)
    worker.ask(skipped, 0)
    worker.ask(newest, 1)
    slow.gate.set()
    calls = [posted.get(timeout=20) for _ in range(2)]
    assert [(call[1], call[2]) for call in calls] == [(slow, 0), (newest, 1)]
    assert calls[1][3].shape == (3, 4, 4)
    assert posted.empty()


def test_a_fault_is_raised_in_the_window_and_the_next_picture_is_made(worker, posted):
    broken = picture()
    broken.value = np.zeros((6, 8, 9, 2), np.float32)
    worker.ask(broken, 0)
    call, *arguments = posted.get(timeout=20)
    with pytest.raises(Exception, match=r"."):
        call(*arguments)
    fine = picture()
    worker.ask(fine, 0)
    assert posted.get(timeout=20)[1] is fine


def test_closing_ends_the_thread_in_the_middle_of_a_picture(posted):
    before = set(threading.enumerate())
    worker, slow = Worker(lambda *call: posted.put(call), print), picture(Slow)
    (thread,) = set(threading.enumerate()) - before
    worker.ask(slow, 0)
    assert slow.begun.wait(20)
    threading.Timer(0.05, slow.gate.set).start()
    worker.close()
    assert not thread.is_alive()
    assert posted.empty()


def test_the_level_to_show_is_the_next_finer_one_or_else_a_coarser():
    shown = picture()
    assert shown.best(2) is None
    shown.levels = {number: shown.make(number) for number in (1, 3)}
    assert [shown.best(number) for number in range(5)] == [1, 1, 1, 3, 3]
