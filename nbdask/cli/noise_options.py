"""Options of photon noise and detector effects, and the pipeline that they describe."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nbdask import derive
from nbdask.cli.options import Decorator, apply_all, flags_of
from nbdask.errors import FieldError, InputError, InputFileError

if TYPE_CHECKING:
    from nbdask.derive import Pipeline, Step

_PIXELS = {"": None, "px": None, "um": 1e-6, "mm": 1e-3, "m": 1.0}
#: Options that add a step, in the order of the steps.
STEP_OPTIONS = (
    "flicker",
    "pixel_flicker",
    "no_poisson",
    "noise_rng",
    "psf_gauss",
    "psf_fibre",
    "psf_radius",
    "calibration",
    "calibration_seed",
    "gain",
    "gain_map",
    "readout",
    "offset",
    "integers",
    "saturation",
)
#: Field of a step -> option that sets it.
_FLAGS = {
    "seed": "--seed",
    "frame": "--frame",
    "flicker.frame_rms": "--flicker",
    "flicker.pixel_rms": "--pixel-flicker",
    "gaussian_psf.fwhm": "--psf-gauss",
    "gaussian_psf.radius": "--psf-radius",
    "fibre_psf.fwhm": "--psf-fibre",
    "fibre_psf.radius": "--psf-radius",
    "calibration.rms": "--calibration",
    "calibration.seed": "--calibration-seed",
    "gain.factor": "--gain",
    "readout.sigma": "--readout",
    "offset.value": "--offset",
    "saturation.maximum": "--saturation",
}


class _Share(click.ParamType):  # type: ignore[type-arg]
    """A relative standard deviation: ``0.03`` or ``3%``."""

    name = "share"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Read it."""
        text = str(value).strip()
        try:
            return float(text[:-1]) / 100.0 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{text!r} is not a share such as 0.03 or 3%", param, ctx)


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


def noise_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of noise and detector effects, in the order of the steps."""
    decorators: list[Decorator] = [
        click.option(
            "--seed", type=int, metavar="S", help="Seed of the noise; equal seeds, equal noise."
        ),
        click.option(
            "--frame",
            type=int,
            metavar="N",
            help="Number of the image in a series [default: 0].",
        ),
        click.option(
            "--flicker", type=_Share(), metavar="RMS", help="Flicker of the whole frame: 0.01, 1%."
        ),
        click.option(
            "--pixel-flicker",
            type=_Share(),
            metavar="RMS",
            help="Flicker of each pixel by itself: 0.01, 1%.",
        ),
        click.option("--no-poisson", is_flag=True, help="Leave out the photon noise."),
        click.option(
            "--noise-rng",
            type=click.Choice(["counter", "c"]),
            help="counter [default]: by seed, frame and pixel; c: nanoBragg C's own sequence.",
        ),
        click.option(
            "--psf-gauss", type=_Width(), metavar="FWHM", help="Gaussian spread: 1.5px, 80um."
        ),
        click.option(
            "--psf-fibre",
            type=_Width(),
            metavar="FWHM",
            help="Spread of a fibre-optic taper: 80um.",
        ),
        click.option(
            "--psf-radius", type=int, metavar="PIXELS", help="Where the spread is cut off."
        ),
        click.option(
            "--calibration",
            type=_Share(),
            metavar="RMS",
            help="Error of each pixel's calibration: 0.03, 3%.",
        ),
        click.option(
            "--calibration-seed",
            type=int,
            metavar="S",
            help="Seed of the calibration's errors, one for each detector [default: --seed].",
        ),
        click.option("--gain", type=float, metavar="X", help="Detector units per photon."),
        click.option("--gain-map", metavar="FILE", help="NumPy file with a factor for each pixel."),
        click.option(
            "--readout",
            type=float,
            metavar="SIGMA",
            help="Noise of the read-out, rms [detector units].",
        ),
        click.option(
            "--offset",
            type=float,
            metavar="X",
            help="Constant that the read-out adds [detector units].",
        ),
        click.option("--integers", is_flag=True, help="Round to whole numbers."),
        click.option(
            "--saturation",
            type=float,
            metavar="MAX",
            help="Greatest value of a pixel; what is above becomes it.",
        ),
        click.option("--pipeline", metavar="FILE", help="TOML file with the steps, in any order."),
    ]
    return apply_all(decorators, function)


def given_options(options: dict[str, Any]) -> list[str]:
    """Return the options of noise that were given, as flags."""
    names = ("seed", "frame", *STEP_OPTIONS, "pipeline")
    return flags_of(options, *names)


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
        raise click.UsageError("--psf-gauss and --psf-fibre exclude each other: use --pipeline")
    if options["psf_radius"] is not None and not (options["psf_gauss"] or options["psf_fibre"]):
        raise click.UsageError("--psf-radius needs --psf-gauss or --psf-fibre")
    if options["calibration_seed"] is not None and options["calibration"] is None:
        raise click.UsageError("--calibration-seed needs --calibration")
    spread = [flag for flag in given_options(options) if flag in ("--psf-gauss", "--psf-fibre")]
    if options["noise_rng"] == "c" and spread:
        raise click.UsageError(
            f"--noise-rng c and {spread[0]} exclude each other: spread the light in a second run,"
            " nbdask noise NOISY --out STORE --no-poisson"
        )
    if options["no_poisson"] and options["noise_rng"] is not None:
        raise click.UsageError("--no-poisson and --noise-rng exclude each other")


def _steps(options: dict[str, Any], pixel_size: float) -> list[Step]:
    """Return the steps, in the order in which a detector does them."""
    steps: list[Step] = []
    flicker = options["flicker"], options["pixel_flicker"]
    if flicker != (None, None):
        steps.append(derive.Flicker(flicker[0] or 0.0, flicker[1] or 0.0))
    if not options["no_poisson"]:
        steps.append(derive.PoissonC() if options["noise_rng"] == "c" else derive.Poisson())
    for name, made in (("psf_gauss", derive.GaussianPSF), ("psf_fibre", derive.FibrePSF)):
        if options[name] is not None:
            number, unit = options[name]
            # Twelve digits: 0.08 mm are 0.4 pixels of 0.2 mm, not 0.39999999999999997.
            fwhm = number if unit is None else float(f"{number * unit / pixel_size:.12g}")
            steps.append(made(fwhm, options["psf_radius"]))
    if options["calibration"] is not None:
        steps.append(derive.Calibration(options["calibration"], options["calibration_seed"]))
    if options["gain"] is not None or options["gain_map"] is not None:
        factor = 1.0 if options["gain"] is None else options["gain"]
        steps.append(derive.Gain(factor, options["gain_map"]))
    if options["readout"] is not None:
        steps.append(derive.Readout(options["readout"]))
    if options["offset"] is not None:
        steps.append(derive.Offset(options["offset"]))
    if options["integers"]:
        steps.append(derive.Rounding())
    if options["saturation"] is not None:
        steps.append(derive.Saturation(options["saturation"]))
    return steps


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise InputFileError(f"--pipeline {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputFileError(f"--pipeline {path}: is not TOML: {error}") from None


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
