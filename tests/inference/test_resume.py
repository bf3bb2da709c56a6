"""A file that comes in pieces, from a real server that cuts the connection."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from qr_nodes import resources, whole
from qr_nodes.errors import Cancelled
from qr_nodes.inference import registry, resume, store
from qr_nodes.inference.download import Failed
from qr_nodes.inference.registry import Model, Source

DATA = bytes(range(256)) * 4000
OTHER = bytes(reversed(DATA))
CUT = 5 * resume.BLOCK


@pytest.fixture
def server():
    """A web server that keeps to RFC 9110 in ranges, and cuts each answer after `cut` bytes.

    `asked` are the ranges of the requests: where each began, None for the whole file.
    """
    now = SimpleNamespace(data=DATA, etag='"one"', cut=[], asked=[], slow=0.0, lies=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
            fresh = not wanted or self.headers.get("If-Range") != now.etag
            start = 0 if fresh and not (wanted and now.lies) else int(wanted[1])
            now.asked.append(int(wanted[1]) if wanted else None)
            size = len(now.data)
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            if now.etag:
                self.send_header("ETag", now.etag)
            self.send_header("Content-Length", str(size - start))
            self.end_headers()
            end = start + (now.cut.pop(0) if now.cut else size)
            while start < min(end, size):
                self.wfile.write(now.data[start : (start := min(start + 50_000, end))])
                self.wfile.flush()
                time.sleep(now.slow)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=functools.partial(running.serve_forever, 0.02))
        thread.start()
        now.url, now.stop = f"http://127.0.0.1:{running.server_port}/net.onnx", running.shutdown
        yield now
        running.shutdown()
        thread.join()


@pytest.fixture
def net(server) -> Model:
    return Model(
        "net.onnx", f"sha256:{hashlib.sha256(DATA).hexdigest()}", "Free.", (8, 8), bytes=len(DATA),
        sources=(Source(url=server.url),), name="net",
    )  # fmt: skip


class Fetch:
    """Fetches into a folder, and remembers what it was told."""

    def __init__(self, folder: Path, url: str, model: Model):
        self.folder, self.url, self.model, self.told = folder, url, model, []
        self.kept = folder / "net.onnx.partial"

    def __call__(self, progress=lambda done, total: None) -> bytes:
        def tell(done, total):
            self.told.append((done, total))
            progress(done, total)

        self.told.clear()
        resume.get(self.url, self.model, self.folder / "net.onnx", tell, self.kept)
        return (self.folder / "net.onnx").read_bytes()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def fetch(tmp_path, server, net) -> Fetch:
    folder = tmp_path / "models"
    folder.mkdir()
    return Fetch(folder, server.url, net)


def give_up(done, total):
    if done >= CUT:
        raise Cancelled


def test_a_cut_transfer_goes_on_where_it_was_cut(server, fetch):
    server.cut = [CUT, CUT]
    assert fetch() == DATA and fetch.left() == ["net.onnx"]
    assert server.asked == [None, CUT, 2 * CUT]
    assert fetch.told == sorted(fetch.told) and {total for _, total in fetch.told} == {len(DATA)}
    assert fetch.told[-1] == (len(DATA), len(DATA))


def test_what_came_before_it_was_given_up_is_kept_and_used(server, fetch):
    with pytest.raises(Cancelled):
        fetch(give_up)
    assert fetch.left() == ["net.onnx.partial", "net.onnx.partial.json"]
    have = fetch.kept.stat().st_size
    assert fetch.kept.read_bytes() == DATA[:have] and have >= CUT
    assert fetch() == DATA and fetch.left() == ["net.onnx"]
    assert server.asked == [None, have]
    assert fetch.told[0] == (have, len(DATA))  # the bar shows where it goes on


@pytest.mark.process
def test_a_process_that_was_killed_is_gone_on_from(server, fetch, net, home):
    listing = registry.Listing(1, {"net": msgspec.structs.replace(net, name="")})
    (home / "models.json").write_bytes(msgspec.json.encode(listing))
    server.slow = 0.05
    code = "from qr_nodes.inference import store; store.fetch('net')"
    process = subprocess.Popen([sys.executable, "-c", code])
    kept = resources.cache_folder("models") / "net.onnx.partial"
    end = time.monotonic() + 60
    while not (kept.exists() and kept.stat().st_size >= CUT):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    have, server.slow = kept.stat().st_size, 0.0
    assert store.fetch("net").read_bytes() == DATA
    assert server.asked == [None, have] and have >= CUT
    assert sorted(path.name for path in kept.parent.iterdir()) == ["net.onnx"]


def test_a_file_that_changed_on_the_server_is_fetched_anew(server, fetch, net):
    server.data, server.etag = OTHER, '"before"'
    with pytest.raises(Cancelled):
        fetch(give_up)
    server.data, server.etag = DATA, '"one"'
    assert fetch() == DATA and len(server.asked) == 2 and server.asked[1] >= CUT
    assert fetch.told[0] == (0, len(DATA))


def test_a_server_that_lies_about_its_version_is_found_out_by_the_checksum(server, fetch):
    server.data = OTHER  # under the same ETag
    with pytest.raises(Cancelled):
        fetch(give_up)
    server.data = DATA
    assert fetch() == DATA and server.asked[-1] is None and len(server.asked) == 3


def test_a_range_of_another_version_is_not_added(server, fetch):
    server.data, server.etag = OTHER, '"before"'
    with pytest.raises(Cancelled):
        fetch(give_up)
    server.data, server.etag, server.lies = DATA, '"one"', True  # ignores If-Range
    assert fetch() == DATA and server.asked[-1] is None and len(server.asked) == 3


@pytest.mark.parametrize("etag", ["", 'W/"one"'])
def test_without_a_mark_of_the_version_nothing_is_kept(server, fetch, etag):
    server.etag = etag
    with pytest.raises(Cancelled):
        fetch(give_up)
    assert fetch.left() == []
    assert fetch() == DATA and server.asked == [None, None]


def test_all_bytes_there_but_not_yet_checked_are_enough(server, fetch, net):
    with pytest.raises(Cancelled):
        fetch(give_up)
    fetch.kept.write_bytes(DATA)
    assert fetch() == DATA and server.asked == [None, len(DATA)]
    with pytest.raises(Cancelled):
        fetch(give_up)
    fetch.kept.write_bytes(DATA + b"more")  # damaged: the server has nothing to add
    assert fetch() == DATA and server.asked[-1] is None


@pytest.mark.parametrize("note", [None, b"", b"nonsense", b'{"url": "http://127.0.0.1/other"}'])
def test_bytes_of_unknown_origin_are_not_used(server, fetch, note):
    fetch.kept.write_bytes(b"whatever")
    if note is not None:
        (fetch.folder / "net.onnx.partial.json").write_bytes(note)
    assert fetch() == DATA and server.asked == [None] and fetch.left() == ["net.onnx"]


def test_bytes_of_another_file_of_that_name_are_not_used(server, fetch):
    with pytest.raises(Cancelled):
        fetch(give_up)
    server.data = OTHER
    checksum = f"sha256:{hashlib.sha256(OTHER).hexdigest()}"
    fetch.model = msgspec.structs.replace(fetch.model, checksum=checksum)
    assert fetch() == OTHER and server.asked == [None, None]


def test_a_server_that_brings_nothing_more_is_given_up_and_what_came_is_kept(server, fetch):
    server.cut = [CUT, 0, 0, 0, 0]
    with pytest.raises(Failed, match="the transfer was cut"):
        fetch()
    assert len(server.asked) == 3 and fetch.kept.stat().st_size == CUT
    server.cut = []
    assert fetch() == DATA and server.asked[3] == CUT


def test_the_wrong_file_is_named_and_nothing_of_it_stays(server, fetch):
    server.data = OTHER
    with pytest.raises(Failed, match="another file: the checksum is wrong"):
        fetch()
    assert fetch.left() == [] and server.asked == [None]


def test_a_partial_file_that_another_process_has_is_left_alone(server, fetch):
    with fetch.kept.open("wb") as theirs:
        theirs.write(b"theirs")
        theirs.flush()
        assert whole.locked(theirs)
        assert fetch() == DATA
        resume.forget(fetch.kept)
        assert fetch.kept.read_bytes() == b"theirs"
    resume.forget(fetch.kept)
    assert fetch.left() == ["net.onnx"]


def test_what_nobody_went_on_with_for_a_month_goes(server, fetch):
    with pytest.raises(Cancelled):
        fetch(give_up)
    resume.forget_stale(fetch.folder)
    assert len(fetch.left()) == 2
    old = time.time() - resume.STALE - 60
    os.utime(fetch.kept, (old, old))
    resume.forget_stale(fetch.folder)
    assert fetch.left() == []


def test_a_full_disk_is_said_and_what_came_is_kept(server, fetch, net, home, monkeypatch):
    listing = registry.Listing(1, {"net": msgspec.structs.replace(net, name="")})
    (home / "models.json").write_bytes(msgspec.json.encode(listing))
    told = []

    def full(done, total):
        told.append(done)
        if done >= CUT and len(told) < 9:
            raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match=r"net\.onnx: the file cannot be written: No space left"):
        store.fetch("net", full)
    kept = resources.cache_folder("models") / "net.onnx.partial"
    have = kept.stat().st_size
    assert have >= CUT and store.fetch("net").read_bytes() == DATA and server.asked == [None, have]
