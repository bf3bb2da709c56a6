"""Segment: find the subject with a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import cv2
import numpy as np

from qr_nodes.errors import DeviceError, ModelError
from qr_nodes.imaging.lanczos import resize_unit, shrink_rgb
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, is_opaque

FAINT = 0.4
"""A network whose surest pixel stays below this has found nothing. With u2netp and u2net, flat
colours and ramps of many sizes reach 0.15; 53 photographs with a subject all exceed 0.91."""
UNRELATED = 0.35
"""Neighbours that agree less than this are noise, on which a network may answer anything. Noise
of many kinds stays below 0.29 from 8 px up; the same photographs exceed 0.77, and 0.40 when they
are shrunk to 16 px. A smooth picture has 1."""
HALF_STEP = 0.5 / 255
"""A network never says quite 0 or 1. What rounds to them in 8 bits is taken to be meant so:
the nodes that follow work where the matte is soft, a tenth of most pictures instead of all."""


def _identity(params: Mapping[str, Any]) -> str:
    """Give what tells the chosen model's mattes from others: its weights and how it is fed."""
    from qr_nodes.inference import registry

    model = registry.find(params["model"])
    return repr((model.checksum, *model.preprocessing, model.stretch))


@node("Segment", category="Matte", version=1, full_scale=True, outside=_identity)
def segment(
    cutout: Cutout,
    *,
    model: Annotated[str, Param(kind="model")] = "u2netp",
    device: Annotated[str, Param(kind="device")] = "auto",
    require_gpu: bool = False,
    existing_alpha: Literal["multiply", "replace", "keep"] = "multiply",
    job: Job = Job(),
) -> Cutout:
    """Find the subject with a network and give its soft matte at full size.

    Parameters
    ----------
    cutout : Cutout
        Picture to cut out. What is transparent in it looks grey to the network.
    model : str
        Network to use. `qr-nodes models list` shows them with their licences.
    device : str
        What to run it on: auto, cpu, gpu, or the beginning of a device's name.
    require_gpu : bool
        Stop with an error when no GPU can do it. Otherwise the CPU takes over and says so.
    existing_alpha : str
        What to do with transparency that is there already. Multiply keeps transparent what is
        transparent, replace forgets it, keep leaves a picture that has some as it is.

    Returns
    -------
    cutout : Cutout
        The same colours with the new matte.

    Raises
    ------
    ModelError
        The weights are missing or damaged, or the network does not work.
    DeviceError
        There is no such device, or no GPU where one is required.
    """
    opaque = is_opaque(cutout.alpha)
    if existing_alpha == "keep" and not opaque:
        return cutout
    under = None if opaque or existing_alpha == "replace" else cutout.alpha
    found = _matte(cutout.color, under, model, device, require_gpu, job)
    if under is not None:
        found *= under
    return cutout.with_alpha(found)


def _matte(color, under, name: str, device: str, require_gpu: bool, job: Job) -> np.ndarray:
    """Give the network's matte at the size of `color`, stretched as the model asks."""
    from qr_nodes.inference import registry

    model = registry.find(name)
    if model.kind != "matte":
        raise ModelError(f"{name} needs a trimap.", hint="Use a model that gives a matte.")
    raw = _raw(model, color, under, device, require_gpu, job)
    lowest, highest = float(raw.min()), float(raw.max())
    if highest < FAINT:
        job.note("Nothing was found in this picture, so all of it is transparent.")
        return np.zeros(color.shape[:2], np.float32)
    if model.stretch and highest > lowest:
        raw = (raw - np.float32(lowest)) / np.float32(highest - lowest)
    return resize_unit(raw, *color.shape[:2], margin=HALF_STEP, checkpoint=job.checkpoint)


def _raw(model, color, under, device: str, require_gpu: bool, job: Job) -> np.ndarray:
    """Give the network's own answer, kept apart; if a GPU fails, the CPU does it and says so."""
    from qr_nodes.inference import devices, session

    def on(chosen: devices.Device) -> np.ndarray:
        def compute() -> np.ndarray:
            height, width = map(min, color.shape, model.size)
            rgb = shrink_rgb(color, under, height, width, checkpoint=job.checkpoint)
            if _agreement(rgb) < UNRELATED:
                return np.zeros(model.size, np.float32)
            if (height, width) != model.size:  # enlarging would have made neighbours agree
                rgb = shrink_rgb(color, under, *model.size, checkpoint=job.checkpoint)
            return session.predict(model, _weights(model, job), rgb, chosen, job.checkpoint)

        # Plug-ins for the CPU compute in their own way: kept apart from the CPU itself.
        kind = "cpu plug-in" if chosen.kind == "cpu" and chosen != devices.CPU else chosen.kind
        parts = (model.checksum, *model.preprocessing, kind, under is None)
        return job.memo("network", parts, compute, disk=True)

    chosen = devices.pick("gpu" if require_gpu and device == "auto" else device)
    if require_gpu and chosen.kind != "gpu":
        raise DeviceError(f"{chosen.name} is no GPU.", hint="Choose a GPU, or do not require one.")
    try:
        return on(chosen)
    except DeviceError as error:
        if require_gpu or chosen == devices.CPU:
            raise
        job.note(f"The CPU did this: {error.what}")
        return on(devices.CPU)


def _weights(model, job: Job):
    """Give the path of checked weights; fetch them if their licence leaves no question."""
    from qr_nodes.inference import store

    if not store.is_here(model.name) and model.commercial == "yes":
        job.note(f"Fetched the model {model.name}. {model.licence}")
        return store.fetch(model.name, lambda done, total: job.progress(done / (total or 1e9)))
    return store.find(model.name, job.checkpoint)


def _agreement(rgb: np.ndarray) -> float:
    """Give how well neighbouring pixels agree, from 0 for noise to 1; 1 for a flat picture."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey -= grey.mean()
    spread = float((grey * grey).mean())
    if spread < 0.5:  # less than a level to either side
        return 1.0
    pairs = (grey[:, 1:] * grey[:, :-1], grey[1:] * grey[:-1])
    return float(np.mean([pair.mean() for pair in pairs if pair.size])) / spread
