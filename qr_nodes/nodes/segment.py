"""Segment: find the subject with a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, Any, Literal

import cv2
import numpy as np

from qr_nodes.errors import DeviceError
from qr_nodes.imaging.consensus import (
    HALF_STEP,
    Look,
    agreed,
    alike,
    closer_looks,
    looks,
    merged,
    small_subject,
    stretched,
    window,
)
from qr_nodes.imaging.drawn import drawn_to_edges
from qr_nodes.imaging.lanczos import resize_unit
from qr_nodes.imaging.shown import Shown
from qr_nodes.imaging.strips import strips
from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout, is_opaque

FAINT = 0.4
"""A network whose surest pixel stays below this has found nothing. With u2netp and u2net, flat
colours and ramps of many sizes reach 0.15; 53 photographs with a subject all exceed 0.91."""
UNRELATED = 0.35
"""Neighbours that agree less than this are noise, on which a network may answer anything. Noise
of many kinds stays below 0.29 from 8 px up; the same photographs exceed 0.77, and 0.40 when they
are shrunk to 16 px. A smooth picture has 1."""

USUAL = 0.02, 0.98
"""Least and largest share of a picture that a subject takes: of 141 photographs with true mattes
it takes 0.035 to 0.86. Beyond it may well be right, but somebody should look."""


def _models(name: str) -> list:
    """Give the models that a name such as "u2netp+u2net" means."""
    from qr_nodes.inference import registry

    return registry.named(name)


def _identity(params: Mapping[str, Any]) -> str:
    """Give what tells the chosen models' mattes from others: their weights and how they are fed."""
    return repr([(m.checksum, *m.preprocessing, m.stretch) for m in _models(params["model"])])


def _check(params: Mapping[str, Any], linked: Collection[str]) -> None:
    """Raise what is known of the model and the device by their names."""
    from qr_nodes.inference import devices

    _models(params["model"])
    if params["device"].strip().casefold() not in ("auto", "cpu", "gpu"):
        devices.pick(params["device"])


def _load(params: Mapping[str, Any]) -> None:
    """Load the networks whose weights are here on the device that will be asked first."""
    from qr_nodes.inference import devices, session, store

    device = devices.pick(params["device"])
    for model in _models(params["model"]):
        if store.is_here(model.name):
            session.ready(model, store.find(model.name), device)


def _prepare(params: Mapping[str, Any], fetch: bool) -> list[str]:
    """Raise what would fail every picture, and fetch weights if told to; return what to say."""
    from qr_nodes.inference import store

    models, said = _models(params["model"]), []
    if params["existing_alpha"] == "keep":  # it may be that nobody is asked
        return said
    if params["require_gpu"] or params["device"] != "auto":
        _device(params["device"], params["require_gpu"])
    for model in models:
        if not store.fetches(model):
            store.find(model.name)
        elif fetch:
            said.append(_fetched(model))
            store.fetch(model.name)
    return said


@node(
    "Segment",
    category="Matte",
    version=7,
    full_scale=True,
    outside=_identity,
    ahead=_load,
    check=_check,
    prepare=_prepare,
)
def segment(
    cutout: Cutout,
    *,
    model: Annotated[str, Param(kind="model")] = "u2netp",
    quality: Literal["fast", "balanced", "best"] = "balanced",
    edges: Annotated[float, Param(0, 100, unit="%")] = 100.0,
    device: Annotated[str, Param(kind="device")] = "auto",
    require_gpu: Annotated[bool, Param(machine=True)] = False,
    existing_alpha: Literal["multiply", "replace", "keep"] = "multiply",
    job: Job = Job(),
) -> Cutout:
    """Find the subject with a network and give its soft matte at full size.

    Parameters
    ----------
    cutout : Cutout
        Picture to cut out. What is transparent in it looks grey to the network.
    model : str
        Network to use. `qr-nodes models list` shows them with their licences. Several names
        joined by + are averaged.
    quality : str
        How often the network looks. Fast looks once; balanced also at a smaller picture, which
        shows it the whole, where the two differ at another, and more closely at a small
        subject; best at a larger one too, and closely twice.
    edges : float
        How far the matte is drawn to the picture's own edges and cleared of haze. At 0 it is
        what the network says.
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

    References
    ----------
    See `qr_nodes.imaging.consensus` and `qr_nodes.imaging.drawn`.
    """
    opaque = is_opaque(cutout.alpha)
    if existing_alpha == "keep" and not opaque:
        return cutout
    under = None if opaque or existing_alpha == "replace" else cutout.alpha
    shown = Shown(cutout.color, under, checkpoint=job.checkpoint)
    asked = _Asked(shown, under, _models(model), device, require_gpu, job)
    try:
        found = _matte(asked, quality, edges / 100)
    finally:
        _rest(asked)  # stopped, or the next look was known: nobody comes for what is kept
    if under is not None:
        found *= under  # how much is left says nothing of the network then
    else:
        _note_unusual(found, asked)
    return cutout.with_alpha(found)


