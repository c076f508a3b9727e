"""``nbdask truth``: what is true of a store's images, without looking at its pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nbdask.cli import tables
from nbdask.cli.faults import bar
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.outputs import check_distinct
from nbdask.errors import InputError, StoreError
from nbdask.files import check_target, whole_file

_EPILOG = """\b
Example: nbdask truth run.zarr
Example: nbdask truth run.zarr --reflections --save
Example: nbdask truth run.zarr --shot 17 --reflections --out shot17.csv
Example: nbdask truth run.zarr --mtz ground_truth.mtz"""


@click.command(name="truth", cls=GroupedCommand, behind=(), epilog=_EPILOG)
@click.argument("store")
@click.option("--shot", type=Whole(0), metavar="N", help="One shot of a series [default: all].")
@click.option(
    "--reflections",
    is_flag=True,
    help="Every reflection: indices, centroid, expected photons, partiality and more.",
)
@click.option(
    "--least",
    type=Number(0.0),
    metavar="PHOTONS",
    help="Leave out reflections of fewer photons [default: 0.01, or as they are kept in STORE].",
)
@click.option("--save", is_flag=True, help="Keep it in STORE, as the group truth.")
@click.option("--out", metavar="FILE", help="Write a table: .csv.")
@click.option("--mtz", metavar="FILE", help="Write reflections: unmerged, a batch a shot.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace files, or the truth that is in STORE.")
@click.option(
    "--threads",
    type=Whole(1),
    metavar="N",
    help="Threads of this computation [default: all cores].",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(store: str, **options: Any) -> None:
    """Show what is true of the images in STORE: crystal, beam, and each reflection.

    What STORE keeps of it is read, the rest is computed from the experiment on record; pixels are
    not read.
    """
    from nbdask.truth import show
    from nbdask.truth.stored import ground_truth

    _check(store, options)
    reflections = options["reflections"] or options["mtz"] is not None
    if options["save"]:
        _save(store, options, reflections)
    if options["quiet"] and options["out"] is None and options["mtz"] is None:
        return
    _check_stored(store)
    truth = ground_truth(
        store,
        shots=options["shot"],
        reflections=reflections,
        least=options["least"],
        threads=options["threads"],
    )
    if options["out"] is not None:
        table = truth.to_pandas(reflections=options["reflections"])
        with whole_file(options["out"], "--out", InputError) as fresh:
            table.to_csv(fresh, index=False)
    if options["mtz"] is not None:
        from nbdask.truth.mtz import write_mtz

        write_mtz(truth, options["mtz"])
    if options["quiet"]:
        return
    if options["as_json"]:
        click.echo(json.dumps(show.plain(truth), indent=1))
    else:
        tables.show(show.text(truth))
    for name in (options["out"], options["mtz"]):
        if name is not None:
            click.echo(f"{name}: written", err=options["as_json"])


def _check(store: str, options: dict[str, Any]) -> None:
    """Refuse what cannot be written, or is not there, before anything is computed."""
    from nbdask.store.reader import StoreReader

    check_distinct({"--out": options["out"], "--mtz": options["mtz"]}, [store])
    for name in ("out", "mtz"):
        path = options[name]
        if path is None:
            continue
        ending = {"out": ".csv", "mtz": ".mtz"}[name]
        if Path(path).suffix.lower() != ending:
            raise InputError(f"--{name} {path}: the name must end in {ending}")
        check_target(path, f"--{name}", InputError, overwrite=options["overwrite"])
    if options["shot"] is not None:
        StoreReader(store).checked_shot(options["shot"])
    if options["save"] and options["shot"] is not None:
        raise click.UsageError("--shot: leave it out with --save, which keeps all shots")


def _save(store: str, options: dict[str, Any], reflections: bool) -> None:
    """Put the truth into the store."""
    from nbdask.truth.compute import Wanted
    from nbdask.truth.stored import write_truth

    wanted = Wanted(reflections, threads=options["threads"])
    if options["least"] is not None:
        wanted = wanted._replace(least=options["least"])
    with bar("truth", options["quiet"]) as progress:
        done = write_truth(store, wanted, overwrite=options["overwrite"], progress=progress)
    if not options["quiet"]:
        click.echo(done.describe(), err=True)


def _check_stored(store: str) -> None:
    """Refuse the truth that a store keeps where it is damaged."""
    from nbdask.store.reader import StoreReader
    from nbdask.truth.stored import fault_of

    fault = fault_of(StoreReader(store).place)
    if fault is not None:
        raise StoreError(f"{fault}: nbdask repair, or --save --overwrite, writes it again")
