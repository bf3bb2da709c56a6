"""What must run for a request: steps with their keys, worked out from the graph alone.

A step is a node at a scale. Its key is a hash of what the node is and what it eats; no pixels
are looked at. State, in `Files`: digests of files read, hashed again only when they change.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph, Node

StepId = tuple[str, float]

HASHED = 2 << 30
"""Bytes of the largest file that is hashed: about a second."""


@dataclass(frozen=True)
class RunRequest:
    """What somebody wants to see.

    Attributes
    ----------
    graph : the graph as it was when it was asked
    targets : ids of the nodes whose outputs are wanted
    scale : size of a preview relative to the full picture; 1 for the result itself
    id : tells runs apart in events
    held : files and models that the user has not agreed to: what needs one fails, and none is
        looked at or fetched
    """

    graph: Graph
    targets: tuple[str, ...]
    scale: float = 1.0
    id: int = 0
    held: frozenset[str] = frozenset()

    def holds(self, node: Node) -> str:
        """Give the parameter of a node that names a file or model which is held, or ""."""
        names = (*node.spec.reads, *node.spec.models) if self.held else ()
        return next((name for name in names if node.params[name] in self.held), "")


@dataclass(frozen=True)
class Step:
    """A node at a scale: what it is made of, and the key that follows from it.

    Attributes
    ----------
    key : hash of everything its pixels depend on
    inputs : input name → (step, output); "" alone for a shrunk copy of the full result
    made_of : name → what it contributes, to tell what changed
    """

    key: bytes
    inputs: Mapping[str, tuple[StepId, str]]
    made_of: Mapping[str, Any]


class Files:
    """What lies outside the graph and decides about pixels: files read, weights."""

    def __init__(self):
        self._digests: dict[str, tuple[tuple, str]] = {}

    def outside(self, node: Node) -> tuple[tuple[str, str], ...]:
        """Give what a node's pixels depend on beside its values and inputs."""
        reads = node.spec.reads
        found = [(name, self._digest(node.params[name])) for name in reads if node.params[name]]
        if node.spec.outside is not None:
            try:
                found.append(("weights", node.spec.outside(node.params)))
            except QrNodesError as error:  # the node will meet it again, and fail, when it runs
                found.append(("weights", str(error)))
        return tuple(found)

    def known(self, path: str) -> tuple[tuple, str] | None:
        """Give (size, time of change in ns, inode) and digest of a file that was hashed here."""
        return self._digests.get(path)

    def learn(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        """Take somebody's word for a file's digest, as long as size and time are still these."""
        with contextlib.suppress(OSError, ValueError):
            mark = _mark(os.stat(path))
            if mark[:2] == (size, mtime_ns):
                self._digests.setdefault(path, (mark, digest))

    def _digest(self, path: str) -> str:
        """Hash a file's content, again only when its size or time of change is another.

        What is no plain file, or has no size, is not read, since it may never end, and a pipe
        gives what it holds only once; nor is one that takes long. There size and time stand
        for the content.
        """
        try:
            found = os.stat(path)
            mark = _mark(found)
            if not (stat.S_ISREG(found.st_mode) and 0 < found.st_size <= HASHED):
                return repr(mark)
            if self._digests.get(path, (None,))[0] != mark:
                with open(path, "rb") as file:
                    digest = hashlib.file_digest(file, lambda: blake2b(digest_size=16))
                self._digests[path] = (mark, digest.hexdigest())
            return self._digests[path][1]
        except (OSError, ValueError) as error:  # the node says so when it runs
            return f"unreadable: {getattr(error, 'strerror', error)}"


def _mark(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino


def steps(request: RunRequest, files: Files) -> dict[StepId, Step]:
    """Give every step the targets may need, sources first, with its key.

    At a preview's scale, nodes that want the full picture stand there twice: as they run,
    and shrunk.
    """
    graph, found = request.graph, {}
    first: dict[bytes, StepId] = {}
    for id in graph.upstream(request.targets):
        node = graph.nodes[id]
        if node.bypass:
            continue
        links = {name: graph.source(id, name) for name in node.spec.inputs}
        outside = (("held", ""),) if request.holds(node) else files.outside(node)
        for scale in dict.fromkeys((1.0, request.scale)):
            if node.spec.full_scale and scale < 1:
                full = found[id, 1.0]
                key = hashed(b"shrink", repr(scale).encode(), full.key)
                step = Step(key, {"": (first[full.key], "")}, full.made_of)
            else:
                # Of steps with one key, the first stands for all: it alone runs.
                inputs = {
                    name: (first[found[link[0], scale].key], link[1])
                    for name, link in links.items()
                    if link
                }
                step = _step(node, scale, inputs, outside, found)
            found[id, scale] = step
            first.setdefault(step.key, (id, scale))
    return found


def _step(node: Node, scale: float, inputs: Mapping, outside: tuple, steps: Mapping) -> Step:
    """Work out the key of a node at a scale from those of what it eats."""
    eaten = fed(inputs, steps)
    key = hashed(node.digest, repr((scale, outside)).encode(), *eaten)
    links = {f"input {name!r}": part for name, part in zip(inputs, eaten, strict=True)}
    return Step(key, inputs, {**node.params, **dict(outside), **links})


def fed(inputs: Mapping[str, tuple[StepId, str]], steps: Mapping[StepId, Step]) -> list[bytes]:
    """Return for each linked input what tells it from any other: its name, and what it is fed."""
    return [
        hashed(name.encode(), output.encode(), steps[source].key)
        for name, (source, output) in inputs.items()
    ]


def hashed(*parts: bytes) -> bytes:
    """Hash parts, each told from the next."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(4, "little"))
        digest.update(part)
    return digest.digest()
