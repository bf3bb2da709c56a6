"""What the machine lends: places (presets and model list beside the package, the user's own in
their folders), and cores.

QR_NODES_HOME, if it is set, holds everything of the user's in one folder.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path


def folder(name: str) -> Path:
    """Give the folder "graphs" or "models" that travels with the package.

    An installed wheel has it inside the package, a checkout beside it.
    """
    package = Path(__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name


def data_folder() -> Path:
    """Give the folder for what the user made or added; it may not exist yet."""
    return _user_folder("user_data_path")


def cache_folder(name: str) -> Path:
    """Give the folder for `name`, which can be fetched or computed again; shared by projects."""
    return _user_folder("user_cache_path") / name


def cores() -> int:
    """Give how many cores this process may use, which a container may have limited."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def install_command(extra: str) -> str:
    """Return the command that installs what an extra of the program needs.

    It names the packages themselves. The program is on no package index: whatever is found there
    under its name is somebody else's.
    """
    from importlib import metadata

    mark = re.compile(rf"""\s*;\s*extra\s*==\s*['"]{extra}['"]$""")
    try:
        asked = metadata.requires("qr-nodes") or []
    except metadata.PackageNotFoundError:  # run without being installed
        return f"pip install '.[{extra}]', in the program's own folder"
    packages = [mark.sub("", one) for one in asked if mark.search(one)]
    return shlex.join([sys.executable, "-m", "pip", "install", *packages])


def _user_folder(kind: str) -> Path:
    if home := os.environ.get("QR_NODES_HOME"):
        return Path(home)
    import platformdirs

    return getattr(platformdirs, kind)("qr-nodes", appauthor=False)
