"""Options that several subcommands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class Bytes(click.ParamType[int]):
    """A number of bytes: ``2GB``, ``1.5GiB``, ``800M``."""

    name = "bytes"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the number of bytes, or refuse the text."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*([0-9.]+)\s*([KMGT]?)(i?)B?\s*", str(value), re.IGNORECASE)
        try:
            assert match is not None
            number = float(match[1])
        except (AssertionError, ValueError):
            self.fail(f"{value!r} is not a size; write for instance 2GB or 800MB", param, ctx)
        power = _UNITS[match[2].upper()]
        if match[3]:
            power = 1024 ** ("KMGT".index(match[2].upper()) + 1) if match[2] else 1
        return int(number * power)


class TileSize(click.ParamType[tuple[int, int]]):
    """Tile edges in pixels: ``1024`` or ``512,1024`` (slow, fast)."""

    name = "pixels"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (slow, fast), or refuse the text."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        try:
            edges = [int(p) for p in parts]
        except ValueError:
            edges = []
        if len(edges) not in (1, 2) or any(e < 1 for e in edges):
            self.fail(
                f"{value!r} is not a tile size; write N or SLOW,FAST in pixels, each at least 1",
                param,
                ctx,
            )
        return (edges[0], edges[-1])


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
            "--tile", type=TileSize(), help="Tile size, N or SLOW,FAST pixels [default: chosen]."
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
            "--memory-limit", type=Bytes(), help="Most memory that a process may plan with: 2GB."
        ),
        click.option("--quiet", is_flag=True, help="Print errors only."),
    ]
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
