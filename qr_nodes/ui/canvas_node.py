"""One node on the canvas: its title, pins, time, progress and picture.

State of a `NodeItem`: its widgets, the `Node` they show, and `facts`, what the engine last told
of it, which outlives the widgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import dearpygui.dearpygui as dpg
import numpy as np

from qr_nodes.engine import Event
from qr_nodes.graph import Graph, Node
from qr_nodes.node import socket_name
from qr_nodes.tiled import Tiled
from qr_nodes.types import Cutout, Written
from qr_nodes.ui import theme

CONTENT = 112
"""Width of what is in a node, px at 100 %."""

THUMB = (96, 72)
"""Width and height of a node's picture, px."""

LONGEST = 19
"""Letters of a title that are shown."""


UNLINKED, UNNAMED = "not linked", "no picture yet"
"""What a node is that lacks only a link, or a picture: unfinished rather than failed."""


STATES = {
    "started": "running",
    "progress": "running",
    "failed": "failed",
    UNLINKED: "unlinked",
    UNNAMED: "unlinked",
}
"""How a node looks by what the engine told last."""


@dataclass
class Facts:
    """What is known of a node's last run."""

    kind: str = ""
    fraction: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()
    value: Any = None
    texture: int | str = 0

    def take(self, event: Event) -> None:
        """Learn from an event."""
        self.kind, self.fraction = event.kind, event.fraction
        self.error = str(event.error) if event.error else ""
        self.reason, self.notes = event.reason, tuple(event.notes)
        if event.outputs is not None:
            self.seconds = event.seconds
            self.value = next(iter(event.outputs.values()), None)

    @property
    def status(self) -> str:
        """The line under the title."""
        if self.kind == "progress" and self.fraction > 0:
            return f"{100 * self.fraction:.0f} %"
        if self.kind == "done":
            return duration(self.seconds)
        named = {"started": "running…", "progress": "running…", "blocked": "waiting"}
        return named.get(self.kind, self.kind)


def unfinished(graph: Graph, id: str) -> str:
    """Say what a node that failed only lacks; "" if that is not why."""
    if id not in graph.nodes:
        return ""
    node = graph.nodes[id]
    if any((id, name) not in graph.links for name in set(node.spec.inputs) - node.spec.optional):
        return UNLINKED
    reads = node.spec.reads
    return UNNAMED if reads and not any(node.params[name] for name in reads) else ""


