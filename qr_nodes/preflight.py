"""What is known to fail in a graph before any pixel is computed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from qr_nodes.errors import GraphError, QrNodesError, ReadError, SocketError
from qr_nodes.graph import Graph, Node
from qr_nodes.node import Size
from qr_nodes.trust import outputs, within


def faults(graph: Graph, folder: str | os.PathLike) -> list[QrNodesError]:
    """List all that keeps a graph from running over a picture, as far as it can be known.

    Parameters
    ----------
    graph : Graph
        The picture goes into the Load that is called so, or the only one, or the only one without
        a path: see `batch.only`.
    folder : path
        Where the graph lies. Files elsewhere are not looked at.
    """
    writers = [id for id in graph.order if graph.nodes[id].spec.writes]
    working = [id for id in writers if not graph.nodes[id].bypass]
    found: list[QrNodesError] = list(graph.problems())
    if not working:
        hint = "Take the bypass off." if writers else "Add an Export node, and link it."
        found.append(GraphError("nothing of the graph is written to a file.", "export", hint))
    used = [id for id in graph.upstream(working) if not graph.nodes[id].bypass]
    found += _unnamed(graph, used)
    for id in graph.nodes:
        if not graph.nodes[id].bypass:
            found += _missing(id, graph.nodes[id], folder)
            found += _ruled_out(graph, id, folder)
    return found + _misfits(graph, used, folder)


def _unnamed(graph: Graph, used: list[str]) -> list[QrNodesError]:
    """List the sources that get no picture, neither from the graph nor from a run."""
    loads = [id for id in used if graph.nodes[id].spec.id == "load"]
    free = [id for id in loads if not graph.nodes[id].params["path"]]
    meant = next((c[0] for c in (["load"] * ("load" in loads), loads, free) if len(c) == 1), None)
    if free and meant is None:
        what = f"a run cannot tell which of {', '.join(free)} gets its picture."
        return [GraphError(what, free[0], "Call one 'load', and name a file in the others.")]
    what, hint = "no picture is named, and a run names that of {} only.", "Choose a picture."
    return [GraphError(what.format(meant), f"{id}.path", hint) for id in free if id != meant]


def _missing(id: str, node: Node, folder: str | os.PathLike) -> list[QrNodesError]:
    """List the files in `folder` that a node reads and that are not there."""
    paths = [node.params[name] for name in node.spec.reads]
    return [
        ReadError("there is no such file.", f"{id}: {path}", "Check the name.")
        for path in paths
        if path and within(path, folder) and not os.path.exists(path)
    ]


def _ruled_out(graph: Graph, id: str, folder: str | os.PathLike) -> list[QrNodesError]:
    """List what a node itself rules out; where it would write elsewhere, nothing is tried."""
    spec, params = graph.nodes[id].spec, graph.nodes[id].params
    saved = outputs(graph, [id]).values()
    if spec.check is None or (spec.writes and not saved):
        return []
    if saved and not all(within(path, folder) for path in saved):
        return []
    try:
        spec.check(params, graph.linked(id))
    except QrNodesError as fault:
        return [fault.at_node(id)]
    return []


def _misfits(graph: Graph, used: Iterable[str], folder) -> list[QrNodesError]:
    """List the nodes that get pictures of sizes that do not go together."""
    found: list[QrNodesError] = []
    sizes: dict[str, Size | None] = {}
    for id in used:
        sources = {name: graph.source(id, name) for name in graph.nodes[id].spec.inputs}
        given = {name: sizes.get(source[0]) if source else None for name, source in sources.items()}
        try:
            sizes[id] = output_size(graph.nodes[id], given, folder)
        except QrNodesError as fault:
            fault.where = id + fault.where.removeprefix(graph.nodes[id].spec.id)
            found.append(fault)
    return found


def output_size(
    node: Node, given: Mapping[str, Size | None], folder: str | os.PathLike
) -> Size | None:
    """Return the size of what a node gives, or None if only pixels, or files elsewhere, tell.

    Parameters
    ----------
    node : Node
    given : input → size of what comes to it, None if that is not known
    folder : path
        Where files are looked at.

    Raises
    ------
    QrNodesError
        The node cannot run with inputs of these sizes.
    """
    spec, params = node.spec, node.params
    if spec.fn is None or any(
        not (params[name] and within(params[name], folder)) for name in spec.reads
    ):
        return None
    if spec.size is not None:
        return spec.size(params, given)
    if spec.provider:
        return None  # a stranger's: it has not said
    known = {name: size for name, size in given.items() if size is not None}
    for name, (height, width) in known.items():
        first, (rows, columns) = next(iter(known.items()))
        if (height, width) != (rows, columns):
            what = f"{width} × {height} px do not fit the {columns} × {rows} px of {first!r}."
            raise SocketError(what, f"{spec.id}.{name}", "Use a mask made from the same picture.")
    return next(iter(known.values()), None)
