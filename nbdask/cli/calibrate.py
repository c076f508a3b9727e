"""``nbdask calibrate``: measure this machine's kernels for the planner."""

from __future__ import annotations

import click

from nbdask.kernels.registry import BACKENDS


@click.command(name="calibrate")
@click.option(
    "--backend",
    type=click.Choice([n for n, b in BACKENDS.items() if b.facts is None and not b.hidden]),
    default="cpu",
    show_default=True,
    help="Kernel to measure.",
)
def command(backend: str) -> None:
    """Measure what evaluations, tiles and the start of a run cost, for the planner's estimates."""
    from nbdask.calibrate import calibrate

    path = calibrate(backend, BACKENDS[backend].precisions, report=_say)
    click.echo(f"{path}: the figures that plans on this machine now use")


def _say(key: str, nanoseconds: float) -> None:
    text = f"{nanoseconds:8.3f} ns" if nanoseconds < 1e4 else f"{1e-9 * nanoseconds:8.4f} s"
    click.echo(f"{key:40s} {text}")
