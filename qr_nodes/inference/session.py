"""Run a network on a device: load it once, stop when asked, and never trust what comes out.

State: `_sessions`, the networks last used, ready to run, by weights and device; `_failed`, what
went wrong on a device that is no CPU; `_turns`, one lock per device.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import numpy as np

from qr_nodes import resources
from qr_nodes.errors import DeviceError, ModelError
from qr_nodes.inference.devices import CPU, Device, first_line, runtime
from qr_nodes.inference.registry import Model
from qr_nodes.inference.sizes import freed

KEPT = 2
"""Networks that stay loaded: a large one takes a gigabyte."""
SMALLEST = 32
"""Side in px of the smallest picture that a flexible network takes."""
POLL = 0.02
"""Seconds between two looks at whether the result is still wanted."""
APART = 8
"""How many times smaller or larger than its picture a matte may be: some networks stop early."""
SLACK = 0.01
"""How far beyond 0 and 1 rounding may carry a matte; more is a fault."""

_sessions: OrderedDict[tuple[str, str], Any] = OrderedDict()
_failed: dict[tuple[str, str], str] = {}
_turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)


def predict(
    model: Model,
    weights: Path,
    rgb: np.ndarray,
    device: Device = CPU,
    checkpoint: Callable[[], None] = lambda: None,
    more: bool = False,
) -> np.ndarray:
    """Give a network's matte for a picture of the network's own size.

    Parameters
    ----------
    model : Model
        How to feed the network and read its output.
    weights : path of its checked file
    rgb : (h, w, 3) uint8, `model.size` in px; other sizes if the model is flexible
    device : Device
        What to run it on. Another than the CPU that failed once is not tried again.
    checkpoint : callable
        Called every 20 ms; what it raises stops the network and is passed on.
    more : bool
        Another picture follows at once: the memory that this run took is kept for it.

    Returns
    -------
    matte : (h, w) float32 in [0, 1]
        After the sigmoid or the classes' shares, before any stretching.

    Raises
    ------
    DeviceError
        A device other than the CPU cannot run it, or gives what no network would.
    ModelError
        The CPU cannot.
    """
    key = (model.checksum, device.name)
    try:
        if key in _failed:
            raise _Fault(_failed[key])
        if device.reason:
            raise _Fault(device.reason)
        raw = _raw(model, weights, rgb, device, checkpoint, more)
        return _matte(_sized(raw, rgb.shape), model.output)
    except _Fault as fault:
        if device.kind == "cpu" and device.plugin is None:
            hint = "Run 'qr-nodes models verify', or try another model."
            raise ModelError(f"the network cannot be used: {fault}", model.name, hint) from fault
        _failed[key] = str(fault)
        _sessions.pop(key, None)  # it would hold the device's memory, and is not used again
        raise DeviceError(f"{device.name} failed: {fault}", model.name) from fault


def ready(model: Model, weights: Path, device: Device = CPU) -> None:
    """Load a network before it is asked, if it is not loaded and nothing is known against it."""
    key = (model.checksum, device.name)
    if key not in _sessions and key not in _failed and not device.reason:
        with _turns[device.name]:
            if key not in _sessions:
                _keep(key, _load(weights, device, _options(device), model.flexible))


def rest(model: Model) -> None:
    """Give back what a run with `more` kept on the CPU, as nothing more comes after all.

    Only a run can do that: of the smallest picture, if the network takes one and the CPU is free.
    It needs 15 ms; to load the network anew takes 50. Else the network goes, until it is asked.
    """
    key, turn = (model.checksum, CPU.name), _turns[CPU.name]
    session = _sessions.pop(key, None)
    if session is None or not model.flexible or not turn.acquire(blocking=False):
        return
    try:
        _run_smallest(session, _last_run())
        _keep(key, session)
    except _Fault:
        pass  # it is loaded anew
    finally:
        turn.release()


def benchmark(model: Model, weights: Path, device: Device = CPU, runs: int = 5) -> float:
    """Give the median seconds that a network takes on a device, loading and first run aside."""
    rgb = np.random.default_rng(0).integers(0, 256, (*model.size, 3), np.uint8)
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        predict(model, weights, rgb, device)
        times.append(time.perf_counter() - start)
    return float(np.median(times[1:]))


class Trial:
    """A network loaded once on the CPU, to be asked in several ways; nothing of it is kept.

    Attributes
    ----------
    size : height and width that the network asks for, px; None where any will do

    Raises
    ------
    ModelError
        The file is no network that takes one colour picture.
    """

    def __init__(self, weights: Path):
        self._name = weights.name
        try:
            self._session = _load(weights, CPU, _options(CPU))
            shape = _input(self._session).shape
        except _Fault as fault:
            raise ModelError(f"onnxruntime cannot load it: {fault}", weights.name) from fault
        if len(shape) != 4 or (shape[1] not in (3, None) and not isinstance(shape[1], str)):
            raise ModelError(
                f"the network takes input of shape {shape}, not one colour picture.",
                weights.name,
                "Add a model whose input is [1, 3, height, width].",
            )
        self.size = tuple(side if isinstance(side, int) else None for side in shape[2:])

    def planes(self, model: Model, rgb: np.ndarray) -> np.ndarray:
        """Return (channels, h, w) float32 as the network gives them, or raise ModelError."""
        feed = _fed(rgb, model, _input(self._session))
        return self._told(lambda: _sized(_planes(_run(self._session, feed, None)), rgb.shape))

    def matte(self, planes: np.ndarray, output: str) -> np.ndarray:
        """Return the (h, w) float32 matte in [0, 1] that `planes` hold, or raise ModelError."""
        return self._told(lambda: _matte(planes, output))

    def _told(self, work: Callable[[], np.ndarray]) -> np.ndarray:
        try:
            return work()
        except _Fault as fault:
            raise ModelError(f"the network cannot be used: {fault}", self._name) from fault


class _Fault(Exception):
    """Why a network did not run or what was wrong with what it gave, as a sentence."""


def _raw(model, weights, rgb, device, checkpoint, more) -> np.ndarray:
    """Wait for the device's turn, load the network if need be, and run it; stop when asked."""
    key, turn = (model.checksum, device.name), _turns[device.name]
    while not turn.acquire(timeout=POLL):
        checkpoint()
    try:
        session = _sessions.get(key)
        if session is None:
            options = _options(device)
            session = _patiently(
                lambda: _load(weights, device, options, model.flexible),
                lambda: options.set_load_cancellation_flag(True),
                checkpoint,
            )
        _keep(key, session)
        feed = _fed(rgb, model, _input(session))
        kept = more or device.provider != CPU.provider
        how = runtime().RunOptions() if kept else _last_run()

        def stop():
            how.terminate = True

        return _planes(_patiently(lambda: _run(session, feed, how), stop, checkpoint))
    finally:
        turn.release()


