"""What would hold the window up, done by a process of its own: file dialogs, reading the clipboard.

A script that imports nothing of the program: `python -P outside.py WHAT JSON` prints its result
as JSON. Exit code 3 says that this way is not to be had here.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

UNAVAILABLE = 3


def choose(
    title: str, folder: str, name: str, kinds: dict, save: bool, many: bool, folders: bool
) -> list:
    """Show the system's file dialog through Tk; give the paths chosen, none if cancelled.

    `kinds` says what is offered: {"Pictures": ["*.png", …]}.
    """
    import tkinter
    from tkinter import filedialog

    try:
        root = tkinter.Tk()
    except tkinter.TclError as error:
        raise ImportError(error) from error
    root.withdraw()
    root.attributes("-topmost", True)
    options = {"title": title, "initialdir": folder or None, "parent": root}
    offered = [(kind, " ".join(globs)) for kind, globs in kinds.items()]
    if folders:
        found = filedialog.askdirectory(mustexist=True, **options)
        return [found] if found else []
    options["filetypes"] = [*offered, ("All files", "*")]
    if save:
        found = filedialog.asksaveasfilename(initialfile=name, **options)
    elif many:
        found = filedialog.askopenfilenames(**options)
    else:
        found = filedialog.askopenfilename(**options)
    return list(found) if isinstance(found, tuple | list) else [found] if found else []


def paste(folder: str) -> dict:
    """Give what the clipboard holds: files, a picture (as a new file in `folder`) or text."""
    import copykitten

    found = {"files": [], "text": ""}
    try:
        found["files"] = [str(path) for path in copykitten.paste_paths()]
    except copykitten.CopykittenError:
        try:
            found["files"] = [_picture_file(Path(folder), *copykitten.paste_image())]
        except copykitten.CopykittenError:
            try:
                found["text"] = copykitten.paste()
            except copykitten.CopykittenError:
                return found
    return found


def _picture_file(folder: Path, pixels: bytes, width: int, height: int) -> str:
    """Write RGBA pixels to a file named by its content: the same picture is the same file."""
    from PIL import Image

    file = folder / f"pasted-{hashlib.sha256(pixels).hexdigest()[:12]}.png"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        half = folder / f".{file.stem}-{os.getpid()}.half"  # another window may paste the same
        image = Image.frombytes("RGBA", (width, height), pixels)
        if image.getextrema()[3] == (255, 255):
            image = image.convert("RGB")
        with half.open("wb") as out:
            image.save(out, "PNG", compress_level=1)
            out.flush()
            os.fsync(out.fileno())
        half.replace(file)
    return str(file)


if __name__ == "__main__":
    try:
        print(
            json.dumps({"choose": choose, "paste": paste}[sys.argv[1]](**json.loads(sys.argv[2])))
        )
    except ImportError:
        sys.exit(UNAVAILABLE)
