"""What can run a network on this machine, and why the rest cannot.

State: `_found`, the devices of this machine, looked for once per process.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from qr_nodes.errors import DeviceError, suggest

Kind = Literal["cpu", "gpu", "npu"]


@dataclass(frozen=True)
class Device:
    """Something that can run a network, or could if its reason not to were mended.

    Attributes
    ----------
    name : as shown and asked for, such as "CPU" or "DirectML 0: Radeon RX 6600"
    kind : "cpu", "gpu" or "npu"
    provider : onnxruntime's name of what drives it
    options : what that provider is told, as (key, value) pairs
    reason : why it cannot run, as a sentence; "" if it can
    software : a GPU in name only, computed by the CPU
    plugin : onnxruntime's handle of a device that a plug-in drives, or None
    """

    name: str
    kind: Kind
    provider: str
    options: tuple[tuple[str, str], ...] = ()
    reason: str = ""
    software: bool = False
    plugin: Any = field(default=None, repr=False, compare=False)

    @property
    def available(self) -> bool:
        """Whether it can run."""
        return not self.reason


CPU = Device("CPU", "cpu", "CPUExecutionProvider")

# Title, provider, the package that brings it, the systems to offer it on; best first.
_BUILT_IN = (
    ("CUDA", "CUDAExecutionProvider", "onnxruntime-gpu", ("linux", "win32")),
    ("CoreML", "CoreMLExecutionProvider", "onnxruntime", ("darwin",)),
    ("DirectML", "DmlExecutionProvider", "onnxruntime-directml", ("win32",)),
    ("WebGPU", "WebGpuExecutionProvider", "onnxruntime-webgpu", ()),
    # After the others: it takes minutes to prepare a network.
    ("TensorRT", "TensorrtExecutionProvider", "onnxruntime-gpu", ()),
)
_PLUGIN_PREFIX = "onnxruntime_ep_"
# What the package's name says of it, a title, its provider, and the systems to offer it on.
_PLUGINS = {
    "webgpu": ("WebGPU", "WebGpuExecutionProvider", ("linux", "win32", "darwin")),
    "openvino": ("OpenVINO", "OpenVINOExecutionProvider", ("linux", "win32")),
    "nv_tensorrt_rtx": ("TensorRT RTX", "NvTensorRTRTXExecutionProvider", ()),
}
_OPTIONS = {
    # It would compute in half precision where it can, which moves a matte by several levels.
    "OpenVINOExecutionProvider": (("load_config", '{"%s": {"INFERENCE_PRECISION_HINT": "f32"}}'),),
}
_SOFTWARE = ("swiftshader", "llvmpipe", "lavapipe", "basic render", "software")
# One Relu on one number, as an ONNX file: enough to see whether a provider starts at all.
_PROBE = (
    b'\x08\x08:<\n\x0f\n\x02in\x12\x03out"\x04Relu\x12\x04testZ\x10\n\x02in\x12\n\n\x08\x08'
    b"\x01\x12\x04\n\x02\x08\x01b\x11\n\x03out\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04"
    b"\n\x00\x10\r"
)
_lock = threading.Lock()
_found: list[Device] = []


@cache
def runtime():
    """Import onnxruntime, made quiet and told to send nothing anywhere."""
    # Before the import, which would give this machine a number in a file and open a database of
    # what is to be sent; the call below alone leaves both behind.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(
            f"onnxruntime cannot be loaded: {error}.",
            hint="Install it with 'pip install onnxruntime'.",
        ) from error
    onnxruntime.set_default_logger_severity(4)  # what goes wrong is raised or noted by us
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def devices() -> list[Device]:
    """Give every device, best first and the CPU last, each with the reason if it cannot run."""
    with _lock:
        if not _found:
            built_in = _built_in()
            _found.extend([*built_in, *_plugins({device.provider for device in built_in}), CPU])
        return list(_found)


def pick(name: str = "auto") -> Device:
    """Give the device that is meant.

    Parameters
    ----------
    name : str
        "auto" (a hardware GPU if there is one, else the CPU), "cpu", "gpu", or the beginning
        of a device's name, in any case.

    Raises
    ------
    DeviceError
        There is no such device, or it cannot run.
    """
    wanted = name.strip().casefold()
    if wanted == "cpu":
        return CPU
    gpus = [d for d in devices() if d.kind == "gpu"]
    hardware = [d for d in gpus if d.available and not d.software]
    if wanted == "auto":
        return hardware[0] if hardware else CPU
    if wanted == "gpu":
        if hardware:
            return hardware[0]
        reasons = " ".join(f"{d.name}: {d.reason}" for d in gpus if d.reason)
        raise DeviceError(f"no GPU can be used here. {reasons}", hint="Use auto or cpu.")
    meant = [d for d in devices() if d.name.casefold().startswith(wanted)] if wanted else []
    for device in meant:
        if device.available:
            return device
    if meant:
        raise DeviceError(f"{meant[0].name} cannot run: {meant[0].reason}", hint="Use auto or cpu.")
    names = [d.name for d in devices() if d.available]
    hint = f"Use auto, cpu, gpu or: {', '.join(names)}."
    hint = suggest(name, ["auto", "cpu", "gpu", *names], hint)
    raise DeviceError(f"there is no device {name!r}.", hint=hint, exit_code=2)


def _built_in() -> list[Device]:
    """Give the devices of the providers that are, or could be, part of onnxruntime itself."""
    ort, found = runtime(), []
    there = ort.get_available_providers()
    if "CUDAExecutionProvider" in there and hasattr(ort, "preload_dlls"):
        with contextlib.suppress(Exception):  # CUDA and cuDNN from pip packages, where installed
            ort.preload_dlls()
    for title, provider, package, systems in _BUILT_IN:
        if provider in there:
            cards = [e for e in ort.get_ep_devices() if e.ep_name == provider]
            for number in range(len(cards) or 1):
                about = _description(cards[number]) if cards else ""
                options = (("device_id", str(number)),) if cards else ()
                name = _name(title, number if cards else None, about)
                software = _is_software(about) or _no_card(provider)
                device = Device(name, "gpu", provider, options, software=software)
                found.append(replace(device, reason=_fault(device)))
        elif sys.platform in systems:
            reason = f"it needs the package {package} in place of {ort.package_name}."
            found.append(Device(title, "gpu", provider, reason=reason))
    return found


def _plugins(there: set[str]) -> list[Device]:
    """Give the devices of the plug-ins among the installed packages, and those to install.

    `there` are providers that need no plug-in.
    """
    names, found = _installed(), []
    for module in names:
        id = module.removeprefix(_PLUGIN_PREFIX)
        found += _of_plugin(module, _PLUGINS.get(id, (id,))[0])
    for id, (title, provider, systems) in _PLUGINS.items():
        absent = _PLUGIN_PREFIX + id not in names and provider not in there
        if absent and sys.platform in systems:
            reason = f"it needs the package {(_PLUGIN_PREFIX + id).replace('_', '-')}."
            found.append(Device(title, "gpu", provider, reason=reason))
    return sorted(found, key=lambda device: device.kind != "gpu")


def _installed() -> list[str]:
    """Give the modules that plug-ins are, by their folders' names: a look of 1 ms."""
    names = set()
    for folder in sys.path:
        with contextlib.suppress(OSError):  # an archive, or not there
            names.update(os.listdir(folder or "."))
    return sorted(n for n in names if n.startswith(_PLUGIN_PREFIX) and n.isidentifier())


