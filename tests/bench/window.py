"""What the window costs: start, frames with 100 nodes, idling. Run by hand on a display.

    xvfb-run -s "-screen 0 1600x1000x24" python tests/bench/window.py

With GALLIUM_NOOP=1 in the environment Mesa draws nothing: what is left is the program's own
share of a frame, as with a graphics card.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

FIRST_FRAME = """
import time
began = time.perf_counter()
from qr_nodes.ui.app import opened
app = opened()
app.loop.step()
print(time.perf_counter() - began)
import os
os._exit(0)
"""


def say(what: str, value: str) -> None:
    print(f"{what:<60} {value:>12}", flush=True)


def main() -> None:
    print(f"{os.cpu_count()} cores, GALLIUM_NOOP={os.environ.get('GALLIUM_NOOP', '')}")
    times = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", FIRST_FRAME], capture_output=True, text=True)
        times.append(float(done.stdout))
    say("import to the first frame", f"{statistics.median(times):.2f} s")

    from qr_nodes.graph import Graph
    from qr_nodes.ui.app import opened

    app = opened()
    app.loop.step()
    for count in (8, 100):
        graph = Graph.chain(*["levels"] * count)
        for place, id in enumerate(graph.nodes):
            graph = graph.change(id, pos=(180.0 * (place % 10), 170.0 * (place // 10)))
        app.show_graph(graph)
        for _ in range(30):
            app.loop.step()
        times = []
        for _ in range(100):
            began = time.perf_counter()
            app.loop.step()
            times.append(time.perf_counter() - began)
        say(f"a frame with {count} nodes in view", f"{statistics.median(times) * 1e3:.2f} ms")
        time.sleep(6)  # until the threads of the start have ended, and the loop is asleep
        began, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < 5:
            app.loop.step(app.loop.pause())
        share = (time.process_time() - cpu) / (time.perf_counter() - began)
        say(f"idling with {count} nodes in view: share of a core", f"{share * 100:.1f} %")

    app.close()
    os._exit(0)


if __name__ == "__main__":
    main()
