"""A window over all others that waits for an answer: Enter, Esc, or a button; questions.

One is open at a time; `app.modal` is that one, and others that are wanted meanwhile wait behind
it. Dear PyGui's own modals know no keys and no place, so both are looked after here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import dearpygui.dearpygui as dpg

from qr_nodes.ui import theme

PADDING, SPACING = 8, 6  # as in theme.window
LETTER = 8  # px, about, at theme.FONT_SIZE
ENTER = (dpg.mvKey_Return, dpg.mvKey_NumPadEnter)


class Modal:
    """A modal window; it opens at once, or when those before it are closed.

    Parameters
    ----------
    app : App
        Whose window it is.
    title : str
        Stands in its title bar.
    fill : callable
        Makes the contents, given the modal.
    width : int
        Width in px.

    Attributes
    ----------
    keys : key → what it does; Esc closes unless `fill` says otherwise
    focus : the text field that has the keyboard first, or 0
    """

    def __init__(self, app, title: str, fill: Callable[[Modal], None], width: int = 440):
        self.app, self.title, self.fill, self.width = app, title, fill, width
        self.keys: dict[int, Callable[[], None]] = {dpg.mvKey_Escape: self.close}
        self.focus: int | str = 0
        self.window: int | str = 0
        self.behind: list[Modal] = []
        if app.modal:
            app.modal.behind.append(self)
        else:
            self._open()

    @property
    def inner(self) -> int:
        """Width inside the padding, px."""
        return self.width - 2 * PADDING

    @property
    def open(self) -> bool:
        """Say whether it is on the screen."""
        return bool(self.window)

    def close(self) -> None:
        """Take it off the screen; the next one that waits opens."""
        if not self.open:
            if self.app.modal and self in self.app.modal.behind:
                self.app.modal.behind.remove(self)
            return
        self.app.loop.hooks.remove(self._frame)
        for item in (self._handlers, self.window, self._primary):
            dpg.delete_item(item)
        self.window = 0
        # In the next frame: the key that closes it must not reach what lies behind.
        self.app.loop.post(self._closed)

    def answer(self, call: Callable[[], None] | None) -> None:
        """Close it, then call."""
        self.close()
        if call is not None:
            self.app.attempt(call)

    def give_up(self) -> None:
        """Do what Esc does."""
        self.keys[dpg.mvKey_Escape]()

    def refocus(self) -> None:
        """Give the keyboard back to the field that had it first: Enter took it away."""
        self._frames = 0

    def text(self, words: str, color: tuple = theme.TEXT) -> int | str:
        """Add a wrapped paragraph."""
        return dpg.add_text(words, wrap=self.inner, color=color)

    def buttons(self, choices: Mapping[str, Callable[[], None]], primary: bool = True) -> None:
        """Add a row of buttons on the right.

        Esc means "Cancel" and, if `primary`, Enter the first.
        """
        widths = [max(84, LETTER * len(label) + 24) for label in choices]
        room = self.inner - sum(widths) - SPACING * len(widths)
        dpg.add_spacer(height=6)
        with dpg.group(horizontal=True):
            dpg.add_spacer(width=max(0, room))
            made = [
                dpg.add_button(label=label, width=width, callback=call)
                for (label, call), width in zip(choices.items(), widths, strict=True)
            ]
        if "Cancel" in choices:
            self.keys[dpg.mvKey_Escape] = choices["Cancel"]
        if primary:
            dpg.bind_item_theme(made[0], self._primary)
            self.keys |= dict.fromkeys(ENTER, next(iter(choices.values())))

    def _open(self) -> None:
        self.app.modal = self
        with dpg.theme() as self._primary, dpg.theme_component(dpg.mvButton):
            dpg.add_theme_color(dpg.mvThemeCol_Button, (52, 104, 196))
            dpg.add_theme_color(dpg.mvThemeCol_ButtonHovered, theme.ACCENT)
        with dpg.window(
            label=self.title,
            modal=True,
            autosize=True,
            min_size=(self.width, 10),
            max_size=(self.width, 4000),
            no_resize=True,
            no_move=True,
            no_collapse=True,
            no_close=True,
            no_saved_settings=True,
        ) as self.window:
            self.fill(self)
        self._held = {key for key in self.keys if dpg.is_key_down(key)}
        with dpg.handler_registry() as self._handlers:
            dpg.add_key_press_handler(callback=self._press)
            dpg.add_key_release_handler(callback=self._release)
        self._frames = 0
        self.app.loop.hooks.append(self._frame)
        self.app.loop.wake()

    def _closed(self) -> None:
        self.app.modal = False
        if self.behind:
            following, *rest = self.behind
            following.behind = rest + following.behind
            following._open()

    def _press(self, _, key: int) -> None:
        # Whoever holds Enter down has not answered a question that has just come up.
        if self.open and key in self.keys and key not in self._held:
            self._held |= {key} & {*ENTER, dpg.mvKey_Escape}
            self.keys[key]()

    def _release(self, _, key: int) -> None:
        self._held.discard(key)

    def _frame(self) -> None:
        """Keep it in the middle; sizes are known from the second frame on."""
        self._frames += 1
        width, height = dpg.get_item_rect_size(self.window)
        left = (dpg.get_viewport_client_width() - width) / 2
        top = (dpg.get_viewport_client_height() - height) * 0.4
        place = [max(0, int(left)), max(0, int(top))]
        if dpg.get_item_pos(self.window) != place:
            dpg.set_item_pos(self.window, place)
            self.app.loop.wake()
        if self._frames == 2 and self.focus:
            dpg.focus_item(self.focus)


def ask(app, title: str, text: str, buttons: Mapping[str, Callable[[], None] | None]) -> Modal:
    """Ask a question with a button per answer: Enter is the first, Esc is "Cancel".

    "Cancel" is added if it is not among the buttons.
    """
    return _question(app, title, text, {**buttons, "Cancel": buttons.get("Cancel")})


def tell(app, title: str, text: str) -> Modal:
    """Tell something that must be read; an empty line starts a paragraph."""
    return _question(app, title, text, {"OK": None})


def _question(app, title: str, text: str, calls: Mapping) -> Modal:
    def fill(modal: Modal) -> None:
        for paragraph in text.split("\n\n"):
            modal.text(paragraph)
        modal.buttons({label: partial(modal.answer, call) for label, call in calls.items()})

    return Modal(app, title, fill)
