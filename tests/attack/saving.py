"""Attack every file that the program writes: kill -9, a full disk, lost permission, a power cut.

    python tests/attack/saving.py kill --moments 1000 --seed 1
    unshare -Urm python tests/attack/saving.py full
    python tests/attack/saving.py locked
    strace -f -y -e trace=fsync,rename,write python tests/attack/saving.py once graph FOLDER

`kill` forks a process that saves again and again and kills it at a random moment; what is there
then must be one version, whole, and what was half-written gone after the next save. `full` fills
a file system of 1 MiB to every degree; where none can be mounted, a limit on the size of files
stands for it, which the kernel enforces as well. `locked` takes permissions away. `once` saves
once, to be watched. Prints a line of JSON per kind of file; exit code 1 if anything was not whole.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import http.server
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import requests  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent.parent / "inference"))

from conftest import NETWORKS

from qr_nodes.cache import Disk
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.imaging.image_io import read_image, write_image
from qr_nodes.inference import registry, store  # noqa: F401: before the fork
from qr_nodes.qrgraph import dump, load_graph, save_graph
from qr_nodes.types import Cutout
from qr_nodes.ui import recovery
from qr_nodes.ui.recovery import Recovery, list_recoverable
from qr_nodes.ui.settings import Store

NOBODY = 65534


# ---- the files: how each is written, and how it is told that it is whole -----------------------


class Kind:
    """A kind of file."""

    def again(self) -> None:
        """Make ready for the next write."""


class GraphFile(Kind):
    """A graph, saved."""

    def __init__(self, home: Path):
        self.file = home / "mine.qrgraph"

    def graph(self, version: int) -> Graph:
        graph = Graph.chain(*["feather"] * 100)
        return graph.set_param(next(iter(graph.nodes)), "sigma", float(version % 500))

    def write(self, version: int) -> None:
        save_graph(self.graph(version), self.file)

    def read(self) -> int | None:
        """Give the version that is there, None if there is none; raises if it is not whole."""
        if not self.file.exists():
            return None
        found = load_graph(self.file)
        version = int(next(iter(found.nodes.values())).params["sigma"])
        assert self.file.read_bytes() == dump(self.graph(version)), "other bytes"
        return version


class Autosave(GraphFile):
    """The sidecar of unsaved work."""

    def write(self, version: int) -> None:
        recovery.PAUSE = 0.02
        if not hasattr(self, "kept"):
            self.kept = Recovery()
        if version > 1:  # the file is there: wait for the newer one
            before = self.kept.file.stat().st_ino if self.kept.file.exists() else 0
        else:
            before = 0
        self.kept.keep(self.graph(version))
        end = time.monotonic() + 5
        while time.monotonic() < end and not self.kept.fault:
            with contextlib.suppress(OSError):
                if self.kept.file.stat().st_ino != before:
                    return
            time.sleep(0.0005)
        raise QrNodesError(self.kept.fault or "nothing was kept.")

    def read(self) -> int | None:
        there = sorted(resources_folder("recovery").glob("*.qrgraph"))
        offered = list_recoverable()
        if not hasattr(self, "kept"):  # whose writer is dead
            assert len(offered) == len(there), "a sidecar that cannot be offered"
        version = None
        for file in there:
            found = load_graph(file)
            version = int(next(iter(found.nodes.values())).params["sigma"])
            wanted = self.graph(version)
            assert dict(found.links) == dict(wanted.links), "other links"
            for id, node in wanted.nodes.items():
                assert dict(found.nodes[id].params) == dict(node.params), "other values"
        for entry in offered[1:]:
            recovery.discard(entry)
        return version


class SettingsFile(Kind):
    """What the window remembers."""

    def __init__(self, home: Path):
        self.file = home / "settings.json"

    def write(self, version: int) -> None:
        Store(self.file).change(memory=version, recent=[f"{version}" * 800])

    def read(self) -> int | None:
        if not self.file.exists():
            return None
        raw = json.loads(self.file.read_bytes())
        assert raw["recent"][0] == f"{raw['memory']}" * 800, "two versions in one"
        return raw["memory"]


class Picture(Kind):
    """An exported picture, in one format after another."""

    endings = ("png", "tif", "jpg", "webp")

    def __init__(self, home: Path):
        self.files = [home / f"out.{ending}" for ending in self.endings]

    def write(self, version: int) -> None:
        noise = np.random.default_rng(5).integers(0, 2, (200, 300, 3))
        color = np.uint8(noise * 4 + version % 100)
        color[:16, :16] = version % 100
        for file in self.files:
            write_image(Cutout(color, np.ones((200, 300), np.float32)), file)

    def read(self) -> int | None:
        found = None
        for file in self.files:
            if file.exists():
                color = read_image(file).color
                assert color.shape == (200, 300, 3), "another size"
                if file.suffix in (".png", ".tif"):
                    found = int(color[0, 0, 0])
                    assert {*np.unique(color)} <= {found, found + 4}, "two versions in one"
        return found


class CacheFile(Kind):
    """What a network said, kept on disk."""

    key = b"0123456789abcdef"

    def __init__(self, home: Path):
        self.disk = Disk(home / "networks")

    def write(self, version: int) -> None:
        self.disk.put(self.key, (np.full((200, 200), version, np.float32), np.ones(3)))
        found = self.disk.get(self.key)
        if found is None or found[0][0, 0] != version:
            raise QrNodesError("the cache kept nothing.")

    def read(self) -> int | None:
        path = self.disk._path(self.key)
        if not path.exists():
            return None
        found = self.disk.get(self.key)
        assert found is not None, "a damaged entry"
        assert (found[0] == found[0][0, 0]).all(), "two versions in one"
        return int(found[0][0, 0])


class AddedModel(Kind):
    """A model added by hand: weights, and the list that names them."""

    def __init__(self, home: Path):
        self.sources = []
        for number, kind in enumerate(("matte", "logits")):
            self.sources.append(home.parent / f"weights {number}.onnx")
            self.sources[-1].write_bytes(NETWORKS[kind]())

    def write(self, version: int) -> None:
        store.add(self.sources[version % 2], "mine", licence="mine")

    def read(self) -> int | None:
        if "mine" not in registry.own():
            return None
        path = store.verify("mine")
        return [s.read_bytes() for s in self.sources].index(path.read_bytes())


class FetchedModel(Kind):
    """A model fetched from an address: 300 kB in pieces."""

    data = np.random.default_rng(3).bytes(300_000)

    def __init__(self, home: Path):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Weights)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{self.server.server_port}/small.onnx"
        listing = {
            **{"file": "small.onnx", "licence": "", "size": (8, 8)},
            **{"checksum": f"sha256:{hashlib.sha256(self.data).hexdigest()}"},
            **{"sources": [{"url": address}]},
        }
        home.mkdir(exist_ok=True)
        text = json.dumps({"version": 1, "models": {"small": listing}})
        (home / "models.json").write_text(text)

    def again(self) -> None:
        for path in store.places(registry.find("small")):
            path.unlink(missing_ok=True)

    def write(self, version: int) -> None:
        store.fetch("small")

    def read(self) -> int | None:
        model = registry.find("small")
        there = [path for path in store.places(model) if path.exists()]
        for path in there:
            assert path.read_bytes() == self.data, "half a download"
        return 1 if there else None


class Weights(http.server.BaseHTTPRequestHandler):
    """Gives the weights, or the rest of them, slowly."""

    def do_GET(self):
        first = int(self.headers.get("Range", "bytes=0-")[6:-1])
        size = len(FetchedModel.data)
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(size - first))
        self.end_headers()
        with contextlib.suppress(OSError):
            for start in range(first, size, 30_000):
                self.wfile.write(FetchedModel.data[start : start + 30_000])
                time.sleep(0.002)

    def log_message(self, *_):
        pass


KINDS = {
    "graph": GraphFile,
    "autosave": Autosave,
    "settings": SettingsFile,
    "export": Picture,
    "cache": CacheFile,
    "added model": AddedModel,
    "fetched model": FetchedModel,
}


def resources_folder(name: str) -> Path:
    return Path(os.environ["QR_NODES_HOME"]) / name


def parts(home: Path) -> list[Path]:
    """Give what is half-written."""
    return [path for path in home.rglob("*") if path.name.endswith(".part")]


# ---- the attacks -------------------------------------------------------------------------------


def forked(work) -> int:
    """Do something in a process of its own; give its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def measured(kind) -> float:
    """Write twice in a process of its own, so that there is an old file; give what it takes."""
    read, write = os.pipe()

    def work():
        kind.write(1)
        began = time.perf_counter()
        kind.again()
        kind.write(2)
        os.write(write, str(time.perf_counter() - began).encode())

    os.waitpid(forked(work), 0)
    os.close(write)
    with os.fdopen(read) as pipe:
        return float(pipe.read())


