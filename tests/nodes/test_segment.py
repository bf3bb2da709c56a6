import re
import sys
import threading
from contextlib import suppress

import msgspec
import numpy as np
import pytest
import skimage.data
from PIL import Image

from qr_nodes import resources
from qr_nodes.errors import DeviceError, ModelError
from qr_nodes.imaging.consensus import HALF_STEP
from qr_nodes.inference import devices, registry, session, store
from qr_nodes.inference.devices import CPU, Device
from qr_nodes.node import Job
from qr_nodes.nodes import find
from qr_nodes.nodes.segment import segment
from qr_nodes.types import Cutout, opaque

GPU = Device("Test GPU", "gpu", "CPUExecutionProvider")
RNG = np.random.default_rng(9)


class Notes(Job):
    """Writes down what the node tells, and keeps its memos as the engine would."""

    def __init__(self):
        self.notes, self.kept = [], {}

    def note(self, text):
        self.notes.append(text)

    def memo(self, name, parts, compute, *, disk=False):
        if (name, parts) not in self.kept:
            self.kept[name, parts] = compute()
        return self.kept[name, parts]


@pytest.fixture
def network(monkeypatch):
    """Put a function of the small picture and the device in the network's place."""

    def put(answer):
        path = resources.cache_folder("models") / "u2netp.onnx"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights")
        monkeypatch.setattr(store, "find", lambda *args: path)
        run = lambda model, weights, rgb, device, checkpoint, more: answer(rgb, device)  # noqa: E731
        monkeypatch.setattr(session, "predict", run)

    return put


