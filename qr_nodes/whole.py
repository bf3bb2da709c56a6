"""Put files in their place whole: whatever ends the process, the old or the new one is there.

What is being written has another name in the same folder, `.qr-nodes-….part`, and is locked for
as long as its writer runs. The system lets go of a lock however a process ends, so a part whose
lock is free belongs to nobody: whoever writes into that folder next removes it.

State: `_swept`, the folders that this process has looked through.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

MARK, ENDING = ".qr-nodes-", ".part"
"""How the names of parts begin and end."""

AGE = 86400.0
"""Seconds after which a part is nobody's where the file system knows no locks."""

PATIENCE = 5.0
"""Seconds to wait for another process that changes the same file."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where nothing more can be written."""

_swept: set[str] = set()


@contextmanager
def replacing(
    path: str | os.PathLike, *, lasting: bool = True, mode: int = 0o666
) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the block ends, or leaves no trace.

    Parameters
    ----------
    path : path
        What to write; a link is written through. Its folder must exist.
    lasting : bool
        It must survive a power cut once the block has ended: file and folder are flushed to
        the disk. Without it the old, the new or a damaged file is found then.
    mode : int
        Permissions of a file that was not there before, less the user's umask; one that was
        keeps its own.

    Raises
    ------
    OSError
        It cannot be written, or is write-protected; nothing has changed.
    """
    target = Path(os.path.realpath(path))
    _guard(target)
    sweep(target.parent)
    handle, part = _new_part(target.parent, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            _like(file, target)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
            if os.name != "nt":  # still locked, so that nobody takes it for a leftover
                os.replace(part, target)
        if os.name == "nt":  # which renames nothing that is open
            os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if lasting:
        _settle(target.parent)


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file of the program's own, making its folder; see `replacing`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, mode=mode) as file:
        file.write(data)


def put(part: Path, target: Path) -> None:
    """Move a file that is complete to its place, once the disk has all of it."""
    handle = os.open(part, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(part, target)
    _settle(target.parent)


def rename(part: Path, target: Path) -> None:
    """Return a complete file, which the disk has, its name, as `replacing` does.

    A file that was there is not replaced if it is write-protected, and hands on its permissions.
    """
    _guard(target)
    with suppress(OSError):  # there is none
        os.chmod(part, stat.S_IMODE(os.stat(target).st_mode))
    os.replace(part, target)
    _settle(target.parent)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """Give a folder inside `folder` to make files in; it goes when the block, or process, ends."""
    sweep(folder)
    while True:
        place = _part_name(folder)
        place.mkdir()
        if (lock := _lock_folder(place)) is not None:
            break
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


@contextmanager
def alone(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold other processes off while a file is read, changed and written.

    Raises
    ------
    OSError
        The folder cannot be written, or another process has held the file for too long.
    """
    import filelock  # late: it takes a moment to load

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=patience)
    try:
        lock.acquire(poll_interval=0.005)
    except filelock.Timeout as held:
        raise TimeoutError(None, "another window or process is writing it") from held
    try:
        yield
    finally:
        lock.release()


def sweep(folder: str | os.PathLike, again: bool = False) -> None:
    """Remove parts whose writers no longer run; once a process and folder unless `again`."""
    if str(folder) in _swept and not again:
        return
    _swept.add(str(folder))
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
        for name in names:
            if name.startswith(MARK) and name.endswith(ENDING):
                with suppress(OSError):
                    _remove_leftover(Path(folder, name))


def _remove_leftover(part: Path) -> None:
    age = time.time() - part.lstat().st_mtime
    if os.name == "nt":  # where nothing that is open can be removed
        if age > 60:
            part.unlink() if part.is_file() else shutil.rmtree(part)
        return
    handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        free = _lock(handle)
        if free or (free is None and age > AGE):
            part.unlink() if stat.S_ISREG(os.fstat(handle).st_mode) else shutil.rmtree(part)
    finally:
        os.close(handle)


def _part_name(folder: Path) -> Path:
    return folder / f"{MARK}{secrets.token_hex(8)}{ENDING}"


def _new_part(folder: Path, mode: int) -> tuple[int, Path]:
    """Make a new file and lock it; give its handle and path."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        part = _part_name(folder)
        handle = os.open(part, flags, mode)
        # Between the two calls another process may have taken it for a leftover.
        if os.name == "nt" or (_lock(handle) is not False and os.fstat(handle).st_nlink):
            return handle, part
        os.close(handle)
        part.unlink(missing_ok=True)


def _lock_folder(place: Path) -> int | None:
    """Lock a folder; give the handle, -1 where that is not to be had, None if it is gone."""
    if os.name == "nt":
        return -1
    try:
        handle = os.open(place, os.O_RDONLY)
    except FileNotFoundError:
        return None
    if _lock(handle) is not False and os.fstat(handle).st_nlink and place.is_dir():
        return handle
    os.close(handle)
    return None


def _guard(target: Path) -> None:
    """Refuse to replace a file that is write-protected: renaming would not ask."""
    if target.exists() and not os.access(target, os.W_OK):
        # The system says best whether it is the file or the disk.
        os.close(os.open(target, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)))
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


def _like(file: BinaryIO, target: Path) -> None:
    """Give a file the permissions of the one that it will replace."""
    if hasattr(os, "fchmod"):
        with suppress(OSError):  # there is none, or the file system knows no permissions
            os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))


def _settle(folder: Path) -> None:
    """Have the disk take note of a folder's new entries: until then a power cut undoes them."""
    if os.name == "nt":
        return
    with suppress(OSError):  # a folder that may be written but not read
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def locked(file: BinaryIO) -> bool:
    """Take a lock that ends with the process; say whether it could be had.

    Where the file system knows no locks, it always can.
    """
    return _lock(file.fileno()) is not False


try:
    import fcntl
except ImportError:
    import msvcrt

    def _lock(handle: int) -> bool | None:
        """Lock a file for this process: whether it could be had; None where there are none."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:

    def _lock(handle: int) -> bool | None:
        """Lock a file for this process: whether it could be had; None where there are none."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True