def kill(name: str, kind, home: Path, moments: int, chance: random.Random) -> dict:
    """Kill the writer at random moments."""
    told = {"kind": name, "moments": moments, "caught half-way": 0, "none": 0, "not whole": []}
    seconds = measured(kind)
    for moment in range(moments):
        read, write = os.pipe()

        def work(write=write, moment=moment):
            version = 1 + moment * 3
            os.write(write, b"!")
            while True:
                kind.again()
                kind.write(version % 400 + 1)
                version += 1

        pid = forked(work)
        os.close(write)
        os.read(read, 1)
        os.close(read)
        time.sleep(chance.uniform(0, 3 * seconds))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        told["caught half-way"] += bool(parts(home))
        try:
            told["none"] += kind.read() is None
        except Exception as error:
            told["not whole"].append(f"moment {moment}: {type(error).__name__}: {error}")
    # What was left is gone after the next save, and with a window's start.
    os.waitpid(forked(lambda: (kind.write(7), kind.write(8))), 0)
    list_recoverable()
    left = (*parts(home), *home.rglob("*.partial*"))
    told["left at the end"] = [str(path.relative_to(home)) for path in left]
    return told


def full(name: str, kind, home: Path, steps: int, fill) -> dict:
    """Save while the disk is full, to more and more of a degree."""
    told = {"kind": name, "refused": 0, "saved": 0, "said": "", "not whole": []}
    kind.write(2)
    for step in range(steps):
        kind.again()
        with fill(step / (steps - 1)):
            version = 4 + 2 * step
            try:
                kind.write(version)
                told["saved"] += 1
            except QrNodesError as error:
                told["refused"] += 1
                told["said"] = str(error)
            except Exception as error:
                told["not whole"].append(f"step {step}: raised {type(error).__name__}: {error}")
            try:
                if kind.read() is None and name != "fetched model":
                    told["not whole"].append(f"step {step}: nothing is left")
            except Exception as error:
                told["not whole"].append(f"step {step}: {type(error).__name__}: {error}")
            end = time.monotonic() + 2  # unsaved work is tried again by a thread of its own
            while (left := parts(home)) and time.monotonic() < end:
                time.sleep(0.005)
            told["not whole"] += [f"step {step}: {path.name} is left" for path in left]
    try:
        kind.write(3)  # with room again all is as before
    except Exception as error:
        told["not whole"].append(f"with room: {type(error).__name__}: {error}")
    return told


