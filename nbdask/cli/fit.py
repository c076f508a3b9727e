"""``nbdask fit``: numbers of an experiment refined against an image."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from nbdask.cli.argv import ARGV, COMMAND_LINE, FlagCommand
from nbdask.cli.config import experiment_of
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.options import experiment_options, parse_flags
from nbdask.cli.outputs import check_distinct, inputs_of
from nbdask.cli.reading import reading_of, reading_options
from nbdask.cli.running import resume_command, say, say_notes
from nbdask.cli.startup import how_ended
from nbdask.cli.tables import show
from nbdask.errors import FieldError, InputError, InputFileError
from nbdask.experiment import Experiment
from nbdask.files import check_target, whole_file
from nbdask.flags import to_toml

if TYPE_CHECKING:
    from nbdask.gradients.found import JointResult
    from nbdask.gradients.search import Shot

_EPILOG = """\b
Example: nbdask fit noisy.zarr --refine crystal.turn,crystal.cell --out found.toml
Example: nbdask fit data.npy -mat A.mat -hkl P1.hkl -N 20 --refine crystal.turn
Example: nbdask fit a.zarr b.zarr --refine crystal.turn --shared detector.distance
Example: nbdask fit stills.zarr --shots 0:20 --refine crystal.turn --shared detector.distance"""


class _FitCommand(FlagCommand):
    """DATA first, of which there may be several, then nanoBragg flags."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show what comes where."""
        return ["DATA... [NANOBRAGG FLAGS] [OPTIONS]"]


