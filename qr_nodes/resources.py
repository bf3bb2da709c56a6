"""Where the presets and the model registry lie: in an installed wheel or in a checkout."""

from __future__ import annotations

from pathlib import Path


def folder(name: str) -> Path:
    """Give the folder "graphs" or "models" that travels with the package."""
    package = Path(__file__).parent
    installed = package / "_data" / name
    return installed if installed.is_dir() else package.parent / name
