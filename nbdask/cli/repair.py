"""``nbdask repair``: missing and corrupt tiles are computed again."""

from __future__ import annotations

import click

from nbdask.cli.faults import bar, say_faults
from nbdask.cli.numbers import Whole


@click.command(name="repair")
@click.argument("store")
@click.option("--threads", type=Whole(min=1), help="Threads [default: one per core].")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(store: str, threads: int | None, quiet: bool) -> int:
    """Compute the missing and corrupt tiles of STORE again, and bring its statistics up to date."""
    from nbdask.verification import repair

    with bar("repairing", quiet) as progress:
        done = repair(store, threads=threads, progress=progress)
    if not quiet:
        say_faults(done.faults)
        click.echo(f"{done.path}: {len(done.faults)} tiles computed again, complete")
    return 0
