"""What the command line tells of many pictures: a bar, the failures, a report."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from qr_nodes import resources
from qr_nodes.errors import QrNodesError
from qr_nodes.signals import exit_code

FOLDERS = {
    "patterns": "--pattern",
    "exclude": "--exclude",
    "name": "--name",
    "again": "--again",
    "dry_run": "--dry-run",
    "scheduler": "--scheduler",
}
"""Options that are about folders only."""

SETTINGS = click.option(
    "-s",
    "--set",
    "settings",
    multiple=True,
    metavar="NODE.PARAM=VALUE",
    help="Change a parameter, as in feather.sigma=4. Repeatable.",
)

OPTIONS = [
    click.option("--pattern", "patterns", multiple=True, metavar="TEXT",
                 help="Of folders, take what fits, as in '*.jpg'. Repeatable."),
    click.option("--exclude", multiple=True, metavar="TEXT",
                 help="Of folders, leave out what fits, as in 'rejects'. Repeatable."),
    click.option("--name", default="", metavar="TEMPLATE",
                 help="What results of folders are called, as in '{stem}-cutout{ext}'. "
                 "Fields: stem, folder, source, node, ext."),
    click.option("--again", is_flag=True, help="Do what is done and current once more."),
    click.option("--overwrite", is_flag=True,
                 help="Replace files in a folder for results that were not made there, and files "
                 "that only the graph names."),
    click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing."),
    click.option("--no-edits", is_flag=True, help="Ignore .qredit files beside the pictures."),
    click.option("--on-error", type=click.Choice(["skip", "stop"]), default="skip",
                 show_default=True, help="Go on after a picture that failed, or stop."),
    click.option("--report", metavar="FILE", help="Write what came of each picture (.json, .csv)."),
    click.option("-j", "--jobs", type=click.IntRange(1, 64),
                 help="Pictures to work on side by side; by default one for each core."),
    click.option("--memory", metavar="SIZE",
                 help="What the program should stay within, as in 4G; by default half of all."),
    click.option("--scheduler", metavar="ADDRESS",
                 help="Run on a Dask cluster, as in tcp://HOST:8786, or 'local' for a try."),
    click.option("--workers", type=click.IntRange(1, 64),
                 help="Processes of --scheduler local; by default one for each core."),
]  # fmt: skip


def say(text: str) -> None:
    """Print a line about what is done: standard output is for results."""
    click.echo(text, err=True)


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
    **how,
) -> int:
    """Run a graph over folders or several files, tell of it, and give the exit code."""
    from qr_nodes import batch
    from qr_nodes.batch.many import budget, output_folder

    if workers and scheduler != "local":
        raise click.UsageError("--workers is for --scheduler local.")
    if jobs and scheduler:
        raise click.UsageError("--jobs is for this machine alone; workers have --nthreads.")
    if scheduler == "local":
        size(memory, workers or resources.cores())
    folders = [path for path in inputs if os.path.isdir(path)]
    jobs, bytes = jobs or batch.default_jobs(), size(memory)
    engine = batch.cli_engine(cached=cached, lanes=jobs)
    try:
        if not folders:
            results = batch.run(
                graph, inputs, outputs, engine=engine, jobs=jobs, memory=bytes,
                edits=not no_edits, on_error=how["on_error"],
            )  # fmt: skip
            return _tell(graph, results, len(inputs), (), as_json, quiet, report)
        out = output_folder(inputs, outputs)
        patterns, exclude = how.pop("patterns"), how.pop("exclude")
        found = batch.find_pictures(inputs, patterns, exclude, out)
        on_error = how.pop("on_error")
        one = batch.Batch(graph, out, folders, engine=engine, edits=not no_edits, **how)
        if not found.pictures:
            wanted = "that fits" if patterns or exclude else "that is read here"
            raise _nothing(folders, wanted, found.left_out)
        if dry_run:
            return _list(one, found, folders)
        if sys.stderr.isatty() and not quiet and found.left_out:
            say(f"Left out, as no picture read here: {_counted(found.left_out)}.")
        if scheduler:
            from qr_nodes.batch import cluster

            results = cluster.run_batch(
                one, found, scheduler=scheduler, workers=workers, cached=cached, memory=bytes,
                on_error=on_error,
            )  # fmt: skip
        else:
            room = batch.Room(budget(graph, bytes))
            results = batch.run_batch(one, found, jobs=jobs, room=room, on_error=on_error)
        return _tell(graph, results, len(found.pictures), folders, as_json, quiet, report)
    finally:
        engine.close()


def _nothing(folders: list[str], wanted: str, left_out) -> QrNodesError:
    from qr_nodes.errors import ReadError

    there = f" There are {_counted(left_out)}." if left_out else ""
    name = ", ".join(Path(folder).name or folder for folder in folders)
    return ReadError(f"there is no picture {wanted}.{there}", name, "Name another folder.")


def _counted(left_out) -> str:
    shown = [f"{n} {ending or 'without ending'}" for ending, n in left_out.most_common(8)]
    return ", ".join(shown)


def _list(one, found, folders: Sequence[str]) -> int:
    """Say what would be done with each picture; touch nothing."""
    from qr_nodes.batch import Result

    one.ledger.read()
    todo = current = refused = 0
    for picture in found.pictures:
        planned = one.plan(picture)
        if not isinstance(planned, Result):
            todo += 1
            names = ", ".join(str(one.out / planned.outs[node]) for node in planned.keys)
            click.echo(f"{picture.place} → {names}")
        elif planned.error is None:
            current += 1
        else:
            refused += 1
            say(failure(planned, folders))
    say(f"{todo} to do, {current} current, {refused} refused.")
    return 1 if refused else 0


def _tell(
    graph,
    results: Iterator,
    total: int,
    folders: Sequence[str],
    as_json: bool,
    quiet: bool,
    report: str | None,
) -> int:
    """Take results as they come, and tell of them; give the exit code."""
    from qr_nodes.batch.report import Report

    failures, done, skipped, stopped = [], 0, 0, 0
    with contextlib.ExitStack() as stack:
        reports = [Report(report, graph.order)] if report else []
        reports += [Report(sys.stdout)] if as_json else []
        for one in reports:
            stack.enter_context(one)
        bar = stack.enter_context(_Bar(total, quiet or as_json))
        stack.enter_context(contextlib.closing(results))
        try:
            for result in results:
                for one in reports:
                    one.add(result)
                for note in result.notes if not quiet else ():
                    bar.say(f"{_name(result, folders)}: {note}")
                if result.error is not None:
                    if os.environ.get("QR_NODES_DEBUG"):
                        raise result.error
                    failures.append(failure(result, folders))
                skipped += result.skipped
                done += result.error is None and not result.skipped
                bar.advance(result.skipped, len(failures))
        except KeyboardInterrupt as stop:
            stopped = exit_code(stop)
    for line in failures:
        say(line)
    came = done + skipped + len(failures)
    if failures and came > 1:
        say(f"{len(failures)} of {came} pictures failed.")
    if stopped:
        left = total - came
        say(f"Stopped: {left} of {total} pictures are left. The same command goes on from there.")
        return stopped
    if sys.stderr.isatty() and not (quiet or as_json):
        say(f"{done} done, {skipped} were current, {len(failures)} failed.")
    return 1 if failures else 0


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

    def advance(self, skipped: bool, failed: int) -> None:
        """Count a picture; what was skipped does not make the rate look better."""
        if self.bar is None:
            return
        if failed:
            self.bar.set_postfix_str(f"{failed} failed", refresh=False)
        if skipped:
            self.bar.initial += 1
            self.bar.n += 1
        else:
            self.bar.update()

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.bar is not None:
            self.bar.clear()
        say(text)
