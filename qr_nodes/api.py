"""What a script imports: cut pictures out, in files or in memory, with a graph or a preset.

State: the engines that calls share, by what they keep. Networks stay loaded between calls.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache as once
from hashlib import blake2b
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, Unpack, overload

from qr_nodes import batch, resources
from qr_nodes.batch import Result
from qr_nodes.engine import Engine, Event
from qr_nodes.errors import ParamError
from qr_nodes.graph import Graph
from qr_nodes.node import Job
from qr_nodes.qrgraph import load_graph
from qr_nodes.types import Cutout

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    Path_ = str | os.PathLike[str]
    Bytes = bytes | bytearray | memoryview | BinaryIO
    Pixels = Bytes | np.ndarray | Image.Image
    Picture = Path_ | Pixels
    Settings = Mapping[str, Any] | Iterable[str]

_ids = count(1)


class Options(TypedDict, total=False):
    """Everything of `remove` beside pictures and output."""

    preset: str | os.PathLike[str] | Graph
    set: Settings
    model: str | None
    quality: str | None
    device: str | None
    require_gpu: bool
    format: str
    cache: bool
    edits: bool
    again: bool
    overwrite: bool


@overload
def remove(pictures: Bytes, **options: Unpack[Options]) -> bytes: ...
@overload
def remove(pictures: np.ndarray, **options: Unpack[Options]) -> np.ndarray: ...
@overload
def remove(pictures: Image.Image, **options: Unpack[Options]) -> Image.Image: ...
@overload
def remove(pictures: Path_, output: Path_ | None = None, **options: Unpack[Options]) -> Path: ...
@overload
def remove(pictures: Pixels, output: Path_, **options: Unpack[Options]) -> Path: ...
@overload
def remove(
    pictures: Iterable[Picture],
    output: Path_ | Iterable[Path_] | None = None,
    **options: Unpack[Options],
) -> list[Any]: ...
def remove(
    pictures: Picture | Iterable[Picture],
    output: Path_ | Iterable[Path_] | None = None,
    *,
    preset: str | os.PathLike[str] | Graph = "standard",
    set: Settings = (),
    model: str | None = None,
    quality: str | None = None,
    device: str | None = None,
    require_gpu: bool = False,
    format: str = "",
    cache: bool = True,
    edits: bool = True,
    again: bool = False,
    overwrite: bool = False,
) -> Any:
    """Remove the background of a picture, or of several, and return what comes of it.

    Parameters
    ----------
    pictures : picture, or several
        A Pillow picture gives one with alpha. An array, (H, W, 3) or others as in
        `qr_nodes.imaging.image_memory.from_array`, gives (H, W, 4) with straight alpha and values
        of the same kind. A file's bytes, or a binary file, give those of a PNG. None of these
        touches the disk. The path of a file gives that of the file that was written, a folder those
        of all pictures in it, and several pictures give a list.
    output : path, or paths
        Where to write: a file, or a folder for several. Of files, NAME-cutout.png beside each by
        default; of pictures in memory, nothing is written unless a file is named.
    preset : name, path of a .qrgraph file, or Graph
    set : "node.parameter" → value, or texts "node.parameter=value"
    model, quality, device, require_gpu
        For every Segment node: see `qr-nodes remove --help`.
    format : str
        Format of results that have no name of their own: "png" by default.
    cache : bool
        Use, and keep on disk, what the network said of a picture.
    edits : bool
        Apply the .qredit files that lie beside pictures.
    again, overwrite : bool
        Write files that are there and current once more; replace those that the program has not
        made, or that were changed since.

    Raises
    ------
    QrNodesError
        The first thing that went wrong. What the nodes have to say goes to the log "qr_nodes".
    """
    several = _several(pictures)
    given = list(pictures) if several else [pictures]
    if not given:
        return []
    folders = any(map(_is_folder, given))
    options = {"set": set, "model": model, "quality": quality, "device": device}
    options |= {"require_gpu": require_gpu, "format": format, "cache": cache, "edits": edits}
    options |= {"again": again, "overwrite": overwrite, "beside": True}
    made = []
    for result in run(preset, given, output, on_error="stop", **options):
        for note in result.notes:
            logging.getLogger("qr_nodes").warning(f"{Path(result.input).name or 'picture'}: {note}")
        if result.error is not None:
            raise result.error
        made.append(Path(result.output) if result.picture is None else result.picture)
    return made if several or folders else made[0]


def run(
    graph: str | os.PathLike[str] | Graph,
    inputs: Picture | Iterable[Picture] = (),
    outputs: Path_ | Iterable[Path_] | None = None,
    *,
    set: Settings = (),
    model: str | None = None,
    quality: str | None = None,
    device: str | None = None,
    require_gpu: bool = False,
    cache: bool = True,
    engine: Engine | None = None,
    emit: Callable[[Event], None] = lambda event: None,
    jobs: int | None = None,
    memory: int | None = None,
    patterns: Sequence[str] = (),
    exclude: Sequence[str] = (),
    name: str = "",
    format: str = "",
    again: bool = False,
    overwrite: bool = False,
    edits: bool = True,
    on_error: str = "skip",
    beside: bool = False,
) -> Iterator[Result]:
    """Run a graph over pictures, or folders of them; yield what came of each, errors as well.

    Parameters
    ----------
    graph : name of a preset, path of a .qrgraph file, or Graph
    inputs : picture, or several
        Paths, folders, or pictures in memory as for `remove`: then the result's `picture` is of
        the same kind, unless a file to write is named. None leaves the graph's own paths.
    outputs : path, or paths of the same number
        A folder takes the results of several. None leaves the graph's own paths, and of folders
        means FOLDER-cutout.
    set, model, quality, device, require_gpu, cache
        See `remove`.
    engine, emit, jobs, memory, patterns, exclude, name, again, overwrite, on_error
        See `qr_nodes.batch.run`.
    format, edits
        See `remove`.
    beside : bool
        Without `outputs`, files get results beside them, as from `remove`.

    Raises
    ------
    QrNodesError
        The graph, or what is asked of it, cannot be used at all.
    """
    found = graph if isinstance(graph, Graph) else load_graph(graph)
    settings = set.items() if isinstance(set, Mapping) else set
    found = batch.override(found, settings)
    found = batch.for_networks(found, model, quality, device, require_gpu)
    given = list(inputs) if _several(inputs) else [] if inputs is None else [inputs]
    for picture in given:
        _check_kind(picture)
    if on_error not in ("skip", "stop"):
        raise ParamError(f"{on_error!r} cannot be used.", "on_error", "Use skip or stop.")
    files, folders = all(map(_is_path, given)), any(map(_is_folder, given))
    if folders and not files:
        what = "a folder and pictures in memory are given at once."
        raise ParamError(what, "pictures", "Call it once for each.")
    if not folders:
        outputs = _targets(given, outputs)
        if not engine and (not files or (jobs or 1) == 1):
            engine = _engine(cache, os.fspath(resources.cache_folder("networks")))
    if not files:
        how = {"again": again, "overwrite": overwrite, "edits": edits, "beside": beside}
        how |= {"engine": engine, "emit": emit}
        return _one_by_one(found, given, outputs, format, on_error, how)
    engine = engine or (None if cache else batch.cli_engine(False, jobs or batch.default_jobs()))
    return batch.run(
        found,
        given,
        () if outputs is None else outputs,
        engine=engine,
        emit=emit,
        jobs=jobs,
        memory=memory,
        patterns=patterns,
        exclude=exclude,
        name=name,
        format=format,
        again=again,
        overwrite=overwrite,
        edits=edits,
        on_error=on_error,
        beside=beside,
    )


def _one_by_one(graph, pictures, targets, format, on_error, how):
    """Run over pictures of which some are in memory."""
    for place, picture in enumerate(pictures):
        target = targets[place] if targets else ()
        if _is_path(picture):
            (result,) = batch.run(graph, picture, target, format=format, **how)
        else:
            result = _in_memory(graph, picture, target, format, how)
        yield result
        if result.error is not None and on_error == "stop":
            return


def _in_memory(graph: Graph, picture, target, format: str, how: Mapping[str, Any]) -> Result:
    """Run a graph over a picture in memory; its file is written only if `target` names one."""
    from qr_nodes import in_memory

    found = in_memory.Prepared.of(graph)
    held, made = [picture], []
    read, mark = _reader(held)
    write = None if target else _writer(picture, format or "png", made)
    bound = in_memory.bound(found, read, write, mark)
    try:
        if target:
            (result,) = batch.run(bound, (), target, **how)
            return result
        engine, out, emit = how["engine"], {found.export: ""}, how["emit"]
        result = batch.run_one(engine, bound, None, out, next(_ids), emit, edits=False)
    finally:
        held.clear()  # the engine remembers nodes
    return replace(result, output=None, files={}, outputs={}, picture=made.pop() if made else None)


def _reader(held: list) -> tuple[Callable[..., Cutout], str]:
    """Return what reads the picture in `held`, in Load's place, and a hash of its content."""
    import numpy as np

    from qr_nodes.imaging import image_memory
    from qr_nodes.imaging.image_io import read_image

    picture, digest, notes = held[0], blake2b(digest_size=16), []
    if not _is_pixels(picture):
        data = picture.read() if hasattr(picture, "read") else bytes(picture)
        held[:] = [data]
        digest.update(data)

        def read(*, path: str, page: int, max_pixels: float, job: Job) -> Cutout:
            return read_image(held[0], page=page, max_pixels=max_pixels * 1e6, note=job.note)

        return read, digest.hexdigest()
    of = image_memory.from_array if hasattr(picture, "dtype") else image_memory.from_pillow
    cutout = of(picture, notes.append)
    held[:] = [cutout]
    for array in (cutout.color, cutout.alpha):
        digest.update(repr((array.shape, array.dtype)).encode())
        opaque = array.strides == (0, 0)
        digest.update(array[:1, :1].tobytes() if opaque else np.ascontiguousarray(array).data)
    known = cutout.source
    digest.update(repr((known.icc, known.dpi, known.exif)).encode())

    def give(*, path: str, page: int, max_pixels: float, job: Job) -> Cutout:
        for note in notes:
            job.note(note)
        return held[0]

    return give, digest.hexdigest()


