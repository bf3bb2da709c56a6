"""QR Nodes: cut subjects out of photographs with a graph of nodes.

from qr_nodes import remove

cut = remove(picture)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qr_nodes.api import remove, run
    from qr_nodes.batch import Result
    from qr_nodes.errors import QrNodesError
    from qr_nodes.graph import Graph
    from qr_nodes.qrgraph import load_graph, presets, save_graph

__version__ = "0.1.0"

__all__ = [
    "Graph",
    "QrNodesError",
    "Result",
    "load_graph",
    "presets",
    "remove",
    "run",
    "save_graph",
]

_HOMES = {
    "api": ("remove", "run"),
    "batch": ("Result",),
    "errors": ("QrNodesError",),
    "graph": ("Graph",),
    "qrgraph": ("load_graph", "presets", "save_graph"),
}


def __getattr__(name: str) -> Any:
    """Load what the library offers when it is first asked for: importing it stays quick."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"qr_nodes.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
