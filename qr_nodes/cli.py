"""The command line: commands, progress, and errors as one line each.

Exit codes: 0 all is done; 1 something failed, each failure has its line; 2 the command itself
was wrong; 130 stopped by Ctrl+C, 143 by SIGTERM. Results go to standard output, everything said
about them to standard error.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from qr_nodes import __version__
from qr_nodes.cli_many import asked, graph_name, names_folder, run_many, say
from qr_nodes.cli_nodes import nodes, table
from qr_nodes.cli_options import ONCE, with_options
from qr_nodes.cli_service import serve, watch
from qr_nodes.errors import ModelError, QrNodesError, ReadError, UnreadWarning
from qr_nodes.signals import ENDS, exit_code, handled, stop


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; give its exit code."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(message, category, *where, **rest):
            if issubclass(category, UnreadWarning):
                say(str(message))
            else:
                shown(message, category, *where, **rest)

        warnings.showwarning = show
        return _main(arguments)


def _main(arguments: list[str] | None) -> int:
    try:
        with handled(stop, ENDS):
            return cli.main(arguments, prog_name="qr-nodes", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:  # before any command had begun
        return _stopped(error.__cause__ or error)
    except QrNodesError as error:
        if os.environ.get("QR_NODES_DEBUG"):
            raise
        say(str(error))
        return 2 if error.where.startswith("--") else error.exit_code
    except ImportError as error:
        if os.environ.get("QR_NODES_DEBUG"):
            raise
        system = "libGL" in str(error) or "libg" in str(error)
        hint = "Try 'apt-get install libgl1 libglib2.0-0'."
        if not system:
            hint = "Install the program anew, from its folder or wheel, with all that it needs."
        say(f"A part of the program cannot be loaded: {error}. {hint}")
        return 1
    except BrokenPipeError:
        # Whoever read our output has left; nothing more can be said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("QR_NODES_DEBUG"):
            raise
        if isinstance(error, OSError) and error.filename is None:  # files that have one name it
            say(f"standard output: it cannot be written ({error.strerror}). Give it another place.")
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        say(f"{type(error).__name__}: {error}. Run with --debug, and tell the authors.")
        return 1


def _stopped(error: BaseException) -> int:
    say("\nStopped." if sys.stderr.isatty() else "Stopped.")  # behind the terminal's own ^C
    return exit_code(error)


class _Commands(click.Group):
    """The commands, with a word for who names a picture where a command belongs."""

    def resolve_command(self, context, arguments):
        try:
            return super().resolve_command(context, arguments)
        except click.UsageError as error:
            if os.path.exists(arguments[0]):
                name = shlex.quote(arguments[0])
                other = f"run {name} PICTURE" if ".qrgraph" in name else f"remove {name}"
                error.message = (
                    f"{name} is no command. To open it in the window: qr-nodes edit {name}\n"
                    f"To go on without a window: qr-nodes {other}"
                )
            raise

    def invoke(self, context):
        try:
            return super().invoke(context)
        except KeyboardInterrupt as error:  # here, as click would print an empty line
            return _stopped(error)


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s")
@click.option("--debug", is_flag=True, help="Show where in the program an error came from.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> int | None:
    """Cut subjects out of photographs with a graph of nodes. Everything stays on this machine.

    Without a command the window opens.
    """
    if debug:
        os.environ["QR_NODES_DEBUG"] = "1"
    return _window(None) if context.invoked_subcommand is None else None


cli.add_command(nodes)
cli.add_command(serve)
cli.add_command(watch)


@cli.command()
@click.argument("file", required=False)
def edit(file: str | None) -> int:
    """Open the window: on a graph, a preset by its name, a picture or a folder of pictures."""
    return _window(file)


def _window(file: str | None) -> int:
    from qr_nodes.ui.app import main as open_window

    return open_window(file)


# ---- pictures ------------------------------------------------------------------------------


@cli.command()
@click.argument("pictures", nargs=-1, required=True, metavar="PICTURE|FOLDER...")
@click.option(
    "-p",
    "--preset",
    default="standard",
    show_default=True,
    metavar="NAME",
    help="Preset, or .qrgraph file, to use.",
)
@with_options(ONCE)
def remove(pictures: tuple[str, ...], preset: str, **options) -> int:
    """Remove the background of pictures, or of all pictures in folders.

    Writes NAME-cutout.png beside each picture unless -o says otherwise; - reads standard input.
    Results of a folder go to FOLDER-cutout, with its tree. What is done and current is skipped.
    """
    return _run("remove", preset, pictures, **options)


@cli.command()
@click.argument("graph")
@click.option(
    "-i",
    "--input",
    "pictures",
    multiple=True,
    metavar="PICTURE",
    help="Picture for the Load node; - reads standard input. Repeatable.",
)
@click.argument("more", nargs=-1, metavar="[PICTURE|FOLDER]...")
@with_options(ONCE)
def run(graph: str, pictures: tuple[str, ...], more: tuple[str, ...], **options) -> int:
    """Run a .qrgraph file, or a preset by its name, over pictures or folders of pictures.

    Without a picture the files named in the graph are used. Results of a folder go to -o, with its
    tree. What is done and current is skipped.
    """
    return _run(f"run {shlex.quote(graph)}", graph, pictures + more, **options)


def _run(
    command,
    graph_file,
    pictures,
    *,
    output,
    settings,
    model,
    quality,
    device,
    require_gpu,
    suffix,
    no_cache,
    as_json,
    quiet,
    **many,
) -> int:
    from qr_nodes import kinds
    from qr_nodes.imaging.image_io import format_of
    from qr_nodes.qrgraph import is_preset

    if as_json and output == "-":
        raise click.UsageError("The picture and the report cannot both go to standard output.")
    if quiet:
        warnings.simplefilter("ignore", UnreadWarning)
    with asked():
        kinds.check_words(graph_file, pictures, output, is_preset)
        if output and Path(output).suffix and len(pictures) < 2 and not names_folder(output):
            format_of(output)
        graph = _asked_graph(graph_file, settings, model, quality, device, require_gpu)
    _check_paths(command, pictures, output, quiet)
    with _streams(graph, pictures, output, suffix) as (inputs, outputs):
        return run_many(
            graph,
            inputs,
            outputs,
            graph_name=graph_name(graph_file),
            cached=not no_cache,
            as_json=as_json,
            quiet=quiet or output == "-",
            format=suffix,
            **many,
        )


def _asked_graph(graph_file: str, settings, *networks):
    """Return the graph that a command asks for, or raise what is wrong with its words."""
    from qr_nodes import batch
    from qr_nodes.qrgraph import load_graph

    graph = batch.override(load_graph(graph_file), settings)
    return batch.for_networks(graph, *networks)


def _check_paths(command: str, pictures, output: str | None, quiet: bool) -> None:
    """Raise UsageError, with the command that was meant, where paths do not say what they seem to.

    One file is named for several pictures; or a result as if it were a second picture.
    """
    from qr_nodes.batch.find import is_picture

    folders = list(filter(os.path.isdir, pictures))
    if "-" in pictures and len(pictures) > 1:
        raise click.UsageError("Standard input is one picture: name no other beside it.")
    if output == "-" and folders:
        raise click.UsageError("A folder goes to a folder, not to standard output.")
    if output == "-" and len(pictures) > 1:
        raise click.UsageError("Only one picture can go to standard output.")
    if output not in (None, "-"):
        file = is_picture(output) and not names_folder(output)
        if file and (folders or len(pictures) > 1):
            folder = shlex.quote(os.path.splitext(output)[0] + "/")
            shown = " ".join(map(shlex.quote, pictures[:3])) + " …" * (len(pictures) > 3)
            raise click.UsageError(
                f"{output} names one file, and there may be several results. To put them into a "
                f"folder: qr-nodes {command} {shown} -o {folder}"
            )
    elif output is None and len(pictures) == 2 and not folders:
        first, second = map(shlex.quote, pictures)
        meant = f"To write the result of {first} there: qr-nodes {command} {first} -o {second}"
        if is_picture(pictures[1]) and not os.path.exists(pictures[1]):
            raise click.UsageError(f"{second}: there is no such picture. {meant}")
        endings = [os.path.splitext(name)[1].lower() for name in pictures]
        if endings[0] != endings[1] == ".png" and not quiet:
            say(f"{second} is taken for a second picture. {meant}")


@contextmanager
def _streams(graph, pictures, output: str | None, suffix: str) -> Iterator[tuple]:
    """Put files in the place of - ; what was written to one goes to standard output in the end."""
    pictures, output = list(pictures), "-" if output is None and "-" in pictures else output
    if "-" not in pictures and output != "-":
        yield pictures, [] if output is None else [output]
        return
    with tempfile.TemporaryDirectory(prefix="qr-nodes-") as folder:
        if "-" in pictures:
            given = Path(folder, "standard input")
            given.write_bytes(_standard_input())
            pictures = [str(given) if name == "-" else name for name in pictures]
        if output != "-":
            yield pictures, [output]
            return
        from qr_nodes.batch import names_file
        from qr_nodes.batch.ledger import HIDDEN

        taken = Path(folder, f"standard output.{(suffix or 'png').lower().lstrip('.')}")
        if lost := [id for id, file in names_file(graph, str(taken)).items() if folder in file][1:]:
            raise click.UsageError(
                f"Only one result can go to standard output: name a file for {', '.join(lost)} "
                f"with --set {lost[0]}.path=FILE."
            )
        Path(folder, HIDDEN).mkdir()  # so that nothing is recorded elsewhere
        yield pictures, [str(taken)]
        if taken.exists():
            sys.stdout.buffer.write(taken.read_bytes())
            sys.stdout.buffer.flush()


def _standard_input() -> bytes:
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        what = f"it cannot be read ({error.strerror})."
        raise ReadError(what, "standard input", "Name a file, or give it one.") from error


# ---- looking -------------------------------------------------------------------------------


@cli.command()
@click.argument("graph")
def check(graph: str) -> int:
    """Check a .qrgraph file: every fault gets a line with its node and what to do.

    All that can be known before it runs, names that nobody reads among it. Files in the graph's
    folder count: what it reads must be there and of fitting sizes, what it writes be possible.
    """
    from qr_nodes import preflight
    from qr_nodes.qrgraph import find_file, inspect

    found, faults = inspect(graph)
    path = find_file(graph)
    file, more = path.name, preflight.faults(found, path.parent)
    lines = [str(fault) for fault in faults] + [f"{file}: {fault}" for fault in more]
    for line in dict.fromkeys(lines):
        say(line)
    if not lines:
        click.echo(f"{file}: {len(found.nodes)} nodes, {len(found.links)} links, no fault.")
    return 1 if lines else 0


# ---- models and devices --------------------------------------------------------------------


@cli.group()
def models() -> None:
    """List, fetch, add, remove and check the networks that find subjects."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def models_list(as_json: bool) -> None:
    """List the models: whether they are here, how large they are, what their licence allows."""
    from qr_nodes.inference import store

    entries = store.inventory()
    if as_json:
        import msgspec

        rows = [msgspec.to_builtins(e.model) | {"state": e.state} for e in entries]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    rows = [
        (m.name, state, _size(m.bytes), m.commercial, _origin(m), m.licence)
        for m, state, _ in entries
    ]
    head = ("model", "state", "size", "commercial use", "file comes from", "licence of the weights")
    table(head, rows)


