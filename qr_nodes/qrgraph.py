"""The .qrgraph file: a graph as JSON that a person can read, diff and mend.

    {
      "format": "qrgraph",
      "version": 1,
      "nodes": {
        "load":    {"type": "load", "version": 1, "pos": [0, 0], "params": {"path": "cat.jpg"}},
        "feather": {"type": "feather", "version": 1, "pos": [180, 0], "params": {"sigma": 2.0},
                    "inputs": {"cutout": "load.cutout"}}
      }
    }

Values are stored by name and nodes in a stable order. A node with corrections of one picture says
of which: `"picture": "cat.jpg"`. Paths lie relative to the file where they
can. Node types and fields that this version does not know survive a load and a save, and are said.
The file holds values only, never code. A newer format is refused, an unsound file says where and
why. `manual/formats.md` describes it for users.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec

from qr_nodes import resources
from qr_nodes.errors import (
    GraphError,
    ParamError,
    QrNodesError,
    ReadError,
    UnreadWarning,
    WriteError,
    misfit,
    suggest,
)
from qr_nodes.graph import NODE_ID, Graph, Node, described, no_such_parameter, unknown
from qr_nodes.kinds import kind_of, not_a_graph
from qr_nodes.nodes import known
from qr_nodes.pipes import drained
from qr_nodes.whole import replacing

VERSION = 1
MAX_BYTES = 32 << 20
MAX_NODES = 10_000
MAX_INPUTS = 256
"""Of one node; the program's own have up to four."""
MAX_DEPTH = 64
"""Lists and objects within each other, where the file may hold what it likes."""
MAX_DIGITS = 1000
MAX_UNREAD = 100
"""Unknown names in a file that are said: a hostile one may hold a million."""
FRAMES = "frames"
"""What the window adds to the file: frames around nodes."""
FAR = 1e6
"""Px from the canvas's middle at which a node may stand."""

Title = Annotated[str, msgspec.Meta(max_length=1000)]
Inputs = Annotated[dict[str, str], msgspec.Meta(max_length=MAX_INPUTS)]
Place = Annotated[float, msgspec.Meta(ge=-FAR, le=FAR)]


class NodeEntry(msgspec.Struct, omit_defaults=True):
    """One node as it stands in the file."""

    type: Title
    version: int | None = None
    provider: Title = ""
    title: Title = ""
    pos: tuple[Place, Place] = (0.0, 0.0)
    bypass: bool = False
    picture: Title = ""
    params: dict[str, Any] = {}
    inputs: Inputs = {}


class GraphFile(msgspec.Struct):
    """The file as a whole."""

    format: str
    version: int
    nodes: dict[str, dict[str, Any]]


def load_graph(path: str | os.PathLike) -> Graph:
    """Read a .qrgraph file, or a preset by its name ("portrait").

    Raises
    ------
    ReadError
        The file is missing, cannot be read, is too large or no JSON.
    GraphError, ParamError, SocketError
        The first fault of its content; `inspect` lists them all.

    Warns
    -----
    UnreadWarning
        It holds names that are not known: what they stand for does nothing.
    """
    graph, faults = _sound(path)
    if faults:
        raise faults[0]
    for fault in unread(graph):
        warnings.warn(str(fault.at(find_file(path).name)), UnreadWarning, stacklevel=2)
    return graph


def inspect(path: str | os.PathLike) -> tuple[Graph, list[QrNodesError]]:
    """Read as much of a .qrgraph file as is sound; give the graph and the faults.

    Names that are not known are among them, though the graph runs without what they stand for.
    """
    graph, faults = _sound(path)
    return graph, faults + [fault.at(find_file(path).name) for fault in unread(graph)]


