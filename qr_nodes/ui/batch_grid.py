"""What came of each picture of a batch: thumbnails, or failures as a list. Only what is in view
is drawn, however many there are.

State: the rows shown, the one that is selected, and whether the newest is kept in view.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import dearpygui.dearpygui as dpg

from qr_nodes.ui import theme
from qr_nodes.ui.batch_thumbs import SIZE, Thumbs
from qr_nodes.ui.batch_work import Row

GAP, LINE, FONT, EDGE = 8, 18, 15, 4
"""Between cells, height of a line of text, its size, between a cell's rim and its text, px."""
CELL = (SIZE[0] + 2 * EDGE, SIZE[1] + 2 * EDGE + LINE)
ENTRY = 2 * EDGE + 3 * LINE
"""Height of an entry in the list: the name, and two lines of what went wrong."""
TWICE = 0.5
"""Seconds between the two clicks of a double click, as systems have it; Dear PyGui's are 0.3."""
LETTER = 7.5
"""Width of a letter where it cannot be measured yet, px."""
BODY, CHOSEN = (44, 46, 51), (58, 62, 70)
STRIPE = {"done": theme.GOOD, "skipped": theme.FAINT, "failed": theme.BAD, "again": theme.ACCENT}


class Grid:
    """Rows of a batch in a panel.

    Parameters
    ----------
    app : App
        Whose window it is.
    parent : item
        Goes in there, as large as there is room.
    open : callable
        Called when a row is double-clicked, which is the chosen one then.

    Attributes
    ----------
    rows : what is shown
    list : as a list, not as thumbnails
    chosen : path of the picture that was clicked last, or ""
    """

    def __init__(self, app, parent: int | str, open: Callable[[], None]):
        self._app, self._open = app, open
        self.rows: Sequence[Row] = ()
        self.list = False
        self.chosen = ""
        self._dirty, self._newest, self._stick = True, True, 0
        self._look: tuple = ()
        self._clicked = 0.0
        self.thumbs = Thumbs(app, self._fresh)
        with dpg.child_window(parent=parent, height=-1, width=-1, border=False) as self.panel:
            with dpg.group() as self._group:
                self.drawing = dpg.add_drawlist(10, 10)
            with dpg.tooltip(self._group, delay=0.4, show=False) as self._tip:
                self._words = dpg.add_text("", wrap=420)
        with dpg.handler_registry():
            dpg.add_mouse_click_handler(dpg.mvMouseButton_Left, callback=self._click)

    def show(self, rows: Sequence[Row], as_list: bool = False) -> None:
        """Show rows, as thumbnails or as a list; the newest stay in view if they were."""
        if as_list != self.list or len(rows) < len(self.rows):
            self._newest = True
        elif self._look:  # where it is before there is more
            bottom = dpg.get_y_scroll_max(self.panel)
            self._newest = self._stick > 0 or dpg.get_y_scroll(self.panel) >= bottom - LINE
        grown = len(rows) != len(self.rows)
        self.rows, self.list, self._dirty = rows, as_list, True
        if grown and self._newest:
            self._stick = 3  # frames, until the panel knows its new height

    def frame(self) -> None:
        """Draw what has changed; once per frame while the panel is shown."""
        if self._stick:
            self._stick -= 1
            dpg.set_y_scroll(self.panel, -1.0)
        width, height = dpg.get_item_rect_size(self.panel)
        top = dpg.get_y_scroll(self.panel)
        self._tell()
        look = (width, height, top)
        if not self._dirty and look == self._look:
            return
        self._look, self._dirty = look, False
        self._app.loop.wake()
        self.draw(width, height, top)

    def draw(self, width: float, height: float, top: float) -> None:
        """Draw the rows that are in view of a panel so large, scrolled to `top`."""
        self._lay(width)
        first = int(top // self.pitch[1]) * self.columns
        last = (int((top + height) // self.pitch[1]) + 1) * self.columns
        seen = range(first, min(last, len(self.rows)))
        keys = [self._key(self.rows[place]) for place in seen if not self.list]
        textures = self.thumbs.show([key for key in keys if key[0]])
        dpg.delete_item(self.drawing, children_only=True)
        for place in seen:
            row, (x, y) = self.rows[place], self.corner(place)
            if self.list:
                self._entry(row, x, y)
            else:
                self._cell(row, x, y, textures.get(self._key(row)))
        self.thumbs.trim()

    def corner(self, place: int) -> tuple[float, float]:
        """Give a row's top left corner in the drawing."""
        line, column = divmod(place, self.columns)
        return column * self.pitch[0], line * self.pitch[1]

    @property
    def chosen_row(self) -> Row | None:
        """The row that was clicked last, if it is among those shown."""
        return next((row for row in self.rows if row.picture.path == self.chosen), None)

    def at(self, x: float, y: float) -> Row | None:
        """Give the row at a point of the drawing."""
        column, line = int(x // self.pitch[0]), int(y // self.pitch[1])
        place = line * self.columns + column
        inside = x >= 0 and y >= 0 and column < self.columns and place < len(self.rows)
        on = x % self.pitch[0] < self.size[0] and y % self.pitch[1] < self.size[1]
        return self.rows[place] if inside and on else None

    def close(self) -> None:
        """End the thread."""
        self.thumbs.close()

    # ---- drawing ---------------------------------------------------------------------------

    def _lay(self, width: float) -> None:
        room = max(int(width) - 16, CELL[0])  # beside the scroll bar
        self.columns = 1 if self.list else max(1, (room + GAP) // (CELL[0] + GAP))
        self.size = (room, ENTRY) if self.list else CELL
        self.pitch = self.size[0] + GAP, self.size[1] + GAP
        lines = -(-len(self.rows) // self.columns)
        dpg.configure_item(self.drawing, width=room, height=max(10, lines * self.pitch[1]))

    def _key(self, row: Row) -> tuple[str, int]:
        return row.file, row.version

    def _body(self, row: Row, x: float, y: float) -> None:
        chosen = row.picture.path == self.chosen
        dpg.draw_rectangle(
            (x, y),
            (x + self.size[0], y + self.size[1]),
            color=theme.ACCENT if chosen else BODY,
            fill=CHOSEN if chosen else BODY,
            rounding=4,
            parent=self.drawing,
        )

    def _cell(self, row: Row, x: float, y: float, texture) -> None:
        self._body(row, x, y)
        left, top = x + EDGE, y + EDGE
        if texture is not None:
            end = left + SIZE[0], top + SIZE[1]
            shade = (255, 255, 255, 110 if row.state == "again" else 255)
            dpg.draw_image(texture, (left, top), end, color=shade, parent=self.drawing)
        if row.state == "failed":
            self._text(row.said, left + 2, top, SIZE[0] - 4, SIZE[1] // LINE, theme.BAD)
        elif row.state == "again":
            self._text("again…", left + 4, top + 2, SIZE[0], 1, theme.TEXT)
        y = top + SIZE[1] + 1
        color = theme.FAINT if row.state == "skipped" else theme.TEXT
        indent = 0
        if row.edited:
            dpg.draw_circle(
                (left + 5, y + LINE / 2), 3.5, fill=theme.ACCENT, color=theme.ACCENT,
                parent=self.drawing,
            )  # fmt: skip
            indent = 13
        name = row.picture.place.rpartition("/")[2]
        self._text(name, left + indent, y, SIZE[0] - indent, 1, color)

    def _entry(self, row: Row, x: float, y: float) -> None:
        self._body(row, x, y)
        left, width = x + 2 * EDGE, self.size[0] - 4 * EDGE
        self._text(row.picture.place, left, y + EDGE, width, 1, theme.TEXT)
        self._text(row.said, left, y + EDGE + LINE, width, 2, STRIPE[row.state])

    def _text(self, text: str, x: float, y: float, width: float, lines: int, color) -> None:
        for line in fitted(text, width, lines):
            dpg.draw_text((x, y), line, size=FONT, color=color, parent=self.drawing)
            y += LINE

    def _fresh(self) -> None:
        self._dirty = True

    # ---- the mouse -------------------------------------------------------------------------

    @property
    def over(self) -> Row | None:
        """The row under the mouse, if it is the grid's turn."""
        if self._app.modal or not self._look or not dpg.is_item_hovered(self.drawing):
            return None
        (x, y), (left, top) = dpg.get_mouse_pos(local=False), dpg.get_item_rect_min(self.drawing)
        return self.at(x - left, y - top)

    def _click(self) -> None:
        if (row := self.over) is None:
            return
        now, same = time.monotonic(), row.picture.path == self.chosen
        twice = same and now - self._clicked < TWICE
        self.chosen, self._clicked, self._dirty = row.picture.path, 0.0 if twice else now, True
        if twice:
            self._open()

    def _tell(self) -> None:
        """Say more of the row under the mouse."""
        row = self.over
        dpg.configure_item(self._tip, show=row is not None)
        if row is not None:
            dpg.set_value(self._words, told(row))


def told(row: Row) -> str:
    """Give all there is to say of a row, in lines."""
    took = f"{row.seconds:.1f} s" if row.seconds >= 0.05 else "0 s"
    did = {
        "done": f"Done in {took}.",
        "skipped": "It was there already, and current.",
        "failed": "",
        "again": "It is done once more.",
    }
    lines = [row.picture.place, did[row.state], row.said]
    lines.append("With its own correction." if row.edited else "")
    return "\n".join(line for line in lines if line)


def fitted(text: str, width: float, lines: int) -> list[str]:
    """Cut a text into lines no wider than `width` px; "…" ends it if there would be more."""
    cut, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".lstrip()
        if _width(longer) <= width:
            line = longer
            continue
        if line:
            cut.append(line)
        while _width(word) > width:  # a path, mostly
            fits = next(
                n for n in range(len(word) - 1, 0, -1) if _width(word[:n]) <= width or n == 1
            )
            cut.append(word[:fits])
            word = word[fits:]
        line = word
    cut.append(line)
    if len(cut) <= lines:
        return cut
    last = cut[lines - 1]
    while last and _width(f"{last}…") > width:
        last = last[:-1]
    return [*cut[: lines - 1], f"{last}…"]


def _width(text: str) -> float:
    size = dpg.get_text_size(text)
    return size[0] if size else LETTER * len(text)
