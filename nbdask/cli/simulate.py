"""``nbdask simulate``: nanoBragg flags -> store."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.argv import ARGV, COMMAND_LINE, FlagCommand
from nbdask.cli.config import experiment_of
from nbdask.cli.faults import bar
from nbdask.cli.jsonlines import emit
from nbdask.cli.jsonlog import JsonLog, ended
from nbdask.cli.noise_options import given_options, noise_options, pipeline_of
from nbdask.cli.options import (
    AMPLITUDES,
    EXPERIMENT,
    amplitude_options,
    experiment_options,
    flags_of,
    parse_flags,
    resume_option,
    run_options,
)
from nbdask.cli.outputs import check_distinct, inputs_of
from nbdask.cli.progress import ProgressLine
from nbdask.cli.running import (
    describe_disk,
    dim_notes,
    run_keywords,
    say,
    say_notes,
    say_result,
    say_stopped,
    say_unfinished,
)
from nbdask.cli.sharing import run_shard, shard_of
from nbdask.cli.shot_options import (
    described,
    equal_shots,
    series_of,
    settle_spectrum_seed,
    shot_options,
)
from nbdask.cli.tables import show
from nbdask.errors import UnfinishedError
from nbdask.experiment import Experiment
from nbdask.fill.target import Target, check_outside
from nbdask.flags import Outputs
from nbdask.geometry.crystal_frame import orient_crystal
from nbdask.store.address import place_of
from nbdask.units import to_angstrom

if TYPE_CHECKING:
    from nbdask.export.flagfile import FlagFile
    from nbdask.plan.plan import Plan
    from nbdask.shots.series import Series

_EPILOG = """\b
nanoBragg flags (one dash) are taken as they are: nbdask flags lists them.
Example: nbdask simulate -mat A.mat -hkl P1.hkl -N 20 -lambda 0.9768 --out run.zarr"""


@click.command(name="simulate", cls=FlagCommand, first=True, epilog=_EPILOG)
@click.option("--out", metavar="PATH", help="The zarr store to write, such as run.zarr.")
@click.option(
    "--config", metavar="FILE", help="TOML file that describes the experiment, instead of flags."
)
@click.option(
    "--semantics",
    type=click.Choice(["spec", "c"]),
    help="spec [default]: as specified; c: nanoBragg C's history-dependent behaviour too.",
)
@experiment_options("")
@amplitude_options()
@shot_options
@click.option("--overwrite", is_flag=True, help="Replace an existing nbdask store.")
@resume_option
@click.option("--pyramid", is_flag=True, help="Build a pyramid of coarser levels as tiles finish.")
@click.option(
    "--shard",
    metavar="NUMBER/COUNT",
    help="Compute one share of the tiles, such as 3/200, into a store that is shared with the other"
    " shares: any may run at any time, at once, or again. nbdask status tells what is missing.",
)
@click.option(
    "--planes",
    metavar="LIST",
    help="Further planes beside the image: wavelength (of each pixel, the mean weighted by"
    " intensity, in m), hkl (the same of the nearest indices: h, k, l), or wavelength,hkl.",
)
@click.option(
    "--gradient",
    metavar="LIST",
    help="Derivatives beside the image, by names that nbdask parameters lists or their beginnings:"
    " crystal.turn,crystal.cell.a.",
)
@click.option(
    "--truth",
    type=click.Choice(["table", "reflections"]),
    help="Keep in the store what is true of its images: crystal and beam; every reflection too.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print what was made, or the plan, as JSON.",
)
@click.option(
    "--noise",
    metavar="PATH",
    help="Also write a store with photon noise and detector effects, as set by the options from"
    " --seed to --pipeline. (nanoBragg's own noise image is written by -noisefile, with -seed.)",
)
@noise_options
@click.option(
    "--keep-float",
    type=click.Choice(["yes", "no"]),
    default="yes",
    show_default=True,
    help="no: with --seed and the options after it, write noisy counts only, to --out and in one"
    " pass; the photons are not kept.",
)
@click.option(
    "--log",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one JSON object a line on standard error for each event, and no progress line.",
)
@run_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Simulate an image, or a series of images, into a zarr store."""
    from nbdask.run import simulate

    experiment, outputs, notes = _experiment(ctx.meta[ARGV], settle_spectrum_seed(options))
    series = series_of(experiment, options)
    subject: Experiment | Series = experiment if series is None else series
    notes = (*notes, *equal_shots(series))
    shard = shard_of(options, outputs)
    if options["dry_run"]:
        _treatment(experiment, options)
        _noisy_copy(experiment, options, [], None if outputs is None else outputs.seed)
        _dry_run(experiment, series, options, 1 if shard is None else shard.count, notes, outputs)
        return
    if options["as_json"] and shard is not None:
        raise click.UsageError("--json: no shard has all of the image; --log json tells of its run")
    if options["out"] is None:
        raise click.UsageError("--out is missing: name the store to write, such as --out run.zarr")
    _check_images(subject, outputs)
    if shard is not None:
        made = (_treatment(experiment, options), _truth(experiment, options))
        ctx.exit(run_shard(subject, options, shard, ctx.meta[COMMAND_LINE], notes, made))
    files = _outputs(outputs)
    seed = None if outputs is None else outputs.seed
    treatment = _treatment(experiment, options)
    noisy = _noisy_copy(experiment, options, ctx.meta[COMMAND_LINE], seed)
    _check_apart(outputs, experiment, options["out"])
    for file in files:
        file.bar = partial(bar, quiet=options["quiet"])
    as_lines = options["log"] == "json"
    line = ProgressLine(options["quiet"] or as_lines)
    try:
        result = simulate(
            subject,
            options["out"],
            **run_keywords(options),
            treatment=treatment,
            overwrite=options["overwrite"],
            resume=options["resume"],
            command=ctx.meta[COMMAND_LINE],
            listeners=[line, *([JsonLog()] if as_lines else []), *_followers(options["pyramid"])],
            outputs=[*_truth(experiment, options), *files, *noisy],
            notes=notes,
            progress=False,
        )
    except KeyboardInterrupt as error:
        ctx.exit(say_stopped(error, line, ctx.meta[COMMAND_LINE]))
    except UnfinishedError as error:
        ctx.exit(say_unfinished(error, line, ctx.meta[COMMAND_LINE]))
    notes = _print_pixels(outputs, experiment, result.path, options["as_json"])
    if not options["quiet"]:
        dim = dim_notes(result.statistics) if treatment is None else []
        say_notes([note for note in (*result.notes, *notes, *dim) if note not in line.told])
        say_result(result, options["as_json"])
        if not options["as_json"]:
            show("\n".join(_realised(experiment) if series is None else described(series)))
        for file in files:
            say(f"{file.flag} {file.path}: {', '.join(['written', *file.remarks])}")
    emit("end", **ended(result))