def unread(graph: Graph) -> list[QrNodesError]:
    """List the names in a graph's file that are not known: they are kept, and do nothing.

    Those that begin with _ are remarks of whoever wrote it.
    """
    found: list[QrNodesError] = []

    def look(names: Iterable[str], known: Iterable[str], where: str, more: str) -> None:
        for name in names:
            if len(found) < MAX_UNREAD and not name.startswith("_"):
                what = "this field is not known, and does nothing."
                hint = suggest(name, known, f"Fields: {', '.join(known)}{more}.")
                found.append(GraphError(what, where + name, hint))

    fields = (*GraphFile.__struct_fields__, FRAMES)
    more = "; links stand in the inputs of each node"
    look((name for name in graph.extra if name != FRAMES), fields, "", more)
    for id, node in graph.nodes.items():
        own = (name for name in node.extra if name != "version")
        look(own, NodeEntry.__struct_fields__, f"{id}.", "")
        if node.spec.fn is not None and "version" in node.extra:
            found += [
                ParamError("this version of the node has no such parameter.", f"{id}.{name}")
                for name in node.params
                if name not in node.spec.params
            ]
    return found


def _sound(path: str | os.PathLike) -> tuple[Graph, list[QrNodesError]]:
    file = find_file(path)
    if file.is_dir():
        raise not_a_graph(file, "folder")
    try:
        graph, faults = parse(_read(file), file.parent)
    except GraphError as error:
        if (kind := kind_of(file)) not in ("", "graph"):
            raise not_a_graph(file, kind) from error
        raise error.at(file.name) from error.__cause__
    return graph, [fault.at(file.name) for fault in faults]


def find_file(path: str | os.PathLike) -> Path:
    """Return the file of the preset that is called so, or `path`.

    A name without an ending is a preset before it is a file: folders of results have names of
    presets. One with an ending is a file first.
    """
    name, file = os.fspath(path), Path(path)
    if (not file.suffix or not file.exists()) and is_preset(name):
        return next(f for f in _preset_files() if f.stem == name)
    return file


def is_preset(name: str) -> bool:
    """Return whether a preset has this name."""
    return os.path.basename(name) == name and name in presets()


def presets() -> list[str]:
    """Give the names of the presets, sorted: those that came with the program, and one's own."""
    return sorted({file.stem for file in _preset_files()})


def own_presets() -> Path:
    """Give the folder for presets of one's own; it may not exist yet."""
    return resources.data_folder() / "graphs"


def _preset_files() -> list[Path]:
    folders = resources.folder("graphs"), own_presets()
    return [file for folder in folders for file in sorted(folder.glob("*.qrgraph"))]


def parse(data: bytes, folder: str | os.PathLike = ".") -> tuple[Graph, list[QrNodesError]]:
    """Build a graph from a file's bytes; give it with the faults that were left out.

    Parameters
    ----------
    data : bytes
        Content of a .qrgraph file.
    folder : path
        Relative paths inside are taken from here.

    Raises
    ------
    GraphError
        It is no .qrgraph of a version that can be read.
    """
    raw = strict_json(data)
    if raw.get("format") != "qrgraph":
        raise GraphError("it is no .qrgraph file.", hint="Open one that this program saved.")
    if isinstance(raw.get("version"), int) and raw["version"] > VERSION:
        raise GraphError(
            f"it was saved by a newer version (format {raw['version']}, this one reads {VERSION}).",
            hint="Update the program.",
        )
    try:
        file = msgspec.convert(raw, GraphFile)
    except msgspec.ValidationError as error:
        raise GraphError(f"it is damaged: {place_of(error)}", hint="Mend or replace it.") from error
    if len(file.nodes) > MAX_NODES:
        raise GraphError(f"it has {len(file.nodes)} nodes.", hint=f"The limit is {MAX_NODES}.")

    faults: list[QrNodesError] = []
    entries: dict[str, NodeEntry] = {}
    for id, fields in file.nodes.items():
        try:
            entries[id] = _entry(id, fields)
        except GraphError as error:
            faults.append(error)
    links = {
        (id, name): tuple(source.rpartition(".")[::2])
        for id, entry in entries.items()
        for name, source in entry.inputs.items()
    }
    given: dict[str, dict[str, None]] = {}
    for source, output in links.values():
        given.setdefault(source, {})[output] = None
    nodes = {}
    for id, entry in entries.items():
        spec = known(entry.type)
        nodes[id] = _node(id, entry, spec, file.nodes[id], given.get(id, ()), Path(folder), faults)
    extra = {name: value for name, value in raw.items() if name not in GraphFile.__struct_fields__}
    graph, misfits = Graph(nodes, extra=extra).with_links(links)
    return _with_pictures(graph), faults + misfits


