"""The .qredit file: what is different for one picture, beside the picture.

    {
      "format": "qredit",
      "version": 1,
      "picture": "cat.jpg",
      "nodes": {
        "feather": {"sigma": 4.0},
        "brush_edit": {"strokes": [{"points": [[0.4, 0.2], [0.5, 0.2]], "size": 0.05}]}
      }
    }

It holds values of parameters by node, nothing else, and is applied to whatever graph runs over the
picture. `cat.qredit` belongs to `cat.jpg`; where `cat.png` lies there too, `picture` says whose it
is, and the other's is called `cat.png.qredit`. Paths lie relative to the file where they can.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from qr_nodes.errors import (
    GraphError,
    ParamError,
    QrNodesError,
    ReadError,
    UnreadWarning,
    suggest,
)
from qr_nodes.graph import Graph, Node, described, same_file
from qr_nodes.node import NodeSpec
from qr_nodes.qrgraph import MAX_BYTES, place_of, relative, save_bytes, strict_json

VERSION = 1

Values = Mapping[str, Mapping[str, Any]]
"""Node id → parameter → value."""


class EditFile(msgspec.Struct, omit_defaults=True):
    """The file as a whole."""

    format: str
    version: int
    nodes: dict[str, dict[str, Any]]
    picture: str = ""


def find_edit(picture: str | os.PathLike) -> Path | None:
    """Give the .qredit file that belongs to a picture, or None."""
    return _found(Path(picture))[0]


def place_for_edit(picture: str | os.PathLike) -> Path:
    """Give the path that a picture's .qredit file has, or would be saved under."""
    photo = Path(picture)
    if (found := find_edit(photo)) is not None:
        return found
    short = photo.with_suffix(".qredit")
    return photo.with_name(f"{photo.name}.qredit") if os.path.lexists(short) else short


def edited(graph: Graph, picture: str | os.PathLike) -> Graph:
    """Apply a picture's .qredit file to a graph; without one the graph stays as it is.

    Raises
    ------
    ReadError
        The file cannot be read.
    GraphError, ParamError
        It is damaged, of a newer version, or does not fit the graph.
    """
    file, held = _found(Path(picture))
    if file is None:
        return graph
    if isinstance(held, QrNodesError):
        raise held.at(file.name) from held.__cause__
    try:
        changed = apply_edit(graph, held.nodes, file.parent)
    except QrNodesError as error:
        raise error.at(file.name) from error.__cause__
    for id, values in held.nodes.items():
        if set(values) & set(changed.nodes[id].spec.corrections):
            changed = changed.change(id, picture=os.path.abspath(picture))
    return changed


def apply_edit(graph: Graph, nodes: Values, folder: str | os.PathLike = ".") -> Graph:
    """Set parameters of several nodes; relative paths among them are taken from `folder`."""
    for id, values in nodes.items():
        if id not in graph.nodes:
            there = ", ".join(list(graph.nodes)[:12]) or "none"
            hint = suggest(id, graph.nodes, f"Nodes here: {there}.")
            hint += " Take it out of the file, or run without edits."
            raise GraphError("the graph has no such node.", id, hint)
        for name, value in values.items():
            param = graph.nodes[id].spec.params.get(name)
            if param is not None and param.kind == "save":
                hint = "Take it out of the file: the run says where results go."
                raise ParamError("it cannot differ between pictures.", f"{id}.{name}", hint)
            graph = graph.set_param(id, name, value)
            if param.kind == "file" and value:
                graph = graph.set_param(id, name, os.path.normpath(Path(folder, value)))
    return graph


def differences(base: Graph, changed: Graph) -> dict[str, dict[str, Any]]:
    """Give the parameters in which `changed` differs from `base`: what a .qredit would hold.

    Where results go, and which picture Load reads, are no edits.
    """
    found: dict[str, dict[str, Any]] = {}
    for id, node in changed.nodes.items():
        if id not in base.nodes or base.nodes[id].spec.id != node.spec.id:
            continue
        for name, param in node.spec.params.items():
            fixed = param.kind == "save" or (node.spec.id == "load" and name == "path")
            if not fixed and node.params[name] != base.nodes[id].params[name]:
                found.setdefault(id, {})[name] = node.params[name]
    return found


def save_edit(nodes: Values, picture: str | os.PathLike) -> Path:
    """Write a picture's .qredit file; give its path. The old or the new file is always whole.

    Parameters
    ----------
    nodes : node id → parameter → value
        As `differences` gives them.
    picture : path
        The picture that the file is for, and beside which it will lie.

    Raises
    ------
    WriteError
        The file cannot be written; nothing has changed.
    """
    target = place_for_edit(picture).absolute()
    write_edit(nodes, target, Path(picture).name)
    return target


def write_edit(nodes: Values, target: Path, picture: str) -> None:
    """Write a .qredit file that names `picture`; the old or the new file is always whole.

    Raises
    ------
    WriteError
        The file cannot be written; nothing has changed.
    """
    whole = {
        "format": "qredit",
        "version": VERSION,
        "picture": picture,
        "nodes": {
            id: {name: _plain(value, target.parent) for name, value in values.items()}
            for id, values in nodes.items()
            if values
        },
    }
    text = json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    save_bytes(target, text.encode(), "the edits")


