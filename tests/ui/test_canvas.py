"""The canvas without a window: it follows the graph, and what it does ends up in the graph."""

from __future__ import annotations

from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import numpy as np
import pytest

from qr_nodes.engine import Event
from qr_nodes.errors import GraphError, NodeError, QrNodesError, ReadError
from qr_nodes.graph import Graph, unknown
from qr_nodes.types import Cutout
from qr_nodes.ui import canvas_edits as edits
from qr_nodes.ui.canvas import KEPT, Canvas
from qr_nodes.ui.canvas_edits import COLUMN
from qr_nodes.ui.canvas_frames import LEAST


class App:
    """What the canvas needs of the window, with undo and a list of messages."""

    modal = False
    viewed = ""

    def __init__(self, graph: Graph):
        self.loop = SimpleNamespace(wake=lambda: None)
        self.document = SimpleNamespace(graph=graph, viewed=())
        self.past, self.said, self.chosen = [], [], []

    def edit(self, graph, name, drag=None):
        self.past.append((self.document.graph, name))
        self.show(graph)

    def undo(self):
        self.show(self.past.pop()[0])

    def show(self, graph):
        self.document.graph = graph
        self.canvas.sync()

    def attempt(self, call, *arguments):
        try:
            return call(*arguments)
        except QrNodesError as error:
            self.said.append(str(error))
            return None

    def selected(self, ids):
        self.chosen = ids


@pytest.fixture
def app(dpg_context):
    app = App(Graph.chain("load", "segment", "feather", "export"))
    with dpg.window():
        room = dpg.add_child_window()
    app.canvas = Canvas(app, room)
    return app


def shown(canvas: Canvas) -> tuple[set, set]:
    """Give the nodes and links that the editor holds, by id and by their ends."""
    children = dpg.get_item_children(canvas.editor)
    names = {item.item: id for id, item in canvas.items.items()}
    pins = {pin: (id, *end) for id, item in canvas.items.items() for pin, end in item.pins.items()}
    links = set()
    for link in children[0]:
        ends = dpg.get_item_configuration(link)
        links.add((pins[ends["attr_1"]][:2], pins[ends["attr_2"]][:2]))
    return {names[node] for node in children[1]}, links


def expected(graph: Graph) -> tuple[set, set]:
    return set(graph.nodes), {(source, target) for target, source in graph.links.items()}


def link(app, source: str, target: str, input: str = "cutout") -> None:
    """Drag a link, as the node editor tells of it."""
    items = app.canvas.items
    output = next(iter(app.document.graph.nodes[source].spec.outputs))
    pins = (items[source].pin(output, True), items[target].pin(input, False))
    dpg.get_item_callback(app.canvas.editor)(0, pins)


def test_the_editor_holds_what_the_graph_holds(app):
    assert shown(app.canvas) == expected(app.document.graph)


def test_it_follows_additions_removals_and_their_undoing(app):
    states = [app.document.graph]
    for graph in (
        states[0].add("smooth", pos=(10, 200)),
        states[0].add("smooth").connect("feather", "smooth"),
        states[0].remove("segment"),
        states[0].remove("segment", reconnect=True),
        Graph(),
        Graph.chain("load", "smooth", "feather"),
    ):
        app.show(graph)
        assert shown(app.canvas) == expected(graph)
        app.show(states[0])
        assert shown(app.canvas) == expected(states[0])


def test_a_parameter_touches_no_widget_of_other_nodes(app):
    before = {id: (item.item, item) for id, item in app.canvas.items.items()}
    links = dict(app.canvas.links)
    app.show(app.document.graph.set_param("feather", "sigma", 7.0))
    assert {id: (item.item, item) for id, item in app.canvas.items.items()} == before
    assert app.canvas.links == links


def test_a_node_of_another_type_under_the_same_id_is_made_anew(app):
    graph = app.document.graph.remove("feather").add("combine_masks", "feather")
    old = app.canvas.items["feather"].item
    app.show(graph)
    assert app.canvas.items["feather"].item != old
    assert shown(app.canvas) == expected(graph)


def test_a_link_by_hand_is_one_edit_and_replaces_the_old(app):
    link(app, "load", "feather")
    assert app.document.graph.links["feather", "cutout"] == ("load", "cutout")
    assert app.past[-1][1] == "Link Load to Feather"
    assert shown(app.canvas) == expected(app.document.graph)