def duration(seconds: float) -> str:
    """Give a time as "42 ms" or "1.3 s"."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms" if seconds >= 0.0095 else f"{1000 * seconds:.1f} ms"
    return f"{seconds:.1f} s"


class NodeItem:
    """The widgets of one node.

    Parameters
    ----------
    editor : item
        The node editor.
    id, node : str, Node
        What to show.
    pos : tuple
        Editor coordinates.
    zoom : float
        See `canvas_view`.
    facts : Facts
        What is known of it already.
    blank : item
        The texture of a node without a picture.
    """

    def __init__(self, editor, id: str, node: Node, pos, zoom: float, facts: Facts, blank):
        self.id, self.node, self.facts, self.blank = id, node, facts, blank
        self.pins: dict[int | str, tuple[str, bool]] = {}
        self.rows: dict[tuple[str, bool], int | str] = {}
        self.sized: list[tuple[int | str, dict[str, float]]] = []
        self.image: int | str = 0
        self._look: tuple = ()
        self.item = dpg.add_node(parent=editor, pos=pos)
        self._build()
        self.resize(zoom)
        self.update(node)
        self.show()

    # ---- building --------------------------------------------------------------------------

    def _build(self) -> None:
        spec = self.node.spec
        inputs, outputs = list(spec.inputs.items()), list(spec.outputs.items())
        first = inputs[0] if inputs else None
        with dpg.group(horizontal=True, parent=self._attribute(first, False)):
            if first and len(inputs) > 1 and first[0] != "cutout":
                dpg.add_text(first[0])
            self.status = dpg.add_text("", color=theme.FAINT)
        if first:
            self.rows[first[0], False] = self.status
        pictured = outputs and outputs[0][1] is not Written
        if pictured:
            dpg.add_spacer(height=1, width=1, parent=self._attribute(outputs[0], True))
        still = self._attribute(None, False)
        self.bar = dpg.add_progress_bar(parent=still, default_value=0.0)
        self.sized.append((self.bar, {"width": CONTENT, "height": 3}))
        dpg.bind_item_theme(self.bar, bar_theme())
        if pictured:
            self.rows[outputs[0][0], True] = self.bar
        if pictured:
            self.image = dpg.add_image(self.facts.texture or self.blank, parent=still)
            width, height = THUMB
            self.sized.append(
                (self.image, {"width": width, "height": height, "indent": (CONTENT - width) / 2})
            )
        for name, kind in inputs[1:]:
            text = dpg.add_text(
                name, color=theme.FAINT, parent=self._attribute((name, kind), False)
            )
            self.rows[name, False] = text
        for name, kind in outputs[1:]:
            text = dpg.add_text(name, color=theme.FAINT, parent=self._attribute((name, kind), True))
            self.rows[name, True] = text
            self.sized.append((text, {"indent": max(1.0, CONTENT - 8.0 * len(name))}))

    def _attribute(self, pin: tuple[str, Any] | None, output: bool) -> int | str:
        if pin is None:
            kind = dpg.mvNode_Attr_Static
            return dpg.add_node_attribute(attribute_type=kind, parent=self.item)
        name, socket = pin
        optional = not output and name in self.node.spec.optional
        item = dpg.add_node_attribute(
            attribute_type=dpg.mvNode_Attr_Output if output else dpg.mvNode_Attr_Input,
            shape=dpg.mvNode_PinShape_Circle if optional else dpg.mvNode_PinShape_CircleFilled,
            parent=self.item,
        )
        dpg.bind_item_theme(item, theme.pin(socket_name(socket)))
        self.pins[item] = (name, output)
        return item

    def pin(self, name: str, output: bool) -> int | str:
        """Give the item of a pin."""
        return next(item for item, known in self.pins.items() if known == (name, output))

    # ---- following -------------------------------------------------------------------------

    def update(self, node: Node) -> None:
        """Show another state of the same node."""
        self.node = node
        title = node.title or node.spec.title
        label = title if len(title) <= LONGEST else title[: LONGEST - 1] + "…"
        dpg.configure_item(self.item, label=label)

    def resize(self, zoom: float) -> None:
        """Follow the zoom."""
        for item, sizes in self.sized:
            dpg.configure_item(item, **{key: max(1, int(v * zoom)) for key, v in sizes.items()})

    def style(self, viewed: bool, selected: bool) -> None:
        """Colour title and outline by what the node is and does."""
        state = "bypass" if self.node.bypass else STATES.get(self.facts.kind, "")
        look = (self.node.spec.category, state, viewed, selected)
        if look != self._look:
            self._look = look
            dpg.bind_item_theme(self.item, node_theme(*look))

    def show(self) -> None:
        """Show what the engine told: time, progress, error."""
        facts = self.facts
        text = "bypassed" if self.node.bypass else facts.status
        if isinstance(facts.value, Written) and facts.kind in ("done", "reused"):
            text = f"{text}, written"
        dpg.set_value(self.status, text)
        colors = {"failed": theme.BAD, UNLINKED: theme.WARN, UNNAMED: theme.WARN}
        plain = theme.WARN if facts.notes else theme.FAINT  # it has something to say
        dpg.configure_item(self.status, color=colors.get(facts.kind, plain))
        running = facts.kind in ("started", "progress")
        dpg.set_value(self.bar, facts.fraction if running else 0.0)
        if self.image:
            stale = self.node.bypass or facts.kind in ("failed", "blocked", UNLINKED, UNNAMED)
            dpg.configure_item(self.image, tint_color=(255, 255, 255, 60 if stale else 255))

    def picture(self, registry: int | str) -> None:
        """Put the newest output into the picture."""
        value, self.facts.value = self.facts.value, None
        if not self.image or not isinstance(value, Cutout | np.ndarray):
            return
        old = self.facts.texture
        self.facts.texture = dpg.add_static_texture(*THUMB, thumbnail(value), parent=registry)
        dpg.configure_item(self.image, texture_tag=self.facts.texture)
        if old:
            dpg.delete_item(old)

    def delete(self) -> None:
        """Take the node off the canvas; its links must be gone."""
        dpg.delete_item(self.item)


# ---- pictures ------------------------------------------------------------------------------


@cache
def checkerboard(width: int, height: int, side: int = 6) -> np.ndarray:
    """Give a grey checkerboard, (height, width, 1) float32."""
    rows, columns = np.indices((height, width)) // side
    return np.where((rows + columns) % 2, 0.36, 0.27).astype(np.float32)[..., None]


def thumbnail(value: Cutout | np.ndarray, inside: tuple[int, int] = THUMB) -> list[float]:
    """Give a cutout over checkerboard, or a mask in grey, as the values of an RGBA texture.

    `inside` is the texture's width and height.
    """
    import cv2

    width, height = inside
    matte = value.tiles if isinstance(value, Cutout) else Tiled(value)
    rows, columns = matte.shape
    # A few points of each spot are enough for a picture of this size, and fast for a large one.
    step = max(1, min(rows // (2 * height), columns // (2 * width)))
    alpha = matte.sampled(step)
    ratio = min(width / columns, height / rows)
    size = (max(1, round(columns * ratio)), max(1, round(rows * ratio)))
    if isinstance(value, Cutout):
        color = value.color[::step, ::step]
        scale = np.float32(1 / np.iinfo(color.dtype).max if color.dtype.kind == "u" else 1)
        premultiplied = color * scale * alpha[..., None]
        small = cv2.resize(premultiplied, size, interpolation=cv2.INTER_AREA)
        coverage = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[..., None]
        small = small + (1 - coverage) * checkerboard(*size)
    else:
        small = np.repeat(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[..., None], 3, 2)
    picture = np.zeros((height, width, 4), np.float32)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    picture[top : top + size[1], left : left + size[0], :3] = np.clip(small, 0, 1)
    picture[top : top + size[1], left : left + size[0], 3] = 1
    return picture.ravel().tolist()


def blank(inside: tuple[int, int] = THUMB) -> list[float]:
    """Give the values of a texture where there is no picture yet."""
    return [0.12, 0.125, 0.14, 1.0] * (inside[0] * inside[1])


# ---- themes --------------------------------------------------------------------------------


@cache
def node_theme(category: str, state: str, viewed: bool, selected: bool) -> int | str:
    """Give the theme of a node; `state` is "", "bypass" or one of `STATES`."""
    title = theme.CATEGORY.get(category, theme.CATEGORY["Frame"])
    outlines = {"failed": theme.BAD, "unlinked": theme.WARN, "running": theme.ACCENT}
    outline = outlines.get(state) or ((235, 237, 242) if selected else None)
    outline = outline or (theme.GOOD if viewed else (70, 73, 80))
    body, text = ((58, 62, 70) if selected else (44, 46, 51)), theme.TEXT
    if state == "bypass":
        title, text = (62, 62, 66), theme.FAINT
        body = tuple(value - 8 for value in body)
    bright = tuple(min(255, value + 18) for value in title)
    wide = selected or viewed or state in outlines
    colors = (
        (dpg.mvNodeCol_TitleBar, bright if selected else title),
        (dpg.mvNodeCol_TitleBarHovered, bright),
        (dpg.mvNodeCol_TitleBarSelected, bright),
        (dpg.mvNodeCol_NodeBackground, body),
        (dpg.mvNodeCol_NodeBackgroundHovered, tuple(value + 4 for value in body)),
        (dpg.mvNodeCol_NodeBackgroundSelected, (58, 62, 70)),
        (dpg.mvNodeCol_NodeOutline, outline),
    )
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        for target, color in colors:
            dpg.add_theme_color(target, color, category=dpg.mvThemeCat_Nodes)
        dpg.add_theme_color(dpg.mvThemeCol_Text, text)
        dpg.add_theme_style(
            dpg.mvNodeStyleVar_NodeBorderThickness,
            2 if wide else 1,
            category=dpg.mvThemeCat_Nodes,
        )
    return made


@cache
def bar_theme() -> int | str:
    """Give the theme of a progress bar that does not show while it is empty."""
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvThemeCol_FrameBg, (0, 0, 0, 0))
        dpg.add_theme_color(dpg.mvThemeCol_PlotHistogram, theme.ACCENT)
        dpg.add_theme_style(dpg.mvStyleVar_FramePadding, 0, 0)
    return made


@cache
def clear_theme(boxes: bool = True) -> int | str:
    """Give the theme of an editor that what lies behind it shines through.

    Without `boxes` the box that a drag over nothing draws is not seen.
    """
    nodes = dpg.mvThemeCat_Nodes
    with dpg.theme() as made, dpg.theme_component(dpg.mvAll):
        dpg.add_theme_color(dpg.mvThemeCol_ChildBg, (0, 0, 0, 0))
        dpg.add_theme_color(dpg.mvNodeCol_GridBackground, (0, 0, 0, 0), category=nodes)
        dpg.add_theme_color(dpg.mvNodeCol_GridLine, (255, 255, 255, 9), category=nodes)
        if not boxes:
            for target in (dpg.mvNodeCol_BoxSelector, dpg.mvNodeCol_BoxSelectorOutline):
                dpg.add_theme_color(target, (0, 0, 0, 0), category=nodes)
        dpg.add_theme_style(dpg.mvStyleVar_WindowPadding, 0, 0)
    return made


def forget() -> None:
    """Forget the themes of a context that is gone."""
    for made in (node_theme, bar_theme, clear_theme):
        made.cache_clear()
