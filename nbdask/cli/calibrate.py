"""``nbdask calibrate``: measure this machine's kernels for the planner."""

from __future__ import annotations

import json

import click

from nbdask.cli.groups import GroupedCommand
from nbdask.kernels.registry import BACKENDS


@click.command(name="calibrate", cls=GroupedCommand)
@click.option(
    "--backend",
    type=click.Choice([n for n, b in BACKENDS.items() if b.facts is None and not b.hidden]),
    default="cpu",
    show_default=True,
    help="Kernel to measure.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON at the end.")
def command(backend: str, as_json: bool) -> None:
    """Measure what evaluations, tiles and the start of a run cost, for the planner's estimates."""
    from nbdask.calibrate import calibrate

    if as_json:
        found: dict[str, float] = {}
        path = calibrate(backend, BACKENDS[backend].precisions, report=found.__setitem__)
        click.echo(json.dumps({"file": str(path), "backend": backend, "ns": found}, indent=2))
        return
    path = calibrate(backend, BACKENDS[backend].precisions, report=_say)
    click.echo(f"{path}: the figures that plans on this machine now use")


def _say(key: str, nanoseconds: float) -> None:
    text = f"{nanoseconds:8.3f} ns" if nanoseconds < 1e4 else f"{1e-9 * nanoseconds:8.4f} s"
    click.echo(f"{key:40s} {text}")
