"""A function's signature becomes a node: inputs, parameters, limits, units and help.

`@node` reads a typed, documented function once and leaves its behaviour unchanged; what it found
is a `NodeSpec` that the function carries (`spec_of`). Positional arguments are inputs (`Cutout` or
`Mask`, optional when they default to None), keyword-only ones are parameters, one named `job` is
the engine's hand.
"""

from __future__ import annotations

import inspect
import math
import re
import types as pytypes
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from qr_nodes.errors import ParamError, misfit, suggest
from qr_nodes.types import Cutout, Mask, Written

Size = tuple[int, int]
"""Height and width, px."""
SOCKETS = {"cutout": Cutout, "mask": Mask, "file": Written}


@dataclass(frozen=True)
class Param:
    """What one parameter may be and how it is shown.

    The author of a node writes the first fields in the signature, as in
    `sigma: Annotated[float, Param(0, 500, ui=(0, 40), unit="px")] = 2.0`; the rest is read off.

    Attributes
    ----------
    lo, hi : hard limits, both included; None for none
    ui : travel of the slider, when it is less than the limits
    unit : "px" (pixels of the full-size picture), "%", "°", "MP", …
    scale : "linear" or "log": how the slider travels
    kind : "" or what a text means: "file" (read), "save" (written), "color" (#rrggbb),
        "model", "device"
    keyed : whether other values make other pixels
    machine : about the machine it runs on, and what that allows: no client's of the service to set
    of_picture : whether a value is right for one picture only: it stays behind when another is
        opened. Every "save" is: what one picture was written to is no place for the next
    name, type, default : from the signature
    where : "node.parameter", for messages
    """

    lo: float | None = None
    hi: float | None = None
    ui: tuple[float, float] | None = None
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    kind: Literal["", "file", "save", "color", "model", "device"] = ""
    keyed: bool = True
    machine: bool = False
    of_picture: bool = False
    name: str = ""
    type: Any = None
    default: Any = None
    where: str = ""

    @property
    def choices(self) -> tuple | None:
        """The values to choose from, or None if the parameter is no choice."""
        return get_args(self.type) if get_origin(self.type) is Literal else None

    def check(self, value: Any, *, text: bool = False) -> Any:
        """Give `value` in the parameter's own type, or raise ParamError.

        Parameters
        ----------
        value : Any
            A value from a widget, a .qrgraph file or, with `text`, a command line.
        text : bool
            Accept "4" for a number and "true" for a switch; read lists as JSON.
        """
        if self.choices and isinstance(value, int) and str(value) in self.choices:
            value = str(value)  # 16, where the choices are "8" and "16"
        try:
            if text and get_origin(self.type) is tuple:
                value = msgspec.json.decode(value)
            value = msgspec.convert(value, self.type, strict=not text)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            if get_origin(self.type) is tuple:  # of a long list, what is wrong and where
                raise self._misfit(error) from error
            if self.choices:
                hint = suggest(str(value), map(str, self.choices))
            else:
                hint = f"Use {self._expected()}."
            raise ParamError(f"{_short(value)} cannot be used.", self.where, hint) from error
        if isinstance(value, float) and not math.isfinite(value):
            raise ParamError(f"{value} is not a number.", self.where, f"Use {self._expected()}.")
        if (self.lo is not None and value < self.lo) or (self.hi is not None and value > self.hi):
            raise ParamError(
                f"{_short(value)}{f' {self.unit}' if self.unit else ''} is out of range.",
                self.where,
                f"Use a value {self.limits}.",
            )
        if self.kind in ("file", "save") and "\0" in value:
            raise ParamError(f"{_short(value)} is no path.", self.where, "Choose a file.")
        return _hex_color(value, self.where) if self.kind == "color" else value

    @property
    def limits(self) -> str:
        """The limits in words, as in "from 0 to 500"; "" if there are none."""
        low = "" if self.lo is None else f"from {self.lo:g}"
        high = "" if self.hi is None else f"to {self.hi:g}"
        return f"{low} {high}".strip()

    @property
    def fields(self) -> dict[str, str]:
        """Of a list of strokes: each field's name → what it holds, from the docstring."""
        item = get_args(self.type)[0] if get_origin(self.type) is tuple else None
        described = re.findall(r"^(\w+) : (.+(?:\n {4}.+)*)", inspect.getdoc(item) or "", re.M)
        known = getattr(item, "__struct_fields__", ())
        return {name: " ".join(text.split()) for name, text in described if name in known}

    def _misfit(self, error: Exception) -> ParamError:
        """Return what is wrong with one item of a list: strokes of the brush."""
        item = get_args(self.type)[0]
        fields = getattr(item, "__struct_fields__", ())
        place, what, hint = misfit(error, fields)
        kind = get_type_hints(item).get(place.rpartition(".")[2]) if fields else None
        if get_origin(kind) is Literal:
            hint = f"Use one of {', '.join(get_args(kind))}."
        return ParamError(what, self.where + place, hint or "Mend that item, or remove it.")

    def _expected(self) -> str:
        kind = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
        return f"{kind[self.type]} {self.limits}".strip()


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _hex_color(value: str, where: str) -> str:
    from PIL import ImageColor

    try:
        return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(value)[:3])
    except ValueError as error:
        raise ParamError(
            f"{_short(value)} is no colour.", where, "Use #rrggbb or a name such as white."
        ) from error


