"""The brush without a display: what a movement of the mouse becomes."""

from __future__ import annotations

import math
from itertools import pairwise
from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import numpy as np
import pytest

from qr_nodes.engine import Event
from qr_nodes.graph import Graph
from qr_nodes.imaging.correction import corrected
from qr_nodes.types import Cutout, Stroke
from qr_nodes.ui import brush as brushes
from qr_nodes.ui import viewer_brush
from qr_nodes.ui.brush import Brush, Extent, Gesture, fraction, on_screen, unfolded
from qr_nodes.ui.inspector_brush import LISTED, Settings
from qr_nodes.ui.inspector_brush import Strokes as StrokeList
from qr_nodes.ui.viewer_brush import Painter
from qr_nodes.ui.viewer_picture import View
from qr_nodes.ui.viewer_worker import Picture

LEFT, RIGHT = 0, 1


class Document:
    """As much of the document as the painter knows: steps of undo by name."""

    def __init__(self, graph):
        self.past = [(graph, "", None)]
        self.selected, self.viewed, self.live = "brush_edit", ("brush_edit",), False

    @property
    def graph(self):
        return self.past[-1][0]

    @graph.setter
    def graph(self, graph):
        self.past.append((graph, "set", None))

    def quick(self, graph):
        return self.live

    def edit(self, graph, name, drag=None):
        if drag is not None and self.past[-1][2] is drag:
            self.past.pop()
        self.past.append((graph, name, drag))

    def retract(self, drag):
        if self.past[-1][2] is drag:
            self.past.pop()


class App:
    """As much of the window as the painter knows."""

    def __init__(self):
        graph = Graph.chain("load", "brush_edit", "resize")
        self.document = Document(graph)
        self.brush, self.modal, self.edits, self.said = Brush(), False, [], []
        self.viewed, self.asked = "brush_edit", []

    def edit(self, graph, name, drag=None):
        self.document.edit(graph, name, drag)
        self.edits.append(name)

    def sync(self):
        pass

    def view(self, id):
        self.viewed = id

    def attempt(self, call, *arguments):
        return call(*arguments)

    def say(self, text, kind="info"):
        self.said.append(text)

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        return self.document.graph.nodes["brush_edit"].params["strokes"]


def cutout(height: int, width: int) -> Cutout:
    return Cutout(np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32))


def picture(height: int = 100, width: int = 200, title: str = "Brush Edit") -> Picture:
    return Picture(cutout(height, width), 1.0, (width, height), "cutout", title)


VIEW = View(2.0, 10, 20)
"""Of the picture, 200 × 100 px: it lies at (10, 20) to (410, 220) in the panel."""


@pytest.fixture
def app(monkeypatch):
    made = App()
    made.held = frozenset()
    monkeypatch.setattr(viewer_brush, "modifiers_down", lambda: made.held)
    monkeypatch.setattr(viewer_brush, "ask", lambda app, *asked: app.asked.append(asked))
    return made


@pytest.fixture
def painter(dpg_context, app):
    with dpg.window():
        made = Painter(app, dpg.add_drawlist(600, 400))
    made.event(Event(1, "done", "brush_edit", outputs={"cutout": cutout(100, 200)}))
    made.frame(picture(), VIEW, (50, 50))
    return made


def draw(painter: Painter, *places, button: int = LEFT) -> None:
    painter.press(button, places[0])
    for place in places[1:]:
        painter.move(place)
    painter.release(button, places[-1])


def trail(painter: Painter) -> list[str]:
    """Give what is drawn of the stroke under way."""
    return [dpg.get_item_type(item) for item in dpg.get_item_children(painter._trail, 2)]


# ---- geometry ------------------------------------------------------------------------------


def test_a_place_on_the_screen_and_its_fraction_are_each_others_inverse():
    size = (200, 100)
    assert fraction(VIEW, size, (10, 20)) == (0, 0)
    assert fraction(VIEW, size, (410, 220)) == (1, 1)
    assert fraction(VIEW, size, (210, 70)) == (0.5, 0.25)
    assert on_screen(VIEW, size, (0.5, 0.25)) == (210, 70)
    assert fraction(View(1 / 64, 0, 0), (10, 10), (9000, -9000)) == (10, -10)


