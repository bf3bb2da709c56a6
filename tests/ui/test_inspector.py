"""The inspector without a display: every node's widgets, gestures, news."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from typing import get_origin

import dearpygui.dearpygui as dpg
import pytest

from qr_nodes import graph as graphs
from qr_nodes.document import Document
from qr_nodes.engine import Event
from qr_nodes.errors import (
    Cancelled,
    GraphError,
    ModelError,
    ParamError,
    QrNodesError,
    ReadError,
)
from qr_nodes.graph import Graph
from qr_nodes.inference import registry, store
from qr_nodes.node import Param
from qr_nodes.nodes import all_specs
from qr_nodes.types import Stroke
from qr_nodes.ui import dialogs, theme
from qr_nodes.ui import inspector_brush as brushes
from qr_nodes.ui import inspector_models as models
from qr_nodes.ui import inspector_widgets as widgets
from qr_nodes.ui.brush import Brush
from qr_nodes.ui.inspector import Inspector, duration, news

EVERY = [(spec.id, name) for spec in all_specs() for name in spec.params]

FIND_DEVICES = models.find_devices


class App:
    """As much of the window as the inspector knows."""

    def __init__(self, document: Document):
        self.document, self.modal, self.said = document, False, []
        self.brush = Brush()
        self.posted: queue.SimpleQueue = queue.SimpleQueue()
        self.loop = SimpleNamespace(post=lambda *call: self.posted.put(call), wake=lambda: None)

    def edit(self, graph, name, drag=None):
        if graph is not self.document.graph:
            self.document.edit(graph, name, drag)
            self.inspector.sync()

    def attempt(self, call, *arguments):
        try:
            return call(*arguments)
        except QrNodesError as error:
            self.say(str(error), "error")
            return None

    def say(self, text, kind="info"):
        self.said.append((kind, text))


@pytest.fixture
def app(dpg_context, engine, monkeypatch):
    monkeypatch.setattr(models, "find_devices", lambda take, post: None)
    graph = Graph()
    for spec in all_specs():
        graph = graph.add(spec)
    made = App(Document(engine, graph))
    with dpg.window():
        made.inspector = Inspector(made, dpg.add_child_window())
    yield made
    made.document.close()


def other(param: Param):
    """Give a value that a parameter may have and has not by default."""
    if param.choices:
        return next(value for value in param.choices if value != param.default)
    if param.type is bool:
        return not param.default
    if get_origin(param.type) is tuple:
        return (Stroke(((0.5, 0.5),)), Stroke(((0.1, 0.2),), mode="erase"))
    if param.type is str:
        known = {"color": "#12ab90", "model": "isnet-general-use", "device": "cpu"}
        return known.get(param.kind, "/pictures/cat.png")
    low, high = widgets.travel(param)
    value = low + (high - low) * 0.25
    value = round(value) if param.type is int else float(f"{value:.6g}")
    return value if value != param.default else param.type(param.default + 1)


def field(app: App, name: str) -> widgets.Field:
    return app.inspector._rows[name].field


def act(app: App, name: str, value) -> None:
    """Move a parameter's widget as the user would."""
    shown = field(app, name)
    shown.show(value)
    if isinstance(shown, brushes.Strokes):
        app.inspector.set(name, value)
    elif isinstance(shown, widgets.LogNumber):
        dpg.get_item_callback(shown._typed)()
    else:
        dpg.get_item_callback(shown.item)()


def lines(app: App) -> list[str]:
    app.inspector.frame()
    return [dpg.get_value(item) for item in dpg.get_item_children(app.inspector._status, 1)]


@pytest.mark.parametrize(("id", "name"), EVERY)
def test_every_parameter_goes_through_its_widget_and_back(app, id, name):
    app.inspector.show(id)
    param, row = app.document.graph.nodes[id].spec.params[name], app.inspector._rows[name]
    assert row.field.read() == param.default
    assert not dpg.is_item_shown(row.reset)
    value = other(param)
    act(app, name, value)
    assert app.document.graph.nodes[id].params[name] == value
    assert row.field.read() == value
    assert dpg.is_item_shown(row.reset)
    dpg.get_item_callback(row.reset)(row.reset, None, name)
    assert app.document.graph.nodes[id].params[name] == param.default
    assert row.field.read() == param.default
    assert not dpg.is_item_shown(row.reset)
    assert app.said == []


@pytest.mark.parametrize(("id", "name"), EVERY)
def test_every_parameter_is_shown_again_after_undo(app, id, name):
    app.inspector.show(id)
    before = app.document.graph.nodes[id].params[name]
    act(app, name, other(app.document.graph.nodes[id].spec.params[name]))
    app.document.undo()
    app.inspector.sync()
    assert field(app, name).read() == before


