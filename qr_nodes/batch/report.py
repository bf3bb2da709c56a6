"""Write what came of each picture into a file, as JSON or CSV, while the run goes on."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

from qr_nodes import __version__, names
from qr_nodes.batch.one import Result, targets
from qr_nodes.errors import ParamError, WriteError
from qr_nodes.graph import Graph
from qr_nodes.whole import replacing

FORMAT, VERSION = "qr-nodes report", 1


def about(graph: Graph, name: str) -> dict[str, Any]:
    """Return what a report says of a run: the program's version, the graph and its networks."""
    nodes = [graph.nodes[id] for id in graph.upstream(targets(graph))]
    used = [node.params[key] for node in nodes if not node.bypass for key in node.spec.models]
    models = dict.fromkeys(model for value in used for model in value.split("+"))
    return {"program": __version__, "graph": name, "models": list(models)}


class Report:
    """A report that grows by a picture at a time, and appears under its name when it is closed.

    JSON holds {"format": "qr-nodes report", "version": 1, ..., "results": [...], "done": n,
    "failed": n, "skipped": n, "error": why the run ended early or null}, with what the run is
    `about`, and each result as `Result.as_json` gives it. CSV has a row per picture, with the
    seconds of each node in a column of its own. Paths are absolute.

    Parameters
    ----------
    path : path, or an open text file
        A name ending in .json or .csv; a file gets JSON.
    nodes : ids of the graph's nodes, in order: the columns of a CSV
    about : what a JSON report says of the run as a whole

    Raises
    ------
    ParamError
        The name has another ending.
    WriteError
        The file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike | TextIO,
        nodes: Sequence[str] = (),
        about: Mapping[str, Any] | None = None,
    ):
        self.nodes, self.results, self.failed, self.skipped = list(nodes), 0, 0, 0
        self.error: str | None = None
        self._target, self._place = None, ExitStack()
        self._csv = None
        if hasattr(path, "write"):
            self._file = path
        else:
            self._target = Path(path)
            ending = self._target.suffix.lower()
            if ending not in (".json", ".csv"):
                raise ParamError(
                    f"{str(path)!r} cannot be used.", "--report", "End it in .json or .csv."
                )
            self._open(ending)
        if self._csv:
            head = ["input", "output", "did", "seconds", "error", "notes"]
            self._csv.writerow(head + [f"{node} seconds" for node in self.nodes])
        else:
            head = {"format": FORMAT, "version": VERSION, **(about or {})}
            self._file.write(json.dumps(head, indent=1, ensure_ascii=False)[:-2])
            self._file.write(',\n "results": [')

    def _open(self, ending: str) -> None:
        try:
            place = self._place.enter_context(replacing(self._target))
            text = {"encoding": "utf-8", "newline": "", "errors": names.SHOWN}
            self._file = io.TextIOWrapper(place, **text)
        except OSError as error:
            raise self._fault(error) from error
        self._csv = csv.writer(self._file) if ending == ".csv" else None

    def __enter__(self) -> Report:
        return self

    def __exit__(self, type, error, trace) -> None:
        self.error = None if error is None else str(error)
        self.close()

    def add(self, result: Result) -> None:
        """Enter what came of a picture."""
        try:
            if self._csv:
                self._csv.writerow(self._row(result))
            else:
                text = json.dumps(result.as_json(), indent=1, ensure_ascii=False)
                # Bytes in names that are no text become escapes, which JSON reads.
                text = text.encode(errors="backslashreplace").decode()
                self._file.write(("," if self.results else "") + "\n" + text)
        except OSError as error:
            raise self._fault(error) from error
        self.results += 1
        self.failed += result.error is not None
        self.skipped += result.skipped

    def close(self) -> None:
        """Complete the report; it appears under its name."""
        try:
            if not self._csv:
                tail = {
                    "done": self.results - self.failed - self.skipped,
                    "failed": self.failed,
                    "skipped": self.skipped,
                    "error": self.error,
                }
                self._file.write("\n ],\n" + json.dumps(tail, indent=1, ensure_ascii=False)[2:])
                self._file.write("\n")
            self._file.flush()
            if self._target is not None:
                self._file.detach()
                self._place.close()
        except OSError as error:
            raise self._fault(error) from error

    def _row(self, result: Result) -> list:
        times = {report.node: report.seconds for report in result.nodes}
        told = result.as_json()
        return [
            told["input"],
            "; ".join(told["files"].values()) or told["output"] or "",
            told["did"],
            round(result.seconds, 4),
            str(result.error or ""),
            " ".join(result.notes),
            *(times.get(node, "") for node in self.nodes),
        ]

    def _fault(self, error: OSError) -> WriteError:
        with suppress(OSError):  # nothing of it stays
            self._place.__exit__(type(error), error, None)
        what = f"the report cannot be written ({error.strerror})."
        return WriteError(what, str(self._target or "report"), "Name another file.")