def drawn(places, scale=(1000, 1000), smoothing=0.0) -> Gesture:
    gesture = Gesture(LEFT, "paint", smoothing)
    for place in places:
        gesture.add(place, scale)
    return gesture


def test_points_on_a_line_are_left_out_and_its_ends_stay():
    line = [(x / 1000, x / 500) for x in range(21)]
    assert drawn(line).points == [line[0], line[-1]]
    corner = [*((x / 1000, 0.0) for x in range(20)), *((0.02, y / 1000) for y in range(21))]
    first, bend, last = drawn(corner).points
    assert (first, last) == ((0, 0), (0.02, 0.02))
    assert math.dist(bend, (0.02, 0)) <= 0.001


def test_what_is_left_out_is_within_a_pixel_of_what_stays():
    ring = [(math.cos(a / 60), math.sin(a / 60)) for a in range(377)]
    path = [*ring, ring[0]]
    kept = np.array(drawn(path, (200, 100)).points) * (200, 100)
    assert 20 < len(kept) < 90
    dense = np.concatenate([np.linspace(a, b, 200) for a, b in pairwise(kept)])
    gone = np.array(path) * (200, 100)
    away = np.hypot(*(gone[:, None] - dense[None]).transpose(2, 0, 1)).min(1)
    assert away.max() < brushes.TOLERANCE + 0.1
    assert np.hypot(*np.diff(kept, axis=0).T).max() < brushes.LONGEST + 5


def test_of_a_stroke_that_grows_only_the_last_piece_ever_changes():
    rng = np.random.default_rng(1)
    gesture, before = Gesture(LEFT, "paint"), []
    for x, y in np.cumsum(rng.normal(0, 0.004, (300, 2)), 0).tolist():
        gesture.add((x, y), (1000, 800))
        points = gesture.points
        assert points[: len(before) - 1] == before[:-1]
        before = points
    assert 20 < len(before) < 290


@pytest.mark.parametrize("points", [[(0.5, 0.5)], [(0.1, 0.2), (0.3, 0.4)]])
def test_a_click_and_a_single_step_stay_as_they_are(points):
    assert drawn(points).points == points


def test_a_smoothed_hand_pulls_the_brush_on_a_string():
    rng = np.random.default_rng(1)
    shaky = [(x / 500, 0.5 + float(rng.normal(0, 0.004))) for x in range(400)]
    plain, smooth = (drawn(shaky, smoothing=part).points for part in (0.0, 1.0))
    assert smooth[0] == shaky[0]
    rough, calm = (np.ptp(np.array(points)[:, 1]) for points in (plain, smooth))
    assert calm < 0.4 * rough
    behind = (shaky[-1][0] - smooth[-1][0]) * 1000
    assert behind == pytest.approx(brushes.STRING, abs=2)
    # A move within the string's length moves nothing.
    assert drawn([(0.5, 0.5), (0.55, 0.5)], smoothing=1.0).points == [(0.5, 0.5)]


def test_a_path_is_cut_where_it_folds_back():
    path = [(0, 0), (10, 0), (20, 1), (5, 2), (0, 2)]
    assert unfolded(path) == [[(0, 0), (10, 0), (20, 1)], [(20, 1), (5, 2), (0, 2)]]
    assert unfolded(path[:2]) == [path[:2]]


@pytest.mark.parametrize(
    ("shape", "scale", "same"),
    [
        ((1000, 1500), 1.0, True),
        ((333, 499), 0.3328, True),
        ((1000, 1400), 1.0, False),
        ((1000, 1500), 0.3328, False),
        ((333, 470), 0.3328, False),
    ],
)
def test_sizes_are_compared_across_preview_and_full(shape, scale, same):
    full, other = Extent((1000, 1500), 1.0), Extent(shape, scale)
    assert full.matches(other) is same
    assert other.matches(full) is same


# ---- settings ------------------------------------------------------------------------------


def test_the_keys_change_the_size_by_steps_within_limits():
    brush = Brush(size=0.04)
    brush.resize(4)
    assert brush.size == 0.08
    brush.resize(-4)
    assert brush.size == 0.04
    brush.resize(100)
    assert brush.size == brushes.SIZES[1]
    brush.resize(-200)
    assert brush.size == brushes.SIZES[0]


def test_the_radius_on_the_screen_is_of_the_longer_side():
    assert Brush(size=0.1).radius((200, 100), 2.0) == 20


