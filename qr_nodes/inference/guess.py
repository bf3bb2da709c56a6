"""Work out how to feed a network that came without instructions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from qr_nodes.errors import ModelError
from qr_nodes.inference import registry, session
from qr_nodes.inference.registry import Model

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "divide": "255"}
"""How most networks that start from a classifier were trained."""


def model(weights: Path, known: dict, settings: dict[str, Any], like: Model | None) -> Model:
    """Describe the network in `weights`, running it once.

    Parameters
    ----------
    weights : path of an .onnx file
    known : fields of `Model` that are certain
    settings : fields of `Model` that the user set; they win over a guess
    like : a listed model with the same weights, if there is one

    Raises
    ------
    ModelError
        The file is no network from a picture to a matte, or a setting does not fit.
    """
    if isinstance(side := settings.get("size"), int):
        settings = settings | {"size": (side, side)}
    like = like or _relative(known["name"])
    fields = _preprocessing(like) if like else dict(IMAGENET)
    fields |= {"licence": "Not known; the file was added by hand."}
    height, width = session.input_size(weights)
    usual = like.size if like else (1024, 1024)
    fields["size"] = (height or usual[0], width or usual[1])
    guessed = _checked(fields | known | settings, known["name"])
    if "output" not in settings:
        guessed = msgspec.structs.replace(guessed, output=_output(weights, guessed))
    if guessed.output == "classes" and "stretch" not in settings:
        guessed = msgspec.structs.replace(guessed, stretch=False)
    return guessed


def _relative(name: str) -> Model | None:
    """Give the listed model of the same family: the one whose name begins alike."""
    for listed in registry.packaged().values():
        if listed.kind == "matte" and listed.name.split("-")[0].lower() in name.lower():
            return listed
    return None


def _preprocessing(like: Model) -> dict:
    names = ("mean", "std", "divide", "output", "stretch")
    return {field: getattr(like, field) for field in names}


def _checked(fields: dict, name: str) -> Model:
    try:
        return msgspec.convert(fields, Model)
    except msgspec.ValidationError as error:
        raise ModelError(f"a setting does not fit: {error}.", name) from error


def _output(weights: Path, model: Model) -> str:
    """Tell a matte, logits and classes apart by what noise and flat colours give."""
    noise = np.random.default_rng(0).integers(0, 256, (*model.size, 3), np.uint8)
    tried = [session.trial(weights, model, rgb) for rgb in (noise, np.full_like(noise, 128))]
    if tried[0].shape[0] > 1:
        return "classes"
    low, high = min(map(np.min, tried)), max(map(np.max, tried))
    return "matte" if low >= -session.SLACK and high <= 1 + session.SLACK else "logits"
