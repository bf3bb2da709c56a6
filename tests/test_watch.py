"""A watched folder as its user meets it: a real process, files that come in every way."""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import numpy as np
import psutil
import pytest
from PIL import Image

from qr_nodes.batch import Batch, cli_engine, run
from qr_nodes.cli import main
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import load_graph, save_graph
from qr_nodes.watch import Watch, sign_of

SCRIPT = """
import sys, time
from dataclasses import replace
from qr_nodes.cli import main
from qr_nodes.nodes import find

feather = find("feather")

def slow(cutout, where=None, *, sigma, shift, job):
    end = time.monotonic() + {seconds}
    while time.monotonic() < end:
        job.checkpoint()
        time.sleep(0.005)
    return feather.fn(cutout, where, sigma=sigma, shift=shift)

if {seconds}:
    feather.fn.node_spec = replace(feather, fn=slow, takes_job=True)
{before}
sys.exit(main({args!r}))
"""


class Process:
    """A watch that runs, with what it says, line by line."""

    def __init__(self, arguments: list[str], seconds: float, before: str):
        script = SCRIPT.format(args=arguments, seconds=seconds, before=before)
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", script],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.queues = [SimpleQueue(), SimpleQueue()]
        self.done: list[str] = []
        streams = self.process.stdout, self.process.stderr
        for stream, queue in zip(streams, self.queues, strict=True):
            Thread(target=self._read, args=(stream, queue), daemon=True).start()

    @staticmethod
    def _read(stream, queue: SimpleQueue) -> None:
        for line in stream:
            queue.put(line)

    def line(self, seconds: float = 30, error: bool = False) -> str:
        """Wait for the next line about a picture, or about a fault."""
        line = self.queues[error].get(timeout=seconds).rstrip("\n")
        self.done += [] if error else [line.split(" → ")[0]]
        return line

    def wait_for(self, number: int) -> list[str]:
        """Wait until so many pictures have been done; give their places."""
        while len(self.done) < number:
            self.line()
        return sorted(self.done)

    def quiet(self, seconds: float = 0.0) -> bool:
        """Say whether nothing more has been said."""
        time.sleep(seconds)
        return all(queue.empty() for queue in self.queues)

    def stop(self, sign=signal.SIGINT, seconds: float = 30) -> int:
        self.process.send_signal(sign)
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        time.sleep(0.05)  # for the rest of what it said
        while True:
            try:
                self.line(0.05)
            except Empty:
                return