def test_a_gesture_becomes_a_stroke_with_the_brushs_settings():
    gesture, scale = Gesture(LEFT, "erase"), (50, 50)
    assert [gesture.add((x, 0.5), scale) for x in (0.1, 0.1, 0.2, 0.9)] == [True, False, True, True]
    stroke = gesture.stroke(Brush(0.1, 0.5, 0.25, edge_aware=0.6))
    assert stroke == Stroke(((0.1, 0.5), (0.9, 0.5)), 0.1, 0.5, 0.25, "erase", 0.6)


def test_keys_take_the_refine_brush_and_edges_and_give_them_back():
    brush = Brush()
    brush.refine()
    assert brush.mode == "refine"
    brush.refine()
    assert brush.mode == "paint"
    brush.refine()
    brush.swap()
    assert brush.mode == "erase"
    brush.heed()
    assert brush.edge_aware == brushes.HEED
    brush.heed()
    assert brush.edge_aware == 0


# ---- painting ------------------------------------------------------------------------------


def test_a_left_drag_paints_one_stroke_in_one_step(painter, app):
    draw(painter, (50, 120), (130, 120), (130, 120), (370, 120))
    assert app.strokes == (Stroke(((0.1, 0.5), (0.3, 0.5), (0.9, 0.5)), 0.04),)
    assert app.edits == ["Paint"]


def test_the_right_button_does_the_other_and_swapping_swaps_them(painter, app):
    draw(painter, (50, 120), (90, 120), button=RIGHT)
    app.brush.swap()
    draw(painter, (50, 120), (90, 120))
    draw(painter, (50, 120), (90, 120), button=RIGHT)
    assert [stroke.mode for stroke in app.strokes] == ["erase", "erase", "paint"]
    assert app.edits == ["Erase", "Erase", "Paint"]


def test_a_stroke_erases_where_the_mouse_was(painter, app):
    draw(painter, (50, 120), (370, 120), button=RIGHT)
    alpha = corrected(np.ones((100, 200), np.float32), app.strokes)
    assert (alpha[49:51, 20:180] == 0).all()
    assert (alpha[:44] == 1).all() and (alpha[56:] == 1).all()


def test_a_click_is_a_dot(painter, app):
    draw(painter, (210, 120))
    assert app.strokes[0].points == ((0.5, 0.5),)


def test_shift_goes_straight_from_the_last_strokes_end(painter, app):
    draw(painter, (50, 120), (210, 120))
    app.held = frozenset({"Shift"})
    draw(painter, (370, 200))
    assert app.strokes[1].points == ((0.5, 0.5), (0.9, 0.9))


def test_zooming_while_the_button_is_down_moves_nothing(painter, app):
    painter.press(LEFT, (50, 120))
    painter.move((210, 120))
    painter.frame(picture(), View(4.0, 0, 0), (0, 0))
    painter.release(LEFT, (720, 200))
    assert app.strokes[0].points == ((0.1, 0.5), (0.5, 0.5), (0.9, 0.5))


def test_the_middle_button_and_no_selected_brush_leave_the_mouse_alone(painter, app):
    assert not painter.press(2, (50, 50))
    app.document.selected = "load"
    assert not painter.press(LEFT, (50, 50))
    app.held = frozenset({"Ctrl"})
    assert not painter.wheel(1)
    assert not app.strokes


def test_ctrl_and_the_wheel_change_the_size(painter, app):
    assert not painter.wheel(1)
    app.held = frozenset({"Ctrl"})
    assert painter.wheel(4)
    assert app.brush.size == 0.08


def test_the_stroke_is_drawn_at_once_and_until_the_picture_shows_it(painter, app):
    painter.press(RIGHT, (50, 120))
    assert trail(painter) == ["mvAppItemType::mvDrawCircle"]
    painter.move((210, 120))
    assert "mvAppItemType::mvDrawPolyline" in trail(painter)
    painter.release(RIGHT, (210, 120))
    painter.frame(painter._picture, VIEW, (50, 50))
    assert trail(painter)
    painter.frame(picture(), VIEW, (50, 50))
    assert not trail(painter)


