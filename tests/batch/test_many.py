"""A graph over folders: the tree, names, what is skipped, what fails, memory, cancelling."""

from __future__ import annotations

import json
import os
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from qr_nodes import load_graph, run
from qr_nodes.batch import Batch, cli_engine, find_pictures
from qr_nodes.batch.many import budget
from qr_nodes.batch.overlap import Room, estimate, overlapped, process
from qr_nodes.cache import Cache
from qr_nodes.engine import Engine
from qr_nodes.errors import GraphError, ParamError, QrNodesError, WriteError
from qr_nodes.graph import Graph
from qr_nodes.inference import registry, store
from qr_nodes.node import node, spec_of
from qr_nodes.types import Cutout


def did(results) -> dict[str, str]:
    """Give what came of each picture, by its name in the output folder."""
    found = {}
    for result in results:
        assert result.error is None, result.error
        found[os.path.basename(result.output)] = "skipped" if result.skipped else "done"
    return found


def failures(results) -> list[str]:
    return [str(result.error) for result in results if result.error is not None]


def test_the_tree_is_kept_and_inputs_are_not_touched(graph, photos, tmp_path, tree):
    before, out = tree(photos), tmp_path / "out"
    assert len(list(run(graph, photos, out))) == 4
    assert list(tree(out)) == ["a.png", "b.png", "trip/a.png", "trip/day 2/c.png"]
    assert tree(photos) == before
    assert os.listdir(out / ".qr-nodes" / "parts") == []


def test_results_are_those_of_one_picture_at_a_time(graph, photos, tmp_path, tree):
    out = tmp_path / "out"
    list(run(graph, photos, out, jobs=4))
    for place, data in tree(out).items():
        source = photos / ("b.jpg" if place == "b.png" else place)
        (result,) = run(graph, source, tmp_path / "one.png")
        assert result.error is None and (tmp_path / "one.png").read_bytes() == data


def test_what_is_done_and_current_is_skipped(graph, photos, tmp_path, tree):
    out = tmp_path / "out"
    assert set(did(run(graph, photos, out)).values()) == {"done"}
    before = {place: os.stat(out / place).st_mtime_ns for place in tree(out)}
    again = list(run(graph, photos, out))
    assert set(did(again).values()) == {"skipped"} and all(not r.nodes for r in again)
    assert {r.output for r in again} == {str(out / place) for place in before}
    assert {place: os.stat(out / place).st_mtime_ns for place in before} == before


def test_another_setting_does_all_again_and_another_picture_only_that(
    graph, photos, tmp_path, draw, tree
):
    out = tmp_path / "out"
    list(run(graph, photos, out))
    draw(photos / "trip" / "day 2" / "c.png", 99)
    assert did(run(graph, photos, out))["c.png"] == "done"
    old = tree(out)
    softer = graph.set_param("feather", "sigma", 5.0)
    assert set(did(run(softer, photos, out)).values()) == {"done"}
    assert all(old[place] != data for place, data in tree(out).items() if place != "b.png")


def test_a_picture_touched_but_not_changed_is_current(graph, photos, tmp_path):
    out = tmp_path / "out"
    list(run(graph, photos, out))
    os.utime(photos / "a.png", ns=(1, 1))
    assert set(did(run(graph, photos, out)).values()) == {"skipped"}


def test_a_folder_copied_elsewhere_is_current_there(graph, photos, tmp_path, tree):
    list(run(graph, photos, tmp_path / "out"))
    (tmp_path / "out").rename(tmp_path / "moved")
    for place in tree(tmp_path / "moved"):
        os.utime(tmp_path / "moved" / place, ns=(1, 1))
    photos.rename(tmp_path / "album")
    assert set(did(run(graph, tmp_path / "album", tmp_path / "moved")).values()) == {"skipped"}


def test_a_deleted_result_is_made_again(graph, photos, tmp_path):
    out = tmp_path / "out"
    list(run(graph, photos, out))
    (out / "b.png").unlink()
    assert did(run(graph, photos, out))["b.png"] == "done"


