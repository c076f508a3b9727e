"""``nbdask parameters``: which numbers of an experiment can be refined."""

from __future__ import annotations

import json
from typing import Any

import click

from nbdask.cli.argv import ARGV, FlagCommand
from nbdask.cli.config import experiment_of
from nbdask.cli.options import (
    AMPLITUDES,
    EXPERIMENT,
    amplitude_options,
    experiment_options,
    flags_of,
    parse_flags,
)
from nbdask.cli.running import say_notes
from nbdask.cli.tables import show
from nbdask.experiment import Experiment
from nbdask.geometry.build import build_model
from nbdask.gradients.parameters import FIELDS, refusal, value_of
from nbdask.store.reader import StoreReader


class _ParametersCommand(FlagCommand):
    """A store, or nanoBragg flags."""

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show that a store may stand instead of flags."""
        return ["[STORE | NANOBRAGG FLAGS] [OPTIONS]"]


@click.command(name="parameters", cls=_ParametersCommand)
@click.option(
    "--config", metavar="FILE", help="TOML file that describes the experiment, instead of flags."
)
@click.option(
    "--semantics", type=click.Choice(["spec", "c"]), help="spec [default] or c, as for simulate."
)
@experiment_options("")
@amplitude_options()
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """List the numbers of an experiment: name, value, unit, whether its image has a derivative.

    The experiment is that of STORE (of a series what its shots have in common), of flags or of
    --config.
    """
    experiment, notes = _experiment(ctx.meta[ARGV], options)
    rows = _rows(experiment)
    say_notes(notes)
    if options["as_json"]:
        click.echo(json.dumps(rows, indent=2))
        return
    show("\n".join(map(_line, rows)))


def _line(row: dict[str, Any]) -> str:
    value = "-" if row["value"] is None else f"{row['value']:.10g}"
    state = "yes" if row["refinable"] else f"no: {row['why']}"
    return f"{row['name']:24s}{value:>18s}  {row['unit']:11s}{state}"


def _experiment(argv: list[str], options: dict[str, Any]) -> tuple[Experiment, tuple[str, ...]]:
    """Return the experiment of a store, a TOML file or flags, and notes."""
    store = argv[0] if argv and not argv[0].startswith("-") else None
    if store is None and options["config"] is None:
        parsed = parse_flags(argv, options)
        return parsed.experiment, parsed.notes
    beside = [*argv[store is not None :], *flags_of(options, "semantics", *EXPERIMENT, *AMPLITUDES)]
    if store is None:
        if beside:
            raise click.UsageError(
                f"--config describes the whole experiment: leave out {beside[0]}"
            )
        return experiment_of(options["config"]), ()
    beside += flags_of(options, "config")
    if beside:
        raise click.UsageError(f"{store} describes the whole experiment: leave out {beside[0]}")
    return StoreReader(store).experiment, ()


def _rows(experiment: Experiment) -> list[dict[str, Any]]:
    model = build_model(experiment)
    rows = []
    for name, entry in FIELDS.items():
        why = refusal(experiment, name, model)
        rows.append(
            {
                "name": name,
                "value": value_of(experiment, name),
                "unit": entry.unit,
                "refinable": why is None,
                "why": why,
            }
        )
    return rows