def _origin(model) -> str:
    """Say whose file is fetched first, who need not be the network's authors."""
    return model.sources[0].project if model.sources else "you, by 'models add'"


@models.command("get")
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
def models_get(names: tuple[str, ...]) -> None:
    """Fetch models; they are checked before they are used."""
    from qr_nodes.inference import registry, store

    with asked():
        models = {name: registry.find(name) for name in names}
    for name, model in models.items():
        if not store.is_here(name):
            say(f"{name}: from {_origin(model)}. {model.licence}")
        with _Bytes(name) as bar:
            path = store.fetch(name, bar)
        click.echo(path)


class _Bytes:
    """A bar of bytes on a terminal, nothing elsewhere."""

    def __init__(self, name: str):
        from tqdm import tqdm

        self.bar = tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=None, delay=0.3)
        self.told = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def __call__(self, done: int, total: int | None) -> None:
        if not self.told:  # what an earlier transfer brought is no gain of this one
            self.bar.initial = self.bar.n = self.bar.last_print_n = done
            self.told = True
        self.bar.total = total
        self.bar.update(done - self.bar.n)


@models.command("add")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--name", help="What to call it; the file's name by default.")
@click.option("--size", nargs=2, type=int, metavar="HEIGHT WIDTH", help="Input of the network, px.")
@click.option("--mean", nargs=3, type=float, help="Taken off each channel.")
@click.option("--std", nargs=3, type=float, help="Each channel is divided by it.")
@click.option(
    "--divide",
    type=click.Choice(["image max", "255", "none"]),
    help="What pixels are divided by first.",
)
@click.option(
    "--output", type=click.Choice(["matte", "logits", "classes"]), help="What the network gives."
)
@click.option("--stretch/--no-stretch", default=None, help="Spread the matte over 0 to 1.")
@click.option("--licence", help="Licence of its weights, for the list.")
def models_add(file: str, name: str | None, **settings) -> None:
    """Add an ONNX model of your own. What is not set is guessed by trying it on a drawn picture."""
    from qr_nodes import kinds
    from qr_nodes.inference import store

    if (kind := kinds.kind_of(file)) not in ("model", ""):
        with asked():
            hint = kinds.instead(file, kind)
            raise ModelError(f"{kinds.CALLED[kind]}, not a model.", file, hint)
    known = {key: value for key, value in settings.items() if value is not None}
    model = store.add(file, name, **known)
    mean, std = (" ".join(f"{value:g}" for value in triple) for triple in (model.mean, model.std))
    about = f"{model.size[0]} × {model.size[1]} px, divided by {model.divide}, mean {mean}"
    click.echo(f"{model.name}: {about}, std {std}, gives {model.output}")
    if model.guessed:
        fed = f"--mean {mean} --std {std} --divide {shlex.quote(model.divide)}"
        click.echo(f"Guessed: {', '.join(model.guessed)}; {_found(model.found)}.")
        click.echo(f"If its cut-outs are wrong, add it again with others than {fed}")
    click.echo(f"Use it with: qr-nodes remove --model {model.name} PICTURE")


