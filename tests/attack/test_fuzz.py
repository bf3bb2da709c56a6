"""What coverage-guided fuzzing kept: every kind of bytes that it found is given to its reader."""

from __future__ import annotations

import pytest
import targets

OVERFLOW = (
    b'{"version": 1, "models": {"a": {"file": "a.onnx", "checksum": "sha256:' + b"0" * 64 + b'", '
    b'"licence": "Free.", "size": [320, 320], %s}}}'
)
FILES = sorted(path for path in targets.CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("name", list(targets.TARGETS))
def test_every_target_has_a_corpus(name):
    assert any(path.parent.name == name for path in FILES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_fuzzing_kept_is_sound_or_refused_with_a_sentence(path):
    targets.TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("models", b'{"\xc9": 1}'),
        ("models", b"[" * 100_000),
        ("models", b"# \xff"),
        ("models", OVERFLOW % b'"mean": [1e308, 1, 0.4]'),
        ("models", OVERFLOW % b'"std": [1e-320, 1, 0.4]'),
        ("models", b"#\na = " + b"[" * 100_000),
        ("strokes", b"[" * 100_000),
        ("strokes", b'[{"points": [[1e999, 0]]}]'),
        ("qrgraph", b"1e308"),
        ("qrgraph", b'"text"'),
    ],
)
def test_bytes_that_once_went_through_are_refused_with_a_sentence(name, data):
    targets.TARGETS[name](data)