def test_again_does_what_is_current_once_more(graph, photos, tmp_path, tree):
    out = tmp_path / "out"
    list(run(graph, photos, out))
    before = tree(out)
    assert set(did(run(graph, photos, out, again=True)).values()) == {"done"}
    assert tree(out) == before


def test_what_somebody_changed_is_replaced_only_when_asked(graph, photos, tmp_path):
    out = tmp_path / "out"
    list(run(graph, photos, out))
    (out / "a.png").write_bytes(b"retouched by hand")
    (said,) = failures(run(graph, photos, out))
    assert said == (
        f"{out / 'a.png'}: a file is there that was not made here, or was changed since. "
        "Move it, name another output, or run with --overwrite."
    )
    assert (out / "a.png").read_bytes() == b"retouched by hand"
    assert did(run(graph, photos, out, overwrite=True))["a.png"] == "done"
    assert Image.open(out / "a.png").size == (53, 37)


def test_an_export_that_keeps_what_is_there_replaces_nothing(graph, photos, tmp_path, tree):
    out, keeping = tmp_path / "out", graph.set_param("export", "overwrite", False)
    list(run(keeping, photos, out))
    before = tree(out)
    assert set(did(run(keeping, photos, out)).values()) == {"skipped"}
    assert len(failures(run(keeping.set_param("feather", "sigma", 9.0), photos, out))) == 4
    assert tree(out) == before


def test_pictures_of_one_stem_do_not_collide(graph, tmp_path, draw, tree):
    for name in ("a.png", "a.webp", "A.tif", "b.png"):
        draw(tmp_path / "in" / name)
    list(run(graph, tmp_path / "in", tmp_path / "out"))
    assert list(tree(tmp_path / "out")) == ["A.tif.png", "a.png.png", "a.webp.png", "b.png"]


def test_a_result_keeps_its_name_when_a_twin_comes(graph, tmp_path, draw):
    out = tmp_path / "out"
    draw(tmp_path / "in" / "a.png")
    list(run(graph, tmp_path / "in", out))
    draw(tmp_path / "in" / "a.webp", 90)
    assert did(run(graph, tmp_path / "in", out)) == {"a.png": "skipped", "a.webp.png": "done"}


def test_two_folders_keep_their_names(graph, tmp_path, draw, tree):
    for name in ("x", "y"):
        draw(tmp_path / name / "a.png")
    list(run(graph, [tmp_path / "x", tmp_path / "y"], tmp_path / "out"))
    assert list(tree(tmp_path / "out")) == ["x/a.png", "y/a.png"]
    draw(tmp_path / "deep" / "x" / "a.png")
    with pytest.raises(QrNodesError, match="two folders are called 'x'"):
        run(graph, [tmp_path / "x", tmp_path / "deep" / "x"], tmp_path / "out2")


def test_another_folder_of_the_same_names_replaces_nothing_unasked(graph, tmp_path, draw, tree):
    for day, shade in (("monday", 10), ("tuesday", 200)):
        draw(tmp_path / day / "1.png", shade)
    list(run(graph, tmp_path / "monday", tmp_path / "out"))
    before = tree(tmp_path / "out")
    (said,) = failures(run(graph, tmp_path / "tuesday", tmp_path / "out"))
    assert "it was made from the 1.png of another folder. Name another output" in said
    assert tree(tmp_path / "out") == before
    did(run(graph, tmp_path / "tuesday", tmp_path / "out", overwrite=True))
    assert tree(tmp_path / "out") != before


