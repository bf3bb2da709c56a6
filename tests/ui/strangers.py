"""A graph as it may come from anybody."""

from __future__ import annotations

import json
from pathlib import Path

from qr_nodes.graph import Graph
from qr_nodes.qrgraph import dump


def stranger(tmp_path: Path, load: str, save: str) -> Path:
    """Write a graph that feathers `load` to `save`, in a folder of its own; give its path."""
    file = tmp_path / "stranger" / "a.qrgraph"
    file.parent.mkdir(exist_ok=True)
    raw = json.loads(dump(Graph.chain("load", "feather", "export"), file.parent))
    raw["nodes"]["load"]["params"]["path"] = load
    raw["nodes"]["export"]["params"]["path"] = save
    file.write_text(json.dumps(raw))
    return file
