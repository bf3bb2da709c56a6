"""The Batch panel without a window: the batch in its thread, corrections, grid and fields."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import numpy as np
import pytest
from PIL import Image

from qr_nodes import qredit
from qr_nodes.batch import Picture, Result
from qr_nodes.cache import Cache
from qr_nodes.errors import GraphError, WriteError
from qr_nodes.graph import Graph
from qr_nodes.types import Stroke
from qr_nodes.ui import batch_panel, correction
from qr_nodes.ui.batch_grid import GAP, Grid, fitted, told
from qr_nodes.ui.batch_panel import BatchPanel
from qr_nodes.ui.batch_thumbs import SIZE, Thumbs, small
from qr_nodes.ui.batch_work import Pace, Row, Work, in_words, pace_in_words
from qr_nodes.ui.files import Files
from qr_nodes.ui.loop import Loop
from qr_nodes.ui.settings import BatchChoices, Store


def draw(path: Path, shade: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rgba = np.zeros((37, 53, 4), np.uint8)
    rgba[8:30, 10:40] = (200, shade, 90, 255)
    Image.fromarray(rgba).save(path)


@pytest.fixture
def graph() -> Graph:
    return Graph.chain("load", "feather", "brush_edit", "export")


@pytest.fixture
def photos(tmp_path) -> Path:
    """Six pictures, of which `trip/d.png` is broken."""
    folder = tmp_path / "photos"
    for number, place in enumerate(
        ("a.png", "b.png", "trip/c.png", "trip/d.png", "e.png", "f.png")
    ):
        draw(folder / place, 30 * number)
    broken = folder / "trip" / "d.png"
    broken.write_bytes(broken.read_bytes()[:60])
    return folder


@pytest.fixture
def begin(graph, photos, tmp_path):
    """Start a batch over the pictures; it is stopped after the test."""
    begun = []

    def begin(over: Graph = graph, again=False, overwrite=False, news=lambda: None, **how) -> Work:
        choices = BatchChoices(**({"folder": str(photos), "out": str(tmp_path / "out")} | how))
        begun.append(Work(over, choices, again=again, overwrite=overwrite, news=news))
        return begun[-1]

    yield begin
    for work in begun:
        work.close()


def came(work: Work) -> dict[str, str]:
    return {row.picture.place: row.state for row in work.rows}


def marks(folder: Path) -> dict[str, int]:
    """Give when each result was written."""
    return {file.name: file.stat().st_mtime_ns for file in folder.rglob("*.png")}


def until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# ---- the batch in its thread ---------------------------------------------------------------


def test_six_pictures_one_broken_give_five_results_and_a_sentence(begin, tmp_path):
    work = begin()
    assert work.wait() and work.fault == ""
    states = came(work)
    assert states.pop("trip/d.png") == "failed"
    assert set(states.values()) == {"done"} and len(states) == 5
    (failed,) = (row for row in work.rows if row.state == "failed")
    assert failed.file == "" and "early" in failed.said and str(tmp_path) not in failed.said
    assert sorted(marks(tmp_path / "out")) == ["a.png", "b.png", "c.png", "e.png", "f.png"]
    assert all(Path(row.file).exists() for row in work.rows if row.state == "done")
    assert (work.total, work.left, work.counts["done"], work.counts["failed"]) == (6, 0, 5, 1)


def test_a_second_run_finds_what_is_current(begin, tmp_path):
    assert begin().wait()
    before = marks(tmp_path / "out")
    work = begin()
    assert work.wait() and +work.counts == {"skipped": 5, "failed": 1}
    assert marks(tmp_path / "out") == before
    again = begin(again=True)
    assert again.wait() and again.counts["done"] == 5


def test_a_pause_begins_nothing_more_until_it_goes_on(begin):
    first, holder = threading.Event(), []

    def news() -> None:
        if holder and holder[0].rows and not first.is_set():
            first.set()
            holder[0].pause()

    work = begin(news=news)
    holder.append(work)
    news()
    assert first.wait(20)
    time.sleep(0.5)
    held = len(work.rows)
    assert 0 < held < 6 and work.busy and work.paused
    time.sleep(0.5)
    assert len(work.rows) == held
    work.pause(False)
    assert work.wait() and len(work.rows) == 6


def test_cancelled_while_paused_it_ends_at_once_and_a_start_goes_on_from_there(begin, tmp_path):
    work = begin()
    work.pause()
    until(lambda: work.phase == "running")
    work.stop()
    assert work.wait(5) and not work.fault
    done = len(work.rows)
    assert work.left == 6 - done > 0
    assert not list((tmp_path / "out").rglob("parts/*"))
    rest = begin()
    assert rest.wait() and rest.counts["skipped"] + rest.counts["done"] == 5
    assert rest.counts["skipped"] <= done


def test_a_correction_is_read_once_and_applied_to_its_picture_alone(
    begin, graph, photos, tmp_path, monkeypatch
):
    work = begin()
    assert work.wait()
    before = marks(tmp_path / "out")
    picture = str(photos / "b.png")
    versions = {row.picture.place: row.version for row in work.rows}
    begun, opened = correction.begun(graph, picture)
    correction.save(begun, opened.set_param("feather", "sigma", 9.0))
    read, of = [], qredit._read
    monkeypatch.setattr(qredit, "_read", lambda file: read.append(file.name) or of(file))
    assert work.redo(picture)
    assert work.wait() and +work.counts == {"done": 5, "failed": 1}
    assert read == ["b.qredit"]
    after = marks(tmp_path / "out")
    assert [name for name in before if before[name] != after[name]] == ["b.png"]
    changed = [row for row in work.rows if row.version != versions[row.picture.place]]
    assert [row.picture.place for row in changed] == ["b.png"] and changed[0].edited
    assert not work.redo(str(photos / "nobody.png"))


def test_a_correction_made_during_the_run_comes_before_what_is_left(begin, photos):
    work = begin()
    picture = str(photos / "a.png")
    until(lambda: picture in [row.picture.path for row in work.rows])
    edit = {"format": "qredit", "version": 1, "nodes": {"feather": {"sigma": 9.0}}}
    (photos / "a.qredit").write_text(json.dumps(edit))
    # Twice in a row: the second may come while the first is under way.
    assert work.redo(picture) and work.redo(picture)
    assert work.wait() and len(work.rows) == 6 and work.counts["again"] == 0
    row = next(row for row in work.rows if row.picture.path == picture)
    assert row.edited and row.state in ("done", "skipped")


def test_a_cancelled_correction_leaves_its_row_as_it_was(begin, photos):
    work = begin()
    assert work.wait()
    work.redo(str(photos / "a.png"))
    work.stop()
    assert work.wait() and work.counts["again"] == 0 and len(work.rows) == 6


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"folder": ""}, "Pictures: no folder is named. Choose one, or drop it on the window."),
        ({"folder": "/no/where"}, "/no/where: there is no such folder. Choose another."),
        ({"pattern": "*.jpg"}, "there is no picture that fits *.jpg in it. Choose another."),
        ({"name": "all{ext}"}, "'Name': 'all{ext}' would give all pictures one name"),
        ({"over": Graph.chain("load", "feather")}, "the graph has no Export node."),
        ({"over": Graph().add("export")}, "the graph has no Load node."),
    ],
)
def test_what_cannot_run_at_all_says_so_in_one_line(begin, how, said):
    work = begin(**how)
    assert work.wait() and said in work.fault and "\n" not in work.fault
    assert work.rows == []


def test_results_in_the_way_are_named_by_the_panels_own_words(begin, tmp_path):
    draw(tmp_path / "out" / "a.png")
    work = begin()
    assert work.wait()
    row = next(row for row in work.rows if row.picture.place == "a.png")
    assert row.said.endswith("Move it, name another output, or run with 'Overwrite'.")
    replaced = begin(overwrite=True)
    assert replaced.wait() and replaced.counts["failed"] == 1


def test_only_options_become_labels_and_never_a_part_of_a_name():
    error = WriteError("it is there.", "/in/a--name.png", "Move it, or run with --overwrite.")
    assert in_words(str(error)) == "/in/a--name.png: it is there. Move it, or run with 'Overwrite'."
    said = Result("/in/a--name.png", None, 0.0, (), error).said
    assert in_words(said) == "it is there. Move it, or run with 'Overwrite'."


def test_two_batches_into_one_folder_are_refused(begin):
    first = begin()
    first.pause()
    until(lambda: (Path(first.out) / ".qr-nodes" / "lock").exists())
    second = begin()
    assert second.wait() and "another run is writing here" in second.fault
    first.pause(False)
    assert first.wait() and not first.fault


def test_the_pace_forgets_pauses_and_says_when_it_will_be_over():
    clock = [0.0]
    pace = Pace(lambda: clock[0])
    clock[0] += 60  # many that were current
    pace.skipped()
    for _ in range(4):
        clock[0] += 0.5
        pace.came()
    assert pace.rate == 2.0
    pace.pause(True)
    clock[0] += 1000
    assert pace.rate == 2.0
    pace.pause(False)
    clock[0] += 0.5
    pace.came()
    assert pace.rate == 2.0
    assert pace_in_words(pace.rate, 187) == "2.0 pictures/s, 1:34 left"
    assert pace_in_words(0.25, 1000) == "4.0 s a picture, 1:06:40 left"
    assert pace_in_words(0.0, 5) == ""


# ---- corrections ---------------------------------------------------------------------------


def test_a_correction_is_opened_with_what_is_there_and_taken_away_with_its_last_difference(
    graph, photos
):
    picture = str(photos / "a.png")
    begun, opened = correction.begun(graph.set_param("export", "path", "cat.png"), picture)
    assert opened.nodes["load"].params["path"] == picture
    assert opened.nodes["export"].params["path"] == ""
    file = correction.save(begun, opened.set_param("feather", "sigma", 7.0))
    assert file == photos / "a.qredit"
    assert json.loads(file.read_text())["nodes"] == {"feather": {"sigma": 7.0}}
    again, opened = correction.begun(graph, picture)
    assert opened.nodes["feather"].params["sigma"] == 7.0
    assert correction.save(again, again.base) is None and not file.exists()


def test_what_a_correction_cannot_hold_is_refused_and_nothing_is_written(graph, photos):
    begun, opened = correction.begun(graph, str(photos / "a.png"))
    more = opened.add("levels")
    passed = opened.change("feather", bypass=True)
    for changed in (more, passed, opened.remove("feather")):
        with pytest.raises(GraphError, match=r"nodes or links have changed\. Undo that"):
            correction.save(begun, changed)
    other = opened.set_param("load", "path", str(photos / "b.png"))
    with pytest.raises(GraphError, match=r"'load' reads b\.png now"):
        correction.save(begun, other)
    assert not list(photos.glob("*.qredit"))


@pytest.fixture
def files(graph, monkeypatch):
    """The window's files, with as much of the window as they know."""
    app = SimpleNamespace(
        document=SimpleNamespace(graph=graph, held=frozenset()),
        settings=SimpleNamespace(now=SimpleNamespace(known=[])),
        selected=[], said=[], again=[], taken=[], modal=False,
    )  # fmt: skip
    app.show_graph = lambda graph, held=(): setattr(app.document, "graph", graph)
    app.canvas = SimpleNamespace(select=lambda ids: app.selected.append(list(ids)))
    app.say = lambda text, kind="info": app.said.append(text)
    app.attempt = lambda call, *arguments: call(*arguments)
    app.batch = SimpleNamespace(
        take=app.taken.append, corrected=lambda path: app.again.append(path) or "It is done again."
    )
    monkeypatch.setattr(Files, "title", lambda self: None)
    files = Files(app)
    files.saved = graph
    yield files
    files.end()


