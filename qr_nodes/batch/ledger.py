"""What an output folder holds and what it was made from, so that a rerun does only what is missing.

In the hidden folder `.qr-nodes` of the output folder lie

    ledger.jsonl   a line of JSON for each result: its name, its key, and what marks the file
    parts/         results that are not complete yet
    lock           held by the run that works here

A result is written into `parts`, gets its line, which reaches the disk, and only then its name.
So whenever the process ends, files under their own names are whole and have a line, and a part
with a line only has to be renamed. Lines cut short by a crash are passed over. Names in the ledger
lie below the output folder, or below the folder of pictures: they tell nothing of where these are.

State, in `Ledger`: the last line of each result, and every mark that one of ours has had.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import msgspec

from qr_nodes.errors import QrNodesError, ReadError, WriteError

HIDDEN = ".qr-nodes"
VERSION = 1

Mark = tuple[int, int]
"""Size in bytes and time of change in ns."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result and what it was made from.

    Attributes
    ----------
    out : the result's path below the output folder
    key : hash of everything that decides about its pixels
    mark, digest : size and time of change of the file, and hash of its content
    part : its name before it was complete
    picture : place of the picture below its folder
    root : what tells that folder from others, and does not tell where it is
    read, read_digest : the same of the picture
    """

    out: str
    key: str
    mark: Mark
    digest: str
    part: str
    picture: str
    root: str
    read: Mark = (0, 0)
    read_digest: str = ""


class _Head(msgspec.Struct):
    format: str = "qr-nodes ledger"
    version: int = VERSION


class Ledger:
    """The results in one folder.

    Parameters
    ----------
    folder : path
        The output folder; made by `open` if need be.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.parts = self.folder / HIDDEN / "parts"
        self.path = self.folder / HIDDEN / "ledger.jsonl"
        self.last: dict[str, Line] = {}
        self.marks: dict[str, set[Mark]] = {}
        self.lines = 0
        self._writing = threading.Lock()
        self._torn = False
        self._file: int | None = None
        self._turn = None

    def read(self) -> Ledger:
        """Read what is known, and change nothing."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return self
        except OSError as error:
            what = f"the ledger cannot be read ({error.strerror})."
            raise ReadError(what, str(self.path), "Change its permissions.") from error
        decode, head = msgspec.json.Decoder(Line).decode, msgspec.json.Decoder(_Head).decode
        self._torn = bool(data) and not data.endswith(b"\n")
        rows = data.split(b"\n")
        with contextlib.suppress(msgspec.DecodeError):
            if head(rows[0]).version > VERSION:
                what = "the results here are from a newer version of the program."
                raise ReadError(what, str(self.folder), "Update it, or name another folder.")
        for row in rows[1:]:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                self._learn(decode(row))
        return self

    def open(self) -> Ledger:
        """Take the folder for this run alone, and complete what an earlier one left.

        Raises
        ------
        WriteError
            Another run works in the folder, or it cannot be written.
        """
        import filelock

        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            # Not bound to a thread: who closes need not be who opened.
            turn = filelock.FileLock(self.parts.parent / "lock", timeout=0, thread_local=False)
            turn.acquire()
        except filelock.Timeout as error:
            hint = "Wait until it is done, or name another folder."
            raise WriteError("another run is writing here.", str(self.folder), hint) from error
        except OSError as error:
            what = f"the folder cannot be written ({error.strerror})."
            raise WriteError(what, str(self.folder), "Name another.") from error
        self._turn = turn
        try:
            self.read()
            self.settle()
            self._compact()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o666)
            if os.fstat(self._file).st_size == 0:
                self._append([msgspec.json.encode(_Head())])
        except OSError as error:
            self.close()
            what = f"the ledger cannot be written ({error.strerror})."
            raise WriteError(what, str(self.path), "Change its permissions.") from error
        except QrNodesError:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Let the next run have the folder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._turn is not None:
            self._turn.release()
            self._turn = None

    def state(self, out: str) -> Literal["missing", "ours", "changed"]:
        """Say whether a result is there, and as we made it."""
        try:
            mark = mark_of(self.folder / out)
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "changed"
        line = self.last.get(out)
        if line is None:
            return "changed"
        if mark in self.marks[out]:
            return "ours"
        # A copy of the folder has other times. Equal content is ours all the same.
        if mark[0] == line.mark[0] and digest_of(self.folder / out) == line.digest:
            self._note(msgspec.structs.replace(line, mark=mark))
            return "ours"
        return "changed"

    def current(self, out: str, key: str) -> bool:
        """Say whether a result is there and has this key."""
        line = self.last.get(out)
        if line is None or line.key != key:
            return False
        # Looks at the file first, which may give the result a new mark.
        return self.state(out) == "ours" and mark_of(self.folder / out) == self.last[out].mark

    def seen(self, out: str, read: Mark) -> None:
        """Note that a result's picture has another time of change and the same content."""
        line = self.last[out]
        if line.read != read:
            self._note(msgspec.structs.replace(line, read=read))

    def part(self, ending: str) -> Path:
        """Give a new name to write a result under until it is complete."""
        return self.parts / f"{secrets.token_hex(8)}{ending}"

    def commit(self, lines: list[Line]) -> None:
        """Enter complete parts as results: their lines first, and then their names.

        Raises
        ------
        WriteError
            The ledger or a result cannot be written.
        """
        try:
            self._append([msgspec.json.encode(line) for line in lines])
        except OSError as error:
            what = f"the ledger cannot be written ({error.strerror})."
            raise WriteError(what, str(self.path), "Free some space.") from error
        with self._writing:
            for line in lines:
                self._learn(line)
        for line in lines:
            self._name(line)

    def _name(self, line: Line) -> None:
        target = self.folder / line.out
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.parts / line.part, target)
        except OSError as error:
            what = f"the result cannot be put there ({error.strerror})."
            raise WriteError(what, str(target), "Make room, or name another folder.") from error

    def _learn(self, line: Line) -> None:
        self.lines += 1
        self.last[line.out] = line
        self.marks.setdefault(line.out, set()).add(line.mark)

    def _note(self, line: Line) -> None:
        """Keep a fresh mark; without one the file is only looked at again the next time."""
        with self._writing:
            self._learn(line)
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._append([msgspec.json.encode(line)], sync=False)

    def _append(self, rows: list[bytes], sync: bool = True) -> None:
        with self._writing:
            data = b"".join(row + b"\n" for row in rows)
            # After a line that was cut short a new one begins.
            data, self._torn = (b"\n" if self._torn else b"") + data, True
            while data:
                data = data[os.write(self._file, data) :]
            if sync:
                os.fsync(self._file)
            self._torn = False

    def settle(self) -> None:
        """Rename parts that have a line; delete the others."""
        waiting = {line.part: line for line in self.last.values()}
        for path in self.parts.iterdir():
            line = waiting.get(path.name)
            with contextlib.suppress(OSError, WriteError):
                if line and mark_of(path) == line.mark and self.state(line.out) != "changed":
                    self._name(line)
                path.unlink(missing_ok=True)

    def _compact(self) -> None:
        """Write the file anew when most of its lines are out of date."""
        if self.lines <= 2 * len(self.last) + 100:
            return
        rows = [_Head(), *self.last.values()]
        fresh = self.path.with_suffix(".new")
        with open(fresh, "wb") as file:
            file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path)
        self.lines, self._torn = len(self.last), False


def mark_of(path: str | os.PathLike) -> Mark:
    """Give size and time of change of a file, in bytes and ns."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def digest_of(path: str | os.PathLike) -> str:
    """Hash a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