def _found(share: float) -> str:
    """Say how sure a guess is, by how much of a drawn subject was found."""
    if share >= 0.9:
        return f"so fed it finds a drawn subject ({100 * share:.0f} % right)"
    return f"NOT SURE: no usual way makes it find a drawn subject well ({100 * share:.0f} % right)"


@models.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="MODEL...")
def models_remove(names: tuple[str, ...]) -> None:
    """Remove weights that were fetched or added; models of your own leave the list as well."""
    from qr_nodes.inference import store

    for file, bytes in store.remove(names):
        click.echo(f"Removed {file}: {_size(bytes)} freed.")


@models.command("verify")
@click.argument("names", nargs=-1, metavar="[MODEL]...")
def models_verify(names: tuple[str, ...]) -> int:
    """Check weights against their checksums: those named, or all that are here."""
    from qr_nodes.inference import registry, store

    faults = 0
    with asked():
        for name in names:
            registry.find(name)
    for name in names or [name for name in registry.models() if store.is_here(name)]:
        try:
            click.echo(f"{name}: whole, {store.verify(name)}")
        except QrNodesError as error:
            say(str(error))
            faults += 1
    return 1 if faults else 0


@cli.command()
@click.option(
    "--benchmark",
    "model",
    is_flag=False,
    flag_value="u2netp",
    metavar="[MODEL]",
    help="Time a network on each device.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def devices(model: str | None, as_json: bool) -> None:
    """List what can run networks here, and why the rest cannot."""
    from qr_nodes.inference import devices as found
    from qr_nodes.inference import registry

    if model:
        with asked():
            registry.find(model)
    auto = found.pick("auto")
    rows = []
    for device in found.devices():
        state = device.reason or ("chosen by auto" if device == auto else "can run")
        row = {"device": device.name, "kind": device.kind, "state": state}
        if model:
            row["seconds"] = _timed(device, model) if device.available else ""
        rows.append(row)
    if as_json:
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        table(tuple(rows[0]), [tuple(row.values()) for row in rows])


def _timed(device, name: str) -> str:
    from qr_nodes.inference import registry, session, store

    try:
        return f"{session.benchmark(registry.find(name), store.fetch(name), device):.3f}"
    except QrNodesError as error:
        return str(error)


def _size(bytes: int | None) -> str:
    return "" if bytes is None else f"{bytes / 1e6:.1f} MB"
