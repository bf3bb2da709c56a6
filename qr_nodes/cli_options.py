"""The options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable

import click

NETWORKS = (
    click.option("-s", "--set", "settings", multiple=True, metavar="NODE.PARAM=VALUE",
                 help="Change a parameter, as in feather.sigma=4. Repeatable."),
    click.option("--model", help="Model for every Segment node; see 'qr-nodes models list'."),
    click.option("--quality", type=click.Choice(["fast", "balanced", "best"]),
                 help="How often the network of every Segment node looks: 1, 3 or 4 times."),
    click.option("--device", help="Device for every Segment node; see 'qr-nodes devices'."),
    click.option("--require-gpu", is_flag=True, help="Fail rather than work on the CPU."),
)  # fmt: skip
"""What changes a graph before it runs: `run`, `remove`, `watch`, `serve`."""

RESULTS = (
    click.option("--format", "suffix", default="", metavar="ENDING",
                 help="Format where the output has no name of its own; png by default."),
    click.option("--name", default="", metavar="TEMPLATE",
                 help="What results are called, as in '{stem}-cutout{ext}'. "
                 "Fields: stem, folder, source, node, ext."),
    click.option("--pattern", "patterns", multiple=True, metavar="TEXT",
                 help="Of folders, take what fits, as in '*.jpg'. Repeatable."),
    click.option("--exclude", multiple=True, metavar="TEXT",
                 help="Of folders, leave out what fits, as in 'rejects'. Repeatable."),
    click.option("--overwrite", is_flag=True,
                 help="Replace files that the program has not made, or that were changed since."),
    click.option("--no-edits", is_flag=True, help="Ignore .qredit files beside the pictures."),
    click.option("--no-cache", is_flag=True,
                 help="Neither use nor keep what the network said before."),
    click.option("--on-error", type=click.Choice(["skip", "stop"]), default="skip",
                 show_default=True, help="Go on after a picture that failed, or stop."),
    click.option("--report", metavar="FILE", help="Write what came of each picture (.json, .csv)."),
    click.option("-j", "--jobs", type=click.IntRange(1, 64),
                 help="Pictures to work on side by side; by default one for each core."),
    click.option("--memory", metavar="SIZE",
                 help="What the program should stay within, as in 4G; by default half of all. "
                 "A picture that needs more is done alone."),
)  # fmt: skip
"""What becomes of pictures: `run`, `remove`, `watch`."""

ONCE = (
    click.option("-o", "--output", metavar="PATH",
                 help="File to write; a folder for several inputs or a folder of them; - for "
                 "standard output."),
    *NETWORKS,
    *RESULTS,
    click.option("--again", is_flag=True, help="Do what is done and current once more."),
    click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing."),
    click.option("--scheduler", metavar="ADDRESS",
                 help="Run on a Dask cluster, as in tcp://HOST:8786, or 'local' for a try."),
    click.option("--workers", type=click.IntRange(1, 64),
                 help="Processes of --scheduler local; by default one for each core."),
    click.option("--json", "as_json", is_flag=True, help="Print a report as JSON."),
    click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
)  # fmt: skip
"""All that `run` and `remove` share."""


def with_options(options: tuple[Callable, ...]) -> Callable:
    """Return a decorator that adds options to a command, in this order."""

    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add
