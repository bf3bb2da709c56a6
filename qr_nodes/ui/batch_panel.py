"""The Batch panel: the graph of the window over a folder of pictures, while the window goes on.

State: the batch that runs or ran last, and the graph that it was started with, with its file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dearpygui.dearpygui as dpg

from qr_nodes import trust
from qr_nodes.batch.many import output_folder
from qr_nodes.graph import Graph, corrected
from qr_nodes.qredit import uncorrected
from qr_nodes.ui import dialogs, theme
from qr_nodes.ui.batch_grid import Grid
from qr_nodes.ui.batch_work import Work, pace_in_words
from qr_nodes.ui.commands import Command
from qr_nodes.ui.settings import BatchChoices

FORMATS = ("as in Export", "png", "webp", "avif", "tif", "jpg")
HEIGHT, LEAST = 474, 240
"""The panel's height at first, and the least that is left to it and to the canvas, px."""
BAR, SPACING = 6, 5
"""Height of the bar between canvas and panel, and what lies between items, px."""
LABEL, BUTTON, RIGHT = 74, 84, 330
"""Where fields begin, width of a button, and of all that stands right of a folder, px."""
TICK = 0.5
"""Seconds between two looks at the clock."""


def commands(app) -> list[Command]:
    """Give what a person can ask of the panel, which need not be there yet."""

    def call(method: str) -> Callable[[], None]:
        return lambda: getattr(app.batch, method)()

    def rule(number: int) -> Command:
        return Command(f"-batch {number}", "Batch", "-", "", lambda: None)

    save, back = "Save Correction for This Picture", "Back to the Batch's Graph"
    correct = "Correct the Chosen Picture"
    return [
        Command("batch", "Batch", "Batch Panel", "Ctrl+B", call("toggle"), toolbar=True),
        Command("batch folder", "Batch", "Choose Folder…", "Ctrl+Shift+B", call("choose")),
        rule(1),
        Command("batch start", "Batch", "Start", "F6", call("start")),
        Command("batch pause", "Batch", "Pause or Go On", "F7", call("pause")),
        Command("batch stop", "Batch", "Cancel the Batch", "F8", call("stop")),
        rule(2),
        Command("correct", "Batch", correct, "Ctrl+Enter", call("correct")),
        Command("save correction", "Batch", save, "F9", lambda: app.files.save_correction()),
        Command("batch graph", "Batch", back, "Shift+F9", call("back")),
    ]


