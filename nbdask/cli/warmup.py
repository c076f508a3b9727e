"""``nbdask warmup``: compile the kernels ahead of a job."""

from __future__ import annotations

import time

import click


@click.command(name="warmup")
def command() -> None:
    """Compile every CPU kernel into the compile cache (NBDASK_CACHE_DIR)."""
    from nbdask.kernels import cache

    cache.configure()
    start = time.perf_counter()
    from nbdask.kernels.numba_kernel import warmup

    warmup()
    click.echo(f"kernels ready in {time.perf_counter() - start:.1f} s: {cache.describe()}")
