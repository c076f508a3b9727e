"""``nbdask pyramid``: coarser levels of a store's image, for looking at it."""

from __future__ import annotations

import click

from nbdask.cli.faults import bar
from nbdask.cli.numbers import Whole


@click.command(name="pyramid")
@click.argument("store")
@click.option(
    "--kind",
    type=click.Choice(["both", "max", "mean"]),
    default="both",
    show_default=True,
    help="Pixels of a level: the brightest of four, which keeps spots in sight, or their mean.",
)
@click.option("--threads", type=Whole(min=1), help="Threads [default: one per core].")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(store: str, kind: str, threads: int | None, quiet: bool) -> None:
    """Add coarser levels of the image to STORE, or those of them that are missing.

    The store then opens as OME-Zarr 0.5, and preview and view are quick however large it is.
    Each kind adds about a third to the size of the store.
    """
    from nbdask.derive.pyramid import build_pyramid

    kinds = ("max", "mean") if kind == "both" else (kind,)
    with bar("building", quiet) as progress:
        made = build_pyramid(store, kinds=kinds, threads=threads, progress=progress)
    if quiet:
        return
    if not made.shapes:
        click.echo(f"{made.path}: the image is so small that it needs no coarser levels")
        return
    slow, fast = made.shapes[-1]
    text = (
        f"{made.path}: {len(made.shapes)} levels ({', '.join(made.kinds)}) down to {slow} x {fast}"
        f" pixels, {made.built} chunks built"
    )
    if made.missing:
        text += f", {made.missing} wait for tiles that are not computed yet"
    click.echo(text)
