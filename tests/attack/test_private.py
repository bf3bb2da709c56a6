"""Nothing is sent anywhere: with the network unplugged all works, and nothing tries to connect.

Two watches: Python's own audit events, which see every connection, name look-up and process that
Python code begins, and strace where it is installed, which sees those of compiled libraries too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import screen  # noqa: F401
from driver import needs_a_screen

WATCH = """
import os, sys

def watch(event, arguments, log=open(os.environ["WATCHED"], "a")):
    connects = event in ("socket.connect", "socket.sendto", "socket.sendmsg")
    if connects and isinstance(arguments[1], str | bytes):
        return  # a socket of this machine's own, by its path
    names = event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request")
    if connects or names or event == "subprocess.Popen":
        print(event, arguments[1:2] if connects else arguments[:2], file=log, flush=True)

sys.addaudithook(watch)
"""
WINDOW = """
import os, sys, time
from qr_nodes.ui.app import opened
app = opened()
app.loop.step()
app.loop.step()
app.files.start(sys.argv[1])
end = time.monotonic() + 60
while time.monotonic() < end and not app.document.settle(0.01):
    app.loop.step()
for _ in range(10):
    app.loop.step()
kinds = [facts.kind for facts in app.canvas.facts.values()]
print(kinds, flush=True)
os._exit(0 if kinds.count("done") + kinds.count("reused") >= 3 else 1)
"""


@cache
def unplugged() -> tuple[str, ...]:
    """Give the command that runs another without any network, or nothing where none may."""
    for command in (("unshare", "-rn"), ("unshare", "-n")):
        if shutil.which("unshare") and not subprocess.run([*command, "true"]).returncode:
            return command
    print("no network namespace may be made here: only attempts to connect are watched")
    return ()


@pytest.fixture
def watched(tmp_path, home, monkeypatch):
    """Give a function that runs Python in an empty home, without a network, and is watched."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    person = tmp_path / "person"
    person.mkdir()
    python_path = os.pathsep.join([str(tmp_path / "watch"), os.environ.get("PYTHONPATH", "")])
    calls, events = tmp_path / "calls", tmp_path / "events"
    strace = [*("strace", "-f", "-qq", "-o", str(calls), "-e", "trace=network")]

    def run(*arguments, **more):
        events.write_text("")
        calls.write_text("")
        env = {**os.environ, "PYTHONPATH": python_path, "WATCHED": str(events), **more}
        env |= {"HOME": str(person), "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
        command = [*unplugged(), *(strace if shutil.which("strace") else ()), sys.executable]
        done = subprocess.run(
            [*command, *map(str, arguments)], env=env, capture_output=True, text=True, timeout=200
        )
        native = re.findall(r".*AF_INET.*", calls.read_text())
        return done, events.read_text().splitlines(), native

    run.person = person
    return run


def test_the_watch_sees_what_connects_and_the_network_is_unplugged(watched):
    code = "import socket; s = socket.socket(); s.settimeout(2); s.connect(('127.0.0.1', 9))"
    done, events, native = watched("-c", code)
    assert done.returncode == 1 and "socket.connect" in events[0]
    assert native or not shutil.which("strace")
    if unplugged():
        assert "unreachable" in done.stderr
    _, events, _ = watched("-c", "import subprocess, sys; subprocess.run([sys.executable, '-V'])")
    assert "subprocess.Popen" in events[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("remove", "cat.png", "-o", "out.png"),
        ("run", "portrait", "-i", "cat.png", "-o", "out.png", "--json"),
        ("check", "portrait"),
        ("models", "list"),
        ("models", "verify"),
        ("devices", "--benchmark"),
        ("nodes", "feather"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_command_works_unplugged_and_tries_nothing(
    watched, weights, photo_file, arguments, monkeypatch
):
    monkeypatch.chdir(photo_file.parent)
    done, events, native = watched("-m", "qr_nodes", *arguments)
    fetched_only = arguments == ("models", "verify")  # the others' weights are not here: it says so
    assert done.returncode == 0 or fetched_only, done.stderr
    assert (events, native) == ([], [])
    # Nor does any library keep a diary for later.
    assert list(watched.person.rglob("*")) == []
    if "out.png" in arguments:
        assert (photo_file.parent / "out.png").stat().st_size > 1000


@needs_a_screen
def test_the_window_works_unplugged_and_tries_nothing(
    watched,
    weights,
    photo_file,
    screen,  # noqa: F811
    home,
):
    (home / "settings.json").write_text(json.dumps({"welcome": False}))
    done, events, native = watched("-c", WINDOW, photo_file, DISPLAY=screen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (events, native) == ([], [])
    assert [p.name for p in watched.person.rglob("*") if "mesa" not in str(p)] in ([], [".cache"])


def test_only_fetching_a_model_reaches_out_and_says_so_when_it_cannot(watched, home):
    done, events, _ = watched("-m", "qr_nodes", "models", "get", "u2netp")
    if unplugged():
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert "u2netp: its weights could not be fetched" in done.stderr
        assert "Connect to the internet and try again" in done.stderr
    assert "'pip', 'download'" in events[0]
    assert not [path for path in home.rglob("*") if ".part" in path.name]


@pytest.fixture
def photo_file(tmp_path, chelsea) -> Path:
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    Image.fromarray(chelsea).save(tmp_path / "pictures" / "cat.png")
    return tmp_path / "pictures" / "cat.png"
