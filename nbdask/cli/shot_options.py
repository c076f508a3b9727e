"""Options that make a series of images of one experiment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.numbers import Whole

if TYPE_CHECKING:
    from nbdask.experiment import Experiment
    from nbdask.shots.request import ShotsRequest
    from nbdask.shots.series import Series

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
#: Names of the options, as click has them.
SHOTS = ("shots", "orientations", "scan", "cells", "vary", "spectra", "shot_seed")


def shot_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what varies from shot to shot."""
    decorators: list[Decorator] = [
        click.option(
            "--shots",
            metavar="N|FILE",
            help="Number of images; or a table (.csv, .toml, .parquet) with a row for each, whose"
            " columns are dotted fields with units, such as crystal.cell.a [A].",
        ),
        click.option(
            "--orientations",
            metavar="random[:SEED]|grid[:POINTS]|FILE",
            help="Orientation of the crystal of each image: random, an even grid, or a file (.expt,"
            " .mat, .npy, lines of 3 misset angles, quaternions or matrices).",
        ),
        click.option(
            "--scan",
            metavar="START:STOP:WIDTH",
            help="A rotation: each image begins where the one before ends [degrees].",
        ),
        click.option(
            "--cells",
            metavar="FILE|normal:WIDTH",
            help="Cell of each image: a file of six numbers a line, or widths of a, b, c about the"
            " cell given, such as normal:0.2% or normal:0.1A,0.2A,0.1A.",
        ),
        click.option(
            "--vary",
            multiple=True,
            metavar="FIELD=DISTRIBUTION",
            help="A field of the experiment in each image: a value, normal:[MEAN,]SIGMA,"
            " lognormal:[MEDIAN,]SIGMA, uniform:LOW,HIGH, seed or FILE:COLUMN, such as"
            " detector.distance=normal:100mm,0.1mm; repeatable.",
        ),
        click.option(
            "--spectra",
            metavar="FILE[:random]",
            help="Measured spectra, one for each image or drawn at random.  (--spectrum sase:...:"
            " each image has its own.)",
        ),
        click.option(
            "--shot-seed",
            type=Whole(min=0),
            metavar="SEED",
            help="Seed of all random numbers that differ from image to image.",
        ),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def request_of(options: dict[str, Any]) -> ShotsRequest:
    """Return what the options ask for."""
    from nbdask.shots.request import ShotsRequest

    return ShotsRequest(
        **{name: options[name] for name in SHOTS if name != "shot_seed"},
        spectrum=options["spectrum"],
        spectrum_seed=options["spectrum_seed"],
        seed=options["shot_seed"],
    )


def settle_spectrum_seed(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options with a seed for the spectrum of a laser, where shots have their own."""
    request = request_of(options)
    text = request.spectrum or ""
    given = request.spectrum_seed is not None or text.count(":") > 3
    if request.asked is None or not text.startswith("sase:") or given or request.seed is None:
        return options
    return {**options, "spectrum_seed": request.seed}


def series_of(experiment: Experiment, options: dict[str, Any]) -> Series | None:
    """Return the series that the options ask for; None: one image.

    Raises
    ------
    click.UsageError
        A seed, but nothing that is drawn.
    FlagError, InputFileError
        As :func:`nbdask.shots.request.series_of`.
    """
    request = request_of(options)
    if request.asked is None:
        if request.seed is not None:
            raise click.UsageError("--shot-seed needs --shots N, the number of images")
        return None
    from nbdask.shots.request import series_of as build

    return build(experiment, request)


def equal_shots(series: Series | None) -> tuple[str, ...]:
    """Return a note where nothing varies from shot to shot."""
    if series is None or series.variations or series.n_shots == 1:
        return ()
    return (
        "all shots are the same, but for noise: --orientations random, --scan or --vary makes them"
        " differ",
    )


def described(series: Series) -> list[str]:
    """Return the lines that tell what varies in a series, and the fluence."""
    from nbdask.shots.describe import common, describe

    return [f"{name:22s}{text}" for name, text in (*describe(series), *common(series))]