def left_half(rgb, device):
    matte = np.zeros(rgb.shape[:2], np.float32)
    matte[:, : rgb.shape[1] // 2] = 1
    return matte


def ramp(height=37, width=53):
    """A picture that is neither flat nor noise."""
    across = np.linspace(0, 255, width, dtype=np.uint8)
    return np.broadcast_to(across[None, :, None], (height, width, 3)).copy()


def cutout(color, alpha=None):
    return Cutout(color, opaque(*color.shape[:2]) if alpha is None else alpha)


def plain(color, file):
    """What a plain use of the network gives: squeeze, stretch, enlarge, nothing else."""
    import onnxruntime

    small = np.asarray(Image.fromarray(color).resize((320, 320), Image.Resampling.LANCZOS))
    x = (small / small.max() - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    net = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feed = {net.get_inputs()[0].name: x.transpose(2, 0, 1)[None].astype(np.float32)}
    raw = net.run(None, feed)[0][0, 0]
    stretched = (raw - raw.min()) / (raw.max() - raw.min())
    size = color.shape[1], color.shape[0]
    return np.asarray(Image.fromarray(stretched).resize(size, Image.Resampling.LANCZOS)).clip(0, 1)


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_a_photograph_gets_the_matte_of_a_plain_run(weights, name):
    color = getattr(skimage.data, name)()
    job = Notes()
    matte = segment(cutout(color), quality="fast", edges=0, device="cpu", job=job).alpha
    np.testing.assert_allclose(matte, plain(color, weights), atol=0.51 / 255)
    assert matte.dtype == np.float32 and matte.flags.c_contiguous and not job.notes


def test_every_depth_gives_the_same_matte(weights):
    color = skimage.data.chelsea()
    expected = segment(cutout(color)).alpha
    plainly = segment(cutout(color), edges=0).alpha
    for other in (color.astype(np.uint16) * 257, color.astype(np.float32) / 255):
        found = segment(cutout(other))
        np.testing.assert_allclose(found.alpha, expected, atol=1e-5)
        np.testing.assert_array_equal(segment(cutout(other), edges=0).alpha, plainly)
        assert found.color is other


EMPTY = {
    "black": lambda h, w: np.zeros((h, w, 3)),
    "white": lambda h, w: np.full((h, w, 3), 255),
    "red": lambda h, w: np.broadcast_to([200, 30, 30], (h, w, 3)),
    "noise": lambda h, w: RNG.integers(0, 256, (h, w, 3)),
    "grey noise": lambda h, w: RNG.integers(0, 256, (h, w, 1)).repeat(3, axis=2),
    "soft noise": lambda h, w: RNG.normal(128, 20, (h, w, 3)).clip(0, 255),
    "ramp": lambda h, w: np.broadcast_to(np.linspace(0, 255, w)[:, None], (h, w, 1)).repeat(3, 2),
}


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (320, 320), (300, 700)])
@pytest.mark.parametrize("kind", EMPTY)
def test_a_picture_with_nothing_in_it_gives_an_empty_matte_and_says_so(weights, kind, size):
    job = Notes()
    found = segment(cutout(EMPTY[kind](*size).astype(np.uint8)), job=job)
    assert found.alpha.shape == size and not found.alpha.any()
    assert job.notes == ["Nothing was found in this picture, so all of it is transparent."]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (1, r"Almost nothing of this picture is left: 0\.9 %\. If that is wrong, try another"),
        (99, r"Nearly all of this picture is left: 98\.8 %\. If that is wrong, try another"),
        (3, None),
        (97, None),
    ],
)
def test_a_picture_of_which_almost_nothing_or_nearly_all_is_left_is_said(network, columns, said):
    def part(rgb, device):
        matte = np.zeros(rgb.shape[:2], np.float32)
        matte[:, : columns * rgb.shape[1] // 100] = 1
        return matte

    network(part)
    job, again = Notes(), Notes()
    segment(cutout(ramp(400, 400)), quality="fast", edges=0, job=job)
    assert len(job.notes) == bool(said)
    assert said is None or re.match(said, job.notes[0])
    clear = np.zeros((400, 400), np.float32)  # how little is left of it is no surprise
    segment(cutout(ramp(400, 400), clear), quality="fast", edges=0, job=again)
    assert not again.notes


def test_where_almost_nothing_is_left_a_guessed_model_is_named(network, monkeypatch):
    guessed = msgspec.structs.replace(registry.find("u2netp"), name="mine", guessed=("mean",))
    monkeypatch.setattr(registry, "find", lambda name: guessed)
    network(lambda rgb, device: np.eye(*rgb.shape[:2], dtype=np.float32))
    job = Notes()
    segment(cutout(ramp(400, 400)), quality="fast", edges=0, job=job)
    assert len(job.notes) == 1 and "How mine is fed was guessed" in job.notes[0]


def test_multiply_never_shows_what_was_transparent(network):
    network(left_half)
    alpha = RNG.random((37, 53), np.float32)
    found = segment(cutout(ramp(), alpha)).alpha
    assert (found <= alpha).all()
    np.testing.assert_array_equal(found[:, :10], alpha[:, :10])


def test_replace_forgets_the_old_matte(network):
    network(left_half)
    found = segment(cutout(ramp(), np.zeros((37, 53), np.float32)), existing_alpha="replace")
    assert (found.alpha[:, :10] == 1).all()


def test_keep_leaves_a_transparent_picture_alone_and_cuts_out_an_opaque_one(network):
    network(left_half)
    given = cutout(ramp(), np.full((37, 53), 0.5, np.float32))
    assert segment(given, existing_alpha="keep") is given
    assert segment(cutout(ramp()), existing_alpha="keep").alpha[0, -1] == 0


def test_the_network_sees_grey_under_transparency(network):
    seen = []
    network(lambda rgb, device: seen.append(rgb) or left_half(rgb, device))
    segment(cutout(ramp(), np.zeros((37, 53), np.float32)))
    assert (seen[0] == 128).all()


def test_a_matte_is_stretched_only_if_the_model_says_so(network, monkeypatch):
    network(lambda rgb, device: 0.5 * left_half(rgb, device) + 0.25)
    assert segment(cutout(ramp()), edges=0).alpha.max() == 1
    still = msgspec.structs.replace(registry.find("u2netp"), stretch=False)
    monkeypatch.setattr(registry, "find", lambda name: still)
    found = segment(cutout(ramp()), quality="fast", edges=0).alpha
    assert found[0, 0] == pytest.approx(0.75, abs=HALF_STEP)
    assert found[0, -1] == pytest.approx(0.25, abs=HALF_STEP)


def test_the_networks_answer_is_kept_apart(network):
    asked = []
    network(lambda rgb, device: asked.append(1) or left_half(rgb, device))
    job, given = Notes(), cutout(ramp(), np.ones((37, 53), np.float32) / 2)
    first = segment(given, quality="fast", job=job).alpha
    np.testing.assert_array_equal(segment(given, quality="fast", job=job).alpha, first)
    segment(given, quality="fast", edges=40, job=job)
    assert len(asked) == 1
    segment(given, quality="balanced", job=job)  # looks twice more
    segment(given, quality="balanced", edges=0, job=job)
    assert len(asked) == 3
    segment(given, quality="best", job=job)
    segment(given, quality="fast", job=job)
    assert len(asked) == 4
    # The network sees another picture.
    segment(given, quality="fast", existing_alpha="replace", job=job)
    assert len(asked) == 5


def test_an_unsure_network_is_asked_at_other_sizes_and_mirrored(network):
    seen = []
    network(lambda rgb, device: seen.append(rgb) or left_half(rgb, device))
    found = segment(cutout(ramp(300, 400)), quality="best", edges=0).alpha
    assert [rgb.shape[:2] for rgb in seen] == [(320, 320), (224, 288), (224, 224), (288, 384)]
    leftwards = [bool(rgb[0, 0, 0] > rgb[0, -1, 0]) for rgb in seen]
    assert leftwards == [False, True, False, True]
    # A mirrored answer is turned back: two say left, two right, so none of them prevails.
    assert 0.3 < found[:, 40:160].mean() < 0.7 and 0.3 < found[:, 240:360].mean() < 0.7


def test_where_two_looks_agree_none_is_asked_for_to_decide(network):
    seen = []
    network(lambda rgb, device: seen.append(rgb.shape[:2]) or spot(rgb, device))
    job, given = Notes(), cutout(dotted())
    segment(given, quality="balanced", job=job)
    assert seen == [(320, 320), (224, 288), (256, 256)]  # the last is a closer one
    segment(given, quality="best", edges=0, job=job)
    assert seen[3] == (288, 384)


def test_a_network_of_fixed_size_is_asked_at_that_size_only(network, monkeypatch):
    seen = []
    network(lambda rgb, device: seen.append(rgb.shape[:2]) or left_half(rgb, device))
    fixed = msgspec.structs.replace(registry.find("u2netp"), flexible=False)
    monkeypatch.setattr(registry, "find", lambda name: fixed)
    segment(cutout(ramp(300, 400)), quality="best")
    assert set(seen) == {(320, 320)} and len(seen) == 2


def spot(rgb, device):
    """Sure of what is red, and only of that."""
    red = rgb[..., 0].astype(np.float32) - rgb[..., 1]
    return np.clip(red / 100, 0, 1)


def dotted(height=300, width=400):
    """A grey ramp with a small red square."""
    color = ramp(height, width)
    color[140:170, 100:130] = 200, 20, 20
    return color


@pytest.mark.parametrize(("quality", "looks", "closer"), [("balanced", 2, 1), ("best", 3, 2)])
def test_a_small_subject_is_looked_at_again_alone(network, quality, looks, closer):
    seen = []
    network(lambda rgb, device: seen.append(rgb) or spot(rgb, device))
    found = segment(cutout(dotted()), quality=quality).alpha
    assert len(seen) == looks + closer
    for rgb in seen[looks:]:
        assert 0.2 < (rgb[..., 0] > rgb[..., 1] + 50).mean() < 0.6  # it fills the picture now
    if closer == 2:
        np.testing.assert_array_equal(seen[-1], seen[-2][:, ::-1])
    true = np.zeros((300, 400), np.float32)
    true[140:170, 100:130] = 1
    assert np.abs(found - true).sum() < 0.05 * true.sum()


@pytest.mark.parametrize(
    ("happens", "given_back"),
    [("all looks", 0), ("nothing found", 1), ("stopped", 1), ("last look known", 1)],
)
def test_memory_kept_for_a_look_that_does_not_come_is_given_back(
    network, monkeypatch, happens, given_back
):
    class Stop(Exception):
        pass

    def answer(rgb, device):
        asked.append(1)
        if happens == "stopped" and len(asked) == 2:
            raise Stop
        return left_half(rgb, device) * np.float32(happens != "nothing found")

    network(answer)
    asked, rested, job = [], [], Notes()
    monkeypatch.setattr(session, "rest", lambda model: rested.append(model.name))
    if happens == "last look known":
        segment(cutout(ramp()), quality="balanced", job=job)
        del job.kept[next(iter(job.kept))]  # as if it had made room for something else
    with suppress(Stop):
        segment(cutout(ramp()), quality="balanced", job=job)
    assert rested == ["u2netp"] * given_back


def test_several_models_are_averaged(network, monkeypatch):
    sure = [1.0, 0.5]
    run = lambda model, *rest, **more: np.full(  # noqa: E731
        model.size, sure[model.name == "u2net"], np.float32
    )
    network(left_half)
    still = {
        name: msgspec.structs.replace(registry.find(name), stretch=False)
        for name in ("u2netp", "u2net")
    }
    monkeypatch.setattr(registry, "find", still.__getitem__)
    monkeypatch.setattr(session, "predict", run)
    found = segment(cutout(ramp()), model="u2netp + u2net", quality="fast", edges=0).alpha
    assert 0.8 < found.mean() < 0.9  # halfway between the logits of 0.97 and of 0.5
    with pytest.raises(KeyError):
        segment(cutout(ramp()), model="u2netp+gone")


def test_weights_and_preprocessing_are_part_of_the_key(monkeypatch):
    spec, model = find("segment"), registry.find("u2net")
    assert spec.full_scale
    mattes = [name for name, listed in registry.packaged().items() if listed.kind == "matte"]
    keys = {spec.outside({"model": name}) for name in mattes}
    assert len(keys) == len(mattes)
    with pytest.raises(ModelError, match="there is no model"):
        spec.outside({"model": "u2net+gone"})
    assert spec.outside({"model": "u2netp+u2net"}) not in keys
    for change in ({"stretch": False}, {"divide": "255"}, {"size": (64, 64)}):
        other = msgspec.structs.replace(model, **change)
        monkeypatch.setattr(registry, "find", lambda name, other=other: other)
        assert spec.outside({"model": "u2net"}) not in keys


def broken(rgb, device):
    if device.kind == "gpu":
        raise DeviceError("Test GPU failed: out of memory.")
    return left_half(rgb, device)


def test_when_a_gpu_fails_the_cpu_finishes_and_says_so(network, monkeypatch):
    monkeypatch.setattr(devices, "_found", [GPU, CPU])
    network(broken)
    job = Notes()
    assert segment(cutout(ramp()), job=job).alpha[0, 0] == 1
    assert job.notes == ["The CPU did this: Test GPU failed: out of memory."]
    assert {parts[-2] for _, parts in job.kept} == {"cpu"}


def test_a_required_gpu_that_fails_is_an_error(network, monkeypatch):
    monkeypatch.setattr(devices, "_found", [GPU, CPU])
    network(broken)
    with pytest.raises(DeviceError, match="out of memory"):
        segment(cutout(ramp()), require_gpu=True)


def test_a_gpu_that_gives_no_numbers_is_replaced_by_the_cpu(weights, monkeypatch):
    monkeypatch.setattr(devices, "_found", [GPU, CPU])
    monkeypatch.setattr(session, "_failed", {})
    planes = session._planes
    monkeypatch.setattr(
        session, "_planes", lambda raw: planes(raw * np.nan if turn[0].locked() else raw)
    )
    turn = [session._turns[GPU.name]]
    job, color = Notes(), skimage.data.chelsea()
    found = segment(cutout(color), job=job).alpha
    assert job.notes == ["The CPU did this: Test GPU failed: it gives values that are not numbers."]
    np.testing.assert_array_equal(found, segment(cutout(color), device="cpu").alpha)


def test_a_required_gpu_must_be_there(monkeypatch):
    monkeypatch.setattr(devices, "_found", [CPU])
    with pytest.raises(DeviceError, match="no GPU can be used here"):
        segment(cutout(ramp()), require_gpu=True)
    with pytest.raises(DeviceError, match="CPU is no GPU"):
        segment(cutout(ramp()), require_gpu=True, device="cpu")


def test_a_missing_model_is_fetched_if_its_licence_is_plain(monkeypatch, fetched):
    def fetch(name, progress):
        progress(5, 10)
        return fetched

    monkeypatch.setattr(store, "fetch", fetch)
    job = Notes()
    segment(cutout(skimage.data.chelsea()), device="cpu", job=job)
    assert job.notes[0].startswith("Fetched the model u2netp. Apache-2.0")


def test_a_missing_model_of_unclear_licence_is_not_fetched():
    with pytest.raises(ModelError, match=r"silueta: .*not here\. Run 'qr-nodes models get silueta"):
        segment(cutout(skimage.data.chelsea()), model="silueta")


def test_damaged_weights_are_refused(weights):
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"u2netp: .*damaged.*qr-nodes models get u2netp"):
        segment(cutout(skimage.data.chelsea()))


