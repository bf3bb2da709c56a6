"""Being told to stop: by Ctrl+C, by SIGTERM, by a terminal that is closed."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest
import uvicorn

from qr_nodes.cli import main
from qr_nodes.graph import Graph
from qr_nodes.nodes import find
from qr_nodes.qrgraph import save_graph
from qr_nodes.serve import _Server
from qr_nodes.signals import handled

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")


@pytest.fixture
def quiet():
    """Set handlers that do nothing: what a test sends must not end the tests if it fails."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_picture_is_stopped_with_one_line_and_leaves_nothing(
    quiet, picture, tmp_path, monkeypatch, capsys, name, code
):
    def stopped(cutout, where=None, *, sigma, shift, job):
        os.kill(os.getpid(), getattr(signal, name))
        for _ in range(1000):  # which is cancelled in the midst of it
            job.checkpoint()
            time.sleep(0.01)
        return cutout

    feather = find("feather")
    monkeypatch.setattr(
        feather.fn, "node_spec", replace(feather, fn=stopped, takes_job=True), raising=False
    )
    save_graph(Graph.chain("load", "feather", "export"), tmp_path / "g.qrgraph")
    before = sorted(tmp_path.rglob("*"))
    if name == "SIGINT":
        signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python starts
    assert main(["run", str(tmp_path / "g.qrgraph"), str(picture)]) == code
    assert capsys.readouterr() == ("", "Stopped.\n")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_ignored_stays_ignored(quiet):
    def handler(number, frame):
        raise AssertionError

    server = _Server(uvicorn.Config(None))
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for block in (handled(handler, (signal.SIGINT, signal.SIGTERM)), server.capture_signals()):
        with block:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) not in (before, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is before