def test_a_folder_that_is_dropped_goes_to_the_panel(files, photos):
    files.dropped([str(photos)])
    assert files.app.taken == [str(photos)] and not files.dirty


def test_a_correction_is_saved_by_the_command_and_by_save_and_asks_before_it_is_lost(
    files, graph, photos, monkeypatch
):
    app, picture = files.app, str(photos / "a.png")
    assert not files.save_correction() and "Double-click a picture" in app.said[-1]
    files.correct(graph, picture)
    assert files.name == "a.png, correction" and not files.dirty
    assert app.selected == [["brush_edit"]]
    app.document.graph = app.document.graph.set_param("feather", "sigma", 7.0)
    assert files.dirty
    files.save()
    assert not files.dirty and app.again == [picture] and (photos / "a.qredit").exists()
    assert app.said[-1] == "Saved a.qredit. It is done again."
    asked = []
    monkeypatch.setattr("qr_nodes.ui.files.dialogs.ask", lambda app, *what: asked.append(what))
    app.document.graph = app.document.graph.set_param("feather", "sigma", 8.0)
    files.correct(graph, str(photos / "b.png"))
    ((title, _, buttons),) = asked
    assert title == "Save the changes to a.png, correction?"
    buttons["Save"]()
    assert json.loads((photos / "a.qredit").read_text())["nodes"]["feather"] == {"sigma": 8.0}
    assert files.name == "b.png, correction"


