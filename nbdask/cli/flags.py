"""``nbdask flags``: the nanoBragg flags, from the one table."""

from __future__ import annotations

import json

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.tables import width
from nbdask.errors import InputError
from nbdask.flags import flag_values, help_text


@click.command(name="flags", cls=GroupedCommand)
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--json", "as_json", is_flag=True, help="Print the whole table as JSON.")
def command(words: tuple[str, ...], as_json: bool) -> None:
    """List the nanoBragg flags with values, unit, default and meaning.

    With WORDs, only those that have to do with all of them: nbdask flags beam centre.
    """
    if as_json:
        click.echo(json.dumps(flag_values(), indent=1))
        return
    text = help_text(words, width())
    if not text:
        raise InputError(f"no flag has to do with {' '.join(words)}: nbdask flags lists all")
    click.echo(text)
