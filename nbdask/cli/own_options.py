"""Options of beam and crystal that no flag of nanoBragg has: those of :class:`nbdask.flags.Own`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nbdask.cli.numbers import Whole


def own_options(whose: str) -> list[Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """Return the options; ``whose`` is put before their help."""
    return [
        click.option(
            "--spectrum",
            metavar="FILE|SPEC",
            help=f"{whose}Spectrum of the beam: a file (energy or wavelength, and weight; NXmx), or"
            " gauss:FWHM[:N], tophat:WIDTH[:N], sase:FWHM:SPIKE[:N[:SEED]], widths in eV or %.",
        ),
        click.option(
            "--spectrum-seed",
            type=Whole(),
            metavar="SEED",
            help=f"{whose}Seed of a SASE spectrum.",
        ),
    ]
