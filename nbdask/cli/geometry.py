"""``nbdask geometry``: what a geometry file says of a detector, drawn and converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Whole
from nbdask.cli.options import lengths_of
from nbdask.cli.outputs import check_distinct
from nbdask.cli.tables import show
from nbdask.files import check_target

_EPILOG = """\b
FILE may be: dxtbx .expt or .json, CrystFEL .geom, NeXus NXmx, XDS.INP, XPARM.XDS.
--to takes a format (.expt, .geom, nxmx, poni, XDS.INP) or a file name with its ending.
Lengths have a unit (100mm, 0.1m); --clen without one is in m, as in the file.
Example: nbdask geometry run.geom --clen 0.1 -o panels.png --to .expt"""
_PICTURES = (".png", ".svg", ".pdf")


@click.command(name="geometry", cls=GroupedCommand, own=("energy",), epilog=_EPILOG)
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print beam and panels as JSON.")
@click.option(
    "-o",
    "--output",
    multiple=True,
    metavar="OUT",
    help="Picture of the panels (.png, .svg, .pdf), or what --to writes.",
)
@click.option("--to", metavar="FORMAT", help="Convert: a format, or a file name with its ending.")
@click.option("--energy", metavar="E", help="Photon energy, where FILE gives none [eV].")
@click.option("--wavelength", metavar="W", help="Wavelength, where FILE gives none [A].")
@click.option(
    "--clen",
    "--distance",
    metavar="L",
    help="Camera length, where FILE (.geom) gives a place in the data for it [m].",
)
@click.option("--distance-shift", metavar="L", help="Move all panels along the beam's axis z.")
@click.option(
    "--shot",
    type=Whole(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Which experiment of an .expt file, or frame of an NXmx file, from 0.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
def command(file: str, as_json: bool, output: tuple[str, ...], **options: Any) -> None:
    """Say what the geometry FILE holds: panels, pitches, tilts, gaps, beam centre, resolution."""
    from nbdask.panels.read import read_geometry
    from nbdask.panels.report import as_text, as_values

    if not file:
        raise click.UsageError("FILE '' is empty: give the path of a geometry file")
    pictures, target = _outputs(file, output, options["to"])
    written = pictures if target is None else [*pictures, target[1]]
    _check_free(file, written, options["overwrite"])
    found = read_geometry(file, shot=options["shot"], **_given(options))
    said: list[str] = []
    if target is not None:
        from nbdask.panels.write import write_geometry

        # Before anything is printed: what a format cannot hold is refused in one line.
        said = [*write_geometry(found, target[1], target[0]), "written"]
    if as_json:
        for text in found.taken:
            click.echo(f"taken: {text}", err=True)
        click.echo(json.dumps(as_values(found)))
    else:
        show(as_text(found, file))
    for text in said:
        assert target is not None
        click.echo(f"{target[1]}: {text}", err=as_json)
    if pictures:
        from nbdask.view.panels import draw_panels

        for path in pictures:
            draw_panels(found, path, Path(file).name)
            click.echo(f"{path}: drawn", err=as_json)


def _outputs(
    file: str, output: tuple[str, ...], to: str | None
) -> tuple[list[Path], tuple[str, Path] | None]:
    """Return the pictures, and format and name of what is converted."""
    pictures = [Path(name) for name in output if name.lower().endswith(_PICTURES)]
    others = [Path(name) for name in output if not name.lower().endswith(_PICTURES)]
    if to is None:
        if others:
            raise click.UsageError(
                f"-o {others[0]}: must end in {', '.join(_PICTURES)}, or come with --to"
            )
        return pictures, None
    from nbdask.panels.write import target_of

    if len(others) > 1:
        raise click.UsageError(f"-o {others[1]}: --to writes one file, and -o names two")
    return pictures, target_of(to, Path(file), others[0] if others else None)


def _check_free(file: str, paths: list[Path], overwrite: bool) -> None:
    """Refuse outputs that are no files to write, that are there, or that are FILE or each other."""
    for number, path in enumerate(paths):
        check_target(path, "output", click.UsageError, overwrite=overwrite)
        check_distinct({"output": path}, [file])
        if path.absolute() in [other.absolute() for other in paths[:number]]:
            raise click.UsageError(f"output {path}: is named twice; name another file")


def _given(options: dict[str, Any]) -> dict[str, float]:
    """Return what the options say, in SI (energy in eV)."""
    from nbdask.panels.quantities import ENERGIES, LENGTHS, quantity

    found = lengths_of(options)
    for name, units, default, allowed in (
        ("energy", ENERGIES, "eV", "an energy such as 9300 or 9.3keV"),
        ("wavelength", LENGTHS, "A", "a wavelength such as 1.0 or 0.1nm"),
    ):
        text = options[name]
        if text is None:
            continue
        value = quantity(text, units, default)
        if value is None:
            raise click.UsageError(f"--{name} {text}: must be {allowed}")
        found[name] = value
    return found