@pytest.mark.parametrize("spec", all_specs(), ids=lambda spec: spec.id)
def test_every_node_is_shown_with_its_description(app, spec):
    app.inspector.show(spec.id)
    app.inspector.frame()
    texts = [dpg.get_value(item) for item in dpg.get_item_children(app.inspector._parent, 1)]
    first = " ".join(spec.doc.partition("\n\n")[0].split())
    assert first in texts
    assert set(app.inspector._rows) == set(spec.params)
    assert not any(isinstance(row.field, widgets.Raw) for row in app.inspector._rows.values())


def test_one_drag_is_one_undo_step_and_the_next_drag_another(app):
    app.inspector.show("feather")
    steps = len(app.document.past)
    for drag in ((3.0, 4.0, 5.0), (6.0, 7.0)):
        app.inspector._begun()
        for value in drag:
            act(app, "sigma", value)
        app.inspector._ended()
    assert len(app.document.past) == steps + 2
    assert app.document.past[-1].name == "Feather: Sigma"
    app.document.undo()
    app.inspector.sync()
    assert field(app, "sigma").read() == 5.0


def test_a_gesture_without_a_start_ends_when_the_mouse_is_let_go(app, monkeypatch):
    app.inspector.show("background")
    steps, down = len(app.document.past), [True]
    monkeypatch.setattr(dpg, "is_mouse_button_down", lambda button: down[0])
    for color in ("#010203", "#040506"):
        act(app, "color", color)
        app.inspector.frame()
    assert len(app.document.past) == steps + 1
    down[0] = False
    app.inspector.frame()
    act(app, "color", "#070809")
    assert len(app.document.past) == steps + 2


def test_a_value_that_is_typed_beyond_the_limits_becomes_the_nearest(app):
    app.inspector.show("feather")
    act(app, "sigma", 900.0)
    assert app.document.graph.nodes["feather"].params["sigma"] == 500.0
    assert dpg.get_value(field(app, "sigma").item) == 500.0
    act(app, "sigma", 120.0)  # beyond the slider, within the limits
    assert app.document.graph.nodes["feather"].params["sigma"] == 120.0


def test_a_value_that_is_refused_is_told_of_and_the_widget_returns(app):
    app.inspector.show("background")
    app.inspector.set("fill", "nothing")
    (kind, text), *_ = app.said
    assert kind == "error"
    assert text.startswith("background.fill: 'nothing' cannot be used. Use one of color")
    assert field(app, "fill").read() == "color"


def test_a_slider_over_factors_follows_and_sets(app):
    app.inspector.show("levels")
    gamma = field(app, "gamma")
    assert dpg.get_value(gamma.item) == pytest.approx(0.5)
    dpg.set_value(gamma.item, 0.75)
    dpg.get_item_callback(gamma.item)()
    assert app.document.graph.nodes["levels"].params["gamma"] == pytest.approx(3.16)
    assert gamma.read() == pytest.approx(3.16)
    dpg.set_value(gamma._typed, 99.0)
    app.inspector._left(None, gamma._typed)
    assert app.document.graph.nodes["levels"].params["gamma"] == gamma.read() == 10.0
    assert dpg.get_value(gamma.item) == 1.0


def test_a_title_is_set_kept_and_taken_away(app):
    app.inspector.show("feather")
    title = app.inspector._title
    assert dpg.get_value(title) == "Feather"
    for typed, kept in (("Soft edge", "Soft edge"), ("", ""), ("Feather", "")):
        dpg.set_value(title, typed)
        app.inspector._left(None, title)
        assert app.document.graph.nodes["feather"].title == kept
        assert dpg.get_value(title) == (kept or "Feather")


def test_text_that_was_typed_is_taken_when_the_keyboard_leaves(app):
    app.inspector.show("load")
    item = field(app, "path").item
    dpg.set_value(item, "/pictures/dog.jpg")
    app.inspector._left(None, item)
    assert app.document.graph.nodes["load"].params["path"] == "/pictures/dog.jpg"


@pytest.mark.parametrize(
    ("id", "call", "answer"),
    [("load", "open_files", ["/a/b.jpg"]), ("export", "save_file", "/a/b.jpg")],
)
def test_browse_takes_what_the_dialog_gives(app, monkeypatch, id, call, answer):
    monkeypatch.setattr(dialogs, call, lambda *arguments: arguments[4 - (id == "load")](answer))
    app.inspector.show(id)
    field(app, "path")._browse()
    assert app.document.graph.nodes[id].params["path"] == "/a/b.jpg"