def test_a_stroke_can_be_given_up(painter, app):
    assert not painter.give_up()
    painter.press(LEFT, (50, 120))
    assert painter.give_up() and not trail(painter)
    painter.release(LEFT, (210, 120))
    assert not app.strokes


def test_where_the_picture_follows_the_stroke_is_in_the_graph_while_it_is_drawn(painter, app):
    app.document.live = True
    painter.press(RIGHT, (50, 120))
    assert app.strokes[0].points == ((0.1, 0.5),)
    painter.move((210, 120))
    painter.move((370, 120))
    assert app.strokes[0].points == ((0.1, 0.5), (0.5, 0.5), (0.9, 0.5))
    assert not trail(painter)
    painter.release(RIGHT, (370, 120))
    assert [name for _, name, _ in app.document.past] == ["", "Erase"]
    draw(painter, (50, 120))
    assert [name for _, name, _ in app.document.past] == ["", "Erase", "Paint"]
    assert len(app.strokes) == 2


def test_a_live_stroke_that_is_given_up_leaves_no_step(painter, app):
    app.document.live = True
    painter.press(LEFT, (50, 120))
    painter.move((210, 120))
    assert painter.give_up()
    assert len(app.document.past) == 1
    painter.press(LEFT, (50, 120))
    app.document.graph = app.document.graph.change("resize", bypass=True)  # by somebody else
    painter.move((210, 120))
    painter.release(LEFT, (210, 120))
    assert [name for _, name, _ in app.document.past] == ["", "Paint", "set"]
    assert len(app.strokes[0].points) == 1


def test_refining_draws_what_is_marked_while_the_refine_brush_is_in_hand(painter, app):
    app.document.live = True
    app.brush.refine()
    draw(painter, (50, 120), (90, 120))
    assert app.strokes[0].mode == "refine"
    painter.frame(painter._picture, VIEW, (50, 50))
    assert dpg.get_item_children(painter._marks, 2)
    app.brush.refine()
    painter.frame(painter._picture, VIEW, (50, 50))
    assert not dpg.get_item_children(painter._marks, 2)


def test_the_first_refine_stroke_that_leads_nowhere_offers_a_refine_edges(painter, app):
    app.brush.refine()
    draw(painter, (50, 120), (90, 120))
    ((title, text, answers),) = app.asked
    assert "anew" in title and "'unsure' of Brush Edit leads nowhere" in text
    draw(painter, (50, 160), (90, 160))
    assert len(app.asked) == 1 and "leads nowhere" in app.said[-1]
    ((_, link),) = answers.items()
    link()
    graph = app.document.graph
    assert app.edits == ["Refine", "Refine", "Add Refine Edges"]
    assert graph.links["resize", "cutout"] == ("refine_edges", "cutout")
    assert app.viewed == "refine_edges" and app.said[-1].startswith("Refine Edges now follows")
    draw(painter, (50, 180), (90, 180))
    assert len(app.asked) == 1 and app.edits[-1] == "Refine"
    app.document.graph = graph.remove("brush_edit")
    link()  # the node that was asked about is gone
    assert app.edits.count("Add Refine Edges") == 1


def test_a_refine_stroke_that_leads_somewhere_asks_nothing(painter, app):
    graph = app.document.graph.add("refine_edges")
    app.document.graph = graph.connect(
        "brush_edit", "refine_edges", output="unsure", input="unsure"
    )
    app.brush.refine()
    draw(painter, (50, 120), (90, 120))
    assert app.strokes and not app.asked


def test_ctrl_and_a_drag_change_size_and_hardness(painter, app):
    app.held = frozenset({"Ctrl"})
    app.brush = Brush(size=0.1, hardness=0.5)
    assert painter.press(LEFT, (100, 100))
    painter.move((120, 60))
    assert app.brush.size == 0.2  # 20 px more of radius, of 400 px
    assert app.brush.hardness == 0.7
    assert painter.give_up()
    assert (app.brush.size, app.brush.hardness) == (0.1, 0.5)
    draw(painter, (100, 100), (90, 100))
    assert app.brush.size == 0.05
    assert not app.strokes