def _of_plugin(module: str, title: str) -> list[Device]:
    """Register a plug-in's library and give what it drives, or the reason why nothing."""
    ort = runtime()
    try:
        package = import_module(module)
        provider = package.get_ep_name()
        ort.register_execution_provider_library(module, package.get_library_path())
        entries = [e for e in ort.get_ep_devices() if e.ep_name == provider]
    except Exception as error:  # whatever a foreign package and its libraries may raise
        reason = f"the package {module.replace('_', '-')} cannot be loaded: {first_line(error)}"
        return [Device(title, "gpu", title, reason=reason)]
    if not entries:
        reason = "no device of this machine, or no driver for it, was found."
        return [Device(title, "gpu", provider, reason=reason)]
    found, kinds = [], [entry.device.type.name for entry in entries]
    for index, entry in enumerate(entries):
        kind = kinds[index]
        number = kinds[:index].count(kind) if kinds.count(kind) > 1 else None
        about = _description(entry)
        options = tuple((k, v % kind if "%" in v else v) for k, v in _OPTIONS.get(provider, ()))
        found.append(
            Device(
                _name(f"{title} {kind}", number, about),
                kind.lower(),
                provider,
                options,
                software=_is_software(about),
                plugin=entry,
            )
        )
    return found


def _fault(device: Device) -> str:
    """Start a built-in provider on the smallest network; say what goes wrong, or ""."""
    ort = runtime()
    try:
        chosen = [(device.provider, dict(device.options))]
        session = ort.InferenceSession(_PROBE, providers=chosen, enable_fallback=0)
        if device.provider not in session.get_providers():
            return "its driver or libraries are missing."
        session.run(None, {"in": np.zeros(1, np.float32)})
    except Exception as error:
        return first_line(error)
    return ""


def first_line(error: BaseException) -> str:
    """Give what an error says as one sentence, without onnxruntime's codes and source files."""
    said = str(error).strip() or type(error).__name__
    said = re.split(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", said)[-1].splitlines()[0]
    while source := re.search(r"\S+\.(cc|cpp|h):\d+ ", said):
        rest = _after_call(said[source.end() :])
        said = said[: source.start()] + re.sub(r"^.* was false\. ", "", rest)
    said = said.strip()
    return said.rstrip(". ")[:300] + "."


def _after_call(text: str) -> str:
    """Give what follows a C++ function's name and its parentheses; all, if none begins it."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == ")" and depth == 0:
            rest = text[place + 1 :].removeprefix(" const")
            return rest.lstrip() if rest[:1] == " " and "::" in text[:place] else text
    return text


def _name(title: str, number: int | None, about: str) -> str:
    return title + (f" {number}" if number is not None else "") + (f": {about}" if about else "")


def _description(entry: Any) -> str:
    return " ".join(entry.device.metadata.get("Description", "").split())


def _no_card(provider: str) -> bool:
    """Say whether WebGPU, which names no card, can only have found a software one."""
    if provider != "WebGpuExecutionProvider" or sys.platform != "linux":
        return False
    nodes = ("dri/renderD*", "nvidia[0-9]*", "dxg")
    return not any(any(Path("/dev").glob(node)) for node in nodes)


def _is_software(about: str) -> bool:
    return any(word in about.casefold() for word in _SOFTWARE)
