"""What the program writes survives what may happen to it; `saving.py` holds the attacks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ATTACK = Path(__file__).with_name("saving.py")
KINDS = ("graph", "autosave", "settings", "export", "cache", "added model", "fetched model")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the attacks fork")


def attack(*arguments, before=()) -> dict[str, dict]:
    """Run an attack; give what it tells, by kind of file."""
    command = [*before, sys.executable, ATTACK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["kind"] for one in told] == list(KINDS), done.stderr
    assert not any(one["not whole"] for one in told), told
    assert done.returncode == 0, (told, done.stderr)
    return {one["kind"]: one for one in told}


def test_a_process_killed_at_any_moment_leaves_the_old_file_or_the_new():
    told = attack("kill", "--moments", 24, "--seed", 5)
    assert sum(one["caught half-way"] for one in told.values()) > 10


def may_mount() -> bool:
    """Say whether a process may have file systems of its own here."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    found = shutil.which("unshare")
    return bool(found) and subprocess.run(command, capture_output=True).returncode == 0


def test_a_full_disk_is_said_and_nothing_is_lost():
    if may_mount():
        told = attack("full", "--steps", 8, before=("unshare", "-Urm"))
        assert {one["by"] for one in told.values()} == {"a disk of 1 MiB"}
        for kind in ("graph", "settings", "autosave", "added model", "fetched model"):
            assert "No space left on device" in told[kind]["said"]
        assert "the disk is full" in told["export"]["said"]
    else:
        print("no file system can be mounted here: a limit on files' size stands for the disk")
        told = attack("full", "--steps", 8)
    assert all(one["refused"] for one in told.values())


def test_lost_permission_is_said_and_nothing_is_lost():
    told = attack("locked")
    assert all(one["refused"] for one in told.values())
    assert "you have no permission to write it" in told["export"]["said"][0]


LASTING = [kind for kind in KINDS if kind != "cache"]  # whose damaged entries are dropped


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", LASTING)
def test_a_file_reaches_the_disk_before_its_name_does_and_its_folder_after(kind, tmp_path):
    command = [sys.executable, ATTACK, "once", kind, tmp_path]
    log = tmp_path / "calls"
    if shutil.which("strace"):
        calls = "fsync,fdatasync,rename,renameat,renameat2"
        watch = ["strace", "-f", "-y", "-s", "0", "-o", log, "-e", f"trace={calls},write"]
        done = subprocess.run([*watch, *command], capture_output=True, text=True)
        seen = log.read_text()
        seen = seen[seen.index('""...', seen.index("write(2<")) :]
    else:
        done = subprocess.run([*command, "--record"], capture_output=True, text=True)
        seen = done.stderr
    assert done.returncode == 0, done.stderr
    synced, moved, waiting = [], 0, None
    for line in joined(seen):
        if found := re.search(r"fsync\(\d+<([^>]*)>", line):
            synced.append(found[1])
        elif found := re.search(
            r'rename\w*\((?:AT_FDCWD<?[^"]*, )?"([^"]*)", [^"]*"([^"]*)"', line
        ):
            part, target = found.groups()
            if ".part" in Path(target).parent.name:
                continue  # a download's own half-way house
            assert part in synced, f"{part} is renamed before it is on the disk"
            synced.remove(part)
            moved += 1
            waiting = str(Path(target).parent)
        elif found := re.search(r"write\(\d+<([^>]*\.part[^>]*)>", line):
            assert found[1] not in synced, f"{found[1]} is written to after it was on the disk"
        if moved and "fsync(" in line and waiting in synced:
            waiting = None
    assert moved >= 1 and waiting is None, seen


def joined(log: str) -> list[str]:
    """Give the lines of strace's log with calls that others interrupted put together."""
    lines, open_calls = [], {}
    for line in log.splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            open_calls[pid] = line.removesuffix("<unfinished ...>")
        elif "resumed>" in line:
            lines.append(open_calls.pop(pid, "") + line.split("resumed>", 1)[1])
        else:
            lines.append(line)
    return lines