@dataclass(frozen=True, eq=False)
class _Asked:
    """What a run is about, what was said in it, and which networks keep memory for a next look."""

    shown: Shown
    under: np.ndarray | None
    models: list
    device: str
    require_gpu: bool
    job: Job
    told: list = field(default_factory=list)
    keeping: list = field(default_factory=list)


def _rest(asked: _Asked) -> None:
    from qr_nodes.inference import session

    while asked.keeping:
        session.rest(asked.keeping.pop())


def _matte(asked: _Asked, quality: str, edges: float) -> np.ndarray:
    """Give the networks' matte at the size of the picture."""
    shape, job = asked.shown.size, asked.job
    heard: list[tuple[Any, Look, np.ndarray]] = []
    asks = _asks(asked, lambda model: looks(quality, shape, model.size, model.flexible))
    for place, (model, look, more) in enumerate(asks, 1):
        if look.decides and alike([answer for of, _, answer in heard if of is model]):
            if not more:
                _rest(asked)
            continue
        answer = _raw(asked, asked.shown, model, look, more)
        if answer.max() >= FAINT:
            answer = stretched(answer) if model.stretch else answer
        elif not heard:
            job.note("Nothing was found in this picture, so all of it is transparent.")
            return np.zeros(shape, np.float32)
        heard.append((model, look, answer))
        job.progress(place / (len(asks) + 1))
    answers = [answer for _, _, answer in heard]
    if len(answers) == 1 and edges == 0:
        return resize_unit(answers[0], *shape, margin=HALF_STEP, checkpoint=job.checkpoint)
    stretch = all(model.stretch for model in asked.models)
    matte = agreed(answers, [look.fine for _, look, _ in heard], shape, stretch)
    found = _drawn(asked, asked.shown, matte, edges)
    box = small_subject(matte) if quality != "fast" else None
    if box is not None:
        _look_closer(asked, quality, matte, found, box, edges)
    return found


def _note_unusual(found: np.ndarray, asked: _Asked) -> None:
    """Say so if almost nothing or nearly all of the picture is left."""
    share, (least, most) = cv2.mean(found)[0], USUAL
    if share == 0 or least <= share <= most:  # that nothing was found is said already
        return
    what = "Almost nothing" if share < least else "Nearly all"
    guessed = [model.name for model in asked.models if {*model.guessed} - {"output"}]
    cure = "If that is wrong, try another model."
    if guessed:
        cure = (
            f"How {' and '.join(guessed)} is fed was guessed: if that is wrong, "
            "'qr-nodes models add' it again with other values."
        )
    asked.job.note(f"{what} of this picture is left: {100 * share:.1f} %. {cure}")


def _asks(asked, ways: Callable[[Any], list[Look]]) -> list[tuple[Any, Look, bool]]:
    """Give each network with each of its looks, and whether it is asked again right after."""
    shown = [(model, ways(model)) for model in asked.models]
    return [(model, look, look is not looks_[-1]) for model, looks_ in shown for look in looks_]


def _look_closer(asked, quality: str, matte: np.ndarray, found: np.ndarray, box, edges) -> None:
    """Put what the networks say of a small subject alone into `found`.

    `box` is in cells of `matte`, which was agreed on before.
    """
    rows, columns = slice(box[0], box[2]), slice(box[1], box[3])
    (height, width), (down, across) = found.shape, matte.shape
    top, bottom = box[0] * height // down, box[2] * height // down
    left, right = box[1] * width // across, box[3] * width // across
    within = slice(top, bottom), slice(left, right)
    shown, shape = asked.shown.part(*within), (bottom - top, right - left)
    part = top, left, bottom, right
    asks = _asks(asked, lambda model: closer_looks(quality, part, model.size, model.flexible))
    answers = []
    for model, look, more in asks:
        answer = _raw(asked, shown, model, look, more)
        if answer.max() < FAINT:
            return
        answers.append(stretched(answer) if model.stretch else answer)
    stretch = all(model.stretch for model in asked.models)
    closer = agreed(answers, [True] * len(answers), shape, stretch)
    closer = merged(resize_unit(matte[rows, columns], *closer.shape), closer, stretch)
    asked.job.progress(0.95)
    closer = _drawn(asked, shown, closer, edges, (top, left))
    closer -= found[within]
    closer *= window(*shape)
    found[within] += closer