def _writer(picture: Any, format: str, made: list) -> Callable[..., bytes]:
    """Return what puts a result of the picture's kind into `made`, in Export's place."""
    from qr_nodes.imaging import image_memory
    from qr_nodes.imaging.image_io import write_image

    pixels, dtype = _is_pixels(picture), getattr(picture, "dtype", None)

    def write(cutout: Cutout, *, path: str, job: Job, **settings: Any) -> bytes:
        if not pixels:
            out, how = BytesIO(), settings | {"note": job.note, "progress": job.progress}
            write_image(cutout, out, name=f"picture.{format.lstrip('.')}", **how)
            made.append(out.getvalue())
            return b""
        for name in ("compression", "quality", "lossless", "overwrite"):
            settings.pop(name, None)
        if dtype is not None:
            made.append(image_memory.to_array(cutout, dtype, **settings))
        else:
            made.append(image_memory.to_pillow(cutout, **settings))
        return b""

    return write


@once
def _engine(cached: bool, folder: str) -> Engine:
    """Return the engine that calls share; `folder` is where it keeps what networks said."""
    return batch.cli_engine(cached)


def _targets(given: list, outputs: Any) -> list[str] | None:
    """Return a file for each picture, or a folder for all; None if none is named."""
    if outputs is None or outputs == ():
        return None
    if not _is_path(outputs):
        named = [os.fspath(path) for path in outputs]
        if named and len(named) != max(1, len(given)):
            raise ParamError(
                f"{len(given)} pictures and {len(named)} outputs are given.",
                "outputs",
                "Name one for each, or a folder.",
            )
        return named
    paths = [os.fspath(picture) for picture in given if _is_path(picture)]
    if len(given) > 1 and len(paths) < len(given):
        raise ParamError(
            "pictures in memory have no names to call files by.", "outputs", "Name a file for each."
        )
    return [os.fspath(outputs)]


def _is_path(picture: Any) -> bool:
    return isinstance(picture, (str, os.PathLike))


def _is_folder(picture: Any) -> bool:
    return _is_path(picture) and os.path.isdir(picture)


def _is_pixels(picture: Any) -> bool:
    """Return whether it is an array or a picture of Pillow's, without importing either."""
    return hasattr(picture, "dtype") or (hasattr(picture, "getbands") and hasattr(picture, "mode"))


def _several(pictures: Any) -> bool:
    return isinstance(pictures, Iterable) and not _is_one(pictures)


def _is_one(picture: Any) -> bool:
    data = isinstance(picture, (bytes, bytearray, memoryview)) or hasattr(picture, "read")
    return data or _is_path(picture) or _is_pixels(picture)


def _check_kind(picture: Any) -> None:
    if not _is_one(picture):
        raise ParamError(
            f"{type(picture).__name__} is no picture.",
            "pictures",
            "Give a path, a file's bytes, an array or a picture of Pillow's.",
        )
