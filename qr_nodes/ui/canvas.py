"""The node canvas: shows the document's graph and edits it.

State: the graph on screen with its widgets, what is selected, where the view is, and what the
engine told of each node. The graph itself lives in the document; `sync` follows it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import dearpygui.dearpygui as dpg

from qr_nodes.engine import Event
from qr_nodes.errors import QrNodesError
from qr_nodes.graph import Graph, Node
from qr_nodes.node import NodeSpec, socket_name
from qr_nodes.nodes import all_specs
from qr_nodes.ui import canvas_edits as edits
from qr_nodes.ui import canvas_node, theme
from qr_nodes.ui.canvas_frames import Frames
from qr_nodes.ui.canvas_mouse import End, Mouse
from qr_nodes.ui.canvas_node import Facts, NodeItem, unfinished
from qr_nodes.ui.canvas_search import Popup
from qr_nodes.ui.canvas_view import Box, Point, View, fitted

PADDING = (8, 5)
"""Of a node, px at 100 %, as `theme.canvas` has it."""

SHARE = 0.004
"""Seconds per frame for pictures of nodes."""

KEPT = 64
"""Nodes that were deleted whose pictures are kept, in case they come back."""

SIZED = 3
"""Frames until items have their sizes."""

Target = tuple[str, str]
"""Node and input: what a link leads to, which names it."""


class Canvas:
    """The graph on screen.

    Parameters
    ----------
    app : App
        The window, for edits and messages.
    parent : item
        The child window to build into.
    """

    def __init__(self, app: Any, parent: int | str):
        canvas_node.forget()
        self.app = app
        self.graph = Graph()
        self.items: dict[str, NodeItem] = {}
        self.links: dict[Target, int | str] = {}
        self.facts: dict[str, Facts] = {}
        self.selection: list[str] = []
        self.view = View(1.0, (24.0, 24.0))
        self.pan: Point = (0.0, 0.0)
        self._seen: dict[str, Point] = {}
        self._pending: dict[str, None] = {}
        self._viewed: str = ""
        self._settled = 0
        self._late_fit = False
        self._lost = True
        self._pastes = 0
        self._build(parent)
        self.popup = Popup(app.loop.wake)
        self.pointer = Mouse(self)
        self.frames = Frames(self)
        self.sync()

    def _build(self, parent: int | str) -> None:
        quiet = {"no_scrollbar": True, "no_scroll_with_mouse": True, "border": False}
        self.room = dpg.add_child_window(parent=parent, width=-1, height=-1, **quiet)
        # What the drawing list holds lies behind the editor, which nothing can be drawn into.
        self.paper = dpg.add_drawlist(1, 1, parent=self.room)
        place = {"pos": (0, 0), "width": -1, "height": -1}
        self._sheet = dpg.add_child_window(parent=self.room, **place, **quiet)
        self.editor = dpg.add_node_editor(
            parent=self._sheet,
            callback=self._linked,
            delink_callback=self._delinked,
            minimap=True,
            minimap_location=dpg.mvNodeMiniMap_Location_BottomRight,
        )
        self.boxes(True)
        self.textures = dpg.add_texture_registry()
        self.blank = dpg.add_static_texture(
            *canvas_node.THUMB, canvas_node.blank(), parent=self.textures
        )
        self._dress()

    def boxes(self, seen: bool) -> None:
        """Let the box that the editor draws in a drag over nothing be seen, or not."""
        dpg.bind_item_theme(self._sheet, canvas_node.clear_theme(seen))

    def _dress(self) -> None:
        zoom = self.view.zoom
        dpg.bind_item_theme(self.room, theme.canvas(zoom))
        dpg.bind_item_font(self.room, theme.font(round(theme.FONT_SIZE * zoom)))

    @property
    def busy(self) -> bool:
        """Whether keys are for a small window over the canvas."""
        return self.popup.takes_keys

    # ---- following the graph ---------------------------------------------------------------

    def sync(self) -> None:
        """Bring the screen to the document's graph."""
        graph, old = self.app.document.graph, self.graph
        if graph is old:
            return
        self.graph = graph
        if graph.nodes is not old.nodes:
            if not any(old.nodes.get(id) is node for id, node in graph.nodes.items()):
                self._forget()
            kept = {id for id, node in graph.nodes.items() if self._same(id, node)}
        else:
            kept = set(self.items)
        for key in [key for key in self.links if not self._stays(key, old, kept)]:
            dpg.delete_item(self.links.pop(key))
            # The next link made is known to the editor by the same number.
            dpg.clear_selected_links(self.editor)
        for id in [id for id in self.items if id not in kept]:
            self._drop(id)
        if graph.nodes is not old.nodes:
            for id, node in graph.nodes.items():
                if id not in self.items:
                    self._add(id, node)
                elif self.items[id].node is not node:
                    self._update(id, node)
        for key, source in graph.links.items():
            if key not in self.links:
                self._link(key, source)
        if any(id not in graph.nodes for id in self.selection):
            self.select([id for id in self.selection if id in graph.nodes])

    def _same(self, id: str, node: Node) -> bool:
        """Say whether a node can be shown with the widgets that are there."""
        item = self.items.get(id)
        if item is None or item.node is node:
            return item is not None
        now, then = node.spec, item.node.spec
        return now is then or (now.id, *now.inputs, *now.outputs) == (
            then.id,
            *then.inputs,
            *then.outputs,
        )

    def _stays(self, key: Target, old: Graph, kept: Collection[str]) -> bool:
        source = self.graph.links.get(key)
        return source == old.links[key] and key[0] in kept and source[0] in kept

    def _add(self, id: str, node: Node) -> None:
        facts = self.facts.setdefault(id, Facts())
        place = self.view.place(node.pos)
        self._lost |= not self.items
        item = NodeItem(self.editor, id, node, place, self.view.zoom, facts, self.blank)
        self.items[id], self._seen[id] = item, place
        self._style(id)
        self._unsettle()

    def _update(self, id: str, node: Node) -> None:
        item = self.items[id]
        old = item.node
        item.update(node)
        if node.pos != old.pos or self._place_of(id) != self._seen[id]:
            self._put(id, self.view.place(node.pos))
        if node.bypass != old.bypass:
            item.show()
            self._style(id)

    def _drop(self, id: str) -> None:
        dpg.clear_selected_nodes(self.editor)
        self.items.pop(id).delete()
        del self._seen[id]
        self._pending.pop(id, None)
        self.facts[id].value = None
        gone = [id for id in self.facts if id not in self.items]
        for id in gone[:-KEPT]:
            self._forget_picture(self.facts.pop(id))

    def _link(self, key: Target, source: tuple[str, str]) -> None:
        start = self.items[source[0]].pin(source[1], True)
        item = dpg.add_node_link(start, self.items[key[0]].pin(key[1], False), parent=self.editor)
        kind = socket_name(self.graph.nodes[source[0]].spec.outputs[source[1]])
        dpg.bind_item_theme(item, theme.link(kind))
        self.links[key] = item

    def _forget(self) -> None:
        """Forget what the engine told: another graph is open."""
        for item in self.items.values():
            if item.image:
                dpg.configure_item(item.image, texture_tag=self.blank)
        for facts in self.facts.values():
            self._forget_picture(facts)
        self.facts = {id: Facts() for id in self.items}
        for id, item in self.items.items():
            item.facts = self.facts[id]
            self._show(id)

    def _forget_picture(self, facts: Facts) -> None:
        facts.value = None
        if facts.texture:
            dpg.delete_item(facts.texture)

    def event(self, event: Event) -> None:
        """Show what the engine tells of a node."""
        if event.kind == "finished":
            for id, facts in self.facts.items():
                if facts.kind in ("started", "progress"):  # given up
                    facts.kind = ""
                    self._show(id)
            return
        facts = self.facts.setdefault(event.node, Facts())
        facts.take(event)
        if event.kind == "failed":
            facts.kind = unfinished(self.graph, event.node) or "failed"
        self._show(event.node)
        if event.node not in self.items:
            facts.value = None
        elif event.outputs is not None:
            self._pending[event.node] = None

    def _show(self, id: str) -> None:
        if id in self.items:
            self.items[id].show()
            self._style(id)

    def _style(self, id: str) -> None:
        self.items[id].style(id == self._viewed, id in self.selection)

    # ---- every frame -----------------------------------------------------------------------

    def frame(self) -> None:
        """Do what the next frame needs."""
        self._measure()
        self.pointer.frame()
        end = time.perf_counter() + SHARE
        while self._pending and time.perf_counter() < end:
            self.items[self._pending.popitem()[0]].picture(self.textures)
        viewed = next(iter(self.app.document.viewed[:1]), "")
        viewed = getattr(self.app, "viewed", viewed)
        if viewed != self._viewed:
            old, self._viewed = self._viewed, viewed
            for id in {old, viewed} & self.items.keys():
                self._style(id)
        self.frames.draw()

    def _measure(self) -> None:
        """Find out the editor's pan: only where nodes are drawn tells it."""
        size = dpg.get_item_rect_size(self.room)
        if size[0] > 1 and size != [
            dpg.get_item_width(self.paper),
            dpg.get_item_height(self.paper),
        ]:
            dpg.configure_item(self.paper, width=int(size[0]), height=int(size[1]))
        if self._late_fit:
            self.fit()
        if self._settled:
            self._settled -= 1
        elif self.items and not dpg.is_mouse_button_down(dpg.mvMouseButton_Left):
            id, item = next(iter(self.items.items()))
            corner, origin = dpg.get_item_rect_min(item.item), self.origin
            pads, place = (self.view.zoom * pad for pad in PADDING), self._place_of(id)
            pan = zip(corner, pads, place, origin, strict=True)
            self._panned(tuple(float(round(c - p - at - o)) for c, p, at, o in pan))

    def _panned(self, pan: Point) -> None:
        """Take note of the editor's pan."""
        old, self.pan = self.pan, pan
        if self._lost and pan != old:
            # It changed while there was nothing to see: go where it was thought to be.
            offset = zip(self.view.offset, old, pan, strict=True)
            self._look(View(self.view.zoom, tuple(o + was - now for o, was, now in offset)))
        self._lost = False

    @property
    def origin(self) -> Point:
        """Top left corner of the canvas in the window."""
        return tuple(dpg.get_item_state(self.paper).get("rect_min", (0, 0)))

    def mouse(self) -> Point:
        """Give the mouse in editor coordinates."""
        at = zip(dpg.get_mouse_pos(local=False), self.origin, self.pan, strict=True)
        return tuple(m - o - p for m, o, p in at)

    def window(self, place: Point) -> Point:
        """Give editor coordinates as coordinates of the window."""
        return tuple(a + o + p for a, o, p in zip(place, self.origin, self.pan, strict=True))

    def _middle(self) -> Point:
        """Give the middle of what is seen, in editor coordinates."""
        size = dpg.get_item_rect_size(self.room)
        return size[0] / 2 - self.pan[0], size[1] / 2 - self.pan[1]

    def _place_of(self, id: str) -> Point:
        return tuple(dpg.get_item_pos(self.items[id].item))

    def _put(self, id: str, place: Point) -> None:
        dpg.set_item_pos(self.items[id].item, place)
        self._seen[id] = place
        self._unsettle()

    def _unsettle(self) -> None:
        """Measure nothing until what was placed has been drawn."""
        self._settled = 2
        self.app.loop.wake()

    # ---- what the mouse asks ---------------------------------------------------------------

    def native(self) -> list[str]:
        """Give the nodes that the editor itself has selected."""
        chosen = set(dpg.get_selected_nodes(self.editor))
        return [id for id, item in self.items.items() if item.item in chosen]

    def follow(self, leader: str) -> None:
        """Let the selected nodes go where the one that is dragged goes."""
        place, seen = self._place_of(leader), self._seen[leader]
        way = (place[0] - seen[0], place[1] - seen[1])
        for id in self.selection:
            goal = (self._seen[id][0] + way[0], self._seen[id][1] + way[1])
            if id != leader and _apart(self._place_of(id), goal):
                dpg.set_item_pos(self.items[id].item, goal)

    def dragged(self) -> dict[str, Point]:
        """Give the new places, in the graph, of the nodes that were dragged."""
        found = {}
        for id, seen in self._seen.items():
            place = self._place_of(id)
            if _apart(place, seen):
                found[id] = self.view.model(place)
        return found

    def box(self, id: str) -> Box:
        """Give where a node lies, in editor coordinates."""
        width, height = dpg.get_item_rect_size(self.items[id].item)
        return *self._place_of(id), width, height

    def ends(self, key: Target) -> tuple[Point, Point]:
        """Give where a link starts and ends, in editor coordinates."""
        source, output = self.graph.links[key]
        return self._pin(source, output, True), self._pin(*key, False)

    def _pin(self, id: str, name: str, output: bool) -> Point:
        x, _, width, _ = self.box(id)
        row = dpg.get_item_state(self.items[id].rows[name, output])
        y = row["pos"][1] + row.get("rect_size", (0, 0))[1] / 2 - self.pan[1]
        return (x + width if output else x), y

    def name(self, id: str) -> str:
        """Give what a node is called."""
        node = self.graph.nodes[id]
        return node.title or node.spec.title

    # ---- links -----------------------------------------------------------------------------

    def _linked(self, _sender, pins: Sequence[int | str]) -> None:
        self.pointer.linked()
        known = {
            pin: (id, *end) for id, item in self.items.items() for pin, end in item.pins.items()
        }
        ends = sorted((known[pin] for pin in pins), key=lambda end: not end[2])
        (source, output, _), (target, input, _) = ends
        link = partial(self.graph.connect, source, target, output=output, input=input)
        if (graph := self.app.attempt(link)) is not None:
            self.app.edit(graph, f"Link {self.name(source)} to {self.name(target)}")

    def join(self, end: End, id: str) -> None:
        """Link a pin to the first of a node that it fits."""
        if (graph := self.app.attempt(edits.joined, self.graph, end, id)) is not None:
            self.app.edit(graph, f"Link {self.name(end[0])} and {self.name(id)}")

    def _delinked(self, _sender, item: int | str) -> None:
        self.pointer.linked()
        key = next((key for key, known in self.links.items() if known == item), None)
        if key:
            self.unlink(key)

    def unlink(self, *keys: Target) -> None:
        """Take links away."""
        graph = self.graph
        for key in keys:
            graph = graph.disconnect(*key)
        self.app.edit(graph, "Unlink")

    # ---- selection -------------------------------------------------------------------------

    def select(self, ids: Sequence[str]) -> None:
        """Select these nodes and no others; the last is the one to work on."""
        changed = set(self.selection) ^ set(ids)
        if list(ids) == self.selection:
            return
        self.selection = list(ids)
        for id in changed & self.items.keys():
            self._style(id)
        self.app.selected(self.selection)

    def select_all(self) -> None:
        """Select every node."""
        self.select(list(self.graph.nodes))

    # ---- commands --------------------------------------------------------------------------

    def search(self, end: End | None = None, link: Target | None = None) -> None:
        """Let the user choose a node to add at the mouse.

        With `end` (a pin) or `link`, only what fits there is offered, and linked.
        """
        at, specs = self._here(), all_specs()
        if link:
            kind = self.graph.nodes[self.graph.links[link][0]].spec.outputs[
                self.graph.links[link][1]
            ]
            specs = edits.fitting(specs, kind, True)
            specs = [spec for spec in specs if spec.outputs and not spec.writes]
        elif end:
            id, name, forward = end
            spec = self.graph.nodes[id].spec
            kind = (spec.outputs if forward else spec.inputs)[name]
            specs = edits.fitting(specs, kind, forward)
        self.popup.search(specs, self.window(at), partial(self._chosen, at, end, link))

    def _chosen(self, at: Point, end: End | None, link: Target | None, spec: NodeSpec) -> None:
        zoom = self.view.zoom
        back = edits.WIDTH * zoom if end and not end[2] else 0.0
        place = (at[0] - back, at[1] - 30 * zoom) if end else at
        id = self.graph.free_id(spec.id)
        pos = edits.free_place(self.graph, spec, self.view.model(place))
        graph = self.graph.add(spec, id, pos=pos)
        if end:
            graph = self.app.attempt(edits.joined, graph, end, id) or graph
        elif link:
            graph = edits.inserted(graph, id, link) or graph
        elif len(self.selection) == 1:
            # With a node selected, typing a chain is enough to build it.
            with suppress(QrNodesError):
                graph = edits.continued(graph, self.selection[0], id)
        self.app.edit(graph, f"Add {spec.title}")
        self.select([id])

    def _here(self) -> Point:
        """Give the mouse if it is over the canvas, or the middle, in editor coordinates."""
        return self.mouse() if self.pointer.over else self._middle()

    def add(self, type: str) -> None:
        """Add a node at the mouse."""
        spec = next(spec for spec in all_specs() if spec.id == type)
        self._chosen(self._here(), None, None, spec)

    def delete(self, reconnect: bool = False) -> None:
        """Take the selected nodes and links away."""
        chosen = set(dpg.get_selected_links(self.editor))
        keys = [key for key, item in self.links.items() if item in chosen]
        if not self.selection and keys:
            self.unlink(*keys)
        elif self.selection:
            graph = self.graph
            for key in keys:
                graph = graph.disconnect(*key)
            what = self.name(*self.selection) if len(self.selection) == 1 else "nodes"
            graph = graph.remove(*self.selection, reconnect=reconnect)
            self.app.edit(graph, f"Delete {what}")

    def copy(self) -> str:
        """Give the selected nodes as text."""
        self._pastes = 0
        return edits.copied(self.graph, self.selection)

    def cut(self) -> str:
        """Give the selected nodes as text and delete them."""
        text = self.copy()
        self.delete()
        return text

    def paste(self, text: str) -> None:
        """Add the nodes of a copied text, a little aside, and select them."""
        self._pastes += 1
        self._paste(text, self._pastes, "Paste")

    def duplicate(self) -> None:
        """Add a copy of the selected nodes and select it."""
        if self.selection:
            self._paste(edits.copied(self.graph, self.selection), 1, "Duplicate")

    def _paste(self, text: str, times: int, what: str) -> None:
        way = (36.0 * times, 36.0 * times)
        if (new := self.app.attempt(edits.pasted, self.graph, text, way)) is not None:
            graph, ids = new
            self.app.edit(graph, what)
            self.select(ids)

    def bypass(self) -> None:
        """Bypass the selected nodes, or end it if all of them are bypassed."""
        graph = self.graph
        on = not all(graph.nodes[id].bypass for id in self.selection)
        for id in self.selection:
            graph = graph.change(id, bypass=on)
        if self.selection:
            self.app.edit(graph, "Bypass" if on else "End bypass")

    def rename(self) -> None:
        """Let the user name the selected node."""
        if not self.selection:
            return
        id = self.selection[-1]

        def done(text: str) -> None:
            title = "" if text == self.graph.nodes[id].spec.title else text
            if id in self.graph.nodes and title != self.graph.nodes[id].title:
                self.app.edit(self.graph.change(id, title=title), "Rename")

        self.popup.ask(self.name(id), self.window(self._place_of(id)), done)

    def align(self, axis: str) -> None:
        """Give the selected nodes one left edge (axis "x") or one top edge ("y")."""
        if self.selection:
            self._arrange(edits.aligned(self.graph, self.selection, axis), "Align")

    def layout(self) -> None:
        """Put the selected nodes, or all if fewer than two are, in columns."""
        ids = self.selection if len(self.selection) > 1 else list(self.graph.nodes)
        self._arrange(edits.laid_out(self.graph, ids), "Arrange")

    def _arrange(self, places: dict[str, Point], name: str) -> None:
        changed = {id: pos for id, pos in places.items() if pos != self.graph.nodes[id].pos}
        if changed:
            self.app.edit(edits.move(self.graph, changed), name)

    def frame_selection(self) -> None:
        """Draw a comment frame around the selected nodes and let the user name it."""
        self.frames.add(self.selection)

    # ---- view ------------------------------------------------------------------------------

    def fit(self) -> None:
        """Show the whole graph."""
        size = dpg.get_item_rect_size(self.room)
        self._late_fit = dpg.get_frame_count() < SIZED
        area = (-self.pan[0], -self.pan[1], *size)
        self._look(fitted((edits.box(node) for node in self.graph.nodes.values()), area))

    def zoom(self, steps: int, at: Point | None = None) -> None:
        """Look closer by some steps, or from further away; `at` stays where it is."""
        self._look(self.view.stepped(steps, self._middle() if at is None else at))

    def reset_zoom(self) -> None:
        """Show the graph at 100 %."""
        self._look(self.view.zoomed(1.0, self._middle()))

    def _look(self, view: View) -> None:
        zoomed, self.view = view.zoom != self.view.zoom, view
        if zoomed:
            self._dress()
        for id, item in self.items.items():
            if zoomed:
                item.resize(view.zoom)
            self._put(id, view.place(self.graph.nodes[id].pos))

    def toggle_minimap(self) -> None:
        """Show or hide the minimap."""
        shown = dpg.get_item_configuration(self.editor)["minimap"]
        dpg.configure_item(self.editor, minimap=not shown)


def _apart(one: Point, other: Point) -> bool:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) > 1