def test_strokes_are_counted_and_cleared(app):
    app.inspector.show("brush_edit")
    assert dpg.get_value(field(app, "strokes").item) == "none yet"
    app.inspector.set("strokes", (Stroke(((0.5, 0.5),)), Stroke(((0.1, 0.2),), mode="erase")))
    assert dpg.get_value(field(app, "strokes").item) == "1 painted, 1 erased"
    field(app, "strokes")._cleared()
    assert app.document.graph.nodes["brush_edit"].params["strokes"] == ()


def test_nothing_selected_shows_help_and_a_deleted_node_does_too(app):
    assert "Select a node" in dpg.get_value(dpg.get_item_children(app.inspector._parent, 1)[0])
    app.inspector.show("feather")
    app.edit(app.document.graph.remove("feather"), "Delete")
    assert "Select a node" in dpg.get_value(dpg.get_item_children(app.inspector._parent, 1)[0])
    app.inspector.frame()


def test_another_nodes_change_leaves_the_widgets_alone(app):
    app.inspector.show("feather")
    item = field(app, "sigma").item
    app.edit(app.document.graph.set_param("smooth", "amount", 3.0), "Smooth")
    app.edit(app.document.graph.set_param("feather", "sigma", 3.0), "Feather")
    assert field(app, "sigma").item == item
    assert dpg.get_value(item) == 3.0


def test_a_node_of_an_unknown_type_shows_its_raw_values(app):
    spec = graphs.unknown("hair_magic", 3, ["cutout"], ["cutout"])
    graph = Graph({**app.document.graph.nodes, "magic": graphs.Node(spec, {"power": [1, 2]})})
    app.edit(graph, "Paste")
    app.inspector.show("magic")
    app.inspector.frame()
    shown = [dpg.get_value(item) for item in dpg.get_all_items()]
    assert "The node type 'hair_magic' is not known here. It is kept as it is." in shown
    assert "[1, 2]" in shown


def test_a_parameter_that_no_widget_fits_is_shown_as_it_is(app, stubs):
    app.edit(app.document.graph.add(stubs.specs["add"], "add"), "Add")
    app.inspector.show("add")
    act(app, "amount", 2.5)
    assert app.document.graph.nodes["add"].params["amount"] == 2.5


# ---- news -----------------------------------------------------------------------------------


def test_news_says_why_a_node_ran_and_what_it_noted(app):
    app.inspector.show("feather")
    assert lines(app) == ["Not run yet."]
    app.inspector.event(Event(1, "started", "feather"))
    assert lines(app) == ["Running …"]
    app.inspector.event(Event(1, "progress", "feather", fraction=0.4))
    assert lines(app) == ["Running 40 %"]
    done = Event(
        1, "done", "feather", 0.25, seconds=0.042, reason="sigma changed", notes=("It is flat.",)
    )
    app.inspector.event(done)
    assert lines(app) == ["Ran 42 ms at preview size: sigma changed", "It is flat."]
    app.inspector.event(Event(2, "reused", "feather", seconds=1.25))
    assert lines(app) == ["Reused, made in 1.2 s"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ReadError("no such file.", "load: /a.png", "Check."), "Failed: /a.png: no such file."),
        (ParamError("no file.", "load.path", "Check."), "Failed: path: no file."),
        (GraphError("nothing is linked.", "load.where", "Check."), "Waiting: where: nothing is"),
        (GraphError("it is blocked by 'x'.", "load", "Check."), "Waiting: it is blocked by 'x'."),
    ],
)
def test_news_of_a_failure_says_where_and_what_to_do(app, error, said):
    app.inspector.show("load")
    app.inspector.event(Event(1, "failed", "load", error=error))
    fault, hint = lines(app)
    assert fault.startswith(said)
    assert hint == "Check."
    app.inspector.show("feather")
    assert lines(app) == ["Not run yet."]


def test_a_bypassed_node_says_so():
    assert news(None, True, None) == [("Bypassed: passes its first input on.", theme.FAINT)]
    assert len(news(Event(1, "reused", "x"), True, None)) == 1


def test_durations_are_in_ms_below_a_second():
    assert [duration(s) for s in (0.0004, 0.0416, 0.99, 2.34)] == [
        "0 ms",
        "42 ms",
        "990 ms",
        "2.3 s",
    ]


def test_formats_are_as_fine_as_the_travel_and_carry_the_unit():
    assert widgets.number_format(Param(0, 500, ui=(0, 40), unit="px", type=float)) == "%.1f px"
    assert widgets.number_format(Param(0, 20, ui=(0, 2), unit="%", type=float)) == "%.2f %%"
    assert widgets.number_format(Param(0, 9000, type=float)) == "%.0f"
    assert widgets.number_format(Param(0, 9, type=int)) == "%d"