def _with_pictures(graph: Graph) -> Graph:
    """Return a graph that knows which picture its corrections are of: older files do not say it,
    and mean the one that they name."""
    nodes, pictures = graph.nodes, {}
    wanted = {id for id, node in nodes.items() if not node.picture and described(node)}
    for id in graph.order if wanted else ():  # in one pass: a hostile file may hold long chains
        before = graph.before(id)
        pictures[id] = pictures[before] if before else graph.picture(id)
    known = {id: replace(nodes[id], picture=pictures[id]) for id in wanted}
    return replace(graph, nodes={**nodes, **known}) if wanted else graph


def _entry(id: str, fields: dict[str, Any]) -> NodeEntry:
    if not NODE_ID.fullmatch(id):
        hint = "Use up to 64 letters, digits, - and _."
        raise GraphError(f"{id[:70]!r} cannot name a node.", hint=hint)
    try:
        return msgspec.convert(fields, NodeEntry)
    except msgspec.ValidationError as error:
        raise GraphError(f"it is damaged: {place_of(error)}", id, "Mend it.") from error


def _node(id, entry: NodeEntry, spec, raw: dict, outputs: Iterable[str], folder, faults) -> Node:
    """Build a node; `spec` None means that its type is not known here."""
    extra = {name: value for name, value in raw.items() if name not in entry.__struct_fields__}
    picture = os.path.normpath(folder / entry.picture) if entry.picture else ""
    if spec is None:
        spec = unknown(entry.type, entry.version or 1, entry.inputs, outputs, entry.provider)
        return Node(spec, entry.params, entry.pos, entry.title, entry.bypass, picture, extra)
    version = spec.version if entry.version is None else entry.version  # written by hand
    if version > spec.version:
        what = (
            f"the node was saved by a newer version ({entry.type} {version}, "
            f"this one has {spec.version})."
        )
        faults.append(GraphError(what, id, "Update the program."))
    params = _params(id, spec, entry.params, folder, faults)
    strange = [name for name in params if name not in spec.params]
    if version == spec.version:
        several = 8 if len(faults) < MAX_UNREAD else 1
        faults += [no_such_parameter(id, name, spec) for name in strange[:several]]
    elif strange or version > spec.version:
        extra["version"] = version  # what is kept belongs to that
    return Node(spec, params, entry.pos, entry.title, entry.bypass, picture, extra)


def _params(id, spec, values: Mapping[str, Any], folder: Path, faults: list) -> dict[str, Any]:
    params = dict(spec.defaults)
    for name, value in values.items():
        if name not in spec.params:
            params[name] = value
            continue
        try:
            params[name] = spec.params[name].check(value)
        except ParamError as error:
            faults.append(error.of_node(id))
            continue
        if spec.params[name].kind in ("file", "save") and value:
            params[name] = os.path.normpath(folder / value)
    return params


