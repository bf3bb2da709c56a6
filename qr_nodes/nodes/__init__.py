"""All nodes there are, by id: the files of this folder, one's own, and those of installed packages.

A node's id, its function's name and its file's name are the same. Ids are known without running
anything; a node's code is imported when the node is first asked for, so a run pays only for the
nodes it uses. Code is never taken from where a graph lies: to open a graph runs nothing of it.

    this folder                 adding a file adds a node; nothing else is edited
    one's own folder            `own_folder()`: one file per node; `_name.py` is no node
    entry points `qr_nodes.nodes` of installed packages, as in `outline = "qr_outline:outline"`

State: the providers that were found, the specs of nodes that were imported, the faults of those
that could not be; `refresh` forgets what is not the program's own.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pkgutil
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from qr_nodes import resources
from qr_nodes.errors import GraphError, QrNodesError, plain, suggest
from qr_nodes.node import NodeSpec, spec_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "qr_nodes.nodes"
OWN = "own"
"""Provider of nodes in one's own folder."""


@dataclass(frozen=True)
class Entry:
    """A node that somebody provides, before its code is run.

    Attributes
    ----------
    id : the node's
    origin : where it comes from, for messages, as in "outline.py" or "qr-outline 1.2"
    provider : "own", or the name and version of a package
    load : imports the code; returns the spec, with the provider's version in it
    """

    id: str
    origin: str
    provider: str
    load: Callable[[], NodeSpec]


_lock = threading.RLock()
_specs: dict[str, NodeSpec | QrNodesError] = {}


def names() -> list[str]:
    """Return the id of every node there is, sorted, without importing any."""
    return sorted(_built_in() | {entry.id for entry in _entries()})


def find(id: str) -> NodeSpec:
    """Return the spec of the node called `id`.

    Raises
    ------
    GraphError
        There is none, two of other providers have this id, or its code cannot be used.
    """
    if id in _built_in():
        return spec_of(getattr(import_module(f"{__name__}.{id}"), id))
    with _lock:
        if id not in _specs:
            entries = [entry for entry in _entries() if entry.id == id]
            if not entries:
                hint = suggest(id, names(), "See 'qr-nodes nodes' for those there are.")
                raise GraphError(f"there is no node of type {id!r}.", hint=hint)
            _specs[id] = _load(entries)
        found = _specs[id]
    if isinstance(found, QrNodesError):
        raise found
    return found


def known(id: str) -> NodeSpec | None:
    """Return the spec of the node called `id`, or None if there is none that can be used."""
    try:
        return find(id) if _is_there(id) else None
    except QrNodesError:
        return None


def why_unknown(id: str) -> QrNodesError | None:
    """Return what keeps a node that is there from being used, or None if there is no such node."""
    try:
        if _is_there(id):
            find(id)
    except QrNodesError as error:
        return error
    return None


def find_called(name: str) -> NodeSpec:
    """Return the spec of the node whose id or title is `name`, in any case.

    Raises
    ------
    GraphError
        As `find`.
    """
    if _is_there(name):
        return find(name)
    called = [spec for spec in all_specs() if plain(name) in (plain(spec.id), plain(spec.title))]
    return called[0] if called else find(name)


def all_specs() -> list[NodeSpec]:
    """Return the spec of every node that can be used, sorted by id; imports them all."""
    return [found for _, found in _all() if isinstance(found, NodeSpec)]


def faults() -> list[QrNodesError]:
    """Return what keeps nodes of other providers from being used, a fault each."""
    taken = [
        GraphError(
            f"the program has a node {entry.id!r} itself.", entry.origin, "Give yours another id."
        )
        for entry in _entries()
        if entry.id in _built_in()
    ]
    return [found for _, found in _all() if not isinstance(found, NodeSpec)] + taken


def own_folder() -> Path:
    """Return the folder for nodes of one's own; it may not exist yet."""
    return resources.data_folder() / "nodes"


def refresh() -> None:
    """Look again for nodes of one's own and of packages, and read changed files anew."""
    with _lock:
        _entries.cache_clear()
        _specs.clear()


def _is_there(id: str) -> bool:
    return id in _built_in() or any(entry.id == id for entry in _entries())


def _all() -> list[tuple[str, NodeSpec | QrNodesError]]:
    found: list[tuple[str, NodeSpec | QrNodesError]] = []
    for name in names():
        try:
            found.append((name, find(name)))
        except QrNodesError as error:
            found.append((name, error))
    return found


@cache
def _built_in() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(__path__))


@cache
def _entries() -> tuple[Entry, ...]:
    """Return the nodes of other providers; none of their code is run."""
    from importlib import metadata  # dear to import, and rarely needed

    files = sorted(own_folder().glob("*.py")) if own_folder().is_dir() else []
    own = [
        Entry(file.stem, file.name, OWN, lambda file=file: _from_file(file))
        for file in files
        if not file.stem.startswith("_")
    ]
    packages = []
    for point in metadata.entry_points(group=ENTRY_POINTS):
        provider = f"{point.dist.name} {point.dist.version}"
        load = lambda point=point, provider=provider: _from_package(point, provider)  # noqa: E731
        packages.append(Entry(point.name, provider, provider, load))
    return (*own, *packages)


def _load(entries: list[Entry]) -> NodeSpec | QrNodesError:
    """Import a node, or return the one sentence about why that cannot be."""
    entry, *others = entries
    if others:
        origins = " and ".join(entry.origin for entry in entries)
        return GraphError(f"{origins} both have a node {entry.id!r}.", hint="Take one of them out.")
    try:
        return entry.load()
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        what = f"the node cannot be used ({_one_line(error)})."
        fault = GraphError(what, entry.origin, "Fix it, or take it out.")
        fault.__cause__ = error
        return fault


def _from_file(path: Path) -> NodeSpec:
    code = path.read_bytes()
    name = f"qr_nodes_own.{path.stem}"
    module = importlib.util.module_from_spec(importlib.util.spec_from_file_location(name, path))
    sys.modules[name] = module  # type hints are looked up there
    exec(compile(code, str(path), "exec"), module.__dict__)  # those bytes, not others read since
    digest = hashlib.blake2b(code, digest_size=16).hexdigest()
    return _claimed(getattr(module, path.stem, None), path.stem, OWN, digest)


def _from_package(point: EntryPoint, provider: str) -> NodeSpec:
    return _claimed(point.load(), point.name, provider, provider)


def _claimed(fn: object, id: str, provider: str, source: str) -> NodeSpec:
    """Return the spec of a function that was promised under `id`."""
    spec = spec_of(fn)
    if spec is None or spec.id != id:
        raise TypeError(f"there is no function {id!r} marked with @node")
    return replace(spec, provider=provider, source=source)


def _one_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
