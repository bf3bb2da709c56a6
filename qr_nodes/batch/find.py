"""Find the pictures in folders: in order, by patterns, and never what a run itself has written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from qr_nodes.batch.ledger import results_in
from qr_nodes.errors import ReadError

NEAR = 1000
"""Folders that are looked through for a first picture: somebody waits for it."""


@dataclass(frozen=True)
class Picture:
    """A picture to be done.

    Attributes
    ----------
    path : where it lies
    place : the same below the folder that was named, with forward slashes ("trip/cat.jpg")
    twin : another picture beside it has the same name but for the ending
    home : hash of the path of the folder that was named
    outs : Export node → path of its file, where somebody has named them; None if names are made up
    """

    path: str
    place: str
    twin: bool = False
    home: str = ""
    outs: Mapping[str, str] | None = None


@dataclass
class Found:
    """What folders hold.

    Attributes
    ----------
    pictures : in order
    left_out : ending → how many files that are no pictures read here
    results : how many pictures were left out that earlier runs have made of others here
    """

    pictures: list[Picture] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)
    results: int = 0


def find_pictures(
    folders: Iterable[str | os.PathLike],
    patterns: Iterable[str] = (),
    exclude: Iterable[str] = (),
    out: str | os.PathLike | None = None,
    closed: list[ReadError] | None = None,
) -> Found:
    """List the pictures in folders and the folders in them, sorted by name.

    Hidden files are left out, and links to folders are not followed; nor are results taken for
    pictures where the picture that they were made from is among those looked through.

    Parameters
    ----------
    folders : paths
        A file among them stands for itself. With several folders, places begin with the folder's
        own name.
    patterns : texts such as "*.jpg" or "trip/*"
        Only files that fit one, by name or by place; capitals do not matter. None: everything
        that has the ending of a picture.
    exclude : texts
        Leave out files, and folders with all in them, that fit one.
    out : path or None
        Folder for results, which is not looked into.
    closed : list
        Takes the errors of folders that cannot be listed, which are passed over then.

    Raises
    ------
    ReadError
        A folder cannot be listed, or two have the same name.
    """
    roots = [os.fspath(folder) for folder in folders]
    files = [root for root in roots if not os.path.isdir(root)]
    roots = [root for root in roots if os.path.isdir(root)]
    names = [Path(os.path.abspath(root)).name for root in roots]
    patterns, exclude = _folded(patterns), _folded(exclude)
    skipped = None if out is None else os.path.realpath(out)
    homes = {hash_of(root) for root in roots}
    found = _files(files, out is None)
    for root, name in zip(roots, names, strict=True):
        if names.count(name) > 1:
            raise ReadError(
                f"two folders are called {name!r}.", root, "Run them into outputs of their own."
            )
        prefix, home, made = f"{name}/" if len(roots) > 1 else "", hash_of(root), set()
        for folder, place, there in _walk(root, prefix, exclude, skipped, closed):
            made |= _made_of_these(folder, root, homes)
            paths = {name: os.path.normpath(os.path.join(folder, name)) for name in there}
            pictures = [name for name in there if paths[name] not in made]
            found.results += len(there) - len(pictures)
            found.pictures += _chosen(folder, place, home, pictures, patterns, found.left_out)
    return found


def _files(paths: list[str], beside: bool) -> Found:
    """Describe pictures that were named one by one.

    Their places are as in a run over the folder that holds them all, if that is what it takes to
    tell them apart. `beside`: results lie beside them, not in a folder together.
    """
    paths = list({os.path.abspath(path): path for path in reversed(paths)}.values())[::-1]
    split = {path: os.path.split(os.path.abspath(path)) for path in paths}
    homes = {folder: hash_of(folder) for folder, _ in split.values()}
    named = {(homes[folder], name) for folder, name in split.values()}
    made = {
        os.path.join(folder, line.out)
        for folder in homes
        for line in (results_in(folder) if len(paths) > 1 else ())
        if (line.root, line.picture) in named and (homes[folder], line.out) in named
    }
    kept = [path for path in paths if os.path.join(*split[path]) not in made]
    common, names = None, Counter(split[path][1].casefold() for path in kept)
    if not beside and max(names.values(), default=0) > 1:
        with suppress(ValueError):  # they lie on several disks
            common = os.path.commonpath([split[path][0] for path in kept])
            homes[common] = hash_of(common)
    folders = {path: common or split[path][0] for path in kept}
    places = {p: Path(*split[p]).relative_to(folder).as_posix() for p, folder in folders.items()}
    stems = {
        path: (split[path][0] if beside or common else "", _stem(place))
        for path, place in places.items()
    }
    several = Counter(stems.values())
    pictures = [
        Picture(path, place, several[stems[path]] > 1, homes[folders[path]])
        for path, place in places.items()
    ]
    return Found(pictures, results=len(paths) - len(kept))


def _made_of_these(folder: str, root: str, homes: set[str]) -> set[str]:
    """Return the results in a folder that were made of pictures in it or in those around it, up to
    `root`, or of any in folders with the hashes `homes`."""
    lines, found = results_in(folder), set()
    around = [Path(folder), *Path(folder).parents] if lines else []
    around = [str(path) for path in around if path.is_relative_to(root)]
    for line in lines:
        result = os.path.normpath(os.path.join(folder, line.out))
        sources = (os.path.normpath(os.path.join(path, line.picture)) for path in around)
        if line.root in homes or any(s != result and os.path.isfile(s) for s in sources):
            found.add(result)
    return found


def first_picture(folder: str | os.PathLike) -> str:
    """Give the path of the first picture that `find_pictures` lists of a folder; "" if there is
    none in the first folders of it."""
    for place, _, files in islice(_walk(os.fspath(folder), "", [], None, []), NEAR):
        if first := next(filter(is_picture, files), ""):
            return os.path.join(place, first)
    return ""


def picture_at(path: str | os.PathLike, folder: str | os.PathLike) -> Picture:
    """Describe one picture in a folder that is being watched."""
    file = Path(path)
    stems = Counter(_stem(name) for name in os.listdir(file.parent) if is_picture(name))
    place = file.relative_to(folder).as_posix()
    return Picture(str(file), place, stems[_stem(file.name)] > 1, hash_of(folder))


def hash_of(folder: str | os.PathLike) -> str:
    """Return what tells a folder from others, and does not tell where it is."""
    path = os.path.realpath(folder).encode(errors="surrogateescape")
    return blake2b(path, digest_size=8).hexdigest()


def _walk(
    folder: str, place: str, exclude: list[str], skipped: str | None, closed: list | None
) -> Iterator[tuple[str, str, list[str]]]:
    """Give (folder, its place, names of files) for a folder and all in it."""
    try:
        with os.scandir(folder) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        what = f"the folder cannot be listed ({error.strerror})."
        fault = ReadError(what, folder, "Change its permissions, or exclude it.")
        if closed is None:
            raise fault from error
        closed.append(fault)
        return
    files, folders = [], []
    for entry in entries:
        if entry.name.startswith(".") or _fits(entry.name, place, exclude):
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry)
        elif entry.is_file():
            files.append(entry.name)
    yield folder, place, files
    for entry in folders:
        if os.path.realpath(entry.path) != skipped:
            yield from _walk(entry.path, f"{place}{entry.name}/", exclude, skipped, closed)


def _chosen(
    folder: str, place: str, home: str, files: list[str], patterns: list[str], left_out: Counter
) -> list[Picture]:
    chosen = []
    for name in files:
        if _fits(name, place, patterns) if patterns else is_picture(name):
            chosen.append(name)
        elif not patterns and not name.lower().endswith((".qredit", ".qrgraph")):
            left_out[Path(name).suffix.lower()] += 1
    stems = Counter(_stem(name) for name in chosen)
    return [
        Picture(os.path.join(folder, name), place + name, stems[_stem(name)] > 1, home)
        for name in chosen
    ]


def _stem(name: str) -> str:
    return Path(name).stem.casefold()  # many file systems take a.jpg and A.jpg for one


def is_picture(name: str) -> bool:
    """Return whether a file is a picture by its name."""
    from qr_nodes.imaging.image_io import ENDINGS

    return not name.startswith(".") and name.lower().rpartition(".")[2] in ENDINGS


def _folded(patterns: Iterable[str]) -> list[str]:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return [pattern.replace(os.sep, "/").strip("/").casefold() for pattern in patterns]


def _fits(name: str, place: str, patterns: list[str]) -> bool:
    names = name.casefold(), (place + name).casefold()
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
