"""What the mouse does on the canvas, beyond what the node editor does by itself.

The editor drags nodes and draws boxes, but cannot be told what is selected. So the selection is
the canvas's own, and the editor's is read at the end of a box and forgotten after each gesture.

State: what is under way since the button went down.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import dearpygui.dearpygui as dpg

from qr_nodes.node import socket_name
from qr_nodes.ui import canvas_edits as edits
from qr_nodes.ui.canvas_node import duration
from qr_nodes.ui.canvas_view import crosses

if TYPE_CHECKING:
    from qr_nodes.ui.canvas import Canvas

REST = 0.6
"""Seconds that the mouse rests before a tip shows."""

End = tuple[str, str, bool]
"""A pin: node, name, whether it is an output."""


class Mouse:
    """Gestures on a canvas."""

    def __init__(self, canvas: Canvas):
        self.canvas = canvas
        self.node = ""
        self.boxing = self.framing = False
        self.start: tuple[float, float] | None = None
        self.end: End | None = None
        self.wait = 0
        self.tip: int | str = 0
        self._mouse, self._since = None, 0.0
        with dpg.handler_registry():
            left, right = dpg.mvMouseButton_Left, dpg.mvMouseButton_Right
            dpg.add_mouse_click_handler(left, callback=self._press)
            dpg.add_mouse_release_handler(left, callback=self._release)
            dpg.add_mouse_double_click_handler(left, callback=self._double)
            dpg.add_mouse_click_handler(right, callback=self._menu)
            dpg.add_mouse_wheel_handler(callback=self._wheel)

    @property
    def over(self) -> bool:
        """Whether the mouse is over the canvas, and for it."""
        canvas = self.canvas
        return not canvas.app.modal and dpg.is_item_hovered(canvas.editor)

    def hovered(self) -> tuple[End | None, str, tuple[str, str] | None]:
        """Give the pin, the node and the link (by what it leads to) under the mouse."""
        pin = node = link = None
        for id, item in self.canvas.items.items():
            pin = pin or next(
                ((id, *end) for tag, end in item.pins.items() if dpg.is_item_hovered(tag)), None
            )
            node = node or (id if dpg.is_item_hovered(item.item) else None)
        if not pin and not node:
            links = self.canvas.links.items()
            link = next((key for key, tag in links if dpg.is_item_hovered(tag)), None)
        return pin, node or "", link

    # ---- left button -----------------------------------------------------------------------

    def _press(self) -> None:
        self._hide_tip()
        self.end = None
        if not self.over:
            return
        canvas, (pin, node, link) = self.canvas, self.hovered()
        self.start = tuple(dpg.get_mouse_pos(local=False))
        many = _down(dpg.mvKey_LControl, dpg.mvKey_RControl, dpg.mvKey_LShift, dpg.mvKey_RShift)
        if pin:
            self.end = pin
        elif node:
            self.node = node
            if many:
                kept = [id for id in canvas.selection if id != node]
                canvas.select(kept + [node] * (node not in canvas.selection))
            elif node not in canvas.selection:
                canvas.select([node])
        else:
            frame = canvas.frames.at(canvas.mouse())
            self.framing = link is None and canvas.frames.hold(canvas.mouse())
            self.boxing = link is None and not self.framing
            canvas.boxes(not self.framing)
            if frame is not None and not link:
                canvas.select(edits.contents(canvas.graph, frame))
            elif not many and not self.framing:
                canvas.select([])

    def _release(self) -> None:
        canvas, start = self.canvas, self.start
        node, boxing, framing = self.node, self.boxing, self.framing
        self.start, self.node, self.boxing, self.framing = None, "", False, False
        if start is None:
            return
        now = dpg.get_mouse_pos(local=False)
        moved = max(abs(now[0] - start[0]), abs(now[1] - start[1])) > 3
        if self.end:
            self.wait = 2  # a link that is made is told of by then
        elif node in canvas.items:
            places = canvas.dragged()
            if places:
                self._drop(places)
            elif not moved and not _down(dpg.mvKey_LControl, dpg.mvKey_LShift):
                canvas.select([node])
        elif boxing and moved:
            canvas.select(canvas.native())
        if framing:
            canvas.frames.let_go()
            canvas.boxes(True)
        if node or boxing or framing:
            dpg.clear_selected_nodes(canvas.editor)

    def _drop(self, places: dict) -> None:
        """Make one edit of a drag; a node without links that lies on a link goes in there."""
        canvas = self.canvas
        graph = edits.move(canvas.graph, places)
        if len(places) == 1:
            (id,) = places
            for key in canvas.links:
                if crosses(*canvas.ends(key), canvas.box(id)):
                    joined = edits.inserted(graph, id, key)
                    if joined is not None:
                        canvas.app.edit(joined, f"Insert {canvas.name(id)}")
                        return
        canvas.app.edit(graph, "Move" if len(places) > 1 else f"Move {canvas.name(*places)}")

    def _double(self) -> None:
        if not self.over:
            return
        _, node, _ = self.hovered()
        canvas = self.canvas
        frame = canvas.frames.at(canvas.mouse())
        if node:
            canvas.app.view(node)
        elif frame is not None:
            canvas.frames.rename(frame)

    # ---- right button, wheel ---------------------------------------------------------------

    def _menu(self) -> None:
        self._hide_tip()
        if not self.over:
            return
        canvas = self.canvas
        at = dpg.get_mouse_pos(local=False)
        _, node, link = self.hovered()
        frame = canvas.frames.at(canvas.mouse())
        if node:
            if node not in canvas.selection:
                canvas.select([node])
            canvas.popup.menu(self._node_actions(node), at)
        elif link:
            actions = [
                ("Insert Node…", "", partial(canvas.search, link=link)),
                ("Unlink", "Del", partial(canvas.unlink, link)),
            ]
            canvas.popup.menu(actions, at)
        elif frame is not None:
            canvas.popup.menu(canvas.frames.actions(frame), at)
        else:
            canvas.select([])  # a node added here stands by itself, at the mouse
            canvas.search()

    def _node_actions(self, id: str) -> list:
        canvas = self.canvas
        bypassed = canvas.graph.nodes[id].bypass
        return [
            ("View", "", partial(canvas.app.view, id)),
            ("Rename…", "", canvas.rename),
            ("Do Not Bypass" if bypassed else "Bypass", "", canvas.bypass),
            ("Duplicate", "", canvas.duplicate),
            ("Frame Selection", "", canvas.frame_selection),
            ("", "", None),
            ("Delete", "", canvas.delete),
            ("Delete and Reconnect", "", partial(canvas.delete, True)),
        ]

    def _wheel(self, _sender, amount: float) -> None:
        if self.over and amount:
            self._hide_tip()
            self.canvas.zoom(1 if amount > 0 else -1, self.canvas.mouse())

    # ---- every frame -----------------------------------------------------------------------

    def frame(self) -> None:
        """Follow a drag; notice a link dropped on nothing; show a tip where the mouse rests."""
        if self.node in self.canvas.items:
            self.canvas.follow(self.node)
        if self.framing:
            self.canvas.frames.drag(self.canvas.mouse())
        if self.wait:
            self.wait -= 1
            if not self.wait and self.end:
                end, self.end = self.end, None
                self._dropped(end)
        self._tips()

    def _dropped(self, end: End) -> None:
        """Link to the node a link was dropped on, or to one that the user chooses."""
        if not self.over:
            return
        canvas, (pin, node, _) = self.canvas, self.hovered()
        if node and not pin and node != end[0]:
            canvas.join(end, node)
        elif not node and not pin:
            canvas.search(end=end)

    def linked(self) -> None:
        """Take note that the drag of a link made it, took it away or was refused with a reason."""
        self.end, self.wait = None, 0

    def _tips(self) -> None:
        mouse = dpg.get_mouse_pos(local=False)
        if mouse != self._mouse or (self.tip and self.canvas.popup.open):
            self._mouse, self._since = mouse, time.monotonic()
            self._hide_tip()
        elif self._since and time.monotonic() - self._since > REST:
            self._since = 0.0
            if self.start is None and self.over and not self.canvas.popup.open:
                pin, node, _ = self.hovered()
                if text := self.explain(pin, node):
                    self._show_tip(text, mouse)

    def explain(self, pin: End | None, node: str) -> str:
        """Give the tip for a pin or a node."""
        graph = self.canvas.graph
        if pin:
            id, name, output = pin
            spec = graph.nodes[id].spec
            if output:
                return f"{name}: {socket_name(spec.outputs[name])}"
            need = ", optional" if name in spec.optional else ""
            kind = socket_name(spec.inputs[name])
            said = spec.help.get(name, "") if spec.fn else ""
            return f"{name}: {kind}{need}\n{said}".strip()
        if not node:
            return ""
        facts, shown = self.canvas.facts[node], graph.nodes[node]
        lines = [facts.error or (shown.spec.doc.split("\n")[0] if shown.spec.fn else "")]
        if facts.reason and facts.kind == "done":
            lines.append(f"Took {duration(facts.seconds)}: {facts.reason}.")
        lines += facts.notes
        return "\n".join(line for line in lines if line)

    def _show_tip(self, text: str, at) -> None:
        with dpg.window(
            no_title_bar=True,
            no_focus_on_appearing=True,
            no_resize=True,
            no_move=True,
            autosize=True,
            min_size=(10, 10),
            pos=(int(at[0]) + 14, int(at[1]) + 18),
        ) as self.tip:
            dpg.add_text(text, wrap=320)

    def _hide_tip(self) -> None:
        if self.tip:
            dpg.delete_item(self.tip)
            self.tip = 0


def _down(*keys: int) -> bool:
    return any(map(dpg.is_key_down, keys))
