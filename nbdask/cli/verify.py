"""``nbdask verify``: a store against its own checksums."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.faults import bar, say_faults
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Whole
from nbdask.cli.options import cluster_options
from nbdask.cli.tables import show
from nbdask.errors import counted

if TYPE_CHECKING:
    from nbdask.verification import Verification


@click.command(name="verify", cls=GroupedCommand, own=("seed",))
@click.argument("store")
@click.option(
    "--recompute",
    type=Whole(min=0),
    default=0,
    metavar="N",
    help="Compute N tiles, drawn at random, again and compare every bit.",
)
@click.option("--seed", type=Whole(), default=0, show_default=True, help="Seed of the draw.")
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing; the exit code tells the outcome.")
def command(store: str, recompute: int, seed: int, as_json: bool, quiet: bool, **where: Any) -> int:
    """Read every tile of STORE and compare it with its checksum.

    The exit code is 0 where all is well, 1 where it is not.
    """
    from nbdask.verification import CORRUPT, DIFFERENT, MISSING, verify

    with bar("reading", quiet) as progress:
        found = verify(store, recompute, seed=seed, progress=progress, **where)
    if as_json:
        click.echo(json.dumps(_values(found), indent=2))
    elif not quiet:
        say_faults(found.faults)
        for remark in (*found.remarks, *found.altered):
            show(remark)
        for note in found.notes:
            show(f"note: {note}")
        text = f"{found.path}: {counted(found.tiles, 'tile')} read"
        if recompute:
            text += f", {found.recomputed} recomputed"
        counts = [(kind, found.count(kind)) for kind in (MISSING, CORRUPT, DIFFERENT)]
        text += "".join(f", {count} {kind}" for kind, count in counts if count)
        if found.ok:
            text += ", all well"
        elif found.count(DIFFERENT) < len(found.faults):
            text += f"; nbdask repair {store} computes missing and corrupt tiles again"
        if found.altered:
            text += "; what was altered cannot be mended: take a copy, or simulate again"
        show(text)
    return 0 if found.ok else 1


def _values(found: Verification) -> dict[str, Any]:
    """Return what was found, JSON-able."""
    return {
        "store": str(found.path),
        "ok": found.ok,
        "tiles": found.tiles,
        "recomputed": found.recomputed,
        "faults": [{"tile": f.index, "kind": f.kind, "reason": f.reason} for f in found.faults],
        "remarks": list(found.remarks),
        "altered": list(found.altered),
        "notes": list(found.notes),
    }
