"""What the tests of the window share.

A Dear PyGui context without a window: items, values and callbacks work, nothing is drawn. A
viewer in it. A real window, on a screen of its own.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import dearpygui.dearpygui as dpg
import pytest
from driver import Window
from PIL import Image
from stubs import PANEL, App, FilesApp

from qr_nodes.ui import dialogs, theme
from qr_nodes.ui.files import Files
from qr_nodes.ui.presets import Presets
from qr_nodes.ui.viewer import Viewer


@pytest.fixture
def dpg_context():
    """Create a context for one test and take it down again."""
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    yield
    theme.forget()
    dpg.destroy_context()


@pytest.fixture
def viewer(dpg_context, monkeypatch):
    """Make a viewer without a window, its panel as large as `stubs.PANEL`."""
    monkeypatch.setattr(dpg, "get_item_rect_size", lambda item: list(PANEL))
    monkeypatch.setattr(dpg, "get_item_rect_min", lambda item: [0, 0])
    with dpg.window():
        parent = dpg.add_child_window()
    app = App()
    app.viewer = made = Viewer(app, parent)
    made.frame()
    yield made
    made.close()


@pytest.fixture
def files(monkeypatch, dpg_context):
    """Make the files of a window that is not there; `files.app.asked` holds what they ask."""
    app = FilesApp()
    monkeypatch.setattr(dpg, "set_viewport_title", lambda title: None)
    monkeypatch.setattr(Files, "menus", lambda self: None)
    monkeypatch.setattr(Presets, "menu", lambda self: None)
    ask = lambda app, title, text, buttons: app.asked.append((title, buttons))  # noqa: E731
    monkeypatch.setattr(dialogs, "ask", ask)
    monkeypatch.setattr(dialogs, "save_file", lambda *a: app.asked.append(("as", *a[2:])))
    files = app.files = Files(app)
    yield files
    files.end()
    app.document.close()
    app.engine.close()


@pytest.fixture(scope="module")
def screen():
    """A display of its own, 1600 × 1000."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as pipe:
        yield f":{pipe.readline().strip()}"
    server.terminate()
    server.wait()


@pytest.fixture
def open_window(screen, weights):
    opened = []

    def start(*arguments, **more) -> Window:
        opened.append(Window(screen, *map(str, arguments), **more))
        return opened[-1]

    yield start
    for window in opened:
        window.close()


@pytest.fixture
def photo(tmp_path, chelsea) -> Path:
    file = tmp_path / "chelsea.png"
    Image.fromarray(chelsea).save(file)
    return file
