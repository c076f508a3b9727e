"""``nbdask pyramid``: coarser levels of a store's image, for looking at it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from nbdask.cli.faults import bar
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.options import cluster_options
from nbdask.cli.running import say, say_notes
from nbdask.cli.startup import how_ended


@click.command(name="pyramid", cls=GroupedCommand, own=("shots",))
@click.argument("store")
@click.option(
    "--kind",
    type=click.Choice(["both", "max", "mean"]),
    default="both",
    show_default=True,
    help="Pixels of a level: the brightest of four, which keeps spots visible, or their mean.",
)
@click.option(
    "--rebuild", is_flag=True, help="Build all of it again, such as one of an earlier layout."
)
@click.option(
    "--shots",
    metavar="FIRST:END[:STEP]",
    help="Build levels of these shots of a series only, END not included [default: of all].",
)
@cluster_options
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    store: str,
    kind: str,
    rebuild: bool,
    shots: str | None,
    as_json: bool,
    quiet: bool,
    **where: Any,
) -> None:
    """Add coarser levels of the image to STORE, or the missing ones.

    preview and view are then fast at any size, and pyramid/max and pyramid/mean in the store open
    as OME-Zarr 0.5.
    Each kind adds about a third to the size of the store.
    """
    from nbdask.derive.over_shots import parse_shots
    from nbdask.derive.pyramid import build_pyramid
    from nbdask.store.reader import StoreReader

    kinds = ("max", "mean") if kind == "both" else (kind,)
    chosen = None if shots is None else parse_shots(shots, StoreReader(store))
    try:
        with bar("building", quiet) as progress:
            made = build_pyramid(
                store, kinds=kinds, rebuild=rebuild, shots=chosen, progress=progress, **where
            )
    except KeyboardInterrupt as error:
        word, code = how_ended(error)
        again = "the same command" + (" without --rebuild" if rebuild else "")
        say(f"{word}; {again} builds what is missing")
        ctx.exit(code)
    if quiet:
        return
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(made) | {"path": str(made.path)}, indent=2))
        return
    if not made.shapes:
        click.echo(f"{made.path}: the image needs no coarser levels")
        return
    slow, fast = made.shapes[-1]
    text = (
        f"{made.path}: {len(made.shapes)} levels ({', '.join(made.kinds)}) down to {slow} x {fast}"
        f" pixels, {made.built} chunks built"
    )
    if made.missing:
        text += f", {made.missing} wait for tiles that are not computed yet"
    click.echo(text)
    if made.earlier:
        say_notes(
            [
                "the pyramid has an earlier layout, which nbdask reads and xarray.open_datatree"
                f" does not: nbdask pyramid {made.path} --rebuild builds it anew"
            ]
        )
