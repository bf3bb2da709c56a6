"""What of a graph needs its user's word: files it reads outside its folder, files it replaces,
models it fetches.

A graph may come from anybody. What lies in its folder came with it; what lies elsewhere is the
user's, or on another machine, and is not even looked at before they agree. A network beside the
one that comes with the program is hundreds of MB from the internet.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from qr_nodes.errors import ModelError, WriteError
from qr_nodes.graph import Graph, Node

if TYPE_CHECKING:
    from qr_nodes.inference.registry import Model

RAISED = {"max_pixels"}
"""Parameters that guard the memory: a graph that sets one above its default asks as well."""


def outside(graph: Graph, folder: str | os.PathLike | None) -> dict[str, str]:
    """Give the files that a graph reads though they do not lie in `folder`, each with its mark.

    None stands for no folder: all files lie outside. A file that the graph reads with a raised
    limit counts too. The mark stands for path and limits where it is remembered that the user
    agreed; it tells neither.
    """
    found = {}
    for node in graph.nodes.values():
        for name in node.spec.reads:
            path, raised = node.params[name], _raised(node)
            if path and (raised or folder is None or not within(path, folder)):
                found[path] = _mark(path, raised)
    return found


def _raised(node: Node) -> dict[str, float]:
    specs = node.spec.params
    return {
        name: node.params[name]
        for name in sorted(RAISED & specs.keys())
        if node.params[name] > specs[name].default
    }


def within(path: str, folder: str | os.PathLike) -> bool:
    """Say whether a file lies in a folder, links followed.

    Names are compared first: to look at a path may mean to call another machine.
    """
    ways = (os.path.abspath, os.path.realpath)
    return all(Path(way(path)).is_relative_to(way(folder)) for way in ways)


def _mark(path: str, raised: Mapping[str, float]) -> str:
    text = repr((os.path.abspath(path), raised)).encode(errors="surrogateescape")
    return blake2b(text, digest_size=12).hexdigest()


def unfetched(graph: Graph) -> dict[str, list[Model]]:
    """Give the models that a graph would fetch as it runs, by the values that name them.

    What a node asks for unless it is told otherwise is not among them.
    """
    from qr_nodes.inference import registry, store

    found = {}
    for node in graph.nodes.values():
        for name in node.spec.models:
            value, usual = node.params[name], node.spec.params[name].default
            try:
                there = registry.named(value)
            except ModelError:  # the node will say it
                continue
            if missing := [m for m in there if m.name != usual and store.fetches(m)]:
                found[value] = missing
    return found


def outputs(graph: Graph, targets: Iterable[str]) -> dict[str, str]:
    """Give the files that `targets` would write, by node."""
    found = {}
    for id in targets:
        node = graph.nodes[id]
        for name, param in node.spec.params.items():
            if param.kind == "save" and node.params[name]:
                found[id] = node.params[name]
    return found


def replaced(graph: Graph, targets: Iterable[str]) -> dict[str, str]:
    """Give the files that are there already and that `targets` would replace, by node."""
    return {
        id: path
        for id, path in outputs(graph, targets).items()
        if graph.nodes[id].params.get("overwrite", True) and os.path.lexists(path)
    }


def check_outputs(graph: Graph, targets: Iterable[str]) -> None:
    """Raise WriteError if a file would be written that the graph reads, or that it writes twice."""
    taken = {
        _same(node.params[name]): "the graph reads this picture."
        for node in graph.nodes.values()
        for name in node.spec.reads
        if node.params[name]
    }
    for id, path in outputs(graph, targets).items():
        if (file := _same(path)) in taken:
            raise WriteError(taken[file], f"{id}: {path}", "Name another file.")
        taken[file] = "the graph writes this file twice."


def _same(path: str) -> object:
    """Give what is equal for two paths to one file, a hard link included."""
    try:
        found = os.stat(path)
        return found.st_dev, found.st_ino
    except (OSError, ValueError):
        return os.path.realpath(path) if "\0" not in path else path
