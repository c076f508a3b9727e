"""``nbdask trace``: one pixel's every intermediate value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from nbdask.cli.argv import ARGV, FlagCommand
from nbdask.cli.config import experiment_of
from nbdask.cli.numbers import Number, Whole, whole
from nbdask.cli.options import EXPERIMENT, Decorator, experiment_options, flags_of, parse_flags
from nbdask.cli.outputs import check_distinct, files_among, inputs_of
from nbdask.cli.running import say, say_notes
from nbdask.cli.tables import show
from nbdask.errors import FieldError, InputError
from nbdask.experiment import Experiment
from nbdask.files import check_target, whole_file
from nbdask.geometry.panel_frames import panel_number
from nbdask.kernels.registry import COMPILED
from nbdask.trace import walk
from nbdask.trace.against import Comparison, compare, report, rows
from nbdask.trace.clog import read_log
from nbdask.trace.entries import Trace
from nbdask.trace.quantities import TAPS
from nbdask.trace.text import describe

_EPILOG = """\b
Example: nbdask trace 685 1039 run.zarr --domain 0:2
Example: nbdask trace 12 30 run.zarr --panel q0a1
Example: nbdask trace 12 30 stills.zarr --shot 17
Example: nbdask trace 12 30 --against c.log -- -cell 70 80 90 75 85 95 -N 5 -default_F 100"""


class _TraceCommand(FlagCommand):
    """SLOW, FAST and a store or nanoBragg flags, which may follow ``--``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments after ``--`` as they are, and split the others."""
        at = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        ctx.meta[ARGV] += args[at + 1 :]
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show what comes where."""
        return ["SLOW FAST [OPTIONS] [STORE | -- NANOBRAGG FLAGS]"]


def _range_option(name: str, what: str) -> Decorator:
    return click.option(f"--{name}", metavar="N|A:B", help=f"Show only {what}.")


@click.command(name="trace", cls=_TraceCommand, epilog=_EPILOG)
@click.option(
    "--config",
    metavar="FILE",
    help="TOML file that describes the experiment, instead of STORE or flags.",
)
@click.option(
    "--panel",
    metavar="NAME|N",
    help="The panel of the pixel, by its name or number from 0, where there are several.",
)
@click.option("--shot", type=Whole(0), metavar="N", help="The shot, of a STORE of a series.")
@click.option(
    "--taps",
    metavar="NAMES",
    help=f"Show only these groups: {', '.join(TAPS)}.",
)
@click.option(
    "--kernels",
    metavar="NAMES",
    default="reference",
    help=f"Further kernels side by side: {','.join(['reference', *COMPILED])}.",
)
@_range_option("layer", "these sensor layers")
@_range_option("sub-pixel", "these sub-pixels, counted slow * n + fast")
@_range_option("source", "these sources")
@_range_option("phi", "these rotation steps")
@_range_option("domain", "these mosaic domains")
@click.option(
    "--limit",
    type=Whole(min=0),
    default=4,
    show_default=True,
    help="Most evaluations that are printed; --json takes all that are chosen.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write all that is chosen; - prints it.")
