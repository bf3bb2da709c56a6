"""Work out how to feed a network that came without instructions."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np

from qr_nodes.errors import ModelError
from qr_nodes.inference import registry, session, sizes
from qr_nodes.inference.drawn_subject import drawn_subject
from qr_nodes.inference.registry import Model

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "divide": "255"}
"""How most networks that start from a classifier were trained."""
WAYS = (
    IMAGENET,
    {"mean": (0.5, 0.5, 0.5), "std": (1.0, 1.0, 1.0), "divide": "255"},  # IS-Net
    {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "divide": "255"},  # -1 to 1: MODNet
    {"mean": (0.485, 0.456, 0.406), "std": (1.0, 1.0, 1.0), "divide": "255"},  # IS-Net for anime
    {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "divide": "255"},
    {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "divide": "none"},
)
"""How pictures are fed to networks, the likelier way first."""
ALIKE = 0.03
"""Ways whose mattes' IoU with the true one differ by less are as good. Of 0.99 that the right one
reaches, u2netp, u2net and two IS-Nets lose 0.01 with other ways that do them no harm."""
FOUND = 0.5
"""IoU below which the drawn subject was not found."""
GUESSED = ("mean", "std", "divide", "output")
"""Fields of `Model` that are guessed unless they are set."""
U2NET = (320, 320)
"""Height and width, px, that networks of U²-Net's family ask for, and few others."""

SECONDS = 300
"""Time for a trial: the largest networks that are known take a tenth of it on a slow machine."""
PATIENCE_S = 150
"""Time after which no further way is tried: a network may need half a minute for each."""
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
    family = like or _relative(known["name"])
    tried = session.Trial(weights)
    usual = family.size if family else (1024, 1024)
    size = tuple(asked or side for asked, side in zip(tried.size, usual, strict=True))
    fields = {"licence": "Not known; the file was added by hand.", "size": size} | known
    ways = [_preprocessing(family)] if family else []
    ways += () if like else WAYS
    if not family and size == U2NET:
        ways.insert(0, _preprocessing(registry.packaged()["u2net"]))
    models = [_checked(fields | way | settings, known["name"]) for way in ways]
    model, score = _best(tried, list({m.preprocessing: m for m in models}.values()), settings)
    guessed = [name for name in GUESSED if name not in settings]
    if like or not guessed:
        return model
    return msgspec.structs.replace(model, guessed=tuple(guessed), found=score)


def _best(tried: session.Trial, models: list[Model], settings: dict) -> tuple[Model, float]:
    """Return the first model whose matte of a drawn subject is as good as any, and its IoU.

    Raises
    ------
    ModelError
        The network gives no matte, whichever way it is fed.
    """
    rgb, alpha = drawn_subject(*models[0].size)
    rated: list[tuple[Model, float]] = []
    faults, began = [], time.monotonic()
    for model in models:
        if rated and time.monotonic() - began > PATIENCE_S:
            break
        try:
            planes = tried.planes(model, rgb)
            model = model if "output" in settings else _with_output(model, planes, settings)
            rated.append((model, _iou(tried.matte(planes, model.output), alpha)))
        except ModelError as error:
            faults.append(error)
    if not rated:
        raise faults[0]
    best = max(score for _, score in rated)
    enough = best - ALIKE if best >= FOUND else 0.0
    return next((model, score) for model, score in rated if score >= enough)


def _with_output(model: Model, planes: np.ndarray, settings: dict) -> Model:
    """Tell a matte, logits and classes apart by what the network gives for a picture."""
    if len(planes) > 1:
        stretch = settings.get("stretch", False)
        return msgspec.structs.replace(model, output="classes", stretch=stretch)
    unit = planes.min() >= -session.SLACK and planes.max() <= 1 + session.SLACK
    return msgspec.structs.replace(model, output="matte" if unit else "logits")


def _iou(matte: np.ndarray, alpha: np.ndarray) -> float:
    """Return how much of two mattes is common to both, from 0 to 1."""
    matte = cv2.resize(matte, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return float(np.minimum(matte, alpha).sum() / np.maximum(matte, alpha).sum())


def _relative(name: str) -> Model | None:
    """Return the listed model of the same family: the one whose name begins alike."""
    for listed in registry.packaged().values():
        if listed.kind == "matte" and listed.name.split("-")[0].lower() in name.lower():
            return listed
    return None


def _preprocessing(like: Model) -> dict:
    names = ("mean", "std", "divide", "stretch")
    return {field: getattr(like, field) for field in names}


def _checked(fields: dict, name: str) -> Model:
    try:
        return msgspec.convert(fields, Model)
    except msgspec.ValidationError as error:
        raise ModelError(f"a setting does not fit: {error}.", name) from error


if __name__ == "__main__":
    _main()
