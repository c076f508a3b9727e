"""``nbdask preview``: a picture of a store's image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.startup import import_zarr
from nbdask.cli.tables import show

if TYPE_CHECKING:
    from nbdask.view.picture import Preview


@click.command(name="preview", cls=GroupedCommand, own=("log", "shots"))
@click.argument("store")
@click.option(
    "-o", "--output", required=True, metavar="FILE", help="Picture to write: .png, .svg or .pdf."
)
@click.option(
    "--roi",
    type=Whole(),
    nargs=4,
    metavar="S0 S1 F0 F1",
    help="First and last pixel to show, slow then fast [default: all].",
)
@click.option("--log/--linear", default=True, show_default=True, help="Scale of the colours.")
@click.option(
    "--percentile",
    type=Number(),
    metavar="P",
    help="Percentile of the pixels above 0 that gets the last colour [default: chosen].",
)
@click.option(
    "--range",
    "ends",
    type=Number(),
    nargs=2,
    metavar="LOW HIGH",
    help="Photons per pixel of the first and the last colour [default: chosen].",
)
@click.option(
    "--colormap", default="inferno", show_default=True, help="Any of matplotlib's colour maps."
)
@click.option("--resolution-rings", is_flag=True, help="Draw rings of resolution, beam centre.")
@click.option(
    "--spots",
    type=Whole(),
    default=0,
    metavar="N",
    help="Mark the N spots that stand out most with h k l.",
)
@click.option(
    "--downsample",
    type=click.Choice(["max", "mean"]),
    default="max",
    show_default=True,
    help="What a pixel of the picture shows of those that it stands for.",
)
@click.option(
    "--size",
    type=Whole(),
    default=1000,
    show_default=True,
    help="Longer side of the image [pixels].",
)
@click.option(
    "--axes",
    type=click.Choice(["pixels", "mm"]),
    default="pixels",
    show_default=True,
    help="Numbers along the axes.",
)
@click.option("--shot", type=Whole(0), metavar="N", help="Shot of a series [default: 0].")
@click.option(
    "--shots",
    metavar="FIRST:END[:STEP]",
    help="Shots of a series: a contact sheet of them; END is not included.",
)
@click.option("--sum", is_flag=True, help="Draw the sum of the shots [default: of all shots].")
@click.option("--max", is_flag=True, help="Draw each pixel's brightest value of them.")
@click.option("--overwrite", is_flag=True, help="Replace an existing picture.")
@click.option("--json", "as_json", is_flag=True, help="Print scale and spots as JSON.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(store: str, output: str, **options: Any) -> None:
    """Draw a picture of STORE, finished or not; tiles that are not computed yet are grey."""
    import_zarr()
    from nbdask.view.picture import preview
    from nbdask.view.style import Style

    style = Style(
        log=options["log"],
        percentile=options["percentile"],
        ends=options["ends"],
        colormap=options["colormap"],
        rings=options["resolution_rings"],
        spots=options["spots"],
        downsample=options["downsample"],
        size=options["size"],
        axes=options["axes"],
    )
    made = preview(
        store,
        output,
        roi=options["roi"],
        style=style,
        overwrite=options["overwrite"],
        shots=_shots(store, options),
        over=_over(options),
    )
    if options["quiet"]:
        return
    if options["as_json"]:
        click.echo(json.dumps(_values(made), indent=2))
        return
    low, high = made.contrast
    text = f"{made.path}: colours from {low:.3g} to {high:.3g} {made.unit} per pixel"
    if not made.bright:
        text = f"{made.path}: no pixel above 0"
    if made.factor > 1:
        text += f", {options['downsample']} of {made.factor} x {made.factor} pixels"
    if made.missing:
        text += f", {made.missing:.1%} not computed yet (grey)"
    click.echo(text)
    for spot, label in zip(made.spots, made.labels, strict=True):
        where = f"spot at slow {spot.slow}, fast {spot.fast}"
        show(f"{where}: {spot.photons:.6g} {made.unit}, {label}")


def _values(made: Preview) -> dict[str, Any]:
    low, high = made.contrast
    spots = zip(made.spots, made.labels, strict=True)
    return {
        "picture": str(made.path),
        "slow": [made.region.slow0, made.region.slow1],
        "fast": [made.region.fast0, made.region.fast1],
        "factor": made.factor,
        "low": low,
        "high": high,
        "unit": made.unit,
        "missing": made.missing,
        "spots": [{**spot._asdict(), "label": label} for spot, label in spots],
    }


def _over(options: dict[str, Any]) -> Literal["sum", "max"] | None:
    """Return how shots are put on top of one another; None: they are not."""
    if options["sum"] and options["max"]:
        raise click.UsageError("--sum and --max: give one of them")
    return "sum" if options["sum"] else "max" if options["max"] else None


def _shots(store: str, options: dict[str, Any]) -> range | None:
    """Return the shots that are meant; None: what is drawn without a choice."""
    from nbdask.derive.over_shots import parse_shots
    from nbdask.store.reader import StoreReader

    shot, shots, over = options["shot"], options["shots"], _over(options)
    if shot is not None and (shots is not None or over is not None):
        other = "--shots" if shots is not None else f"--{over}"
        raise click.UsageError(f"--shot and {other}: give one of them")
    if shot is not None:
        StoreReader(store).checked_shot(shot)
        return range(shot, shot + 1)
    return None if shots is None else parse_shots(shots, StoreReader(store))
