"""``nbdask noise``: photon noise and detector effects, from one store to another."""

from __future__ import annotations

from typing import Any

import click

from nbdask.cli.argv import COMMAND_LINE, explicit_resume
from nbdask.cli.faults import bar
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.noise_options import noise_options, pipeline_of
from nbdask.cli.options import (
    cluster_options,
    durability_option,
    keeping_options,
    resume_option,
    tile_option,
)
from nbdask.cli.running import say, say_notes, say_result
from nbdask.cli.startup import how_ended

_EPILOG = """\b
The steps are done in the order in which their options stand above.
Example: nbdask noise run.zarr --out noisy.zarr --seed 1 --psf-gauss 1.5px --readout 3"""


class _Recorded(GroupedCommand):
    """A command whose arguments are recorded."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Record the arguments."""
        ctx.meta[COMMAND_LINE] = [*ctx.command_path.split(), *args]
        return super().parse_args(ctx, explicit_resume(args))


@click.command(name="noise", cls=_Recorded, behind=("Cluster",), epilog=_EPILOG)
@click.argument("store")
@click.option("--out", metavar="PATH", help="The zarr store to write, such as noisy.zarr.")
@noise_options
@click.option("--overwrite", is_flag=True, help="Replace an existing nbdask store.")
@resume_option
@tile_option("STORE's")
@click.option(
    "--backend",
    type=click.Choice(["cpu", "numpy"]),
    default="cpu",
    show_default=True,
    help="cpu is compiled and fast, numpy the readable reference; the bits are the same.",
)
@cluster_options
@durability_option
@keeping_options
@click.option("--json", "as_json", is_flag=True, help="Print statistics of the image as JSON.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Add photon noise and detector effects to the image of STORE, into another store."""
    from nbdask.derive.noise import noise
    from nbdask.store.reader import StoreReader

    if options["out"] is None:
        raise click.UsageError("--out is missing: give the store to write, such as noisy.zarr")
    pixel_size = StoreReader(options["store"]).experiment.detector.pixel_size
    pipeline = pipeline_of(options, pixel_size)
    names = (
        *("tile", "backend", "cluster", "workers", "threads", "jobs", "durability"),
        *("compression", "dtype"),
    )
    try:
        with bar("noise", options["quiet"]) as progress:
            result = noise(
                options["store"],
                options["out"],
                pipeline,
                command=ctx.meta[COMMAND_LINE],
                progress=progress,
                overwrite=options["overwrite"],
                resume=options["resume"],
                **{name: options[name] for name in names},
            )
    except KeyboardInterrupt as error:
        word, code = how_ended(error)
        say(f"{word}; the same command with --resume computes what is missing")
        ctx.exit(code)
    if not options["quiet"]:
        say_notes(result.notes)
        say_result(result, options["as_json"])
