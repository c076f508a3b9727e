"""What ``nbdask parity`` and ``nbdask compare`` share: thresholds, reports, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from nbdask.cli.numbers import Number, Whole
from nbdask.cli.options import Decorator, apply_all
from nbdask.cli.outputs import check_distinct
from nbdask.cli.tables import show
from nbdask.files import check_target, whole_file
from nbdask.parity.errors import FileError
from nbdask.parity.outcome import Outcome, Thresholds

_POSITIVE = Number(0.0)


def threshold_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the bounds of what counts as equal, and where the outcome goes."""
    decorators: list[Decorator] = [
        click.option(
            "--max-rel",
            type=_POSITIVE,
            help="Worst relative deviation of a pixel [default: 2e-7; with precision mixed or pairs"
            " 1e-5].",
        ),
        click.option(
            "--min-corr",
            type=Number(-1.0, 1.0),
            default=0.999999,
            show_default=True,
            help="Least Pearson correlation of a region.",
        ),
        click.option(
            "--sum-tol",
            type=_POSITIVE,
            default=1e-6,
            show_default=True,
            help="How far the ratio of the sums may be from 1.",
        ),
        click.option(
            "--peak-tol",
            type=_POSITIVE,
            default=0.5,
            show_default=True,
            help="Largest distance of matching peaks [pixels].",
        ),
        click.option(
            "--peaks",
            type=Whole(min=0),
            default=20,
            show_default=True,
            help="Brightest local maxima of a region that are matched.",
        ),
        click.option(
            "--json",
            "json_file",
            metavar="FILE",
            help="Write the outcome as JSON; -: to standard output.",
        ),
        click.option(
            "--html", "html_file", metavar="FILE", help="Write a report with pictures, one file."
        ),
        click.option(
            "--map", "map_file", metavar="FILE", help="Write the report's map of the image as PNG."
        ),
        click.option("--overwrite", is_flag=True, help="Replace existing FILEs."),
        click.option(
            "--quiet", is_flag=True, help="Print errors only; the exit code tells the outcome."
        ),
    ]
    return apply_all(decorators, function)


def thresholds_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the bounds that the options give, as keywords ``thresholds`` and ``by_precision``."""
    names = ("max_rel", "min_corr", "sum_tol", "peak_tol")
    given = {name: options[name] for name in names if options[name] is not None}
    return {"thresholds": Thresholds(**given), "by_precision": options["max_rel"] is None}


def check_files(options: dict[str, Any], inputs: Iterable[str | None]) -> None:
    """Refuse, before anything is done, output files that would destroy something or fail.

    Parameters
    ----------
    options : dict
    inputs : iterable of str or None
        Files and stores that are read.

    Raises
    ------
    click.UsageError
        A file that is an input, in a store that is read, or two files of one name.
    FileError
        Files that exist already or cannot be written.
    """
    names = ("json", "html", "map")
    check_distinct({f"--{name}": options[f"{name}_file"] for name in names}, inputs)
    for flag in names:
        name = options[f"{flag}_file"]
        if name is None or (flag == "json" and name == "-"):
            continue
        check_target(name, f"--{flag}", FileError, overwrite=options["overwrite"])


def give(outcome: Outcome, options: dict[str, Any]) -> int:
    """Print and write an outcome; return the exit code."""
    from nbdask.parity import pictures, report

    name = options["json_file"]
    if name is not None:
        text = json.dumps(outcome.to_dict(), indent=1) + "\n"
        if name == "-":
            click.echo(text, nl=False)
        else:
            _write(Path(name), text)
    if options["html_file"] is not None:
        _write(Path(options["html_file"]), report.page(outcome))
    if options["map_file"] is not None:
        _write(Path(options["map_file"]), pictures.detector_map(outcome))
    if not options["quiet"] and name != "-":
        for note in outcome.notes:
            print("nbdask: note: " + note, file=sys.stderr)
        show("\n".join(report.table_lines(outcome)))
    return outcome.exit_code


def _write(path: Path, content: str | bytes) -> None:
    """Write a file so that it appears as a whole."""
    with whole_file(path.absolute(), error=FileError) as fresh:
        fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
