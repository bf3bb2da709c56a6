import numpy as np
import pytest
from networks import MEAN, network

from qr_nodes.cli import main
from qr_nodes.inference import guess, registry, session
from qr_nodes.inference.drawn_subject import drawn_subject

SIDE = 64
KNOWN = {"file": "mine.onnx", "checksum": f"sha256:{'0' * 64}", "name": "mine"}
ONLY = [0, 1, 2, 5]
"""Ways that a band of values tells from all before them."""


def seen(way):
    """What each pixel of the drawn subject's and of its wall's is to a network fed in this way."""
    rgb, alpha = drawn_subject(SIDE, SIDE)
    x = rgb / (255 if way["divide"] == "255" else 1)
    x = ((x - way["mean"]) / way["std"]).mean(axis=2)
    return x[alpha > 0.99], x[alpha < 0.01]


@pytest.fixture
def banded(tmp_path):
    """Write a network that finds what lies in the band of values that a way makes of the subject.

    A way that puts the subject elsewhere, or the wall into the band, gets another answer.
    """

    def write(way, sharp=400.0, steps=()):
        subject, wall = seen(way)
        low, high = (np.percentile(subject, 5) + wall.max()) / 2, 1.05 * subject.max()
        sharp /= high - low
        path = tmp_path / "mine.onnx"
        scale = [
            ("Mul", ["mean", "up"], "a", {}),
            ("Add", ["a", "low"], "b", {}),
            ("Sigmoid", ["b"], "c", {}),
            ("Mul", ["mean", "down"], "d", {}),
            ("Add", ["d", "high"], "e", {}),
            ("Sigmoid", ["e"], "f", {}),
            ("Mul", ["c", "f"], "out", {}),
        ]
        numbers = {"up": sharp, "low": -sharp * low, "down": -sharp, "high": sharp * high}
        constants = [(name, np.float32([value])) for name, value in numbers.items()]
        shape = (1, 3, SIDE, SIDE)
        path.write_bytes(network([MEAN, *scale], constants, shape, (1, 1, SIDE, SIDE)))
        return path

    return write


def fed(model):
    return {"mean": model.mean, "std": model.std, "divide": model.divide}


@pytest.mark.parametrize("place", ONLY)
def test_a_network_of_no_known_name_is_fed_in_the_way_in_which_it_answers(banded, place):
    way = guess.WAYS[place]
    model = guess.described(banded(way), KNOWN, {}, None)
    assert fed(model) == way and model.output == "matte" and model.size == (SIDE, SIDE)
    assert model.guessed == ("mean", "std", "divide", "output") and model.found > 0.9


def test_a_name_that_tells_another_family_does_not_win_over_the_trial(banded):
    model = guess.described(banded(guess.WAYS[1]), KNOWN | {"name": "u2net-like"}, {}, None)
    assert fed(model) == guess.WAYS[1]


def test_what_is_set_is_kept_and_the_rest_is_tried(banded):
    settings = {"mean": (0.5, 0.5, 0.5), "output": "matte"}
    model = guess.described(banded(guess.WAYS[2]), KNOWN, settings, None)
    assert fed(model) == guess.WAYS[2] and model.guessed == ("std", "divide")
    every = {"mean": (0, 0, 0), "std": (1, 1, 1), "divide": "255", "output": "matte"}
    assert not guess.described(banded(guess.WAYS[2]), KNOWN, every, None).guessed


def test_a_network_that_finds_nothing_is_fed_as_its_name_says_and_the_guess_is_unsure(banded):
    blind = banded({"mean": (9.0, 9.0, 9.0), "std": (1.0, 1.0, 1.0), "divide": "255"})
    model = guess.described(blind, KNOWN | {"name": "my-isnet"}, {}, None)
    assert fed(model) == {"mean": (0.5,) * 3, "std": (1.0,) * 3, "divide": "image max"}
    assert model.found < guess.FOUND


def test_the_command_line_says_what_was_guessed_and_how_to_put_it_right(banded, capsys):
    assert main(["models", "add", str(banded(guess.WAYS[1]))]) == 0
    first, second, third, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("mine: 64 × 64 px, divided by 255, mean 0.5 0.5 0.5, std 1 1 1, gives")
    assert second.startswith("Guessed: mean, std, divide, output; so fed it finds a drawn subject")
    assert third.endswith("others than --mean 0.5 0.5 0.5 --std 1 1 1 --divide 255")
    assert registry.find("mine").guessed
    blind = banded({"mean": (9.0, 9.0, 9.0), "std": (1.0, 1.0, 1.0), "divide": "255"})
    assert main(["models", "add", str(blind), "--name", "blind"]) == 0
    assert "NOT SURE" in capsys.readouterr().out


@pytest.mark.parametrize("size", [(8, 8), (37, 53), (512, 512), (600, 700)])
def test_the_drawn_subject_has_the_size_that_is_asked_for(size):
    rgb, alpha = drawn_subject(*size)
    assert rgb.shape == (*size, 3) and rgb.dtype == np.uint8
    assert alpha.shape == size and alpha.min() == 0 and alpha.max() == 1
    assert alpha.mean() == pytest.approx(0.333, abs=0.005)


def test_a_real_network_finds_the_drawn_subject(weights):
    model = registry.find("u2netp")
    rgb, alpha = drawn_subject(*model.size)
    assert guess._iou(session.predict(model, weights, rgb), alpha) > 0.95
