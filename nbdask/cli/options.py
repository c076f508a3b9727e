"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from nbdask.cli.startup import import_libraries

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def work_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how the work is done."""
    decorators: list[Decorator] = [
        click.option(
            "--backend",
            type=click.Choice(["numba", "cuda", "auto", "numpy"]),
            help="Kernel: numba on CPUs [default], cuda on a card [default with --cluster cuda],"
            " auto: cuda where a card can be used, else numba; numpy: the readable reference.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["float64", "mixed", "pairs", "auto"]),
            default="float64",
            show_default=True,
            help="mixed: lattice factors in single precision (worst deviation 1e-5); pairs: for"
            " cards that are slow in double precision; auto: pairs on these, else float64.",
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
            "--memory-limit", metavar="BYTES", help="Most memory of each process, such as 2GB."
        ),
        click.option("--quiet", is_flag=True, help="Print errors only."),
    ]
    return apply_all(decorators, function)


def cluster_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say where the work is done.

    Those of jobs reach the function as one value, ``jobs``.  Under ``--cluster mpi`` only the
    leading rank comes to the function; the others work for it.
    """

    @wraps(function)
    def begin(*args: Any, **options: Any) -> Any:
        return function(*args, **_with_jobs(options))

    decorators: list[Decorator] = [
        click.option(
            "--cluster",
            metavar="KIND",
            help="Where tasks run: threads (of this process), local (worker processes), cuda (a"
            " worker process per card), slurm, pbs, sge, lsf, htcondor (jobs), mpi (ranks of"
            " mpirun), or a running scheduler: tcp://HOST:PORT, tls://HOST:PORT,"
            " scheduler-file:PATH  [default: threads]",
        ),
        click.option(
            "--profile", metavar="NAME", help="Set of options in dask's configuration, nbdask:."
        ),
        click.option("--workers", type=click.IntRange(min=1), help="Worker processes (jobs)."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads per process."),
        click.option("--memory", metavar="BYTES", help="Memory of each job, such as 8GB."),
        click.option("--walltime", metavar="TIME", help="Longest time of a job: 04:00:00 or 4h."),
        click.option("--queue", metavar="NAME", help="Queue or partition of the jobs."),
        click.option("--account", metavar="NAME", help="Account or project of the jobs."),
        click.option(
            "--job-extra",
            multiple=True,
            metavar="TEXT",
            help="Further directive for each job, such as --job-extra=--exclusive; repeatable.",
        ),
        click.option(
            "--adapt",
            nargs=2,
            type=click.IntRange(min=1),
            metavar="MIN MAX",
            help="Fewest and most workers; their number follows the work.",
        ),
    ]
    return apply_all(decorators, begin)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how and where the work is done."""
    return work_options(cluster_options(function))


def apply_all(decorators: list[Decorator], function: Callable[..., Any]) -> Callable[..., Any]:
    """Apply decorators so that their options are listed in the order given."""
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _with_jobs(options: dict[str, Any]) -> dict[str, Any]:
    """Gather the options of jobs, and give each rank of an MPI program its part."""
    names = ("profile", "memory", "walltime", "queue", "account", "job_extra", "adapt")
    given = {name: options.pop(name) for name in names}
    import_libraries(options["cluster"])
    from nbdask.cluster.options import JobOptions
    from nbdask.cluster.spec import parse_cluster

    jobs = JobOptions(**given)
    if options["cluster"] == "mpi":
        parse_cluster("mpi", options["workers"], options["threads"], jobs)
    return options | {"jobs": jobs}