def test_a_correction_that_cannot_be_saved_stays_open(files, graph, photos, monkeypatch):
    files.correct(graph, str(photos / "a.png"))
    files.app.document.graph = files.app.document.graph.add("levels")
    asked = []
    monkeypatch.setattr("qr_nodes.ui.files.dialogs.ask", lambda app, *what: asked.append(what))
    files.back(graph, "/mine.qrgraph", graph, "its hash")
    asked[0][2]["Save"]()
    assert "nodes or links have changed" in files.app.said[-1]
    assert files.dirty and files.name == "a.png, correction"
    asked[0][2]["Don't Save"]()
    assert files.name == "mine.qrgraph" and not files.dirty and files.mark == "its hash"
    assert files.app.document.graph is graph


# ---- thumbnails and the grid ---------------------------------------------------------------


class App:
    """As much of the window as the panel knows."""

    def __init__(self, graph: Graph):
        def fail(error):
            raise error

        self.loop, self.modal, self.settings = Loop(fail), False, Store()
        self.document = SimpleNamespace(graph=graph, held=frozenset())
        self.engine = SimpleNamespace(cache=Cache(1 << 20))
        self.canvas = SimpleNamespace(fit=lambda: None)
        self.opened, self.said = [], []
        self.files = SimpleNamespace(
            name="mine.qrgraph", path="/mine.qrgraph", saved=graph, mark="", correction=None,
            correct=lambda *what: self.opened.append(what),
            back=lambda *what: self.opened.append(what),
        )  # fmt: skip

    def attempt(self, call, *arguments):
        return call(*arguments)

    def say(self, text, kind="info"):
        self.said.append(text)

    def turn(self, seconds: float = 0.0):
        """Run what was posted; wait up to `seconds` for the first."""
        wait = seconds
        while wait or not self.loop.inbox.empty():
            call, arguments = self.loop.inbox.get(timeout=wait or None)
            call(*arguments)
            wait = 0.0


