"""``nbdask parameters``: which numbers of an experiment can be refined."""

from __future__ import annotations

import json
from typing import Any

import click

from nbdask.cli.argv import ARGV, FlagCommand
from nbdask.cli.options import experiment_options, parse_flags
from nbdask.cli.running import say_notes
from nbdask.experiment import Experiment
from nbdask.flags import from_toml
from nbdask.geometry.build import build_model
from nbdask.gradients.parameters import FIELDS, refusal, value_of


@click.command(name="parameters", cls=FlagCommand)
@click.option(
    "--config", metavar="FILE", help="TOML file that describes the experiment, instead of flags."
)
@click.option(
    "--semantics", type=click.Choice(["spec", "c"]), help="spec [default] or c, as for simulate."
)
@experiment_options("")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """List the numbers of an experiment: name, value, unit, whether its image has a derivative."""
    argv = ctx.meta[ARGV]
    if options["config"] is None:
        parsed = parse_flags(argv, options)
        experiment, notes = parsed.experiment, parsed.notes
    elif argv:
        raise click.UsageError(f"--config describes the whole experiment: leave out {argv[0]}")
    else:
        experiment, notes = from_toml(options["config"]), ()
    rows = _rows(experiment)
    say_notes(notes)
    if options["as_json"]:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        value = "-" if row["value"] is None else f"{row['value']:.10g}"
        state = "yes" if row["refinable"] else f"no: {row['why']}"
        click.echo(f"{row['name']:24s}{value:>18s}  {row['unit']:11s}{state}")


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
