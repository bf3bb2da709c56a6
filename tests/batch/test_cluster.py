"""A batch on a real Dask scheduler with worker processes: the same files, whoever is lost."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import distributed
import numpy as np
import pytest
from PIL import Image

from qr_nodes import load_graph, run
from qr_nodes.batch import Batch, cli_engine, cluster, find_pictures
from qr_nodes.cli import main
from qr_nodes.errors import ClusterError, NodeError
from qr_nodes.qrgraph import save_graph


class Crew:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path, home: Path):
        self.folder, self.processes = folder, []
        self.env = {**os.environ, "QR_NODES_HOME": str(home)}
        self.file = folder / "scheduler.json"
        self._dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = json.loads(self._wait(self.file.exists) and self.file.read_text())["address"]

    def _dask(self, *command: str) -> subprocess.Popen:
        log = open(self.folder / "log", "ab")  # noqa: SIM115
        given = [sys.executable, "-m", "dask", *command, "--scheduler-file", str(self.file)]
        process = subprocess.Popen(given, stderr=log, env=self.env, cwd=self.folder)
        self.processes.append(process)
        return process

    def _wait(self, until) -> bool:
        end = time.monotonic() + 60
        while not until():
            assert time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)
        return True

    def hire(self, number: int) -> list[subprocess.Popen]:
        """Start workers and wait until the scheduler knows them."""
        with distributed.Client(self.address, set_as_default=False) as client:
            there = len(client.nthreads())
            hired = [
                self._dask("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
                for _ in range(number)
            ]
            self._wait(lambda: len(client.nthreads()) == there + number)
        return hired

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def crew(tmp_path_factory, fetched):
    """A scheduler with two workers that have the default model."""
    crew = Crew(tmp_path_factory.mktemp("crew"), fetched.parent.parent)
    try:
        crew.hire(2)
        yield crew
    finally:
        crew.end()


@pytest.fixture
def noise(tmp_path):
    """A folder of pictures that take a moment each."""
    folder = tmp_path / "noise"
    folder.mkdir()
    for number in range(24):
        pixels = np.random.default_rng(number).integers(0, 255, (300, 400, 4), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png", compress_level=1)
    return folder


@pytest.fixture
def away(graph, tmp_path):
    """Run a graph over a folder on a cluster."""

    def away(folder: Path, scheduler: str, graph=graph, **how):
        engine, out = cli_engine(), tmp_path / "away"
        batch, found = Batch(graph, out, [folder], engine=engine), find_pictures([folder], out=out)
        yield from cluster.run_batch(batch, found, scheduler=scheduler, **how)
        engine.close()

    return away


def parts(out: Path) -> list[str]:
    return os.listdir(out / ".qr-nodes" / "parts")


def told(report: str) -> list[dict]:
    """Give what a report says that does not depend on who works when, by picture."""
    results = json.loads(report)["results"]
    for result in results:
        del result["seconds"]
        for node in result["nodes"]:
            del node["seconds"], node["reason"]  # which follows from who did what before
    return sorted(results, key=lambda result: result["input"])


def test_files_and_report_are_those_of_a_local_run(
    crew, graph, photos, tmp_path, tree, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    save_graph(graph.set_param("export", "overwrite", False), "edges.qrgraph")
    (photos / "bad.jpg").write_bytes(b"no picture")
    (photos / "b.qredit").write_text(
        '{"format": "qredit", "version": 1, "nodes": {"feather": {"sigma": 7.5}}}'
    )
    command = ["run", "edges.qrgraph", "photos", "--json", "-o", "out"]
    assert main(command) == 1
    here, said = capsys.readouterr()
    os.rename("out", "here")
    command += ["--scheduler", crew.address]
    assert main(command) == 1
    assert (told(capsys.readouterr().out), tree(Path("out"))) == (told(here), tree(Path("here")))
    assert parts(Path("out")) == []
    assert main([*command, "--again", "--exclude", "bad.jpg", "--overwrite"]) == 0
    assert tree(Path("out")) == tree(Path("here"))
    capsys.readouterr()
    assert main(command) == 1
    again, said = capsys.readouterr()
    assert json.loads(again)["skipped"] == 4 and said.startswith("bad.jpg: load: this is not")


def test_networks_run_on_workers(crew, away, chelsea, tmp_path, weights, tree):
    (tmp_path / "cats").mkdir()
    Image.fromarray(chelsea).save(tmp_path / "cats" / "cat.png")
    (result,) = away(tmp_path / "cats", crew.address, load_graph("quick"))
    assert result.error is None
    list(run(load_graph("quick"), tmp_path / "cats", tmp_path / "here"))
    assert tree(tmp_path / "away") == tree(tmp_path / "here")


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
def test_a_lost_workers_pictures_are_done_again(crew, graph, noise, away, tmp_path, tree):
    (third,), results, most = crew.hire(1), [], 0
    with distributed.Client(crew.address, set_as_default=False) as client:
        names = client.run(os.getpid)
        (lost,) = [name for name, number in names.items() if number == third.pid]
        for result in away(noise, crew.address):
            results.append(result)
            tasks = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
            most = max(most, tasks)
            if len(results) == 5:
                third.send_signal(signal.SIGSTOP)  # so that it has a picture for certain
                time.sleep(0.3)
                assert client.processing()[lost]
                third.kill()
        assert len(client.nthreads()) == 2
    assert len(results) == 24 and all(result.error is None for result in results)
    assert 3 <= most <= 6  # all 24 never wait at the scheduler
    list(run(graph, noise, tmp_path / "here"))
    assert tree(tmp_path / "away") == tree(tmp_path / "here")
    assert parts(tmp_path / "away") == []


@pytest.mark.skipif(os.name == "nt", reason="signals are another matter there")
def test_control_c_stops_workers_and_the_next_run_goes_on(crew, graph, noise, tmp_path, tree):
    save_graph(graph, tmp_path / "edges.qrgraph")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "qr_nodes", "run", str(tmp_path / "edges.qrgraph"), str(noise)]
    command += ["-o", str(out), "--scheduler", crew.address]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("*.png")):
        time.sleep(0.01)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.startswith("Stopped: ") and said.endswith("The same command goes on from there.\n")
    assert said.count("\n") == 1
    with distributed.Client(crew.address, set_as_default=False) as client:
        assert not any(client.processing().values())
        assert set(client.run(lambda: sum(cluster._running.values())).values()) == {0}
    there = {file: file.stat().st_mtime_ns for file in out.glob("*.png")}
    assert 0 < len(there) < 24 and parts(out) == []
    assert subprocess.run(command).returncode == 0
    assert len(tree(out)) == 24
    assert {file: file.stat().st_mtime_ns for file in there} == there


def test_a_local_cluster_may_be_tried(graph, photos, tmp_path, tree, capsys):
    save_graph(graph, tmp_path / "edges.qrgraph")
    command = ["run", str(tmp_path / "edges.qrgraph"), str(photos), "-o"]
    assert main([*command, str(tmp_path / "here")]) == 0
    command += [str(tmp_path / "out"), "--scheduler", "local", "--workers", "2"]
    assert main(command) == 0
    assert tree(tmp_path / "out") == tree(tmp_path / "here")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("place", ["tcp://127.0.0.1:{port}", "nowhere", "tls://127.0.0.1:{port}"])
def test_a_scheduler_out_of_reach_is_one_sentence(place, away, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER", 0.5)
    with socket.socket() as deaf:  # takes connections, and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address, began = place.format(port=deaf.getsockname()[1]), time.monotonic()
        with pytest.raises(ClusterError) as raised:
            list(away(photos, address))
    said = str(raised.value)
    assert said.startswith(f"{address}: no Dask scheduler answers there (")
    assert said.endswith("). Start one with 'dask scheduler', or name another.")
    assert time.monotonic() - began < 5 and not (tmp_path / "away").exists()


def test_whoever_is_gone_is_not_waited_for_in_vain(away, noise, tmp_path, monkeypatch, home):
    monkeypatch.setattr(cluster, "ARRIVAL", 0.5)
    crew = Crew(tmp_path, home)
    try:
        with pytest.raises(ClusterError, match=r"no worker has come within 0\.5 s\. Start some"):
            list(away(noise, crew.address))
        (only,) = crew.hire(1)
        monkeypatch.setattr(cluster, "PATIENCE", 1)
        results = away(noise, crew.address)
        next(results)
        only.kill()
        with pytest.raises(
            ClusterError, match=r"no worker has been there for 1 s\. Start some and"
        ):
            for _ in range(24):
                next(results)
        crew.hire(1)
        results = away(noise, crew.address)
        next(results)
        crew.processes[0].kill()
        with pytest.raises(ClusterError, match=r"the scheduler is gone\. Start it, and run the"):
            for _ in range(24):
                next(results)
        assert parts(tmp_path / "away") == []
    finally:
        crew.end()


def test_other_versions_do_not_mix(crew, away, photos, monkeypatch):
    versions = cluster.versions()
    for name, said in {"qr-nodes": "0.0.9", "Pillow": "1.2"}.items():
        other = {**versions, name: said}
        monkeypatch.setattr(cluster, "versions", lambda other=other: other)
        with pytest.raises(ClusterError) as raised:
            list(away(photos, crew.address))
        assert str(raised.value) == (
            f"scheduler {crew.address}: it has {name} {versions[name]}, the client has {said}. "
            "Install the same on all machines."
        )


def test_a_worker_that_sees_other_files_says_so(crew, away, photos, monkeypatch, tmp_path):
    order = cluster._Crew._order
    share = "Share the folder with all workers under this path."
    for change, said in [
        ({"probe": "/other/out/.qr-nodes/parts/x"}, "it does not see /other/out as the client"),
        ({"picture": "/other/a.png"}, f"it does not see {photos / 'a.png'}. {share}"),
        ({"digest": "other"}, f"it sees another picture as {photos / 'a.png'}. {share}"),
        ({"keys": {"export": "00"}}, "its weights, or other files of the graph, are not those"),
        ({"versions": {"numpy": "1"}}, "the client has 1. Install the same on all machines."),
    ]:
        monkeypatch.setattr(
            cluster._Crew,
            "_order",
            lambda crew, task, change=change: dataclasses.replace(order(crew, task), **change),
        )
        first = min(away(photos, crew.address), key=lambda result: result.input)
        assert str(first.error).startswith("worker tcp://127.0.0.1:") and said in str(first.error)
        assert parts(tmp_path / "away") == []


def test_a_folder_not_shared_stops_the_run_at_once(crew, away, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: None)  # into another folder
    with pytest.raises(ClusterError) as raised:
        list(away(photos, crew.address))
    said = str(raised.value)
    assert said.startswith("worker tcp://127.0.0.1:")
    assert f"it does not see {tmp_path / 'away'} as the client does. Share it with all" in said


def test_a_picture_that_kills_workers_is_given_up():
    from distributed import KilledWorker

    error = KilledWorker("picture", None, 3)
    fault = cluster._Crew._lost(None, error)
    assert str(fault) == (
        "4 workers were lost that had it. Give workers more memory, or leave the picture out."
    )


def test_workers_that_come_during_a_run_are_used(graph, tmp_path):
    there: dict[str, int] = {}
    client = SimpleNamespace(nthreads=lambda: there)
    batch = Batch(graph, tmp_path / "out", engine=cli_engine())
    crew = cluster._Crew(client, batch, "tcp://x:1", True, None)
    for threads, window in ((1, 2), (0, 1), (6, 12), (900, 256)):
        there["one"], crew.looked = threads, 0.0
        assert crew.window() == window
    batch.engine.close()


def test_errors_travel_whole():
    error = NodeError("it broke.", "feather", "Mend it.").at("a.png")
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy)) == (NodeError, "a.png: feather: it broke. Mend it.")


def test_options_that_do_not_fit_are_refused(graph, photos, tmp_path, capsys):
    save_graph(graph, tmp_path / "edges.qrgraph")
    command = ["run", str(tmp_path / "edges.qrgraph"), str(photos), "-o", str(tmp_path / "out")]
    for options, said in [
        (["--workers", "2"], "--workers is for --scheduler local."),
        (["--scheduler", "tcp://x:1", "--workers", "2"], "--workers is for --scheduler local."),
        (["--scheduler", "local", "-j", "2"], "--jobs is for this machine alone"),
    ]:
        assert main([*command, *options]) == 2 and said in capsys.readouterr().err
    picture = str(photos / "a.png")
    assert main(["run", command[1], picture, "-o", "a.png", "--scheduler", "local"]) == 2
    assert "--scheduler is for folders, and no folder is named." in capsys.readouterr().err


def test_without_dask_there_is_one_sentence(away, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match="-m pip install 'distributed"):
        list(away(photos, "local"))