def _drawn(asked, shown: Shown, matte: np.ndarray, edges: float, at=(0, 0)) -> np.ndarray:
    """Return the matte at the size of what is shown, whose corner is `at`, drawn to its edges.

    In between, both ends are kept: whoever drags `edges` asks for the same two again and again.
    """
    checkpoint = asked.job.checkpoint
    if edges == 1:
        return drawn_to_edges(shown, matte, checkpoint)

    def plain() -> np.ndarray:
        return resize_unit(matte, *shown.size, margin=HALF_STEP, checkpoint=checkpoint)

    if edges == 0:
        return plain()
    digest = blake2b(np.ascontiguousarray(matte), digest_size=16).hexdigest()
    parts = (digest, *matte.shape, *shown.size, *at, asked.under is None)
    found = asked.job.memo("plain", parts, plain)
    drawn = asked.job.memo("drawn", parts, lambda: drawn_to_edges(shown, matte, checkpoint))
    out = np.empty_like(found)
    for rows, _, _ in strips(*found.shape):
        checkpoint()
        part = np.subtract(drawn[rows], found[rows], out=out[rows])
        part *= np.float32(edges)
        part += found[rows]
    return out


def _raw(asked, shown: Shown, model, look: Look, more: bool = False) -> np.ndarray:
    """Give a network's own answer, kept apart; if a GPU fails, the CPU does it and says so."""
    from qr_nodes.inference import devices, session

    under, job = asked.under, asked.job

    def resized(height: int, width: int) -> np.ndarray:
        rgb = shown.resized(height, width)
        return np.ascontiguousarray(rgb[:, ::-1]) if look.mirrored else rgb

    def on(chosen: devices.Device) -> np.ndarray:
        def compute() -> np.ndarray:
            size = look.height, look.width
            small = tuple(map(min, shown.size, size))
            rgb = resized(*small)
            if look.box is None and _agreement(rgb) < UNRELATED:
                return np.zeros(size, np.float32)
            if small != size:  # enlarging would have made neighbours agree
                rgb = resized(*size)
            path = _weights(model, job)
            asked.keeping[:] = [model] if more else []
            matte = session.predict(model, path, rgb, chosen, job.checkpoint, more)
            return np.ascontiguousarray(matte[:, ::-1]) if look.mirrored else matte

        # Plug-ins for the CPU compute in their own way: kept apart from the CPU itself.
        kind = "cpu plug-in" if chosen.kind == "cpu" and chosen != devices.CPU else chosen.kind
        parts = (model.checksum, *model.preprocessing, *look.parts, kind, under is None)
        return job.memo("network", parts, compute, disk=True)

    require_gpu = asked.require_gpu
    chosen = _device(asked.device, require_gpu)
    try:
        return on(chosen)
    except DeviceError as error:
        if require_gpu or chosen == devices.CPU:
            raise
        told = f"The CPU did this: {error.what}"
        if told not in asked.told:
            asked.told.append(told)
            job.note(told)
        return on(devices.CPU)


def _device(name: str, require_gpu: bool):
    """Return the device that is asked first, or raise DeviceError."""
    from qr_nodes.inference import devices

    chosen = devices.pick("gpu" if require_gpu and name == "auto" else name)
    if require_gpu and chosen.kind != "gpu":
        raise DeviceError(f"{chosen.name} is no GPU.", hint="Choose a GPU, or do not require one.")
    return chosen


def _fetched(model) -> str:
    return f"Fetched the model {model.name}. {model.licence}"


def _weights(model, job: Job):
    """Give the path of checked weights; fetch them if their licence leaves no question."""
    from qr_nodes.inference import store

    if store.fetches(model):
        job.note(_fetched(model))
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