# ---- models and devices ---------------------------------------------------------------------


def take(app: App) -> None:
    """Do what threads have asked the window for, until a download is over."""
    while app.inspector.downloads:
        call, *arguments = app.posted.get(timeout=20)
        call(*arguments)


def test_a_model_whose_weights_are_missing_can_be_fetched(app, monkeypatch):
    app.inspector.show("segment")
    model = field(app, "model")
    assert dpg.get_value(model.item) == "u2netp  (to download)"
    assert dpg.is_item_shown(model._fetch)
    assert "Apache-2.0" in dpg.get_value(model._state)
    here = []

    def fetch(name, progress):
        progress(1_000_000, 4_000_000)
        here.append(name)

    monkeypatch.setattr(store, "fetch", fetch)
    monkeypatch.setattr(store, "is_here", lambda name: name in here)
    dpg.get_item_callback(model._fetch)()
    assert dpg.is_item_shown(model._bar)
    app.inspector.frame()
    take(app)
    assert app.said[-1] == ("good", "u2netp is here.")
    assert dpg.get_value(model.item) == "u2netp"
    assert not dpg.is_item_shown(model._fetch)
    assert not dpg.is_item_shown(model._bar)
    assert app.document.graph.nodes["segment"].params["model"] == "u2netp"


def test_a_download_that_fails_says_why_and_can_be_tried_again(app, monkeypatch):
    def fetch(name, progress):
        raise ModelError("no way there.", name, "Try again.")

    monkeypatch.setattr(store, "fetch", fetch)
    app.inspector.show("segment")
    dpg.get_item_callback(field(app, "model")._fetch)()
    take(app)
    assert app.said[-1] == ("error", "u2netp: no way there. Try again.")
    assert dpg.is_item_shown(field(app, "model")._fetch)


def test_closing_gives_a_download_up(app, monkeypatch):
    met = []

    def fetch(name, progress):
        try:
            while True:
                progress(1, None)
        except Cancelled:
            met.append(name)
            raise

    monkeypatch.setattr(store, "fetch", fetch)
    app.inspector.fetch("u2netp")
    app.inspector.close()
    take(app)
    assert met == ["u2netp"]


def test_terms_that_are_not_free_are_said_before_fetching(app, monkeypatch):
    asked, fetched = [], []
    monkeypatch.setattr(dialogs, "ask", lambda app, *question: asked.append(question))
    monkeypatch.setattr(app.inspector, "fetch", fetched.append)
    entry = next(
        model
        for model in registry.models().values()
        if model.commercial == "no" and model.kind == "matte" and model.sources
    )
    app.edit(app.document.graph.set_param("segment", "model", entry.name), "Model")
    app.inspector.show("segment")
    dpg.get_item_callback(field(app, "model")._fetch)()
    (title, text, buttons), *_ = asked
    assert entry.name in title
    assert "may not be used commercially" in text
    assert fetched == []
    buttons["Download"]()
    assert fetched == [entry.name]


def test_only_models_that_make_mattes_are_offered(app):
    app.inspector.show("segment")
    offered = dpg.get_item_configuration(field(app, "model").item)["items"]
    names = {name.partition("  ")[0] for name in offered}
    assert names == {name for name, model in registry.models().items() if model.kind == "matte"}


def test_an_unknown_model_is_shown_and_said_to_be_missing(app):
    app.edit(app.document.graph.set_param("segment", "model", "mine"), "Model")
    app.inspector.show("segment")
    assert field(app, "model").read() == "mine"
    assert dpg.get_value(field(app, "model")._state) == "There is no model 'mine' here."


def test_devices_are_looked_for_in_a_thread(app, monkeypatch):
    monkeypatch.setattr("qr_nodes.inference.devices.devices", lambda: ["one"])
    taken = []
    FIND_DEVICES(taken.append, app.loop.post).join()
    call, *arguments = app.posted.get(timeout=20)
    call(*arguments)
    assert taken == [["one"]]


def test_devices_are_offered_once_they_are_found(app):
    app.inspector.show("segment")
    device = field(app, "device")
    app.inspector.frame()
    assert dpg.get_item_configuration(device.item)["items"] == ["auto", "cpu", "gpu"]
    app.inspector._found(
        [
            SimpleNamespace(name="CUDA 0: Card", kind="gpu", available=True, reason=""),
            SimpleNamespace(name="WebGPU", kind="gpu", available=False, reason="it needs more."),
            SimpleNamespace(name="CPU", kind="cpu", available=True, reason=""),
        ]
    )
    app.inspector.frame()
    items = dpg.get_item_configuration(device.item)["items"]
    assert items == ["auto", "cpu", "gpu", "CUDA 0: Card"]
