"""The graph: nodes and links that never change; an edit gives a new graph.

Undo is a list of graphs, a run holds one and needs no lock, and "what changed?" is an identity
comparison: an edit shares everything it does not touch.

The only importer of networkx, which takes longer to load than most of the program: it is loaded
when a graph is met that is more than one chain.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from qr_nodes.errors import GraphError, ParamError, QrNodesError, SocketError, suggest
from qr_nodes.names import to_json
from qr_nodes.node import SOCKETS, NodeSpec
from qr_nodes.nodes import OWN, find, own_folder, why_unknown
from qr_nodes.types import Cutout, Mask, Stroke

if TYPE_CHECKING:
    import networkx as nx

NODE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, eq=False)
class Node:
    """One node of a graph.

    Attributes
    ----------
    spec : what the node does; without a function if its type is not known here
    params : every parameter's value, by name
    pos : place of its top left corner on the canvas, px at 100 %
    title : the user's own name for it, or ""
    bypass : pass the first fitting input on instead of working
    picture : the picture that its values of one picture (`Param.of_picture`) were set on, or ""
    extra : fields of its file entry that this version does not know
    """

    spec: NodeSpec
    params: Mapping[str, Any]
    pos: tuple[float, float] = (0.0, 0.0)
    title: str = ""
    bypass: bool = False
    picture: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> bytes:
        """Hash of all that the node itself contributes to its pixels: type, version, values.

        Paths of files to read are left out: what they hold counts, not where they lie.
        """
        specs = self.spec.params
        values = {
            name: _marks(value) if isinstance(value, tuple) else value
            for name, value in self.params.items()
            if name in specs and specs[name].keyed and specs[name].kind != "file"
        }
        code = (self.spec.id, self.spec.version, *filter(None, (self.spec.source,)))
        return blake2b(to_json((*code, values)), digest_size=16).digest()

    def passes(self, output: str | None = None) -> str | None:
        """Give the input that stands for an output while the node is bypassed, or None.

        `output` None means the first.
        """
        given = self.spec.outputs.get(output, next(iter(self.spec.outputs.values()), None))
        inputs = self.spec.inputs.items()
        return next((name for name, kind in inputs if fits(given, kind)), None)


def _marks(values: tuple) -> list:
    """Give what stands for the items of a list: a thousand strokes have been hashed one by one."""
    return [item.digest if isinstance(item, Stroke) else item for item in values]


class Links(dict):
    """(node, input) → (node, output). Made once, never changed; its order is worked out once."""

    @cached_property
    def digraph(self) -> nx.DiGraph:
        """Nodes that have links, with an edge from source to target."""
        import networkx as nx

        return nx.DiGraph((source, target) for (target, _), (source, _) in self.items())

    @cached_property
    def linked(self) -> frozenset[str]:
        """Nodes that have links."""
        return frozenset(id for (target, _), (source, _) in self.items() for id in (target, source))

    @cached_property
    def chain(self) -> tuple[str, ...] | None:
        """Linked nodes from first to last if they form one chain, as most graphs do, or None.

        Between two of them there may be several links.
        """
        pairs = {(source, target) for (target, _), (source, _) in self.items()}
        follower = dict(pairs)
        starts = self.linked.difference(follower.values())
        if not self:
            return ()
        if len(starts) != 1 or not len(pairs) == len(follower) == len(set(follower.values())):
            return None
        path = list(starts)
        while path[-1] in follower:
            path.append(follower[path[-1]])
        return tuple(path) if len(path) > len(pairs) else None  # the rest would be circles

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Linked nodes, sources first."""
        if self.chain is not None:
            return self.chain
        import networkx as nx

        return tuple(nx.topological_sort(self.digraph))

    def ancestors(self, id: str) -> Collection[str]:
        """Give the nodes that `id` depends on."""
        if id not in self.linked:
            return ()
        if self.chain is not None:
            return self.chain[: self.chain.index(id)]
        import networkx as nx

        return nx.ancestors(self.digraph, id)

    @property
    def closing(self) -> dict[tuple[str, str], list[str]]:
        """Edges that close circles, without which there are none, and each one's circle.

        Found in one walk: a hostile file may hold thousands. Of a long circle the middle is left
        out.
        """
        if self.chain is not None:
            return {}
        import networkx as nx

        found, way, place = {}, [], {}  # the nodes from where the walk began to where it is
        for source, target, kind in nx.dfs_labeled_edges(self.digraph):
            if kind == "forward":
                place[target] = len(way)
                way.append(target)
            elif kind == "reverse":
                del place[way.pop()]
            elif target in place:
                first = place[target]
                long = len(way) - first > 8
                circle = [*way[first : first + 4], "…", *way[-4:]] if long else way[first:]
                found[source, target] = [*circle, target]
        return found


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by id and the links between them.

    Attributes
    ----------
    nodes : id → Node, in the order they were added
    links : (node, input) → (node, output), so that two sources for one input cannot be written
    extra : fields of the file that this version does not know
    """

    nodes: Mapping[str, Node] = field(default_factory=dict)
    links: Links = field(default_factory=Links)
    extra: Mapping[str, Any] = field(default_factory=dict)
    _through: dict = field(default_factory=dict, init=False, repr=False)

    # ---- looking ---------------------------------------------------------------------------

    def node(self, id: str) -> Node:
        """Give the node called `id`, or raise GraphError."""
        try:
            return self.nodes[id]
        except KeyError:
            there = ", ".join(list(self.nodes)[:12]) or "none"
            hint = suggest(id, self.nodes, f"Nodes here: {there}.")
            raise GraphError("there is no such node.", id, hint) from None

    @property
    def order(self) -> tuple[str, ...]:
        """All nodes, sources first."""
        linked = self.links.order
        return linked + tuple(id for id in self.nodes if id not in self.links.linked)

    def upstream(self, targets: Iterable[str]) -> list[str]:
        """Give `targets` and all that they depend on, sources first."""
        needed = set(targets)
        for target in list(needed):
            needed.update(self.links.ancestors(target))
        return [id for id in self.order if id in needed]

    def before(self, id: str) -> str:
        """Give the node that feeds the first linked input of a node, or "" if none is linked."""
        sources = (self.source(id, name) for name in self.nodes[id].spec.inputs)
        return next((source[0] for source in sources if source is not None), "")

    def seen(self, id: str) -> str:
        """Give the node whose output is looked at for a node's: of one that writes a file, what it
        gets, or "" if that is nothing."""
        return self.before(id) if self.nodes[id].spec.writes else id

    def source(self, id: str, input: str) -> tuple[str, str] | None:
        """Give the (node, output) that feeds an input, seen through bypassed nodes."""
        link, seen = self.links.get((id, input)), []
        while link is not None and self.nodes[link[0]].bypass:
            if link in self._through:  # or long rows of them would be walked again and again
                link = self._through[link]
                break
            seen.append(link)
            link = self.links.get((link[0], self.nodes[link[0]].passes(link[1])))
        self._through.update(dict.fromkeys(seen, link))
        return link

    def linked(self, id: str) -> set[str]:
        """Return the names of a node's inputs that something comes to."""
        return {name for name in self.nodes[id].spec.inputs if self.source(id, name) is not None}

    def leading(self, id: str) -> set[str]:
        """Return the names of a node's outputs that come to some working node."""
        return {
            source[1]
            for target, input in self.links
            if not self.nodes[target].bypass
            and (source := self.source(target, input)) is not None
            and source[0] == id
        }

    def unused(self, id: str) -> str:
        """Return a sentence about what of a node's settings has no effect in the graph, or ""."""
        spec, params = self.nodes[id].spec, self.nodes[id].params
        return spec.unused(params, self.leading(id)) if spec.unused else ""

    def picture(self, id: str) -> str:
        """Return the path of the picture that a node works on: the one which its first inputs come
        from; "" if none does."""
        while before := self.before(id):
            id = before
        node = self.nodes[id]
        return node.params[node.spec.reads[0]] if node.spec.reads and not node.spec.inputs else ""

    def another(self, id: str) -> str:
        """Return the picture that a node's values were set on, if it works on another one now."""
        was, now = self.nodes[id].picture, self.picture(id)
        return was if was and now and not same_file(was, now) else ""

    def foreign(self, id: str) -> str:
        """Return a sentence about corrections that a node holds of another picture, or ""."""
        node = self.nodes[id]
        made = described(node, node.spec.corrections) if node.spec.inputs else ""
        picture = self.another(id) if made else ""
        return picture and f"{made} of another picture, {os.path.basename(picture)}."

    def stand_in(self, id: str) -> str | None:
        """Give the node whose outputs are to be shown for `id`: itself unless bypassed."""
        node = self.node(id)
        if not node.bypass:
            return id
        source = self.source(id, node.passes() or "")
        return source and source[0]

    def of_type(self, *types: str) -> list[str]:
        """Give the ids of the nodes of these types, in order of the graph."""
        return [id for id in self.order if self.nodes[id].spec.id in types]

    def problems(self, targets: Iterable[str] | None = None) -> list[GraphError]:
        """List what keeps the graph, or what `targets` depend on, from running."""
        found = []
        for id in self.order if targets is None else self.upstream(targets):
            node = self.nodes[id]
            if node.spec.fn is None and not node.bypass:
                found.append(_not_known(id, node.spec))
            found += [
                GraphError("nothing is linked to this input.", f"{id}.{name}", "Link a node to it.")
                for name in node.spec.inputs
                if not node.bypass
                and name not in node.spec.optional
                and self.source(id, name) is None
            ]
        return found

    # ---- editing: each gives a new graph ---------------------------------------------------

    def add(
        self, type: str | NodeSpec, id: str | None = None, *, pos=(0.0, 0.0), **params: Any
    ) -> Graph:
        """Add a node of `type`; `id` defaults to the type, with a number if that is taken."""
        spec = find(type) if isinstance(type, str) else type
        id = id or self.free_id(spec.id)
        if not NODE_ID.fullmatch(id) or id in self.nodes:
            raise GraphError(
                f"{id!r} cannot name a node.", hint="Use letters, digits, - and _, once each name."
            )
        graph = self._with_node(id, Node(spec, spec.defaults, pos))
        for name, value in params.items():
            graph = graph.set_param(id, name, value)
        return graph

    def free_id(self, base: str) -> str:
        """Give `base`, or `base` with the lowest number that is free."""
        number, id = 1, base
        while id in self.nodes:
            number += 1
            id = f"{base}{number}"
        return id

    def remove(self, *ids: str, reconnect: bool = False) -> Graph:
        """Take nodes out; with `reconnect`, what they would pass on when bypassed stays linked."""
        links = dict(self.links)
        for id in ids:
            node = self.node(id)
            for target, (source, output) in list(links.items()):
                through = links.get((id, node.passes(output))) if reconnect else None
                if source == id and through:
                    links[target] = through
                elif source == id:
                    del links[target]
            links = {key: source for key, source in links.items() if key[0] != id}
        nodes = {id: node for id, node in self.nodes.items() if id not in ids}
        return replace(self, nodes=nodes, links=Links(links))

    def set_param(self, id: str, name: str, value: Any, *, text: bool = False) -> Graph:
        """Set a parameter; `text` accepts a command line's words (see `Param.check`)."""
        node = self.node(id)
        if name not in node.spec.params:
            raise no_such_parameter(id, name, node.spec)
        try:
            value = node.spec.params[name].check(value, text=text)
        except ParamError as error:
            raise error.of_node(id) from error.__cause__
        fields = {"picture": self.picture(id)} if name in node.spec.of_picture else {}
        return self.change(id, params={**node.params, name: value}, **fields)

    def change(self, id: str, **fields: Any) -> Graph:
        """Change fields of a node (pos, title, bypass, …)."""
        return self._with_node(id, replace(self.node(id), **fields))

    def connect(
        self, source: str, target: str, *, output: str | None = None, input: str | None = None
    ) -> Graph:
        """Link an output to an input, in place of what was linked there.

        `output` defaults to the first one, `input` to the first that it fits. Raises
        SocketError if the two do not fit and GraphError if the link would close a circle.
        """
        given, wanted = self.node(source).spec, self.node(target).spec
        output = output or next(iter(given.outputs), None)
        if output not in given.outputs:
            raise SocketError("there is no such output.", f"{source}.{output}")
        fitting = [
            name for name, kind in wanted.inputs.items() if fits(kind, given.outputs[output])
        ]
        input = input or next(iter(fitting), next(iter(wanted.inputs), None))
        if (fault := self._misfit(source, output, target, input)) is not None:
            raise fault
        if source == target or target in self.links.ancestors(source):
            hint = "Link a node that does not depend on this one."
            if source != target:
                hint = f"Put another {wanted.title} behind {source!r}, and link that one."
            what = f"a link from {source!r} would close a circle."
            raise GraphError(what, f"{target}.{input}", hint)
        return replace(self, links=Links({**self.links, (target, input): (source, output)}))

    def disconnect(self, target: str, input: str) -> Graph:
        """Take away the link into an input, if there is one."""
        links = {key: source for key, source in self.links.items() if key != (target, input)}
        return replace(self, links=Links(links))

    @classmethod
    def chain(cls, *types: str) -> Graph:
        """Give a graph of nodes of these types, each linked to the next."""
        graph, last = cls(), None
        for place, type in enumerate(types):
            id = graph.free_id(type)
            graph = graph.add(type, id, pos=(180.0 * place, 0.0))
            graph = graph.connect(last, id) if last else graph
            last = id
        return graph

    def with_links(self, links: Mapping[tuple[str, str], tuple[str, str]]) -> tuple[Graph, list]:
        """Set all links at once; give the graph with those that are sound, and the faults."""
        faults: list[QrNodesError] = []
        sound = {}
        for (target, input), (source, output) in links.items():
            fault = self._misfit(source, output, target, input)
            if fault is None:
                sound[target, input] = (source, output)
            else:
                faults.append(fault)
        closing = Links(sound).closing
        for (_, target), circle in closing.items():
            path = " → ".join(circle)
            what = f"the links {path} form a circle."
            faults.append(GraphError(what, target, "Take one of them away."))
        sound = {key: s for key, s in sound.items() if (s[0], key[0]) not in closing}
        return replace(self, links=Links(sound)), faults

    def _misfit(self, source: str, output: str, target: str, input: str) -> QrNodesError | None:
        where = f"{target}.{input}"
        if source not in self.nodes:
            hint = suggest(source, list(self.nodes)[:100], "Relink it.")
            return GraphError(f"it is linked to {source!r}, which is not here.", where, hint)
        given, wanted = self.nodes[source].spec, self.nodes[target].spec
        if input not in wanted.inputs:
            hint = suggest(input or "", wanted.inputs, f"Inputs there: {_names(wanted.inputs)}.")
            return GraphError("there is no such input.", where, hint)
        if output not in given.outputs:
            hint = suggest(output, given.outputs, f"Outputs there: {_names(given.outputs)}.")
            return GraphError(f"{source!r} has no output {output!r}.", where, hint)
        if not fits(wanted.inputs[input], given.outputs[output]):
            names = {kind: name for name, kind in SOCKETS.items()}
            have, need = names[given.outputs[output]], names[wanted.inputs[input]]
            advice = "Join it to a picture with Set Alpha." if have == "mask" else "Link another."
            return SocketError(f"{source!r} gives a {have}, but a {need} is wanted.", where, advice)
        return None

    def _with_node(self, id: str, node: Node) -> Graph:
        return replace(self, nodes={**self.nodes, id: node})


