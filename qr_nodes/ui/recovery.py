"""Keep what is not saved yet beside the user's files, and offer it after a crash.

Every window writes its unsaved graph to a sidecar of its own in the recovery folder, never over
the user's file: a .qrgraph with one field more, which says where the graph came from. A lock
file beside it is held for as long as the process runs; the system lets go of it however the
process ends, so a sidecar whose lock is free belongs to nobody any more.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from qr_nodes import resources
from qr_nodes.errors import QrNodesError, ReadError
from qr_nodes.graph import Graph
from qr_nodes.qrgraph import dump, parse
from qr_nodes.whole import locked, sweep, write_whole

PAUSE = 2.0
"""Seconds between two writes at least."""

FIELD = "unsaved"
"""The sidecar's field that says where the graph came from."""


class Origin(msgspec.Struct):
    """Where an unsaved graph came from.

    Attributes
    ----------
    path : its file, or ""
    time : seconds since the epoch when it was kept
    mark : hash of the bytes that the file held when it was read or written last, or ""
    """

    path: str
    time: float
    mark: str = ""


@dataclass(frozen=True)
class Unsaved:
    """A graph that a process which no longer runs left behind.

    Attributes
    ----------
    file : the sidecar
    title : what the document was called
    path : the user's file, or ""
    time : seconds since the epoch when it was kept
    mark : hash of the bytes that the user's file held, or ""
    """

    file: Path
    title: str
    path: str
    time: float
    mark: str = ""


class Recovery:
    """The sidecar of this process's document, and the thread that writes it.

    State: the newest unsaved graph with its file, or None when everything is saved; what the
    sidecar holds.

    Attributes
    ----------
    fault : why the newest could not be kept, as a sentence, or ""
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder or _folder()
        self.file = self.folder / f"{os.getpid()}-{time.time_ns() // 1_000_000}.qrgraph"
        self._lock = None
        with suppress(OSError):  # a home that cannot be written must not keep the window shut
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = self.file.with_suffix(".lock").open("wb")
            locked(self._lock)
        self.fault = ""
        self._newest: tuple[Graph, str, str] | None = None
        self._kept: tuple[Graph, str, str] | None = None
        self._mail = threading.Condition()
        self._closed = False
        self._writer = threading.Thread(target=self._write, name="qr-nodes recovery", daemon=True)
        self._writer.start()

    def keep(self, graph: Graph, path: str = "", saved: bool = False, mark: str = "") -> None:
        """Say what the document is now; costs nothing if it is what it was.

        Parameters
        ----------
        graph : Graph
            The graph as it is now.
        path : str
            The user's file, or "" if there is none yet.
        saved : bool
            Nothing would be lost: the sidecar goes.
        mark : str
            Hash of the bytes that the user's file held when it was last read or written.
        """
        newest = None if saved else (graph, path, mark)
        with self._mail:
            if not _same(newest, self._newest):
                self._newest = newest
                self._mail.notify_all()

    def adopt(self, entry: Unsaved) -> tuple[Graph, list[QrNodesError]]:
        """Load an unsaved graph and make its sidecar this process's own.

        Give the graph and the faults that were left out, as `qrgraph.inspect` does. Call `keep`
        with it next.

        Raises
        ------
        ReadError
            The sidecar is gone, another window has it, or it is damaged.
        """
        try:
            raw = json.loads(entry.file.read_bytes())
            del raw[FIELD]
            found = parse(json.dumps(raw).encode(), entry.file.parent)
            with self._mail:
                os.replace(entry.file, self.file)
                self._newest = self._kept = found[0], entry.path, entry.mark
        except (OSError, ValueError, KeyError, QrNodesError) as error:
            raise ReadError(
                "the unsaved work cannot be read.", entry.title, "It may be open elsewhere."
            ) from error
        discard(entry)
        return found

    def close(self, keep: bool = False) -> None:
        """End; `keep` leaves what is not saved for the next start, which otherwise goes."""
        with self._mail:
            self._closed = True
            self._mail.notify_all()
        self._writer.join()
        if self._lock is None:
            return
        if keep and self._newest is not None:
            with suppress(OSError, ValueError):  # what was kept last stays then
                write_whole(self.file, _sidecar(*self._newest, self.folder))
            self._lock.close()
            return
        self.file.unlink(missing_ok=True)
        self._lock.close()
        self.file.with_suffix(".lock").unlink(missing_ok=True)

    def settle(self, timeout: float = 60.0) -> bool:
        """Wait until the sidecar holds what is newest; return whether it does."""
        with self._mail:
            return self._mail.wait_for(lambda: _same(self._newest, self._kept), timeout)

    def _write(self) -> None:
        while True:
            with self._mail:
                self._mail.wait_for(lambda: self._closed or not _same(self._newest, self._kept))
                if self._closed:
                    return
                newest = self._newest
                if newest is None:
                    self.file.unlink(missing_ok=True)
                    self._kept = None
                    self._mail.notify_all()
                    continue
            # A full disk must not end the thread: it is tried again after the pause.
            try:
                write_whole(self.file, _sidecar(*newest, self.folder))
                kept, self.fault = newest, ""
            except (OSError, ValueError) as error:
                kept = self._kept
                reason = getattr(error, "strerror", None) or error
                self.fault = f"unsaved work cannot be kept ({reason}). Save the graph elsewhere."
            with self._mail:
                self._kept = kept
                self._mail.notify_all()
                self._mail.wait_for(lambda: self._closed or self._newest is None, PAUSE)


def list_recoverable(folder: Path | None = None) -> list[Unsaved]:
    """Give what processes that no longer run left unsaved, newest first."""
    folder = folder or _folder()
    _sweep(folder)
    found = [entry for file in folder.glob("*.qrgraph") if _free(file) and (entry := _entry(file))]
    return sorted(found, key=lambda entry: -entry.time)


def discard(entry: Unsaved) -> None:
    """Throw unsaved work away."""
    for file in (entry.file, entry.file.with_suffix(".lock")):
        with suppress(OSError):
            file.unlink()


def _sweep(folder: Path) -> None:
    """Remove what processes that did not end in a clean way left: half-written files, locks."""
    sweep(folder, again=True)
    for lock in folder.glob("*.lock"):
        file = lock.with_suffix(".qrgraph")
        with suppress(OSError):
            # One that is a moment old may be about to be taken.
            if time.time() - lock.stat().st_mtime > 60 and not file.exists() and _free(file):
                lock.unlink()


def _folder() -> Path:
    return resources.data_folder() / "recovery"


def _sidecar(graph: Graph, path: str, mark: str, folder: Path) -> bytes:
    raw = json.loads(dump(graph, folder))
    return json.dumps(raw | {FIELD: msgspec.to_builtins(Origin(path, time.time(), mark))}).encode()


def _entry(file: Path) -> Unsaved | None:
    try:
        origin = msgspec.convert(json.loads(file.read_bytes())[FIELD], Origin)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    title = Path(origin.path).name or "Untitled"
    return Unsaved(file, title, origin.path, origin.time, origin.mark)


def _same(one: tuple | None, other: tuple | None) -> bool:
    if one is None or other is None:
        return one is other
    return one[0] is other[0] and one[1:] == other[1:]


def _free(file: Path) -> bool:
    """Say whether the process that wrote a sidecar no longer runs."""
    try:
        with file.with_suffix(".lock").open("rb") as lock:
            return locked(lock)
    except FileNotFoundError:
        return True
    except OSError:  # another user's
        return False
