"""``nbdask compare``: two results against each other."""

from __future__ import annotations

from typing import Any

import click

from nbdask.cli.comparison import check_files, give, threshold_options, thresholds_of
from nbdask.cli.faults import bar
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Whole

_EPILOG = """\b
Exit codes: 0 all within thresholds, 1 failed, 2 refused, 3 beyond thresholds, 4 shapes differ.
Example: nbdask compare cpu.zarr numpy.zarr --html report.html"""


@click.command(name="compare", cls=GroupedCommand, own=("shape", "shot"), epilog=_EPILOG)
@click.argument("image")
@click.argument("reference")
@click.option(
    "--shape",
    type=Whole(min=1),
    nargs=2,
    metavar="SLOW FAST",
    help="Pixels of a bare float file [default: those of the other image].",
)
@click.option(
    "--shot", type=Whole(min=0), help="One shot of each store of a series [default: all]."
)
@click.option("--threads", type=Whole(min=1), help="Threads [default: one per core].")
@threshold_options
def command(
    image: str,
    reference: str,
    shape: tuple[int, int] | None,
    shot: int | None,
    threads: int | None,
    **options: Any,
) -> int:
    """Compare IMAGE with REFERENCE, block by block.

    Each is a store, a .npy file, or a bare file of little-endian float32 as nanoBragg writes it.
    Stores of a series are compared shot by shot, or one shot of them with an image.
    """
    from nbdask.parity.compare import compare

    check_files(options, (image, reference))
    with bar("comparing", options["quiet"]) as progress:
        outcome = compare(
            image,
            reference,
            shape=shape,
            shot=shot,
            peaks=options["peaks"],
            threads=threads,
            pictures=options["html_file"] is not None,
            progress=progress,
            **thresholds_of(options),
        )
    return give(outcome, options)