@click.command(
    name="fit",
    cls=_FitCommand,
    epilog=_EPILOG,
    own=("readout", "gain", "offset", "saturation"),
)
@click.option("--refine", metavar="NAMES", help="Parameters: names that nbdask parameters lists.")
@click.option(
    "--shared",
    metavar="NAMES",
    help="With several DATA: parameters that all have in common; each has its own of --refine.",
)
@click.option(
    "--shots",
    metavar="A:B",
    help="Of a store of many shots those from A to before B [default: all]; each has its own of"
    " --refine and starts where the store has it.",
)
@click.option(
    "--amplitudes",
    is_flag=True,
    help="Also refine the structure factors of the list, which all DATA have in common.",
)
@click.option(
    "--config", metavar="FILE", help="TOML file of the experiment to start from, instead of flags."
)
@click.option(
    "--background-photons",
    type=Number(0.0),
    default=0.0,
    help="Photons per pixel that the model does not hold.",
)
@click.option("--readout", type=Number(0.0), default=0.0, help="Readout noise [units of DATA].")
@reading_options
@click.option(
    "--robust",
    type=Number(0.1),
    help="Huber loss: residuals beyond this many sigma count linearly.",
)
@click.option("--iterations", type=Whole(min=1), default=50, show_default=True, help="Most steps.")
@click.option(
    "--blur",
    metavar="PIXELS",
    help="Fit blurred images first, such as --blur 4,2: standard deviations [pixel].",
)
@click.option(
    "--bounds",
    metavar="NAME=LOW:HIGH",
    multiple=True,
    help="Least and greatest value of a field, in its unit; may be given again.",
)
@click.option("--state", metavar="FILE", help="Keep where the fit stands, after every step.")
@click.option(
    "--resume",
    type=click.Choice(["missing"]),
    metavar="",
    help="Go on from --state, with the steps that the fit would have taken.",
)
@click.option("--report", metavar="FILE", help="Write pictures and tables: .html, or .png.")
@click.option(
    "--out",
    metavar="FILE",
    help="Write the refined experiment as TOML; of several DATA or shots FILE-0.toml and so on.",
)
@click.option(
    "--json",
    "json_file",
    metavar="FILE",
    help="Write values, covariance, losses; -: to standard output.",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--quiet", is_flag=True, help="Print the table alone.")
@click.option(
    "--semantics", type=click.Choice(["spec", "c"]), help="spec [default] or c, as for simulate."
)
@experiment_options("With nanoBragg flags: ")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Refine numbers of an experiment so that its image becomes that of DATA.

    DATA is a store or a .npy file of photons, or of detector units with --gain and --offset; NaN
    where there are none.  Without flags and --config the store's own experiment is what the fit
    starts from.  Several DATA are fitted at once, as are the shots of a store.  The exit code is 1
    where the fit did not converge.
    """
    from nbdask.gradients.report import check_report
    from nbdask.gradients.search import labels_of

    argv = list(ctx.meta[ARGV])
    count = next((n for n, word in enumerate(argv) if word.startswith("-")), len(argv))
    paths, flags = argv[:count], argv[count:]
    if not paths:
        raise click.UsageError("DATA is missing: name a store or a .npy file first")
    if options["refine"] is None and options["shared"] is None:
        raise click.UsageError("--refine is missing: such as --refine crystal.turn,crystal.cell")
    _check_names(options)
    shots, notes = _shots(paths, flags, options)
    used = {name: None for shot in shots for name in inputs_of(shot.experiment)}
    inputs = (*paths, options["config"], *used)
    outs = _outs(options["out"], labels_of(shots))
    printed = options["json_file"] == "-"
    table = None if printed else options["json_file"]
    files = {"--json": table, "--report": options["report"], **outs}
    check_distinct({**files, "--state": options["state"]}, inputs)
    for flag, target in files.items():
        if target is not None:
            check_target(target, flag, InputError, overwrite=options["overwrite"])
    if options["report"] is not None:
        check_report(options["report"], overwrite=options["overwrite"])
    say_notes(notes)
    try:
        result = _fitted(shots, options)
    except KeyboardInterrupt as error:
        ctx.exit(_say_stopped(error, options, ctx.meta[COMMAND_LINE]))
    shown = result if len(shots) > 1 or options["amplitudes"] else result.shots[0]
    show(shown.table(), err=printed)
    for (flag, target), one in zip(outs.items(), result.shots, strict=False):
        _write(target, flag, to_toml(one.experiment))
    values = json.dumps(shown.to_dict(), indent=1) + "\n"
    if table is not None:
        _write(table, "--json", values)
    elif printed:
        click.echo(values, nl=False)
    if options["report"] is not None:
        shown.report(options["report"], overwrite=options["overwrite"])
    return 0 if result.converged else 1


def _check_names(options: dict[str, Any]) -> None:
    """Make sure that parameters have names, and say in which option one has none."""
    from nbdask.gradients.parameters import parameters_of

    for flag in ("refine", "shared"):
        try:
            if options[flag] is not None:
                parameters_of(options[flag])
        except FieldError as error:
            raise FieldError(f"--{flag}", error.given, error.allowed) from None


def _shots(
    paths: list[str], flags: list[str], options: dict[str, Any]
) -> tuple[list[Shot], list[str]]:
    """Return what is fitted, and notes: an image of each DATA, or the shots of one store."""
    from nbdask.gradients.search import Shot
    from nbdask.shot_data import is_series, read_shots

    reading = reading_of(options, paths)
    errors = {
        "background": options["background_photons"],
        "readout": options["readout"] / reading.gain,
    }
    many = [path for path in paths if not path.endswith(".npy") and is_series(path)]
    if many and len(paths) > 1:
        raise click.UsageError(f"{many[0]} holds many shots: fit it without other DATA")
    if options["shots"] is not None and not many:
        raise click.UsageError(
            f"--shots {options['shots']}: {paths[0]} holds one image: leave --shots out"
        )
    if many:
        given: Experiment | None = None
        notes: tuple[str, ...] = ()
        if flags or options["config"] is not None:
            given, notes = _experiment(many[0], flags, options)
        shots = read_shots(many[0], options["shots"], experiment=given, **errors)
        return [replace(shot, data=reading.photons(shot.data)) for shot in shots], list(notes)
    found = [_experiment(path, flags, options) for path in paths]
    shots = [
        Shot(experiment, reading.photons(_data(path)), **errors)
        for path, (experiment, _) in zip(paths, found, strict=True)
    ]
    return shots, [note for _, notes in found for note in notes]


def _fitted(shots: list[Shot], options: dict[str, Any]) -> JointResult:
    """Fit one image or several."""
    from nbdask.gradients.fit import fit_joint

    return fit_joint(
        shots,
        options["refine"] or (),
        options["shared"] or (),
        amplitudes=options["amplitudes"],
        robust=options["robust"],
        bounds=_bounds(options["bounds"]),
        blur=_blurs(options["blur"]),
        iterations=options["iterations"],
        state=options["state"],
        resume=options["resume"] is not None,
        overwrite=options["overwrite"] and options["resume"] is None,
        report=None if options["quiet"] else say,
    )


def _say_stopped(error: KeyboardInterrupt, options: dict[str, Any], argv: list[str]) -> int:
    """Say what is kept of a fit that was stopped; return the exit code."""
    word, code = how_ended(error)
    if options["state"] is None:
        say(f"{word}; --state FILE would have kept what was found")
    else:
        say(f"{word}; {options['state']} keeps the steps that were taken. To go on:")
        print(resume_command(argv), file=sys.stderr)
    return code


def _outs(out: str | None, labels: list[int]) -> dict[str, str]:
    """Return the TOML files to write, by what they are called in messages."""
    if out is None:
        return {}
    if len(labels) == 1:
        return {"--out": out}
    begin, end = os.path.splitext(out)
    return {f"--out ({number})": f"{begin}-{number}{end}" for number in labels}


def _blurs(text: str | None) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise click.UsageError(f"--blur {text}: must be numbers of pixels, such as 4,2") from None


def _bounds(given: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    bounds = {}
    for text in given:
        name, _, both = text.partition("=")
        try:
            low, high = (float(word) for word in both.split(":"))
        except ValueError:
            low, high = 1.0, 0.0
        if not low <= high:
            raise click.UsageError(f"--bounds {text}: must be NAME=LOW:HIGH, LOW not above HIGH")
        bounds[name] = (low, high)
    return bounds


def _write(path: str, flag: str, text: str) -> None:
    with whole_file(path, flag, InputError) as fresh:
        fresh.write_bytes(text.encode())


def _experiment(
    path: str, flags: list[str], options: dict[str, Any]
) -> tuple[Experiment, tuple[str, ...]]:
    """Return where the fit starts, and notes."""
    if options["config"] is not None:
        if flags:
            raise click.UsageError(f"--config describes the whole experiment: leave out {flags[0]}")
        return experiment_of(options["config"]), ()
    if flags:
        parsed = parse_flags(flags, options)
        return parsed.experiment, parsed.notes
    if path.endswith(".npy"):
        raise click.UsageError(f"{path} holds no experiment: give nanoBragg flags or --config")
    from nbdask.store.reader import StoreReader

    return StoreReader(path).experiment, ()


def _data(path: str) -> Any:
    """Return the photons of a store, lazy, or of a file."""
    if path.endswith(".npy"):
        try:
            with np.errstate(over="ignore"):  # a size beyond all files is refused below
                found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:  # the last one: an empty file
            raise InputFileError(f"{path}: not a readable .npy file ({error})") from error
        if not np.issubdtype(found.dtype, np.number) or np.iscomplexobj(found):
            raise InputFileError(f"{path}: holds {found.dtype}: must be real numbers, photons")
        return found
    from nbdask.store.open import open_store

    return open_store(path)["image"]