def _names(sockets: Iterable[str]) -> str:
    return ", ".join(sockets) or "none"


def no_such_parameter(id: str, name: str, spec: NodeSpec) -> ParamError:
    """Return the fault of a parameter that a node has not, with the one that was meant."""
    hint = suggest(name, spec.params, f"Use {_names(spec.params)}.")
    return ParamError("there is no such parameter.", f"{id}.{name}", hint)


def described(node: Node, names: Iterable[str] | None = None) -> str:
    """Return in words what a node holds that belongs to one picture: "2 strokes", "page 3"; or "".

    `names` are the parameters to look at; None means all of that kind.
    """
    words = []
    for name in node.spec.of_picture if names is None else names:
        value = node.params[name]
        if isinstance(value, tuple) and value:
            words.append(f"{len(value)} {name if len(value) > 1 else name.removesuffix('s')}")
        elif value != node.spec.params[name].default:
            words.append(f"{name} {value}")
    return ", ".join(words)


def corrected(graph: Graph) -> str:
    """Return in words what a graph holds that was corrected by hand on one picture; or ""."""
    nodes = (node for node in graph.nodes.values() if node.spec.inputs)
    return ", ".join(filter(None, (described(node, node.spec.corrections) for node in nodes)))


def same_file(one: str, other: str) -> bool:
    """Return whether two paths name one file, by their names alone: neither is looked at."""
    return os.path.abspath(one) == os.path.abspath(other)