def test_a_link_that_closes_a_circle_is_refused_with_a_reason(app):
    graph = app.document.graph
    link(app, "feather", "segment")
    assert app.document.graph is graph
    assert "would close a circle" in app.said[0]


def test_a_link_of_the_wrong_kind_is_refused_with_a_reason(app):
    app.show(app.document.graph.add("extract_alpha"))
    graph = app.document.graph
    link(app, "extract_alpha", "feather")
    assert app.document.graph is graph
    assert "gives a mask, but a cutout is wanted" in app.said[0]


def test_a_link_dropped_on_a_node_takes_the_first_input_that_fits(app):
    app.show(app.document.graph.add("extract_alpha"))
    app.canvas.join(("extract_alpha", "mask", True), "feather")
    assert app.document.graph.links["feather", "where"] == ("extract_alpha", "mask")
    app.canvas.join(("extract_alpha", "cutout", False), "segment")
    assert app.document.graph.links["extract_alpha", "cutout"] == ("segment", "cutout")
    app.canvas.join(("feather", "cutout", True), "load")
    assert app.said == ["load: it has no input that fits. Link another node."]


def test_a_node_of_an_unknown_type_is_shown_and_explained(app):
    spec = unknown("sparkle", 1, ["cutout"], ["cutout"])
    graph = app.document.graph.add(spec, "sparkle").connect("feather", "sparkle")
    app.show(graph.connect("sparkle", "export"))
    assert shown(app.canvas) == expected(app.document.graph)
    assert "anything" in app.canvas.pointer.explain(("sparkle", "cutout", False), "sparkle")
    assert app.canvas.pointer.explain(None, "sparkle") == ""


def test_pulling_a_link_off_unlinks(app):
    item = app.canvas.links["feather", "cutout"]
    app.canvas._delinked(0, item)
    assert ("feather", "cutout") not in app.document.graph.links
    assert not dpg.does_item_exist(item)


def test_the_selection_survives_edits_and_loses_what_is_gone(app):
    app.canvas.select(["load", "feather"])
    app.show(app.document.graph.add("smooth"))
    assert app.canvas.selection == app.chosen == ["load", "feather"]
    app.show(app.document.graph.remove("feather"))
    assert app.canvas.selection == app.chosen == ["load"]


def test_deleting_can_reconnect_the_neighbours(app):
    app.canvas.select(["segment"])
    app.canvas.delete(reconnect=True)
    assert app.document.graph.links["feather", "cutout"] == ("load", "cutout")
    app.undo()
    app.canvas.select(["segment"])
    app.canvas.delete()
    assert ("feather", "cutout") not in app.document.graph.links
    assert app.past[-1][1] == "Delete Segment"


def test_copies_are_pasted_under_new_ids_and_selected(app):
    app.canvas.select(["segment", "feather"])
    app.canvas.paste(app.canvas.copy())
    graph = app.document.graph
    assert app.canvas.selection == ["segment2", "feather2"]
    assert graph.links["feather2", "cutout"] == ("segment2", "cutout")
    assert ("segment2", "cutout") not in graph.links
    assert graph.nodes["feather2"].pos != graph.nodes["feather"].pos


def test_pasting_something_else_says_what_is_missing(app):
    graph = app.document.graph
    app.canvas.paste("hello")
    assert app.document.graph is graph
    assert app.said == ["Paste: the clipboard holds no nodes. Copy nodes first."]


def test_bypass_is_shown_and_ends_when_all_are_bypassed(app):
    app.canvas.select(["feather", "segment"])
    app.canvas.bypass()
    assert app.document.graph.nodes["feather"].bypass
    assert dpg.get_value(app.canvas.items["feather"].status) == "bypassed"
    app.canvas.bypass()
    assert not app.document.graph.nodes["segment"].bypass


def test_a_long_name_is_cut_on_the_node_and_kept_in_the_graph(app):
    name = "A name that is far too long for a node"
    app.show(app.document.graph.change("feather", title=name))
    label = dpg.get_item_label(app.canvas.items["feather"].item)
    assert label.endswith("…") and len(label) < len(name)
    app.show(app.document.graph.change("feather", title=""))
    assert dpg.get_item_label(app.canvas.items["feather"].item) == "Feather"