def _last_run() -> Any:
    """Give how to run a network on the CPU so that all memory it took is given back after it."""
    how = runtime().RunOptions()
    how.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return how


def _keep(key: tuple[str, str], session: Any) -> None:
    _sessions[key] = session
    _sessions.move_to_end(key)
    while len(_sessions) > KEPT:
        _sessions.popitem(last=False)


def _patiently(work: Callable[[], Any], stop: Callable[[], None], checkpoint) -> Any:
    """Do `work` in a thread; if `checkpoint` raises meanwhile, `stop` it and raise that."""
    future: Future = Future()

    def fulfil():
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=fulfil, name="qr-nodes inference", daemon=True).start()
    try:
        while not wait([future], POLL).done:
            checkpoint()
    except BaseException:
        stop()
        wait([future])
        raise
    return future.result()


def _options(device: Device) -> Any:
    options = runtime().SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = resources.cores()
    # Threads that wait by spinning take the cores from the rest of the program.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Memory in one piece saves a quarter of the time; after a picture's last run it is given back,
    # or it would stay (0.4 GB for u2netp, 2 GB at 1024²). That costs the next one a ninth of a run.
    options.enable_cpu_mem_arena = device.provider == CPU.provider
    # A plan of all memory is taken beside what a run has anyway: u2netp peaked at 393 MiB with it
    # and at 356 without, in the same time. DirectML allows none.
    options.enable_mem_pattern = False
    return options


