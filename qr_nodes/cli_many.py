"""What the command line does with pictures, and tells of them: a bar, the failures, a report."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from qr_nodes import names, resources
from qr_nodes.errors import QrNodesError
from qr_nodes.signals import exit_code

FOLDERS = {
    "patterns": "--pattern",
    "exclude": "--exclude",
    "scheduler": "--scheduler",
}
"""Options that are about folders only."""


@contextlib.contextmanager
def asked() -> Iterator[None]:
    """Count what goes wrong within as a fault of the command itself: exit code 2."""
    try:
        yield
    except QrNodesError as error:
        error.exit_code = 2
        raise


def say(text: str) -> None:
    """Print a line about what is done: standard output is for results."""
    click.echo(names.shown(text), err=True)


def graph_name(graph: str) -> str:
    """Return what reports call a graph: its file's path, or a preset's name."""
    from qr_nodes.qrgraph import is_preset

    return graph if is_preset(graph) else os.path.abspath(graph)


def size(text: str | None, processes: int = 1) -> int | None:
    """Return the bytes that a text such as "4G" or "750M" means, for so many processes together.

    Raises
    ------
    click.UsageError
        It is no size, or less than the program takes before there is any picture.
    """
    from qr_nodes.batch.overlap import PROGRAM

    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", text, re.IGNORECASE)
    if not match:
        raise click.UsageError(f"--memory: {text!r} is no size. Write it as in 4G or 750M.")
    bytes = float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")
    if bytes < (least := PROGRAM * processes):
        whose = f"{processes} workers take" if processes > 1 else "the program takes"
        raise click.UsageError(
            f"--memory: {text!r} is less than {whose} without any picture. "
            f"Use {50 * math.ceil(least / 50 / 2**20)}M or more."
        )
    return int(min(bytes, sys.maxsize))


def run_many(
    graph,
    inputs: Sequence[str],
    outputs: Sequence[str],
    *,
    graph_name: str,
    cached: bool,
    as_json: bool,
    quiet: bool,
    report: str | None,
    dry_run: bool,
    no_edits: bool,
    jobs: int | None,
    memory: str | None,
    scheduler: str | None,
    workers: int | None,
    on_error: str,
    **how,
) -> int:
    """Run a graph over pictures or folders of them, tell of it, and give the exit code."""
    from qr_nodes import batch
    from qr_nodes.batch.many import budget
    from qr_nodes.batch.report import about

    if workers and scheduler != "local":
        raise click.UsageError("--workers is for --scheduler local.")
    if jobs and scheduler:
        raise click.UsageError("--jobs is for this machine alone; workers have --nthreads.")
    if scheduler == "local":
        size(memory, workers or resources.cores())
    folders = [path for path in inputs if os.path.isdir(path)]
    for name, option in FOLDERS.items():
        if not folders and (scheduler if name == "scheduler" else how[name]):
            raise click.UsageError(f"{option} is for folders, and no folder is named.")
    if how["name"] and outputs and not (folders or len(inputs) > 1 or names_folder(outputs[0])):
        raise click.UsageError("--name is for results that -o does not name.")
    one_picture = len(inputs) < 2 and not folders
    jobs, bytes = jobs or (1 if one_picture else batch.default_jobs()), size(memory)
    engine = batch.cli_engine(cached=cached, lanes=max(2, jobs))
    try:
        with asked():
            one, found = batch.gather(
                graph, inputs, outputs, engine=engine, beside=True, edits=not no_edits, **how
            )
        if not found.pictures:
            wanted = "that fits" if how["patterns"] or how["exclude"] else "that is read here"
            raise _nothing(folders or inputs, wanted, found)
        if dry_run:
            return _list(one, found, folders, scheduler)
        if sys.stderr.isatty() and not quiet and (there := _left_out(found)):
            say(f"Left out: {there}.")
        if one_picture and bytes and not quiet:
            _check_room(graph, found.pictures[0], bytes)
        bar = _NodeBar(graph, quiet or as_json) if one_picture else None
        if scheduler:
            from qr_nodes.batch import cluster

            results = cluster.run_batch(
                one, found, scheduler=scheduler, workers=workers, cached=cached, memory=bytes,
                on_error=on_error,
            )  # fmt: skip
        else:
            room = batch.Room(sys.maxsize if one_picture else budget(graph, bytes))
            told = {"emit": bar.listen} if bar else {}
            results = batch.run_batch(one, found, jobs=jobs, room=room, on_error=on_error, **told)
        bar = bar or _Bar(len(found.pictures), quiet or as_json)
        reports = [(report, graph.order, about(graph, graph_name))] if report else []
        reports += [(sys.stdout, (), about(graph, graph_name))] if as_json else []
        return _tell(results, bar, len(found.pictures), folders, reports, quiet or as_json)
    finally:
        engine.close()


def _check_room(graph, picture, bytes: int) -> None:
    """Say so if a picture that is alone may take more than `bytes`."""
    from qr_nodes.batch.overlap import estimate, process

    needed = process(graph) + (estimate(picture.path) if picture.path else 0)
    if needed > bytes:
        name = picture.place or "the graph"
        say(f"{name}: it may take {needed / 2**30:.1f}G of memory, more than --memory allows.")


def names_folder(path: str) -> bool:
    """Return whether a path means a folder, whatever else is named."""
    return path.endswith(("/", os.sep)) or os.path.isdir(path)


def _nothing(folders: Sequence[str], wanted: str, found) -> QrNodesError:
    from qr_nodes.errors import ReadError

    there = f" There are {left_out}." if (left_out := _left_out(found)) else ""
    name = ", ".join(Path(folder).name or folder for folder in folders)
    return ReadError(f"there is no picture {wanted}.{there}", name, "Name another folder.")


def _left_out(found) -> str:
    """Return what is no picture, or no source: "3 .txt, 2 results of earlier runs"."""
    shown = [f"{n} {ending or 'without ending'}" for ending, n in found.left_out.most_common(8)]
    shown += [f"{found.results} results of earlier runs"] if found.results else []
    return ", ".join(shown)


def _list(one, found, folders: Sequence[str], scheduler: str | None) -> int:
    """Say what would be done with each picture; touch nothing."""
    from qr_nodes.batch import Result

    if one.ledger is not None:
        one.ledger.read()
    todo = current = refused = 0
    for picture in found.pictures:
        planned = one.plan(picture)
        if not isinstance(planned, Result):
            if scheduler is None:  # other machines may have what is not here
                one.prepare(fetch=False)
            todo += 1
            files = ", ".join(planned.files[node] for node in planned.keys)
            click.echo(names.shown(f"{picture.place or 'the graph'} → {files}"))
        elif planned.error is None:
            current += 1
        else:
            refused += 1
            say(failure(planned, folders))
    say(f"{todo} to do, {current} current, {refused} refused.")
    return 1 if refused else 0


def _tell(
    results: Iterator,
    bar: _NodeBar | _Bar,
    total: int,
    folders: Sequence[str],
    reports: Sequence[tuple],
    quiet: bool,
) -> int:
    """Take results as they come, and tell of them; give the exit code."""
    from qr_nodes.batch.many import disk_full
    from qr_nodes.batch.report import Report

    failures, done, skipped, stopped, full, code = [], 0, 0, 0, False, 0
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Report(*how)) for how in reports]
        stack.enter_context(bar)
        stack.enter_context(contextlib.closing(results))
        try:
            for result in results:
                for one in opened:
                    one.add(result)
                for note in result.notes if not quiet else ():
                    bar.say(f"{_name(result, folders)}: {note}")
                if result.error is not None:
                    if os.environ.get("QR_NODES_DEBUG"):
                        raise result.error
                    failures.append(failure(result, folders))
                    code = result.error.exit_code if total == 1 else 1
                    full = full or disk_full(result.error)
                skipped += result.skipped
                done += result.error is None and not result.skipped
                bar.advance(result, len(failures))
        except KeyboardInterrupt as stop:
            if total == 1:
                raise
            stopped = exit_code(stop)
    for line in failures:
        say(line)
    came = done + skipped + len(failures)
    if failures and came > 1:
        say(f"{len(failures)} of {came} pictures failed.")
    if stopped or (full and came < total):
        why, left = "Stopped" if stopped else "The disk is full", total - came
        say(f"{why}: {left} of {total} pictures are left. The same command goes on from there.")
    if stopped:
        return stopped
    if total > 1 and sys.stderr.isatty() and not quiet:
        say(f"{done} done, {skipped} were current, {len(failures)} failed.")
    return code


def failure(result, folders: Sequence[str] = ()) -> str:
    """Give the line about a picture that failed."""
    return f"{_name(result, folders)}: {result.said}"


def _name(result, folders: Sequence[str]) -> str:
    """Give a picture's place in the folder that was named: names alone may come twice."""
    path = Path(result.input)
    for folder in folders:
        if path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return path.name or "the graph"


