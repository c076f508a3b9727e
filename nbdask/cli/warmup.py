"""``nbdask warmup``: compile the kernels ahead of a job."""

from __future__ import annotations

import time

import click


@click.command(name="warmup")
@click.option("--rare", is_flag=True, help="Also the versions for the -oversample_* flags.")
@click.option("--quiet", is_flag=True, help="Print errors only.")
def command(rare: bool, quiet: bool) -> None:
    """Compile every CPU kernel into the compile cache (NBDASK_CACHE_DIR)."""
    from nbdask.kernels import cache

    start = time.perf_counter()
    if not quiet:
        click.echo(f"kernels are kept in {cache.configure()}")
    from nbdask.kernels.numba_kernel import warmup

    warmup(rare=rare, say=None if quiet else click.echo)
    if not quiet:
        click.echo(f"all kernels ready after {time.perf_counter() - start:.1f} s")