def fits(wanted: Any, given: Any) -> bool:
    """Say whether an output of kind `given` can be linked to an input of kind `wanted`.

    A cutout fits a mask input: its alpha is taken. `Any`, of unknown nodes, fits all.
    """
    return wanted is given or Any in (wanted, given) or (wanted is Mask and given is Cutout)


def unknown(
    type: str, version: int, inputs: Iterable[str], outputs: Iterable[str], provider: str = ""
) -> NodeSpec:
    """Return a stand-in spec for a node type that is not known here, so that it survives."""
    return NodeSpec(
        id=type,
        title=type,
        category="Unknown",
        version=version,
        fn=None,
        inputs=dict.fromkeys(inputs, Any),
        optional=frozenset(),
        params={},
        outputs=dict.fromkeys(outputs, Any),
        provider=provider,
    )


def _not_known(id: str, spec: NodeSpec) -> QrNodesError:
    """Return why a node of a graph cannot be used here."""
    if (fault := why_unknown(spec.id)) is not None:
        return GraphError(f"its code cannot be used: {fault}", id)
    what = f"the node type {spec.id!r} is not known here."
    if spec.provider == OWN:
        what += " It is one that somebody wrote: a file in their folder for own nodes."
        return GraphError(what, id, f"Put {spec.id}.py into {own_folder()}, or delete the node.")
    if spec.provider:
        what += f" It came with the package {spec.provider}."
        hint = "Install that package, or bypass or delete the node."
        return GraphError(what, id, hint)
    hint = "Install the program that has it, or bypass or delete the node."
    return GraphError(what, id, hint)
