"""Names of files that are no text: on Linux they are bytes.

Python holds a byte that is no UTF-8 as a lone surrogate, \\udc80 to \\udcff, and gives the byte
back to the system. Terminals and most libraries take no surrogates: to people such a byte is shown
as \\xe9, and in JSON it stands as \\udce9, which is read again as it was.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, TypeVar

Value = TypeVar("Value")
BYTES = re.compile("[\udc80-\udcff]")


def shown(text: str) -> str:
    """Return text with bytes of names as people know them: \\xe9."""
    return BYTES.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", text)


def to_json(value: Any) -> bytes:
    """Return a value as JSON of one line, whatever names are in it."""
    import msgspec  # a third of what `--help` takes, which needs none of it

    try:
        return msgspec.json.encode(value, order="deterministic")
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value, order="deterministic")).encode()


def from_json(data: bytes, type: type[Value]) -> Value:
    """Return the value that `to_json` was given.

    Raises
    ------
    msgspec.DecodeError, UnicodeDecodeError
        It is no JSON, or another value.
    """
    import msgspec

    try:
        return msgspec.json.decode(data, type=type)
    except msgspec.DecodeError:
        if b"\\udc" not in data:
            raise
    try:
        return msgspec.convert(json.loads(data), type)
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def _shown_part(error: UnicodeError) -> tuple[str, int]:
    part = shown(error.object[error.start : error.end])
    return part.encode("ascii", "backslashreplace").decode(), error.end


SHOWN = "qr_nodes shown"
"""Error handler of text files that people read."""
codecs.register_error(SHOWN, _shown_part)