def test_several_exports_write_a_file_each(graph, photos, tmp_path, tree):
    graph = graph.add("export", "mask", content="mask", path="somewhere/mask.webp")
    graph = graph.connect("feather", "mask")
    results = list(run(graph, photos, tmp_path / "out"))
    assert list(tree(tmp_path / "out"))[:4] == [
        "a-export.png", "a-mask.webp", "b-export.png", "b-mask.webp",
    ]  # fmt: skip
    assert all(set(result.files) == {"export", "mask"} for result in results)
    (tmp_path / "out" / "a-mask.webp").unlink()
    (one,) = [r for r in run(graph, photos, tmp_path / "out") if not r.skipped]
    assert [report.node for report in one.nodes] == ["load", "feather", "mask"]


def test_an_output_folder_inside_is_not_read(graph, photos):
    assert len(list(run(graph, photos, photos / "cutouts"))) == 4
    assert len(list(run(graph, photos, photos / "cutouts"))) == 4


def test_results_never_go_into_a_folder_of_pictures(graph, photos, tmp_path, draw, tree):
    with pytest.raises(WriteError, match="pictures are read from this folder"):
        run(graph, photos, photos)
    draw(photos / "photos" / "a.png", 77)  # would be photos/a.png in the folder around
    before = tree(photos)
    results = list(run(graph, photos, tmp_path, overwrite=True))
    assert any("would lie in a folder of pictures" in said for said in failures(results))
    assert tree(photos) == before


def test_one_broken_picture_in_six_leaves_the_rest_right(graph, tmp_path, draw, tree):
    good, whole = tmp_path / "in", {}
    for number in range(25):
        draw(good / f"{number}.png", number)
    broken = {
        "empty.png": b"",
        "text.jpg": b"no picture",
        "half.png": (good / "3.png").read_bytes()[:90],
        "noise.webp": np.random.default_rng(0).bytes(500),
        "cut.jpg": draw(tmp_path / "cut.jpg").read_bytes()[:300],
    }
    for name, data in broken.items():
        (good / name).write_bytes(data)
    results = list(run(graph, good, tmp_path / "out", jobs=3))
    assert len(results) == 30
    said = {os.path.basename(r.input): str(r.error) for r in results if r.error is not None}
    assert said.keys() == broken.keys()
    assert all("load" in line and line.count("\n") == 0 for line in said.values())
    for number in range(25):
        list(run(graph, good / f"{number}.png", tmp_path / "one.png"))
        whole[f"{number}.png"] = (tmp_path / "one.png").read_bytes()
    assert tree(tmp_path / "out") == dict(sorted(whole.items()))


def test_on_error_stop_stops(graph, photos, tmp_path, draw):
    (photos / "a.png").write_bytes(b"broken")
    for number in range(40):
        draw(photos / "more" / f"{number}.png")
    results = list(run(graph, photos, tmp_path / "out", jobs=2, on_error="stop"))
    assert len(failures(results)) == 1 and len(results) < 10


def test_closing_the_iterator_stops_and_leaves_nothing_half_done(graph, tmp_path, draw, tree):
    for number in range(40):
        draw(tmp_path / "in" / f"{number}.png", number)
    before = set(threading.enumerate())
    results = run(graph, tmp_path / "in", tmp_path / "out", jobs=2)
    next(results)
    results.close()
    there = tree(tmp_path / "out")
    assert 1 <= len(there) < 40 and os.listdir(tmp_path / "out" / ".qr-nodes" / "parts") == []
    assert not set(threading.enumerate()) - before
    second = list(run(graph, tmp_path / "in", tmp_path / "out"))
    assert sum(result.skipped for result in second) == len(there) and len(second) == 40


def test_a_folder_is_one_runs_at_a_time(graph, photos, tmp_path):
    first = run(graph, photos, tmp_path / "out", jobs=1)
    next(first)
    with pytest.raises(WriteError, match=r"another run is writing here\. Wait until it is done"):
        list(run(graph, photos, tmp_path / "out"))
    assert len(list(first)) == 3
    assert len(list(run(graph, photos, tmp_path / "out"))) == 4


