"""One file per node: the file's name, the function's name and the node's id are the same.

A node's module is imported when the node is first asked for, so a run pays only for the nodes
it uses. Adding a file here adds a node; nothing else is edited.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from qr_nodes.errors import GraphError
from qr_nodes.node import SPECS, NodeSpec


def names() -> list[str]:
    """Give the id of every node there is, sorted, without importing any."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(id: str) -> NodeSpec:
    """Give the spec of the node called `id`, or raise GraphError."""
    if id not in SPECS:
        if id not in names():
            raise GraphError(
                f"there is no node of type {id!r}.",
                hint="See 'qr-nodes nodes' for those there are.",
            )
        import_module(f"{__name__}.{id}")
    return SPECS[id]


def all_specs() -> list[NodeSpec]:
    """Give the spec of every node, sorted by id; imports them all."""
    return [find(name) for name in names()]
