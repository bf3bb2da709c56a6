"""The ledger: whatever happens, files are whole, nothing is done twice, nothing is given away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from qr_nodes import run
from qr_nodes.batch.ledger import HIDDEN, Ledger, Line, digest_of, mark_of
from qr_nodes.errors import QrNodesError, WriteError

RUN = """
import sys
from qr_nodes import run
from qr_nodes.graph import Graph
for result in run(Graph.chain("load", "feather", "export"), sys.argv[1], sys.argv[2], jobs=2):
    assert result.error is None, result.error
"""

DIE = """
import os, signal
name, at, when = {name!r}, {at}, {when!r}
real, calls = getattr(os, name), 0
def deadly(*args, **kwargs):
    global calls
    calls += 1
    if calls == at:
        if when == "half":
            real(args[0], args[1][: len(args[1]) // 2])
        if when == "after":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
setattr(os, name, deadly)
"""

killing = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no kill -9 here")


@pytest.fixture
def many(tmp_path, draw):
    folder = tmp_path / "in"
    for number in range(12):
        draw(folder / str(number % 3) / f"{number}.png", number)
    return folder


@pytest.fixture
def right(many, graph, tmp_path, tree):
    """What all results should be."""
    list(run(graph, many, tmp_path / "right"))
    return tree(tmp_path / "right")


def line(out: str = "a.png", key: str = "k", part: str = "p.png", **more) -> Line:
    fields = {"mark": (1, 1), "digest": "d", "picture": "a.jpg", "root": "r"} | more
    return Line(out, key, part=part, **fields)


def written(ledger: Ledger, out: str, data: bytes = b"result", key: str = "k") -> Line:
    """Commit a result as a run does."""
    part = ledger.part(".png")
    part.write_bytes(data)
    made = line(out, key, part.name, mark=mark_of(part), digest=digest_of(part))
    ledger.commit([made])
    return made


def test_a_result_is_current_with_its_key_alone(tmp_path):
    ledger = Ledger(tmp_path).open()
    written(ledger, "trip/a.png")
    assert ledger.current("trip/a.png", "k") and not ledger.current("trip/a.png", "other")
    assert (tmp_path / "trip" / "a.png").read_bytes() == b"result"
    ledger.close()
    known = Ledger(tmp_path).read()
    assert known.current("trip/a.png", "k") and known.state("b.png") == "missing"
    (tmp_path / "trip" / "a.png").write_bytes(b"RESULT")
    assert known.state("trip/a.png") == "changed" and not known.current("trip/a.png", "k")


def test_a_line_cut_short_is_passed_over_and_the_next_one_whole(tmp_path):
    ledger = Ledger(tmp_path).open()
    written(ledger, "a.png")
    written(ledger, "b.png")
    ledger.close()
    data = ledger.path.read_bytes()
    ledger.path.write_bytes(data[:-20])
    ledger = Ledger(tmp_path).open()
    assert ledger.current("a.png", "k") and ledger.state("b.png") == "changed"
    written(ledger, "c.png")
    ledger.close()
    known = Ledger(tmp_path).read()
    assert known.current("a.png", "k") and known.current("c.png", "k")


def test_lines_that_are_no_lines_are_passed_over(tmp_path):
    ledger = Ledger(tmp_path).open()
    written(ledger, "a.png")
    ledger.close()
    with ledger.path.open("ab") as file:
        file.write(b'\xff\xfe\n{"out": 3}\n[]\n\n{"out": "x"\n')
    ledger = Ledger(tmp_path).open()
    written(ledger, "b.png")
    ledger.close()
    assert Ledger(tmp_path).read().last.keys() == {"a.png", "b.png"}


def test_a_part_with_a_line_gets_its_name_and_one_without_is_deleted(tmp_path):
    ledger = Ledger(tmp_path).open()
    written(ledger, "a.png", b"old")
    made = written(ledger, "a.png", b"new", "k2")
    ledger.close()
    # As if the process had ended after the line and before the name.
    os.rename(tmp_path / "a.png", ledger.parts / made.part)
    (ledger.parts / "orphan.png").write_bytes(b"half a fi")
    ledger = Ledger(tmp_path).open()
    assert ledger.current("a.png", "k2") and os.listdir(ledger.parts) == []
    ledger.close()


def test_a_part_never_replaces_what_somebody_else_put_there(tmp_path):
    ledger = Ledger(tmp_path).open()
    made = written(ledger, "a.png")
    ledger.close()
    os.rename(tmp_path / "a.png", ledger.parts / made.part)
    (tmp_path / "a.png").write_bytes(b"mine")
    ledger = Ledger(tmp_path).open()
    assert (tmp_path / "a.png").read_bytes() == b"mine" and ledger.state("a.png") == "changed"
    ledger.close()


def test_an_older_result_of_ours_is_ours_when_the_newer_was_lost(tmp_path):
    ledger = Ledger(tmp_path).open()
    written(ledger, "a.png", b"old")
    saved = (tmp_path / "a.png").stat()
    written(ledger, "a.png", b"new", "k2")
    (tmp_path / "a.png").write_bytes(b"old")
    os.utime(tmp_path / "a.png", ns=(saved.st_atime_ns, saved.st_mtime_ns))
    assert ledger.state("a.png") == "ours" and not ledger.current("a.png", "k2")
    ledger.close()


def test_the_ledger_stays_small_when_results_are_made_again_and_again(tmp_path):
    for number in range(5):
        ledger = Ledger(tmp_path).open()
        for turn in range(80):
            written(ledger, "a.png", b"x" * turn, f"{number} {turn}")
        ledger.close()
    ledger = Ledger(tmp_path).open()
    assert ledger.current("a.png", "4 79")
    ledger.close()
    assert ledger.path.read_bytes().count(b"\n") <= 103


def test_a_newer_ledger_is_refused(tmp_path):
    ledger = Ledger(tmp_path).open()
    ledger.close()
    ledger.path.write_text('{"format": "qr-nodes ledger", "version": 2}\n')
    for _ in range(2):  # the folder is let go of, too
        with pytest.raises(QrNodesError, match="from a newer version of the program"):
            Ledger(tmp_path).open()


@contextmanager
def another_user():
    """Be somebody else than root, who may write everywhere."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="folders are protected in other ways there")
def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    Ledger(tmp_path / "before").open().close()  # what is imported late is here now
    tmp_path.chmod(0o500)
    with another_user(), pytest.raises(WriteError, match=r"cannot be written \(Permission denied"):
        Ledger(tmp_path / "out").open()
    tmp_path.chmod(0o700)
    Ledger(tmp_path / "out").open().close()


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("in its way")
    with pytest.raises(WriteError, match="the folder cannot be written"):
        Ledger(tmp_path / "file" / "out").open()


def test_a_full_disk_stops_the_run_and_the_next_one_does_the_rest(
    graph, many, tmp_path, tree, right, monkeypatch
):
    real, calls = os.write, []

    def full(handle, data):
        calls.append(data)
        if len(calls) == 4:
            real(handle, data[: len(data) // 2])
            raise OSError(28, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr("qr_nodes.batch.ledger.os.write", full)
    results = list(run(graph, many, tmp_path / "out", jobs=1))
    monkeypatch.undo()
    (said,) = [str(r.error) for r in results if r.error is not None]
    assert "the ledger cannot be written (No space left on device). Free some space." in said
    assert len(tree(tmp_path / "out")) == 2 and len(results) == 3
    assert sum(not r.skipped for r in run(graph, many, tmp_path / "out")) == 10
    assert tree(tmp_path / "out") == right


def test_the_ledger_tells_nothing_of_where_folders_are(graph, many, tmp_path):
    list(run(graph, many, tmp_path / "out"))
    files = [path for path in (tmp_path / "out" / HIDDEN).rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"ledger.jsonl", "lock"}
    for path in files:
        assert str(tmp_path).encode() not in path.read_bytes()
        assert os.path.basename(tmp_path).encode() not in path.read_bytes()


def started(many, out, before: str = "") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", before + RUN, str(many), str(out)], stderr=subprocess.PIPE
    )


def completes(graph, many, out, right, tree) -> None:
    """Check what a killed run has left, and that the next one does the rest and no more."""
    there = tree(out) if out.exists() else {}
    assert all(right[place] == data for place, data in there.items())
    marks = {place: mark_of(out / place) for place in there}
    results = list(run(graph, many, out))
    assert all(result.error is None for result in results), [str(r.error) for r in results]
    assert sum(result.skipped for result in results) >= len(there)
    assert {place: mark_of(out / place) for place in there} == marks
    assert tree(out) == right and os.listdir(out / HIDDEN / "parts") == []
    assert all(result.skipped for result in run(graph, many, out))


@killing
@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("replace", "before"),
        ("replace", "after"),
        ("fsync", "before"),
        ("fsync", "after"),
        ("write", "half"),
        ("write", "after"),
    ],
)
def test_killed_at_each_step_a_rerun_completes(name, when, graph, many, tmp_path, tree, right):
    for at in (1, 3, 6):
        out = tmp_path / f"out{at}"
        run_ = started(many, out, DIE.format(name=name, at=at, when=when))
        run_.communicate(timeout=60)
        assert run_.returncode == -signal.SIGKILL
        completes(graph, many, out, right, tree)


@killing
def test_killed_at_random_moments_a_rerun_completes(graph, many, tmp_path, tree, right):
    out, chance = tmp_path / "out", random.Random(5)
    while len(tree(out) if out.exists() else {}) < 12:
        run_ = started(many, out, "import sys; sys.stderr.write('x'); sys.stderr.flush()\n")
        run_.stderr.read(1)
        time.sleep(chance.uniform(0.3, 0.7))
        run_.kill()
        run_.communicate()
        there = tree(out) if out.exists() else {}
        assert all(right[place] == data for place, data in there.items())
        if chance.random() < 0.3:
            break
    completes(graph, many, out, right, tree)


def test_two_runs_at_once_do_each_picture_once(graph, many, tmp_path, tree, right):
    out = tmp_path / "out"
    both = [started(many, out), started(many, out)]
    said = [process.communicate(timeout=60)[1].decode() for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 1])  # 0, 0 if one came after the other was done
    assert all("another run is writing here" in text for text in said if text)
    assert tree(out) == right
    rows = (out / HIDDEN / "ledger.jsonl").read_text().splitlines()
    assert len(rows) == 13