class Before(NamedTuple):
    """A call of a node that is over.

    Attributes
    ----------
    arguments : inputs and parameters by name, as the function got them
    outputs : output name → value
    """

    arguments: Mapping[str, Any]
    outputs: Mapping[str, Any]


class Job:
    """What the engine lends to a node while it runs; this one, for plain calls, does nothing.

    Attributes
    ----------
    scale : size of the picture being worked on relative to the full one, in (0, 1].
        Parameters in px are already multiplied by it.
    """

    scale: float = 1.0

    def progress(self, fraction: float) -> None:
        """Tell how much is done, from 0 to 1; also a checkpoint."""

    def checkpoint(self) -> None:
        """Raise `Cancelled` if nobody wants the result any more; call it every few ms."""

    def note(self, text: str) -> None:
        """Tell the user something about this result, as one sentence; kept with the result."""

    def before(self) -> Before | None:
        """Give the last call of this node at this scale, if all of it is still in memory.

        It may save work; it must never change a pixel.
        """
        return None

    def memo(
        self,
        name: str,
        parts: tuple,
        compute: Callable[[], Any],
        *,
        disk: bool = False,
        shared: bool = False,
    ) -> Any:
        """Give `compute()`, kept apart from the node's output for the next time it is asked for.

        Parameters
        ----------
        name : str
            What is kept, unique within the node.
        parts : tuple of str, int, float, bytes
            Everything beside the node's inputs that the result depends on.
        compute : callable
            Gives an array, a tuple of arrays, or something that has `arrays`.
        disk : bool
            Keep it beyond the process too: for small results that are dear to compute.
        shared : bool
            The parts tell all, whatever the node's inputs are.
        """
        return compute()

    def recall(self, name: str, parts: tuple, *, shared: bool = False) -> Any | None:
        """Give what `memo` keeps under this name and these parts in memory, or None."""
        return None


