"""The graph never changes, and refuses what cannot run with a sentence that says why."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import NamedTuple

import networkx as nx
import pytest

from qr_nodes.errors import GraphError, ParamError, SocketError
from qr_nodes.graph import Graph, Links, Node
from qr_nodes.node import node, spec_of
from qr_nodes.nodes import find
from qr_nodes.types import Cutout, Mask


def test_an_edit_gives_a_new_graph_and_shares_the_rest(stubs):
    before = stubs.graph("source", "add", "add")
    after = before.set_param("add", "amount", 2.5)
    assert before.nodes["add"].params["amount"] == 1.0
    assert after.nodes["add"].params["amount"] == 2.5
    assert after.nodes["add2"] is before.nodes["add2"] and after.links is before.links


def test_order_puts_sources_first_and_keeps_lonely_nodes(stubs):
    graph = Graph().add(stubs.specs["add"], "last").add(stubs.specs["source"], "first")
    graph = graph.add(stubs.specs["source"], "lonely").connect("first", "last")
    assert graph.order == ("first", "last", "lonely")
    assert graph.upstream(["last"]) == ["first", "last"]


def test_a_new_link_takes_the_place_of_the_old(stubs):
    graph = stubs.graph("source", "add").add(stubs.specs["source"], "other")
    graph = graph.connect("other", "add")
    assert graph.links == {("add", "cutout"): ("other", "cutout")}


def test_a_circle_is_refused(stubs):
    graph = stubs.graph("source", "add", "add", "add")
    with pytest.raises(GraphError, match=r"add\.cutout: a link from 'add3' would close a circle"):
        graph.connect("add3", "add")
    with pytest.raises(GraphError, match=r"circle.*Link a node that does not depend on this one"):
        graph.connect("add", "add")


def test_the_refusal_of_a_circle_names_the_way_out():
    graph = Graph.chain("load", "refine_edges", "brush_edit")
    with pytest.raises(GraphError, match="Put another Refine Edges behind 'brush_edit', and link"):
        graph.connect("brush_edit", "refine_edges", output="unsure", input="unsure")


def test_outputs_that_lead_to_bypassed_nodes_lead_where_these_pass_them_on():
    graph = Graph.chain("load", "brush_edit", "refine_edges", "export")
    assert graph.leading("brush_edit") == {"cutout"}
    graph = graph.connect("brush_edit", "refine_edges", output="unsure", input="unsure")
    assert graph.leading("brush_edit") == {"cutout", "unsure"}
    assert graph.change("refine_edges", bypass=True).leading("brush_edit") == {"cutout"}
    assert graph.leading("export") == set()


def test_a_mask_does_not_fit_a_cutout_and_the_refusal_helps(stubs):
    graph = stubs.graph("source", "mix").add(stubs.specs["add"], "add")
    with pytest.raises(
        SocketError, match=r"gives a mask, but a cutout is wanted\. Join .* Set Alpha"
    ):
        graph.connect("mix", "add")


def test_a_link_picks_the_first_input_that_fits(stubs):
    graph = stubs.graph("source", "mix")
    assert graph.links == {("mix", "a"): ("source", "cutout")}


def test_removing_with_reconnect_joins_the_neighbours(stubs):
    graph = stubs.graph("source", "add", "add", "add").remove("add", "add2", reconnect=True)
    assert graph.links == {("add3", "cutout"): ("source", "cutout")}
    cut = stubs.graph("source", "add", "add").remove("add")
    assert cut.links == {} and list(cut.nodes) == ["source", "add2"]


def test_a_bypassed_node_is_seen_through(stubs):
    graph = stubs.graph("source", "add", "add").change("add", bypass=True)
    assert graph.source("add2", "cutout") == ("source", "cutout")
    assert graph.stand_in("add") == "source" and graph.problems() == []
    lost = stubs.graph("source", "add").change("source", bypass=True)
    assert [p.where for p in lost.problems()] == ["add.cutout"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda g: g.set_param("add", "amount", "much"), r"add\.amount: 'much' cannot be used"),
        (
            lambda g: g.set_param("add", "size", 1),
            r"add\.size: there is no such parameter\. Use am",
        ),
        (lambda g: g.set_param("sub", "size", 1), r"sub: there is no such node\. Nodes here: sou"),
        (
            lambda g: g.add("moonbeam"),
            r"there is no node of type 'moonbeam'\. See 'qr-nodes nodes'",
        ),
        (lambda g: g.add(g.nodes["add"].spec, "a b"), r"'a b' cannot name a node"),
        (lambda g: g.add(g.nodes["add"].spec, "add"), r"'add' cannot name a node"),
        (lambda g: g.connect("add", "source"), r"source\.None: there is no such input"),
    ],
)
def test_a_faulty_edit_says_where_and_what_to_do(stubs, edit, message):
    with pytest.raises((GraphError, ParamError), match=message):
        edit(stubs.graph("source", "add"))


LINKS = {
    "nothing": ("", True),
    "one chain": ("ab bc cd", True),
    "written backwards": ("cd bc ab", True),
    "two chains": ("ab cd", False),
    "a branch": ("ab ac", False),
    "a join": ("ac bc", False),
    "twice from one to another": ("ab ab bc", True),
    "a circle": ("ab bc ca", False),
    "a chain into a circle": ("ab bc cb", False),
    "a chain beside a circle": ("ab cd dc", False),
}


@pytest.mark.parametrize(("written", "plain"), LINKS.values(), ids=LINKS)
def test_a_plain_chain_is_read_as_networkx_would(written, plain):
    edges = [tuple(edge) for edge in written.split()]
    links = Links({(b, str(n)): (a, "out") for n, (a, b) in enumerate(edges)})
    reference = nx.DiGraph(edges)
    assert (links.chain is not None) == plain
    assert links.linked == set(reference)
    for id in "abcde":
        known = nx.ancestors(reference, id) if id in reference else set()
        assert set(links.ancestors(id)) == known
    if nx.is_directed_acyclic_graph(reference):
        assert links.order == tuple(nx.topological_sort(reference)) and links.closing == {}
    else:
        reference.remove_edges_from(links.closing)
        assert nx.is_directed_acyclic_graph(reference)


@pytest.mark.process
def test_a_chain_of_nodes_is_opened_and_edited_without_networkx():
    code = (
        "import sys\n"
        "from qr_nodes import load_graph\n"
        "graph = load_graph('portrait').set_param('feather', 'sigma', 2.0)\n"
        "graph = graph.remove('smooth', reconnect=True).remove('export')\n"
        "graph = graph.add('levels').connect('refine_edges2', 'levels')\n"
        "assert graph.upstream(['levels'])[-1] == 'levels' and not graph.problems()\n"
        "sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_nodes_hash_tells_its_type_version_code_and_values():
    feather, levels = find("feather"), find("levels")
    first = Node(feather, feather.defaults)
    others = [
        Node(levels, levels.defaults),
        Node(replace(feather, version=feather.version + 1), feather.defaults),
        Node(replace(feather, id="other"), feather.defaults),
        Node(replace(feather, source="other code"), feather.defaults),
        Node(feather, {**feather.defaults, "sigma": 9.0}),
    ]
    assert len({node.digest for node in (first, *others)}) == len(others) + 1
    assert Node(feather, dict(feather.defaults), pos=(9, 9), title="Mine").digest == first.digest


class Pair(NamedTuple):
    """Two outputs, each of which stands for an input of its own while the node is bypassed."""

    cutout: Cutout
    mask: Mask


@pytest.mark.parametrize("way", ["bypass", "remove"])
def test_each_output_of_a_bypassed_node_stands_for_the_input_that_it_fits(stubs, way):
    @node("Pair", category="Stub")
    def stub_pair(mask: Mask, cutout: Cutout) -> Pair:
        return Pair(cutout, mask)

    graph = stubs.graph("source").add(stubs.specs["mix"], "mix").connect("source", "mix")
    graph = graph.add(spec_of(stub_pair), "pair")
    graph = graph.connect("mix", "pair", input="mask").connect("source", "pair", input="cutout")
    graph = graph.add(stubs.specs["add"], "add").connect("pair", "add", output="cutout")
    graph = graph.add(stubs.specs["mix"], "last").connect("pair", "last", output="mask")
    if way == "bypass":
        graph = graph.change("pair", bypass=True)
    else:
        graph = graph.remove("pair", reconnect=True)
    assert graph.source("add", "cutout") == ("source", "cutout")
    assert graph.source("last", "a") == ("mix", "mask")
