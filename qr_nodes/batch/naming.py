"""Name the results of pictures in a folder by a template such as "{stem}-cutout{ext}".

    {stem}     the picture's name without its ending
    {folder}   the folders between the one that was named and the picture
    {source}   the picture's own ending, without the dot
    {node}     the Export node that writes the file
    {ext}      the ending of the file's format, with the dot

The folders come first unless {folder} says where they go. Of two pictures whose names differ in
their endings only, {stem} is the whole name, so that neither is lost.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from string import Formatter

from qr_nodes.batch.find import Picture
from qr_nodes.errors import ParamError, QrNodesError

BESIDE = "{stem}-cutout{ext}"
"""Names the one result of a picture that lies beside it."""
FIELDS = ("stem", "folder", "source", "node", "ext")
FORBIDDEN = re.compile(r'[\x00-\x1f<>:"|?*\\]')
"""What some system does not allow in names of files."""


class Template:
    """A template that has been checked.

    Parameters
    ----------
    text : str
        The template; "" for "{stem}{ext}", with "-{node}" before the ending where several nodes
        write a file each.
    endings : dict of str
        Export node → ending that its files get, such as ".png".

    Raises
    ------
    ParamError
        The template has an unknown field, would give two files one name, leads out of the
        folder, or has an ending that is no format.
    """

    def __init__(self, text: str, endings: dict[str, str]):
        several = len(endings) > 1
        self.text = text = text or ("{stem}-{node}{ext}" if several else "{stem}{ext}")
        self.endings = endings
        try:
            parts = list(Formatter().parse(text))
        except ValueError as error:
            raise _fault(f"{text!r} is no template ({error}).") from error
        fields = [field for _, field, _, _ in parts if field is not None]
        for _, field, form, conversion in parts:
            if field is not None and (field not in FIELDS or form or conversion):
                raise _fault(f"{text!r} has a field that is not known: {field!r}.")
        if "stem" not in fields:
            raise _fault(f"{text!r} would give all pictures one name: put {{stem}} into it.")
        if several and "node" not in fields and ("ext" not in fields or not _apart(endings)):
            nodes = ", ".join(endings)
            raise _fault(f"{text!r} would give {nodes} one name: put {{node}} into it.")
        literal = "".join(part for part, *_ in parts)
        steps = text.replace(os.sep, "/").split("/")
        if FORBIDDEN.search(literal) or text.startswith("/") or {"", ".", ".."} & set(steps):
            raise _fault(f"{text!r} cannot name a file in the folder.")
        self.folder_first = "folder" not in fields
        self._check_endings()

    def _check_endings(self) -> None:
        from qr_nodes.imaging.image_io import format_of

        for node in self.endings:
            try:
                format_of(self.name(Picture("a.b", "a.b"), node))
            except QrNodesError as error:
                raise _fault(f"{self.text!r}: {error.what} Put {{ext}} at its end.") from error

    def name(self, picture: Picture, node: str, long: bool = False) -> str:
        """Give the path of a result below the output folder, with forward slashes.

        `long` keeps the picture's whole name, ending and all.
        """
        place = PurePosixPath(picture.place)
        folder = "" if place.parent == PurePosixPath(".") else str(place.parent)
        name = self.text.replace(os.sep, "/").format(
            stem=place.name if long else place.stem,
            folder=folder,
            source=place.suffix.lstrip("."),
            node=node,
            ext=self.endings[node],
        )
        # Without folders "{folder}/{stem}" begins with a slash, which means nothing.
        name = f"{folder}/{name}" if self.folder_first else name
        return "/".join(step for step in name.split("/") if step)


def _apart(endings: dict[str, str]) -> bool:
    return len(set(endings.values())) == len(endings)


def _fault(what: str) -> ParamError:
    return ParamError(what, "--name", f"Fields: {', '.join(f'{{{f}}}' for f in FIELDS)}.")


def endings(exports: Sequence[tuple[str, str]], asked: str = "") -> dict[str, str]:
    """Give the ending of each Export node's files.

    Parameters
    ----------
    exports : pairs of node and path
        A path of its own tells a node's format.
    asked : str
        Ending for all of them, as in "webp"; "" for their own, or else PNG.

    Raises
    ------
    ParamError
        It is the ending of no format that is written here.
    """
    from qr_nodes.imaging.image_io import format_of

    found = {}
    for node, path in exports:
        own = os.path.splitext(path)[1].lower()
        found[node] = f".{asked.lower().lstrip('.')}" if asked else own or ".png"
        try:
            format_of(f"x{found[node]}")
        except QrNodesError as error:
            where = "--format" if asked else f"{node}.path"
            raise ParamError(error.what, where, error.hint) from error
    return found
