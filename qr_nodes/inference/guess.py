"""Work out how to feed a network that came without instructions."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from qr_nodes.errors import ModelError
from qr_nodes.inference import registry, session, sizes
from qr_nodes.inference.registry import Model

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "divide": "255"}
"""How most networks that start from a classifier were trained."""


SECONDS = 300
"""Time for a trial: the largest networks that are known take a tenth of it on a slow machine."""
MEMORY = 16 << 30
"""Bytes of address space for a trial, or all that the machine has if that is less."""


def model(weights: Path, known: dict, settings: dict[str, Any], like: Model | None) -> Model:
    """Describe the network in `weights`, after trying it in a process of its own.

    A network is a program: one may loop for ever, take all memory or crash what runs it. What
    it does in its trial costs that process alone.
    """
    try:
        whole = sizes.self_contained(weights.read_bytes())
    except ModelError as error:
        raise error.at(weights.name) from error.__cause__
    if not whole:
        raise ModelError(
            "it keeps weights in files beside it.", weights.name, "Add one that holds all of them."
        )
    asked = {"weights": str(weights), "known": known, "settings": settings}
    asked["like"] = like and msgspec.to_builtins(like)
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-P", "-m", "qr_nodes.inference.guess"]
    pipes = {"input": json.dumps(asked).encode(), "stdout": subprocess.PIPE}
    try:
        done = subprocess.run(
            command, timeout=SECONDS, env=env, stderr=subprocess.DEVNULL, check=False, **pipes
        )
    except subprocess.TimeoutExpired as error:
        what = f"the network does not come to an end in {SECONDS} s."
        raise ModelError(what, weights.name, "Use another.") from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        what = f"the network ends the program that runs it ({done.returncode})."
        raise ModelError(what, weights.name, "Use another.") from error
    if "fault" in answer:
        raise ModelError(*answer["fault"])
    return msgspec.convert(answer, Model)


def _main() -> None:
    """Try the network that standard input names, and print what it is, or why it is none."""
    with contextlib.suppress(ImportError):
        import resource  # not on Windows

        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = min(MEMORY, there) if most == resource.RLIM_INFINITY else most
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asked = json.load(sys.stdin)
    like = asked["like"] and msgspec.convert(asked["like"], Model)
    try:
        found = described(Path(asked["weights"]), asked["known"], asked["settings"], like)
        answer = msgspec.to_builtins(found)
    except ModelError as error:
        answer = {"fault": (error.what, error.where, error.hint)}
    except MemoryError:
        what = "the network takes more memory than there is."
        answer = {"fault": (what, Path(asked["weights"]).name, "Use a smaller one.")}
    print(json.dumps(answer))


def described(weights: Path, known: dict, settings: dict[str, Any], like: Model | None) -> Model:
    """Describe the network in `weights`, running it here.

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


if __name__ == "__main__":
    _main()