def test_the_ring_shows_size_and_hardness(painter, app):
    app.brush = Brush(size=0.2, hardness=0.5)
    painter.frame(painter._picture, VIEW, (60, 70))
    shown = [dpg.get_item_configuration(ring) for ring in painter._rings]
    assert [(ring["center"][:2], ring["radius"], ring["show"]) for ring in shown] == [
        ([60, 70], 40, True),
        ([60, 70], 20, True),
    ]
    painter.frame(painter._picture, VIEW, None)
    assert not any(dpg.get_item_configuration(ring)["show"] for ring in painter._rings)


def test_its_own_picture_of_another_size_is_about_to_be_replaced_and_nothing_to_tell(painter, app):
    other = picture(50, 60)
    painter.frame(other, VIEW, (50, 50))
    assert app.said == [] and not painter.press(LEFT, (50, 50))


def test_another_size_disarms_the_brush_and_says_so_once(painter, app):
    other = picture(50, 60, "Resize")
    painter.frame(other, VIEW, (50, 50))
    painter.frame(other, VIEW, (51, 50))
    assert app.said == ["The brush paints only while Resize has the size of Brush Edit."]
    assert not dpg.get_item_configuration(painter._rings[0])["show"]
    assert not painter.press(LEFT, (50, 50))
    painter.frame(picture(), VIEW, (50, 50))
    assert painter.press(LEFT, (50, 50))


def test_a_node_without_a_picture_or_bypassed_is_not_painted_on(painter, app):
    painter._extents.clear()
    assert not painter.press(LEFT, (50, 50))
    assert app.said == ["Brush Edit has no picture yet to paint on."]
    app.document.graph = app.document.graph.change("brush_edit", bypass=True)
    painter.frame(picture(), VIEW, (50, 50))
    assert app.said[1:] == ["The brush rests while Brush Edit is bypassed."]


# ---- the inspector's part ------------------------------------------------------------------


class Host:
    """As much of the inspector as the list of strokes knows."""

    def __init__(self):
        self.calls = []

    def set(self, name, value, what=""):
        self.calls.append((name, value, what))
        self.list.show(value)


@pytest.fixture
def host(dpg_context):
    made = Host()
    with dpg.window():
        made.list = StrokeList(made, SimpleNamespace(name="strokes"))
    return made


def lines(host: Host) -> list[list[int]]:
    """Give the list line by line: a checkbox, a button and a text."""
    groups = dpg.get_item_children(host.list._list, 1)
    rows = [dpg.get_item_children(group, 1) for group in groups]
    return [[item for item in row if "Tooltip" not in dpg.get_item_type(item)] for row in rows]


def press(item: int) -> None:
    dpg.get_item_callback(item)(item, None, dpg.get_item_user_data(item))


def test_strokes_are_hidden_deleted_and_cleared(host):
    first, second = Stroke(((0.5, 0.5),)), Stroke(((0.1, 0.2),), mode="erase")
    host.list.show((first, second))
    box, _, text = lines(host)[0]
    assert dpg.get_value(text) == "2  Erased, 2 % wide"
    press(box)
    name, value, what = host.calls[-1]
    assert (name, what) == ("strokes", "Hide a stroke")
    assert [stroke.hidden for stroke in value] == [False, True]
    press(lines(host)[0][0])
    assert host.calls[-1] == ("strokes", (first, second), "Show a stroke")
    press(lines(host)[1][1])
    assert host.calls[-1] == ("strokes", (second,), "Delete a stroke")
    host.list._cleared()
    assert host.calls[-1] == ("strokes", (), "Clear the strokes")
    assert not lines(host)


def test_a_long_list_shows_the_newest(host):
    host.list.show(tuple(Stroke(((x / 60, 0.5),)) for x in range(60)))
    groups = dpg.get_item_children(host.list._list, 1)
    assert len(groups) == LISTED + 1
    assert dpg.get_value(groups[-1]) == "… and 10 older"
    assert dpg.get_value(lines(host)[0][2]).startswith("60 ")


def test_the_settings_follow_the_brush_and_set_it(dpg_context):
    brush = Brush()
    with dpg.window():
        settings = Settings(brush, lambda label, help, build: build())
    hardness = settings._fields["hardness"]
    assert (hardness.read(), settings._fields["size"].read()) == (80, 4)
    hardness.show(25.0)
    hardness.changed()
    assert brush.hardness == 0.25
    brush.resize(4)
    brush.swap()
    settings.frame()
    assert settings._fields["size"].read() == 8
    assert dpg.get_value(settings._mode) == "Erase"
