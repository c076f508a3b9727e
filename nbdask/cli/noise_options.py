"""Options of photon noise and detector effects, and the pipeline that they describe."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from nbdask import derive
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.options import Decorator, apply_all, flags_of
from nbdask.derive.pipeline import STEPS, Pipeline
from nbdask.derive.steps import Option, Poisson, PoissonC, Step
from nbdask.errors import FieldError, InputError, InputFileError
from nbdask.inputs.text import to_number
from nbdask.inputs.toml import read_toml

_PIXELS = {"": None, "px": None, "um": 1e-6, "mm": 1e-3, "m": 1.0}


class _Share(click.ParamType):  # type: ignore[type-arg]
    """A relative standard deviation: ``0.03`` or ``3%``."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Read it."""
        text = str(value).strip()
        number = to_number(text.removesuffix("%"))
        if number is None:
            self.fail(f"{text!r} is not a share such as 0.03 or 3%", param, ctx)
        return number / 100.0 if text.endswith("%") else number


class _Width(click.ParamType):  # type: ignore[type-arg]
    """A width: pixels without a unit, or um, mm, m.  Gives (number, metres per unit or None)."""

    name = "width"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float | None]:
        """Read it."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"\s*([-+0-9.eE]*[0-9.])\s*([a-z]*)\s*", str(value))
        try:
            return float(match[1]), _PIXELS[match[2]]  # type: ignore[index]
        except (TypeError, ValueError, KeyError):
            self.fail(
                f"{value!r} is not a width such as 1.5 or 1.5px (pixels), 80um or 0.08mm",
                param,
                ctx,
            )


_READS: dict[str, Any] = {
    "share": _Share(),
    "width": _Width(),
    "number": Number(),
    "whole": Whole(),
    "file": str,
    "rng": click.Choice(["counter", "c"]),
}


def _options(step: type[Step]) -> dict[str, Option]:
    """Return the options of a step, by field; that of a step without fields has no name."""
    found = {item.name: item.metadata.get("option") for item in fields(step)}  # type: ignore[arg-type]
    return {name: option for name, option in found.items() if option is not None} | (
        {} if step.option is None else {"": step.option}
    )


def _name(option: Option) -> str:
    """Return the name by which click hands over an option's value."""
    return option.flag[2:].replace("-", "_")


_STATED = [(step, name, option) for step in STEPS for name, option in _options(step).items()]
#: Options that add a step, by name, in the order of the steps; one that two share comes after both.
STEP_OPTIONS = {
    _name(option): option
    for number, (_, _, option) in enumerate(_STATED)
    if all(option is not later for _, _, later in _STATED[number + 1 :])
}
#: Field of a step -> option that sets it.
_FLAGS = {f"{step.kind}.{name}": option.flag for step, name, option in _STATED}
_FLAGS |= {"seed": "--seed", "frame": "--frame"}


