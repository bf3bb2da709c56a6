"""Weights as files: where they lie, whether they are whole, how they come here.

State: `_whole`, the files found whole in this process, by path, size and time of change;
`_fetching`, held while weights are fetched, which several pictures may ask for at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from qr_nodes import resources, whole
from qr_nodes.errors import ModelError
from qr_nodes.inference import registry
from qr_nodes.inference.registry import Model

Progress = Callable[[int, int | None], None]
"""Told bytes done and bytes in all (None if unknown), a few times a second; may raise."""

LARGEST = 1 << 31
"""Bytes of the largest ONNX file: protocol buffers end there."""

_whole: dict[Path, tuple[int, int, str]] = {}
_fetching = threading.Lock()


class Entry(NamedTuple):
    """A model and whether its weights are here; `path` is None unless they are."""

    model: Model
    state: Literal["present", "not fetched", "damaged"]
    path: Path | None


def places(model: Model) -> list[Path]:
    """Give every path at which a model's weights may lie, best first."""
    folders = (
        resources.folder("models"),
        resources.data_folder() / "models",
        resources.cache_folder("models"),
    )
    return list(dict.fromkeys(place / model.file for place in folders))


def find(name: str, checkpoint: Callable[[], None] = lambda: None) -> Path:
    """Give the path of a model's weights after checking that they are whole.

    The checksum is computed once per process, and again when size or time of change differ.

    Raises
    ------
    ModelError
        There is no such model, its weights are not here, or they are damaged.
    """
    model = registry.find(name)
    here = [path for path in places(model) if path.is_file()]
    for path in here:
        if _is_whole(path, model.checksum, checkpoint):
            return path
    if here:
        raise ModelError(
            f"the weights in {here[0]} are damaged, or another model's.", name, _cure(model)
        )
    raise ModelError("its weights are not here.", name, _cure(model))


def is_here(name: str) -> bool:
    """Say whether a file of the model's weights is here, whole or not."""
    return any(path.is_file() for path in places(registry.find(name)))


def fetches(model: Model) -> bool:
    """Say whether a node that needs a model fetches it: if it is not here, and its licence leaves
    no question."""
    return model.commercial == "yes" and bool(model.sources) and not is_here(model.name)


def size(model: Model) -> int:
    """Give the bytes of a model's file, as it lies here or is listed; 0 if neither is known."""
    for path in places(model):
        with contextlib.suppress(OSError):
            return path.stat().st_size
    return model.bytes or 0


def verify(name: str) -> Path:
    """Compute the checksum of a model's weights anew; give their path or raise ModelError."""
    for path in places(registry.find(name)):
        _whole.pop(path, None)
    return find(name)


def inventory() -> list[Entry]:
    """Give every model with the state of its weights; reads them all once."""
    entries = []
    for name, model in registry.models().items():
        try:
            entries.append(Entry(model, "present", find(name)))
        except ModelError:
            entries.append(Entry(model, "damaged" if is_here(name) else "not fetched", None))
    return entries


def fetch(name: str, progress: Progress = lambda done, total: None) -> Path:
    """Fetch a model's weights unless they are here; give the path of the checked file.

    The sources are tried in order. A file appears under its name only when it is whole; what has
    come of one that is not lies beside it as FILE.partial, and fetching goes on from there.

    Raises
    ------
    ModelError
        No source gave the file; each is named with what went wrong.
    """
    from qr_nodes.inference import download, resume

    model = registry.find(name)
    with contextlib.suppress(ModelError):
        return find(name)
    if not model.sources:
        raise ModelError("there is no address to fetch its weights from.", name, _cure(model))
    target = resources.cache_folder("models") / model.file
    kept = target.with_name(f"{target.name}.partial")
    failures = []
    with _fetching:
        with contextlib.suppress(ModelError):
            return find(name)  # fetched for another picture meanwhile
        resume.forget_stale(target.parent)
        for source in model.sources:
            with landing(target) as part:
                try:
                    download.get(source, model, part, progress, kept)
                except download.Failed as failure:
                    failures.append(f"{source} ({failure})")
                    continue
            resume.forget(kept)  # of another source
            return find(name)
    raise ModelError(
        f"its weights could not be fetched: tried {'; '.join(failures)}.",
        name,
        f"Connect to the internet and try again, or get {model.file} elsewhere (see "
        f"{model.page}) and run 'qr-nodes models add {model.file}'.",
    )


