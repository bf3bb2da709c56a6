"""Several processes at one graph, one settings file, one cache, one folder of models."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import open_window, screen  # noqa: F401
from driver import needs_a_screen, wait

from qr_nodes.cache import Disk
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import load_graph, save_graph
from qr_nodes.ui.settings import Settings, Store

SETTINGS = """
import sys, time as clock
from qr_nodes.ui.settings import Store
store, number = Store(), int(sys.argv[1])
names = ["memory", "minimap", "loupe", "histogram"]
for time in range(40):
    value = 1000 + time if number == 0 else time % 2 == 1
    store.change(**{names[number]: value})
    store.remember(f"/pictures/{number}-{time % 2}.png")
    clock.sleep(0.02)
"""
CACHE = """
import sys
import numpy as np
from qr_nodes.cache import Disk
disk, chance = Disk(sys.argv[1], limit=400_000), np.random.default_rng(int(sys.argv[2]))
found = 0
for _ in range(150):
    number = int(chance.integers(0, 12))
    key = bytes([number]) * 16
    if chance.random() < 0.5:
        disk.put(key, (np.full((100, 100), number, np.float32), np.arange(number + 1)))
    elif (value := disk.get(key)) is not None:
        found += 1
        assert (value[0] == number).all() and len(value[1]) == number + 1
print(found)
"""


def together(code: str, *arguments: tuple) -> list[str]:
    """Run code in several processes at once, with other arguments each; give what they print."""
    running = [
        subprocess.Popen([sys.executable, "-c", code, *map(str, one)], stdout=subprocess.PIPE)
        for one in arguments
    ]
    said = [one.communicate(timeout=120)[0].decode() for one in running]
    assert [one.returncode for one in running] == [0] * len(running)
    return said


def test_settings_of_four_processes_are_all_kept(home):
    together(SETTINGS, (0,), (1,), (2,), (3,))
    now = Store().now
    assert (now.memory, now.minimap, now.loupe, now.histogram) == (1039, True, True, True)
    wanted = {f"/pictures/{number}-{time}.png" for number in range(4) for time in range(2)}
    assert set(now.recent) == wanted
    assert not [path.name for path in home.iterdir() if path.name.endswith((".bad", ".part"))]


def test_an_older_window_that_closes_undoes_nothing_of_a_newer_one(home):
    older, newer = Store(), Store()
    newer.change(memory=4096, tint="#00ff00", splitters={"viewer": 300})
    everything = {"window": (1440, 900), "tint": older.now.tint, "memory": 0, "splitters": {}}
    older.change(**everything, histogram=True)
    now = Store().now
    assert (now.memory, now.tint, now.splitters) == (4096, "#00ff00", {"viewer": 300})
    assert now.histogram


def test_settings_that_could_not_be_written_are_written_later(home, monkeypatch):
    store = Store()
    with monkeypatch.context() as patch:
        patch.setattr("qr_nodes.ui.settings.write_whole", _full)
        with pytest.raises(Exception, match="No space"):
            store.change(memory=4096)
    store.change(minimap=True)
    assert (Store().now.memory, Store().now.minimap) == (4096, True)


def _full(*_):
    raise OSError(28, "No space left on device")


def test_settings_that_cannot_be_read_are_not_written_over(home, monkeypatch):
    Store().change(memory=4096)
    read = Path.read_bytes

    def refused(path):
        if path.name == "settings.json":
            raise PermissionError(13, "Permission denied")
        return read(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        store = Store()
        assert store.now == Settings()
        with pytest.raises(Exception, match="Permission denied"):
            store.change(minimap=True)
    assert Store().now.memory == 4096 and not (home / "settings.json.bad").exists()


def test_a_cache_that_four_processes_share_gives_what_was_put_or_nothing(tmp_path):
    said = together(CACHE, *[(tmp_path / "networks", seed) for seed in range(4)])
    assert sum(map(int, said)) > 20
    kept = list((tmp_path / "networks").iterdir())
    assert all(path.suffix == ".npz" for path in kept)
    assert sum(path.stat().st_size for path in kept) < 500_000


def test_a_damaged_entry_of_the_cache_is_dropped_and_never_shown(tmp_path):
    disk, chance = Disk(tmp_path), np.random.default_rng(7)
    value = (np.float32(np.indices((20, 30)).sum(0)), np.arange(5))
    disk.put(b"k" * 16, value)
    path = disk._path(b"k" * 16)
    sound = path.read_bytes()
    dropped = 0
    for _ in range(3000):
        data = bytearray(sound)
        if chance.random() < 0.2:
            data = data[: chance.integers(0, len(data))]
        for _ in range(chance.integers(0, 4)):
            if data:
                data[chance.integers(0, len(data))] ^= 1 << chance.integers(0, 8)
        if chance.random() < 0.1:  # as a disk does that knew the size but not yet the content
            start = chance.integers(0, len(data) + 1)
            data[start:] = bytes(len(data) - start)
        path.write_bytes(data)
        found = disk.get(b"k" * 16)
        if found is None:
            dropped += 1
            assert not path.exists()
        else:
            assert all((a == b).all() for a, b in zip(found, value, strict=True))
    assert dropped > 1500


@needs_a_screen
def test_a_window_warns_before_it_saves_over_what_another_program_wrote(
    open_window,  # noqa: F811
    tmp_path,
):
    file = tmp_path / "mine.qrgraph"
    save_graph(Graph().add("levels"), file)
    window = open_window(file)
    window.key("ctrl+a", "ctrl+d")
    other = load_graph(file).set_param("levels", "gamma", 2.0)
    save_graph(other, file)
    theirs = file.read_bytes()
    window.key("ctrl+s")
    time.sleep(1)
    assert file.read_bytes() == theirs
    window.key("Escape", "ctrl+s")
    time.sleep(1)
    assert file.read_bytes() == theirs
    window.key("Return")  # Save As…, the first of the answers
    time.sleep(2)
    window.key("ctrl+a")
    window.type(str(tmp_path / "ours.qrgraph"))
    window.key("Return")
    wait((tmp_path / "ours.qrgraph").exists, 20, "saving under another name")
    assert len(json.loads((tmp_path / "ours.qrgraph").read_bytes())["nodes"]) == 2
    assert file.read_bytes() == theirs