def _load(weights: Path, device: Device, options: Any, flexible: bool = False) -> Any:
    """Load a network, or raise _Fault, also if the provider was silently left out."""
    ort = runtime()
    try:
        network = freed(weights.read_bytes()) if flexible else str(weights)
        if device.plugin is not None:
            options.add_provider_for_devices([device.plugin], dict(device.options))
            session = ort.InferenceSession(network, options, enable_fallback=0)
        else:
            chosen = [(device.provider, dict(device.options))]
            session = ort.InferenceSession(network, options, chosen, enable_fallback=0)
    except Exception as error:  # onnxruntime's classes are many and differ between builds
        raise _Fault(first_line(error)) from error
    if device.provider not in session.get_providers():
        raise _Fault(f"onnxruntime fell back to {', '.join(session.get_providers())} silently.")
    if flexible and device == CPU:
        with contextlib.suppress(_Fault):  # if it matters, the picture's run will tell
            _run_smallest(session, None)
    return session


def _run_smallest(session: Any, how: Any) -> None:
    """Run a flexible network on the smallest picture, for what it does to memory.

    What onnxruntime takes first it never gives back: 64 MB of a run at 320 px, 2 MB of this one.
    """
    wanted = _input(session)
    _run(session, {wanted.name: np.zeros((1, 3, SMALLEST, SMALLEST), _kind(wanted))}, how)


def _run(session: Any, feed: dict, how: Any) -> Any:
    if not session.get_outputs():
        raise _Fault("it gives nothing.")
    try:
        return session.run([session.get_outputs()[0].name], feed, how)[0]
    except Exception as error:
        raise _Fault(first_line(error)) from error


def _input(session: Any) -> Any:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise _Fault(f"it has {len(inputs)} inputs, not one picture.")
    return inputs[0]


def _fed(rgb: np.ndarray, model: Model, wanted: Any) -> dict[str, np.ndarray]:
    """Give the network's input: divided, normalised, channels first."""
    x = rgb.astype(np.float32)
    if model.divide == "image max":
        x /= max(float(x.max()), 1e-6)
    elif model.divide == "255":
        x /= 255
    x = (x - np.float32(model.mean)) / np.float32(model.std)
    return {wanted.name: np.ascontiguousarray(x.transpose(2, 0, 1)[None], _kind(wanted))}


def _kind(wanted: Any) -> type:
    return np.float16 if wanted.type == "tensor(float16)" else np.float32


def _planes(raw: np.ndarray) -> np.ndarray:
    """Give what a network gave as (channels, h, w) float32, or raise _Fault."""
    if not isinstance(raw, np.ndarray) or raw.dtype.kind not in "fiub":
        kind = getattr(raw, "dtype", type(raw).__name__)
        raise _Fault(f"it gives values of the kind {kind}, not numbers.")
    if raw.ndim not in (3, 4) or len(raw) != 1 or 0 in raw.shape:
        raise _Fault(f"it gives an array of shape {raw.shape}, not a matte.")
    planes = np.asarray(raw[0] if raw.ndim == 4 else raw, np.float32)
    if not np.isfinite(planes).all():
        raise _Fault("it gives values that are not numbers.")
    return planes


def _sized(planes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Give a network's planes if their size goes with that of its picture, or raise _Fault."""
    (high, wide), (height, width) = planes.shape[1:], shape[:2]
    if not all(
        side / APART <= got <= side * APART for got, side in ((high, height), (wide, width))
    ):
        raise _Fault(f"it gives {wide} × {high} px for a picture of {width} × {height} px.")
    return planes


def _matte(planes: np.ndarray, output: str) -> np.ndarray:
    """Read a matte in [0, 1] off a network's output."""
    if output == "classes":
        shares = np.exp(planes - planes.max(axis=0))
        matte = 1 - shares[0] / shares.sum(axis=0)
    elif output == "logits":
        matte = 0.5 + 0.5 * np.tanh(0.5 * planes[0])  # the sigmoid, without overflow
    else:
        matte = planes[0]
        if matte.min() < -SLACK or matte.max() > 1 + SLACK:
            raise _Fault(
                f"it gives values from {matte.min():.3g} to {matte.max():.3g}, not 0 to 1."
            )
    return np.clip(matte, 0, 1).astype(np.float32)
