"""``nbdask simulate``: nanoBragg flags -> store."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.argv import ARGV, COMMAND_LINE, FlagCommand
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
    run_keywords,
    say,
    say_notes,
    say_result,
    say_stopped,
    say_unfinished,
)
from nbdask.cli.sharing import run_shard, shard_of
from nbdask.errors import UnfinishedError
from nbdask.experiment import Experiment
from nbdask.fill.target import Target, check_outside
from nbdask.flags import Outputs, from_toml
from nbdask.store.address import place_of

if TYPE_CHECKING:
    from nbdask.export.flagfile import FlagFile

_EPILOG = """\b
nanoBragg flags (one dash) are taken as they are: nbdask flags lists them.
Example: nbdask simulate -mat A.mat -hkl P1.hkl -N 20 -lambda 0.9768 --out run.zarr"""


@click.command(name="simulate", cls=FlagCommand, epilog=_EPILOG)
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
@click.option("--overwrite", is_flag=True, help="Replace an existing nbdask store.")
@resume_option
@click.option("--pyramid", is_flag=True, help="Build a pyramid of coarser levels as tiles finish.")
@click.option(
    "--shard",
    metavar="NUMBER/COUNT",
    help="Compute one share of the tiles, such as 3/200, into a store that is shared with the other"
    " shares: any may run at any time, at once, or again. nbdask status tells what is missing.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option(
    "--noise",
    metavar="PATH",
    help="Also write a store with photon noise and detector effects, as set by the options from"
    " --seed to --pipeline. (nanoBragg's own noise image is written by -noisefile, with -seed.)",
)
@noise_options
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
    """Simulate an image into a zarr store."""
    from nbdask.run import Settings, prepare, simulate

    experiment, outputs, notes = _experiment(ctx.meta[ARGV], options)
    shard = shard_of(options, outputs)
    if options["dry_run"]:
        shards = 1 if shard is None else shard.count
        out = options["out"]
        place = place_of(out, options["durability"]) if out else None
        settings, count = Settings(**run_keywords(options)), len(_outputs(outputs))
        model, plan, _ = prepare(experiment, settings, place, count, shards=shards)
        disk, warnings = describe_disk(plan, options["out"])
        say_notes([*notes, *model.notes, *warnings])
        click.echo("\n".join([plan.describe(), disk, *_realised(experiment)]))
        return
    if options["out"] is None:
        raise click.UsageError("--out is missing: name the store to write, such as --out run.zarr")
    _check_panels(experiment, outputs)
    if shard is not None:
        ctx.exit(run_shard(experiment, options, shard, ctx.meta[COMMAND_LINE], notes))
    files = _outputs(outputs)
    seed = None if outputs is None else outputs.seed
    noisy = _noisy_copy(experiment, options, ctx.meta[COMMAND_LINE], seed)
    _check_apart(outputs, experiment, options["out"])
    for file in files:
        file.bar = partial(bar, quiet=options["quiet"])
    json = options["log"] == "json"
    line = ProgressLine(options["quiet"] or json)
    try:
        result = simulate(
            experiment,
            options["out"],
            **run_keywords(options),
            overwrite=options["overwrite"],
            resume=options["resume"],
            command=ctx.meta[COMMAND_LINE],
            listeners=[line, *([JsonLog()] if json else []), *_followers(options["pyramid"])],
            outputs=[*files, *noisy],
            notes=notes,
            progress=False,
        )
    except KeyboardInterrupt as error:
        ctx.exit(say_stopped(error, line, ctx.meta[COMMAND_LINE]))
    except UnfinishedError as error:
        ctx.exit(say_unfinished(error, line, ctx.meta[COMMAND_LINE]))
    notes = _print_pixels(outputs, experiment, result.path)
    if not options["quiet"]:
        say_notes([note for note in (*result.notes, *notes) if note not in line.told])
        say_result(result)
        click.echo("\n".join(_realised(experiment)))
        for file in files:
            say(f"{file.flag} {file.path}: {', '.join(['written', *file.remarks])}")
    emit("end", **ended(result))


def _experiment(
    argv: list[str], options: dict[str, Any]
) -> tuple[Experiment, Outputs | None, tuple[str, ...]]:
    """Build the experiment from flags or from a TOML file."""
    if options["config"] is None:
        parsed = parse_flags(argv, options)
        return parsed.experiment, parsed.outputs, parsed.notes
    beside = argv[:1] + flags_of(options, "semantics", *EXPERIMENT, *AMPLITUDES)
    if beside:
        raise click.UsageError(
            f"--config describes the whole experiment: leave out {beside[0]} or put it in the file"
        )

    return from_toml(options["config"]), None, ()


def _check_panels(experiment: Experiment, outputs: Outputs | None) -> None:
    """Refuse what is made of one panel only."""
    if experiment.n_panels == 1 or outputs is None:
        return
    for name in ("floatfile", "intfile", "pgmfile", "noisefile", "printout"):
        if getattr(outputs, name):
            raise click.UsageError(
                f"-{name}: the detector has {experiment.n_panels} panels: must be one panel"
            )


def _realised(experiment: Experiment) -> list[str]:
    """Return the lines that tell what follows from an experiment."""
    from nbdask.derive.realised import Realised

    return [f"{name:10s}{text}" for name, text in Realised.of(experiment).rows()]


def _followers(pyramid: bool) -> list[Any]:
    """Return what works on the store while it is filled."""
    if not pyramid:
        return []
    from nbdask.derive.pyramid import GrowingPyramid

    return [GrowingPyramid()]


def _noisy_copy(
    experiment: Experiment, options: dict[str, Any], command: list[str], seed: int | None
) -> list[Any]:
    """Return the noisy copy to write, if asked for.

    ``seed`` is that of nanoBragg's flag, which is of another output.
    """
    path = options["noise"]
    if path is None:
        given = given_options(options)
        if given:
            raise click.UsageError(f"{given[0]} needs --noise PATH, the noisy store to write")
        return []
    from nbdask.derive.noise import NoisyCopy, stacked
    from nbdask.run import Settings

    target = Target(place_of(path, options["durability"]), options["overwrite"], options["resume"])
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
    names = ("cluster", "workers", "threads", "jobs")
    settings = Settings(**{name: options[name] for name in names})
    report = None if options["quiet"] else say
    shape = stacked(experiment.n_panels, experiment.shape)
    return [NoisyCopy(target, pipeline, shape, settings, command, report)]


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
    outputs: Outputs | None, experiment: Experiment, store: Path | str
) -> tuple[str, ...]:
    """Print what -printout and -printout_pixel ask for; return notes."""
    if outputs is None or not outputs.printout:
        return ()
    from nbdask.trace.printout import printout

    text, notes = printout(experiment, store, outputs.printout_pixel, report=say)
    if text:
        click.echo(text)
    return notes
