"""Side by side: a pause, and an end that another thread asks for."""

from __future__ import annotations

import threading
import time

from qr_nodes.batch import Batch, Room, cli_engine, find_pictures, run_batch
from qr_nodes.batch.overlap import overlapped


def test_a_paused_room_lets_those_inside_finish_and_nobody_in():
    room, inside, go, done = Room(100), threading.Event(), threading.Event(), []

    def work(item: int) -> int:
        with room.take(10):
            inside.set()
            go.wait(20)
        done.append(item)
        return item

    results = overlapped(work, range(6), 1, threading.Event())
    taker = threading.Thread(target=lambda: list(results))
    taker.start()
    assert inside.wait(20)
    room.paused = True
    go.set()
    time.sleep(0.6)
    assert done == [0] and room.used == 0
    room.paused = False
    taker.join(20)
    assert done == list(range(6))


def test_a_run_ends_when_another_thread_says_so_even_while_it_is_paused(graph, photos, tmp_path):
    engine, room, stop = cli_engine(cached=False), Room(1 << 30), threading.Event()
    room.paused = True
    batch = Batch(graph, tmp_path / "out", [photos], engine=engine)
    found = find_pictures([photos])
    results = []
    run = run_batch(batch, found, jobs=2, room=room, stop=stop, close=True)
    taker = threading.Thread(target=lambda: results.extend(run))
    taker.start()
    time.sleep(0.3)
    assert taker.is_alive()
    stop.set()
    taker.join(20)
    assert not taker.is_alive() and results == []
    assert not list((tmp_path / "out" / ".qr-nodes" / "parts").iterdir())
