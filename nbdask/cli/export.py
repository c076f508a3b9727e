"""``nbdask export``: a store's image as files that other programs read."""

from __future__ import annotations

import os
from typing import Any

import click

from nbdask.cli.argv import no_such_option
from nbdask.cli.faults import bar
from nbdask.cli.numbers import Number, Whole

_EPILOG = """\b
Formats, by the ending of OUT:
  .img .smv         smv    SMV as nanoBragg's -intfile (16 bits, scaled)
  (--format only)   smv-noise  SMV as nanoBragg's -noisefile (its own noise)
  .pgm              pgm    greymap as nanoBragg's -pgmfile
  .bin .float       float  float32 as nanoBragg's -floatfile
  .h5 .hdf5 .nxs    nxmx   NeXus NXmx, HDF5, bitshuffle-LZ4
  .cbf              cbf    CBF with a mini header, int32
  .tif .tiff        tiff   BigTIFF with tiles
Pixels that are counts (made by nbdask noise) stay as they are unless --scale or --adc is given.
Example: nbdask export run.zarr image.img image.h5"""


class _ExportCommand(click.Command):
    """Names the nearest option where one is not known."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and word the error of an unknown option as the other commands do."""
        options = {name for param in self.params for name in param.opts}
        for arg in args:
            if not arg.startswith("--") and f"-{arg}" in options:
                raise click.UsageError(f"no such option: {arg} (did you mean -{arg}?)")
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise no_such_option(error.option_name, options, ctx.command_path) from error


@click.command(name="export", cls=_ExportCommand, epilog=_EPILOG)
@click.argument("store")
@click.argument("out", nargs=-1, required=True)
@click.option("--format", "format_", metavar="NAME", help="The format, whatever OUT is called.")
@click.option(
    "--roi",
    type=Whole(),
    nargs=4,
    metavar="S0 S1 F0 F1",
    help="First and last pixel to export, slow then fast [default: all].",
)
@click.option("--scale", type=Number(), help="Multiply pixels by this [default: by the format].")
@click.option(
    "--adc",
    type=Number(),
    help="Add this afterwards [default: 40 in SMV, else 0].",
)
@click.option("--dtype", metavar="KIND", help="float32 [default] or int32, for nxmx and tiff.")
@click.option("--seed", type=Whole(), help="Seed of smv-noise [default: from the clock].")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option(
    "--incomplete",
    is_flag=True,
    help="Export an unfinished store; missing pixels are NaN, -1 or (SMV, PGM) 0.",
)
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(store: str, out: tuple[str, ...], format_: str | None, **options: Any) -> None:
    """Write the image of STORE to one or more files OUT."""
    from nbdask.export.formats import check_export, export

    quiet, roi = options.pop("quiet"), options.pop("roi")
    if roi is not None:
        options["roi"] = roi
    # Everything that can be told beforehand is, so that a mistake in the last name costs nothing.
    for path in out:
        check_export(store, path, format_, **options)
    if len({os.path.realpath(path) for path in out}) < len(out):
        raise click.UsageError("two of the files have the same name: give each a name of its own")
    for path in out:
        with bar(path, quiet) as progress:
            written = export(store, path, format_, progress=progress, **options)
        if not quiet:
            click.echo(written.describe())
