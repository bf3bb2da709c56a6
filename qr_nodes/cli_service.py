"""Commands that go on until they are stopped: `serve` and `watch`."""

from __future__ import annotations

import click

from qr_nodes import resources
from qr_nodes.cli_many import SETTINGS, asked, say, size
from qr_nodes.errors import QrNodesError


def _missing(error: ImportError, extra: str) -> QrNodesError:
    hint = f"Run: {resources.install_command(extra)}"
    return QrNodesError(f"the package {error.name} is not here.", f"qr-nodes {extra}", hint)


@click.command()
@click.argument("graphs", nargs=-1, metavar="[GRAPH]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port; 0 takes one that is free.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Host name that clients call this machine by, if not its address. Repeatable.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Pictures worked on at a time.",
)
@click.option(
    "--queue",
    type=click.IntRange(0, 1000),
    default=8,
    show_default=True,
    help="Requests that may wait; more are told to come back.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 86400),
    default=120,
    show_default=True,
    help="Longest that a request may take.",
)
@click.option(
    "--max-mb",
    type=click.FloatRange(0.001, 10000),
    default=64,
    show_default=True,
    help="Largest file, MB.",
)
@click.option(
    "--max-mp",
    type=click.FloatRange(0.001, 10000),
    default=50,
    show_default=True,
    help="Largest picture, megapixels.",
)
def serve(graphs, host, port, names, at_once, queue, seconds, max_mb, max_mp) -> None:
    """Answer over HTTP: a picture and a preset's name in, the cut-out back.

    The presets that came with the program are there, and each GRAPH: a .qrgraph file, or a preset
    of your own by its name.
    """
    try:
        import python_multipart  # noqa: F401

        from qr_nodes import serve as service
    except ImportError as error:
        raise _missing(error, "serve") from error
    with asked():
        presets = service.presets(graphs)
    service.fetch_models(presets, say)
    limits = service.Limits(int(max_mb * 1e6), max_mp * 1e6, at_once, queue, seconds)
    service.serve(presets, host, port, limits, names, say)


@click.command()
@click.argument("graph")
@click.argument("inbox")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Folder for results.")
@SETTINGS
@click.option("--format", default="", metavar="ENDING", help="Format of results; png by default.")
@click.option("--name", default="", metavar="TEMPLATE", help="What results are called: see 'run'.")
@click.option("--pattern", "patterns", multiple=True, metavar="TEXT", help="Take what fits only.")
@click.option("--exclude", multiple=True, metavar="TEXT", help="Leave out what fits.")
@click.option("--overwrite", is_flag=True, help="Replace files that were not made there.")
@click.option("--no-edits", is_flag=True, help="Ignore .qredit files beside the pictures.")
@click.option("--no-cache", is_flag=True, help="Neither use nor keep what the network said.")
@click.option(
    "--settle",
    type=click.FloatRange(0.05, 3600),
    default=2,
    show_default=True,
    help="Seconds that a picture must not have changed.",
)
@click.option(
    "--every",
    type=click.FloatRange(0.1, 86400),
    default=30,
    show_default=True,
    help="Seconds from one look through the folder to the next, beside the system's events.",
)
@click.option(
    "--no-events",
    is_flag=True,
    help="Only look, every so often: for network folders, which often tell nothing.",
)
@click.option("-j", "--jobs", type=click.IntRange(1, 64), help="Pictures side by side: see 'run'.")
@click.option("--memory", metavar="SIZE", help="What the program should stay within: see 'run'.")
def watch(graph, inbox, output, settings, patterns, exclude, **options) -> None:
    """Do every picture that lies in the folder INBOX, and those that come, until it is stopped.

    A picture is taken up once it has stopped growing. What is done and current is skipped, also
    after a crash; what failed is tried again when it changes.
    """
    from qr_nodes import batch
    from qr_nodes.batch.many import budget
    from qr_nodes.qrgraph import load_graph
    from qr_nodes.watch import watch as watch_folder

    with asked():
        changed = batch.override(load_graph(graph), settings)
    jobs, memory = options["jobs"] or batch.default_jobs(), size(options["memory"])
    engine = batch.cli_engine(cached=not options["no_cache"], lanes=jobs)
    try:
        one = batch.Batch(
            changed,
            output,
            [inbox],
            engine=engine,
            name=options["name"],
            format=options["format"],
            overwrite=options["overwrite"],
            edits=not options["no_edits"],
        )
        watch_folder(
            one,
            inbox,
            room=batch.Room(budget(changed, memory)),
            jobs=jobs,
            patterns=patterns,
            exclude=exclude,
            settle=options["settle"],
            every=options["every"],
            events=not options["no_events"],
            tell=lambda line, wrong: click.echo(line, err=wrong),
        )
        say("Stopped.")
    finally:
        engine.close()
