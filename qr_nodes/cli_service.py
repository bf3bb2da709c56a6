"""Commands that go on until they are stopped: `serve`."""

from __future__ import annotations

import click

from qr_nodes.errors import QrNodesError


def _say(text: str) -> None:
    click.echo(text, err=True)


def _missing(error: ImportError, extra: str) -> QrNodesError:
    hint = f"Run: pip install 'qr-nodes[{extra}]'"
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
    presets = service.presets(graphs)
    service.fetch_models(presets, _say)
    limits = service.Limits(int(max_mb * 1e6), max_mp * 1e6, at_once, queue, seconds)
    service.serve(presets, host, port, limits, names, _say)
