"""What several test files share: stub nodes that record their runs, and isolated folders."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qr_nodes.cache import Cache
from qr_nodes.engine import Engine
from qr_nodes.graph import Graph
from qr_nodes.node import Job, node, spec_of
from qr_nodes.types import Cutout, Mask


def pytest_configure() -> None:
    """Have the processes that tests start hear Ctrl+C, also where this one is to ignore it, as a
    shell tells what it starts with &: a handler that does nothing is not inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)


FAST = (
    *("imaging", "nodes", "batch/test_naming.py", "batch/test_one.py", "batch/test_report.py"),
    *("inference/test_registry.py", "inference/test_resume.py", "test_cache.py"),
    *("test_document.py", "test_engine.py", "test_graph.py", "test_preflight.py"),
    *("test_qrgraph.py", "test_tiled.py"),
)
"""What `-m fast` runs: under 20 s on two cores. A new file in these folders is among it, unless it
takes its place in `SLOW`."""
SLOW = ("nodes/test_segment.py", "imaging/test_edge_aware.py", "imaging/test_shown.py")


def _is_fast(path: Path) -> bool:
    place = path.relative_to(Path(__file__).parent).as_posix()
    return place.startswith(FAST) and not place.startswith(SLOW)


def pytest_ignore_collect(collection_path: Path, config) -> bool | None:
    """With `-m fast`, files that have no fast test are not even imported."""
    is_test = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    return (
        True
        if config.option.markexpr == "fast" and is_test and not _is_fast(collection_path)
        else None
    )


def pytest_collection_modifyitems(items):
    for item in items:
        if _is_fast(item.path) and "process" not in item.keywords:
            item.add_marker("fast")


@pytest.fixture(autouse=True)
def _kept_fast(request, monkeypatch):
    """A fast test starts no process and asks no real network: what does is marked `process`."""
    if "fast" not in request.keywords:
        return

    def refuse(*args, **kwargs):
        pytest.fail("a fast test starts a process: mark it with pytest.mark.process")

    monkeypatch.setattr(subprocess, "Popen", refuse)


def pytest_addoption(parser):
    parser.addoption(
        "--store-figures",
        action="store_true",
        help="write the pinned figures of tests/imaging/test_pinned.py anew",
    )


class Stubs:
    """Node specs whose functions write down that they ran."""

    def __init__(self):
        self.ran: list[str] = []

        @node("Source", category="Stub")
        def stub_source(*, value: float = 1.0) -> Cutout:
            self.ran.append("source")
            return Cutout(np.zeros((4, 6, 3), np.uint8), np.full((4, 6), value / 8, np.float32))

        @node("Add", category="Stub")
        def stub_add(cutout: Cutout, *, amount: float = 1.0, job: Job = Job()) -> Cutout:
            self.ran.append("add")
            job.checkpoint()
            return cutout.with_alpha(cutout.alpha + np.float32(amount))

        @node("Mix", category="Stub")
        def stub_mix(a: Mask, b: Mask | None = None, *, share: float = 0.5) -> Mask:
            self.ran.append("mix")
            return a * np.float32(share) if b is None else a * np.float32(share) + b

        @node("Fail", category="Stub")
        def stub_fail(cutout: Cutout, *, why: str = "because") -> Cutout:
            self.ran.append("fail")
            if why:
                raise ValueError(why)
            return cutout

        @node("Network", category="Stub", full_scale=True)
        def stub_network(cutout: Cutout, *, gain: float = 1.0, job: Job = Job()) -> Cutout:
            self.ran.append("network")

            def infer():
                self.ran.append("inference")
                return cutout.alpha * np.float32(2)

            return cutout.with_alpha(
                job.memo("network", ("weights",), infer, disk=True) * np.float32(gain)
            )

        stubs = (stub_source, stub_add, stub_mix, stub_fail, stub_network)
        self.specs = {fn.__name__.removeprefix("stub_"): spec_of(fn) for fn in stubs}

    def graph(self, *chain: str) -> Graph:
        """Give a chain of stubs, each linked to the one before."""
        graph, last = Graph(), None
        for name in chain:
            id = graph.free_id(name)
            graph = graph.add(self.specs[name], id)
            graph, last = graph.connect(last, id) if last else graph, id
        return graph

    def taken(self) -> list[str]:
        """Give what ran since the last call."""
        ran, self.ran[:] = list(self.ran), []
        return ran


@pytest.fixture
def stubs() -> Stubs:
    return Stubs()


@pytest.fixture
def engine():
    engine = Engine(Cache(1 << 28))
    yield engine
    engine.close()


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch) -> Path:
    """Keep the user's own settings, models and caches out of the tests."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("QR_NODES_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def fetched(tmp_path_factory) -> Path:
    """The default model's weights, fetched as on a new machine, once for all tests."""
    from qr_nodes.inference import store

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QR_NODES_HOME", str(tmp_path_factory.mktemp("fetched")))
        return store.fetch("u2netp")


@pytest.fixture
def weights(home, fetched) -> Path:
    """The default model's weights, in their place for this test."""
    place = home / "models" / fetched.name
    place.parent.mkdir()
    return Path(shutil.copyfile(fetched, place))


@pytest.fixture(scope="session")
def chelsea() -> np.ndarray:
    """A photograph of a cat, (300, 451, 3) uint8."""
    from skimage import data

    return data.chelsea()


@pytest.fixture
def picture(tmp_path):
    """A small picture with transparency, in a folder of its own."""
    file = tmp_path / "pictures" / "cat.png"
    file.parent.mkdir()
    rgba = np.zeros((20, 30, 4), np.uint8)
    rgba[4:15, 5:25] = (200, 40, 90, 255)
    Image.fromarray(rgba).save(file)
    return file