def test_a_new_node_is_linked_to_the_pin_it_was_asked_for_at(app):
    from qr_nodes.nodes import find

    app.canvas._chosen((0, 0), ("feather", "cutout", True), None, find("smooth"))
    assert app.document.graph.links["smooth", "cutout"] == ("feather", "cutout")
    app.canvas._chosen((0, 0), ("feather", "where", False), None, find("extract_alpha"))
    assert app.document.graph.links["feather", "where"] == ("extract_alpha", "mask")
    assert app.canvas.selection == ["extract_alpha"]


def test_a_node_added_while_one_is_selected_continues_it(app):
    app.canvas.select(["segment"])
    app.canvas.add("smooth")
    assert app.document.graph.links["smooth", "cutout"] == ("segment", "cutout")
    assert app.document.graph.links["feather", "cutout"] == ("smooth", "cutout")
    assert [name for _, name in app.past] == ["Add Smooth"]
    app.canvas.select(["export"])  # gives nothing on
    app.canvas.add("levels")
    assert ("levels", "cutout") not in app.document.graph.links


def test_dropping_nodes_makes_one_edit_and_zoom_changes_no_place(app):
    canvas = app.canvas
    canvas.zoom(-2, (100, 50))
    dpg.set_item_pos(canvas.items["load"].item, (33, 44))
    dpg.set_item_pos(canvas.items["feather"].item, (333, 144))
    places = canvas.dragged()
    assert set(places) == {"load", "feather"}
    canvas.pointer._drop(places)
    assert [name for _, name in app.past] == ["Move"]
    canvas.zoom(3, (17, 29))
    assert canvas.dragged() == {}
    assert app.document.graph.nodes["load"].pos == places["load"]


def test_a_node_dropped_on_a_link_goes_in_there(app, monkeypatch):
    app.show(app.document.graph.add("smooth", pos=(300, 300)))
    canvas = app.canvas
    key = ("feather", "cutout")
    monkeypatch.setattr(canvas, "ends", lambda k: ((0, 0), (9, 9)) if k == key else ((0, 0),) * 2)
    monkeypatch.setattr(canvas, "box", lambda id: (8, 8, 5, 5))
    canvas.pointer._drop({"smooth": (250.0, 3.0)})
    assert app.document.graph.links[key] == ("smooth", "cutout")
    assert app.document.graph.links["smooth", "cutout"] == ("segment", "cutout")
    places = {id: node.pos for id, node in app.document.graph.nodes.items()}
    assert places["smooth"] == (180.0 + COLUMN, 0.0)  # level with its source
    assert places["feather"] == (180.0 + 2 * COLUMN, 0.0)
    assert places["export"][0] == places["feather"][0] + 180.0
    assert places["segment"] == (180.0, 0.0)
    assert len(app.past) == 1


def test_a_moved_node_is_put_back_when_the_edit_is_undone(app):
    place = dpg.get_item_pos(app.canvas.items["load"].item)
    dpg.set_item_pos(app.canvas.items["load"].item, (500, 600))
    app.canvas.pointer._drop(app.canvas.dragged())
    app.undo()
    assert dpg.get_item_pos(app.canvas.items["load"].item) == place


def test_a_node_tells_what_the_engine_told(app):
    item = app.canvas.items["feather"]
    cutout = Cutout(np.zeros((37, 53, 3), np.uint8), np.ones((37, 53), np.float32))
    texts, tints = [], []
    for event in (
        Event(1, "started", "feather"),
        Event(1, "progress", "feather", fraction=0.4),
        Event(1, "done", "feather", outputs={"cutout": cutout}, seconds=0.042),
        Event(2, "reused", "feather", outputs={"cutout": cutout}, seconds=0.042),
        Event(3, "failed", "feather", error=NodeError("it broke.", "feather", "Mend it.")),
        Event(4, "blocked", "feather", error=NodeError("it waits.", "feather", "")),
    ):
        app.canvas.event(event)
        texts.append(dpg.get_value(item.status))
        tints.append(dpg.get_item_configuration(item.image)["tint_color"][3])
    assert min(tints[:4]) > max(tints[4:])  # an old picture fades when there is no new one
    assert texts == ["running…", "40 %", "42 ms", "reused", "failed", "waiting"]
    assert "it waits" in app.canvas.pointer.explain(None, "feather")