def locked(name: str, kind, home: Path) -> dict:
    """Save where it is not allowed; as root, who may do everything, another user does."""
    told = {"kind": name, "refused": 0, "said": [], "not whole": []}
    kind.write(2)  # and have everything imported that is imported late
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    files = [path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"]
    for what, paths, mode in (("folder", folders, 0o555), ("file", files, 0o444)):
        if what == "file" and name in ("fetched model", "added model", "autosave"):
            continue  # which take new names
        kind.again()
        paths = [path for path in paths if path.exists()]
        modes = {path: path.stat().st_mode for path in paths}
        before = {path: path.read_bytes() for path in files if path.exists()}
        for path in paths:
            path.chmod(mode)
        try:
            kind.write(4)
            told["not whole"].append(f"{what}: it was written all the same")
        except QrNodesError as error:
            told["refused"] += 1
            told["said"].append(str(error))
        except Exception as error:
            told["not whole"].append(f"{what}: raised {type(error).__name__}: {error}")
        for path, was in modes.items():
            if path.exists():
                path.chmod(was)
        for path, data in before.items():
            if not path.exists() or path.read_bytes() != data:
                told["not whole"].append(f"{what}: {path.name} has changed")
        told["not whole"] += [f"{what}: {path.name} is left" for path in parts(home)]
    return told


@contextlib.contextmanager
def small_disk(home: Path, share: float):
    """Leave `share` of about 200 kB free on the disk that `home` lies on."""
    filler = home.parent / "filler"
    free = int(share * 200_000)
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\1" * 4096)
    size = filler.stat().st_size
    os.truncate(filler, max(0, size - free))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def small_files(home: Path, share: float):
    """Have the kernel refuse to let files grow beyond `share` of 200 kB."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * 200_000), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def mounted(folder: Path) -> bool:
    """Mount a file system of 1 MiB at `folder`; say whether that may be done here."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


def record() -> None:
    """Print what reaches the disk and what is renamed, as strace would."""
    fsync, replace = os.fsync, os.replace

    def seen_fsync(handle):
        fsync(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        print(f"fsync({handle}<{path}>) = 0 {os.fstat(handle).st_size}", file=sys.stderr)

    def seen_replace(old, new):
        size = os.stat(old).st_size
        replace(old, new)
        print(f'rename("{old}", "{new}") = 0 {size}', file=sys.stderr)

    os.fsync, os.replace = seen_fsync, seen_replace


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("attack", choices=("kill", "full", "locked", "once"))
    options.add_argument("kinds", nargs="*", help="kinds of files; all if none; FOLDER for once")
    options.add_argument("--moments", type=int, default=1000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--steps", type=int, default=40)
    options.add_argument("--record", action="store_true")
    chosen = options.parse_args()
    if chosen.attack == "once":
        name, folder = chosen.kinds
        home = Path(folder, "home")
        home.mkdir()
        os.environ["QR_NODES_HOME"] = str(home)
        kind = KINDS[name](home)
        kind.write(1)
        kind.again()
        os.write(2, b"now\n")
        if chosen.record:
            record()
        kind.write(2)
        if name == "autosave":
            kind.kept.close()  # its thread is at it a moment longer
        return 0
    bad = 0
    for name in chosen.kinds or KINDS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            os.chmod(scratch, 0o777)
            mounted_here = chosen.attack == "full" and mounted(Path(scratch))
            home = Path(scratch, "home")
            home.mkdir()
            os.chmod(home, 0o777)
            os.environ["QR_NODES_HOME"] = str(home)
            kind = KINDS[name](home)
            if chosen.attack == "kill":
                told = kill(name, kind, home, chosen.moments, random.Random(chosen.seed))
            elif chosen.attack == "full":
                fill = functools.partial(small_disk if mounted_here else small_files, home)
                told = full(name, kind, home, chosen.steps, fill)
                told["by"] = "a disk of 1 MiB" if mounted_here else "a limit on files' size"
            else:
                read, write = os.pipe()
                work = lambda: os.write(write, json.dumps(locked(name, kind, home)).encode())  # noqa: E731, B023
                os.waitpid(forked(work), 0)
                os.close(write)
                with os.fdopen(read) as pipe:
                    told = json.loads(pipe.read() or '{"not whole": ["it crashed"]}')
            print(json.dumps(told), flush=True)
            bad += len(told["not whole"]) + len(told.get("left at the end", ()))
            if mounted_here:
                subprocess.run(["umount", "-l", scratch], capture_output=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