@dataclass(frozen=True, eq=False)
class NodeSpec:
    """What a function's signature says about its node.

    Attributes
    ----------
    id : the function's name, unique; also its module's in `qr_nodes.nodes`
    title, category : as shown
    version : raised whenever the same inputs would give other pixels
    fn : the function itself
    inputs : input name → Cutout or Mask
    optional : names of inputs that need no link
    params : parameter name → Param
    outputs : output name → Cutout, Mask or Written
    outside : gives what else the result depends on (a model's checksum), from the parameters
    full_scale : wants the full-size picture even while a preview is computed
    reach : gives, from the parameters, how many px away a pixel of the cut-out's matte can
        still change the result's, or None if that has no bound. Colours pass unchanged. On a
        part of the picture that is larger by this the node gives the very same pixels
    resumes : starts from what it gave the last time (`Job.before`)
    ahead : gets ready, from the parameters, what needs none of the inputs (loads a network) while
        these are still being computed. What goes wrong in it, the node itself meets again
    check : raises what its parameters, and the names of its linked inputs, rule out, before any
        of the inputs is computed
    size : gives, from the parameters and the inputs' sizes, height and width of what comes out, or
        None if only pixels tell. Without it all inputs have one size, which comes out
    prepare : raises, from the parameters, what would fail the node whatever the picture (no such
        network, no GPU), and, if it is told to, fetches what is not here. Returns what to say
    idle : says, from the arguments and without looking at pixels one by one, that the cut-out
        passes unchanged, so that the node need not be called
    unused : says, from the parameters and the names of the outputs that lead somewhere, what of
        the settings has no effect in the graph, or ""
    provider : who brings the node if not the program itself: "own", or a package with its version
    source : what tells that provider's code from other code under the same name and version
    """

    id: str
    title: str
    category: str
    version: int
    fn: Callable[..., Any]
    inputs: Mapping[str, Any]
    optional: frozenset[str]
    params: Mapping[str, Param]
    outputs: Mapping[str, Any]
    outside: Callable[[Mapping[str, Any]], str] | None = None
    full_scale: bool = False
    reach: Callable[..., int | None] | None = None
    resumes: bool = False
    ahead: Callable[[Mapping[str, Any]], None] | None = None
    check: Callable[[Mapping[str, Any], Collection[str]], None] | None = None
    size: Callable[[Mapping[str, Any], Mapping[str, Size | None]], Size | None] | None = None
    prepare: Callable[[Mapping[str, Any], bool], list[str]] | None = None
    idle: Callable[[Mapping[str, Any]], bool] | None = None
    unused: Callable[[Mapping[str, Any], Collection[str]], str] | None = None
    takes_job: bool = False
    provider: str = ""
    source: str = ""

    @property
    def defaults(self) -> dict[str, Any]:
        """Every parameter's default."""
        return {name: param.default for name, param in self.params.items()}

    def describe(self, name: str) -> dict[str, Any]:
        """Return what a parameter may be, in JSON's own types, for programs."""
        param = self.params[name]
        return {
            "default": msgspec.to_builtins(param.default),
            "limits": [param.lo, param.hi],
            "choices": param.choices,
            "unit": param.unit,
            "help": self.help.get(name, ""),
            **({"fields": param.fields} if param.fields else {}),
        }

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the parameters that hold a file to read."""
        return tuple(name for name, param in self.params.items() if param.kind == "file")

    @property
    def writes(self) -> bool:
        """Whether it writes a file, and so runs only when that is asked for."""
        return "file" in self.outputs

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the parameters that name a network, whose weights may have to be fetched."""
        return tuple(name for name, param in self.params.items() if param.kind == "model")

    @cached_property
    def of_picture(self) -> tuple[str, ...]:
        """Names of the parameters whose values belong to one picture."""
        params = self.params.items()
        return tuple(name for name, param in params if param.of_picture or param.kind == "save")

    @cached_property
    def corrections(self) -> tuple[str, ...]:
        """Those of them that say how to treat the picture, not where it is written."""
        return tuple(name for name in self.of_picture if self.params[name].kind != "save")

    @cached_property
    def doc(self) -> str:
        """The docstring up to its first section."""
        text = inspect.getdoc(self.fn) or ""
        return re.split(r"\n\n?[A-Z][a-z]+\n-{4,}", text)[0].strip()

    @cached_property
    def help(self) -> dict[str, str]:
        """Input or parameter name → its sentences in the docstring."""
        return self._described("Parameters")

    @cached_property
    def output_help(self) -> dict[str, str]:
        """Output name, or the type of the only one, → its sentences in the docstring."""
        return self._described("Returns")

    def _described(self, section: str) -> dict[str, str]:
        text = inspect.getdoc(self.fn) or ""
        match = re.search(section + r"\n-{4,}\n(.*?)(?:\n\n[A-Z][a-z]+\n-{4,}|\Z)", text, re.S)
        found: dict[str, str] = {}
        for block in re.split(r"\n(?=\S)", match[1] if match else ""):
            head, _, body = block.partition("\n")
            for name in head.split(":")[0].split(","):
                found[name.strip()] = " ".join(body.split())
        return found


