"""What nodes gave, by key: bounded in bytes in memory, and on disk for what is dear to compute.

Equal keys mean equal pixels, so nothing is ever marked dirty: an entry is right for as long as
it is kept. State: the entries, and a count of how many entries share each array.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qr_nodes.types import Written
from qr_nodes.whole import replacing

OVERHEAD = 1024
"""Bytes that an entry counts beside its arrays, so that empty entries are bounded too."""


@dataclass(frozen=True)
class Entry:
    """What a node gave.

    Attributes
    ----------
    outputs : output name → value, arrays read-only
    seconds : what computing it took
    notes : what the node told the user about it
    """

    outputs: Mapping[str, Any]
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def valid(self) -> bool:
        """Say whether files that were written are still there."""
        return all(v.intact() for v in self.outputs.values() if isinstance(v, Written))


def arrays(value: Any) -> Iterator[np.ndarray]:
    """Walk over the arrays in an output."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from arrays(item)
    else:  # a cut-out, a correction: what is made of arrays names them; a written file has none
        yield from getattr(value, "arrays", ())


def freeze(value: Any) -> Any:
    """Make every array in an output read-only; give the output."""
    for array in arrays(value):
        array.flags.writeable = False
    return value


class Cache:
    """Entries by key, at most `budget` bytes of them.

    Arrays that several entries share count once. When the budget is passed, what goes first
    is what is old and large and was quick to make: age × bytes ÷ seconds. Pinned keys stay.

    Parameters
    ----------
    budget : int
        Bytes to keep in memory; 0 keeps nothing that holds pixels.
    disk : Disk or None
        Where `job.memo` results survive the process.
    """

    def __init__(self, budget: int = 2 << 30, disk: Disk | None = None):
        self.budget, self.disk = budget, disk
        self.used = 0
        self._entries: dict[bytes, Entry] = {}
        self._touched: dict[bytes, int] = {}
        self._shared: dict[int, list] = {}
        self._pinned: frozenset[bytes] = frozenset()
        self._clock = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> Entry | None:
        """Give the entry of `key`, or None if there is none or what it wrote has changed."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._clock += 1
                self._touched[key] = self._clock
        return entry if entry is not None and entry.valid else None

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an entry; older ones make room."""
        with self._lock:
            self._drop(key)
            self._clock += 1
            self._entries[key], self._touched[key] = entry, self._clock
            self.used += OVERHEAD
            for owner in _owners(entry):
                count = self._shared.setdefault(id(owner), [owner.nbytes, 0])
                self.used += count[0] if count[1] == 0 else 0
                count[1] += 1
            self._make_room()

    def pin(self, keys: Collection[bytes]) -> None:
        """Keep these keys whatever their age, and let go of those pinned before."""
        with self._lock:
            self._pinned = frozenset(keys)
            self._make_room()

    def clear(self) -> None:
        """Forget everything in memory."""
        with self._lock:
            for key in list(self._entries):
                self._drop(key)

    def __len__(self) -> int:
        return len(self._entries)

    def _make_room(self) -> None:
        if self.used <= self.budget:
            return
        # A tenth more than needed, so that a full cache does not sort at every entry.
        for key in sorted(self._entries, key=self._worth):
            if self.used <= self.budget * 0.9:
                break
            if key not in self._pinned:
                self._drop(key)

    def _worth(self, key: bytes) -> float:
        entry = self._entries[key]
        size = OVERHEAD + sum(
            owner.nbytes for owner in _owners(entry) if self._shared[id(owner)][1] == 1
        )
        age = self._clock - self._touched[key] + 1
        return max(entry.seconds, 1e-4) / (age * size)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        del self._touched[key]
        self.used -= OVERHEAD
        for owner in _owners(entry):
            count = self._shared[id(owner)]
            count[1] -= 1
            if count[1] == 0:
                self.used -= count[0]
                del self._shared[id(owner)]


def _owners(entry: Entry) -> list[np.ndarray]:
    """Give the arrays that hold the memory of an entry's outputs, each once."""
    owners = {}
    for array in arrays(entry.outputs):
        while isinstance(array.base, np.ndarray):
            array = array.base
        owners[id(array)] = array
    return list(owners.values())


class Disk:
    """Arrays by key in a folder, at most `limit` bytes; what is damaged is dropped, never shown.

    Files are NumPy's .npz, whose members carry a CRC-32, written under another name and then
    renamed, so that several processes can share the folder.
    """

    def __init__(self, folder: str | os.PathLike, limit: int = 256 << 20):
        self.folder, self.limit = Path(folder), limit

    def get(self, key: bytes) -> np.ndarray | tuple[np.ndarray, ...] | None:
        """Give the array, or the tuple of arrays, kept under `key`, read-only, or None."""
        path = self._path(key)
        try:
            stream = path.open("rb")
        except OSError:
            return None
        try:
            with stream, np.load(stream, allow_pickle=False) as file:
                found = tuple(freeze(file[name]) for name in sorted(file.files))
            found = found if len(found) > 1 else found[0]
        except Exception:  # there is no end of what damaged bytes make the readers raise
            with suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with suppress(OSError):  # another process may have dropped it meanwhile
            os.utime(path)
        return found

    def put(self, key: bytes, value: np.ndarray | tuple[np.ndarray, ...]) -> None:
        """Keep arrays under `key`; a disk that is full or cannot be written keeps nothing."""
        values = value if isinstance(value, tuple) else (value,)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._path(key), lasting=False) as file:
                np.savez(file, **{f"a{place:02}": value for place, value in enumerate(values)})
            self._make_room()

    def clear(self) -> None:
        """Delete everything kept here."""
        for path in self.folder.glob("*.npz"):
            path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        found = sorted(self.folder.glob("*.npz"), key=lambda path: path.stat().st_mtime_ns)
        used = sum(path.stat().st_size for path in found)
        for path in found:
            if used <= self.limit:
                break
            used -= path.stat().st_size
            path.unlink(missing_ok=True)

    def _path(self, key: bytes) -> Path:
        return self.folder / f"{key.hex()}.npz"
