"""Options of beam and crystal that no flag of nanoBragg has: those of :class:`nbdask.flags.Own`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nbdask.cli.numbers import Number, Whole
from nbdask.experiment.crystal import CENTRINGS, SHAPES
from nbdask.experiment.diffuse import MOST_STENCIL

Options = list[Callable[[Callable[..., Any]], Callable[..., Any]]]


def own_options(whose: str) -> Options:
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
        *_surroundings_options(whose),
        *_diffuse_options(whose),
        *_crystal_options(whose),
        *_amplitude_options(whose),
        click.option(
            "--cutoff",
            metavar="X|auto",
            help=f"{whose}Leave out terms far from spots: photons that each pixel may lack, proven"
            " and checked; auto: a thousandth of its background's noise, at least 1e-4.",
        ),
    ]


def _surroundings_options(whose: str) -> Options:
    """Return the options of what is in the beam beside the crystal."""
    return [
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
            help=f"{whose}Transmission from sample to each pixel, 0 to 1 (slow, fast).",
        ),
    ]


def _diffuse_options(whose: str) -> Options:
    """Return the options of diffuse scattering."""
    return [
        click.option(
            "--diffuse-gamma",
            metavar="G|GX,GY,GZ",
            help=f"{whose}Diffuse scattering: correlation lengths of the displacements [Angstrom].",
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


def _crystal_options(whose: str) -> Options:
    """Return the options of the crystal's shape and mosaic domains."""
    return [
        click.option(
            "--mosaic",
            type=Number(),
            metavar="DEGREES",
            help=f"{whose}Spread of mosaic domains, as -mosaic.",
        ),
        click.option(
            "--mosaic-model",
            metavar="MODEL",
            help=f"{whose}Mosaic domains: cap, as nanoBragg; gauss, with the spread of -mosaic as"
            " standard deviation; gauss:A,B,C, about a, c* x a and c*, in degrees.",
        ),
        click.option(
            "--domains",
            metavar="N|sobol:N|auto:ERROR|FILE",
            help=f"{whose}Number of mosaic domains, random or quasi-random, or chosen for an error"
            " of the image; or a list of orientations and weights.",
        ),
        click.option(
            "--cells-matrix",
            type=Number(),
            nargs=9,
            metavar="N11 N12 ... N33",
            help=f"{whose}Cells of a -gauss_xtal as a matrix, row by row.",
        ),
        click.option(
            "--shape",
            type=click.Choice(SHAPES),
            help=f"{whose}Shape of the crystal; spherical: spots of equal width in all directions.",
        ),
        click.option(
            "--centring",
            type=click.Choice(CENTRINGS),
            help=f"{whose}Centring of the cell, for --shape spherical [default: of a model or P].",
        ),
    ]


def _amplitude_options(whose: str) -> Options:
    """Return the options of amplitudes, and of further crystals."""
    return [
        click.option(
            "--b-factor",
            type=Number(),
            metavar="B",
            help=f"{whose}Multiply the amplitudes of the list by exp(-B/(4 d^2)), B in Angstrom^2.",
        ),
        click.option(
            "--scale",
            type=Number(),
            metavar="K",
            help=f"{whose}Multiply all amplitudes by K (photons by K^2).",
        ),
        click.option(
            "--crystals",
            metavar="FILE",
            help=f"{whose}Several crystals in the beam: TOML tables [[crystals]] with flags and"
            " weight.",
        ),
    ]
