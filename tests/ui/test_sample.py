"""The sample of the first start: there, pretty enough to be recognised, cut out."""

from __future__ import annotations

import numpy as np

from qr_nodes.cache import Cache
from qr_nodes.engine import Engine, RunRequest
from qr_nodes.imaging.image_io import read_image
from qr_nodes.ui import sample


def test_the_sample_is_drawn_once_and_always_the_same(home):
    file = sample.sample_file()
    drawn = file.read_bytes()
    written = file.stat().st_mtime_ns
    assert sample.sample_file() == file
    assert file.stat().st_mtime_ns == written
    file.unlink()
    assert sample.sample_file().read_bytes() == drawn
    assert home in file.parents


def test_the_sample_is_an_opaque_picture_of_its_size():
    picture = read_image(sample.sample_file())
    assert picture.color.shape == (sample.HEIGHT, sample.WIDTH, 3)
    assert picture.color.dtype == np.uint8
    assert (picture.alpha == 1).all()
    assert np.ptp(picture.color.reshape(-1, 3), axis=0).min() > 150


def test_the_first_graph_is_complete_and_finds_the_balloon(weights):
    graph = sample.start_graph()
    assert graph.nodes["load"].params["path"] == str(sample.sample_file())
    engine = Engine(Cache())
    done = {}
    try:
        request = RunRequest(graph, ("brush_edit",), 1.0, 1)
        engine.run(request, lambda e: done.update({e.node: e.outputs} if e.kind == "done" else {}))
    finally:
        engine.close()
    cutout = done["brush_edit"]["cutout"]
    x, y = sample._grid(0, sample.WIDTH, 1)
    parts = (sample._envelope(x, y)[1], sample._basket(x, y)[1])
    balloon = np.maximum(*parts) > 0.5
    found = cutout.alpha > 0.5
    assert (balloon & found).sum() / (balloon | found).sum() > 0.95