@pytest.fixture
def inbox(tmp_path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def graph(tmp_path) -> Path:
    file = tmp_path / "edges.qrgraph"
    save_graph(Graph.chain("load", "feather", "export"), file)
    return file


@pytest.fixture
def watching(graph, inbox, out):
    started = []

    @contextmanager
    def watching(*options: str, seconds: float = 0, before: str = "", greets: bool = True):
        settle = ["--settle", "0.4"]  # of an option given twice the last counts
        arguments = ["watch", str(graph), str(inbox), "-o", str(out), *settle, *options]
        one = Process(arguments, seconds, before)
        started.append(one)
        assert not greets or one.line(error=True).startswith("Watching ")
        yield one
        if one.process.poll() is None:
            one.kill()

    yield watching
    for one in started:
        one.process.kill()
        one.process.wait()


def picture(path: Path, shade: int = 40) -> Path:
    """Write a picture under another name first, and give it its own at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(".part")
    part.write_bytes(encoded(shade, path.suffix))
    return part.rename(path)


def encoded(shade: int = 40, suffix: str = ".png", noise: int = 0) -> bytes:
    from io import BytesIO

    rgba = np.zeros((37, 53, 4), np.uint8)
    rgba[8:30, 10:40] = (200, shade, 90, 255)
    if noise:
        rgba = np.random.default_rng(noise).integers(0, 256, (300, 300, 4), np.uint8)
    data = BytesIO()
    image = Image.fromarray(rgba)
    image = image.convert("RGB") if suffix == ".jpg" else image
    image.save(data, {".jpg": "JPEG", ".png": "PNG"}[suffix])
    return data.getvalue()


def results(folder: Path) -> list[str]:
    files = folder.rglob("*")
    return sorted(
        file.relative_to(folder).as_posix()
        for file in files
        if file.is_file() and ".qr-nodes" not in file.parts
    )


def made(out: Path) -> Counter:
    """Count how often each result was made, by the ledger."""
    rows = (out / ".qr-nodes" / "ledger.jsonl").read_text().splitlines()[1:]
    return Counter(json.loads(row)["out"] for row in rows)


def test_what_is_there_and_what_comes_is_done_as_by_a_run(watching, graph, inbox, out, tmp_path):
    picture(inbox / "a.png", 10)
    picture(inbox / "trip" / "b.jpg", 20)
    with watching("--every", "3600") as watch:
        assert watch.wait_for(2) == ["a.png", "trip/b.jpg"]
        picture(inbox / "c.png", 30)
        picture(inbox / "trip" / "day 2" / "d.png", 50)
        assert watch.wait_for(4)[1:] == ["c.png", "trip/b.jpg", "trip/day 2/d.png"]
        assert watch.stop() == 0
        assert watch.line(error=True) == "Stopped."
    assert results(out) == ["a.png", "c.png", "trip/b.png", "trip/day 2/d.png"]
    other = tmp_path / "other"
    assert [r.error for r in run(load_graph(graph), inbox, other)] == [None] * 4
    for name in results(out):
        assert (out / name).read_bytes() == (other / name).read_bytes()


def test_a_line_tells_of_each_picture(watching, inbox, out):
    with watching() as watch:
        picture(inbox / "cat.png")
        assert watch.line().startswith(f"cat.png → {out / 'cat.png'}  (")


def test_a_file_that_is_copied_slowly_is_taken_up_when_it_is_whole(watching, inbox, out):
    data = encoded(noise=1)
    step = len(data) // 12
    with watching("--settle", "1") as watch, open(inbox / "slow.png", "wb") as file:
        for start in range(0, len(data), step):
            file.write(data[start : start + step])
            file.flush()
            time.sleep(0.25)
            assert watch.quiet()
        file.close()
        assert watch.wait_for(1) == ["slow.png"] and watch.quiet()
    assert Image.open(out / "slow.png").size == (300, 300)


def test_twenty_at_once_are_each_done_once(watching, inbox, out):
    with watching("--every", "1") as watch:
        names = [f"{'in/' * (number % 3)}{number}.png" for number in range(20)]
        for number, name in enumerate(names):
            picture(inbox / name, number)
        assert watch.wait_for(20) == sorted(names)
        assert watch.quiet(2.5)
    assert results(out) == sorted(names) and set(made(out).values()) == {1}


def test_a_folder_that_is_moved_in_is_done_with_all_in_it(watching, inbox, out, tmp_path):
    for number in range(3):
        picture(tmp_path / "elsewhere" / "deep" / f"{number}.png", number)
    with watching("--every", "3600") as watch:
        (tmp_path / "elsewhere").rename(inbox / "here")
        assert watch.wait_for(3) == [f"here/deep/{number}.png" for number in range(3)]
        picture(inbox / "here" / "deep" / "later.png")
        assert "here/deep/later.png" in watch.wait_for(4)


def test_a_broken_picture_has_one_line_and_its_turn_again_when_it_changes(watching, inbox, out):
    (inbox / "bad.png").write_bytes(encoded(noise=1)[:2000])
    (inbox / "text.jpg").write_text("hello")
    (inbox / "notes.txt").write_text("no picture")
    with watching("--every", "0.3") as watch:
        said = sorted(watch.line(error=True) for _ in range(2))
        assert said[0].startswith("bad.png: load: ") and said[1].startswith("text.jpg: load: ")
        picture(inbox / "good.png")
        assert watch.wait_for(1) == ["good.png"] and watch.quiet(1.5)
        picture(inbox / "bad.png", 77)
        assert watch.wait_for(2) == ["bad.png", "good.png"]
        assert watch.quiet(1)
    assert results(out) == ["bad.png", "good.png"]


def test_a_changed_picture_is_done_again_and_a_touched_one_is_not(watching, inbox, out):
    with watching("--every", "0.3") as watch:
        picture(inbox / "a.png", 10)
        watch.wait_for(1)
        before = (out / "a.png").read_bytes()
        os.utime(inbox / "a.png")
        assert watch.quiet(1.5) and (out / "a.png").read_bytes() == before
        picture(inbox / "a.png", 20)
        watch.wait_for(2)
        assert (out / "a.png").read_bytes() != before


def test_edits_beside_a_picture_count(watching, inbox, out):
    with watching("--every", "3600") as watch:
        picture(inbox / "a.png", 10)
        watch.wait_for(1)
        before = (out / "a.png").read_bytes()
        edits = {"format": "qredit", "version": 1, "nodes": {"feather": {"sigma": 9.0}}}
        (inbox / "a.qredit").write_text(json.dumps(edits))
        watch.wait_for(2)
        assert (out / "a.png").read_bytes() != before


def test_moved_and_deleted_files_do_no_harm(watching, inbox, out):
    with watching("--every", "0.5", "--settle", "1") as watch:
        picture(inbox / "gone.png")
        time.sleep(0.3)
        (inbox / "gone.png").unlink()
        picture(inbox / "a.png", 10)
        watch.wait_for(1)
        (inbox / "a.png").rename(inbox / "b.png")
        assert watch.wait_for(2) == ["a.png", "b.png"]
        shutil.rmtree(inbox)
        assert "is not there any more" in watch.line(error=True)
        assert watch.quiet(1.5)
        picture(inbox / "back.png", 20)
        assert watch.wait_for(3)[1:] == ["b.png", "back.png"]
    assert results(out) == ["a.png", "b.png", "back.png"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of another kind")
def test_a_folder_that_cannot_be_read_does_not_keep_the_others(watching, inbox, out):
    closed = inbox / "closed"
    picture(closed / "a.png")
    before = (
        "import os; scan = os.scandir\n"
        "def scandir(path):\n"
        "    if str(path).endswith('closed') and os.path.exists(str(path) + '/a.png')"
        " and not os.path.exists(str(path) + '/open'):\n"
        "        raise PermissionError(13, 'Permission denied')\n"
        "    return scan(path)\n"
        "os.scandir = scandir\n"
    )  # the tests may run as root, who may read everything
    with watching("--every", "0.5", before=before) as watch:
        assert "closed: the folder cannot be listed (Permission denied)" in watch.line(error=True)
        picture(inbox / "b.png")
        assert watch.wait_for(1) == ["b.png"] and watch.quiet(1)
        (closed / "open").touch()
        assert watch.wait_for(2) == ["b.png", "closed/a.png"]


def test_results_inside_the_inbox_are_not_pictures(watching, inbox, tmp_path, graph, capsys):
    inside = inbox / "done"
    picture(inbox / "a.png")
    with watching("-o", str(inside), "--every", "0.3") as watch:
        assert watch.wait_for(1) == ["a.png"]
        assert watch.quiet(1.5)
    assert results(inside) == ["a.png"]
    assert main(["watch", str(graph), str(inbox), "-o", str(inbox)]) == 1
    assert "pictures are read from this folder" in capsys.readouterr().err


def test_a_restart_does_only_what_came_meanwhile(watching, inbox, out):
    picture(inbox / "a.png", 10)
    with watching() as watch:
        watch.wait_for(1)
        assert watch.stop(signal.SIGTERM) == 0
    picture(inbox / "b.png", 20)
    with watching() as watch:
        assert watch.wait_for(1) == ["b.png"] and watch.quiet(1)
    assert made(out) == {"a.png": 1, "b.png": 1}


def test_none_is_lost_and_none_is_done_twice_however_often_it_is_killed(watching, inbox, out):
    rng, names, told = random.Random(7), [], Counter()
    for round in range(6):
        with watching("--settle", "0.1", seconds=0.15) as watch:
            for number in range(4):
                names.append(f"{round}-{number}.png")
                picture(inbox / names[-1], len(names))
                time.sleep(rng.uniform(0, 0.1))
            time.sleep(rng.uniform(0.1, 0.6))
            watch.kill()
            told.update(watch.done)
            for name in results(out):  # never half a file
                Image.open(out / name).load()
    with watching("--settle", "0.1") as watch:
        left = len(names) - len(results(out))
        watch.wait_for(left)
        assert watch.quiet(1)
        assert watch.stop() == 0
        told.update(watch.done)
    assert results(out) == sorted(names)
    assert made(out) == dict.fromkeys(names, 1)
    assert max(told.values()) == 1 and not list((out / ".qr-nodes" / "parts").iterdir())


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_picture_under_way_is_finished_and_no_other_begun(watching, inbox, out, sign):
    for number in range(6):
        picture(inbox / f"{number}.png", number)
    with watching("-j", "1", seconds=1) as watch:
        watch.wait_for(1)
        time.sleep(0.3)
        assert watch.stop(sign) == 0
        watch.kill()
    assert results(out) == ["0.png", "1.png"]


def test_a_second_ctrl_c_does_not_wait(watching, inbox, out):
    picture(inbox / "a.png")
    with watching(seconds=100) as watch:
        time.sleep(1.5)
        watch.process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            watch.process.wait(1)
        assert watch.stop(seconds=5) == 0
    assert results(out) == []


def test_looking_alone_is_enough_where_no_events_come(watching, inbox, out):
    lost = "import qr_nodes.watch as w; w._Bell.dispatch = lambda *event: None"
    full = (
        "from watchdog.observers import Observer\n"
        "def start(self): raise OSError(28, 'inotify watch limit reached')\n"
        "Observer.start = start"
    )
    for number, (options, before) in enumerate([(["--no-events"], ""), ([], lost), ([], full)]):
        with watching("--every", "0.5", *options, before=before) as watch:
            if before is full:
                assert "gives no events (inotify watch limit reached)" in watch.line(error=True)
            picture(inbox / f"{number}.png", number)
            assert watch.wait_for(1) == [f"{number}.png"]


def test_trouble_outside_a_picture_is_told_once_and_passes(watching, inbox, out):
    with watching("--every", "0.3", before="import qr_nodes.watch as w; w.RETRY = 1") as watch:
        out.mkdir(exist_ok=True)
        (out / "a.png").write_text("somebody else's")
        picture(inbox / "a.png")
        assert "a file is there that was not made here" in watch.line(error=True)
        assert watch.quiet(2.5)
        (out / "a.png").unlink()
        assert watch.wait_for(1) == ["a.png"]


def test_the_name_of_a_picture_that_is_gone_is_free(watching, inbox, out):
    with watching("--every", "0.3") as watch:
        (inbox / "a.jpg").write_text("broken")
        assert watch.line(error=True).startswith("a.jpg: ")
        (inbox / "a.jpg").unlink()
        time.sleep(1)
        picture(inbox / "a.png")
        assert watch.wait_for(1) == ["a.png"] and watch.quiet()


def test_two_watches_do_not_share_an_output_folder(watching, inbox, out, graph, capsys):
    with watching():
        assert main(["watch", str(graph), str(inbox), "-o", str(out)]) == 1
        assert "another run is writing here" in capsys.readouterr().err


def test_results_are_told_as_json_and_in_a_report(watching, inbox, out, tmp_path):
    report = tmp_path / "report.json"
    (inbox / "bad.png").write_text("hello")
    options = ("--json", "--report", str(report), "--quiet", "--name", "{stem}-cut{ext}")
    picture(inbox / "a.png")
    with watching(*options, greets=False) as watch:
        told = {Path(row["input"]).name: row for row in (json.loads(watch.line()) for _ in "ab")}
        assert told["a.png"]["output"] == str(out / "a-cut.png")
        assert told["bad.png"]["did"] == "failed"
        assert watch.line(error=True).startswith("bad.png: load: ")
        assert watch.stop() == 0 and watch.quiet()
    assert {Path(row["input"]).name for row in json.loads(report.read_text())["results"]} == {
        "a.png",
        "bad.png",
    }


def test_it_ends_at_a_picture_that_fails_if_so_wished(watching, inbox, out):
    (inbox / "bad.png").write_text("hello")
    with watching("--on-error", "stop") as watch:
        assert watch.line(error=True).startswith("bad.png: load: ")
        assert watch.process.wait(30) == 1


def test_what_keeps_it_from_starting_is_one_line(graph, inbox, out, tmp_path, capsys):
    for arguments, code, said in [
        (["none", str(inbox)], 2, "there is no such preset or file"),
        ([str(graph), str(tmp_path / "none")], 1, "there is no such folder"),
        ([str(graph), str(inbox), "-s", "feather.sigma=900"], 2, "900 px is out of range"),
        ([str(graph), str(inbox), "--name", "{size}"], 2, "has a field that is not known"),
        ([str(graph), str(inbox), "--quality", "best"], 2, "quality: the graph has no Segment"),
        ([str(graph), str(inbox), "--report", "x.txt"], 2, "End it in .json or .csv."),
    ]:
        assert main(["watch", *arguments, "-o", str(out)]) == code
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
    assert main(["watch", str(graph), str(inbox)]) == 2


def test_a_picture_is_ready_once_it_has_not_changed_for_a_while(inbox, out):
    engine = cli_engine(cached=False)
    batch = Batch(Graph.chain("load", "feather", "export"), out, [inbox], engine=engine)
    watch = Watch(batch, inbox, settle=2)
    file = picture(inbox / "a.png")
    watch.look(0)
    assert watch.due() == 2 and not list(watch.ready(1.9))
    file.write_bytes(b"more")
    assert not list(watch.ready(2)) and watch.due() == 4  # it changed, unnoticed by any look
    watch.look(3)
    assert watch.due() == 4
    assert [ready.place for ready in watch.ready(4)] == ["a.png"] and not list(watch.ready(9))
    watch.look(9)
    assert not watch.fresh  # under way
    file.unlink()
    assert sign_of(str(file)) is None
    engine.close()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's heap")
def test_at_rest_the_memory_of_pictures_is_given_back(watching, inbox):
    def held() -> int:
        return psutil.Process(watch.process.pid).memory_info().rss >> 20

    large = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    with watching(before="from qr_nodes import heap; heap.keep(); heap.IDLE = 0.5") as watch:
        picture(inbox / "small.jpg")
        watch.wait_for(1)
        before, most = held(), 0
        Image.fromarray(large).resize((4000, 3000)).save(inbox / "large.jpg")
        while "large.jpg" not in watch.done:
            most = max(most, held())
            with suppress(Empty):
                watch.line(0.01)
        assert most > before + 35  # MiB
        end = time.monotonic() + 20
        while held() > before + 25:
            assert time.monotonic() < end
            time.sleep(0.05)