def spec_of(fn: object) -> NodeSpec | None:
    """Return what `@node` found in a function, or None if it is not marked with it."""
    return getattr(fn, "node_spec", None)


def node(
    title: str,
    *,
    category: str,
    version: int = 1,
    full_scale: bool = False,
    outside: Callable[[Mapping[str, Any]], str] | None = None,
    reach: Callable[..., int | None] | None = None,
    resumes: bool = False,
    ahead: Callable[[Mapping[str, Any]], None] | None = None,
    check: Callable[[Mapping[str, Any], Collection[str]], None] | None = None,
    size: Callable[[Mapping[str, Any], Mapping[str, Size | None]], Size | None] | None = None,
    prepare: Callable[[Mapping[str, Any], bool], list[str]] | None = None,
    idle: Callable[[Mapping[str, Any]], bool] | None = None,
    unused: Callable[[Mapping[str, Any], Collection[str]], str] | None = None,
) -> Callable[[Callable], Callable]:
    """Read a function's signature into a `NodeSpec`; the function behaves as before.

    Parameters
    ----------
    title, category : str
        As shown in menus.
    version : int
        Raise it whenever the same inputs would give other pixels.
    full_scale, outside, reach, resumes, ahead, check, size, prepare, idle, unused
        See `NodeSpec`.
    """
    more = {
        "full_scale": full_scale,
        "outside": outside,
        "reach": reach,
        "resumes": resumes,
        "ahead": ahead,
        "prepare": prepare,
        "check": check,
        "size": size,
        "idle": idle,
        "unused": unused,
    }

    def read(fn: Callable) -> Callable:
        fn.node_spec = _spec(fn, title, category, version, more)
        return fn

    return read


def _spec(fn, title, category, version, more: Mapping[str, Any]) -> NodeSpec:
    hints = get_type_hints(fn, include_extras=True)
    inputs, optional, params, takes_job = {}, set(), {}, False
    for name, arg in inspect.signature(fn).parameters.items():
        if name == "job":
            takes_job = True
        elif arg.kind is arg.KEYWORD_ONLY:
            params[name] = _param(fn.__name__, name, hints[name], arg.default)
        else:
            inputs[name] = _socket(fn, name, hints[name])
            if arg.default is None:
                optional.add(name)
    return NodeSpec(
        id=fn.__name__,
        title=title,
        category=category,
        version=version,
        fn=fn,
        inputs=pytypes.MappingProxyType(inputs),
        optional=frozenset(optional),
        params=pytypes.MappingProxyType(params),
        outputs=pytypes.MappingProxyType(_outputs(hints["return"])),
        takes_job=takes_job,
        **more,
    )


def _param(node_id: str, name: str, hint: Any, default: Any) -> Param:
    param, base = Param(), hint
    if get_origin(hint) is Annotated:
        base, *marks = get_args(hint)
        param = next((mark for mark in marks if isinstance(mark, Param)), param)
    if default is inspect.Parameter.empty:
        raise TypeError(f"{node_id}.{name}: a parameter needs a default")
    return replace(param, name=name, type=base, default=default, where=f"{node_id}.{name}")


def _socket(fn: Callable, name: str, hint: Any) -> Any:
    kinds = [h for h in (get_args(hint) or (hint,)) if h is not type(None)]
    if get_origin(hint) not in (None, Union, pytypes.UnionType) or kinds[0] not in (Cutout, Mask):
        raise TypeError(f"{fn.__name__}.{name}: an input is a Cutout or a Mask, not {hint}")
    return kinds[0]


def _outputs(hint: Any) -> dict[str, Any]:
    if hasattr(hint, "_fields"):
        return get_type_hints(hint)
    return {next(name for name, kind in SOCKETS.items() if kind is hint): hint}


def socket_name(kind: Any) -> str:
    """Give the name of a socket's kind: "cutout", "mask" or "file"."""
    return next((name for name, known in SOCKETS.items() if known is kind), "anything")
