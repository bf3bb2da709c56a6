"""What can go wrong for a user, as one line: where, what (with the value), what to do.

QrNodesError
├── ParamError     a parameter's value: wrong type, out of range, not one of the choices
├── SocketError    what arrived on a link: wrong kind, sizes that do not fit
├── GraphError     the graph or its file: unknown node, missing link, cycle, newer version
├── ReadError      a picture or file that cannot be read
├── WriteError     a file that cannot be written
├── ModelError     weights: missing, damaged, not what they claim, cannot be fetched
├── DeviceError    a device or its provider that cannot run
├── ClusterError   other machines: out of reach, of another version, without a shared folder
└── NodeError      a node that failed for a reason nobody foresaw

`Cancelled` is not an error: it says that nobody wants the result any more. `UnreadWarning` says
what a file holds that the program does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from qr_nodes import names

LONG = 600
"""Letters of each part of a message that are shown: files may name things at any length."""


def one_line(text: str) -> str:
    """Give text as one line that a terminal can show, without its middle if it is long."""
    text = " ".join(text[: 64 * LONG].split())
    text = names.shown(text)
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return text if len(text) <= LONG else f"{text[: LONG // 2]} … {text[-LONG // 2 :]}"


def suggest(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return a hint for a name that is not known: the one of `names` that was probably meant.

    Case and what joins words do not count. `otherwise` is the hint if none of them is like it; by
    default it lists them.
    """
    import difflib  # only somebody who has mistyped waits for it

    known, called = {plain(each): each for each in names}, plain(name[:LONG])
    close = [each for each in known if sorted(each) == sorted(called)]
    # Of three letters, two are common to "gif" and "tif", which nobody takes for each other.
    close += difflib.get_close_matches(called, known, 1, 0.6 if len(called) > 3 else 0.8)
    close += [each for each in known if _shortened(called, each)]
    if close:
        return f"Perhaps you mean {known[close[0]]!r}."
    return otherwise or f"Use one of {', '.join(known.values())}." if known else otherwise


def _shortened(short: str, name: str) -> bool:
    """Return whether letters of a name were left out: "pts" of "points"."""
    letters = iter(name)
    return len(short) > 2 and short[0] == name[:1] and all(letter in letters for letter in short)


KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "nothing",
}
"""What JSON's types are called."""


def misfit(error: Exception, fields: Iterable[str] = ()) -> tuple[str, str, str]:
    """Return what msgspec says of a value in plain words.

    Parameters
    ----------
    error : msgspec.ValidationError
        As in "Object contains unknown field `pts` - at `$[0]`".
    fields : names that an object in the value may have

    Returns
    -------
    place : str
        Where in the value, as in "[0].pts"; "" for all of it.
    what, hint : str
        Sentences, or "".
    """
    text, _, place = str(error).partition(" - at ")
    place = place.strip("`").removeprefix("$")
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.S):
        return f"{place}.{found[1]}", "there is no such field.", suggest(found[1], fields)
    if found := re.fullmatch(r"Object missing required field `(.*)`", text, re.S):
        return f"{place}.{found[1]}", "it is missing.", ""
    if not text.startswith(("Expected", "Invalid", "Number", "Object")):
        return place, "it is no JSON.", ""
    words = re.sub(r"`(\w+)`", lambda kind: KINDS.get(kind[1], kind[1]), text.rstrip("."))
    return place, f"{words[:1].lower()}{words[1:]}.", ""


def plain(name: str) -> str:
    """Return a name without what people write in different ways: case, spaces, - and /."""
    return re.sub(r"[\s/_-]+", "_", name.strip()).casefold()


class QrNodesError(Exception):
    """A fault a user can meet and mend.

    Parameters
    ----------
    what : str
        What happened, with the value, as a sentence that ends with a full stop.
    where : str
        File, node, parameter or socket it happened at; may be filled in later by a caller
        who knows it.
    hint : str
        What to do about it, as a sentence.
    exit_code : int
        What a command ends with that meets it: 1 for what failed, 2 for a wrong command.
    """

    def __init__(self, what: str, where: str = "", hint: str = "", exit_code: int = 1):
        super().__init__(what, where, hint)
        self.what, self.where, self.hint = what, where, hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        where, what, hint = map(one_line, (self.where, self.what, self.hint))
        return f"{where}{': ' if where else ''}{what}{' ' if hint else ''}{hint}"

    def at(self, where: str) -> QrNodesError:
        """Put `where` before what the error says of its place; give the error."""
        self.where = f"{where}: {self.where}" if self.where else where
        return self

    def at_node(self, id: str) -> QrNodesError:
        """Put a node's id before, as `at` does, unless it is there already; give the error."""
        return self if self.where.partition(".")[0] == id else self.at(id)


class ParamError(QrNodesError):
    """A parameter's value is of the wrong type, out of range or not one of the choices."""

    def of_node(self, id: str) -> ParamError:
        """Put a node's id in the place of its type: "feather.sigma" of "feather2"; return it."""
        self.where = f"{id}.{self.where.partition('.')[2]}"
        return self


class SocketError(QrNodesError):
    """What arrived on a link has the wrong kind, type or size."""


class GraphError(QrNodesError):
    """The graph or its file cannot be used as it stands."""


class ReadError(QrNodesError):
    """A picture or file cannot be read."""


class WriteError(QrNodesError):
    """A file cannot be written."""


class ModelError(QrNodesError):
    """Weights are missing, damaged or not what they claim to be."""


class DeviceError(QrNodesError):
    """A device, or the provider that drives it, cannot run."""


class ClusterError(QrNodesError):
    """Other machines cannot be reached, or cannot take part in a run."""


class NodeError(QrNodesError):
    """A node failed for a reason nobody foresaw; the cause is chained."""


class UnreadWarning(UserWarning):
    """A file holds something that the program does not know: it is kept, and does nothing."""


class Cancelled(Exception):
    """Raised at a checkpoint when nobody wants the result any more."""
