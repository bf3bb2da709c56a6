"""A robot at the real window: mouse, keys and files at random, from a seed, for as long as told.

    xvfb-run -s "-screen 0 1600x1000x24" python tests/attack/robot.py --seconds 3600 --seed 1

It runs in the window's own process, so that it finds pins and sliders where they are and sees
every exception, but what it does goes through the X server, as a person's hands would. Prints a
line of JSON a minute and one at the end; exit code 1 and what went wrong if anything did. Needs
xdotool.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import gc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from unittest import mock

from qr_nodes.__main__ import tune

tune()  # as the command does

import numpy as np  # noqa: E402
import psutil  # noqa: E402

from qr_nodes.graph import Graph  # noqa: E402

CALM = 6
"""Frames after an action, so that the window has taken it."""


class Robot:
    """Does one thing after another to a window.

    Attributes
    ----------
    did : name of an action → how often
    faults : what no program should do: exceptions, and nodes that failed for no known reason
    samples : (seconds, MB of the process, threads, open files), each with an empty cache
    compared : nodes whose pixels were the same when their graph was saved, read and rendered anew
    """

    def __init__(self, app, folder: Path, seed: int):
        import dearpygui.dearpygui as dpg

        self.dpg, self.app, self.folder = dpg, app, folder
        self.random = random.Random(seed)
        self.did: dict[str, int] = {}
        self.last: list[str] = []
        self.faults: list[str] = []
        self.compared = 0
        self.samples: list[tuple[float, float, int, int]] = []
        self.hand = subprocess.Popen(["xdotool", "-"], stdin=subprocess.PIPE, text=True)
        self.began = time.monotonic()
        self.pictures = pictures(folder)
        self._listen()

    # ---- what it hears ---------------------------------------------------------------------

    def _listen(self) -> None:
        """Have every exception written down, wherever it ends."""
        from qr_nodes.errors import NodeError, QrNodesError

        app, said, heard = self.app, self.app.loop.on_error, self.app.event

        def unforeseen(error):
            if not isinstance(error, QrNodesError):
                self.blame("".join(traceback.format_exception(error)))
            said(error)

        def event(news):
            if isinstance(news.error, NodeError):
                cause = news.error.__cause__
                trace = "".join(traceback.format_exception(cause)) if cause else ""
                self.blame(f"{news.node}: {news.error}\n{trace}")
            heard(news)

        def in_a_thread(args):
            self.blame("".join(traceback.format_exception(args.exc_value)))

        app.loop.on_error, app.event = unforeseen, event
        threading.excepthook = in_a_thread
        sys.unraisablehook = in_a_thread

    def blame(self, fault: str) -> None:
        """Take note of what no program should do, and of what was done before."""
        self.faults.append(fault)
        print(f"after {self.last}: {fault}", file=sys.stderr, flush=True)

    # ---- hands -----------------------------------------------------------------------------

    def do(self, command: str, frames: int = 3) -> None:
        """Have xdotool do something, and draw some frames."""
        self.hand.stdin.write(f"{command}\n")
        self.hand.stdin.flush()
        self.frames(frames)

    def frames(self, count: int) -> None:
        """Draw frames; what the X server sends needs a moment."""
        for _ in range(count):
            time.sleep(0.004)
            self.app.loop.step()

    def key(self, *keys: str) -> None:
        for key in keys:
            self.do(f"key {key}")

    def click(self, x: float, y: float, button: int = 1) -> None:
        self.do(f"mousemove {max(x, 0):.0f} {max(y, 0):.0f}")
        self.do(f"click {button}")

    def drag(self, path, button: int = 1) -> None:
        (x, y), *rest = path
        self.do(f"mousemove {max(x, 0):.0f} {max(y, 0):.0f}")
        self.do(f"mousedown {button}")
        for x, y in rest:
            self.do(f"mousemove {max(x, 0):.0f} {max(y, 0):.0f}", 2)
        self.do(f"mouseup {button}")

    def rect(self, item) -> tuple[float, float, float, float] | None:
        """Give an item's left, top, width and height in the window, if it is drawn."""
        state = self.dpg.get_item_state(item)
        if not state.get("visible", True) or "rect_min" not in state:
            return None
        (x, y), (width, height) = state["rect_min"], state["rect_size"]
        inside = x >= 0 and y >= 0 and x + width <= self.width and y + 5 < self.height - 30
        return (x, y, width, height) if inside and width > 1 else None

    @property
    def width(self) -> int:
        return self.dpg.get_viewport_client_width()

    @property
    def height(self) -> int:
        return self.dpg.get_viewport_client_height()

    # ---- what it does ----------------------------------------------------------------------

    def run(self, seconds: float, every: float) -> None:
        """Act for `seconds`, and measure what the program takes now and then."""
        actions = {
            getattr(self, f"_{name}"): weight
            for name, weight in {
                **{"add": 5, "link": 9, "node": 8, "slider": 14, "switch": 5, "type": 2},
                **{"stroke": 10, "undo": 9, "redo": 5, "chord": 9, "move": 4, "wheel": 4},
                **{"picture": 3, "preset": 2, "open": 1, "save": 2, "export": 2, "toggle": 6},
                **{"cancel": 4, "touch": 1, "forget": 1, "click": 3, "menu": 2, "resize": 1},
            }.items()
        }
        end, sampled = self.began + seconds, self.began
        while (now := time.monotonic()) < end and len(self.faults) < 20:
            if now - sampled > every:
                self.sample()
                sampled = time.monotonic()
            action = self.random.choices([*actions], [*actions.values()])[0]
            self._unblock()
            name = action.__name__.strip("_")
            self.did[name] = self.did.get(name, 0) + 1
            self.last = [*self.last[-9:], name]
            action()
            self.frames(CALM)
        self._unblock()

    def _unblock(self) -> None:
        """Answer what is asked, and close what is open."""
        for _ in range(12):
            if self.app.modal and not self.app.modal.open:
                self.frames(1)  # it closes
            elif self.app.modal:
                buttons = [item for item in self._items(self.app.modal.window, "mvButton")]
                box = self.rect(self.random.choice(buttons)) if buttons else None
                if box and self.random.random() < 0.7:
                    self.click(box[0] + box[2] / 2, box[1] + box[3] / 2)
                else:
                    self.key("Escape")
                self.frames(CALM)
            elif self.app.canvas.popup.open or self.app.typing():
                self.key("Escape")
            else:
                return
        if self.app.modal:
            self.blame(f"the question {self.app.modal.title!r} does not go away")
            self.app.modal.close()
            self.frames(CALM)

    def _items(self, item, kind: str):
        for child in (c for slot in self.dpg.get_item_children(item).values() for c in slot):
            if self.dpg.get_item_type(child).endswith(kind):
                yield child
            yield from self._items(child, kind)

    def _over_canvas(self) -> None:
        x, y = self.app.canvas.origin
        width, height = self.dpg.get_item_rect_size(self.app.canvas.room)
        at = self.random.uniform(0.2, 0.8), self.random.uniform(0.2, 0.8)
        self.do(f"mousemove {x + at[0] * width:.0f} {y + at[1] * height:.0f}")

    def _add(self) -> None:
        from qr_nodes.nodes import all_specs

        if len(self.app.document.graph.nodes) > 24:
            return self._delete()
        self._over_canvas()
        self.key("Tab")
        self.do(f"type --delay 5 {self.random.choice(all_specs()).title.split()[0].lower()}", 10)
        self.key(self.random.choice(["Return", "Return", "Return", "Down", "Escape"]))
        return None

    def _delete(self) -> None:
        self._node()
        self.key(self.random.choice(["Delete", "ctrl+Delete"]))

    def _link(self) -> None:
        canvas = self.app.canvas
        self.key("f")
        self.frames(CALM)
        pins = [(id, *end) for id, item in canvas.items.items() for end in item.pins.values()]
        if len(pins) < 2:
            return
        one, other = self.random.sample(pins, 2)
        ends = [canvas.window(canvas._pin(*end)) for end in (one, other)]
        (x, y), (u, v) = ends
        steps = [(x + (u - x) * i / 6, y + (v - y) * i / 6) for i in range(7)]
        self.drag(steps)

    def _node(self) -> None:
        """Select a node by a click on its title, sometimes look at it."""
        canvas = self.app.canvas
        if not canvas.items:
            return
        id = self.random.choice([*canvas.items])
        box = self.rect(canvas.items[id].item)
        if box is None:
            self.key("f")
            return
        self.click(box[0] + box[2] * 0.4, box[1] + 8)
        if self.random.random() < 0.4:
            self.key("v")

    def _move(self) -> None:
        canvas = self.app.canvas
        if not canvas.items:
            return
        box = self.rect(self.random.choice([*canvas.items.values()]).item)
        if box:
            x, y = box[0] + box[2] * 0.4, box[1] + 8
            way = self.random.uniform(-200, 200), self.random.uniform(-150, 150)
            self.drag([(x + way[0] * i / 4, y + way[1] * i / 4) for i in range(5)])

    def _fields(self, *kinds: str) -> list:
        rows = self.app.inspector._rows.values()
        return [r.field for r in rows if not kinds or type(r.field).__name__ in kinds]

    def _slider(self) -> None:
        fields = self._fields("Number", "LogNumber")
        box = self.rect(self.random.choice(fields).item) if fields else None
        if box is None:
            return self._node()
        y = box[1] + box[3] / 2
        places = [box[0] + self.random.uniform(0.02, 0.98) * box[2] for _ in range(2)]
        steps = self.random.randint(2, 12)
        start, end = places
        self.drag([(start + (end - start) * i / steps, y) for i in range(steps + 1)])
        return None

    def _switch(self) -> None:
        fields = self._fields("Switch", "Choice", "Model", "Device")
        box = self.rect(self.random.choice(fields).item) if fields else None
        if box is None:
            return self._node()
        self.click(box[0] + 8, box[1] + box[3] / 2)
        if box[2] > 40:  # a list drops down
            self.click(box[0] + 8, box[1] + box[3] * self.random.uniform(1, 5))
        return None

    def _type(self) -> None:
        fields = self._fields()
        box = self.rect(self.random.choice(fields).item) if fields else None
        if box is None:
            return self._node()
        self.do("keydown ctrl")
        self.click(box[0] + box[2] / 2, box[1] + box[3] / 2)
        self.do("keyup ctrl")
        text = self.random.choice(["0", "7", "-3", "1e9", "0.35", "nan", "abc", "999999", "50"])
        self.do(f"type --delay 5 -- {text}", 8)
        self.key(self.random.choice(["Return", "Escape", "Tab"]))
        return None

    def _view_box(self):
        return self.rect(self.app.viewer._drawlist)

    def _stroke(self) -> None:
        brushes = self.app.document.graph.of_type("brush_edit")
        if brushes and self.random.random() < 0.8:
            item = self.app.canvas.items.get(self.random.choice(brushes))
            box = self.rect(item.item) if item else None
            if box:
                self.click(box[0] + box[2] * 0.4, box[1] + 8)
                self.key("v") if self.random.random() < 0.5 else None
        box = self._view_box()
        if box is None:
            return
        for _ in range(self.random.randint(1, 3)):
            at = [self.random.uniform(0.1, 0.9), self.random.uniform(0.1, 0.9)]
            path = []
            for _ in range(self.random.randint(1, 14)):
                at = [min(max(a + self.random.uniform(-0.1, 0.1), 0.02), 0.98) for a in at]
                path.append((box[0] + at[0] * box[2], box[1] + at[1] * box[3]))
            self.drag([path[0], *path], self.random.choice([1, 1, 1, 3]))
            self.key(self.random.choice(["x", "r", "e", "bracketleft", "bracketright"]))

    def _undo(self) -> None:
        self.key(*["ctrl+z"] * self.random.choice([1, 1, 2, 5, 20]))

    def _redo(self) -> None:
        self.key(*["ctrl+y"] * self.random.choice([1, 1, 2, 5, 20]))

    def _chord(self) -> None:
        """A command of the canvas by its keys; a node is selected first, more often than not."""
        if self.random.random() < 0.7:
            self._node()
        keys = ["b", "ctrl+d", "ctrl+c", "ctrl+v", "ctrl+x", "ctrl+a", "Delete", "ctrl+Delete"]
        keys += ["l", "alt+l", "alt+t", "F2", "ctrl+g", "f", "ctrl+equal", "ctrl+minus", "ctrl+0"]
        count = len(self.app.document.graph.nodes)
        keys = [k for k in keys if count < 24 or k not in ("ctrl+d", "ctrl+v")]
        self.key(self.random.choice(keys))

    def _toggle(self) -> None:
        box = self._view_box()
        if box and self.random.random() < 0.5:
            x, y = box[0] + box[2] * self.random.random(), box[1] + box[3] * self.random.random()
            self.do(f"mousemove {x:.0f} {y:.0f}")
        keys = ["g", "q", "y", "z", "h", "m", "0", "1", "f", "shift+v", "backslash", "v"]
        self.key(self.random.choice(keys))

    def _wheel(self) -> None:
        box = self._view_box()
        if box is None or self.random.random() < 0.3:
            self._over_canvas()
        else:
            x, y = box[0] + box[2] * self.random.random(), box[1] + box[3] * self.random.random()
            self.do(f"mousemove {x:.0f} {y:.0f}")
        button = self.random.choice([4, 5])
        for _ in range(self.random.randint(1, 5)):
            self.do(f"click {button}", 2)

    def _picture(self) -> None:
        """A file is dropped on the window: a picture, a damaged one, one that is gone."""
        self.app.attempt(self.app.files.dropped, [str(self.random.choice(self.pictures))])

    def _preset(self) -> None:
        from qr_nodes.qrgraph import presets

        name = self.random.choice([n for n in presets() if n != "glass"])
        files = self.app.files
        with mock.patch.object(files, "_sure", lambda act: act()):  # nobody is there to answer
            files._chosen(lambda: files.use_preset(name))

    def _open(self) -> None:
        found = sorted(self.folder.glob("*.qrgraph"))
        if found:
            self.app.attempt(self.app.files.dropped, [str(self.random.choice(found))])

    def _save(self) -> None:
        if not self.app.files.path or self.random.random() < 0.2:
            path = str(self.folder / f"graph {self.random.randint(1, 4)}.qrgraph")
            self.app.files._save_as(lambda: None, path)
        else:
            self.key("ctrl+s")

    def _export(self) -> None:
        graph = self.app.document.graph
        exports = graph.of_type("export")
        if exports:  # where to, as the file dialog would say
            name = f"out {self.random.randint(1, 3)}.{self.random.choice(['png', 'tif', 'jpg'])}"
            changed = self.app.attempt(graph.set_param, exports[0], "path", str(self.folder / name))
            self.app.edit(changed, "export to") if changed is not None else None
            self.key("ctrl+shift+e")

    def _cancel(self) -> None:
        self.key("F5", "Escape")

    def _touch(self) -> None:
        """A picture changes on disk."""
        made = pictures(self.folder, only=self.random.randint(0, 2), shade=self.random.random())
        os.utime(made[0])
        self.key("F5")

    def _forget(self) -> None:
        self.key("shift+F5")

    def _click(self) -> None:
        """Anywhere, with any button."""
        x, y = self.random.uniform(0, self.width), self.random.uniform(60, self.height - 30)
        self.click(x, y, self.random.choice([1, 1, 3]))
        self.click(x, y) if self.random.random() < 0.3 else None

    def _menu(self) -> None:
        x, y = self.random.uniform(5, 260), 10
        self.click(x, y)
        self.do(f"mousemove {x + 10:.0f} {self.random.uniform(30, 300):.0f}")
        self.key("Escape")
        self.click(self.width - 200, 45)

    def _resize(self) -> None:
        self.dpg.set_viewport_width(self.random.randint(900, 1100))
        self.dpg.set_viewport_height(self.random.randint(600, 700))
        self.frames(CALM)

    # ---- what it measures ------------------------------------------------------------------

    def settle(self, seconds: float = 300) -> None:
        """Wait until everything is computed."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.frames(1)
            if self.app.document.settle(0.01) and not self.app.files.exports.busy:
                return
        self.blame(f"the document is still computing after {seconds:g} s")

    def sample(self) -> None:
        """Compare what the graph renders; measure the program at rest, with a small graph and
        without what its cache holds."""
        self._unblock()
        self.app.files.exports.cancel()
        self.settle()
        self.compare()
        files, graph = self.app.files, self.app.document.graph
        path, mark = files.path, files.mark
        small = Graph.chain("load", "levels").set_param("load", "path", str(self.pictures[0]))
        files._use(small, "")
        self.settle()
        self.frames(20)
        self.app.engine.cache.pin(())
        self.app.engine.cache.clear()
        self.frames(20)
        used = memory(), threading.active_count(), len(os.listdir("/proc/self/fd"))
        self.samples.append((round(time.monotonic() - self.began, 1), *used))
        told = dict(zip(("seconds", "MB", "threads", "files"), self.samples[-1], strict=True))
        told |= {"actions": sum(self.did.values()), "compared": self.compared}
        told |= {"faults": len(self.faults)}
        print(json.dumps(told), flush=True)
        files._use(graph, path, mark)

    def compare(self) -> None:
        """Save, load and render anew: the same graph, the same pixels."""
        from qr_nodes.cache import Cache
        from qr_nodes.engine import Engine, RunRequest
        from qr_nodes.qrgraph import load_graph, save_graph

        graph = self.app.document.graph
        for id in graph.of_type("load"):  # so that there is something to render
            if not graph.nodes[id].params.get("path"):
                graph = graph.set_param(id, "path", str(self.pictures[0]))
        save_graph(graph, self.folder / "end.qrgraph")
        again = load_graph(self.folder / "end.qrgraph")
        if dict(again.links) != dict(graph.links):
            self.blame("the saved graph has other links")
        for id, node in graph.nodes.items():
            if id not in again.nodes or settings(again.nodes[id]) != settings(node):
                self.blame(f"the saved graph has another node {id}")
        live = tuple(id for id, n in graph.nodes.items() if "file" not in n.spec.outputs)
        fresh = Engine(Cache(1 << 30))
        ours = self.app.engine.run(RunRequest(graph, live), lambda event: None)
        theirs = fresh.run(RunRequest(again, live), lambda event: None)
        fresh.close()
        if {*ours.outputs} != {*theirs.outputs}:
            self.blame(f"rendered: {sorted(ours.outputs)}, anew: {sorted(theirs.outputs)}")
        for id in ours.outputs.keys() & theirs.outputs.keys():
            for name, value in ours.outputs[id].items():
                if not same(value, theirs.outputs[id][name]):
                    behind = {one: dict(again.nodes[one].params) for one in again.upstream([id])}
                    told = f"{id}.{name} has other pixels when rendered anew"
                    self.blame(f"{told}: {behind}, {dict(again.links)}")
        self.compared += len(ours.outputs)


def settings(node) -> dict:
    """Give a node's parameters, its paths in full: so they come back from a file."""
    kinds = {name: node.spec.params[name].kind for name in node.params if name in node.spec.params}
    return {
        name: os.path.abspath(value) if kinds.get(name) in ("file", "save") and value else value
        for name, value in node.params.items()
    }


