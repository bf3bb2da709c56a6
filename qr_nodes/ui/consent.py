"""Ask before a graph that somebody else may have made reads or fetches what is not its own.

State: the nodes that were copied here last.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from qr_nodes import qrgraph, trust
from qr_nodes.errors import QrNodesError, one_line
from qr_nodes.graph import Graph
from qr_nodes.inference.registry import Model
from qr_nodes.ui import dialogs
from qr_nodes.ui.canvas_edits import ROOT

SHOWN = 6
"""Files that a question names."""


@dataclass(frozen=True)
class Missing:
    """What nobody here has agreed to.

    Attributes
    ----------
    files : file → the mark it is remembered by
    models : value of a parameter → the models that it names and that are not here
    """

    files: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, list[Model]] = field(default_factory=dict)

    @property
    def held(self) -> list[str]:
        """What the document must leave alone until the user agrees."""
        return [*self.files, *self.models]


class Consent:
    """Knows what the user has agreed to, and asks; `app` is the window."""

    def __init__(self, app):
        self.app, self._copied = app, ""

    def own(self, text: str) -> str:
        """Note that nodes were copied here, and give them."""
        self._copied = text
        return text

    def pasting(self, text: str) -> None:
        """Ask before files are read, and models fetched, for nodes that were copied elsewhere."""
        if text == self._copied:
            return
        try:
            nodes, _ = qrgraph.parse(text.encode(errors="replace"), ROOT)
        except QrNodesError:  # the paste will say it
            return
        missing = self.missing(nodes, None)
        self.app.document.hold(missing.held)
        self.ask(missing)

    def missing(self, graph: Graph, folder: str | os.PathLike | None) -> Missing:
        """Give what a graph that came with a folder needs the user's word for."""
        document = self.app.document
        here = trust.outside(document.graph, None).items()
        known = {mark for file, mark in here if file not in document.held}
        known.update(self.app.settings.now.known)
        files = trust.outside(graph, folder)
        strange = {file: mark for file, mark in files.items() if mark not in known}
        return Missing(strange, trust.unfetched(graph))

    def ask(self, missing: Missing) -> None:
        """Ask whether files may be read and models fetched, if there are any."""
        if missing.files:
            self._ask_files(missing.files)
        if missing.models:
            self._ask_models(missing.models)

    def know(self, marks: Iterable[str]) -> None:
        """Remember by their marks what was agreed to."""
        self.app.attempt(self.app.settings.know, list(marks))

    def _ask_files(self, files: Mapping[str, str]) -> None:
        def agree() -> None:
            self.app.document.agree(files)
            self.know(files.values())

        shown = [one_line(file) for file in list(files)[:SHOWN]]
        more = [f"… and {len(files) - SHOWN} more."] * (len(files) > SHOWN)
        text = ["They lie outside the graph's folder, or are very large:", *shown, *more]
        dialogs.ask(
            self.app,
            "May this graph read these files?",
            "\n\n".join([*text, "Whoever made it named them. None is looked at until you agree."]),
            {"Read Them": agree},
        )

    def _ask_models(self, models: Mapping[str, list[Model]]) -> None:
        wanted = {model.name: model for missing in models.values() for model in missing}
        about = [
            f"{model.name}{f', {model.bytes / 1e6:.0f} MB' if model.bytes else ''}. {model.licence}"
            for model in wanted.values()
        ]
        dialogs.ask(
            self.app,
            f"Download {', '.join(wanted)}?",
            "\n\n".join(["The graph asks for a network that is not here:", *about]),
            {"Download": partial(self.app.document.agree, models)},
        )
