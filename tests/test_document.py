"""Editing stays ahead of computing: newest wins, drags are one step, undo computes nothing."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from qr_nodes.cache import Cache
from qr_nodes.document import Document
from qr_nodes.engine import Engine
from qr_nodes.errors import ParamError
from qr_nodes.graph import Graph
from qr_nodes.node import Job, node, spec_of
from qr_nodes.types import Cutout


@pytest.fixture
def document(stubs, engine):
    document = Document(engine, stubs.graph("source", "add", "add"))
    document.view("add2")
    assert document.settle()
    yield document
    document.close()


def shown(document) -> float:
    assert document.settle()
    done = [e for e in document.drain(1) if e.node == "add2" and e.outputs and e.scale == 1]
    return float(done[-1].outputs["cutout"].alpha[0, 0])


def test_an_edit_is_computed_by_itself(document):
    document.set_param("add", "amount", 3)
    assert shown(document) == 4.125


def test_looking_at_an_export_writes_no_file(document, tmp_path):
    graph = document.graph.add("export").connect("add2", "export")
    document.edit(graph.set_param("export", "path", str(tmp_path / "seen.png")), "Export")
    document.view("export")
    assert document.settle()
    assert not list(tmp_path.iterdir())


def test_undo_and_redo_execute_nothing_and_name_the_edit(document, stubs):
    document.set_param("add", "amount", 3.0)
    document.edit(document.graph.change("add", title="Brighter"), "rename")
    document.set_param("add", "amount", 4.0)
    assert shown(document) == 5.125
    stubs.taken()
    assert [document.undo() for _ in range(4)] == ["Brighter: amount", "rename", "add: amount", ""]
    assert shown(document) == 2.125
    assert [document.redo() for _ in range(4)] == ["add: amount", "rename", "Brighter: amount", ""]
    assert shown(document) == 5.125
    assert stubs.taken() == []


def test_a_drag_is_one_step_of_undo(document):
    for value in range(20):
        document.set_param("add", "amount", value, drag="slider 1")
    document.set_param("add", "amount", 2, drag="slider 2")
    document.undo()
    assert document.graph.nodes["add"].params["amount"] == 19
    document.undo()
    assert document.graph.nodes["add"].params["amount"] == 1


def test_the_oldest_steps_go_when_there_are_too_many(document, monkeypatch):
    monkeypatch.setattr("qr_nodes.document.STEPS", 5)
    for value in range(20):
        document.set_param("add", "amount", value)
    assert [bool(document.undo()) for _ in range(6)] == [True] * 4 + [False] * 2
    assert document.graph.nodes["add"].params["amount"] == 15


def test_a_new_edit_ends_the_redo(document):
    document.set_param("add", "amount", 3)
    document.undo()
    document.set_param("add", "amount", 5)
    assert document.redo() == ""


def test_a_wrong_value_changes_nothing(document):
    before = document.graph
    with pytest.raises(ParamError, match=r"add\.amount: 'x' cannot be used"):
        document.set_param("add", "amount", "x")
    assert document.graph is before


def test_newest_wins_and_the_last_result_is_right(document):
    for value in range(200):
        document.set_param("add", "amount", value)
    assert shown(document) == 200.125


def test_a_preview_comes_first_and_then_the_full_result(stubs, engine):
    engine.shrink = lambda value, scale: value
    document = Document(engine, stubs.graph("source", "add"), pixels=lambda graph, held: 24_000_000)
    document.view("add")
    assert document.settle()
    scales = [e.scale for e in document.drain(1) if e.node == "add" and e.kind == "done"]
    assert scales == [pytest.approx((0.8 / 24) ** 0.5), 1.0]
    document.close()


@pytest.mark.parametrize("pixels", [0, 24_000_000])
def test_edits_that_come_faster_than_they_are_shown_do_not_starve_the_picture(
    engine, monkeypatch, pixels
):
    monkeypatch.setattr("qr_nodes.document.GRACE", 0.001)
    began = threading.Event()

    @node("Slow", category="Stub")
    def stub_slow(*, value: int = 0, job: Job = Job()) -> Cutout:
        began.set()
        end = time.monotonic() + 0.05
        while time.monotonic() < end:
            job.checkpoint()
            time.sleep(0.001)
        return Cutout(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.float32))

    document = Document(engine, Graph().add(spec_of(stub_slow), "slow"), lambda *_: pixels)
    document.view("slow")
    assert began.wait(20) and document.settle()
    list(document.drain(1))
    for value in range(1, 60):  # the next one as soon as this one is being computed
        began.clear()
        document.set_param("slow", "value", value)
        assert began.wait(20)
        if any(event.kind == "done" for event in document.drain(1)):
            break
    else:
        pytest.fail("nothing was shown while the edits came")
    assert document.settle()
    document.close()


def test_another_picture_does_not_wait_for_what_was_computed_before(engine, monkeypatch):
    monkeypatch.setattr("qr_nodes.document.GRACE", 1e6)
    began = threading.Event()

    @node("Endless", category="Stub")
    def stub_endless(*, job: Job = Job()) -> Cutout:
        began.set()
        while True:
            job.checkpoint()

    document = Document(engine, Graph().add(spec_of(stub_endless), "endless"))
    document.view("endless")
    assert began.wait(20)
    document.open(Graph())
    assert document.settle(20)
    document.close()


def test_what_is_viewed_and_what_feeds_the_selected_node_stays_in_memory(stubs):
    engine = Engine(Cache(0))
    document = Document(engine, stubs.graph("source", "add", "add", "add"))
    document.select("add2")
    document.view("add3")
    assert document.settle()
    stubs.taken()
    document.set_param("add2", "amount", 5)
    assert document.settle() and stubs.taken() == ["add", "add"]
    document.select("")
    document.view("add3")
    assert document.settle()
    document.set_param("add2", "amount", 6)
    assert document.settle() and stubs.taken() == ["source", "add", "add", "add"]
    document.close()
    engine.close()


def test_every_node_is_watched_if_asked(stubs, engine):
    graph = stubs.graph("source", "add").add(stubs.specs["source"], "aside")
    document = Document(engine, graph.set_param("aside", "value", 3.0), watch_all=True)
    document.view("add")
    assert document.settle()
    told = {e.node: e.kind for e in document.drain(1) if e.kind in ("done", "reused")}
    assert set(told) == {"source", "add", "aside"}
    document.undo()
    document.close()


def test_work_that_nobody_wants_is_stopped_and_the_thread_ends(engine):
    began, gave_up = threading.Event(), threading.Event()

    @node("Slow", category="Stub")
    def stub_slow(*, value: int = 0, job: Job = Job()) -> Cutout:
        began.set()
        try:
            while value == 0:
                job.checkpoint()
        finally:
            gave_up.set()
        return Cutout(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.float32))

    document = Document(engine, Graph().add(spec_of(stub_slow), "slow"))
    document.view("slow")
    assert began.wait(5)
    document.cancel()
    assert gave_up.wait(5) and document.settle()
    document.set_param("slow", "value", 1)
    assert document.settle()
    document.close()


def test_a_fault_of_the_programs_own_is_told_and_the_thread_lives_on(stubs, engine):
    def pixels(graph, held):
        if graph.nodes["add"].params["amount"] == 13:
            raise RuntimeError("thirteen")
        return 0

    document = Document(engine, stubs.graph("source", "add"), pixels)
    document.view("add")
    assert document.settle()
    document.set_param("add", "amount", 13)
    assert document.settle()
    assert [str(e.error) for e in document.drain(1) if e.kind == "failed"] == [
        "RuntimeError: thirteen. Tell the authors."
    ]
    document.set_param("add", "amount", 14)
    assert document.settle()
    assert [e.node for e in document.drain(1) if e.kind == "done"] == ["add"]
    document.close()


def test_closing_ends_what_is_being_computed(stubs):
    before = set(threading.enumerate())  # an engine that scripts share may have some
    engine = Engine(Cache())
    document = Document(engine, stubs.graph("source", "add"))
    document.view("add")
    document.close()
    engine.close()
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("qr-nodes")]


def test_at_rest_memory_is_given_back_and_an_edit_is_still_computed(document, monkeypatch):
    rests = threading.Semaphore(0)
    monkeypatch.setattr("qr_nodes.heap.give_back", rests.release)
    monkeypatch.setattr("qr_nodes.heap.IDLE", 0.02)
    document.set_param("add", "amount", 3)  # the thread waits anew
    assert document.settle() and rests.acquire(timeout=20) and rests.acquire(timeout=20)
    document.set_param("add", "amount", 4)
    assert shown(document) == 5.125
