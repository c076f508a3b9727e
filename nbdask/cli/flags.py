"""``nbdask flags``: the nanoBragg flags, from the one table."""

from __future__ import annotations

import click

from nbdask.flags import help_text


@click.command(name="flags")
def command() -> None:
    """List every nanoBragg flag with its values, unit, default and meaning."""
    click.echo(help_text())
