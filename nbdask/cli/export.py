"""``nbdask export``: a store's image as files that other programs read."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from typing import Any

import click

from nbdask.cli.argv import no_such_option
from nbdask.cli.faults import bar
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.tables import show

#: Endings of files with images that DIALS reads.
_READ_BY_DIALS = (".nxs", ".h5", ".hdf5", ".cbf", ".img", ".smv")
_EPILOG = """\b
Formats, by the ending of OUT:
  .img .smv         smv    SMV (16 bits, scaled as nanoBragg's -intfile)
  (--format only)   smv-noise  SMV as nanoBragg's -noisefile (its own noise)
  .pgm              pgm    greymap as nanoBragg's -pgmfile
  .bin .float       float  float32 as nanoBragg's -floatfile
  .h5 .hdf5 .nxs    nxmx   NeXus NXmx, HDF5
  .cbf              cbf    CBF with imgCIF and mini header, int32
  .tif .tiff        tiff   BigTIFF with tiles
  .cxi              cxi    CXI for CrystFEL, with OUT.geom
  .geom             geom   CrystFEL geometry of an NXmx file
  .expt             expt   experiment list of DIALS, crystal included
Several stores are images of one series, in order; formats with one image in a
file want # for its number in OUT: image_####.cbf.  A store of a series is given
alone: its shots are the images.  With # in its name nxmx or cxi is split into
whole files of --shots-per-file images.
Pixels that are counts (made by nbdask noise) stay as they are unless --scale or --adc is given.
Example: nbdask export run.zarr image.img image.h5"""


class _ExportCommand(GroupedCommand):
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


@click.command(name="export", cls=_ExportCommand, own=("seed", "scale", "shots"), epilog=_EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="STORE... OUT...")
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
@click.option(
    "--dtype",
    metavar="KIND",
    help="float32 or int32, for nxmx, cxi and tiff [default: int32 for counts, else float32].",
)
@click.option(
    "--sensor",
    metavar="MATERIAL:THICKNESS",
    help="Sensor named in the file, such as Si:0.32mm [default: the simulated one].",
)
@click.option(
    "--compression", metavar="KIND", help="gzip [default] or bitshuffle, for nxmx and cxi."
)
@click.option(
    "--header",
    metavar="KIND",
    help="Of SMV: adsc [default], which DIALS reads, or c, nanoBragg C's own.",
)
@click.option(
    "--images",
    metavar="FILE",
    help="Images of an expt [default: the first OUT that DIALS reads].",
)
@click.option(
    "--shots", metavar="A:B", help="Shots of a series, from A to before B, or one [default: all]."
)
@click.option(
    "--shots-per-file",
    type=Whole(1),
    metavar="N",
    help="Most images of a file of nxmx or cxi [default: 1000].",
)
@click.option("--seed", type=Whole(), help="Seed of smv-noise [default: from the clock].")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option(
    "--incomplete",
    is_flag=True,
    help="Export an unfinished store; missing pixels are NaN, -1 or (SMV, PGM) 0.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a list of the files as JSON.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(paths: tuple[str, ...], format_: str | None, **options: Any) -> None:
    """Write the images of one or more STOREs to one or more files OUT."""
    from nbdask.export.formats import check_export, export

    quiet, roi, images = options.pop("quiet"), options.pop("roi"), options.pop("images")
    as_json, made = options.pop("as_json"), []
    if roi is not None:
        options["roi"] = roi
    stores, out = _stores_and_files(paths)
    chosen = {path: dict(options) for path in out}
    for path in out:
        if _is_list(path, format_):
            chosen[path]["images"] = images or _images(out)
        elif images is not None and not any(_is_list(name, format_) for name in out):
            chosen[path]["images"] = images
    # Everything that can be told beforehand is, so that a mistake in the last name costs nothing.
    for path in out:
        check_export(stores, path, format_, **chosen[path])
    if len({os.path.realpath(path) for path in out}) < len(out):
        raise click.UsageError("two of the files have the same name: give each a name of its own")
    for path in out:
        with bar(path, quiet) as progress:
            written = export(stores, path, format_, progress=progress, **chosen[path])
        made.append(dataclasses.asdict(written))
        if not quiet:
            if not as_json:
                show(written.describe())
            for note in _nameless(path, written.format):
                click.echo(note, err=True)
    if as_json and not quiet:
        click.echo(json.dumps(made, indent=2, default=str))


def _stores_and_files(paths: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the stores, and the files to write: what follows the last store."""
    count = 1
    while count < len(paths) and _is_store(paths[count]):
        count += 1
    if count == len(paths):
        raise click.UsageError(
            f"no file to write after {paths[-1]}: give its name, such as image.nxs"
        )
    return list(paths[:count]), list(paths[count:])


def _is_store(path: str) -> bool:
    name = os.path.basename(path.rstrip("/"))
    return name.endswith(".zarr") or ("://" in path and "." not in name) or os.path.isdir(path)


def _nameless(path: str, format_: str) -> list[str]:
    """Return a note on a name that DIALS refuses."""
    stem, ending = os.path.splitext(path)
    if format_ not in ("smv", "smv-noise", "cbf") or re.search("[0-9#]", os.path.basename(stem)):
        return []
    return [f"nbdask: note: {path}: DIALS wants a number in the name, as in {stem}_0001{ending}"]


def _is_list(path: str, format_: str | None) -> bool:
    return format_ == "expt" or (format_ is None and path.lower().endswith(".expt"))


def _images(out: list[str]) -> str | None:
    """Return the first file that DIALS reads."""
    return next((path for path in out if path.lower().endswith(_READ_BY_DIALS)), None)
