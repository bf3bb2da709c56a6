"""What several test files share: stub nodes that record their runs, and isolated folders."""

from __future__ import annotations

import shutil
import signal
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
