"""What the canvas does to graphs, as functions: copy, paste, insert, align, lay out, frame."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from qr_nodes.errors import GraphError, QrNodesError, SocketError
from qr_nodes.graph import Graph, Links, Node, fits
from qr_nodes.node import NodeSpec
from qr_nodes.qrgraph import dump, parse
from qr_nodes.types import Written
from qr_nodes.ui.canvas_view import Box, Point, around

WIDTH, TITLE, ROW, PICTURE = 128, 24, 20, 78
"""Of a node, in px at 100 %: how wide it is, and how high its title, a row and its picture."""

COLUMN, GAP = 180, 36
"""From one column of a layout to the next, and between two nodes of a column."""

ROOT = "/"
"""Paths in copied text are absolute: it may be pasted into a graph that lies elsewhere."""


def box(node: Node) -> Box:
    """Give the place and the size, about, of a node."""
    rows = max(len(node.spec.inputs), 1) + max(len(node.spec.outputs) - 1, 0)
    picture = 0 if Written in node.spec.outputs.values() else PICTURE
    return *node.pos, WIDTH, TITLE + ROW * rows + picture + 12


def move(graph: Graph, places: Mapping[str, Point]) -> Graph:
    """Put nodes where `places` says; the frames whose nodes all go the same way go along."""
    nodes = {id: replace(graph.nodes[id], pos=pos) for id, pos in places.items()}
    frames = []
    for frame in framed(graph):
        inside = contents(graph, frame)
        ways = {_way(graph.nodes[id].pos, places[id]) if id in places else None for id in inside}
        way = ways.pop() if len(ways) == 1 else None
        frames.append(
            frame | {"x": frame["x"] + way[0], "y": frame["y"] + way[1]} if way else frame
        )
    graph = replace(graph, nodes={**graph.nodes, **nodes})
    return with_frames(graph, frames) if frames != framed(graph) else graph


def _way(start: Point, end: Point) -> Point:
    return round(end[0] - start[0], 1), round(end[1] - start[1], 1)


# ---- copy and paste ------------------------------------------------------------------------


def copied(graph: Graph, ids: Collection[str]) -> str:
    """Give nodes and the links among them as text."""
    nodes = {id: node for id, node in graph.nodes.items() if id in ids}
    links = {key: s for key, s in graph.links.items() if key[0] in nodes and s[0] in nodes}
    return dump(Graph(nodes, Links(links)), ROOT).decode()


def pasted(graph: Graph, text: str, way: Point) -> tuple[Graph, list[str]]:
    """Give the graph with the nodes of copied text, moved by `way`, and their new ids.

    Raises GraphError if the text holds no nodes, and the first fault of its content.
    """
    try:
        new, faults = parse(text.encode(), ROOT)
    except GraphError as error:
        hint = "Copy nodes first."
        raise GraphError("the clipboard holds no nodes.", "Paste", hint) from error
    if faults:
        raise faults[0]
    ids: dict[str, str] = {}
    for id, node in new.nodes.items():
        ids[id] = graph.free_id(id)
        pos = (node.pos[0] + way[0], node.pos[1] + way[1])
        graph = replace(graph, nodes={**graph.nodes, ids[id]: replace(node, pos=pos)})
    links = {(ids[t], name): (ids[s], out) for (t, name), (s, out) in new.links.items()}
    return replace(graph, links=Links({**graph.links, **links})), list(ids.values())


# ---- links ---------------------------------------------------------------------------------


def fitting(specs: Iterable[NodeSpec], kind: Any, forward: bool) -> list[NodeSpec]:
    """Give the specs that a link can go on to (`forward`) or come from."""
    if forward:
        return [spec for spec in specs if any(fits(k, kind) for k in spec.inputs.values())]
    return [spec for spec in specs if any(fits(kind, k) for k in spec.outputs.values())]


def joined(graph: Graph, end: tuple[str, str, bool], id: str) -> Graph:
    """Link a pin (node, name, whether it is an output) to the first of `id` that it fits."""
    node, name, forward = end
    spec = graph.node(node).spec
    kind = (spec.outputs if forward else spec.inputs)[name]
    if not fitting([graph.node(id).spec], kind, forward):
        what = f"it has no {'input' if forward else 'output'} that fits."
        raise SocketError(what, id, "Link another node.")
    if forward:
        return graph.connect(node, id, output=name)
    outputs = graph.node(id).spec.outputs.items()
    output = next(out for out, given in outputs if fits(kind, given))
    return graph.connect(id, node, output=output, input=name)


def inserted(graph: Graph, id: str, target: tuple[str, str]) -> Graph | None:
    """Give the graph with node `id` between the ends of a link, or None if it does not fit.

    What comes after it moves to the right as far as it needs room.
    """
    source, output = graph.links[target]
    ends = {key[0] for key in graph.links} | {source for source, _ in graph.links.values()}
    if id in ends:
        return None
    try:
        graph = joined(graph.connect(source, id, output=output), (*target, False), id)
    except QrNodesError:
        return None
    (left, top), (x, y) = graph.nodes[source].pos, graph.nodes[id].pos
    place = max(x, left + COLUMN), (top if abs(y - top) < PICTURE else y)
    way = place[0] + COLUMN - graph.nodes[target[0]].pos[0]
    places = {id: place}
    if way > 0:
        for after in _onward(graph, target[0]):
            ax, ay = graph.nodes[after].pos
            places[after] = (ax + way, ay)
    return move(graph, places)


def continued(graph: Graph, before: str, id: str) -> Graph:
    """Put the new node `id` after `before`: linked from it, and feeding what its main output fed.

    What follows moves one column to the right where there is no room.

    Raises
    ------
    SocketError
        `id` takes nothing that `before` gives.
    """
    main, *others = graph.node(before).spec.outputs or [""]
    followers = [key for key, source in graph.links.items() if source == (before, main)]
    left, top = graph.node(before).pos
    graph = graph.connect(before, id).change(id, pos=(left + COLUMN, top))
    for name in others:  # what both call alike belongs together: what is marked as unsure
        if name in graph.node(id).spec.inputs:
            graph = graph.connect(before, id, output=name, input=name)
    for target, input in followers if graph.node(id).spec.outputs else ():
        with suppress(QrNodesError):
            graph = graph.connect(id, target, input=input)
    behind = _onward(graph, id) - {id}
    if any(graph.node(i).pos[0] < left + 2 * COLUMN for i in behind):
        pushed = {i: (graph.node(i).pos[0] + COLUMN, graph.node(i).pos[1]) for i in behind}
        graph = move(graph, pushed)
    return graph


def refined(graph: Graph, brush: str) -> tuple[Graph, str]:
    """Let a Refine Edges act on what a Brush Edit marks as unsure; return the graph and its id.

    One that follows the brush and takes no marks yet is linked to them. Otherwise a new one goes
    behind the brush, and acts on nothing but the marks.
    """
    behind = [id for id in graph.of_type("refine_edges") if id in _onward(graph, brush)]
    for id in behind:
        if not graph.nodes[id].bypass and graph.source(id, "unsure") is None:
            return graph.connect(brush, id, output="unsure", input="unsure"), id
    id = graph.free_id("refine_edges")
    graph = continued(graph.add("refine_edges", id), brush, id)
    return graph.connect(brush, id, output="unsure", input="where"), id


def _onward(graph: Graph, id: str) -> set[str]:
    """Give a node and all that depend on it."""
    found = {id}
    for after in graph.links.order:
        if any(key[0] == after and source in found for key, (source, _) in graph.links.items()):
            found.add(after)
    return found


def free_place(graph: Graph, spec: NodeSpec, pos: Point) -> Point:
    """Give the place at `pos`, or the first below it where a new node covers no other."""
    others = [box(node) for node in graph.nodes.values()]
    x, y, width, height = box(Node(spec, {}, pos))
    for ox, oy, w, h in sorted(others, key=lambda other: other[1]):
        if ox < x + width and x < ox + w and oy < y + height and y < oy + h:
            y = oy + h + GAP / 2
    return x, y


# ---- order ---------------------------------------------------------------------------------


def aligned(graph: Graph, ids: Collection[str], axis: str) -> dict[str, Point]:
    """Give places with one left edge (axis "x") or one top edge ("y")."""
    spots = {id: graph.nodes[id].pos for id in ids}
    left, top = min(x for x, _ in spots.values()), min(y for _, y in spots.values())
    return {id: (left, y) if axis == "x" else (x, top) for id, (x, y) in spots.items()}


def laid_out(graph: Graph, ids: Collection[str]) -> dict[str, Point]:
    """Give places in columns from sources to targets, without overlap, links short.

    The whole keeps its top left corner.
    """
    if not ids:
        return {}
    sources = {
        id: [s for (t, _), (s, _) in graph.links.items() if t == id and s in ids] for id in ids
    }
    targets = {
        id: [t for (t, _), (s, _) in graph.links.items() if s == id and t in ids] for id in ids
    }
    order = [id for id in graph.order if id in ids]
    column: dict[str, int] = {}
    for id in order:
        column[id] = max((column[source] + 1 for source in sources[id]), default=0)
    for id in reversed(order):  # a source stands next to what it feeds
        if not sources[id] and targets[id]:
            column[id] = min(column[target] for target in targets[id]) - 1
    left, top = min(graph.nodes[i].pos[0] for i in ids), min(graph.nodes[i].pos[1] for i in ids)
    places: dict[str, Point] = {}
    for number in sorted(set(column.values())):
        members = [id for id in order if column[id] == number]
        wish = {id: _level(id, sources, places, graph) for id in members}
        bottom = None
        for id in sorted(members, key=wish.get):
            y = wish[id] if bottom is None else max(wish[id], bottom)
            places[id] = (left + COLUMN * number, y)
            bottom = y + box(graph.nodes[id])[3] + GAP
    highest = min(y for _, y in places.values())
    return {id: (x, y - highest + top) for id, (x, y) in places.items()}


def _level(id: str, sources: Mapping, places: Mapping[str, Point], graph: Graph) -> float:
    """Give the height a node would like: that of its first source, or its own."""
    above = [places[source][1] for source in sources[id] if source in places]
    return above[0] if above else graph.nodes[id].pos[1]


# ---- comment frames ------------------------------------------------------------------------


def framed(graph: Graph) -> list[dict]:
    """Give the comment frames, {x, y, w, h, text}; entries that are none are left out."""
    found = []
    entries = graph.extra.get("frames", ())
    for entry in entries if isinstance(entries, list | tuple) else ():
        sides = [entry.get(side) for side in "xywh"] if isinstance(entry, dict) else [None]
        if all(isinstance(side, int | float) for side in sides):
            found.append(entry | {"text": str(entry.get("text", ""))})
    return found


def with_frames(graph: Graph, frames: list[dict]) -> Graph:
    """Give the graph with these comment frames."""
    extra = {name: value for name, value in graph.extra.items() if name != "frames"}
    return replace(graph, extra=extra | ({"frames": frames} if frames else {}))


def frame_around(graph: Graph, ids: Iterable[str], text: str) -> dict:
    """Give a comment frame around nodes."""
    x, y, width, height = around((box(graph.nodes[id]) for id in ids), 20)
    return {"x": x, "y": y - 20, "w": width, "h": height + 20, "text": text}


def contents(graph: Graph, frame: Mapping) -> list[str]:
    """Give the ids of the nodes that lie in a frame."""
    found = []
    for id, node in graph.nodes.items():
        x, y, width, height = box(node)
        middle = (x + width / 2 - frame["x"], y + height / 2 - frame["y"])
        if 0 <= middle[0] <= frame["w"] and 0 <= middle[1] <= frame["h"]:
            found.append(id)
    return found
