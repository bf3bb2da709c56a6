"""What the window remembers between starts: sizes, recent files, choices; one small JSON file.

Several windows may write the file: each writes only what it changed, over what the file holds
by then. What cannot be read falls back to its default, and the file is kept aside as
`settings.json.bad`. Names that this version does not know survive.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from qr_nodes import resources
from qr_nodes.errors import WriteError
from qr_nodes.whole import alone, write_whole

RECENT = 10
"""Recent files that are kept."""

PATIENCE = 2.0
"""Seconds that the window waits for another one to write."""
KNOWN = 2000
"""Marks of files that are kept."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Color = Annotated[str, msgspec.Meta(pattern="^#[0-9a-fA-F]{6}$")]
Background = Literal[
    "checker", "black", "white", "color", "picture", "original", "alpha", "overlay"
]
Pixels = Annotated[int, msgspec.Meta(ge=0, le=100_000)]


class BatchChoices(msgspec.Struct, frozen=True):
    """What the last batch was asked for: see `qr_nodes.batch.Batch`; texts are "" by default.

    Attributes
    ----------
    folder, out : the pictures' and the results' folder
    pattern : which pictures, separated by spaces
    name, format : of results
    edits : apply the .qredit files beside pictures
    """

    folder: str = ""
    out: str = ""
    pattern: str = ""
    name: str = ""
    format: str = ""
    edits: bool = True


class Settings(msgspec.Struct, frozen=True):
    """The choices, with their defaults.

    Attributes
    ----------
    window : width and height in px
    place : the window's top left corner on the screen, or None to leave it to the system
    splitters : width or height in px of the areas that can be resized, by name
    recent : files opened or saved, newest first
    known : marks of files that graphs may read outside their folders: saved here, or agreed to
    folder : where the last file dialog ended
    memory : megabytes that results may take in memory; 0 lets the program decide
    background : what the viewer shows behind a cut-out
    color : of the viewer's background "color", "#rrggbb"
    tint : over what is removed, in the viewer's mode "overlay", "#rrggbb"
    backdrop : file of the viewer's background "picture", or ""
    loupe, histogram : the viewer shows one
    brush : its size, hardness and opacity
    edge_aware, smoothing : of the brush as well
    minimap : the canvas shows one
    batch : what the last one was asked for
    welcome : the first start's words are still to be shown
    """

    window: tuple[Pixels, Pixels] = (1440, 900)
    place: tuple[int, int] | None = None
    splitters: dict[str, Pixels] = {}
    recent: list[str] = []
    known: list[str] = []
    folder: str = ""
    memory: Annotated[int, msgspec.Meta(ge=0, le=1 << 24)] = 0
    background: Background = "checker"
    color: Color = "#808080"
    tint: Color = "#e61e1e"
    backdrop: str = ""
    loupe: bool = False
    histogram: bool = False
    brush: tuple[Annotated[float, msgspec.Meta(ge=5e-4, le=2)], Share, Share] = (0.04, 0.8, 1.0)
    edge_aware: Share = 0.0
    smoothing: Share = 0.0
    minimap: bool = False
    batch: BatchChoices = BatchChoices()
    welcome: bool = True

    def areas(self, width: int, height: int) -> dict[str, int]:
        """Return canvas width and viewer height, px, of a window that may be smaller than left."""
        found = {}
        for name, axis, size, usual in (("canvas", 0, width, 900), ("viewer", 1, height, 520)):
            whole = (self.window if name in self.splitters else Settings().window)[axis]
            found[name] = int(self.splitters.get(name, usual) * min(1, size / max(whole, 1)))
        return found


class Store:
    """The settings of this window, in step with the file.

    Attributes
    ----------
    now : Settings
        As they are in this window.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or resources.data_folder() / "settings.json"
        self._changed: set[str] = set()
        try:
            raw = self._read()
        except OSError:  # it may be whole, and only out of reach: `change` will not write over it
            raw = {}
        self.now, sound = _checked(raw or {})
        if raw is None or not sound:
            self._keep_aside()

    def change(self, **fields: Any) -> None:
        """Set fields here and in the file.

        Raises
        ------
        WriteError
            The file cannot be written; the fields are set in this window all the same.
        """
        # What is as it was here may have been changed by another window since.
        self._changed |= {n for n, value in fields.items() if value != getattr(self.now, n)}
        self.now = msgspec.structs.replace(self.now, **fields)
        if not self._changed:
            return
        try:
            with alone(self.path, PATIENCE):
                self._merge()
        except OSError as error:
            raise WriteError(
                f"the settings cannot be saved ({error.strerror}).",
                self.path.name,
                f"Check the folder {self.path.parent}.",
            ) from error
        self._changed.clear()

    def _merge(self) -> None:
        """Put what was changed here over what the file holds."""
        ours = {name: getattr(self.now, name) for name in self._changed}
        if (theirs := self._read()) is None:
            self._keep_aside()
            theirs = {}
        whole, _ = _checked(theirs | msgspec.to_builtins(ours))
        if "recent" in ours:
            whole = _with_recent(whole, *self.now.recent, *_checked(theirs)[0].recent)
        raw = theirs | msgspec.to_builtins(whole)
        data = json.dumps(raw, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.path, data.encode())

    def remember(self, path: str | os.PathLike) -> None:
        """Put a file first in the list of recent files, and its folder where dialogs start."""
        path = str(Path(path).absolute())
        recent = _with_recent(self.now, path, *self.now.recent).recent
        self.change(recent=recent, folder=str(Path(path).parent))

    def know(self, marks: Iterable[str]) -> None:
        """Remember that graphs may read these files (marks of `trust.outside`)."""
        if new := [mark for mark in dict.fromkeys(marks) if mark not in self.now.known]:
            self.change(known=[*new, *self.now.known][:KNOWN])

    def recent(self) -> list[str]:
        """Give the recent files that are still there, newest first."""
        return [path for path in self.now.recent if Path(path).is_file()]

    def _keep_aside(self) -> None:
        with suppress(OSError):
            shutil.copyfile(self.path, f"{self.path}.bad")

    def _read(self) -> dict[str, Any] | None:
        """Give what the file holds, {} if there is none, None if it is damaged."""
        try:
            raw = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            return None
        return raw if isinstance(raw, dict) else None


def _checked(raw: Mapping[str, Any]) -> tuple[Settings, bool]:
    """Give the settings with every field that is sound, and whether all are."""
    fields = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    sound = {}
    for name in fields.keys() & raw.keys():
        try:
            sound[name] = msgspec.convert(raw[name], fields[name])
        except msgspec.ValidationError:
            continue
    return Settings(**sound), len(sound) == len(fields.keys() & raw.keys())


def _with_recent(settings: Settings, *paths: str) -> Settings:
    return msgspec.structs.replace(settings, recent=list(dict.fromkeys(paths))[:RECENT])