@pytest.mark.parametrize("folder", [True, False])
def test_runs_over_files_share_a_folder(graph, tmp_path, draw, folder):
    files = [draw(tmp_path / "in" / f"{number}.png", number) for number in range(6)]
    (tmp_path / "out").mkdir()
    outs = [tmp_path / "out" / ("" if folder else file.name) for file in files]
    with ThreadPoolExecutor(6) as pool:
        runs = pool.map(lambda file, out: list(run(graph, file, out)), files, outs)
        assert [result.error for (result,) in runs] == [None] * 6
    again = list(run(graph, files, outs[0] if folder else outs))
    assert len(again) == 6 and all(result.skipped for result in again)


def test_a_run_over_files_waits_for_no_run_over_a_folder(graph, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("qr_nodes.batch.ledger.LOCK_TIMEOUT_S", 0.05)
    first = run(graph, photos, tmp_path / "out", jobs=1)
    next(first)
    (said,) = failures(run(graph, photos / "a.png", tmp_path / "out" / "x.png"))
    assert "another run is writing here. Wait until it is done" in said
    assert len(list(first)) == 3


def test_from_python_the_same_file_is_done_once_and_nobody_elses_is_touched(
    graph, photos, tmp_path
):
    out = tmp_path / "one.png"
    assert did(run(graph, photos / "a.png", out)) == {"one.png": "done"}
    assert did(run(graph, photos / "a.png", out)) == {"one.png": "skipped"}
    assert did(run(graph, photos / "a.png", out, again=True)) == {"one.png": "done"}
    assert did(run(graph, photos / "trip" / "a.png", out)) == {"one.png": "done"}  # it is ours
    out.write_bytes(b"retouched by hand")
    (said,) = failures(run(graph, photos / "a.png", out))
    assert "was changed since" in said and out.read_bytes() == b"retouched by hand"
    assert did(run(graph, photos / "a.png", out, overwrite=True)) == {"one.png": "done"}


def test_from_python_the_network_is_asked_once(weights, chelsea, tmp_path, monkeypatch):
    from qr_nodes.inference import session

    Image.fromarray(chelsea).save(tmp_path / "cat.png")
    asked, predict = [], session.predict
    monkeypatch.setattr(session, "predict", lambda *a: asked.append(1) or predict(*a))
    for sigma in (0.0, 3.0):
        graph = load_graph("portrait").set_param("feather", "sigma", sigma)
        assert did(run(graph, tmp_path / "cat.png", tmp_path / "cut.png")) == {"cut.png": "done"}
        asked, before = [], len(asked)
    assert asked == [] and before == 0


def test_files_of_one_name_are_told_apart_by_their_folders(graph, tmp_path, draw, tree):
    files = [draw(tmp_path / folder / "x.png", len(folder)) for folder in ("c1", "c2/deep")]
    results = list(run(graph, [*files, files[0]], tmp_path / "out"))
    assert failures(results) == [] and len(results) == 2
    assert list(tree(tmp_path / "out")) == ["c1/x.png", "c2/deep/x.png"]


def test_an_input_is_not_written_over_by_anothers_result(graph, tmp_path, draw):
    files = [draw(tmp_path / "in" / f"{name}.png", len(name)) for name in ("a", "bb")]
    before = [file.read_bytes() for file in files]
    outs = [files[1], tmp_path / "x.png"]
    (said,) = failures(run(graph, files, outs, overwrite=True))
    assert "an input would be overwritten" in said
    (said,) = failures(run(graph, files, [tmp_path / "y.png"] * 2))
    assert "a.png is written there already" in said
    assert [file.read_bytes() for file in files] == before


def test_a_graph_that_cannot_run_says_so_once(photos, tmp_path):
    with pytest.raises(GraphError, match="no Export node"):
        run(Graph.chain("load", "feather"), photos, tmp_path / "out")
    with pytest.raises(GraphError, match="nothing is linked"):
        run(Graph.chain("load", "feather", "export").disconnect("export", "cutout"), photos, "out")
    assert not (tmp_path / "out").exists()


def test_several_files_may_run_side_by_side(graph, photos, tmp_path):
    files = [photos / "a.png", photos / "b.jpg", photos / "trip" / "a.png"]
    outs = [tmp_path / f"{number}.png" for number in range(3)]
    results = list(run(graph, files, outs, jobs=3))
    assert {(r.input, r.output) for r in results} == {
        (str(file), str(out)) for file, out in zip(files, outs, strict=True)
    }


def test_jobs_really_run_side_by_side(tmp_path, draw):
    meeting = threading.Barrier(4, timeout=30)  # which four pictures have to reach at once

    @node("Meet", category="Stub")
    def stub_meet(cutout: Cutout) -> Cutout:
        meeting.wait()
        return cutout

    graph = Graph().add("load").add(spec_of(stub_meet), "meet").add("export")
    graph = graph.connect("load", "meet").connect("meet", "export")
    for number in range(8):
        draw(tmp_path / "in" / f"{number}.png", number)
    results = list(run(graph, tmp_path / "in", tmp_path / "out", jobs=4))
    assert len(results) == 8 and failures(results) == []


def test_memory_does_not_grow_with_the_number_of_pictures(graph, tmp_path, draw):
    for number in range(160):
        draw(tmp_path / "in" / f"{number}.png", number, (60, 80))
    results = run(graph, tmp_path / "in", tmp_path / "out", jobs=2)
    for _ in range(40):
        next(results)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(80):
            next(results)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        results.close()
    # A picture's cut-out alone takes 34 kB; its records are a path, a name and hashes.
    assert grown / 80 < 10_000


def test_the_estimate_comes_from_the_header(tmp_path):
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((40, 50), np.uint16)).save(tmp_path / "deep.tif")
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "head.png").write_bytes(whole[:60])
    small = estimate(str(tmp_path / "a.png"))
    assert small == estimate(str(tmp_path / "head.png")) > 2000 * 7
    assert estimate(str(tmp_path / "deep.tif")) > small
    assert estimate(str(tmp_path / "none.png")) == 0


