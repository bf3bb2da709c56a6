"""Models from strangers: refused with a sentence, soon, in bounds, and without a trace."""

from __future__ import annotations

import os
import time

import networks
import numpy as np
import pytest
from PIL import Image

from qr_nodes import resources
from qr_nodes.cli import main
from qr_nodes.errors import ModelError
from qr_nodes.inference import guess, registry, session, store
from qr_nodes.inference.registry import Model


def sentence(text: str) -> None:
    assert text.endswith(".") and text.isprintable() and len(text) < 1500, text
    assert "Traceback" not in text and "onnxruntime_src" not in text, text


def files() -> list[str]:
    """Give all that lies in the user's folders."""
    return sorted(p.name for p in resources.data_folder().rglob("*") if p.is_file())


@pytest.mark.parametrize("name", list(networks.HOSTILE))
def test_a_hostile_network_is_refused_with_a_sentence(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(guess, "SECONDS", 4)
    monkeypatch.setattr(guess, "MEMORY", 4 << 30)
    file = tmp_path / "mine.onnx"
    file.write_bytes(networks.HOSTILE[name]())
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    began = time.monotonic()
    assert main(["models", "add", str(file)]) == 1
    assert time.monotonic() - began < 60
    out, err = capfd.readouterr()
    assert out == "" and len(err.splitlines()) == 1, err
    sentence(err.strip())
    assert files() == [] and "mine" not in registry.models()


def test_a_network_that_loops_for_ever_is_said_to(tmp_path, monkeypatch):
    monkeypatch.setattr(guess, "SECONDS", 5)
    file = tmp_path / "mine.onnx"
    file.write_bytes(networks.HOSTILE["a loop without end"]())
    with pytest.raises(ModelError, match="does not come to an end in 5 s"):
        store.add(file)


def test_a_network_that_crashes_what_runs_it_is_said_to(tmp_path, monkeypatch):
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(crash))
    file = tmp_path / "mine.onnx"
    file.write_bytes(networks.network([(*networks.MEAN[:2], "out", networks.MEAN[3])]))
    with pytest.raises(ModelError, match=r"ends the program that runs it \(-11\)"):
        store.add(file)
    assert files() == []


@pytest.mark.parametrize("kind", ["device", "fifo", "sparse"])
def test_what_is_no_file_of_weights_is_not_read(kind, tmp_path):
    path = tmp_path / "mine.onnx"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    with pytest.raises(ModelError) as caught:
        store.add(path)
    sentence(str(caught.value))


# ---- at the node, for what passed its trial or came another way ----------------------------


def listed(data: bytes, **fields) -> Model:
    """Put a network among the user's own as if it had passed its trial."""
    import hashlib
    import json

    import msgspec

    name, folder = "mine", resources.data_folder() / "models"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.onnx").write_bytes(data)
    entry = {"file": "mine.onnx", "checksum": f"sha256:{hashlib.sha256(data).hexdigest()}"}
    entry |= {"licence": "Free.", "size": [8, 8], "divide": "255"} | fields
    text = json.dumps({"version": 1, "models": {name: entry}})
    (resources.data_folder() / "models.json").write_text(text)
    return msgspec.convert({**entry, "name": name}, Model)


@pytest.fixture
def photo(tmp_path):
    """A picture so smooth that networks of 8 px are asked about it too."""
    file = tmp_path / "cat.png"
    ramp = np.add.outer(np.arange(100), np.arange(120)).astype(np.uint8)
    Image.fromarray(np.dstack([ramp, ramp, ramp])).save(file)
    return file


AT_THE_NODE = (
    *("weights in a folder above", "weights at the root", "an operator of its own"),
    *("4 TB from nothing", "a matte of 1 × 4,000 px", "not a number", "texts"),
    *("two pictures", "no output", "nothing", "a length beyond its end"),
)


@pytest.mark.parametrize("name", AT_THE_NODE)
def test_what_a_network_does_at_last_is_said_at_the_node(name, photo, tmp_path, capfd):
    listed(networks.HOSTILE[name]())
    out = tmp_path / "out.png"
    assert main(["remove", str(photo), "-p", "quick", "--model", "mine", "-o", str(out)]) == 1
    said, err = capfd.readouterr()
    assert said == "" and len(err.splitlines()) == 1 and "cat.png: segment" in err, err
    sentence(err.strip())
    assert not out.exists()


def test_an_endless_network_stops_when_nobody_wants_it(tmp_path):
    model = listed(networks.endless("mean"))

    class Enough(Exception):
        pass

    end = time.monotonic() + 1

    def checkpoint():
        if time.monotonic() > end:
            raise Enough

    rgb = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    with pytest.raises(Enough):
        session.predict(model, store.find("mine"), rgb, checkpoint=checkpoint)
    assert time.monotonic() < end + 5


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "replaced"])
def test_weights_that_are_not_whole_never_reach_a_session(damage, photo, weights, monkeypatch):
    data = bytearray(weights.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    data = {"cut": data[:-1], "emptied": b"", "replaced": networks.network([])}.get(damage, data)
    weights.write_bytes(data)

    class Runtime:
        def __getattr__(self, name):
            raise AssertionError(f"onnxruntime's {name} was asked for")

    monkeypatch.setattr(session, "runtime", Runtime)
    with pytest.raises(ModelError, match="are damaged, or another model's"):
        store.find("u2netp")
    assert main(["remove", str(photo), "--device", "cpu"]) == 1
    assert not photo.with_name("cat-cutout.png").exists()