class _NodeBar:
    """A bar on a terminal, nothing elsewhere: how many nodes of a picture are done."""

    def __init__(self, graph, hidden: bool):
        self.hidden = hidden or not sys.stderr.isatty()
        self.nodes, self.bar = len(graph.nodes), None

    def __enter__(self) -> _NodeBar:
        if not self.hidden:
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f} %|{bar:30}| {n:.1f}/{total} nodes, {remaining} left"
            self.bar = tqdm(total=self.nodes, bar_format=form, leave=False)
        return self

    def __exit__(self, *error) -> None:
        if self.bar is not None:
            self.bar.close()

    def listen(self, event) -> None:
        """Take an event of the engine; called from several threads."""
        if self.bar is None:
            return
        if event.kind in ("started", "progress"):
            self.bar.set_description_str(event.node, refresh=False)
            self.bar.n = int(self.bar.n) + event.fraction * 0.99
        elif event.kind in ("done", "reused"):
            self.bar.n = min(int(self.bar.n) + 1, self.bar.total)
        self.bar.refresh()

    def advance(self, result, failed: int) -> None:
        """Say what came of the picture."""
        if self.hidden or failed or not result.output:
            return
        files = ", ".join(result.files.values()) or result.output
        if result.skipped:
            self.say(f"{_name(result, ())}: {files} is there and current; --again does it anew.")
        else:
            self.say(f"{_name(result, ())} → {files}  ({result.seconds:.1f} s)")

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bar is not None:
            self.bar.clear()
        say(text)


class _Bar:
    """A bar on a terminal, nothing elsewhere: pictures, their rate, the time left, failures."""

    def __init__(self, total: int, hidden: bool):
        self.total, self.bar = total, None
        self.hidden = hidden or not sys.stderr.isatty()

    def __enter__(self) -> _Bar:
        if not self.hidden:
            from tqdm import tqdm

            form = (
                "{percentage:3.0f} %|{bar:30}| {n_fmt}/{total_fmt} pictures, {rate_fmt}, "
                "{remaining} left{postfix}"
            )
            self.bar = tqdm(
                total=self.total, bar_format=form, leave=False, unit=" pictures", smoothing=0.1
            )
        return self

    def __exit__(self, *error) -> None:
        if self.bar is not None:
            self.bar.close()

    def advance(self, result, failed: int) -> None:
        """Count a picture; what was skipped does not make the rate look better."""
        if self.bar is None:
            return
        if failed:
            self.bar.set_postfix_str(f"{failed} failed", refresh=False)
        if result.skipped:
            self.bar.initial += 1
            self.bar.n += 1
        else:
            self.bar.update()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bar is not None:
            self.bar.clear()
        say(text)
