"""Corrections of one picture: of a batch's, saved beside it; of what the window has open, kept in
the user's folder while another picture is open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from qr_nodes import resources
from qr_nodes.batch import bind
from qr_nodes.errors import GraphError, WriteError
from qr_nodes.graph import Graph, described, same_file
from qr_nodes.qredit import Values, differences, edited, find_edit, read_edit, save_edit, write_edit


@dataclass(frozen=True)
class Correction:
    """What is being corrected.

    Attributes
    ----------
    picture : path
    base : the batch's graph, reading this picture, without its edits
    """

    picture: str
    base: Graph


def begun(graph: Graph, picture: str) -> tuple[Correction, Graph]:
    """Give a correction of a picture, and the graph to open: with its edits so far.

    Its Export nodes have no path, so that none writes over another picture's result.

    Raises
    ------
    GraphError, ParamError, ReadError
        The picture's edits cannot be applied.
    """
    base = bind(graph, picture)
    for id in base.of_type("export"):
        base = base.set_param(id, "path", "")
    return Correction(picture, base), edited(base, picture)


def save(begun: Correction, graph: Graph) -> Path | None:
    """Save what differs from the batch's graph; with no difference the picture has no file.

    Returns
    -------
    path or None
        The .qredit file, if there is one now.

    Raises
    ------
    GraphError
        More than values of parameters has changed, which such a file does not hold.
    WriteError
        The file cannot be written or removed.
    """
    _check(begun, graph)
    if values := differences(begun.base, graph):
        return save_edit(values, begun.picture)
    if file := find_edit(begun.picture):
        try:
            file.unlink()
        except OSError as error:
            what = f"it cannot be removed ({error.strerror})."
            raise WriteError(what, str(file), "Change the folder's permissions.") from error
    return None


def _check(begun: Correction, graph: Graph) -> None:
    name, base = Path(begun.picture).name, begun.base
    hint = "Undo that, or save the graph under a name of its own (Ctrl+Shift+S)."
    if _shape(graph) != _shape(base):
        what = "a correction holds strokes and values, but nodes or links have changed."
        raise GraphError(what, name, hint)
    for id in base.of_type("load"):
        path = graph.nodes[id].params["path"]
        if path != base.nodes[id].params["path"]:
            raise GraphError(f"{id!r} reads {os.path.basename(path)} now.", name, hint)


def _shape(graph: Graph) -> tuple:
    """Give what a graph is but for the values of its parameters."""
    nodes = {id: (node.spec.id, node.bypass) for id, node in graph.nodes.items()}
    return nodes, dict(graph.links)


# ---- of what the window has open -----------------------------------------------------------


def keep(picture: str, nodes: Values) -> None:
    """Keep in the user's folder what belongs to a picture, in place of what was kept for these
    nodes; with nothing left for any node there is no file.

    Raises
    ------
    ReadError, GraphError
        What was kept before cannot be read, and is not replaced.
    WriteError
        It cannot be kept.
    """
    file = _file(picture)
    kept = {**_kept(file), **nodes}
    if kept := {id: values for id, values in kept.items() if values}:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"corrections cannot be kept ({error.strerror})."
            raise WriteError(what, str(file.parent), "Check that folder.") from error
        write_edit(kept, file, os.path.abspath(picture))
    elif file.exists():
        try:
            file.unlink()
        except OSError as error:
            what = f"it cannot be removed ({error.strerror})."
            raise WriteError(what, str(file), "Change the folder's permissions.") from error


def brought_back(graph: Graph, picture: str) -> tuple[Graph, list[str], list[str]]:
    """Return back what was kept for a picture to the nodes that work on it.

    Returns
    -------
    graph : Graph
        `graph` itself if nothing fits.
    given : list of str
        In words, what each node has again.
    left : list of str
        The nodes that something is kept for, and that are not here or hold other corrections.

    Raises
    ------
    ReadError, GraphError, ParamError
        What was kept cannot be read.
    """
    given, left = [], []
    for id, values in _kept(_file(picture)).items():
        node = graph.nodes.get(id)
        fits = node is not None and set(values) <= set(node.spec.corrections)
        if not (fits and same_file(graph.picture(id), picture)) or described(node, values):
            left.append(id)
            continue
        for name, value in values.items():
            graph = graph.set_param(id, name, value)
        node = graph.nodes[id]
        given.append(f"{described(node, values)} in {node.title or node.spec.title}")
    return graph, given, left


def _file(picture: str) -> Path:
    mark = blake2b(os.fsencode(os.path.abspath(picture)), digest_size=12).hexdigest()
    return resources.data_folder() / "corrections" / f"{mark}.qredit"


def _kept(file: Path) -> Mapping[str, Mapping[str, Any]]:
    return read_edit(file).nodes if os.path.lexists(file) else {}
