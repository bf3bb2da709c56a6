import sys
from types import SimpleNamespace

import pytest

from qr_nodes.errors import DeviceError
from qr_nodes.inference import devices
from qr_nodes.inference.devices import CPU, Device, pick

CUDA = Device("CUDA", "gpu", "CUDAExecutionProvider", reason="it needs a driver.")
CARD = Device("DirectML 0: Radeon", "gpu", "DmlExecutionProvider")
SOFT = Device("DirectML 1: Basic Render", "gpu", "DmlExecutionProvider", software=True)
PLUGIN_CPU = Device("OpenVINO CPU", "cpu", "OpenVINOExecutionProvider")


@pytest.fixture
def there(monkeypatch):
    """Say which devices this machine has."""

    def have(*found):
        monkeypatch.setattr(devices, "_found", list(found))

    return have


def test_auto_takes_a_hardware_gpu(there):
    there(CUDA, SOFT, CARD, PLUGIN_CPU, CPU)
    assert pick() == pick("gpu") == CARD


def test_auto_takes_no_software_gpu_and_no_plug_in_for_the_cpu(there):
    there(CUDA, SOFT, PLUGIN_CPU, CPU)
    assert pick("auto") == CPU
    with pytest.raises(DeviceError, match=r"no GPU can be used here\. CUDA: it needs a driver\."):
        pick("gpu")


def test_a_device_is_meant_by_the_beginning_of_its_name(there):
    there(CUDA, CARD, SOFT, PLUGIN_CPU, CPU)
    assert pick("directml 1") == SOFT
    assert pick("OPENVINO") == PLUGIN_CPU
    assert pick("CPU") == CPU


def test_a_device_that_cannot_run_says_why(there):
    there(CUDA, CPU)
    with pytest.raises(DeviceError, match=r"CUDA cannot run: it needs a driver\. Use auto or cpu"):
        pick("cuda")


@pytest.mark.parametrize("name", ["radeon", ""])
def test_an_unknown_device_is_answered_with_those_there_are(there, name):
    there(CUDA, CARD, CPU)
    with pytest.raises(DeviceError, match="Use auto, cpu, gpu or: DirectML 0: Radeon, CPU"):
        pick(name)


def test_the_cpu_is_always_there_and_last():
    found = devices.devices()
    assert found[-1] == CPU and CPU.available
    assert all(d.reason.endswith(".") for d in found if not d.available)


def test_a_plug_in_that_does_not_load_says_so(tmp_path, monkeypatch):
    folder = tmp_path / "onnxruntime_ep_broken"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "get_ep_name = lambda: 'BrokenExecutionProvider'\n"
        "get_library_path = lambda: __file__  # no library\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {d.name: d for d in devices._plugins(set())}
    assert "the package onnxruntime-ep-broken cannot be loaded" in found["broken"].reason


def plugin(monkeypatch, tmp_path, *entries):
    """Install a plug-in whose library needs no loading and which drives `entries`."""
    folder = tmp_path / "onnxruntime_ep_openvino"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "get_ep_name = lambda: 'OpenVINOExecutionProvider'\nget_library_path = lambda: 'x'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "onnxruntime_ep_openvino", raising=False)
    ort = SimpleNamespace(
        register_execution_provider_library=lambda name, path: None,
        get_ep_devices=lambda: entries,
    )
    monkeypatch.setattr(devices, "runtime", lambda: ort)
    return [d for d in devices._plugins(set()) if d.provider == "OpenVINOExecutionProvider"]


def entry(kind, about=""):
    metadata = {"Description": about} if about else {}
    device = SimpleNamespace(type=SimpleNamespace(name=kind), metadata=metadata)
    return SimpleNamespace(ep_name="OpenVINOExecutionProvider", device=device)


def test_a_plug_ins_devices_are_named_by_kind_number_and_card(monkeypatch, tmp_path):
    entries = entry("CPU"), entry("GPU", "Arc  A770"), entry("GPU", "llvmpipe (LLVM 15)")
    found = plugin(monkeypatch, tmp_path, *entries)
    assert [d.name for d in found] == [
        "OpenVINO GPU 0: Arc A770",
        "OpenVINO GPU 1: llvmpipe (LLVM 15)",
        "OpenVINO CPU",
    ]
    assert [d.software for d in found] == [False, True, False]
    assert [d.kind for d in found] == ["gpu", "gpu", "cpu"]
    assert dict(found[0].options)["load_config"] == '{"GPU": {"INFERENCE_PRECISION_HINT": "f32"}}'


def test_a_plug_in_without_a_device_says_so(monkeypatch, tmp_path):
    (found,) = plugin(monkeypatch, tmp_path)
    assert found.reason == "no device of this machine, or no driver for it, was found."


def built_in(monkeypatch, session):
    ort = SimpleNamespace(
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
        get_ep_devices=lambda: [],
        package_name="onnxruntime-gpu",
        InferenceSession=session,
    )
    monkeypatch.setattr(devices, "runtime", lambda: ort)
    return devices._built_in()[0]


def test_a_provider_that_falls_back_cannot_run(monkeypatch):
    fallen = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    found = built_in(monkeypatch, lambda *args, **kwargs: fallen)
    assert found.name == "CUDA" and found.reason == "its driver or libraries are missing."


def test_a_provider_that_fails_gives_its_reason_in_one_line(monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError(
            "[ONNXRuntimeError] : 1 : FAIL : /src/webgpu_context.cc:65 void f(int) x == y was "
            "false. No supported adapters.\nmore\n"
        )

    assert built_in(monkeypatch, fail).reason == "No supported adapters."


def test_a_provider_that_runs_the_probe_is_available(monkeypatch):
    from onnxruntime import InferenceSession

    def on_cpu(model, providers, enable_fallback):
        real = InferenceSession(model, providers=["CPUExecutionProvider"])
        return SimpleNamespace(get_providers=lambda: [providers[0][0]], run=real.run)

    assert built_in(monkeypatch, on_cpu).available


def test_without_onnxruntime_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    devices.runtime.cache_clear()
    with pytest.raises(DeviceError, match=r"onnxruntime cannot be loaded: .*pip install"):
        devices.runtime()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : No such op", "No such op."),
        (
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Status Message: /src/core/arena.cc:360 "
            "void* ort::Arena::Alloc(size_t, ort::Stream*) const Failed to get 4 (four) bytes.",
            "Status Message: Failed to get 4 (four) bytes.",
        ),
        (
            "/src/a/b.h:17 static void Safe<ort::Error>::On() Integer overflow.",
            "Integer overflow.",
        ),
        ("/src/x.cc:9 bool ort::F(int) a >= 0 was false. Negative sides.", "Negative sides."),
    ],
)
def test_what_onnxruntime_says_is_shown_without_its_source(said, shown):
    assert devices.first_line(RuntimeError(said)) == shown