@pytest.fixture
def app(dpg_context, graph):
    return App(graph)


@pytest.fixture
def opened() -> list[str]:
    """Pictures that the grid opened."""
    return []


@pytest.fixture
def grid(app, opened):
    with dpg.window():
        parent = dpg.add_child_window()
    grid = Grid(app, parent, lambda: opened.append(grid.chosen))
    yield grid
    grid.close()


def rows(count: int) -> list[Row]:
    return [
        Row(Picture(f"/in/{n}.png", f"trip/{n}.png"), "done", f"/out/{n}.png", version=n)
        for n in range(count)
    ]


def test_ten_thousand_pictures_draw_only_what_is_in_view(grid):
    grid.thumbs._make = lambda path: None
    grid.rows = rows(10_000)
    grid.draw(900, 300, 0)
    assert grid.columns == 5
    few = len(dpg.get_item_children(grid.drawing, 2))
    assert few < 60
    assert dpg.get_item_height(grid.drawing) == 2000 * (grid.size[1] + GAP)
    grid.draw(900, 300, 100_000)
    assert len(dpg.get_item_children(grid.drawing, 2)) < 60
    began = time.perf_counter()
    grid.draw(900, 300, 200_000)
    assert time.perf_counter() - began < 0.5


def test_textures_are_bounded_and_what_left_the_screen_is_not_made(app):
    made, gate = [], threading.Event()

    def make(path):
        gate.wait(20)
        made.append(path)
        return [0.5] * (SIZE[0] * SIZE[1] * 4)

    thumbs = Thumbs(app, lambda: None, make, most=6)
    try:
        for page in range(50):
            keys = [(f"{page}-{n}", 0) for n in range(4)]
            thumbs.show(keys)
        gate.set()
        until(lambda: len(made) >= 4)
        until(lambda: not thumbs._errands._wishes)
        app.turn(5)
        # The first was begun before the screen moved on; of the rest only the last page is made.
        assert [path for path in made if not path.startswith("49-")] in ([], ["0-0"])
        for page in range(20):
            keys = [(f"more {page}-{n}", 0) for n in range(4)]
            thumbs.show(keys)
            until(lambda keys=keys: app.turn() or all(key in thumbs.textures for key in keys))
            assert set(thumbs.show(keys)) == set(keys)
            thumbs.trim()
            assert len(thumbs.textures) <= 6
            alive = dpg.get_item_children(thumbs._registry, 1)
            assert len(alive) <= 6 + 1
    finally:
        gate.set()
        thumbs.close()