def test_an_unfinished_node_is_not_called_failed(app):
    app.show(app.document.graph.add("smooth"))
    error = NodeError("nothing is linked to this input.", "smooth.cutout", "Link a node to it.")
    app.canvas.event(Event(1, "failed", "smooth", error=error))
    assert dpg.get_value(app.canvas.items["smooth"].status) == "not linked"
    assert "nothing is linked" in app.canvas.pointer.explain(None, "smooth")


def test_a_load_without_a_picture_is_not_called_failed(app):
    error = GraphError("no picture is named.", "load.path", "Choose a picture.")
    app.canvas.event(Event(1, "failed", "load", error=error))
    assert dpg.get_value(app.canvas.items["load"].status) == "no picture yet"
    assert "no picture is named" in app.canvas.pointer.explain(None, "load")
    app.show(app.document.graph.set_param("load", "path", "gone.jpg"))
    app.canvas.event(Event(2, "failed", "load", error=ReadError("there is no such file.", "load")))
    assert dpg.get_value(app.canvas.items["load"].status) == "failed"


def test_what_was_given_up_runs_no_longer(app):
    app.canvas.event(Event(1, "started", "feather"))
    app.canvas.event(Event(1, "finished"))
    assert dpg.get_value(app.canvas.items["feather"].status) == ""


def test_pictures_come_from_outputs_and_old_ones_are_dropped(app):
    cutout = Cutout(np.zeros((37, 53, 3), np.uint8), np.ones((37, 53), np.float32))
    canvas, seen = app.canvas, []
    for run in (1, 2):
        canvas.event(Event(run, "done", "feather", outputs={"cutout": cutout}))
        canvas.items["feather"].picture(canvas.textures)
        seen.append(canvas.facts["feather"].texture)
        assert canvas.facts["feather"].value is None
    assert not dpg.does_item_exist(seen[0]) and dpg.does_item_exist(seen[1])
    # A node that comes back by undo has its picture again.
    graph = app.document.graph
    app.show(graph.remove("feather"))
    app.show(graph)
    assert dpg.get_item_configuration(canvas.items["feather"].image)["texture_tag"] == seen[1]


def test_pictures_of_nodes_long_gone_are_dropped(app):
    canvas = app.canvas
    mask = np.zeros((3, 5), np.float32)
    for number in range(KEPT + 3):
        id = f"levels{number}"
        app.show(app.document.graph.add("levels", id))
        canvas.event(Event(1, "done", id, outputs={"cutout": mask}))
        canvas.items[id].picture(canvas.textures)
        app.show(app.document.graph.remove(id))
    kept = [id for id in canvas.facts if id not in canvas.items]
    assert len(kept) == KEPT and kept[0] == "levels3"
    textures = sum(map(len, dpg.get_item_children(canvas.textures).values()))
    assert textures == KEPT + 1  # and the blank one


def test_another_graph_starts_without_what_was_known_of_the_old(app):
    app.canvas.event(Event(1, "done", "feather", seconds=0.042, outputs={}))
    app.show(Graph.chain("load", "feather"))
    assert dpg.get_value(app.canvas.items["feather"].status) == ""


def test_frames_are_drawn_named_and_taken_away(app):
    canvas = app.canvas
    canvas.select(["feather"])
    canvas.frame_selection()
    (frame,) = app.document.graph.extra["frames"]
    canvas.frames.draw()
    assert canvas.frames.at(canvas.view.place((frame["x"] + 5, frame["y"] + 5))) == frame
    actions = {label: call for label, _, call in canvas.frames.actions(frame)}
    actions["Delete Frame"]()
    assert "frames" not in app.document.graph.extra


def framed(app, *ids) -> dict:
    app.canvas.select(list(ids))
    app.canvas.frame_selection()
    app.canvas.popup.close()
    return app.document.graph.extra["frames"][0]


def corner(app, frame, x, y):
    """Give editor coordinates of a place seen from a frame's sizing corner."""
    return app.canvas.view.place((frame["x"] + frame["w"] + x, frame["y"] + frame["h"] + y))