def same(one, other) -> bool:
    """Say whether two outputs hold the same bits."""
    from qr_nodes.types import Cutout

    if isinstance(one, Cutout):
        return (one.color == other.color).all() and (one.alpha == other.alpha).all()
    return np.array_equal(np.asarray(one), np.asarray(other))


def memory() -> float:
    """Give the megabytes that the process holds, once what is free is given back."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return psutil.Process().memory_info().rss / (1 << 20)


def pictures(folder: Path, only: int | None = None, shade: float = 0.5) -> list[Path]:
    """Make pictures of several kinds: photographs where scikit-image has them, and broken files."""
    import cv2
    from skimage import data

    made = {
        "cat.png": lambda: data.chelsea()[..., ::-1],
        "woman.jpg": lambda: data.astronaut()[..., ::-1],
        "cup.tif": lambda: data.coffee()[..., ::-1].astype(np.uint16) * 257,
    }
    found = []
    for place, (name, make) in enumerate(made.items()):
        if only in (None, place):
            picture = make()
            picture = picture // 2 + (picture * shade / 2).astype(picture.dtype)
            cv2.imwrite(str(folder / name), picture)
            found.append(folder / name)
    if only is None:
        big = cv2.resize(data.chelsea()[..., ::-1], (3000, 2000), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "large.jpg"), big)
        (folder / "broken.png").write_bytes((folder / "cat.png").read_bytes()[:20_000])
        found += [folder / "large.jpg", folder / "broken.png", folder / "gone.png"]
    return found


def level(values: list[float]) -> float:
    """Give the slope of a line through the second half of `values`, per sample."""
    late = values[len(values) // 2 :]
    return float(np.polyfit(np.arange(len(late)), late, 1)[0]) if len(late) > 2 else 0.0


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=120)
    options.add_argument("--every", type=float, default=60, help="seconds between two samples")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    faulthandler.dump_traceback_later(150 + 1.5 * chosen.seconds, exit=True)  # should it hang
    os.environ.setdefault("QR_NODES_DEBUG", "1")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "work")
        folder.mkdir()
        home = Path(os.environ.setdefault("QR_NODES_HOME", str(Path(scratch, "home"))))
        home.mkdir(exist_ok=True)
        choices = {"memory": 256, "window": (1000, 640), "place": (0, 0), "welcome": False}
        choices |= {"splitters": {"canvas": 600, "viewer": 330}, "folder": str(folder)}
        (home / "settings.json").write_text(json.dumps(choices))

        from qr_nodes.ui.app import opened

        app = opened()
        robot = Robot(app, folder, chosen.seed)
        robot.frames(10)
        app.files.start(None)
        robot.settle()
        robot.sample()
        robot.run(chosen.seconds, chosen.every)
        robot.sample()
        app.remember()
        app.files.end()
        app.close()
        robot.hand.stdin.close()
        robot.hand.wait()
        left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        # Threads that end by themselves have a moment to.
        end = time.monotonic() + 10
        while left and time.monotonic() < end:
            time.sleep(0.05)
            left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        if left:
            robot.blame(f"threads are left: {left}")
        halves = [f.name for f in (*folder.iterdir(), *home.rglob("*")) if ".part" in f.name]
        if halves:
            robot.blame(f"half-written files are left: {halves}")
        figures = list(zip(*robot.samples, strict=True))
        told = {"seed": chosen.seed, "seconds": round(time.monotonic() - robot.began)}
        told |= {"actions": sum(robot.did.values()), "did": robot.did, "compared": robot.compared}
        told |= {"MB": [round(v) for v in figures[1]], "MB a sample": round(level(figures[1]), 2)}
        told |= {"threads": figures[2], "files": figures[3], "faults": robot.faults}
        print(json.dumps(told), flush=True)
        return 1 if robot.faults else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code = 1
    try:
        code = main()
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    # After a fault the window's threads would keep it alive; its libraries end with it.
    os._exit(code)
