"""The correction of one picture of a batch: opened with the batch's graph, saved beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qr_nodes.batch import bind
from qr_nodes.errors import GraphError, WriteError
from qr_nodes.graph import Graph
from qr_nodes.qredit import differences, edited, find_edit, save_edit


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
