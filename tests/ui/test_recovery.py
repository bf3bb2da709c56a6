"""Unsaved work: kept aside, gone on a clean end, offered after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from qr_nodes.errors import ReadError
from qr_nodes.graph import Graph
from qr_nodes.nodes import find
from qr_nodes.qrgraph import load_graph, save_graph
from qr_nodes.ui import recovery
from qr_nodes.ui.recovery import Recovery, discard, list_recoverable

CRASHES = """
import sys, time
from qr_nodes.qrgraph import load_graph
from qr_nodes.ui.recovery import Recovery
kept = Recovery()
kept.keep(load_graph("quick").set_param("export", "quality", 42), sys.argv[1])
while not kept.file.exists():
    time.sleep(0.01)
print(kept.file, flush=True)
time.sleep(60)
"""


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(recovery, "PAUSE", 0.01)
    kept = Recovery()
    yield kept
    kept.close()


@pytest.fixture
def crashed(tmp_path):
    """A process that is editing `photo.qrgraph`; gives it, to be killed, and its sidecar."""
    argv = [sys.executable, "-c", CRASHES, str(tmp_path / "photo.qrgraph")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def until(true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    assert true()


def kill(process):
    os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    process.wait()


def test_an_unsaved_graph_lies_in_the_sidecar_as_an_ordinary_graph(kept):
    graph = Graph().add(find("feather")).set_param("feather", "sigma", 7.0)
    kept.keep(graph, "/pictures/a.qrgraph")
    until(kept.file.exists)
    assert load_graph(kept.file).nodes["feather"].params["sigma"] == 7.0


def test_the_newest_graph_reaches_the_sidecar(kept):
    graph = Graph().add(find("feather"))
    for sigma in range(50):
        kept.keep(graph := graph.set_param("feather", "sigma", float(sigma)))
    until(
        lambda: (
            kept.file.exists() and load_graph(kept.file).nodes["feather"].params["sigma"] == 49.0
        )
    )


def test_a_saved_graph_has_no_sidecar(kept):
    kept.keep(Graph())
    until(kept.file.exists)
    kept.keep(Graph(), saved=True)
    until(lambda: not kept.file.exists())


def test_a_clean_end_leaves_nothing_behind(home):
    kept = Recovery()
    kept.keep(Graph().add(find("feather")))
    until(kept.file.exists)
    kept.close()
    assert list((home / "recovery").iterdir()) == []


def test_an_end_that_nobody_was_asked_about_leaves_the_newest(home):
    kept = Recovery()
    kept.keep(Graph().add(find("feather")))
    until(kept.file.exists)
    kept.keep(Graph().add(find("feather")).set_param("feather", "sigma", 7.0))  # within the pause
    kept.close(keep=True)
    (entry,) = list_recoverable()
    assert load_graph(entry.file).nodes["feather"].params["sigma"] == 7.0
    discard(entry)
    saved = Recovery()
    saved.keep(Graph(), saved=True)
    saved.close(keep=True)
    assert list((home / "recovery").iterdir()) == []


def test_unsaved_work_of_a_running_process_is_not_offered(kept, crashed):
    kept.keep(Graph())
    until(kept.file.exists)
    assert list_recoverable() == []


def test_unsaved_work_of_a_killed_process_is_offered_and_loaded(kept, crashed, home, tmp_path):
    process, _ = crashed
    before = time.time()
    kill(process)
    (entry,) = list_recoverable()
    assert (entry.title, entry.path) == ("photo.qrgraph", str(tmp_path / "photo.qrgraph"))
    assert before - 60 < entry.time <= time.time()
    graph, faults = kept.adopt(entry)
    assert not faults
    assert graph.nodes["export"].params["quality"] == 42
    assert graph.extra == Graph().extra
    assert not (tmp_path / "photo.qrgraph").exists()
    # From here on it is this process's: not offered twice, and safe if this one dies too.
    assert list_recoverable() == []
    assert kept.file.exists()
    with pytest.raises(ReadError, match=r"photo\.qrgraph: the unsaved work cannot be read"):
        kept.adopt(entry)


def test_a_recovered_graph_is_saved_as_if_nothing_had_happened(kept, crashed, tmp_path):
    kill(crashed[0])
    graph, _ = kept.adopt(list_recoverable()[0])
    plain = load_graph("quick").set_param("export", "quality", 42)
    save_graph(graph, tmp_path / "one.qrgraph")
    save_graph(plain, tmp_path / "other.qrgraph")
    assert (tmp_path / "one.qrgraph").read_bytes() == (tmp_path / "other.qrgraph").read_bytes()


def test_discarded_work_is_gone(crashed, home):
    kill(crashed[0])
    (entry,) = list_recoverable()
    discard(entry)
    assert list_recoverable() == []
    assert list((home / "recovery").iterdir()) == []


def test_the_newest_is_offered_first_and_what_is_damaged_not_at_all(home):
    folder = home / "recovery"
    folder.mkdir()
    for name, when in (("1-1", 5.0), ("1-2", 9.0), ("1-3", 7.0)):
        text = f'{{"format": "qrgraph", "unsaved": {{"path": "{name}", "time": {when}}}}}'
        (folder / f"{name}.qrgraph").write_text(text)
    (folder / "1-4.qrgraph").write_text('{"format": "qrgr')
    (folder / "1-5.qrgraph").write_text('{"unsaved": {"path": 3}}')
    assert [entry.title for entry in list_recoverable()] == ["1-2", "1-3", "1-1"]


def test_locks_that_nobody_holds_are_swept_away(kept, home):
    folder = home / "recovery"
    for name, age in (("1-1", 100), ("1-2", 0)):
        (folder / f"{name}.lock").touch()
        os.utime(folder / f"{name}.lock", (time.time() - age,) * 2)
    own = kept.file.with_suffix(".lock")
    os.utime(own, (time.time() - 100,) * 2)
    list_recoverable()
    assert {file.name for file in folder.iterdir()} == {own.name, "1-2.lock"}


def test_a_sidecar_whose_lock_is_out_of_reach_is_somebody_elses(crashed, monkeypatch):
    kill(crashed[0])
    opened = recovery.Path.open

    def refused(path, *more):
        if path.suffix == ".lock":
            raise PermissionError(13, "Permission denied")
        return opened(path, *more)

    monkeypatch.setattr(recovery.Path, "open", refused)
    assert list_recoverable() == []


def test_of_several_windows_that_open_unsaved_work_one_gets_it(crashed, home):
    kill(crashed[0])
    (entry,) = list_recoverable()
    windows, got, refused = [Recovery() for _ in range(5)], [], []

    def adopt(window):
        try:
            got.append(window.adopt(entry))
        except ReadError as error:
            refused.append(error)

    threads = [threading.Thread(target=adopt, args=[window]) for window in windows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 4)
    assert len(list((home / "recovery").glob("*.qrgraph"))) == 1
    for window in windows:
        window.close()


def test_work_that_cannot_be_kept_is_said_and_tried_again(kept, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "write_whole", full)
        kept.keep(Graph().add(find("feather")))
        until(lambda: kept.fault)
        assert kept.fault.startswith("unsaved work cannot be kept (No space left on device).")
    until(lambda: kept.file.exists() and not kept.fault)


def test_a_home_that_cannot_be_written_keeps_no_window_shut(tmp_path):
    (tmp_path / "file").touch()
    kept = Recovery(tmp_path / "file" / "recovery")
    kept.keep(Graph())
    kept.close()
    assert list_recoverable(tmp_path / "file" / "recovery") == []
