"""A GPU that fails, in any way, is replaced by the CPU, and the node says so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import screen  # noqa: F401
from driver import needs_a_screen

from qr_nodes.cache import Cache
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.errors import DeviceError
from qr_nodes.graph import Graph
from qr_nodes.inference import session

FAKE = '''
import os
import re

from qr_nodes.inference import devices, session

GPU = devices.Device("Test GPU", "gpu", "CPUExecutionProvider")
OUT = "CUDA failure 2: out of memory ; GPU=0 ; hostname=here ; expr=cudaMalloc"


class OnGpu:
    """A network on a card that breaks."""

    def __init__(self, real, fault):
        self.real, self.fault, self.runs = real, fault, 0

    def __getattr__(self, name):
        return getattr(self.real, name)

    def run(self, *arguments):
        self.runs += 1
        given = self.real.run(*arguments)
        if self.runs == {"at the first run": 1, "at the second run": 2}.get(self.fault):
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: illegal address")
        if self.fault == "out of memory":
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : " + OUT)
        if self.fault == "out of the machine's memory":
            raise MemoryError
        if self.fault == "not numbers":
            given[0][..., ::3] = float("nan")
        if self.fault == "beyond 0 to 1":
            given[0] *= 1e6
        return given


def broken(fault, patch=setattr):
    """Put a card in the machine that breaks."""
    load = session._load

    def loading(weights, device, options, flexible=False):
        if device.name != GPU.name:
            return load(weights, device, options, flexible)
        if fault == "at loading":
            raise session._Fault("CUDA failure 35: the driver is older than the runtime.")
        return OnGpu(load(weights, device, options, flexible), fault)

    patch(devices, "_found", [GPU, devices.CPU])
    patch(session, "_load", loading)
'''
WORDS = {
    "at loading": "CUDA failure 35: the driver is older than the runtime",
    "at the first run": "CUDA failure 700: illegal address",
    "at the second run": "CUDA failure 700: illegal address",
    "out of memory": "CUDA failure 2: out of memory",
    "out of the machine's memory": "MemoryError",
    "not numbers": "it gives values that are not numbers",
    "beyond 0 to 1": "it gives values from .* not 0 to 1",
}
WINDOW = """
import os, sys, time
import dearpygui.dearpygui as dpg
from qr_nodes.qrgraph import load_graph
from qr_nodes.ui.app import opened
app = opened()
app.loop.step()
app.loop.step()
app.files._use(load_graph("quick").set_param("load", "path", sys.argv[1]), "")
end = time.monotonic() + 90
ended = ("done", "reused", "failed")
while time.monotonic() < end and app.canvas.facts["segment"].kind not in ended:
    app.loop.step()
app.canvas.select(["segment"])
for _ in range(5):
    app.loop.step()
print("state:", app.canvas.facts["segment"].kind)
print("tip:", app.canvas.pointer.explain(None, "segment"))
for item in dpg.get_item_children(app.inspector._status, 1):
    print("inspector:", dpg.get_value(item))
print("bar:", dpg.get_value("app message"), flush=True)
os._exit(0)
"""


@pytest.fixture
def broken(monkeypatch, weights):
    """Give a function that puts a card in the machine that breaks in one way."""
    scope: dict = {}
    exec(FAKE, scope)
    monkeypatch.setattr(session, "_sessions", OrderedDict())
    monkeypatch.setattr(session, "_failed", {})
    monkeypatch.setattr(session, "_turns", defaultdict(threading.Lock))
    return lambda fault: scope["broken"](fault, monkeypatch.setattr)


@pytest.fixture
def photo(tmp_path, chelsea) -> Path:
    from PIL import Image

    Image.fromarray(chelsea).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def cut(photo, **params):
    """Cut a picture out with a new engine; give the outcome and what the network's node said."""
    graph = Graph.chain("load", "segment").set_param("load", "path", str(photo))
    for name, value in params.items():
        graph = graph.set_param("segment", name, value)
    engine, said = Engine(Cache(1 << 28)), []
    outcome = engine.run(
        RunRequest(graph, ("segment",)),
        lambda event: said.append(event.notes) if event.node == "segment" and event.outputs else 0,
    )
    engine.close()
    return outcome, said[-1] if said else ()


@pytest.mark.parametrize("fault", WORDS)
def test_the_cpu_finishes_what_a_gpu_does_not_and_the_node_says_so(broken, photo, fault):
    broken(fault)
    quality = "balanced" if fault == "at the second run" else "fast"
    outcome, said = cut(photo, quality=quality)
    assert not outcome.errors
    (note,) = said
    assert note.startswith("The CPU did this: Test GPU failed: ") and note.count("\n") == 0
    assert re.search(WORDS[fault], note)
    # It is not tried again, holds no memory, and is spoken of again.
    assert [device for _, device in session._sessions] == ["CPU"]
    assert cut(photo, quality=quality)[1] == said
    ours = outcome.outputs["segment"]["cutout"].alpha
    wanted = cut(photo, quality=quality, device="cpu")[0].outputs["segment"]["cutout"].alpha
    if fault == "at the second run":  # the first answer was the card's, and good
        np.testing.assert_allclose(ours, wanted, atol=1e-5)
    else:
        np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("fault", WORDS)
def test_a_required_gpu_that_fails_is_an_error_on_the_node(broken, photo, fault):
    broken(fault)
    outcome, _ = cut(photo, require_gpu=True, quality="balanced")
    error = outcome.errors["segment"]
    assert isinstance(error, DeviceError) and "segment" not in outcome.outputs
    assert re.search(f"Test GPU failed: .*{WORDS[fault]}", str(error))


def test_a_gpu_that_works_is_used_and_nothing_is_said(broken, photo):
    broken("")
    outcome, said = cut(photo, quality="fast")
    assert not outcome.errors and said == ()
    assert [device for _, device in session._sessions] == ["Test GPU"]


@pytest.fixture
def with_card(tmp_path):
    """Give a function that runs Python with a card that breaks in the machine."""

    def run(fault, *arguments, **more):
        code = f"{FAKE}\nbroken({fault!r})\n"
        (tmp_path / "sitecustomize.py").write_text(code)
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path, **more},
            capture_output=True, text=True, timeout=200,
        )  # fmt: skip

    return run


def test_the_command_line_says_who_did_it_and_fails_if_it_must_be_the_gpu(
    with_card, weights, photo, tmp_path
):
    out = tmp_path / "out.png"
    done = with_card("out of memory", "-m", "qr_nodes", "remove", photo, "-o", out)
    assert done.returncode == 0 and out.exists()
    assert (
        "segment: The CPU did this: Test GPU failed: CUDA failure 2: out of memory" in done.stderr
    )
    out.unlink()
    command = ("-m", "qr_nodes", "remove", photo, "-o", out, "--require-gpu")
    done = with_card("out of memory", *command)
    assert done.returncode == 1 and not out.exists()
    assert "Test GPU failed: CUDA failure 2: out of memory" in done.stderr
    assert "Traceback" not in done.stderr


@needs_a_screen
def test_the_window_shows_on_the_node_that_the_cpu_did_it(
    with_card,
    weights,
    photo,
    screen,  # noqa: F811
):
    done = with_card("not numbers", "-c", WINDOW, photo, DISPLAY=screen)
    assert done.returncode == 0, done.stderr
    note = "The CPU did this: Test GPU failed: it gives values that are not numbers."
    assert "state: failed" not in done.stdout, done.stdout + done.stderr
    assert f"inspector: {note}" in done.stdout
    assert note in done.stdout.partition("tip:")[2].partition("inspector:")[0]
