"""Files are put in their place whole, and what killed processes left is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from qr_nodes import whole

posix = pytest.mark.skipif(os.name == "nt", reason="permissions and locks of POSIX")
WRITES = """
import sys, time
from qr_nodes.whole import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half")
    file.flush()
    print(flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def nothing_swept(monkeypatch):
    monkeypatch.setattr(whole, "_swept", set())


@pytest.fixture
def writer(tmp_path):
    """A process that is writing `tmp_path/file`."""
    command = [sys.executable, "-c", WRITES, str(tmp_path / "file")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, data):
    with whole.replacing(path) as file:
        file.write(data)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    write(tmp_path / "file", b"old")
    with pytest.raises(type(error)), whole.replacing(tmp_path / "file") as file:
        file.write(b"new")
        raise error
    assert (tmp_path / "file").read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path, writer):
    writer.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    writer.wait()
    assert len(names(tmp_path)) == 1 and names(tmp_path)[0].endswith(whole.ENDING)
    if os.name == "nt":
        os.utime(tmp_path / names(tmp_path)[0], (0, 0))
    write(tmp_path / "other", b"whole")
    assert names(tmp_path) == ["other"]


def test_what_a_living_writer_is_at_stays(tmp_path, writer):
    before = names(tmp_path)
    whole.sweep(tmp_path)
    assert names(tmp_path) == before and len(before) == 1


def test_only_parts_are_swept(tmp_path):
    for name in ("mine.part", ".qr-nodes-notes", ".qr-nodes-0.part.txt"):
        (tmp_path / name).touch()
    (tmp_path / ".qr-nodes-0.part").touch()
    (tmp_path / "victim").write_bytes(b"kept")
    (tmp_path / ".qr-nodes-1.part").symlink_to(tmp_path / "victim")
    if os.name == "nt":
        os.utime(tmp_path / ".qr-nodes-0.part", (0, 0))
    whole.sweep(tmp_path)
    assert {*names(tmp_path)} >= {".qr-nodes-0.part.txt", ".qr-nodes-notes", "mine.part", "victim"}
    assert ".qr-nodes-0.part" not in names(tmp_path)


@posix
def test_permissions_stay_and_new_files_get_what_is_asked(tmp_path):
    old = os.umask(0o022)
    try:
        write(tmp_path / "new", b"")
        whole.write_whole(tmp_path / "deep" / "private", b"")
        (tmp_path / "mine").touch(0o640)
        write(tmp_path / "mine", b"")
    finally:
        os.umask(old)
    modes = [(tmp_path / n).stat().st_mode & 0o777 for n in ("new", "deep/private", "mine")]
    assert modes == [0o644, 0o600, 0o640]


@posix
def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real/file")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_bytes() == b"new" and names(tmp_path / "real") == [
        "file"
    ]


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    write(tmp_path / "file", b"old")
    (tmp_path / "file").chmod(0o444)
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # who may write all the same
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError):
        write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old" and names(tmp_path) == ["file"]


def test_a_long_name_is_as_good_as_a_short_one(tmp_path):
    write(tmp_path / ("n" * 255), b"new")
    assert names(tmp_path) == ["n" * 255]


def test_one_at_a_time_changes_a_file(tmp_path):
    file = tmp_path / "count"
    file.write_text("0")

    def count():
        for _ in range(20):
            with whole.alone(file):
                number = int(file.read_text())
                write(file, str(number + 1).encode())

    threads = [threading.Thread(target=count) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() == "100"


def test_who_is_held_off_too_long_is_told(tmp_path):
    with (
        whole.alone(tmp_path / "file"),
        pytest.raises(OSError, match="another window"),
        whole.alone(tmp_path / "file", 0.05),
    ):
        pass


@posix
def test_a_scratch_folder_goes_with_its_block_or_its_process(tmp_path):
    with whole.scratch(tmp_path) as place:
        (place / "file").touch()
        whole.sweep(tmp_path, again=True)
        assert (place / "file").exists()
    assert names(tmp_path) == []
    (tmp_path / ".qr-nodes-1.part").mkdir()
    whole.sweep(tmp_path, again=True)
    assert names(tmp_path) == []
