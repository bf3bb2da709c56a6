import numpy as np
import pytest

from qr_nodes.errors import ModelError
from qr_nodes.inference import registry, session
from qr_nodes.inference.sizes import freed


def test_the_default_network_takes_other_sizes_and_says_the_same_at_its_own(weights):
    import onnxruntime

    data = weights.read_bytes()
    x = np.random.default_rng(1).random((1, 3, 320, 320), np.float32)
    answers = []
    for network in (data, freed(data)):
        loaded = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
        answers.append(loaded.run(["1959"], {loaded.get_inputs()[0].name: x})[0])
    np.testing.assert_array_equal(*answers)
    assert len(freed(data)) == len(data)
    rgb = np.random.default_rng(2).integers(0, 256, (96, 160, 3), np.uint8)
    assert session.predict(registry.find("u2netp"), weights, rgb).shape == (96, 160)


@pytest.mark.parametrize("data", [b"\xff" * 40, b"not a network at all, only words"])
def test_what_is_no_network_is_refused(data):
    with pytest.raises(ModelError, match="no ONNX network"):
        freed(data)