def test_a_refiner_is_refused():
    with pytest.raises(ModelError, match="needs a trimap"):
        segment(cutout(ramp()), model="vitmatte-small-distinctions-646")


def test_two_pictures_at_once_get_their_own_mattes(weights):
    pictures = [skimage.data.chelsea(), skimage.data.coffee()]
    expected = [segment(cutout(color)).alpha for color in pictures]
    found = [None, None]

    def run(index):
        found[index] = segment(cutout(pictures[index])).alpha

    threads = [threading.Thread(target=run, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_dragging_edges_draws_the_matte_to_the_edges_once(network, monkeypatch):
    module = sys.modules["qr_nodes.nodes.segment"]
    drawn, draw = [], module.drawn_to_edges
    monkeypatch.setattr(module, "drawn_to_edges", lambda *a: drawn.append(1) or draw(*a))
    network(left_half)
    picture = cutout(RNG.integers(0, 9, (90, 130, 3), np.uint8) + ramp(90, 130) // 2)
    job = Notes()
    found = [segment(picture, edges=30, job=job).alpha]
    once = len(drawn)
    found += [segment(picture, edges=edges, job=job).alpha for edges in (60, 90)]
    assert len(drawn) == once > 0
    for edges, alpha in zip((30, 60, 90), found, strict=True):
        np.testing.assert_array_equal(alpha, segment(picture, edges=edges).alpha)
    ends = [segment(picture, edges=edges).alpha for edges in (0, 100)]
    assert not np.array_equal(*ends)
    np.testing.assert_allclose(found[1], ends[0] + 0.6 * (ends[1] - ends[0]), atol=1e-6)