def test_what_the_process_takes_follows_from_the_networks_that_the_graph_names(monkeypatch):
    def taken(graph, *models):
        for number, model in enumerate(models):
            graph = graph.add("segment", f"s{number}").set_param(f"s{number}", "model", model)
        return process(graph)

    plain = Graph.chain("load", "feather", "export")
    small, large = taken(plain, "u2netp"), taken(plain, "u2net")
    assert 150 << 20 < taken(plain) < small
    assert 380 << 20 < small < 420 << 20 < 882 << 20 < large < 1000 << 20
    assert taken(plain, "u2netp", "u2netp") == small
    both = taken(plain, "u2netp", "u2net")
    assert both == taken(plain, "u2netp+u2net") == large + small - taken(plain)
    assert taken(plain, "nobody's") == taken(plain)
    bypassed = plain.add("segment", "s")
    assert process(bypassed.change("s", bypass=True)) == taken(plain)
    # A network of a GB: its file tells, though the list does not know its size.
    weights = store.places(registry.find("birefnet-general"))[-1]
    weights.parent.mkdir(parents=True, exist_ok=True)
    with weights.open("wb") as file:
        file.truncate(973_000_000)
    assert taken(plain, "birefnet-general") > 5_000_000_000
    assert budget(plain, 2 << 30) > (2 << 30) - (200 << 20)
    assert (
        budget(plain.add("segment", "s").set_param("s", "model", "birefnet-general"), 2 << 30) == 0
    )


def test_pictures_share_the_memory_in_order():
    room, most, order, lock = Room(100), [0], [], threading.Lock()

    def work(item):
        name, bytes = item
        with room.take(bytes):
            with lock:
                order.append(name)
                most[0] = max(most[0], room.used)
            time.sleep(0.02)
        return name

    items = [("a", 60), ("b", 60), ("large", 300), *[(f"s{n}", 30) for n in range(9)]]
    found = list(overlapped(work, items, 6, threading.Event()))
    assert sorted(found) == sorted(name for name, _ in items)
    assert most[0] <= 300 and order.index("large") < order.index("s8")
    room, most[0] = Room(100), 0
    list(overlapped(work, [(n, 40) for n in range(12)], 6, threading.Event()))
    assert most[0] == 80


