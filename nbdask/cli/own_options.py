"""Options of beam and crystal that no flag of nanoBragg has: those of :class:`nbdask.flags.Own`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nbdask.cli.numbers import Whole
from nbdask.experiment.diffuse import MOST_STENCIL


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
        click.option(
            "--background",
            multiple=True,
            metavar="TABLE:THICKNESS[:DENSITY[:MW]]",
            help=f"{whose}Amorphous material in the beam: water, air, helium, kapton, ice or a file"
            " of sin(theta)/lambda and F, such as water:0.1mm; g/cm^3, g/mol; repeatable.",
        ),
        click.option(
            "--beamstop",
            metavar="RADIUS[,X,Y]",
            help=f"{whose}Shadow of a beam stop, and its place beside the beam along fast and"
            " slow [mm].",
        ),
        click.option(
            "--shadow",
            metavar="FILE.npy",
            help=f"{whose}Share of the photons that reaches each pixel, 0 to 1 (slow, fast).",
        ),
        click.option(
            "--diffuse-gamma",
            metavar="G|GX,GY,GZ",
            help=f"{whose}Diffuse scattering: lengths over which displacements are alike"
            " [Angstrom].",
        ),
        click.option(
            "--diffuse-sigma",
            metavar="S|SX,SY,SZ",
            help=f"{whose}Root mean square displacements of --diffuse-gamma [Angstrom].",
        ),
        click.option(
            "--diffuse-stencil",
            type=Whole(min=0, max=MOST_STENCIL),
            metavar="M",
            help=f"{whose}Reciprocal cells that diffuse halos reach  [default: 1].",
        ),
        click.option(
            "--diffuse-laue",
            metavar="GROUP",
            help=f"{whose}Space group or point group of diffuse scattering  [default: P 1].",
        ),
        click.option(
            "--diffuse-scale",
            metavar="X|physical",
            help=f"{whose}Factor on diffuse scattering  [default: 1, as diffBragg has it].",
        ),
    ]