def add(file: str | os.PathLike, name: str | None = None, **settings: Any) -> Model:
    """Copy weights given by hand into the user's folder and list their model.

    A file that is one of the listed models, by its checksum, becomes that model. Any other is
    tried once, and what is not set is guessed from its name, its inputs and what it gives.

    Parameters
    ----------
    file : path of an .onnx file
    name : what to call the model; the file's name if None
    **settings
        Fields of `Model`: size, mean, std, divide, output, stretch, licence.

    Raises
    ------
    ModelError
        The file cannot be read or run, or a setting does not fit.
    """
    path = Path(file)
    try:
        if not path.is_dir() and not path.is_file() and path.exists():
            raise ModelError("this is no file.", str(path), "Name an .onnx file.")
        if path.is_file() and path.stat().st_size > LARGEST:
            what = f"the file has {path.stat().st_size / 1e9:.0f} GB; an ONNX file has 2 at most."
            raise ModelError(what, str(path), "Name an .onnx file.")
        sums = {_checksum(path, kind) for kind in ("sha256", "md5")}
    except OSError as error:
        raise ModelError(f"the file cannot be read: {error.strerror}.", str(path)) from error
    packaged = registry.packaged()
    same = next((model for model in packaged.values() if model.checksum in sums), None)
    if same and same.kind != "matte":
        raise registry.useless(same.name).at(str(path))
    if same and name in (None, same.name) and not settings:
        with landing(resources.data_folder() / "models" / same.file) as part:
            shutil.copyfile(path, part)
        return same
    name = name or re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "model"
    if not re.match(registry.NAME, name):
        raise ModelError(
            f"a model cannot be called {name!r}.", str(path), "Use letters, digits, dot, _ and -."
        )
    if name in packaged:
        raise ModelError(
            f"{name} is the name of another model, and this file is not it.",
            str(path),
            "Give it a name of its own with --name.",
        )
    from qr_nodes.inference import guess

    checksum, before = next(s for s in sums if s.startswith("sha256:")), registry.own().get(name)
    # Other weights of the same name get a file of their own: until the list is written, the list
    # that is there must find those it means.
    anew = before is not None and before.checksum != checksum
    file = f"{name}-{checksum[7:15]}.onnx" if anew else f"{name}.onnx"
    folder = resources.data_folder() / "models"
    with landing(folder / file) as part:
        shutil.copyfile(path, part)
        known = {"checksum": checksum, "name": name, "file": file, "bytes": part.stat().st_size}
        model = guess.model(part, known, settings, like=same)
    _list({model.name: model})
    if anew and before.file != file:
        with contextlib.suppress(OSError):
            (folder / before.file).unlink()
    return model


def remove(names: Iterable[str]) -> list[tuple[Path, int]]:
    """Delete models' weights, where `fetch` and `add` put them; a model of the user's own is no
    longer listed then.

    Nothing is deleted unless all of them can be.

    Returns
    -------
    removed : list of (path, bytes)

    Raises
    ------
    ModelError
        There is no such model, its weights are not here, or lie where the program puts none.
    """
    ours = {resources.data_folder() / "models", resources.cache_folder("models")}
    found, own = [], registry.own()
    for name in dict.fromkeys(names):
        model = registry.find(name)
        files = [folder / f"{model.file}{more}" for folder in ours for more in ("", ".partial")]
        here = [file for file in files if file.is_file()]
        if not here and is_here(name):
            place = next(path for path in places(model) if path.is_file())
            what = f"its weights lie in {place}, where the program has put none."
            raise ModelError(what, name, "Delete that file yourself.")
        if not here and name not in own:
            raise ModelError("its weights are not here.", name, "There is nothing to remove.")
        found += here
    removed = []
    _list({}, without=names)  # first: what is listed must be there
    for file in found:
        try:
            removed.append((file, file.stat().st_size))
            file.unlink()
        except OSError as error:
            what = f"the file cannot be removed ({error.strerror})."
            raise ModelError(what, str(file), "Change its folder's permissions.") from error
    return removed


def _list(added: dict[str, Model], without: Iterable[str] = ()) -> None:
    """Change the user's own list, whoever else changes it meanwhile."""
    file = resources.data_folder() / "models.json"
    try:
        with whole.alone(file):
            kept = {name: model for name, model in registry.own().items() if name not in without}
            if kept == registry.own() and not added:
                return
            listing = registry.Listing(1, kept | added)
            data = msgspec.json.format(msgspec.json.encode(listing), indent=1)
            whole.write_whole(file, data, 0o666)
    except OSError as error:
        raise _unwritable(file, error) from error


@contextlib.contextmanager
def landing(target: Path) -> Iterator[Path]:
    """Give a path to write to; what is there when the block ends is put at `target` at once.

    If the block raises or writes nothing, `target` stays as it was.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole.scratch(target.parent) as scratch:
            part = scratch / target.name
            yield part
            if part.exists():
                whole.put(part, target)
    except OSError as error:
        raise _unwritable(target, error) from error


def _unwritable(target: Path, error: OSError) -> ModelError:
    return ModelError(
        f"the file cannot be written: {error.strerror or error}.",
        str(target),
        "Free space or change its folder's permissions; QR_NODES_HOME names another folder.",
    )


def _cure(model: Model) -> str:
    if model.sources:
        return f"Run 'qr-nodes models get {model.name}' to fetch them."
    if model.page:
        return f"Get {model.file} (see {model.page}) and run 'qr-nodes models add {model.file}'."
    return f"Run 'qr-nodes models add FILE --name {model.name}' with the file you added before."


def _is_whole(path: Path, checksum: str, checkpoint: Callable[[], None]) -> bool:
    try:
        stat = path.stat()
        seen = (stat.st_size, stat.st_mtime_ns, checksum)
        if _whole.get(path) == seen:
            return True
        if _checksum(path, checksum.partition(":")[0], checkpoint) != checksum:
            return False
    except OSError as error:
        raise ModelError(
            f"the file cannot be read: {error.strerror}.", str(path), "Check its permissions."
        ) from error
    _whole[path] = seen
    return True


def _checksum(path: Path, kind: str, checkpoint: Callable[[], None] = lambda: None) -> str:
    digest = hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
            checkpoint()
    return f"{kind}:{digest.hexdigest()}"
