"""As much of the window as a viewer without one needs, and what its tests do again and again."""

from __future__ import annotations

from types import SimpleNamespace

import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.cache import Cache
from qr_nodes.document import Document
from qr_nodes.engine import Engine
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.types import Cutout
from qr_nodes.ui.brush import Brush
from qr_nodes.ui.loop import Loop
from qr_nodes.ui.settings import Settings, Store
from qr_nodes.ui.viewer import Viewer

PANEL = (600, 400)


class App:
    """As much of the window as the viewer knows."""

    def __init__(self):
        def fail(error):
            raise error

        graph = Graph.chain("load", "feather", "export").set_param("load", "path", "cat.jpg")
        self.loop, self.modal = Loop(fail), False
        self.document = SimpleNamespace(graph=graph, viewed=("feather",), selected="")
        self.brush = Brush()
        self.settings = SimpleNamespace(now=Settings())
        self.said: list[str] = []

    def say(self, text, kind="info"):
        self.said.append(text)

    def watch(self):
        self.document.viewed = tuple(dict.fromkeys(("feather", *self.viewer.targets)))


class FilesApp:
    """As much of the window as its files know; questions are written down."""

    def __init__(self):
        self.engine = Engine(Cache(1 << 20))
        self.document = Document(self.engine)
        self.settings, self.modal, self.said, self.asked = Store(), False, [], []
        self.canvas = SimpleNamespace(selection=[])
        self.folders = []
        self.batch = SimpleNamespace(take=self.folders.append)
        self.viewer = SimpleNamespace(thumbnail=lambda side: None)
        self.viewed = ""

    def attempt(self, call, *arguments):
        try:
            return call(*arguments)
        except QrNodesError as error:
            self.said.append(str(error))

    def say(self, text, kind="info"):
        self.said.append(text)

    def unsay(self):
        self.said.append("")

    def edit(self, graph, name):
        graph, tell = self.files.follow(graph)
        self.document.edit(graph, name)
        tell()

    def show_graph(self, graph, held=()):
        self.document.open(graph, held=held)


def settle(viewer: Viewer, levels: int = 1) -> None:
    """Take levels from the viewer's thread, then draw."""
    viewer.frame()
    for _ in range(levels):
        call, arguments = viewer._app.loop.inbox.get(timeout=20)
        call(*arguments)
        viewer.frame()


def cutout(height: int, width: int, value: int = 200) -> Cutout:
    return Cutout(
        np.full((height, width, 3), value, np.uint8), np.full((height, width), 0.5, np.float32)
    )


def drawn(viewer: Viewer) -> np.ndarray:
    """Give the first tile's shown pixels."""
    tile = viewer._tiles._tiles[0, 0]
    left, top, right, bottom = tile.area
    return tile.pixels[top:bottom, left:right]


def words(viewer: Viewer) -> str:
    """Give what is written over the picture."""
    items = dpg.get_item_children(viewer._words.node, 2)
    texts = [dpg.get_item_configuration(item).get("text") for item in items]
    return " ".join(text for text in texts if text)
