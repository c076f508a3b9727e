"""Options for data that a detector has read: gain, offset and saturation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.numbers import Number
from nbdask.cli.options import Decorator, apply_all
from nbdask.errors import StoreError

if TYPE_CHECKING:
    from nbdask.gradients.reading import Reading


_OPTIONS = ("gain", "offset", "saturation")


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    options: list[Decorator] = [
        click.option("--gain", type=Number(), help="Units of DATA per photon [default: 1]."),
        click.option("--offset", type=Number(), help="Units without a photon [default: 0]."),
        click.option(
            "--saturation",
            metavar="MAX",
            type=Number(),
            help="Pixels of so many units, or more, do not count.",
        ),
    ]
    return apply_all(options, function)


def reading_of(options: dict[str, Any], paths: Sequence[str]) -> Reading:
    """Return what the options say of some data.

    Raises
    ------
    FieldError
        A gain of nothing.
    StoreError
        A store of detector units of which nothing is said; with the options that undo what it was
        made with.
    """
    from nbdask.gradients.reading import Reading
    from nbdask.store.reader import StoreReader

    given = {name: options[name] for name in _OPTIONS if options[name] is not None}
    reading = Reading(**given)
    for path in () if given else paths:
        if not path.endswith(".npy") and (reader := StoreReader(path)).unit != "photons":
            raise StoreError(
                f"{path} holds detector units, not photons: give --gain and --offset"
                f"{_recorded(reader.attributes)}"
            )
    return reading


def _recorded(attributes: Mapping[str, Any]) -> str:
    """Return the options that go with what a store has on record of its making."""
    derived = attributes.get("derived") or {}
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
