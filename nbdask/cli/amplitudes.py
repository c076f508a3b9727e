"""``nbdask amplitudes``: structure factors of a model or a reflection file, made and inspected."""

from __future__ import annotations

import json
from math import isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.options import Decorator, amplitude_options, apply_all
from nbdask.cli.outputs import check_distinct
from nbdask.cli.running import say_notes
from nbdask.cli.tables import show
from nbdask.errors import InputError
from nbdask.files import check_target
from nbdask.units import from_angstrom, from_degrees

if TYPE_CHECKING:
    from nbdask.amplitudes.make import Made
    from nbdask.amplitudes.scale import Statistics

_OWN: list[Decorator] = [
    click.option(
        "--cell",
        type=Number(),
        nargs=6,
        metavar="A B C AL BE GA",
        help="Cell of a list that has none [Angstrom, degrees].",
    ),
    click.option("--out", metavar="FILE", help="Write F of all of P1: .hkl, .mtz or .zarr."),
    click.option(
        "--digits",
        type=Whole(0, 17),
        help="Digits after the point in .hkl files [default: nine significant ones].",
    ),
    click.option("-o", "--output", metavar="FILE", help="Draw a Wilson plot: .png, .svg or .pdf."),
    click.option(
        "--shells",
        type=Whole(1, 1000),
        default=10,
        show_default=True,
        help="Number of shells of the table.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace files that are there already."),
    click.option("--json", "as_json", is_flag=True, help="Print what the table holds as JSON."),
    click.option("--quiet", is_flag=True, help="Print errors only."),
]


@click.command(name="amplitudes", cls=GroupedCommand, behind=())
@click.argument("file")
@amplitude_options(files=False)
@(lambda function: apply_all(_OWN, function))
def command(file: str, **options: Any) -> None:
    """Make and inspect structure factor amplitudes.

    FILE is a model (PDB, mmCIF), a reflection file (MTZ, mmCIF, SHELX hkl), or a .zarr that this
    command wrote.
    """
    from nbdask.amplitudes import files, listing

    check_distinct({"--out": options["out"], "-o": options["output"]}, [file, options["model"]])
    if options["out"] is not None:
        files.check_out(options["out"], options["overwrite"])
    if options["output"] is not None:
        if Path(options["output"]).suffix.lower() not in (".png", ".svg", ".pdf"):
            raise InputError(f"-o {options['output']}: the name must end in .png, .svg, .pdf")
        check_target(options["output"], "-o", InputError, overwrite=options["overwrite"])
    if options["digits"] is not None and not str(options["out"]).lower().endswith(".hkl"):
        raise InputError(f"--digits {options['digits']}: needs --out FILE.hkl")
    found = listing.listing(file, listing.request_of(file, options), _cell(options["cell"]))
    shown = listing.inspected(file, found.made, found.limit, options["shells"])
    if options["out"] is not None:
        files.write(options["out"], found.made.table, options["digits"], found.record)
    if options["output"] is not None:
        from nbdask.view.wilson import draw_wilson

        draw_wilson(shown, Path(file).name, Path(options["output"]))
    if options["quiet"]:
        return
    say_notes(found.made.notes)
    if options["as_json"]:
        click.echo(json.dumps(_values(file, found.made, shown), indent=2))
        return
    show("\n".join(_lines(file, found.made, shown)))
    for name in (options["out"], options["output"]):
        if name is not None:
            click.echo(f"{name}: written")


def _cell(given: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if given is None:
        return None
    return tuple(map(from_angstrom, given[:3])) + tuple(map(from_degrees, given[3:]))


def _values(file: str, made: Made, shown: Statistics) -> dict[str, Any]:
    """Return what is printed of a table, JSON-able; what is not known is null."""
    table = made.table
    values = {
        "file": file,
        "space_group": table.symmetry.group.xhm(),
        "cell": list(table.symmetry.numbers),
        "atoms": None if made.model is None else made.model.count,
        "anomalous": table.anomalous,
        "reflections": len(table),
        "d_max": shown.d_max,
        "d_min": shown.d_min,
        "F": {
            "min": float(table.F.min()),
            "max": float(table.F.max()),
            "mean": float(table.F.mean()),
            "rms": float((table.F**2).mean() ** 0.5),
        },
        "shells": [shell._asdict() for shell in shown.shells],
        "completeness": shown.completeness,
        "wilson_B": shown.B,
        "wilson_k": shown.k,
        "scale": None if made.scale is None else made.scale.text,
        "counts": None if made.counts is None else dict(made.counts),
        "notes": list(made.notes),
    }
    known: dict[str, Any] = _without_infinity(values)
    return known


def _without_infinity(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinity(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_infinity(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _lines(file: str, made: Made, shown: Statistics) -> list[str]:
    """Return what is printed of a table."""
    table = made.table
    cell = " ".join(f"{x:g}" for x in table.symmetry.numbers)
    mates = "Friedel mates differ" if table.anomalous else "Friedel mates are equal"
    lines = [
        f"{file}: {table.symmetry.group.xhm()}, cell {cell}"
        + ("" if made.model is None else f", {made.model.count} atoms"),
        f"{len(table)} reflections of P1, {shown.d_max:.2f} to {shown.d_min:.2f} A, {mates}",
        f"F {table.F.min():.6g} to {table.F.max():.6g}, mean {table.F.mean():.6g}, rms"
        f" {(table.F**2).mean() ** 0.5:.6g}",
        "",
        "   d_max    d_min  possible    listed  complete       mean F  ln(<F2>/f2)",
    ]
    for shell in shown.shells:
        share = shell.listed / shell.possible if shell.possible else 1.0
        lines.append(
            f"{shell.d_max:8.3f} {shell.d_min:8.3f} {shell.possible:9d} {shell.listed:9d}"
            f" {share:9.1%} {shell.mean_F:12.6g} {shell.log_ratio:12.4f}"
        )
    lines += ["", f"completeness {shown.completeness:.1%}"]
    if isnan(shown.B):
        lines.append("Wilson: fewer than three shells beyond 4 A: no line")
    else:
        scale = "" if isnan(shown.k) else f", scale {shown.k:.5g}"
        lines.append(f"Wilson: B {shown.B:.2f} A^2{scale}")
    if made.scale is not None:
        lines.append(f"against the model: {made.scale.text}")
    if made.counts is not None:
        lines.append(", ".join(f"{name} {count}" for name, count in made.counts.items()))
    return lines
