"""``nbdask simulate``: nanoBragg flags -> store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.noise_options import given_options, noise_options, pipeline_of
from nbdask.cli.options import run_options
from nbdask.cli.running import (
    describe_disk,
    run_keywords,
    say,
    say_interrupted,
    say_notes,
    say_result,
)
from nbdask.cli.words import COMMAND_LINE, WORDS, FlagCommand
from nbdask.errors import FlagError

if TYPE_CHECKING:
    from nbdask.experiment import Experiment
    from nbdask.experiment.flags import Outputs

_EPILOG = """\b
nanoBragg flags (one dash) are taken as they are: nbdask flags lists them.
Example: nbdask simulate -mat A.mat -hkl P1.hkl -lambda 0.9768 --out run.zarr"""


@click.command(name="simulate", cls=FlagCommand, epilog=_EPILOG)
@click.option("--out", metavar="PATH", help="The zarr store to write, such as run.zarr.")
@click.option("--config", metavar="FILE", help="TOML file that describes the experiment.")
@click.option(
    "--semantics",
    type=click.Choice(["spec", "c"]),
    help="spec [default]: as specified; c: nanoBragg C's history-dependent behaviour too.",
)
@click.option(
    "--source-weights",
    type=click.Choice(["ignore", "apply"]),
    help="Weights of a -sourcefile: ignore [default], as nanoBragg does, or apply.",
)
@click.option(
    "--pix0-vector-mm",
    type=float,
    nargs=3,
    metavar="X Y Z",
    help="Place the outer corner of the first pixel here (lab frame, mm).",
)
@click.option("--overwrite", is_flag=True, help="Replace an nbdask store that is there already.")
@click.option("--resume", is_flag=True, help="Finish a store that was left incomplete.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option(
    "--noise",
    metavar="PATH",
    help="Also write a copy with photon noise and detector effects, by the options that follow.",
)
@noise_options
@run_options
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Simulate an image into a zarr store."""
    from nbdask.cli.progress import ProgressLine
    from nbdask.run import Settings, prepare, simulate

    experiment, outputs, notes = _experiment(ctx.meta[WORDS], options)
    if options["dry_run"]:
        model, plan, _ = prepare(experiment, Settings(**run_keywords(options)))
        disk, warnings = describe_disk(plan, options["out"])
        say_notes([*notes, *model.notes, *warnings])
        click.echo(plan.describe() + "\n" + disk)
        return
    if options["out"] is None:
        raise click.UsageError("--out is missing: name the store to write, such as --out run.zarr")
    files, unwritten = _outputs(outputs)
    files += _noisy_copy(experiment, options, ctx.meta[COMMAND_LINE])
    _check_apart(outputs, experiment, options["out"])
    line = ProgressLine(options["quiet"])
    try:
        result = simulate(
            experiment,
            options["out"],
            **run_keywords(options),
            overwrite=options["overwrite"],
            resume=options["resume"],
            command=ctx.meta[COMMAND_LINE],
            watch=line,
            report=None if options["quiet"] else say,
            outputs=files,
            notes=[*notes, *unwritten],
        )
    except KeyboardInterrupt:
        say_interrupted(line, ctx.meta[COMMAND_LINE])
        ctx.exit(130)
    if not options["quiet"]:
        say_notes(result.notes)
        say_result(result)


def _experiment(
    words: list[str], options: dict[str, Any]
) -> tuple[Experiment, Outputs | None, tuple[str, ...]]:
    """Build the experiment from flags or from a TOML file."""
    if options["config"] is None:
        from nbdask.experiment.flags import parse_args
        from nbdask.units import from_mm

        pix0 = options["pix0_vector_mm"]
        parsed = parse_args(
            words,
            semantics=options["semantics"] or "spec",
            source_weights=options["source_weights"] or "ignore",
            pix0=None if pix0 is None else tuple(from_mm(x) for x in pix0),
        )
        return parsed.experiment, parsed.outputs, parsed.notes
    beside = [*words[:1]]
    beside += [
        "--" + name.replace("_", "-")
        for name in ("semantics", "source_weights", "pix0_vector_mm")
        if options[name] is not None
    ]
    if beside:
        raise click.UsageError(
            f"--config describes the whole experiment: leave out {beside[0]} or put it in the file"
        )
    from nbdask.experiment import Experiment

    return Experiment.from_toml(options["config"]), None, ()


def _noisy_copy(experiment: Experiment, options: dict[str, Any], command: list[str]) -> list[Any]:
    """Return the noisy store to write beside the other one, if it is asked for."""
    path = options["noise"]
    if path is None:
        given = given_options(options)
        if given:
            raise click.UsageError(f"{given[0]} needs --noise PATH, the noisy store to write")
        return []
    from nbdask.derive.noise import NoisyCopy
    from nbdask.store.place import place_of

    if place_of(path).name == place_of(options["out"]).name:
        raise click.UsageError(f"--noise {path} is the store --out too: name another one")
    pipeline = pipeline_of(options, experiment.detector.pixel_size)
    names = ("cluster", "workers", "threads", "jobs", "overwrite", "resume")
    kept = {name: options[name] for name in names} | {"command": command}
    report = None if options["quiet"] else say
    return [NoisyCopy(path, pipeline, experiment.shape, kept, report)]


def _check_apart(outputs: Outputs | None, experiment: Experiment, out: str) -> None:
    """Refuse an output file that is an input of the run, or lies in its store."""
    if outputs is None or outputs.floatfile is None:
        return
    target = Path(outputs.floatfile).resolve()
    store = Path(out).resolve()
    if "://" not in out and (target == store or store in target.parents):
        raise FlagError(f"-floatfile {outputs.floatfile}: must lie outside the store --out {out}")
    inputs = (
        experiment.structure.path,
        experiment.sampling.mask,
        experiment.crystal.matrix_file,
        experiment.sources.file,
    )
    if any(path is not None and Path(path).resolve() == target for path in inputs):
        raise FlagError(
            f"-floatfile {outputs.floatfile}: is an input of this run; name another file"
        )


def _outputs(outputs: Outputs | None) -> tuple[list[Any], list[str]]:
    """Return the files to write beside the store, and notes on those that are not written."""
    if outputs is None:
        return [], []
    files = []
    if outputs.floatfile is not None:
        from nbdask.export.floatfile import FloatFile

        files.append(FloatFile(Path(outputs.floatfile)))
    asked = {
        "-intfile": outputs.intfile,
        "-pgmfile": outputs.pgmfile,
        "-noisefile": outputs.noisefile,
    }
    notes = [
        f"{flag} {path} is not written by this version; the store holds the image"
        for flag, path in asked.items()
        if path is not None
    ]
    if outputs.printout:
        notes.append("-printout prints nothing in this version; read the pixels from the store")
    return files, notes