def noise_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of noise and detector effects, in the order of the steps."""
    decorators: list[Decorator] = [
        click.option(
            "--seed", type=Whole(), metavar="S", help="Seed of the noise; equal seeds, equal noise."
        ),
        click.option(
            "--frame",
            type=Whole(),
            metavar="N",
            help="Number of the image in a series [default: 0].",
        ),
        *map(_decorator, STEP_OPTIONS.values()),
        click.option("--pipeline", metavar="FILE", help="TOML file with the steps, in any order."),
    ]
    return apply_all(decorators, function)


def _decorator(option: Option) -> Decorator:
    if option.reads == "flag":
        return click.option(option.flag, is_flag=True, help=option.help)
    return click.option(
        option.flag, type=_READS[option.reads], metavar=option.metavar or None, help=option.help
    )


def given_options(options: dict[str, Any]) -> list[str]:
    """Return the options of noise that were given, as flags."""
    return flags_of(options, "seed", "frame", *STEP_OPTIONS, "pipeline")


def pipeline_of(options: dict[str, Any], pixel_size: float) -> Pipeline:
    """Return the pipeline that the options describe.

    Parameters
    ----------
    options : dict
    pixel_size : float
        [m]

    Raises
    ------
    click.UsageError
        Options that do not go together, a seed that is missing, a value that is refused.
    """
    try:
        return _pipeline(options, pixel_size)
    except FieldError as error:
        flag = _FLAGS.get(error.field)
        if flag is None or options["pipeline"] is not None:
            raise
        raise click.UsageError(f"{flag} {error.given}: must be {error.allowed}") from None


def _pipeline(options: dict[str, Any], pixel_size: float) -> Pipeline:
    if options["pipeline"] is not None:
        pipeline = _from_file(options)
    else:
        _check_together(options)
        pipeline = derive.Pipeline(tuple(_steps(options, pixel_size)), options["seed"] or 0)
    changes = {name: options[name] for name in ("seed", "frame") if options[name] is not None}
    if not pipeline.steps:
        raise click.UsageError("nothing to do: --no-poisson leaves no step; add one or drop it")
    if pipeline.random and options["seed"] is None and not _has_seed(options):
        raise click.UsageError(
            "--seed is missing: give a whole number of at least 0; equal seeds give equal noise"
        )
    return derive.Pipeline(
        pipeline.steps, **{"seed": pipeline.seed, "frame": pipeline.frame} | changes
    )


def _check_together(options: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    if options["psf_gauss"] and options["psf_fibre"]:
        raise click.UsageError(
            f"--psf-gauss {options['psf_gauss']} and --psf-fibre {options['psf_fibre']} exclude"
            " each other: use --pipeline"
        )
    for name, option in STEP_OPTIONS.items():
        if option.refines and options[name] is not None:
            steps = [step for step, _, stated in _STATED if stated is option]
            needed = [o for step in steps for o in _options(step).values() if not o.refines]
            if all(options[_name(other)] is None for other in needed):
                names = " or ".join(other.flag for other in needed)
                raise click.UsageError(f"{option.flag} needs {names}")
    spread = [flag for flag in given_options(options) if flag in ("--psf-gauss", "--psf-fibre")]
    if options["noise_rng"] == "c" and spread:
        raise click.UsageError(
            f"--noise-rng c and {spread[0]} exclude each other: spread the light in a second run,"
            " nbdask noise NOISY --out STORE --no-poisson"
        )
    if options["no_poisson"] and options["noise_rng"] is not None:
        raise click.UsageError(
            f"--no-poisson and --noise-rng {options['noise_rng']} exclude each other"
        )


def _steps(options: dict[str, Any], pixel_size: float) -> list[Step]:
    """Return the steps, in the order in which a detector does them."""
    steps: list[Step] = []
    counted = PoissonC if options["noise_rng"] == "c" else Poisson
    for step in STEPS:
        stated = _options(step)
        given = {name: options[_name(option)] for name, option in stated.items()}
        asked = [given[name] for name in given if not stated[name].refines]
        wanted = any(value is not None and value is not False for value in asked)
        if step in (Poisson, PoissonC):
            wanted = step is counted and not options["no_poisson"]
        if wanted:
            values = {
                name: _pixels(value, pixel_size) if stated[name].reads == "width" else value
                for name, value in given.items()
                if name and value is not None
            }
            steps.append(step(**values))
    return steps


def _pixels(width: tuple[float, float | None], pixel_size: float) -> float:
    """Return a width in pixels."""
    number, unit = width
    # Twelve digits: 0.08 mm are 0.4 pixels of 0.2 mm, not 0.39999999999999997.
    return number if unit is None else float(f"{number * unit / pixel_size:.12g}")


def _read(path: str) -> dict[str, Any]:
    try:
        return read_toml(path, "a pipeline")
    except InputFileError as error:
        raise InputFileError(f"--pipeline {error}") from None


def _has_seed(options: dict[str, Any]) -> bool:
    return options["pipeline"] is not None and "seed" in _read(options["pipeline"])


def _check_once(options: dict[str, Any], data: dict[str, Any], pipeline: Pipeline) -> None:
    """Refuse a seed or frame that is not the one in the file."""
    for name in ("seed", "frame"):
        given, stands = options[name], getattr(pipeline, name)
        if name in data and given is not None and given != stands:
            raise click.UsageError(
                f"--{name} {given}: {options['pipeline']} has {name} = {stands}; give it in one"
                " place"
            )


def _from_file(options: dict[str, Any]) -> Pipeline:
    beside = [flag for flag in given_options(options) if flag[2:].replace("-", "_") in STEP_OPTIONS]
    if beside:
        raise click.UsageError(
            f"--pipeline describes all steps: leave out {beside[0]} or put it in the file"
        )
    path = options["pipeline"]
    data = _read(path)
    try:
        pipeline = derive.Pipeline.from_dict(data)
    except InputError as error:
        raise InputFileError(f"--pipeline {path}: {error}") from None
    _check_once(options, data, pipeline)
    return pipeline
