"""The scheduler runs what is needed and nothing else, and says why."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np
import pytest

from qr_nodes.cache import Cache, Disk
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.errors import Cancelled, ParamError
from qr_nodes.graph import Graph
from qr_nodes.node import Job, Param, node, spec_of
from qr_nodes.plan import hashed
from qr_nodes.types import Cutout, Mask


def ask(engine, graph, *targets, **more):
    events = []
    outcome = engine.run(RunRequest(graph, targets, **more), events.append)
    return outcome, events


def alpha(outcome, target):
    return float(outcome.outputs[target]["cutout"].alpha[0, 0])


def test_a_second_run_executes_nothing(stubs, engine):
    graph = stubs.graph("source", "add", "add")
    first, _ = ask(engine, graph, "add2")
    assert first.executed == ["source", "add", "add2"]
    second, events = ask(engine, graph, "add2")
    assert second.executed == [] and alpha(second, "add2") == 2.125
    assert [event.kind for event in events] == ["reused", "finished"]


def test_a_tweak_executes_its_node_and_what_follows(stubs, engine):
    graph = stubs.graph("source", "add", "add", "add")
    ask(engine, graph, "add3")
    outcome, _ = ask(engine, graph.set_param("add2", "amount", 3), "add3")
    assert outcome.executed == ["add2", "add3"]
    assert alpha(outcome, "add3") == 5.125


def test_undo_redo_and_going_back_to_a_value_execute_nothing(stubs, engine):
    before = stubs.graph("source", "add", "add")
    after = before.set_param("add", "amount", 7.0)
    ask(engine, before, "add2")
    ask(engine, after, "add2")
    stubs.taken()
    for graph in (before, after, after.set_param("add", "amount", 1)):
        ask(engine, graph, "add2")
    assert stubs.taken() == []


def test_what_its_parameters_rule_out_fails_a_node_before_anything_runs(stubs, engine):
    def check(params, linked):
        if params["amount"] > 5:
            raise ParamError("it is too much.", "amount", "Use less.")

    picky = replace(stubs.specs["add"], id="picky", check=check)
    graph = stubs.graph("source", "add").add(picky, "picky", amount=9).connect("add", "picky")
    graph = graph.add(stubs.specs["add"], "after").connect("picky", "after")
    graph = graph.add(stubs.specs["add"], "beside", amount=2).connect("source", "beside")
    outcome, events = ask(engine, graph, "after")
    assert str(outcome.errors["picky"]) == "picky: amount: it is too much. Use less."
    assert "blocked by 'picky'" in str(outcome.errors["after"])
    assert stubs.taken() == [] and "started" not in [event.kind for event in events]

    outcome, _ = ask(engine, graph, "after", "beside")
    assert outcome.executed == ["source", "beside"]
    outcome, _ = ask(engine, graph.change("picky", bypass=True), "after")
    assert outcome.errors == {} and outcome.executed == ["add", "after"]
    outcome, _ = ask(engine, graph.set_param("picky", "amount", 5), "after")
    assert outcome.errors == {} and outcome.executed == ["picky", "after"]


def test_of_two_sources_side_by_side_one_may_fail_before_the_other_lands(stubs, engine):
    failed = threading.Event()

    @node("Slow", category="Stub")
    def stub_slow(cutout: Cutout) -> Cutout:
        assert failed.wait(10)
        return cutout

    graph = stubs.graph("source", "fail").add(spec_of(stub_slow), "slow")
    graph = graph.connect("source", "slow").add(stubs.specs["mix"], "mix")
    graph = graph.connect("fail", "mix", input="a").connect("slow", "mix", input="b")

    def listen(event):
        if event.kind == "failed":
            failed.set()

    outcome = engine.run(RunRequest(graph, ("mix", "slow")), listen)
    assert "blocked by 'fail'" in str(outcome.errors["mix"])
    assert alpha(outcome, "slow") == 0.125


def test_equal_work_under_another_name_is_reused(stubs, engine):
    graph = stubs.graph("source", "add")
    ask(engine, graph, "add")
    twin = graph.add(stubs.specs["add"], "twin").connect("source", "twin")
    assert ask(engine, twin, "twin")[0].executed == []


def test_moving_and_renaming_execute_nothing(stubs, engine):
    graph = stubs.graph("source", "add")
    ask(engine, graph, "add")
    stubs.taken()
    ask(engine, graph.change("add", pos=(9.0, 9.0), title="Brighter"), "add")
    assert stubs.taken() == []


def test_bypass_on_and_off_executes_only_what_it_touches(stubs, engine):
    graph = stubs.graph("source", "add", "add", "add").set_param("add3", "amount", 0.5)
    ask(engine, graph, "add3")
    off = graph.change("add2", bypass=True)
    outcome, _ = ask(engine, off, "add3")
    assert outcome.executed == ["add3"] and alpha(outcome, "add3") == 1.625
    assert ask(engine, graph, "add3")[0].executed == []
    assert alpha(ask(engine, graph.change("add3", bypass=True), "add3")[0], "add3") == 2.125


def test_only_what_a_target_needs_runs(stubs, engine):
    graph = stubs.graph("source", "add", "add")
    outcome, _ = ask(engine, graph, "add")
    assert outcome.executed == ["source", "add"]


@pytest.mark.process
def test_a_reused_target_asks_for_nothing_upstream(stubs):
    engine = Engine(Cache(OVERHEAD_OF_TWO))
    graph = stubs.graph("source", "add", "add")
    ask(engine, graph, "add2")
    kept, events = ask(engine, graph, "add2")
    assert kept.executed == [] and [e.node for e in events] == ["add2", ""]
    engine.close()


OVERHEAD_OF_TWO = 2 * 1024 + 400


def test_a_mask_input_takes_the_alpha_of_a_cutout(stubs, engine):
    graph = stubs.graph("source", "mix")
    outcome, _ = ask(engine, graph, "mix")
    assert outcome.outputs["mix"]["mask"][0, 0] == 0.0625


def test_a_failure_is_local_and_named(stubs, engine):
    graph = stubs.graph("source", "fail", "add")
    graph = graph.add(stubs.specs["add"], "side").connect("source", "side")
    outcome, events = ask(engine, graph, "add", "side")
    assert str(outcome.errors["fail"]).startswith("fail: ValueError: because.")
    assert str(outcome.errors["add"]) == "add: it is blocked by 'fail'. Mend that node first."
    assert "side" in outcome.outputs and "add" not in outcome.outputs
    assert [e.kind for e in events if e.node in ("fail", "add")] == ["started", "failed", "blocked"]


@pytest.mark.parametrize("why", ["because", ""])
def test_a_failed_or_cancelled_step_holds_no_arrays(engine, why):
    """Neither its traceback nor a circle of references may keep megabytes until some later day."""
    born = []

    @node("Fail", category="Stub")
    def stub_heavy(*, why: str = "") -> Cutout:
        class Array(np.ndarray):
            pass

        array = np.zeros(10).view(Array)
        born.append(weakref.ref(array))
        raise ValueError(why) if why else Cancelled

    spec = spec_of(stub_heavy)
    graph = _graph(spec, "heavy").set_param("heavy", "why", why)
    gc.disable()
    try:
        stop = iter([None, None, *[()] * 1000])
        outcome = engine.run(RunRequest(graph, ("heavy",)), superseded=lambda: next(stop))
        wait_until = threading.Event()
        wait_until.wait(0.2)
        assert born and all(ref() is None for ref in born)
        assert not why or outcome.errors or outcome.superseded
    finally:
        gc.enable()


def test_a_failure_is_tried_again(stubs, engine):
    graph = stubs.graph("source", "fail")
    ask(engine, graph, "fail")
    ask(engine, graph, "fail")
    assert stubs.taken() == ["source", "fail", "fail"]


def test_a_missing_link_names_the_input_and_blocks_what_follows(stubs, engine):
    graph = stubs.graph("source", "add", "add").disconnect("add", "cutout")
    outcome, _ = ask(engine, graph, "add2")
    assert str(outcome.errors["add"]).startswith("add.cutout: nothing is linked to this input.")
    assert "blocked by 'add'" in str(outcome.errors["add2"])
    assert stubs.taken() == []


def test_a_deep_chain_that_fails_blocks_all_of_it(stubs, engine):
    graph = stubs.graph("source", "fail", *["add"] * 1500)
    outcome, _ = ask(engine, graph, "add1500")
    assert len(outcome.errors) == 1501
    assert "blocked by 'fail'" in str(outcome.errors["add1500"])
    lost = graph.disconnect("fail", "cutout")
    assert "blocked by 'fail'" in str(ask(engine, lost, "add1500")[0].errors["add1500"])


def test_memo_survives_a_change_of_other_parameters(stubs, engine):
    graph = stubs.graph("source", "network")
    ask(engine, graph, "network")
    outcome, _ = ask(engine, graph.set_param("network", "gain", 3.0), "network")
    assert stubs.taken() == ["source", "network", "inference", "network"]
    assert alpha(outcome, "network") == 0.75


class Two(NamedTuple):
    """Two masks."""

    low: Mask
    high: Mask


def test_memo_is_not_that_of_another_output_or_input(engine):
    @node("Two", category="Stub")
    def stub_two() -> Two:
        return Two(np.full((2, 3), 0.25, np.float32), np.full((2, 3), 0.75, np.float32))

    @node("Doubled", category="Stub")
    def stub_doubled(a: Mask | None = None, b: Mask | None = None, *, job: Job = Job()) -> Mask:
        kept = job.memo("kept", (), lambda: -b if a is None else a.copy())
        return kept * np.float32(2)

    graph = Graph().add(spec_of(stub_two), "two").add(spec_of(stub_doubled), "doubled")

    def found(output: str, input: str) -> float:
        linked = graph.connect("two", "doubled", output=output, input=input)
        return ask(engine, linked, "doubled")[0].outputs["doubled"]["mask"][0, 0]

    assert found("low", "a") == 0.5
    assert found("high", "a") == 1.5
    assert found("low", "b") == -0.5
    assert found("low", "a") == 0.5


def test_memo_is_not_that_of_other_code_under_the_same_name(stubs, engine):
    first = stubs.specs["network"]
    for source in ("one", "another"):
        graph = stubs.graph("source").add(replace(first, source=source), "network")
        ask(engine, graph.connect("source", "network"), "network")
    assert stubs.taken().count("inference") == 2


def test_parts_of_a_key_are_told_from_each_other():
    """Or an output "ab" of an input "c" were an output "a" of an input "bc"."""
    assert hashed(b"ab", b"c") != hashed(b"a", b"bc")
    assert hashed(b"ab") != hashed(b"ab", b"")


def test_memo_on_disk_survives_the_process(stubs, tmp_path):
    graph = stubs.graph("source", "network")
    for expected in (["source", "network", "inference"], ["source", "network"]):
        engine = Engine(Cache(0, Disk(tmp_path)))
        assert alpha(ask(engine, graph, "network")[0], "network") == 0.25
        assert stubs.taken() == expected
        engine.close()


def test_memo_on_disk_is_not_another_versions(stubs, tmp_path):
    graph = stubs.graph("source", "network")
    newer = replace(stubs.specs["network"], version=2)
    raised = graph.remove("network").add(newer, "network").connect("source", "network")
    for asked in (graph, raised, raised):
        engine = Engine(Cache(0, Disk(tmp_path)))
        ask(engine, asked, "network")
        engine.close()
    inferred = [ran for ran in stubs.taken() if ran == "inference"]
    assert len(inferred) == 2


def test_outputs_are_read_only(stubs, engine):
    outcome, _ = ask(engine, stubs.graph("source", "add"), "add")
    with pytest.raises(ValueError, match="read-only"):
        outcome.outputs["add"]["cutout"].alpha[0, 0] = 1


def test_events_tell_what_changed(stubs, engine):
    graph = stubs.graph("source", "add", "add")
    reasons = {e.node: e.reason for e in ask(engine, graph, "add2")[1] if e.kind == "done"}
    assert set(reasons.values()) == {"first run"}
    changed = graph.set_param("add", "amount", 2)
    reasons = {e.node: e.reason for e in ask(engine, changed, "add2")[1] if e.kind == "done"}
    assert reasons == {"add": "amount changed", "add2": "input 'cutout' changed"}
    engine.cache.clear()
    reasons = {e.node: e.reason for e in ask(engine, changed, "add2")[1] if e.kind == "done"}
    assert set(reasons.values()) == {"no longer in memory"}


def test_a_preview_and_the_full_result_each_say_what_changed_for_them(stubs):
    engine = Engine(Cache(1 << 28), shrink=lambda value, scale: value)
    graph = stubs.graph("source", "add")
    for value in (1.0, 2.0):
        for scale in (0.5, 1.0):
            graph = graph.set_param("add", "amount", value)
            _, events = ask(engine, graph, "add", scale=scale)
            reason = next(e.reason for e in events if e.kind == "done" and e.node == "add")
            assert reason == ("first run" if value == 1 else "amount changed")
    engine.close()


def test_branches_that_do_not_depend_on_each_other_run_side_by_side(engine):
    both = threading.Barrier(2, timeout=10)

    @node("Meet", category="Stub")
    def stub_meet(*, value: int = 0) -> Cutout:
        both.wait()
        return Cutout(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.float32))

    graph = _graph(spec_of(stub_meet), "a", "b").set_param("b", "value", 1)
    outcome, _ = ask(engine, graph, "a", "b")
    assert not outcome.errors and len(outcome.outputs) == 2


def _graph(spec, *ids):
    graph = Graph()
    for id in ids:
        graph = graph.add(spec, id)
    return graph


def slow_node(started, stopped, seconds=10):
    @node("Slow", category="Stub")
    def stub_slow(cutout: Cutout | None = None, *, value: int = 0, job: Job = Job()) -> Cutout:
        started.set()
        try:
            while not stopped.wait(0.002):
                job.checkpoint()
        except Cancelled:
            stopped.set()
            raise
        return Cutout(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.float32))

    return spec_of(stub_slow)


def test_a_superseded_run_stops_its_work(engine):
    started, stopped = threading.Event(), threading.Event()
    graph = _graph(slow_node(started, stopped), "slow")
    request = RunRequest(graph, ("slow",))
    outcome = engine.run(request, superseded=lambda: set() if started.is_set() else None)
    assert outcome.superseded and not outcome.outputs
    assert stopped.wait(5)


def test_work_that_a_newer_run_wants_goes_on(engine):
    started, stopped = threading.Event(), threading.Event()
    graph = _graph(slow_node(started, stopped), "slow")
    request = RunRequest(graph, ("slow",), id=1)
    keys = set(engine.keys(request).values())
    engine.run(request, superseded=lambda: keys if started.is_set() else None)
    started.clear()
    threading.Timer(0.05, stopped.set).start()
    outcome = engine.run(RunRequest(graph, ("slow",), id=2))
    assert "slow" in outcome.outputs and not started.is_set()


def test_work_in_flight_that_has_eaten_goes_on_for_a_newer_run(engine, stubs):
    started, stopped = threading.Event(), threading.Event()
    graph = stubs.graph("source").add(slow_node(started, stopped), "slow")
    graph = graph.connect("source", "slow")
    request = RunRequest(graph, ("slow",), id=1)
    keys = set(engine.keys(request).values())
    engine.run(request, superseded=lambda: keys if started.is_set() else None)
    threading.Timer(0.05, stopped.set).start()
    outcome = engine.run(RunRequest(graph, ("slow",), id=2))
    assert "slow" in outcome.outputs and stubs.taken() == ["source"]


def test_a_file_changed_on_disk_is_noticed(engine, tmp_path):
    runs = []

    @node("Read", category="Stub")
    def stub_read(*, path: Annotated[str, Param(kind="file")] = "") -> Cutout:
        runs.append(path)
        return Cutout(np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), np.float32))

    file, copy = tmp_path / "a", tmp_path / "b"
    file.write_text("one")
    copy.write_text("one")
    graph = _graph(spec_of(stub_read), "read").set_param("read", "path", str(file))
    ask(engine, graph, "read")
    ask(engine, graph, "read")
    ask(engine, graph.set_param("read", "path", str(copy)), "read")
    assert runs == [str(file)]
    file.write_text("two!")
    _, events = ask(engine, graph, "read")
    assert runs == [str(file)] * 2
    assert next(e.reason for e in events if e.kind == "done") == "path changed"


def test_a_preview_shrinks_a_full_scale_node_and_keys_apart(stubs):
    shrunk = []

    def shrink(value, scale):
        shrunk.append(scale)
        return value

    engine = Engine(Cache(1 << 28), shrink=shrink)
    graph = stubs.graph("source", "network", "add")
    outcome, _ = ask(engine, graph, "add", scale=0.5)
    assert outcome.executed == ["source", "network", "add"] and shrunk == [0.5]
    outcome, _ = ask(engine, graph, "add", scale=1.0)
    assert outcome.executed == ["add"]
    _, events = ask(engine, graph, "add", scale=0.25)
    assert [(e.kind, e.scale) for e in events] == [("reused", 1.0), ("finished", 1.0)]
    engine.close()