@click.option("--overwrite", is_flag=True, help="Replace an existing JSON file.")
@click.option(
    "--against",
    metavar="LOG",
    help="What nanoBragg C printed (-printout, or TRACE_C: lines): show the first difference.",
)
@click.option(
    "--rtol",
    type=Number(0.0),
    help="Relative difference that --against lets pass [default: by quantity].",
)
@click.option(
    "--semantics",
    type=click.Choice(["spec", "c"]),
    help="[default: the store's own, else spec; c with --against]",
)
@experiment_options("With nanoBragg flags: ")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Show every intermediate value of the pixel SLOW FAST, with its unit and formula.

    The numbers of the formulas are those of the specification.  With --against the exit code is
    0 where all values agree and 1 where one differs.
    """
    slow, fast, store, argv = _arguments(ctx.meta[ARGV])
    experiment, notes = _experiment(store, argv, options)
    inputs = (store, options["config"], options["against"], *files_among(argv))
    check_distinct({"--json": options["json_file"]}, (*inputs, *inputs_of(experiment)))
    target = options["json_file"]
    if target not in (None, "-"):
        check_target(target, "--json", InputError, overwrite=options["overwrite"])
    log = None
    if options["against"] is not None:
        if options["taps"] is not None:
            raise click.UsageError(
                f"--taps {options['taps']}: leave it out with --against, which compares all values"
            )
        log = read_log(options["against"], slow, fast)
    everything = options["against"] is not None or target is not None
    trace = walk.trace_pixel(
        experiment,
        slow,
        fast,
        panel=_panel(experiment, options["panel"]),
        chosen={name: options[name.replace("-", "_")] for name in _LEVELS},
        kernels=_split(options["kernels"]),
        most=walk.MOST if everything else options["limit"],
        report=say,
        **({} if options["taps"] is None else {"taps": _split(options["taps"])}),
    )
    if target is not None and trace.selected > trace.recorded:
        raise InputError(
            f"--json: {trace.selected} evaluations are chosen and a trace holds at most"
            f" {walk.MOST}: choose with --layer, --sub-pixel, --source, --phi, --domain"
        )
    say_notes([*notes, *trace.notes])
    found = None
    if log is not None:
        found = compare(trace, log, options["rtol"])
    if target is not None:
        _write_json(trace, found, target)
    if found is not None:
        show(report(trace, found), err=target == "-")
    elif target != "-":
        show(describe(trace, options["limit"]))
    same = store is None or _same_as_stored(store, trace, experiment, options["shot"])
    return 0 if same and (found is None or found.first is None) else 1


_LEVELS = ("layer", "sub-pixel", "source", "phi", "domain")


def _panel(experiment: Experiment, wanted: str | None) -> int:
    """Return the number of the panel that is meant."""
    try:
        return panel_number(experiment.detector, wanted)
    except FieldError as error:
        given = "is missing" if wanted is None else wanted
        raise click.UsageError(f"--panel {given}: must be {error.allowed}") from None


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _arguments(argv: Sequence[str]) -> tuple[int, int, str | None, list[str]]:
    """Return the pixel, the store if one is named, and the nanoBragg flags."""
    slow, fast = (whole(word) for word in [*argv[:2], "", ""][:2])
    if slow is None or fast is None:
        given = " ".join(argv[:2]) or "nothing"
        raise click.UsageError(
            f"SLOW FAST ({given}): must be the two whole numbers of a pixel, slow first, such as"
            " nbdask trace 685 1039 run.zarr"
        )
    rest = list(argv[2:])
    store = rest.pop(0) if rest and not rest[0].startswith("-") else None
    if store is not None and rest:
        raise click.UsageError(
            f"{rest[0]} after the store {store}: give a store or nanoBragg flags, not both"
        )
    return slow, fast, store, rest


def _experiment(
    store: str | None, argv: Sequence[str], options: dict[str, Any]
) -> tuple[Experiment, list[str]]:
    """Return the experiment of a store, a TOML file or flags, and notes."""
    wanted = options["semantics"]
    if store is None and options["config"] is None and not argv:
        raise click.UsageError("give a store, --config FILE, or nanoBragg flags after --")
    if options["config"] is not None and (store is not None or argv):
        raise click.UsageError(
            f"--config {options['config']} describes the whole experiment: leave out store and"
            " flags"
        )
    beside = flags_of(options, *EXPERIMENT)
    if beside and not argv:
        whole = "--config describes" if store is None else f"the store {store} holds"
        raise click.UsageError(
            f"{beside[0]} goes with nanoBragg flags only; {whole} the whole experiment"
        )
    if options["shot"] is not None and store is None:
        raise click.UsageError(f"--shot {options['shot']} goes with a STORE of a series only")
    notes: list[str] = []
    if store is not None:
        from nbdask.store.reader import StoreReader

        found = StoreReader(store).chosen(options["shot"], "trace").experiment
    elif options["config"] is not None:
        found = experiment_of(options["config"])
    else:
        parsed = parse_flags(list(argv), options)
        found, notes = parsed.experiment, list(parsed.notes)
    if wanted is None and options["against"] is not None and found.semantics != "c":
        wanted = "c"
        notes.append("compared under --semantics c, which follows C's own order of evaluation")
    if wanted is not None and wanted != found.semantics:
        found = found.replace(semantics=wanted)
    return found, notes


def _write_json(trace: Trace, found: Comparison | None, target: str) -> None:
    """Write everything that was chosen; the file appears when it is whole."""
    content = trace.to_dict()
    if found is not None:
        content["against"] = {"log": found.log.path, "compared": list(rows(found))}
    text = json.dumps(content, indent=1)
    if target == "-":
        click.echo(text)
        return
    with whole_file(target, "--json", InputError) as fresh:
        fresh.write_bytes(f"{text}\n".encode())


def _same_as_stored(store: str, trace: Trace, experiment: Experiment, shot: int | None) -> bool:
    """Print the stored pixel next to the traced one; False: rounding does not explain it."""
    from nbdask.trace.stored import compare_stored

    same, line = compare_stored(store, trace, experiment, shot)
    click.echo(line, err=True)
    return same