class BatchPanel:
    """The panel; `app` is the window.

    Parameters
    ----------
    parent : item
        The column that it shares with the canvas.
    canvas : item
        What makes room for it.

    Attributes
    ----------
    work : the batch that runs or ran last, or None
    open : the panel is shown
    height : in px, while it is shown
    """

    def __init__(self, app, parent: int | str, canvas: int | str):
        self._app, self._column, self._canvas = app, parent, canvas
        self.work: Work | None = None
        self.open = False
        self.height = app.settings.now.splitters.get("batch", HEIGHT)
        self._origin: tuple[Graph, str, Graph | None, str] = (Graph(), "", None, "")
        self._drag: tuple[float, int] | None = None
        self._ticked, self._due, self._told, self._new = 0.0, True, True, 0
        self._bar = dpg.add_button(parent=parent, height=BAR, width=-1, show=False)
        with dpg.child_window(parent=parent, height=-1, width=-1, show=False) as self.panel:
            self._folders()
            self._options()
            self._state()
        self.grid = Grid(app, self.panel, self.correct)
        self._show(app.settings.now.batch)

    # ---- building --------------------------------------------------------------------------

    def _folders(self) -> None:
        with self._line("Pictures"):
            self.folder = dpg.add_input_text(
                width=-RIGHT, hint="A folder; drop one on the window", callback=self._hint
            )
            dpg.add_button(label="Choose…", width=BUTTON, callback=self.choose)
            dpg.add_text("Only  ")
            self.pattern = dpg.add_input_text(width=-1, hint="all, or *.jpg trip/*")
            self._tip(
                self.pattern,
                "Take only pictures whose name, or place in the folder, fits one of these. "
                "* stands for anything, ? for any letter, a space separates them.",
            )
        with self._line("Results"):
            self.out = dpg.add_input_text(width=-RIGHT)
            dpg.add_button(label="Choose…", width=BUTTON, callback=self._choose_out)
            dpg.add_text("Name")
            self.name = dpg.add_input_text(width=-1, hint="{stem}{ext}")
            self._tip(
                self.name,
                "What results are called. {stem}: the picture's name; {ext}: the format's ending; "
                "{folder}, {source}, {node}: its folder, its own ending, the Export node.",
            )

    def _options(self) -> None:
        with self._line("Format"):
            self.format = dpg.add_combo(FORMATS, default_value=FORMATS[0], width=112)
            dpg.add_spacer(width=SPACING)
            self.edits = dpg.add_checkbox(label="Corrections", default_value=True)
            self._tip(self.edits, "Apply the .qredit files that lie beside pictures.")
            dpg.add_spacer(width=SPACING)
            self.again = dpg.add_checkbox(label="Again")
            self._tip(self.again, "Do what is done and current once more.")
            dpg.add_spacer(width=SPACING)
            self.overwrite = dpg.add_checkbox(label="Overwrite")
            self._tip(self.overwrite, "Replace results that were not made here or were changed.")

    def _state(self) -> None:
        with dpg.group(horizontal=True):
            self._buttons = {
                "start": dpg.add_button(label="Start", width=BUTTON, callback=self.start),
                "pause": dpg.add_button(label="Pause", width=BUTTON, callback=self.pause),
                "stop": dpg.add_button(label="Cancel", width=BUTTON, callback=self.stop),
            }
            self._done = dpg.add_progress_bar(width=-1, height=22)
        self._words = dpg.add_text("", wrap=0)
        self._fault = dpg.add_text("", color=theme.BAD, wrap=0, show=False)
        with dpg.group(horizontal=True, show=False) as self._kinds:
            self._kind = dpg.add_radio_button(horizontal=True, callback=self._turned)
            dpg.add_text("   Double-click a picture to correct it.", color=theme.FAINT)

    @contextmanager
    def _line(self, words: str) -> Iterator[None]:
        """Make a row of fields that begins with a word, all of them one below the other."""
        with dpg.group(horizontal=True, xoffset=LABEL):
            dpg.add_text(words)
            with dpg.group(horizontal=True):
                yield

    def _tip(self, item: int | str, words: str) -> None:
        with dpg.tooltip(item, delay=0.4):
            dpg.add_text(words, wrap=360)

    # ---- what can be asked of it -----------------------------------------------------------

    def toggle(self) -> None:
        """Show the panel, or hide it; a batch goes on either way."""
        self.open = not self.open
        for item in (self._bar, self.panel):
            dpg.configure_item(item, show=self.open)
        self._fit()
        self._due, self._new = True, 3 if self.open else 0

    def take(self, folder: str) -> None:
        """Have the panel shown with a folder of pictures."""
        if not self.open:
            self.toggle()
        folder = os.path.abspath(folder)
        if folder != dpg.get_value(self.folder):
            dpg.set_value(self.folder, folder)
            dpg.set_value(self.out, "")
        self._hint()

    def choose(self) -> None:
        """Ask for the folder of pictures."""
        start = dpg.get_value(self.folder)
        dialogs.open_folder(self._app, "Folder of Pictures", start, self.take)

    def start(self) -> None:
        """Run the graph as it stands over the folder; while a picture is corrected, the batch's."""
        if not self.open:
            self.toggle()
            return
        if self.work and self.work.busy:
            return
        files, choices = self._app.files, self.choices()
        graph = self._app.document.graph
        if files.correction and self.work:
            graph = self.work.graph
            self._app.say("The batch runs with its own graph; this correction is one picture's.")
        elif waiting := self._app.document.held & {
            *trust.outside(graph, None),
            *trust.unfetched(graph),
        }:
            self._app.say(
                f"{min(waiting)}: the graph needs this, and you have not agreed that it is read or "
                "fetched. Open the graph again and agree, or name another.",
                "error",
            )
            return
        else:
            begin = partial(self._begin, choices, (graph, files.path, files.saved, files.mark))
            if not (made := corrected(graph)):
                begin(graph)
                return
            dialogs.ask(
                self._app,
                "Corrections of one picture",
                f"The graph holds {made}. A batch would repeat that on every picture.\n\n"
                "A double click on a result corrects that picture alone.",
                {
                    "Leave Them Out": partial(begin, uncorrected(graph)),
                    "On Every Picture": partial(begin, graph),
                },
            )
            return
        self._begin(choices, self._origin, graph)

    def _begin(
        self, choices: BatchChoices, origin: tuple[Graph, str, Graph | None, str], graph: Graph
    ) -> None:
        self._origin = origin
        self._app.attempt(partial(self._app.settings.change, batch=choices))
        self.work = Work(
            graph,
            choices,
            again=dpg.get_value(self.again),
            overwrite=dpg.get_value(self.overwrite),
            kept=self._app.engine.cache.budget,
            news=partial(self._app.loop.post, self._news),
        )
        self._due, self._told = True, False

    def pause(self) -> None:
        """Begin no more pictures for now, or go on."""
        if self.work and self.work.busy:
            self.work.pause(not self.work.paused)

    def stop(self) -> None:
        """Give up what is under way; what is done stays."""
        if self.work:
            self.work.stop()

    def correct(self) -> None:
        """Open the chosen picture with the batch's graph, to be corrected."""
        row = self.grid.chosen_row
        if row is None or self.work is None:
            self._app.say("Click a picture in the Batch panel first.")
        else:
            self._app.files.correct(self.work.graph, row.picture.path)

    def back(self) -> None:
        """Open the batch's graph again after a correction."""
        if self.work is None:
            self._app.say("No batch has run yet.")
        else:
            self._app.files.back(*self._origin)

    def corrected(self, picture: str) -> str:
        """Have a picture done again whose correction was saved; give a sentence about it."""
        work = self.work
        if work and not work.choices.edits:
            return "The batch was told to ignore corrections."
        if not (work and work.redo(picture)):
            return "The next batch applies it."
        return "It is done again when the batch goes on." if work.paused else "It is done again."

    def sure(self, then: Callable[[], None]) -> None:
        """Go on at once, or after asking about a batch that would be stopped."""
        work = self.work
        if not (work and work.busy):
            then()
            return
        came = work.total - work.left
        text = f"{came} of {work.total} pictures are done. Starting it again goes on from there."
        dialogs.ask(self._app, "Stop the batch?", text, {"Stop and Close": then, "Cancel": None})

    def close(self) -> None:
        """Stop the batch, and end the threads."""
        self.grid.close()
        if self.work:
            self.work.close()

    def choices(self) -> BatchChoices:
        """Give what the panel's fields say."""
        folder, out = (dpg.get_value(item).strip() for item in (self.folder, self.out))
        format = dpg.get_value(self.format)
        return BatchChoices(
            folder=_full(folder),
            out=_full(out),
            pattern=dpg.get_value(self.pattern).strip(),
            name=dpg.get_value(self.name).strip(),
            format="" if format == FORMATS[0] else format,
            edits=dpg.get_value(self.edits),
        )

    # ---- what happens ----------------------------------------------------------------------

    def frame(self) -> None:
        """Follow the batch and the bar; once per frame."""
        work, now = self.work, time.monotonic()
        ticks = self.open and now - self._ticked > TICK
        if self._due or (ticks and (work is None or work.busy)):
            self._ticked, self._due = now, False
            self._follow()
        if self.open:
            self._follow_bar()
            self.grid.frame()
        if self._new:  # frames until the canvas knows its new size
            self._new -= 1
            if not self._new:
                self._app.canvas.fit()

    def _news(self) -> None:
        self._due = True

    def _follow(self) -> None:
        work = self.work
        busy = work is not None and work.busy
        shown = {"start": not busy, "pause": busy, "stop": busy}
        for name, button in self._buttons.items():
            dpg.configure_item(button, show=shown[name])
        dpg.configure_item(self._done, show=work is not None and work.total > 0)
        dpg.configure_item(self._kinds, show=work is not None)
        if work is None:
            dpg.set_value(self._words, self._runs())
            return
        paused = busy and work.paused
        dpg.configure_item(self._buttons["pause"], label="Go On" if paused else "Pause")
        came = work.total - work.left
        dpg.set_value(self._done, came / max(work.total, 1))
        dpg.configure_item(self._done, overlay=f"{came} of {work.total}")
        dpg.set_value(self._words, said(work))
        dpg.set_value(self._fault, work.fault)
        dpg.configure_item(self._fault, show=bool(work.fault))
        self._rows(work)
        if not busy and not self._told:
            self._told = True
            self._app.say(f"Batch: {work.fault or said(work)}", "error" if work.fault else "good")

    def _rows(self, work: Work) -> None:
        rows = list(work.rows)
        failed = [row for row in rows if row.state == "failed"]
        kinds = [f"Pictures ({len(rows)})", f"Failures ({len(failed)})"]
        dpg.configure_item(self._kind, items=kinds)
        dpg.set_value(self._kind, kinds[self.grid.list])
        self.grid.show(failed if self.grid.list else rows, self.grid.list)

    def _turned(self, _, kind: str) -> None:
        self.grid.show([], kind.startswith("Failures"))
        self._due = True

    def _runs(self) -> str:
        return f"Runs {self._app.files.name} as it stands."

    def _hint(self) -> None:
        """Show where results go if no folder is named for them."""
        folder = _full(dpg.get_value(self.folder).strip())
        hint = output_folder([folder], ()) if folder else "FOLDER-cutout, beside it"
        dpg.configure_item(self.out, hint=hint)

    def _choose_out(self) -> None:
        start = dpg.get_value(self.out) or str(Path(dpg.get_value(self.folder)).parent)
        chosen = partial(dpg.set_value, self.out)
        dialogs.open_folder(self._app, "Folder for Results", start, chosen)

    def _show(self, choices: BatchChoices) -> None:
        for item, value in (
            (self.folder, choices.folder),
            (self.out, choices.out),
            (self.pattern, choices.pattern),
            (self.name, choices.name),
            (self.format, choices.format if choices.format in FORMATS else FORMATS[0]),
            (self.edits, choices.edits),
        ):
            dpg.set_value(item, value)
        self._hint()

    def _follow_bar(self) -> None:
        """Let the bar between canvas and panel be dragged."""
        if not dpg.is_item_active(self._bar):
            self._drag = None
            return
        y = dpg.get_mouse_pos(local=False)[1]
        self._drag = self._drag or (y, self.height)
        self.height = int(self._drag[1] + self._drag[0] - y)
        self._fit()

    def _fit(self) -> None:
        """Share the column between canvas and panel."""
        if not self.open:
            dpg.configure_item(self._canvas, height=-1)
            return
        room = dpg.get_item_rect_size(self._column)[1] - LEAST
        self.height = max(LEAST, min(self.height, int(room)))
        dpg.configure_item(self._canvas, height=-(self.height + BAR + 2 * SPACING))


def said(work: Work) -> str:
    """Say in a line how a batch goes, or how it went."""
    counts = work.counts
    parts = [f"{counts['done']} done"]
    parts += [f"{counts['skipped']} current"] if counts["skipped"] else []
    parts += [f"{counts['failed']} failed"] if counts["failed"] else []
    parts += [f"{counts['again']} to be done again"] if counts["again"] else []
    came = ", ".join(parts)
    if work.phase == "looking":
        return "Looking for pictures…"
    if work.phase == "stopping":
        return f"Stopping…  {came}"
    if work.phase == "ended":
        left = f". {work.left} are left: Start goes on from there." if work.left else "."
        return f"{came}{left}"
    pace = "Paused" if work.paused else pace_in_words(work.pace.rate, work.left)
    return f"{pace}  –  {came}" if pace else came


def _full(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path)) if path else ""
