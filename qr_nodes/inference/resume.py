"""Fetch a file from a web address, going on where an earlier transfer was cut.

What has come lies in FILE.partial, and FILE.partial.json says where from and by what the server
tells that version of the file from others (its ETag, or else the time of its last change). It is
locked by whoever fetches it. The checksum decides in the end, however the bytes came together.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from qr_nodes import whole
from qr_nodes.inference.download import Failed, Progress
from qr_nodes.inference.registry import Model

ATTEMPTS = 10
"""Tries per address, as long as two in a row do not bring nothing."""
BLOCK = 1 << 16
"""Bytes between two reports, and the most that a cut loses of what had come."""
PATIENCE = 20
"""Seconds without a byte after which a transfer is cut."""
STALE = 30 * 86400
"""Seconds after which nobody is expected to go on with a partial file."""


POSIX = os.name != "nt"
"""Whether what is open can be renamed and removed."""


class Origin(msgspec.Struct):
    """Where the bytes of a partial file came from; `version` is the server's mark of the file."""

    url: str
    checksum: str
    version: str


class _Cut(Exception):
    """The transfer ended early."""


def get(url: str, model: Model, target: Path, progress: Progress, kept: Path) -> None:
    """Write the file at `url` to `target`, its checksum proved, or raise Failed.

    Parameters
    ----------
    url : web address
    model : Model
        What the file must be.
    target : path
        Where it is put when it is whole, on the disk of `kept`.
    progress : callable
        Told bytes done, those of an earlier transfer included, and bytes in all. What it raises
        stops the transfer and is passed on.
    kept : path of the partial file
        While another process has it, all is fetched anew.
    """
    note = _note(kept)
    with _claimed(kept) as file:
        if file is None:
            with target.open("w+b") as file:
                _fill(url, model, file, None, progress)
            return
        try:
            _fill(url, model, file, note, progress)
        except BaseException:
            if not (note.exists() and file.seek(0, os.SEEK_END)):
                _empty(file, note)
                if POSIX:
                    kept.unlink()
            raise
        file.flush()
        note.unlink(missing_ok=True)
        if POSIX:  # still locked, so that nobody goes on with it
            os.replace(kept, target)
    if not POSIX:
        os.replace(kept, target)


def forget(kept: Path) -> None:
    """Remove a partial file, unless another process has it."""
    with suppress(OSError), kept.open("r+b") as file:
        if whole.locked(file):
            _note(kept).unlink(missing_ok=True)
            kept.unlink()


def forget_stale(folder: Path) -> None:
    """Remove the partial files in a folder that nobody has gone on with for long."""
    for kept in folder.glob("*.partial"):
        with suppress(OSError):
            if time.time() - kept.stat().st_mtime > STALE:
                forget(kept)


def _note(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.json")


@contextmanager
def _claimed(kept: Path) -> Iterator[BinaryIO | None]:
    """Open and lock the partial file, which may be new; None while another process has it."""
    while True:
        handle = os.open(kept, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "r+b") as file:
            if not whole.locked(file):
                yield None
                return
            with suppress(FileNotFoundError):  # it was completed, or given up, just now
                if os.path.samestat(os.fstat(handle), kept.stat()):
                    yield file
                    return


def _fill(url: str, model: Model, file: BinaryIO, note: Path | None, progress: Progress) -> None:
    """Transfer what is missing until the file is whole, or raise Failed."""
    import requests

    most, idle = -1, 0
    for _ in range(ATTEMPTS):
        version = _version_of(note, url, model)
        if not version:
            _empty(file, note)
        began = file.seek(0, os.SEEK_END)
        try:
            _transfer(url, model, version, file, note, progress)
        except requests.HTTPError as error:
            raise Failed(f"the server answers {error.response.status_code}") from error
        except requests.RequestException as error:
            raise Failed("no connection") from error
        except _Cut:
            now = file.seek(0, os.SEEK_END)
            idle = 0 if now > most else idle + 1
            most = max(most, now)
            if idle == 2:
                break
            continue
        if _proved(file, model.checksum):
            return
        _empty(file, note)
        if not began:
            raise Failed("it gives another file: the checksum is wrong")
    raise Failed("the transfer was cut")


def _transfer(
    url: str, model: Model, version: str, file: BinaryIO, note: Path | None, progress: Progress
) -> None:
    """Ask for what is missing and add it to the file; raises _Cut if it ends early."""
    import requests

    done = file.seek(0, os.SEEK_END)
    asked = {"Accept-Encoding": "identity"}  # else a range would be one of packed bytes
    if done:
        asked |= {"Range": f"bytes={done}-", "If-Range": version}
    with requests.get(url, headers=asked, stream=True, timeout=PATIENCE) as answer:
        if done and answer.status_code == 416:
            return  # nothing is missing, or the file is another one: the checksum tells
        answer.raise_for_status()
        now = _mark(answer.headers)
        if answer.status_code == 206:
            fits = answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            if not fits or now not in ("", version):
                _empty(file, note)
                raise _Cut
        else:
            _empty(file, note)
            done = 0
            if note is not None and now:
                note.write_bytes(msgspec.json.encode(Origin(url, model.checksum, now)))
        length = answer.headers.get("Content-Length", "")
        total = done + int(length) if length.isdecimal() else model.bytes
        progress(done, total)
        try:
            for block in answer.iter_content(BLOCK):
                file.write(block)
                done += len(block)
                progress(done, total and max(total, done))
        except requests.RequestException as error:
            raise _Cut from error


def _mark(headers: Mapping[str, str]) -> str:
    """Give what tells this version of a file from others; "" if the server cannot go on in it."""
    if headers.get("Accept-Ranges", "").lower() == "none":
        return ""
    etag = headers.get("ETag", "")
    return headers.get("Last-Modified", "") if not etag or etag.startswith("W/") else etag


def _version_of(note: Path | None, url: str, model: Model) -> str:
    """Give the server's mark of the version that a partial file is of; "" if it is of no use."""
    try:
        origin = msgspec.json.decode(note.read_bytes(), type=Origin) if note else None
    except (OSError, msgspec.MsgspecError, ValueError):
        return ""
    same = origin and (origin.url, origin.checksum) == (url, model.checksum)
    return origin.version if same else ""


def _empty(file: BinaryIO, note: Path | None) -> None:
    file.seek(0)
    file.truncate()
    if note is not None:
        note.unlink(missing_ok=True)


def _proved(file: BinaryIO, checksum: str) -> bool:
    kind, _, expected = checksum.partition(":")
    file.seek(0)
    digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return digest.hexdigest() == expected