def dump(graph: Graph, folder: str | os.PathLike = ".") -> bytes:
    """Give a graph as the bytes of a .qrgraph file that will lie in `folder`."""
    nodes = {}
    for id, node in graph.nodes.items():
        entry: dict[str, Any] = {"type": node.spec.id, "version": node.spec.version}
        if node.spec.provider:
            entry["provider"] = node.spec.provider
        if node.title:
            entry["title"] = node.title
        entry["pos"] = [round(value, 1) for value in node.pos]
        if node.bypass:
            entry["bypass"] = True
        if node.picture and (node.spec.fn is None or described(node)):
            entry["picture"] = relative(node.picture, folder)
        entry["params"] = {
            name: relative(value, folder)
            if name in node.spec.params and node.spec.params[name].kind in ("file", "save")
            else msgspec.to_builtins(value)
            for name, value in node.params.items()
        }
        entry["inputs"] = {
            name: ".".join(graph.links[id, name])
            for name in node.spec.inputs
            if (id, name) in graph.links
        }
        nodes[id] = entry | dict(node.extra)
    whole = {"format": "qrgraph", "version": VERSION, "nodes": nodes} | dict(graph.extra)
    return (json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def save_graph(graph: Graph, path: str | os.PathLike) -> None:
    """Write a graph to a .qrgraph file: the old or the new file is always whole.

    Raises
    ------
    WriteError
        The file cannot be written; nothing has changed.
    """
    target = Path(path).absolute()
    save_bytes(target, dump(graph, target.parent), "the graph")


def save_bytes(target: Path, data: bytes, what: str) -> None:
    """Put `data` in the place of a file, so that the old or the new one is always whole.

    Raises
    ------
    WriteError
        `what` cannot be saved; nothing has changed.
    """
    try:
        with replacing(target) as file:
            file.write(data)
    except OSError as error:
        raise WriteError(
            f"{what} cannot be saved ({error.strerror}).", target.name, "Save it elsewhere."
        ) from error


def relative(value: str, folder: str | os.PathLike) -> str:
    """Give `value` relative to `folder` if it lies in it, with forward slashes."""
    if not value:
        return value
    try:
        return str(PurePosixPath(Path(value).absolute().relative_to(Path(folder).absolute())))
    except ValueError:
        return str(Path(value).absolute())


def _read(file: Path) -> bytes:
    try:
        if file.is_fifo():
            data = drained(file, MAX_BYTES)
        else:
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        what, hint = f"the graph cannot be read ({error.strerror}).", "Name another file."
        if isinstance(error, PermissionError):
            hint = "Change its permissions."
        if isinstance(error, FileNotFoundError):
            what = "there is no such preset or file."
            hint = suggest(str(file), presets(), f"Presets: {', '.join(presets())}.")
        raise ReadError(what, str(file), hint, exit_code=2) from error
    if len(data) > MAX_BYTES and (kind := kind_of(file)) not in ("", "graph"):
        raise not_a_graph(file, kind)
    if len(data) > MAX_BYTES:
        raise ReadError(
            f"the graph is larger than {MAX_BYTES >> 20} MB.", file.name, "Make it less."
        )
    return data


def strict_json(data: bytes, kind: str = ".qrgraph") -> dict:
    """Read JSON as strictly as it is written: no name twice, no NaN, an object outside."""

    def once(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            twice = next(name for name, _ in pairs if name in seen or seen.add(name))
            raise GraphError(f"it is damaged: {twice!r} stands there twice.", hint="Mend it.")
        return found

    def constant(name):
        raise GraphError(f"it is damaged: {name} is no number.", hint="Mend it.")

    def number(text):
        return value if math.isfinite(value := float(text)) else constant(text)

    def whole(text):
        return int(text) if len(text) <= MAX_DIGITS else constant(text)

    try:
        raw = json.loads(
            data,
            object_pairs_hook=once,
            parse_constant=constant,
            parse_float=number,
            parse_int=whole,
        )
        if isinstance(raw, dict):
            _check_depth(raw)
        if b"\\ud" in data or b"\\uD" in data or data[:1] in (b"\xff", b"\xfe", b"\0"):
            json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.start + 1]
        raise GraphError(f"it is damaged: {half!a} is no letter.", hint="Mend it.") from error
    except (ValueError, RecursionError) as error:
        detail = getattr(error, "msg", "too deep" if isinstance(error, RecursionError) else "text")
        line = getattr(error, "lineno", None)
        raise GraphError(
            f"it is no JSON ({detail}{f', line {line}' if line else ''}).", hint="Mend it."
        ) from error
    if not isinstance(raw, dict):
        raise GraphError(f"it is no {kind} file.", hint="Open one that this program saved.")
    return raw


def _check_depth(raw: Any) -> None:
    """Raise RecursionError for what lies so deep that it could not be written again."""
    level, depth = [raw], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise RecursionError
        inner = []
        for item in level:
            for value in item.values() if isinstance(item, dict) else item:
                if isinstance(value, dict | list):
                    inner.append(value)
        level = inner


def place_of(error: msgspec.ValidationError) -> str:
    """Turn "Expected `int`, got `str` - at `$.nodes[...].version`" into plain words."""
    place, what, _ = misfit(error)
    return f"{place.lstrip('.')}: {what}" if place else what