def test_a_frame_is_sized_by_its_corner_down_to_a_least(app):
    frame, before = framed(app, "feather"), dict(app.document.graph.nodes)
    frames = app.canvas.frames
    assert not frames.hold(corner(app, frame, -40, -40)) and not frames.hold(
        corner(app, frame, 5, 5)
    )
    assert frames.hold(corner(app, frame, -3, -4))
    steps = len(app.past)
    frames.drag(corner(app, frame, -3, -4))
    assert len(app.past) == steps  # nothing moved
    for x, y in ((20, 10), (80, 50)):
        frames.drag(corner(app, frame, x - 3, y - 4))
    (sized,) = app.document.graph.extra["frames"]
    assert (sized["w"], sized["h"]) == (frame["w"] + 80, frame["h"] + 50)
    assert (sized["x"], sized["y"], sized["text"]) == (frame["x"], frame["y"], frame["text"])
    frames.drag(corner(app, frame, -1000, -1000))
    (least,) = app.document.graph.extra["frames"]
    assert (least["w"], least["h"]) == (LEAST, LEAST)
    frames.drag(corner(app, frame, 80 - 3, 50 - 4))
    assert app.document.graph.extra["frames"] == [sized]  # the mouse still has it by its corner
    assert dict(app.document.graph.nodes) == before
    frames.let_go()
    frames.drag(corner(app, frame, 0, 0))
    assert app.document.graph.extra["frames"] == [sized]
    assert {name for _, name in app.past[steps:]} == {"Resize Frame"}


def test_a_frame_is_moved_by_its_title_with_what_is_in_it(app):
    frame = framed(app, "segment", "feather")
    inner = frame | {"x": frame["x"] + 5, "w": frame["w"] - 10, "text": "inner"}
    app.edit(edits.with_frames(app.document.graph, [inner, frame]), "")
    before = {id: node.pos for id, node in app.document.graph.nodes.items()}
    frames, view = app.canvas.frames, app.canvas.view
    assert frames.hold(view.place((frame["x"] + 3, frame["y"] + 4)))
    for way in range(1, 5):
        frames.drag(view.place((frame["x"] + 3 + 10 * way, frame["y"] + 4 - 5 * way)))
    frames.let_go()
    graph = app.document.graph
    assert [(f["x"], f["y"]) for f in graph.extra["frames"]] == [
        (inner["x"] + 40, inner["y"] - 20), (frame["x"] + 40, frame["y"] - 20),
    ]  # fmt: skip
    went = {id for id, pos in before.items() if graph.nodes[id].pos != pos}
    assert went == {"segment", "feather"}
    assert graph.nodes["feather"].pos == (before["feather"][0] + 40, before["feather"][1] - 20)
    assert {name for _, name in app.past[-4:]} == {"Move Frame"}


def test_an_empty_frame_is_moved_too(app):
    frame = {"x": 900.0, "y": 900.0, "w": 100.0, "h": 100.0, "text": "empty"}
    app.edit(edits.with_frames(app.document.graph, [frame]), "")
    assert app.canvas.frames.hold(app.canvas.view.place((910, 910)))
    app.canvas.frames.drag(app.canvas.view.place((930, 915)))
    (moved,) = app.document.graph.extra["frames"]
    assert (moved["x"], moved["y"], moved["w"]) == (920, 905, 100)


def test_the_search_is_driven_by_keys(app):
    popup, chosen = app.canvas.popup, []
    from qr_nodes.nodes import all_specs

    popup.search(all_specs(), (0, 0), lambda spec: chosen.append(spec.id))
    dpg.get_item_callback(popup.field)(popup.field, "edge")
    popup._step(1)
    popup._step(-2)
    expected = popup.shown[-1].id
    popup._enter()
    assert chosen == [expected] and not popup.open


def test_what_is_typed_into_a_closed_search_is_dropped(app):
    app.canvas.search()
    field = app.canvas.popup.field
    typed = dpg.get_item_callback(field)
    app.canvas.popup.close()
    typed(field, "feather")
    assert not app.canvas.popup.open and app.canvas.popup.shown == []
    assert app.canvas.busy  # until the next frame: the key that closed it means nothing else


def test_a_line_of_text_is_given_on_enter(app):
    app.canvas.select(["feather"])
    app.canvas.rename()
    dpg.set_value(app.canvas.popup.field, "Soft")
    app.canvas.popup._enter()
    assert app.document.graph.nodes["feather"].title == "Soft"
    assert app.past[-1][1] == "Rename"
