"""The commands of the window: one table for menus, shortcuts, toolbar and help."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dearpygui.dearpygui as dpg


@dataclass(frozen=True)
class Command:
    """Something a person can ask for.

    Attributes
    ----------
    id : what the program calls it
    menu, title : where it stands and what it is called; "-" as title draws a line
    shortcut : keys such as "Ctrl+Shift+S", or ""
    run : does it
    toolbar : stands in the toolbar too
    """

    id: str
    menu: str
    title: str
    shortcut: str
    run: Callable[[], None]
    toolbar: bool = False


_NAMED = {
    **{
        "Esc": "Escape",
        "Del": "Delete",
        "Enter": "Return",
        "=": "Plus",
        "-": "Minus",
        "`": "Tilde",
    },
    **{"[": "Open_Brace", "]": "Close_Brace", "\\": "Backslash"},
}


def key_of(shortcut: str) -> tuple[int, frozenset[str]]:
    """Give the key code and the modifiers of a shortcut such as "Ctrl+Shift+S"."""
    *modifiers, key = shortcut.split("+")
    return getattr(dpg, f"mvKey_{_NAMED.get(key, key)}"), frozenset(modifiers)


def modifiers_down() -> frozenset[str]:
    """Give the modifiers that are held: "Ctrl" (Command on a Mac), "Shift", "Alt"."""
    control = (dpg.mvKey_LControl, dpg.mvKey_RControl)
    command = (dpg.mvKey_LWin, dpg.mvKey_RWin) if sys.platform == "darwin" else ()
    keys = {
        "Ctrl": control + command,
        "Shift": (dpg.mvKey_LShift, dpg.mvKey_RShift),
        "Alt": (dpg.mvKey_LAlt, dpg.mvKey_RAlt),
    }
    return frozenset(name for name, codes in keys.items() if any(map(dpg.is_key_down, codes)))


class Shortcuts:
    """Which command a key press means.

    State: the modifiers that were held one frame ago. A quick tap may let go of Ctrl within the
    frame that sees its key go down; it is meant all the same.
    """

    def __init__(self, commands: list[Command]):
        self._by_keys = {key_of(c.shortcut): c for c in commands if c.shortcut}
        self._before: frozenset[str] = frozenset()

    def frame(self) -> None:
        """Take note of the modifiers; once per frame."""
        self._before = modifiers_down()

    def find(self, key: int) -> Command | None:
        """Give the command for a key that was pressed just now, with what is held beside it."""
        return self._by_keys.get((key, modifiers_down() | self._before))


def shortcuts(commands: Iterable[Command]) -> dict[str, list[tuple[str, str]]]:
    """Return the commands that keys do, by menu, each with its title and keys."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for command in commands:
        if command.shortcut:
            groups.setdefault(command.menu, []).append((command.title, command.shortcut))
    return groups
