"""The window as a whole: layout, commands, and who tells whom.

An edit goes to the document, and every part then follows it; events of the engine go to every
part that shows them. State: the document and its file, the parts, what is viewed.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from qr_nodes.batch import targets
from qr_nodes.cache import Cache, Disk
from qr_nodes.document import Document
from qr_nodes.engine import Engine, Event
from qr_nodes.errors import GraphError, QrNodesError
from qr_nodes.graph import Graph
from qr_nodes.imaging.resample import shrink
from qr_nodes.resources import cache_folder
from qr_nodes.ui import batch_panel, dialogs, system, theme
from qr_nodes.ui.batch_panel import BatchPanel
from qr_nodes.ui.brush import Brush
from qr_nodes.ui.canvas import Canvas
from qr_nodes.ui.commands import Command, Shortcuts, shortcuts
from qr_nodes.ui.display import check_display, placed, screens
from qr_nodes.ui.files import Files, picture_pixels
from qr_nodes.ui.inspector import Inspector
from qr_nodes.ui.loop import Loop
from qr_nodes.ui.settings import Store
from qr_nodes.ui.viewer import Viewer

SAY = {"info": theme.TEXT, "good": theme.GOOD, "error": theme.BAD}
FADE = 8.0
"""Seconds after which a message that is no error goes."""
STATUS = 30
"""Height of the status bar, px."""


class App:
    """The window's parts and what they share.

    Attributes
    ----------
    document : the open graph, computed while it is edited
    loop : draws, and takes calls from other threads
    brush : what the viewer paints with while a Brush Edit node is selected
    modal : a dialog is open: keys and the mouse are for it
    """

    def __init__(self):
        self._ends = ExitStack()
        self.loop = Loop(self._unforeseen)
        self.settings = Store()
        budget = self.settings.now.memory << 20 or 2 << 30
        disk = Disk(cache_folder("networks"))
        self.engine = Engine(Cache(budget, disk), lanes=2, shrink=shrink)
        self._ends.callback(self.engine.close)
        self.document = Document(self.engine, Graph(), picture_pixels, watch_all=True)
        self._ends.callback(self.document.close)
        now = self.settings.now
        self.brush = Brush(*now.brush, now.edge_aware, now.smoothing)
        self.modal = False
        self.drops: object = None  # what hears of dropped files: it must live as long as the window
        self.viewed, self._chose_view = "", False
        self.files = Files(self)
        self._newest: dict[str, int] = {}
        self._running: dict[str, float] = {}
        self._shown = (0.0, "")
        self._complaint, self._blamed, self._fades = "", None, float("inf")

    # ---- what the parts call ---------------------------------------------------------------

    def edit(self, graph: Graph, name: str, drag: object = None) -> None:
        """Make `graph` the present one; `name` is what undoing it is called."""
        if graph is not self.document.graph:
            graph, tell = self.files.follow(graph)
            self.document.edit(graph, name, drag)
            self.sync()
            tell()

    def attempt(self, call: Callable, *arguments: Any) -> Any:
        """Call something; an error a user can mend becomes a message. Gives the result or None."""
        try:
            return call(*arguments)
        except QrNodesError as error:
            self.say(str(error), "error")
            return None

    def say(self, text: str, kind: str = "info") -> None:
        """Show a message in the status bar; an error stays until it is out of date."""
        self._complaint = ""
        self._blamed = self.document.graph if kind == "error" else None
        self._fades = float("inf") if kind == "error" else time.monotonic() + FADE
        dpg.set_value("app message", text)
        dpg.bind_item_theme("app message", theme.text(SAY[kind]))
        self.loop.wake()

    def view(self, id: str) -> None:
        """Show a node's output in the viewer; of one that writes a file, what it gets."""
        graph = self.document.graph
        if id in graph.nodes and (seen := graph.seen(id)):
            self._chose_view = True
            self._look_at(seen)
            self.sync()

    def selected(self, ids: list[str]) -> None:
        """Take from the canvas which nodes are selected now."""
        one = ids[-1] if ids else None
        self.document.select(one or "")
        self.inspector.show(one)

    def typing(self) -> bool:
        """Say whether a text field has the keyboard."""
        item = dpg.get_focused_item()
        if any(map(dpg.is_mouse_button_down, (0, 1, 2))):
            return False  # whatever the mouse is held down in is active
        return bool(dpg.does_item_exist(item) and dpg.get_item_state(item).get("active"))

    def run(self, id: str) -> None:
        """Do the command called `id`."""
        self.attempt(self.commands[id].run)

    def show_graph(self, graph: Graph, held: Iterable[str] = ()) -> None:
        """Start anew with a graph that was opened or made; `held` files are not read yet."""
        self._chose_view = False
        self.viewer.reset()
        self.viewed = first_view(graph)
        self.document.open(graph, *([self.viewed] if self.viewed else []), held=held)
        self._newest.clear()
        self.sync()
        self.canvas.fit()

    def sync(self) -> None:
        """Bring every part to the document's graph."""
        graph = self.document.graph
        # Until somebody chooses what to look at, it is what the graph ends in.
        if self.viewed not in graph.nodes or not self._chose_view:
            self._look_at(first_view(graph))
        for part in (self.canvas, self.inspector, self.viewer):
            part.sync()
        self.watch()
        for name, verb in (("undo", "Undo"), ("redo", "Redo")):
            what = getattr(self.document, f"{name}_name")
            dpg.configure_item(f"menu {name}", label=f"{verb} {what}", enabled=bool(what))
        self.files.title()
        node = graph.nodes.get(self._complaint)
        if self._blamed not in (None, graph) and (node is None or node.bypass):
            self.unsay()
        self.loop.wake()

    def unsay(self) -> None:
        """Take from the status bar an error that is out of date; one that lasts comes back."""
        fault = self.files.recovery.fault
        self.say(fault, "error" if fault else "info")

    def _look_at(self, id: str) -> None:
        if id != self.viewed:
            self.viewed = id
            self.document.view(*([id] if id else []))

    def watch(self) -> None:
        """Have computed what is looked at, and nothing else."""
        wanted = dict.fromkeys(id for id in (self.viewed, *self.viewer.targets) if id)
        if self.viewed and tuple(wanted) != self.document.viewed:
            self.document.view(*wanted)

    # ---- building --------------------------------------------------------------------------

    def viewport(self) -> None:
        """Make the system's window as it was left, as far as it fits on a screen."""
        now = self.settings.now
        x, y, width, height = placed(now.window, now.place, screens())
        self._areas = now.areas(width, height)
        dpg.create_viewport(
            title="QR Nodes", x_pos=x, y_pos=y, width=width, height=height, disable_close=True
        )

    def remember(self) -> None:
        """Keep the window's layout for the next start."""
        sizes = {
            "canvas": dpg.get_item_width("app left"),
            "viewer": dpg.get_item_height("app viewer"),
            "batch": self.batch.height,
        }
        window = dpg.get_viewport_width(), dpg.get_viewport_height()
        place = tuple(map(int, dpg.get_viewport_pos()))
        look = self.viewer.remembered | self.brush.remembered
        everything = {"window": window, "place": place, "splitters": sizes, **look}
        self.attempt(partial(self.settings.change, **everything))

    def build(self) -> None:
        """Make the window's contents; needs a context."""
        self.commands = {command.id: command for command in self._commands()}
        self._shortcuts = Shortcuts(list(self.commands.values()))
        with dpg.window(tag="app window", no_scrollbar=True):
            self._menu()
            self._toolbar()
            with dpg.group(horizontal=True, tag="app body"):
                with dpg.child_window(
                    width=self._areas["canvas"], height=-STATUS, border=False, resizable_x=True,
                    tag="app left",
                ):  # fmt: skip
                    dpg.add_child_window(tag="app canvas", width=-1, height=-1)
                with dpg.child_window(width=-1, height=-STATUS, border=False, tag="app right"):
                    dpg.add_child_window(
                        tag="app viewer", height=self._areas["viewer"], width=-1, resizable_y=True
                    )
                    dpg.add_child_window(tag="app inspector", height=-1, width=-1)
            self._status()
        dpg.set_primary_window("app window", True)
        dpg.bind_theme(theme.window())
        dpg.bind_font(theme.font(theme.FONT_SIZE))
        self.canvas = Canvas(self, "app canvas")
        self.viewer = Viewer(self, "app viewer")
        self._ends.callback(self.viewer.close)
        self.inspector = Inspector(self, "app inspector")
        self._ends.callback(self.inspector.close)
        self.viewer.restore(self.settings.now)
        self.batch = BatchPanel(self, "app left", "app canvas")
        self._ends.callback(self.batch.close)
        with dpg.handler_registry():
            dpg.add_key_press_handler(callback=self._key)
        self.loop.hooks += [self._drain, self.canvas.frame, self.viewer.frame, self.inspector.frame]
        self.loop.hooks += [self.batch.frame, self._shortcuts.frame, self._tick]
        self.files.menus()
        threading.Thread(target=self._find_device, name="qr-nodes device", daemon=True).start()

    def _menu(self) -> None:
        menus: dict[str, list[Command]] = {}
        for command in self.commands.values():
            menus.setdefault(command.menu, []).append(command)
        with dpg.menu_bar():
            for menu, commands in menus.items():
                with dpg.menu(label=menu):
                    for command in commands:
                        self._menu_item(command)

    def _menu_item(self, command: Command) -> None:
        if command.title == "-":
            dpg.add_separator()
        elif command.id in ("presets", "recent"):
            dpg.add_menu(label=command.title, tag=f"menu {command.id}")
        else:
            dpg.add_menu_item(
                label=command.title,
                shortcut=command.shortcut,
                callback=partial(self._chosen, command.id),
                tag=f"menu {command.id}",
            )

    def _toolbar(self) -> None:
        with dpg.group(horizontal=True):
            for command in self.commands.values():
                if command.toolbar:
                    button = dpg.add_button(
                        label=command.title.rstrip("…"), callback=partial(self._chosen, command.id)
                    )
                    with dpg.tooltip(button):
                        dpg.add_text(f"{command.title}  {command.shortcut}")

    def _status(self) -> None:
        with dpg.group(horizontal=True):
            dpg.add_text("", tag="app device")
            dpg.add_text("", tag="app memory")
            dpg.add_progress_bar(tag="app progress", width=160, height=16, show=False)
            dpg.add_text("", tag="app message")
        for tag in ("app device", "app memory"):
            dpg.bind_item_theme(tag, theme.text(theme.FAINT))

    def _commands(self) -> list[Command]:
        files, part = self.files, self._of_part
        exports, presets = files.exports, files.presets
        line = iter(range(100))

        def rule(menu: str) -> Command:
            return Command(f"-{next(line)}", menu, "-", "", lambda: None)

        return [
            Command("new", "File", "New", "Ctrl+N", files.new),
            Command("open", "File", "Open Graph…", "Ctrl+O", files.open),
            Command("picture", "File", "Open Picture…", "Ctrl+I", files.picture, toolbar=True),
            Command("presets", "File", "Presets", "", lambda: None),
            Command("recent", "File", "Recent", "", lambda: None),
            rule("File"),
            Command("save", "File", "Save", "Ctrl+S", files.save),
            Command("save as", "File", "Save As…", "Ctrl+Shift+S", files.save_as),
            Command("save preset", "File", "Save as Preset…", "Ctrl+Shift+P", presets.save),
            rule("File"),
            Command("export", "File", "Export…", "Ctrl+E", exports.choose, toolbar=True),
            Command("export again", "File", "Export Again", "Ctrl+Shift+E", exports.again),
            Command("paste picture", "File", "Paste Picture", "Ctrl+Shift+V", files.paste_picture),
            Command("copy result", "File", "Copy Result", "Ctrl+Shift+C", files.copy_result),
            rule("File"),
            Command("quit", "File", "Quit", "Ctrl+Q", files.quit),
            Command("undo", "Edit", "Undo", "Ctrl+Z", self._undo, toolbar=True),
            Command("redo", "Edit", "Redo", "Ctrl+Y", self._redo, toolbar=True),
            rule("Edit"),
            Command("add", "Edit", "Add Node…", "Tab", part("canvas", "search"), toolbar=True),
            Command("cut", "Edit", "Cut", "Ctrl+X", self._cut),
            Command("copy", "Edit", "Copy", "Ctrl+C", self._copy),
            Command("paste", "Edit", "Paste", "Ctrl+V", self._paste),
            Command("duplicate", "Edit", "Duplicate", "Ctrl+D", part("canvas", "duplicate")),
            Command("delete", "Edit", "Delete", "Del", part("canvas", "delete")),
            Command("dissolve", "Edit", "Delete and Reconnect", "Ctrl+Del", self._dissolve),
            Command("select all", "Edit", "Select All", "Ctrl+A", part("canvas", "select_all")),
            rule("Edit"),
            Command("rename", "Edit", "Rename", "F2", part("canvas", "rename")),
            Command("bypass", "Edit", "Bypass", "B", part("canvas", "bypass")),
            Command(
                "comment", "Edit", "Frame Selection", "Ctrl+G", part("canvas", "frame_selection")
            ),
            rule("Edit"),
            Command("swap brush", "Edit", "Swap Paint and Erase", "X", self.brush.swap),
            Command("refine brush", "Edit", "Refine Brush", "R", self.brush.refine),
            Command("heed edges", "Edit", "Edge-Aware Brush", "E", self.brush.heed),
            Command("smaller", "Edit", "Smaller Brush", "[", partial(self.brush.resize, -1)),
            Command("larger", "Edit", "Larger Brush", "]", partial(self.brush.resize, 1)),
            Command("view", "View", "View Selected Node", "V", self._view_selected),
            Command("fit canvas", "View", "Fit Graph", "F", part("canvas", "fit")),
            Command("zoom in", "View", "Zoom In", "Ctrl+=", partial(self._zoom, 1)),
            Command("zoom out", "View", "Zoom Out", "Ctrl+-", partial(self._zoom, -1)),
            Command("zoom reset", "View", "Zoom 100 %", "Ctrl+0", part("canvas", "reset_zoom")),
            Command("minimap", "View", "Minimap", "M", part("canvas", "toggle_minimap")),
            rule("View"),
            Command("align x", "View", "Align Left", "Alt+L", partial(self._align, "x")),
            Command("align y", "View", "Align Top", "Alt+T", partial(self._align, "y")),
            Command("layout", "View", "Arrange Graph", "L", part("canvas", "layout")),
            rule("View"),
            Command("fit picture", "View", "Fit Picture", "0", part("viewer", "fit")),
            Command("actual", "View", "Picture at 100 %", "1", part("viewer", "actual")),
            Command("background", "View", "Next Background", "G", part("viewer", "next_mode")),
            Command("backdrop", "View", "Picture Behind…", "", part("viewer", "choose_backdrop")),
            Command(
                "overlay", "View", "Tint What Is Removed", "Q", part("viewer", "toggle_overlay")
            ),
            rule("View"),
            Command("split", "View", "Split Before and After", "Y", self._toggle("split")),
            Command("compare", "View", "Compare with Selected Node", "Shift+V", self._compare),
            Command("blink", "View", "Before, While Held", "\\", part("viewer", "blink")),
            Command("loupe", "View", "Loupe", "Z", self._toggle("loupe")),
            Command(
                "histogram", "View", "Histogram of the Soft Edge", "H", self._toggle("histogram")
            ),
            Command("cancel", "Run", "Cancel", "Esc", self._cancel),
            Command("again", "Run", "Compute Again", "F5", self._again),
            Command("forget", "Run", "Forget Everything in Memory", "Shift+F5", self._forget),
            *batch_panel.commands(self),
            Command("help", "Help", "Shortcuts", "F1", self._help, toolbar=True),
            Command("about", "Help", "About", "Shift+F1", partial(dialogs.about, self)),
        ]

    def _of_part(self, part: str, method: str) -> Callable[[], None]:
        return lambda: getattr(getattr(self, part), method)()

    def _toggle(self, name: str) -> Callable[[], None]:
        return lambda: self.viewer.toggle(name)

    # ---- commands --------------------------------------------------------------------------

    def _undo(self) -> None:
        if name := self.document.undo():
            self.sync()
            self.say(f"Undone: {name}")

    def _redo(self) -> None:
        if name := self.document.redo():
            self.sync()
            self.say(f"Done again: {name}")

    def _copy(self) -> None:
        system.copy_text(self.files.consent.own(self.canvas.copy()))

    def _cut(self) -> None:
        system.copy_text(self.files.consent.own(self.canvas.cut()))

    def _paste(self) -> None:
        system.paste(self, self._pasted)

    def _pasted(self, files: list[str], text: str) -> None:
        if files:
            self.files.dropped(files)
        else:
            self.files.consent.pasting(text)
            self.attempt(self.canvas.paste, text)

    def _dissolve(self) -> None:
        self.canvas.delete(reconnect=True)

    def _zoom(self, steps: int) -> None:
        self.canvas.zoom(steps)

    def _align(self, axis: str) -> None:
        self.canvas.align(axis)

    def _view_selected(self) -> None:
        if self.canvas.selection:
            self.view(self.canvas.selection[-1])

    def _compare(self) -> None:
        if self.canvas.selection:
            self.viewer.compare(self.canvas.selection[-1])
        else:
            self.say("Select the node to compare with first.")

    def _cancel(self) -> None:
        if self.viewer.give_up():
            return
        busy = self._running or self.files.exports.busy
        self.document.cancel()
        self.files.exports.cancel()
        self._running.clear()
        if busy:
            self.say("Cancelled. The next change computes again.")

    def _again(self) -> None:
        self.document.view(*self.document.viewed)

    def _forget(self) -> None:
        self.engine.cache.clear()
        self.say("Memory is empty; the next change computes from the start.")

    def _help(self) -> None:
        dialogs.shortcuts(self, shortcuts(self.commands.values()))

    # ---- what happens ----------------------------------------------------------------------

    def _chosen(self, id: str) -> None:
        if not self.modal:
            self.run(id)

    def _key(self, _, key: int) -> None:
        self.loop.wake()
        busy = self.modal or self.canvas.busy or self.typing()
        if not busy and (command := self._shortcuts.find(key)):
            self.run(command.id)

    def _drain(self) -> None:
        for event in self.document.drain():
            self.event(event)

    def event(self, event: Event) -> None:
        """Pass an event of the engine on to the parts; older news of a node is dropped."""
        self.loop.wake()
        if event.kind == "finished":
            self._running.clear()
            for part in (self.canvas, self.inspector, self.viewer):
                part.event(event)
            return
        if (
            event.run < self._newest.get(event.node, 0)
            or event.node not in self.document.graph.nodes
        ):
            return
        self._newest[event.node] = event.run
        if event.kind in ("started", "progress"):
            self._running[event.node] = event.fraction
        else:
            self._running.pop(event.node, None)
        for part in (self.canvas, self.inspector, self.viewer):
            part.event(event)
        if event.outputs and event.node == self.viewed:
            value = next(iter(event.outputs.values()))
            node = self.document.graph.nodes[event.node]
            self.viewer.show(value, event.scale, node.title or node.spec.title)
        # A node that is not linked yet shows so itself; it is no news while one builds.
        if event.kind == "failed" and not isinstance(event.error, GraphError):
            self.say(str(event.error), "error")
            self._complaint = event.node
        elif event.node == self._complaint and event.kind not in ("started", "progress"):
            self.unsay()

    def _tick(self) -> None:
        """Twice a second, and whenever something runs: what the status bar says."""
        now = time.monotonic()
        running = ", ".join(self._running)
        if now - self._shown[0] < (0.1 if running else 0.5):
            return
        self._shown = (now, running)
        if now > self._fades:
            self.say("")
        cache = self.engine.cache
        used, budget = cache.used / 2**20, cache.budget / 2**20
        dpg.set_value("app memory", f"{used:,.0f} of {budget:,.0f} MiB")
        dpg.configure_item("app progress", show=bool(running), overlay=running)
        if running:
            dpg.set_value("app progress", max(self._running.values()))
        self.files.tick()

    def _find_device(self) -> None:
        """Say what networks will run on; loading what can tell takes a moment."""
        from qr_nodes.inference import devices

        try:
            name = devices.pick("auto").name
        except QrNodesError as error:
            name = error.what
        self.loop.post(dpg.set_value, "app device", name)

    def _unforeseen(self, error: BaseException) -> None:
        """Report what a callback let through; the window goes on."""
        if os.environ.get("QR_NODES_DEBUG"):
            traceback.print_exception(error)
        what = str(error) if isinstance(error, QrNodesError) else f"{type(error).__name__}: {error}"
        self.say(what, "error")

    def close(self) -> None:
        """End the threads of what was built: without that the process would go on."""
        self._ends.close()


def first_view(graph: Graph) -> str:
    """Give the node to look at first: what the first Export writes, or the last there is."""
    for id in targets(graph):
        if seen := graph.seen(id):
            return seen
    return ""


def opened() -> App:
    """Open the window, still without a graph."""
    dpg.create_context()
    dpg.configure_app(manual_callback_management=True)
    app = App()
    try:
        app.viewport()
        dpg.setup_dearpygui()
        app.build()
        dpg.show_viewport()
    except BaseException:
        app.close()
        raise
    return app


def main(path: str | None = None) -> int:
    """Open the window on a graph, a picture, or what was open before; give an exit code."""
    check_display()
    app, asked = opened(), False
    try:
        app.drops = system.accept_drops(partial(app.loop.post, app.files.dropped))
        dpg.set_exit_callback(lambda: app.files.quit())
        app.loop.step()
        app.loop.step()
        app.files.start(path)
        app.loop.run()
        asked = True  # what is not saved now is not wanted; who is stopped by a signal said nothing
    finally:
        with closing(app):  # its threads end whatever becomes of the rest
            app.remember()
            app.files.end(keep=not asked)
        theme.forget()
        dpg.destroy_context()
    return 0
