"""Commands that go on until they are stopped: `serve` and `watch`."""

from __future__ import annotations

import contextlib
import json

import click

from qr_nodes import names, resources
from qr_nodes.cli_many import asked, graph_name, say, size
from qr_nodes.cli_options import NETWORKS, RESULTS, with_options
from qr_nodes.errors import QrNodesError


def _missing(error: ImportError, extra: str) -> QrNodesError:
    hint = f"Run: {resources.install_command(extra)}"
    return QrNodesError(f"the package {error.name} is not here.", f"qr-nodes {extra}", hint)


@click.command()
@click.argument("graphs", nargs=-1, metavar="[GRAPH]...")
@with_options(NETWORKS)
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
def serve(
    graphs, settings, model, quality, device, require_gpu, host, port, names, at_once, queue,
    seconds, max_mb, max_mp,
) -> None:  # fmt: skip
    """Answer over HTTP: a picture and a preset's name in, the cut-out back.

    The presets that came with the program are there, and each GRAPH: a .qrgraph file, or a preset
    of your own by its name. What is set here holds for each of them that has such a node.
    """
    try:
        import python_multipart  # noqa: F401

        from qr_nodes import serve as service
    except ImportError as error:
        raise _missing(error, "serve") from error
    networks = {"model": model, "quality": quality, "device": device}
    with asked():
        presets = service.presets(graphs, settings, require_gpu=require_gpu, **networks)
    service.fetch_models(presets, say)
    limits = service.Limits(int(max_mb * 1e6), max_mp * 1e6, at_once, queue, seconds)
    service.serve(presets, host, port, limits, names, say)


@click.command()
@click.argument("graph")
@click.argument("inbox")
@click.option("-o", "--output", required=True, metavar="FOLDER", help="Folder for results.")
@with_options((*NETWORKS, *RESULTS))
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
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each picture.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def watch(graph, inbox, output, settings, model, quality, device, require_gpu, **how) -> int:
    """Do every picture that lies in the folder INBOX, and those that come, until it is stopped.

    A picture is taken up once it has stopped growing. What is done and current is skipped, also
    after a crash; what failed is tried again when it changes.
    """
    from qr_nodes import batch
    from qr_nodes.batch.many import budget
    from qr_nodes.batch.report import Report, about
    from qr_nodes.qrgraph import load_graph
    from qr_nodes.watch import watch as watch_folder

    as_json, quiet, file = how["as_json"], how["quiet"], how["report"]
    jobs, memory = how["jobs"] or batch.default_jobs(), size(how["memory"])
    with asked():
        changed = batch.override(load_graph(graph), settings)
        changed = batch.for_networks(changed, model, quality, device, require_gpu)
    engine = batch.cli_engine(cached=not how["no_cache"], lanes=jobs)
    with contextlib.ExitStack() as stack:
        stack.callback(engine.close)
        one = batch.Batch(
            changed,
            output,
            [inbox],
            engine=engine,
            name=how["name"],
            format=how["suffix"],
            overwrite=how["overwrite"],
            edits=not how["no_edits"],
        )
        shown = graph_name(graph)
        report = (
            stack.enter_context(Report(file, changed.order, about(changed, shown)))
            if file
            else None
        )

        def tell(line: str, level: str, result: batch.Result | None = None) -> None:
            if result is not None and report is not None:
                report.add(result)
            if result is not None and as_json:
                click.echo(json.dumps(result.as_json()))
            if line and (level == "error" or not (quiet or (as_json and level == "result"))):
                click.echo(names.shown(line), err=level != "result")

        failed = watch_folder(
            one,
            inbox,
            room=batch.Room(budget(changed, memory)),
            jobs=jobs,
            patterns=how["patterns"],
            exclude=how["exclude"],
            settle=how["settle"],
            every=how["every"],
            events=not how["no_events"],
            on_error=how["on_error"],
            tell=tell,
        )
    if not quiet:
        say("Stopped.")
    return 1 if failed else 0
