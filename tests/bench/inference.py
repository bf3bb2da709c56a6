"""What onnxruntime's settings cost on the CPU: each in a process of its own, all in turn.

    python tests/bench/inference.py [--model u2netp] [--rounds 3] [--runs 5]

load     seconds of CPU until the network is ready
first    seconds of CPU of the first run, which touches its memory for the first time
wall, CPU   medians of the later runs
memory   MiB of the process at its peak, less what it had before the network was loaded
off      largest difference of the matte from the first row's, in steps of 8 bits
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SETTINGS: dict[str, dict] = {
    "as the program has it": {},
    "1 thread": {"threads": 1},
    "threads spin": {"spin": True},
    "branches side by side": {"branches": True},
    "no arena": {"arena": False},
    "arena grows by what is asked": {"grow": "as asked"},
    "arena shrinks after each run": {"shrink": True},
    "no memory pattern": {"pattern": False},
    "graph as it is": {"level": "DISABLE_ALL"},
    "graph optimised: basic": {"level": "ENABLE_BASIC"},
    "graph optimised: extended": {"level": "ENABLE_EXTENDED"},
    "graph optimised before, .onnx": {"kept": ".onnx"},
    "graph optimised before, .ort": {"kept": ".ort"},
    "output bound to an array": {"bind": True},
    "denormals are zero": {"flush": True},
}


def options(asked: dict):
    """Give session options: the program's own but for what is asked."""
    import onnxruntime as ort

    found = ort.SessionOptions()
    found.log_severity_level = 4
    found.intra_op_num_threads = asked.get("threads", len(os.sched_getaffinity(0)))
    spin = str(int(asked.get("spin", False)))
    found.add_session_config_entry("session.intra_op.allow_spinning", spin)
    found.enable_cpu_mem_arena = asked.get("arena", True)
    found.enable_mem_pattern = asked.get("pattern", True)
    level = asked.get("level", "DISABLE_ALL" if "kept" in asked else "ENABLE_ALL")
    found.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_{level}")
    if asked.get("branches"):
        found.execution_mode = ort.ExecutionMode.ORT_PARALLEL
        found.add_session_config_entry("session.inter_op.allow_spinning", spin)
    if asked.get("flush"):
        found.add_session_config_entry("session.set_denormal_as_zero", "1")
    if asked.get("grow"):
        found.add_session_config_entry("session.use_env_allocators", "1")
        info = ort.OrtMemoryInfo(
            "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
        )
        # No limit; 1: grow by what is asked; chunks and waste as they are by default.
        ort.create_and_register_allocator(info, ort.OrtArenaCfg(0, 1, -1, -1))
    return found


def child(weights: str, asked: dict, runs: int, scratch: str) -> dict:
    """Load a network with these settings and run it on noise of 320 px a side; give the costs."""
    import onnxruntime as ort

    cpu = ["CPUExecutionProvider"]
    if "kept" in asked:
        kept = Path(scratch, f"kept{asked['kept']}")
        if not kept.exists():
            how = options({})
            how.optimized_model_filepath = str(kept)
            if asked["kept"] == ".ort":
                how.add_session_config_entry("session.save_model_format", "ORT")
            ort.InferenceSession(weights, how, cpu)
            os.execv(sys.executable, [sys.executable, *sys.argv])  # its memory does not count
        weights = str(kept)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    session = ort.InferenceSession(weights, options(asked), cpu)
    load = time.process_time() - began
    (given,), out = session.get_inputs(), session.get_outputs()[0].name
    noise = np.random.default_rng(0).standard_normal((1, 3, 320, 320), np.float32)
    how, times = ort.RunOptions(), []
    if asked.get("shrink"):
        how.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    into = np.empty((1, 1, 320, 320), np.float32)
    for _ in range(runs + 1):
        wall, cpu_time = time.perf_counter(), time.process_time()
        if asked.get("bind"):
            bound = session.io_binding()
            bound.bind_cpu_input(given.name, noise)
            bound.bind_output(out, "cpu", 0, np.float32, into.shape, into.ctypes.data)
            session.run_with_iobinding(bound, how)
            matte = into
        else:
            matte = session.run([out], {given.name: noise}, how)[0]
        times.append((time.perf_counter() - wall, time.process_time() - cpu_time))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    np.save(Path(scratch, "matte.npy"), matte)
    return {"load": load, "first": times[0][1], "memory": (peak - before) / 1024} | {
        "wall": statistics.median(wall for wall, _ in times[1:]),
        "CPU": statistics.median(cpu for _, cpu in times[1:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="u2netp", help="one whose input is 320 px a side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(child(*json.loads(asked.child))))
        return
    from qr_nodes.inference import store

    weights, found = str(store.fetch(asked.model)), {name: [] for name in SETTINGS}
    with tempfile.TemporaryDirectory() as scratch:
        first = None
        for _ in range(asked.rounds):
            for name, settings in SETTINGS.items():
                order = json.dumps([weights, settings, asked.runs, scratch])
                command = [sys.executable, __file__, "--child", order]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    found[name].append(done.stderr.strip().splitlines()[-1])
                    continue
                matte = np.load(Path(scratch, "matte.npy"))
                first = matte if first is None else first
                off = float(np.abs(matte - first).max() * 255)
                found[name].append(json.loads(done.stdout.splitlines()[-1]) | {"off": off})
    columns = ("load", "first", "wall", "CPU", "memory", "off")
    print(f"{asked.model}, {os.cpu_count()} cores, medians of {asked.rounds} processes")
    print(f"{'':<32}" + "".join(f"{name:>9}" for name in columns))
    for name, rows in found.items():
        if any(isinstance(row, str) for row in rows):
            print(f"{name:<32} {next(row for row in rows if isinstance(row, str))}")
            continue
        cells = (statistics.median(row[column] for row in rows) for column in columns)
        print(f"{name:<32}" + "".join(f"{cell:9.3f}" for cell in cells))


if __name__ == "__main__":
    main()
