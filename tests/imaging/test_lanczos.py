import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from qr_nodes.imaging import strips
from qr_nodes.imaging.lanczos import resize_unit

RNG = np.random.default_rng(5)


def pillow(array, height, width):
    image = Image.fromarray(array)
    return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("size", [(37, 53), (1, 1), (1, 400), (120, 33), (700, 900)])
@pytest.mark.parametrize("old", [(64, 64), (5, 7), (1, 1)])
def test_a_mask_is_resized_as_pillow_does(old, size):
    plane = RNG.random(old, np.float32)
    resized = resize_unit(plane, *size)
    np.testing.assert_allclose(resized, np.clip(pillow(plane, *size), 0, 1), atol=2e-6)
    assert resized.dtype == np.float32 and resized.flags.c_contiguous


def test_overshoot_is_clipped():
    step = np.repeat(np.float32([[0, 1]]), 8, axis=1).repeat(16, axis=0)
    resized = resize_unit(step, 160, 160)
    assert resized.min() == 0 and resized.max() == 1


@pytest.mark.parametrize("value", [0, 1])
def test_solid_parts_stay_exactly_solid(value):
    plane = np.full((64, 48), value, np.float32)
    assert (resize_unit(plane, 137, 253) == value).all()


def test_work_stops_between_strips(monkeypatch, stopping):
    monkeypatch.setattr(strips, "GRAIN", 1000)
    mask = np.zeros((8, 8), np.float32)
    stopping(lambda checkpoint: resize_unit(mask, 200, 100, checkpoint=checkpoint))


@pytest.mark.process
def test_a_mask_is_the_same_whatever_the_number_of_threads():
    code = """
import hashlib
import numpy as np
from qr_nodes.imaging.lanczos import resize_unit
mask = np.random.default_rng(0).random((320, 320)).astype(np.float32)
for shape in ((512, 512), (1000, 4096), (150, 2500)):
    print(hashlib.sha256(resize_unit(mask, *shape).tobytes()).hexdigest())
"""
    said = set()
    for threads in "12":
        env = {**os.environ, "OPENBLAS_NUM_THREADS": threads}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        said.add(done.stdout)
    assert len(said) == 1