def test_more_than_the_bound_stay_while_they_are_on_the_screen(app):
    thumbs = Thumbs(app, lambda: None, lambda path: None, most=3)
    try:
        keys = [(str(n), 0) for n in range(9)]
        thumbs.show(keys)
        until(lambda: app.turn() or len(thumbs.textures) == 9)
        thumbs.trim()
        assert len(thumbs.show(keys)) == 9
    finally:
        thumbs.close()


def test_a_thumbnail_shows_the_cut_out_over_checkerboard(tmp_path):
    draw(tmp_path / "a.png")
    picture = np.reshape(small(str(tmp_path / "a.png")), (SIZE[1], SIZE[0], 4))
    middle = picture[SIZE[1] // 2, SIZE[0] // 2]
    np.testing.assert_allclose(middle, [200 / 255, 40 / 255, 90 / 255, 1], atol=0.02)
    assert small(str(tmp_path / "none.png")) is None
    (tmp_path / "bad.png").write_bytes(b"nothing")
    assert small(str(tmp_path / "bad.png")) is None


def test_a_point_leads_to_its_row_and_the_gaps_to_none(grid):
    grid.thumbs._make = lambda path: None
    grid.rows = rows(13)
    grid.draw(900, 300, 0)
    for place in (0, 4, 5, 12):
        x, y = grid.corner(place)
        assert grid.at(x + 3, y + 3) is grid.rows[place]
    x, y = grid.corner(0)
    assert grid.at(x + grid.size[0] + GAP / 2, y + 5) is None
    assert grid.at(*grid.corner(13)) is None
    assert grid.at(-3, 4) is None


def test_two_clicks_on_one_picture_open_it_and_two_slow_ones_or_two_pictures_do_not(
    grid, opened, monkeypatch
):
    grid.thumbs._make = lambda path: None
    grid.rows = rows(3)
    clock = [100.0]
    monkeypatch.setattr("qr_nodes.ui.batch_grid.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(Grid, "over", property(lambda self: self.rows[under[0]]))
    for place, pause in ((0, 0.0), (1, 0.2), (1, 0.7), (1, 0.2), (1, 0.2)):
        under, clock[0] = [place], clock[0] + pause
        grid._click()
    assert opened == ["/in/1.png"]
    assert grid.chosen_row is grid.rows[1]


def test_failures_are_told_in_full_and_long_words_stay_inside(dpg_context):
    row = Row(Picture("/in/d.png", "trip/d.png"), "failed", said="load: the file ends early.")
    assert told(row) == "trip/d.png\nload: the file ends early."
    assert fitted("the file ends early", 75, 5) == ["the file", "ends early"]
    assert fitted("the file ends early", 75, 1) == ["the file…"]
    assert fitted("a" * 25, 75, 9) == ["a" * 10, "a" * 10, "a" * 5]
    assert fitted("", 75, 2) == [""]


# ---- the panel -----------------------------------------------------------------------------


@pytest.fixture
def panel(app, monkeypatch):
    monkeypatch.setattr(dpg, "get_item_rect_size", lambda item: [900, 800])
    with dpg.window():
        column = dpg.add_child_window()
        canvas = dpg.add_child_window(parent=column)
    app.batch = panel = BatchPanel(app, column, canvas)
    yield panel
    panel.close()


def run(app: App, panel: BatchPanel) -> None:
    """Start, and follow until it is over."""
    panel.start()
    until(lambda: app.turn() or panel.frame() or not panel.work.busy)
    app.turn()
    panel._due = True
    panel.frame()


def test_a_folder_is_taken_run_and_remembered(app, panel, photos):
    panel.take(str(photos))
    assert panel.open
    assert dpg.get_item_configuration(panel.out)["hint"] == f"{photos}-cutout"
    run(app, panel)
    assert dpg.get_value(panel._words) == "5 done, 1 failed."
    assert app.said[-1] == "Batch: 5 done, 1 failed."
    assert len(marks(Path(f"{photos}-cutout"))) == 5
    assert Store().now.batch.folder == str(photos)
    kinds = dpg.get_item_configuration(panel._kind)["items"]
    assert kinds == ["Pictures (6)", "Failures (1)"]
    panel._turned(None, "Failures (1)")
    panel.frame()
    assert [row.picture.place for row in panel.grid.rows] == ["trip/d.png"]


def test_the_graph_is_taken_as_it_stands_and_edits_go_on(app, panel, photos, graph):
    panel.take(str(photos))
    panel.start()
    app.document.graph = graph.set_param("feather", "sigma", 50.0)
    assert panel.work.wait()
    assert panel.work.graph is graph
    panel.grid.show(panel.work.rows)
    panel.grid.chosen = str(photos / "b.png")
    panel.correct()
    assert app.opened == [(graph, str(photos / "b.png"))]
    panel.back()
    assert app.opened[-1] == (graph, "/mine.qrgraph", graph, "")


@pytest.mark.parametrize("answer", ["Leave Them Out", "On Every Picture", None])
def test_strokes_of_one_picture_are_repeated_on_others_only_if_that_is_meant(
    app, panel, photos, graph, monkeypatch, answer
):
    asked = []
    monkeypatch.setattr(batch_panel.dialogs, "ask", lambda *what: asked.append(what[2:]))
    painted = graph.set_param("brush_edit", "strokes", (Stroke(((0.5, 0.5),)),))
    app.document.graph = painted
    panel.take(str(photos))
    panel.start()
    ((text, buttons),) = asked
    assert "holds 1 stroke." in text and panel.work is None
    if answer is None:
        return
    buttons[answer]()
    assert panel.work.wait()
    strokes = panel.work.graph.nodes["brush_edit"].params["strokes"]
    assert len(strokes) == (answer == "On Every Picture")
    panel.back()
    assert app.opened[-1][0] is painted


def test_while_a_picture_is_corrected_the_batch_keeps_its_own_graph(app, panel, photos, graph):
    panel.take(str(photos))
    run(app, panel)
    app.files.correction = object()
    app.document.graph = graph.set_param("feather", "sigma", 50.0)
    run(app, panel)
    assert panel.work.graph is graph and panel.work.counts["skipped"] == 5


def test_the_fields_say_what_is_asked_for(app, panel, photos):
    panel.take(str(photos))
    for item, value in (
        (panel.name, "{stem}-x{ext}"),
        (panel.format, "webp"),
        (panel.pattern, "a*"),
    ):
        dpg.set_value(item, value)
    dpg.set_value(panel.edits, False)
    assert panel.choices() == BatchChoices(str(photos), "", "a*", "{stem}-x{ext}", "webp", False)
    run(app, panel)
    assert [Path(row.file).name for row in panel.work.rows] == ["a-x.webp"]
    assert panel.corrected(str(photos / "a.png")) == "The batch was told to ignore corrections."
    panel.take(str(photos / "trip"))
    assert panel.choices().out == ""


def test_a_fault_stands_in_the_panel_and_goes_with_the_next_start(app, panel, photos):
    panel.take(str(photos / "nowhere"))
    run(app, panel)
    assert "there is no such folder" in dpg.get_value(panel._fault)
    assert dpg.is_item_shown(panel._fault)
    panel.take(str(photos))
    run(app, panel)
    assert not dpg.get_item_configuration(panel._fault)["show"]


def test_a_key_that_starts_a_batch_only_opens_a_closed_panel(app, panel):
    panel.start()
    assert panel.open and panel.work is None
    panel.toggle()
    assert not panel.open
    assert dpg.get_item_configuration(panel._canvas)["height"] == -1


def test_closing_during_a_batch_asks_first(app, panel, photos, monkeypatch):
    asked, closed = [], []
    monkeypatch.setattr(batch_panel.dialogs, "ask", lambda app, *what: asked.append(what))
    panel.sure(lambda: closed.append("at once"))
    assert closed == ["at once"]
    panel.take(str(photos))
    panel.start()
    panel.pause()
    until(lambda: panel.work.phase == "running")
    panel.sure(lambda: closed.append("after asking"))
    ((title, text, buttons),) = asked
    assert title == "Stop the batch?" and "of 6 pictures are done" in text
    assert closed == ["at once"]
    buttons["Stop and Close"]()
    assert closed[-1] == "after asking"
    panel.close()
    assert not panel.work.busy


def test_the_panel_leaves_room_for_the_canvas(app, panel):
    panel.height = 5000
    panel.toggle()
    assert panel.height == 800 - batch_panel.LEAST
    panel.height = 10
    panel._fit()
    assert panel.height == batch_panel.LEAST


def test_what_nobody_has_agreed_to_is_not_read_by_a_batch_either(panel, app, photos):
    graph = app.document.graph.add("load", id="theirs").set_param("theirs", "path", "/x/theirs.png")
    app.document.graph, app.document.held = graph, frozenset({"/x/theirs.png"})
    panel.take(str(photos))
    panel.start()
    assert panel.work is None and "/x/theirs.png: the graph needs this" in app.said[-1]
    graph = app.document.graph.add("segment", id="network").set_param("network", "model", "u2net")
    app.document.graph, app.document.held = graph, frozenset({"u2net"})
    panel.start()
    assert panel.work is None and "u2net: the graph needs this" in app.said[-1]
