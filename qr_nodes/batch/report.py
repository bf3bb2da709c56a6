"""Write what came of each picture into a file, as JSON or CSV, while the run goes on."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TextIO

from qr_nodes.batch.one import Result
from qr_nodes.errors import ParamError, WriteError
from qr_nodes.whole import replacing


class Report:
    """A report that grows by a picture at a time, and appears under its name when it is closed.

    JSON holds {"results": [...], "failed": n, "skipped": n}, each result as `Result.as_json` gives
    it. CSV has a row per picture, with the seconds of each node in a column of its own.

    Parameters
    ----------
    path : path, or an open text file
        A name ending in .json or .csv; a file gets JSON.
    nodes : ids of the graph's nodes, in order: the columns of a CSV

    Raises
    ------
    ParamError
        The name has another ending.
    WriteError
        The file cannot be written.
    """

    def __init__(self, path: str | os.PathLike | TextIO, nodes: Sequence[str] = ()):
        self.nodes, self.results, self.failed, self.skipped = list(nodes), 0, 0, 0
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
            self._file.write('{"results": [')

    def _open(self, ending: str) -> None:
        try:
            place = self._place.enter_context(replacing(self._target))
            text = {"encoding": "utf-8", "newline": "", "errors": "backslashreplace"}
            self._file = io.TextIOWrapper(place, **text)
        except OSError as error:
            raise self._fault(error) from error
        self._csv = csv.writer(self._file) if ending == ".csv" else None

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *error) -> None:
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
                counts = f'"failed": {self.failed}, "skipped": {self.skipped}'
                self._file.write(f"\n], {counts}}}\n")
            self._file.flush()
            if self._target is not None:
                self._file.detach()
                self._place.close()
        except OSError as error:
            raise self._fault(error) from error

    def _row(self, result: Result) -> list:
        did = "failed" if result.error else "skipped" if result.skipped else "done"
        times = {report.node: report.seconds for report in result.nodes}
        return [
            result.input,
            "; ".join(result.files.values()) or result.output or "",
            did,
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