def _dry_run(
    experiment: Experiment,
    series: Series | None,
    options: dict[str, Any],
    shards: int,
    notes: tuple[str, ...],
    outputs: Outputs | None,
) -> None:
    """Print the plan, and what follows from the experiment."""
    from nbdask.prepare import Settings, prepare

    out = options["out"]
    place = place_of(out, options["durability"]) if out else None
    settings, count = Settings(**run_keywords(options)), len(_outputs(outputs))
    subject = experiment if series is None else series
    model, plan, _ = prepare(subject, settings, place, count, shards=shards)
    disk, warnings = describe_disk(plan, options["out"])
    say_notes([*notes, *model.notes, *warnings])
    if options["as_json"]:
        click.echo(_plan_json(experiment, series, plan))
        return
    told = _realised(experiment) if series is None else described(series)
    show("\n".join([plan.describe(), disk, *told]))


def _plan_json(experiment: Experiment, series: Series | None, plan: Plan) -> str:
    """Return what ``--dry-run`` tells, as JSON."""
    from nbdask.derive.realised import Realised
    from nbdask.shots.describe import describe

    told: dict[str, Any] = {"plan": plan.to_dict()}
    if series is None:
        told["realised"] = Realised.of(experiment).to_dict()
        told["fingerprint"] = experiment.fingerprint()
    else:
        told["varies"] = dict(describe(series))
    return json.dumps(told, indent=2)


def _experiment(
    argv: list[str], options: dict[str, Any]
) -> tuple[Experiment, Outputs | None, tuple[str, ...]]:
    """Build the experiment from flags or from a TOML file."""
    if options["config"] is None:
        parsed = parse_flags(argv, options)
        notes = (*parsed.notes, *_hints(parsed.experiment))
        return parsed.experiment, parsed.outputs, notes
    beside = argv[:1] + flags_of(options, "semantics", *EXPERIMENT, *AMPLITUDES)
    if beside:
        raise click.UsageError(
            f"--config describes the whole experiment: leave out {beside[0]} or put it in the file"
        )

    return experiment_of(options["config"]), None, ()


def _check_images(subject: Experiment | Series, outputs: Outputs | None) -> None:
    """Refuse what is made of one image of one panel only."""
    if outputs is None:
        return
    many = ""
    if not isinstance(subject, Experiment):
        many = f"there are {subject.n_shots} shots: must be one image"
    elif subject.n_panels > 1:
        many = f"the detector has {subject.n_panels} panels: must be one panel"
    for name in ("floatfile", "intfile", "pgmfile", "noisefile", "printout"):
        if many and getattr(outputs, name):
            raise click.UsageError(f"-{name}: {many}")


def _realised(experiment: Experiment) -> list[str]:
    """Return the lines that tell what follows from an experiment."""
    from nbdask.derive.realised import Realised

    return [f"{name:10s}{text}" for name, text in Realised.of(experiment).rows()]


