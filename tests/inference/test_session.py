import threading
from collections import OrderedDict, defaultdict
from dataclasses import replace

import numpy as np
import psutil
import pytest

from qr_nodes.errors import Cancelled, DeviceError, ModelError
from qr_nodes.inference import session
from qr_nodes.inference.devices import CPU, Device
from qr_nodes.inference.registry import Model

POSING = Device("Test GPU", "gpu", "CPUExecutionProvider")
"""The CPU's provider under another name: fails as a GPU would."""
RGB = np.random.default_rng(2).integers(0, 256, (8, 8, 3), np.uint8)


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    monkeypatch.setattr(session, "_sessions", OrderedDict())
    monkeypatch.setattr(session, "_failed", {})
    monkeypatch.setattr(session, "_turns", defaultdict(threading.Lock))


def model(output="matte", divide="255", **fields) -> Model:
    fields = {"checksum": f"md5:{0:032x}", "size": (8, 8), "name": "small"} | fields
    return Model(file="a.onnx", licence="", output=output, divide=divide, **fields)


def test_a_picture_is_divided_and_normalised(onnx_file):
    path = onnx_file("matte")
    np.testing.assert_allclose(
        session.predict(model(), path, RGB), RGB.mean(axis=2) / 255, atol=1e-6
    )
    np.testing.assert_allclose(
        session.predict(model(divide="image max"), path, RGB // 2),
        (RGB // 2).mean(axis=2) / (RGB // 2).max(),
        atol=1e-6,
    )
    moved = model(mean=(-0.1, -0.2, -0.3), std=(1.5, 2, 2.5))
    x = (RGB / 255 + [0.1, 0.2, 0.3]) / [1.5, 2, 2.5]
    np.testing.assert_allclose(session.predict(moved, path, RGB), x.mean(axis=2), atol=1e-6)


def test_a_black_picture_is_not_divided_by_zero(onnx_file):
    black = session.predict(model(divide="image max"), onnx_file("matte"), np.zeros_like(RGB))
    assert (black == 0).all()


def test_logits_go_through_a_sigmoid(onnx_file):
    matte = session.predict(model("logits"), onnx_file("logits"), RGB)
    np.testing.assert_allclose(matte, 1 / (1 + np.exp(-10 * RGB.mean(axis=2) / 255)), atol=1e-6)


def test_classes_give_what_is_not_background(onnx_file):
    matte = session.predict(model("classes"), onnx_file("classes"), RGB)
    scores = np.exp(5 * np.append(RGB / 255, np.zeros((8, 8, 1)), axis=2))
    np.testing.assert_allclose(matte, 1 - scores[..., 0] / scores.sum(axis=2), atol=1e-6)


FAULTS = {
    "nan": "values that are not numbers",
    "beyond": "values from 7.* not 0 to 1",
    "flat": r"an array of shape \(1,\), not a matte",
    "four channels": "[Gg]ot invalid dimensions|Got: 3 Expected: 4",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_no_network_would_give_is_refused(onnx_file, kind):
    with pytest.raises(ModelError, match=FAULTS[kind]):
        session.predict(model(), onnx_file(kind), RGB)


@pytest.mark.parametrize("kind", FAULTS)
def test_from_another_device_it_is_the_devices_fault(onnx_file, kind):
    with pytest.raises(DeviceError, match=f"small: Test GPU failed: .*({FAULTS[kind]})"):
        session.predict(model(), onnx_file(kind), RGB, POSING)


def test_a_device_that_failed_is_not_tried_again(onnx_file, monkeypatch):
    with pytest.raises(DeviceError, match="not numbers"):
        session.predict(model(), onnx_file("nan"), RGB, POSING)
    monkeypatch.setattr(session, "_raw", None)
    with pytest.raises(DeviceError, match="not numbers"):
        session.predict(model(), onnx_file("nan"), RGB, POSING)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_silent_fallback_is_noticed(onnx_file):
    absent = Device("CUDA", "gpu", "CUDAExecutionProvider")
    with pytest.raises(
        DeviceError, match="CUDA failed: onnxruntime fell back to CPUExecutionProvider silently"
    ):
        session.predict(model(), onnx_file("matte"), RGB, absent)


def test_a_device_that_cannot_run_says_why(onnx_file):
    absent = Device("CUDA", "gpu", "CUDAExecutionProvider", reason="it needs a driver.")
    with pytest.raises(DeviceError, match="CUDA failed: it needs a driver"):
        session.predict(model(), onnx_file("matte"), RGB, absent)


def test_weights_that_are_no_network_are_refused(tmp_path):
    path = tmp_path / "half.onnx"
    path.write_bytes(b"\x08\x08:<\n")
    with pytest.raises(ModelError, match=r"small: the network cannot be used: .*qr-nodes models"):
        session.predict(model(), path, RGB)


def test_a_network_is_loaded_once_and_few_are_kept(onnx_file, monkeypatch):
    loads, load = [], session._load
    monkeypatch.setattr(session, "_load", lambda *args: loads.append(1) or load(*args))
    for _ in range(3):
        session.predict(model(), onnx_file("matte"), RGB)
    assert len(loads) == 1
    for number in range(1, 5):
        session.predict(model(checksum=f"md5:{number:032x}"), onnx_file("matte"), RGB)
    assert len(loads) == 5 and len(session._sessions) == session.KEPT


def test_a_network_that_was_got_ready_is_not_loaded_again(onnx_file, monkeypatch):
    loads, load = [], session._load
    monkeypatch.setattr(session, "_load", lambda *args: loads.append(1) or load(*args))
    for _ in range(2):
        session.ready(model(), onnx_file("matte"))
    session.predict(model(), onnx_file("matte"), RGB)
    assert len(loads) == 1


def test_a_device_that_failed_is_not_got_ready(onnx_file, monkeypatch):
    session._failed[model().checksum, POSING.name] = "lost"
    monkeypatch.setattr(session, "_load", None)  # would fail if it were called
    session.ready(model(), onnx_file("matte"), POSING)
    session.ready(model(), onnx_file("matte"), replace(POSING, name="Other", reason="no driver"))


def test_a_network_of_one_size_that_rests_is_loaded_anew_when_it_is_asked(onnx_file):
    first = session.predict(model(), onnx_file("matte"), RGB, more=True)
    session.rest(model())
    assert not session._sessions
    np.testing.assert_array_equal(session.predict(model(), onnx_file("matte"), RGB), first)


def test_a_flexible_network_that_rests_gives_its_memory_back_and_stays(onnx_file):
    def held():
        return psutil.Process().memory_info().rss >> 20

    path, large = onnx_file("roomy"), np.zeros((512, 512, 3), np.uint8)
    flexible = model(size=(512, 512), flexible=True)
    first = session.predict(flexible, path, large)
    before = held()
    session.predict(flexible, path, large, more=True)
    assert held() > before + 100  # MiB
    session.rest(flexible)
    assert held() < before + 20
    assert list(session._sessions) == [(flexible.checksum, CPU.name)]
    np.testing.assert_array_equal(session.predict(flexible, path, large), first)


def test_a_network_does_not_wait_for_another_to_rest(onnx_file):
    flexible = model(flexible=True)
    session.predict(flexible, onnx_file("any size"), RGB, more=True)
    with session._turns[CPU.name]:
        session.rest(flexible)
    assert not session._sessions


def test_a_network_that_cannot_rest_goes(onnx_file):
    flexible = model(flexible=True)
    session.predict(flexible, onnx_file("eight only"), RGB, more=True)
    session.rest(flexible)
    assert not session._sessions
    assert not session._turns[CPU.name].locked()


def test_a_running_network_is_stopped_and_the_device_is_free_again(onnx_file):
    path, big = onnx_file("slow"), np.zeros((320, 320, 3), np.uint8)
    polls = []

    def checkpoint():
        polls.append(1)
        if len(polls) == 8:
            raise Cancelled

    with pytest.raises(Cancelled):
        session.predict(model(size=(320, 320)), path, big, checkpoint=checkpoint)
    assert not session._turns[CPU.name].locked()
    other = model(checksum=f"md5:{1:032x}")
    assert session.predict(other, onnx_file("matte"), RGB).shape == (8, 8)


def test_a_stopped_device_did_not_fail(onnx_file):
    def checkpoint():
        raise Cancelled

    with pytest.raises(Cancelled):
        big = np.zeros((320, 320, 3), np.uint8)
        session.predict(model(size=(320, 320)), onnx_file("slow"), big, POSING, checkpoint)
    assert not session._failed


def test_one_network_at_a_time_runs_on_a_device(onnx_file, monkeypatch):
    running, most, run = [], [], session._run

    def counted(*args):
        running.append(1)
        most.append(len(running))
        try:
            return run(*args)
        finally:
            running.pop()

    monkeypatch.setattr(session, "_run", counted)
    path = onnx_file("matte")
    calls = [threading.Thread(target=session.predict, args=(model(), path, RGB)) for _ in range(8)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(most) == 8 and max(most) == 1


def test_waiting_for_a_device_can_be_stopped(onnx_file):
    def checkpoint():
        raise Cancelled

    with session._turns[CPU.name], pytest.raises(Cancelled):
        session.predict(model(), onnx_file("matte"), RGB, checkpoint=checkpoint)


def test_a_benchmark_gives_seconds(onnx_file):
    assert 0 < session.benchmark(model(), onnx_file("matte"), runs=3) < 60