def test_the_budget_bounds_what_runs_side_by_side(graph, tmp_path, draw):
    for number in range(12):
        draw(tmp_path / "in" / f"{number}.png", number, (200, 300))
    from qr_nodes.batch.many import run_batch

    engine, most = Engine(Cache(0), lanes=6), []
    one = estimate(str(tmp_path / "in" / "0.png"))
    room = Room(2 * one)
    batch = Batch(graph, tmp_path / "out", [tmp_path / "in"], engine=engine)
    found = find_pictures([tmp_path / "in"])
    results = run_batch(
        batch, found, emit=lambda event: most.append(room.used), jobs=6, room=room, close=True
    )
    assert len(list(results)) == 12 and max(most) == 2 * one


def test_edits_beside_a_picture_are_part_of_it(graph, photos, tmp_path, tree):
    out = tmp_path / "out"
    list(run(graph, photos, out))
    plain = tree(out)
    edit = {"format": "qredit", "version": 1, "nodes": {"feather": {"sigma": 9.0}}}
    (photos / "a.qredit").write_text(json.dumps(edit))
    results = list(run(graph, photos, out))
    done = [r.input for r in results if not r.skipped]
    assert done == [r.input for r in results if r.edited] == [str(photos / "a.png")]
    assert [r.input for r in run(graph, photos, out) if r.edited] == done
    changed = tree(out)
    assert [place for place in plain if plain[place] != changed[place]] == ["a.png"]
    softer = graph.set_param("feather", "sigma", 9.0)
    (result,) = run(softer, photos / "a.png", tmp_path / "one.png", edits=False)
    assert (tmp_path / "one.png").read_bytes() == changed["a.png"] and result.error is None
    (photos / "a.qredit").unlink()
    assert [r.input for r in run(graph, photos, out) if not r.skipped] == done
    assert tree(out) == plain


def test_edits_that_do_not_fit_fail_their_picture_alone(graph, photos, tmp_path):
    edit = {"format": "qredit", "version": 1, "nodes": {"fether": {"sigma": 9.0}}}
    (photos / "a.qredit").write_text(json.dumps(edit))
    (said,) = failures(run(graph, photos, tmp_path / "out"))
    assert said.startswith(
        "a.qredit: fether: the graph has no such node. Perhaps you mean 'feather'"
    )
    assert failures(run(graph, photos, tmp_path / "out", edits=False)) == []


def test_wrong_arguments_say_so_before_anything_runs(graph, photos, tmp_path):
    for how in ({"jobs": 0}, {"on_error": "shrug"}, {"name": "all{ext}"}, {"name": "{stem}.xyz"}):
        with pytest.raises(ParamError):
            run(graph, photos, tmp_path / "out", **how)
    with pytest.raises(WriteError, match="this is a file, not a folder"):
        run(graph, photos, photos / "a.png")
    assert not (tmp_path / "out").exists()


def test_a_preset_runs_over_a_folder_with_its_network(weights, chelsea, tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(np.roll(chelsea, 40 * number, 1)).save(tmp_path / "in" / f"{number}.png")
    engine = cli_engine(lanes=3)
    results = list(
        run(load_graph("quick"), tmp_path / "in", tmp_path / "out", engine=engine, jobs=3)
    )
    engine.close()
    assert failures(results) == [] and len(results) == 3
    for number in range(3):
        list(run(load_graph("quick"), tmp_path / "in" / f"{number}.png", tmp_path / "one.png"))
        made = tmp_path / "out" / f"{number}.png"
        assert made.read_bytes() == (tmp_path / "one.png").read_bytes()
