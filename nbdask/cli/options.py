"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how and where the work is done."""
    decorators: list[Decorator] = [
        click.option(
            "--backend",
            type=click.Choice(["auto", "numba", "numpy"]),
            default="auto",
            show_default=True,
            help="Kernel: numba is fast, numpy the readable reference.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["float64", "mixed"]),
            default="float64",
            show_default=True,
            help="mixed: lattice factors in single precision (worst deviation 1e-5).",
        ),
        click.option(
            "--tile",
            metavar="N|SLOW,FAST",
            help="Tile size in pixels [default: chosen].",
        ),
        click.option(
            "--steps-per-task",
            type=click.IntRange(min=1),
            help="Evaluations per pixel in one task [default: chosen].",
        ),
        click.option(
            "--cluster",
            default="threads",
            show_default=True,
            help="Where tasks run: threads (this process) or local (worker processes).",
        ),
        click.option("--workers", type=click.IntRange(min=1), help="Worker processes."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads per process."),
        click.option(
            "--memory-limit", metavar="BYTES", help="Most memory of each process, such as 2GB."
        ),
        click.option("--quiet", is_flag=True, help="Print errors only."),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
