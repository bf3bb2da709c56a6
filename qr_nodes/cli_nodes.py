"""The command `nodes`: what nodes there are, what one does, and nodes of one's own."""

from __future__ import annotations

import json

import click

from qr_nodes.cli_many import asked, say

TEMPLATE = '''"""@TITLE@: one line that says what the node does."""

from typing import Annotated

import numpy as np

from qr_nodes.node import Job, Param, node
from qr_nodes.types import Cutout


# The file, the function and the node are called the same. What stands before the * are inputs
# (Cutout or Mask; optional with "= None"), what stands behind are parameters, each with a default.
# Raise `version` whenever the same inputs would give other pixels.
@node("@TITLE@", category="Own", version=1)
def @ID@(
    cutout: Cutout,
    *,
    amount: Annotated[float, Param(0, 100, unit="%")] = 50.0,
    job: Job = Job(),
) -> Cutout:
    """Make the matte fainter by an amount.

    Parameters
    ----------
    cutout : Cutout
        Cut-out to change: `color` (H, W, 3) uint8, uint16 or float32, straight, and `alpha`
        (H, W) float32 in [0, 1]. Neither may be written to.
    amount : float
        How much is taken away. This sentence is the tooltip.
    """
    job.checkpoint()  # every few ms: raises if nobody wants the result any more
    return cutout.with_alpha(cutout.alpha * np.float32(1 - amount / 100))
'''
"""A node that works, to begin with."""


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--folder", is_flag=True, help="Print the folder for nodes of your own.")
@click.option("--new", metavar="NAME", help="Write a node to begin with into that folder.")
def nodes(name: str | None, as_json: bool, folder: bool, new: str | None) -> None:
    """List the nodes, or describe one with its parameters.

    Files in your own folder, and installed packages, bring nodes too. What cannot be used is said.
    """
    from qr_nodes.nodes import all_specs, faults, find_called, own_folder

    if folder:
        click.echo(own_folder())
        return
    if new is not None:
        with asked():
            click.echo(_begin(new))
        return
    with asked():
        specs = [find_called(name)] if name else all_specs()
    if as_json:
        click.echo(json.dumps([_node_json(spec) for spec in specs], indent=1, ensure_ascii=False))
    elif name:
        click.echo(_describe(specs[0]))
    else:
        rows = [(s.category, s.id, s.title, s.doc.partition("\n")[0]) for s in specs]
        table(("category", "node", "title", "what it does"), sorted(rows))
    for fault in faults() if name is None else ():
        say(str(fault))


def _begin(id: str) -> str:
    """Write a node file that works; return its path."""
    from qr_nodes.errors import ParamError, WriteError
    from qr_nodes.nodes import names, own_folder

    if not (id.isidentifier() and id.isascii() and id == id.lower()) or id.startswith("_"):
        hint = "Use small letters, digits and _, as in my_outline."
        raise ParamError(f"{id!r} cannot name a node.", "--new", hint)
    if id in names():
        raise ParamError(f"there is a node {id!r} already.", "--new", "Use another name.")
    path = own_folder() / f"{id}.py"
    title = id.replace("_", " ").title()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.replace("@ID@", id).replace("@TITLE@", title))
    except OSError as error:
        what = f"it cannot be written ({error.strerror})."
        raise WriteError(what, str(path), "Change the folder's permissions.") from error
    return str(path)


def _node_json(spec) -> dict:
    from qr_nodes.node import socket_name

    return {
        "id": spec.id,
        "title": spec.title,
        "category": spec.category,
        "version": spec.version,
        "doc": spec.doc,
        "inputs": {n: socket_name(k) for n, k in spec.inputs.items()},
        "optional": sorted(spec.optional),
        "outputs": {n: socket_name(k) for n, k in spec.outputs.items()},
        "params": {name: spec.describe(name) for name in spec.params},
    }


def _describe(spec) -> str:
    from qr_nodes.node import socket_name

    lines = [f"{spec.title} ({spec.id}, version {spec.version})", "", spec.doc, "", "inputs"]
    for name, kind in spec.inputs.items():
        optional = ", optional" if name in spec.optional else ""
        lines.append(
            f"  {name} ({socket_name(kind)}{optional})  {spec.help.get(name, '')}".rstrip()
        )
    lines += ["  none"] * (not spec.inputs) + ["", "outputs"]
    for name, kind in spec.outputs.items():
        lines.append(f"  {name} ({socket_name(kind)})  {spec.output_help.get(name, '')}".rstrip())
    lines += ["", "parameters"] + ["  none"] * (not spec.params)
    for name, param in spec.params.items():
        limits = ", ".join(map(str, param.choices)) if param.choices else param.limits
        about = f"{limits} {param.unit}".strip()
        default = json.dumps(param.default, ensure_ascii=False)
        lines.append(f"  {name} = {default}{f'  [{about}]' if about else ''}")
        lines.append(f"      {spec.help.get(name, '')}")
        lines += [f"        {field}: {text}" for field, text in param.fields.items()]
    return "\n".join(lines)


def table(head: tuple[str, ...], rows: list[tuple]) -> None:
    """Print rows in columns as wide as their longest entry."""
    text = [head, *[tuple(str(cell) for cell in row) for row in rows]]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    for row in text:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
