"""Where the presets and the model registry lie: in an installed wheel or in a checkout."""

from __future__ import annotations

import os
from pathlib import Path


def folder(name: str) -> Path:
    """Give the folder "graphs" or "models" that travels with the package."""
    package = Path(__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name


def user_folder(name: str) -> Path:
    """Give the user's own folder for `name`, shared between projects; it may not exist yet.

    "settings" lies with the user's data, everything else with what can be fetched or computed
    again. The environment variable QR_NODES_HOME puts them all under one folder.
    """
    if home := os.environ.get("QR_NODES_HOME"):
        return Path(home) / name
    import platformdirs

    place = platformdirs.user_data_path if name == "settings" else platformdirs.user_cache_path
    return place("qr-nodes", appauthor=False) / name