def read_edit(file: Path) -> EditFile:
    """Read a .qredit file.

    Raises
    ------
    ReadError
        The file cannot be read.
    GraphError
        It is damaged, or of a newer version.
    """
    try:
        return _parsed(_read(file), file.name)
    except QrNodesError as error:
        raise error.at(file.name) from error.__cause__


def left_behind(before: Graph, after: Graph) -> tuple[Graph, dict[str, dict[str, dict[str, Any]]]]:
    """Leave with a picture what belongs to it, where an edit has a node work on another one.

    Only values that the edit itself did not set are left; a node that worked on no picture before
    keeps its own.

    Returns
    -------
    graph : Graph
        `after` itself if nothing is left, or with those values at their defaults.
    left : picture → node id → parameter → value
        What was left with each picture; a node that had nothing stands there as well.
    """
    if before.links is after.links and _sources(before) == _sources(after):
        return after, {}
    graph, left = after, {}
    for id, node in after.nodes.items():
        if not node.spec.of_picture or id not in before.nodes:
            continue
        was, now = before.picture(id), after.picture(id)
        old = before.nodes[id]
        if old.spec is not node.spec or not was or not now or same_file(was, now):
            continue
        held = held_values(node, node.spec.of_picture)
        kept = {name: value for name, value in held.items() if value == old.params[name]}
        left.setdefault(was, {})[id] = kept
        if kept:
            default = node.spec.defaults
            params = {**node.params, **{name: default[name] for name in kept}}
            graph = graph.change(id, params=params, picture="")
    return graph, left


def held_values(node: Node, names: Iterable[str]) -> dict[str, Any]:
    """Return those of a node's values that are not their parameters' defaults."""
    params = node.spec.params
    return {name: node.params[name] for name in names if node.params[name] != params[name].default}


def pictures(graph: Graph) -> set[str]:
    """Return the paths of the pictures that a graph begins with."""
    return {path for paths in _sources(graph).values() for path in paths if path}


def _sources(graph: Graph) -> dict[str, list[str]]:
    """Return what the nodes that nothing feeds read, by node."""
    nodes = graph.nodes.items()
    return {
        id: [node.params[name] for name in node.spec.reads]
        for id, node in nodes
        if not node.spec.inputs
    }


def uncorrected(graph: Graph) -> Graph:
    """Return a graph without what was corrected by hand on one picture."""
    return _reset(graph, lambda spec: spec.corrections if spec.inputs else ())


def for_any_picture(graph: Graph) -> Graph:
    """Return a graph that names no picture to begin with, and no file for its results."""
    return _reset(
        graph,
        lambda spec: (
            set(spec.of_picture).difference(spec.corrections)
            if spec.inputs
            else {*spec.of_picture, *spec.reads}
        ),
    )


def _reset(graph: Graph, names: Callable[[NodeSpec], Collection[str]]) -> Graph:
    """Return a graph with the parameters that `names` gives of each node at their defaults."""
    for id, node in graph.nodes.items():
        if reset := {name: node.spec.params[name].default for name in names(node.spec)}:
            graph = graph.change(id, params={**node.params, **reset})
            if not described(graph.nodes[id]):
                graph = graph.change(id, picture="")
    return graph


def _plain(value: Any, folder: Path) -> Any:
    """Give a value in JSON's types; a path that leads into `folder` relative to it."""
    if isinstance(value, str) and os.path.isabs(value):
        return relative(value, folder)
    return msgspec.to_builtins(value)


def _found(photo: Path) -> tuple[Path | None, EditFile | QrNodesError | None]:
    """Give the .qredit file that belongs to a picture, and what it holds or is wrong with it.

    One that names no picture, or cannot be read, belongs to the picture it is called after.
    """
    for file in (photo.with_name(f"{photo.name}.qredit"), photo.with_suffix(".qredit")):
        if not os.path.lexists(file):
            continue
        try:
            held = _parsed(_read(file), file.name)
        except QrNodesError as error:
            return file, error
        if held.picture in ("", photo.name):
            return file, held
    return None, None


def _read(file: Path) -> bytes:
    if file.is_fifo() or file.is_char_device():  # which may never end
        raise ReadError("the edits are no file.", hint="Mend or move it.")
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"the edits cannot be read ({error.strerror})."
        raise ReadError(what, hint="Mend or move the file.") from error
    if len(data) > MAX_BYTES:
        raise ReadError(f"it is larger than {MAX_BYTES >> 20} MB.", hint="Make it less.")
    return data


def _parsed(data: bytes, name: str = "") -> EditFile:
    """Return what a file holds; what is not known in the one called `name` is said."""
    raw = strict_json(data, ".qredit")
    if raw.get("format") != "qredit":
        raise GraphError("it is no .qredit file.", hint="Save the edits again.")
    if isinstance(raw.get("version"), int) and raw["version"] > VERSION:
        what = f"it was saved by a newer version (format {raw['version']}, here is {VERSION})."
        raise GraphError(what, hint="Update the program.")
    fields = EditFile.__struct_fields__
    for field in [field for field in raw if field not in fields and not field.startswith("_")][:8]:
        hint = suggest(field, fields, f"Fields: {', '.join(fields)}.")
        fault = GraphError("this field is not known, and does nothing.", field, hint)
        warnings.warn(str(fault.at(name)), UnreadWarning, stacklevel=2)
    try:
        return msgspec.convert(raw, EditFile)
    except msgspec.ValidationError as error:
        raise GraphError(f"it is damaged: {place_of(error)}", hint="Mend or delete it.") from error