def _hints(experiment: Experiment) -> list[str]:
    """Say where there are no spots, for want of cells or of amplitudes."""
    from nbdask.derive.realised import Realised

    hints = []
    crystal = experiment.crystal
    counts = orient_crystal(crystal, experiment.beam).n_cells
    if crystal.cells_matrix is None and tuple(counts) == (1, 1, 1):
        hints.append(
            "the crystal is one unit cell, which has no Bragg spots: -N sets the number of cells"
            " along a, b and c"
        )
    recipe = experiment.structure.recipe
    finest = None if recipe is None else recipe.d_min
    corner = None if finest is None else Realised.of(experiment).corner_m
    if finest is not None and corner is not None and finest > corner:
        hints.append(
            f"amplitudes end at {to_angstrom(finest):.4g} Angstrom (--dmin), the detector at"
            f" {to_angstrom(corner):.4g} in the corner: no spots in between"
        )
    return hints


def _followers(pyramid: bool) -> list[Any]:
    """Return what works on the store while it is filled."""
    if not pyramid:
        return []
    from nbdask.derive.pyramid import GrowingPyramid

    return [GrowingPyramid()]


def _truth(experiment: Experiment, options: dict[str, Any]) -> list[Any]:
    """Return what puts its truth into the store, if asked for."""
    if options["truth"] is None:
        return []
    from nbdask.truth.compute import Wanted
    from nbdask.truth.stored import KeptTruth

    wanted = Wanted(options["truth"] == "reflections", threads=options["threads"])
    show = partial(bar, quiet=options["quiet"])
    return [KeptTruth(experiment, wanted, options["durability"], show)]


def _noisy_copy(
    experiment: Experiment, options: dict[str, Any], command: list[str], seed: int | None
) -> list[Any]:
    """Return the noisy copy to write, if asked for.

    ``seed`` is that of nanoBragg's flag, which is of another output.
    """
    path = options["noise"]
    if options["keep_float"] == "no":
        if path is not None:
            raise click.UsageError(f"--noise {path} with --keep-float no: --out holds the noise")
        return []
    if path is None:
        given = given_options(options)
        if given:
            raise click.UsageError(f"{given[0]} needs --noise PATH, the noisy store to write")
        return []
    if not path:
        raise click.UsageError("--noise is empty: give the path of the noisy store, as noisy.zarr")
    from nbdask.derive.noise import NoisyCopy, stacked
    from nbdask.prepare import Settings

    place = place_of(path, options["durability"])
    target = Target(place, options["overwrite"], options["resume"], "--noise")
    if options["out"] is not None:
        here, there = target.place.name, place_of(options["out"]).name
        if here == there:
            raise click.UsageError(f"--noise {path} is the store --out too: name another one")
        check_outside(here, there, "--noise")
    if options["seed"] is None and options["pipeline"] is None and seed is not None:
        raise click.UsageError(
            f"--seed is missing: -seed {seed} is the seed of -noisefile alone; --noise takes its"
            f" own, such as --seed {abs(seed)}"
        )
    pipeline = pipeline_of(options, experiment.detector.pixel_size)
    names = ("cluster", "workers", "threads", "jobs", "compression")
    settings = Settings(**{name: options[name] for name in names})
    report = None if options["quiet"] else say
    shape = stacked(experiment.n_panels, experiment.shape)
    return [NoisyCopy(target, pipeline, shape, settings, command, report)]


def _treatment(experiment: Experiment, options: dict[str, Any]) -> Any:
    """Return the noise that is added at once, if asked for."""
    if options["keep_float"] == "yes":
        return None
    from nbdask.derive.at_once import Noise

    return Noise(pipeline_of(options, experiment.detector.pixel_size))


def _check_apart(outputs: Outputs | None, experiment: Experiment, out: str) -> None:
    """Refuse an output file that is an input of the run, another output, or lies in its store."""
    if outputs is None:
        return
    asked = {
        "-floatfile": outputs.floatfile,
        "-intfile": outputs.intfile,
        "-pgmfile": None if outputs.nopgm else outputs.pgmfile,
        "-noisefile": None if outputs.nonoise else outputs.noisefile,
    }
    check_distinct(asked, inputs_of(experiment), store=out)


def _outputs(outputs: Outputs | None) -> list[FlagFile]:
    """Return the files to write in addition to the store."""
    if outputs is None:
        return []
    if not any((outputs.floatfile, outputs.intfile, outputs.pgmfile, outputs.noisefile)):
        return []
    from nbdask.export.flags import flag_files

    return flag_files(outputs)


def _print_pixels(
    outputs: Outputs | None, experiment: Experiment, store: Path | str, aside: bool
) -> tuple[str, ...]:
    """Print what -printout and -printout_pixel ask for; return notes."""
    if outputs is None or not outputs.printout:
        return ()
    from nbdask.trace.printout import printout

    text, notes = printout(experiment, store, outputs.printout_pixel, report=say)
    if text:
        click.echo(text, err=aside)
    return notes
