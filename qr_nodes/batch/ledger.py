"""What the program has made in a folder and what from, so that a rerun does only what is missing,
and replaces nothing that somebody else has made or changed.

In the hidden folder `.qr-nodes` of an output folder lie

    ledger.jsonl   a line of JSON for each result: its name, its key, and what marks the file
    parts/         results that are not complete yet
    lock           held by the run that works here

Results beside the user's own files leave nothing else there: of a folder without `.qr-nodes` the
record is `results/HASH.jsonl` in the user's data folder, named by a hash of the folder's path.

A result is written as a part, gets its line, which reaches the disk, and only then its name.
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
import time
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from qr_nodes import resources, whole
from qr_nodes.errors import QrNodesError, ReadError, WriteError
from qr_nodes.names import from_json, to_json

HIDDEN = ".qr-nodes"
VERSION = 1

LOCK_TIMEOUT_S = 5.0
"""How long a shared ledger may be held by others."""
POLL_S = 0.005

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
        The output folder; made if need be.
    shared : bool
        Other runs may work here at the same time: the ledger is held for moments only.
    beside : bool
        The folder is the user's own: keep the record in the data folder, unless there is one here.
    """

    def __init__(self, folder: str | os.PathLike, *, shared: bool = False, beside: bool = False):
        self.folder, self.shared = Path(folder), shared
        home, self._away = self.folder / HIDDEN, _record_away(self.folder)
        self.away = beside and not home.is_dir()
        self.path = self._away if self.away else home / "ledger.jsonl"
        self.parts = home / "parts"
        self.last: dict[str, Line] = {}
        self.marks: dict[str, set[Mark]] = {}
        self.lines = 0
        self._writing = threading.RLock()
        self._scratch = contextlib.ExitStack()
        self._turn: BinaryIO | None = None

    def read(self) -> Ledger:
        """Read what is known, and change nothing."""
        self.lines = 0
        for path in dict.fromkeys((self._away, self.path)):
            known = self.lines
            self._read(path)
            if path != self.path:
                self.lines = known
        return self

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            what = f"the ledger cannot be read ({error.strerror})."
            raise ReadError(what, str(path), "Change its permissions.") from error
        rows = data.split(b"\n")
        with contextlib.suppress(msgspec.DecodeError):
            if from_json(rows[0], _Head).version > VERSION:
                what = "the results here are from a newer version of the program."
                raise ReadError(what, str(self.folder), "Update it, or name another folder.")
        for row in rows[1:]:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                self._learn(from_json(row, Line))

    def open(self) -> Ledger:
        """Take the folder for this run, alone unless it is shared.

        What an earlier run left is completed.

        Raises
        ------
        WriteError
            Another run works in the folder, or it cannot be written.
        """
        if self.shared:
            if self.path.exists():
                with self._held():
                    self.read()
                    self._compact()
            return self.read()
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            self._turn = self._lock(0.0)
        except OSError as error:
            raise self._closed(error) from error
        try:
            self.read()
            self.settle()
            self._compact()
            self._append([])
        except OSError as error:
            self.close()
            raise self._unwritten(error) from error
        except QrNodesError:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Let the next run have the folder."""
        self._scratch.close()
        if self._turn is not None:
            self._turn.close()
            self._turn = None

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Hold off other runs for a moment."""
        with self._writing:
            if self._turn is not None:
                yield
                return
            with self._lock(LOCK_TIMEOUT_S):
                yield

    def _lock(self, timeout_s: float) -> BinaryIO:
        """Take the lock, which ends when the file is closed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file, until = (self.path.parent / "lock").open("ab"), time.monotonic() + timeout_s
        while not whole.locked(file):
            if time.monotonic() >= until:
                file.close()
                hint = "Wait until it is done, or name another folder."
                raise WriteError("another run is writing here.", str(self.folder), hint)
            time.sleep(POLL_S)
        return file

    def _closed(self, error: OSError) -> WriteError:
        what = f"the folder cannot be written ({error.strerror})."
        return WriteError(what, str(self.folder), "Name another.")

    def _unwritten(self, error: OSError) -> WriteError:
        what = f"the ledger cannot be written ({error.strerror})."
        full = error.errno in whole.FULL
        hint = "Free some space." if full else "Change its permissions."
        return WriteError(what, str(self.path), hint)

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
        """Return a new name to write a result under until it is complete.

        Raises
        ------
        WriteError
            The folder cannot be written.
        """
        with self._writing:
            if self.shared and not self.parts.name.endswith(whole.ENDING):
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self.parts = self._scratch.enter_context(whole.scratch(self.folder))
                except OSError as error:
                    raise self._closed(error) from error
        return self.parts / f"{secrets.token_hex(8)}{ending}"

    def commit(self, lines: list[Line]) -> str:
        """Enter complete parts as results: their lines first, and then their names.

        Returns
        -------
        said : str
            Why what was made here will not be known again, or "". Only a record in the data folder
            may be missing: a result that lies elsewhere need not suffer from that.

        Raises
        ------
        WriteError
            The ledger or a result cannot be written.
        """
        said = ""
        try:
            with self._held():
                self._append([to_json(line) for line in lines])
        except OSError as error:
            fault = self._unwritten(error)
            if not self.away:
                raise fault from error
            said = f"{fault} Until then a rerun takes this result for somebody else's."
        with self._writing:
            for line in lines:
                self._learn(line)
        for line in lines:
            self._name(line)
        return said

    def _name(self, line: Line) -> None:
        target = self.folder / line.out
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            whole.rename(self.parts / line.part, target)
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
        if self._turn is not None:
            with contextlib.suppress(OSError):
                self._append([to_json(line)], sync=False)

    def _append(self, rows: list[bytes], sync: bool = True) -> None:
        with self._writing, self.path.open("a+b", buffering=0) as file:
            data = b"".join(row + b"\n" for row in rows)
            if file.seek(0, os.SEEK_END) == 0:
                data = to_json(_Head()) + b"\n" + data
            elif rows:
                file.seek(-1, os.SEEK_END)
                # After a line that was cut short a new one begins.
                data = (b"" if file.read(1) == b"\n" else b"\n") + data
            while data:
                data = data[os.write(file.fileno(), data) :]
            if sync:
                os.fsync(file.fileno())

    def settle(self) -> None:
        """Rename parts that have a line; delete the others. A shared run's go when it ends."""
        if self.shared:
            return
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
            file.writelines(to_json(row) + b"\n" for row in rows)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.path)
        self.lines = len(self.last)


def _record_away(folder: Path) -> Path:
    """Return where the results in a folder are recorded that has no ledger of its own."""
    path = os.path.realpath(folder).encode(errors="surrogateescape")
    digest = blake2b(path, digest_size=16).hexdigest()
    return resources.data_folder() / "results" / f"{digest}.jsonl"


def results_in(folder: str | os.PathLike) -> list[Line]:
    """Return what is recorded of the results in a folder, whether they are still there or not."""
    with contextlib.suppress(QrNodesError):  # what cannot be read tells nothing
        return list(Ledger(folder).read().last.values())
    return []


def mark_of(path: str | os.PathLike) -> Mark:
    """Give size and time of change of a file, in bytes and ns."""
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns


def digest_of(path: str | os.PathLike) -> str:
    """Hash a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()
