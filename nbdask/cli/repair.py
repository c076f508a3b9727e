"""``nbdask repair``: missing and corrupt tiles are computed again."""

from __future__ import annotations

import json

import click

from nbdask.cli.faults import bar, say_faults
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Whole
from nbdask.cli.tables import show
from nbdask.errors import counted


@click.command(name="repair", cls=GroupedCommand)
@click.argument("store")
@click.option("--threads", type=Whole(min=1), help="Threads [default: one per core].")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print what was mended as JSON.")
def command(store: str, threads: int | None, quiet: bool, as_json: bool) -> int:
    """Compute the missing and corrupt tiles of STORE again, and bring its statistics up to date."""
    from nbdask.verification import repair

    with bar("repairing", quiet) as progress:
        done = repair(store, threads=threads, progress=progress)
    if as_json:
        faults = [{"tile": f.index, "kind": f.kind, "reason": f.reason} for f in done.faults]
        found = {"store": str(done.path), "repaired": faults, "metadata": list(done.mended)}
        click.echo(json.dumps(found, indent=2))
    elif not quiet:
        say_faults(done.faults)
        for name in done.mended:
            click.echo(f"the metadata of {name} were not those that were written: written again")
        for remark in done.altered:
            show(remark)
        truth = ", truth written" if done.truth else ""
        text = f"{done.path}: {counted(len(done.faults), 'tile')} computed again{truth}, complete"
        if done.altered:
            text += "; what was altered cannot be mended: take a copy, or simulate again"
        show(text)
    return 1 if done.altered else 0
