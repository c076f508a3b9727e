"""Options of what a detector reads: gain, offset and saturation of the data of a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nbdask.cli.numbers import Number
from nbdask.cli.options import Decorator, apply_all
from nbdask.errors import FieldError, StoreError
from nbdask.gradients.reading import Reading
from nbdask.store.reader import StoreReader


def check_unit(reading: Reading, path: str) -> None:
    """Refuse the detector units of a store where nothing says what they are.

    Raises
    ------
    StoreError
        With the options that undo what made the store.
    """
    reader = StoreReader(path)
    if reader.unit == "photons" or reading != Reading():
        return
    raise StoreError(
        f"{path} holds detector units, not photons: give --gain and --offset{_recorded(reader)}"
    )


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    options: list[Decorator] = [
        click.option(
            "--gain", type=Number(), default=1.0, show_default=True, help="Units per photon."
        ),
        click.option(
            "--offset",
            type=Number(),
            default=0.0,
            show_default=True,
            help="Units that a pixel holds without a photon.",
        ),
        click.option(
            "--saturation",
            metavar="MAX",
            type=Number(),
            help="Pixels of so many units, or more, do not count.",
        ),
    ]
    return apply_all(options, function)


def reading_of(options: dict[str, Any]) -> Reading:
    """Return what the options say.

    Raises
    ------
    FieldError
    """
    if options["gain"] <= 0.0:
        raise FieldError("--gain", options["gain"], "a number above 0")
    return Reading(options["gain"], options["offset"], options["saturation"])


def _recorded(reader: StoreReader) -> str:
    """Return the options that go with what a store has on record of its making."""
    derived = reader.attributes.get("derived") or {}
    steps = {step["step"]: step for step in derived.get("pipeline", {}).get("steps", [])}
    found = []
    for step, field, option in (
        ("gain", "factor", "--gain"),
        ("offset", "value", "--offset"),
        ("saturation", "maximum", "--saturation"),
        ("readout", "sigma", "--readout"),
    ):
        if field in steps.get(step, {}):
            found.append(f"{option} {steps[step][field]:g}")
    return f" (it was made with {' '.join(found)})" if found else ""
