"""Options that several subcommands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from nbdask.amplitudes.request import Request
from nbdask.cli.numbers import Number, Whole
from nbdask.cli.own_options import own_options
from nbdask.cli.startup import import_zarr
from nbdask.errors import FieldError
from nbdask.flags import GeometryRequest, Own, parse_args
from nbdask.flags.geometry_request import PARTS, parts_of
from nbdask.flags.own import OWN
from nbdask.kernels.registry import BACKEND_HELP, NAMES, PRECISION_HELP, PRECISIONS
from nbdask.store.pixels import COMPRESSIONS, FILLS
from nbdask.units import from_mm

if TYPE_CHECKING:
    from nbdask.flags.parsed import Parsed

#: Options of :func:`experiment_options`, which go with nanoBragg flags only.
EXPERIMENT = (
    "source_weights", *OWN, "pix0_vector_mm", "ignore_unknown", "geometry", "clen",
    "distance_shift", "geometry_mask", "geometry_use", "geometry_shot",
)  # fmt: skip
#: Options that say what is asked of a model or a reflection file.
AMPLITUDES = tuple(item.name for item in fields(Request))
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def tile_option(default: str, applies: str = "") -> Decorator:
    """Return the option that sets the size of a tile.

    Parameters
    ----------
    default : str
        What is taken without it.
    applies : str
        Put before the default, such as ``", with nanoBragg flags"``.
    """
    return click.option(
        "--tile",
        "--tile-size",
        "tile",
        metavar="N|SLOW,FAST",
        help=f"Size of a tile in pixels{applies} [default: {default}].",
    )


def backend_option(whose: str = "") -> Decorator:
    """Return the option that chooses the kernel; ``whose`` is put before its help."""
    return click.option(
        "--backend",
        type=click.Choice(NAMES),
        help=f"{whose}Kernel [default: cpu; with --cluster cuda: cuda].  {BACKEND_HELP}.",
    )


def precision_option(default: str | None, whose: str = "") -> Decorator:
    """Return the option that chooses the kernel's precision; ``whose`` is put before its help."""
    return click.option(
        "--precision",
        type=click.Choice(list(PRECISIONS)),
        default=default,
        help=f"{whose}Precision of the kernel [default: float64].  {PRECISION_HELP}.",
    )


def experiment_options(whose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds what nanoBragg's flags cannot say of an experiment.

    Parameters
    ----------
    whose : str
        Put before the help of the options that go with nanoBragg flags only.
    """
    decorators: list[Decorator] = [
        click.option(
            "--source-weights",
            type=click.Choice(["ignore", "apply"]),
            help=f"{whose}Weights of a -sourcefile: ignore [default], as nanoBragg does, or apply.",
        ),
        *own_options(whose),
        click.option(
            "--pix0-vector-mm",
            type=Number(),
            nargs=3,
            metavar="X Y Z",
            help=f"{whose}Place the outer corner of the first pixel here (lab frame, mm).",
        ),
        click.option(
            "--geometry",
            metavar="FILE",
            help=f"{whose}Take the detector of this file: all its panels (see nbdask geometry).",
        ),
        click.option(
            "--clen",
            metavar="L",
            help=f"{whose}Camera length, where --geometry (.geom) gives a place in the data for it"
            " [m].",
        ),
        click.option(
            "--distance-shift",
            metavar="L",
            help=f"{whose}Move the panels of --geometry along the beam's axis z.",
        ),
        click.option(
            "--geometry-mask",
            type=click.Choice(["on", "off"]),
            help=f"{whose}Leave out the bad pixels of --geometry, which are then 0 [default: on].",
        ),
        click.option(
            "--geometry-use",
            metavar="PARTS",
            help=f"{whose}What is taken of --geometry: detector, or with it any of beam, crystal,"
            " scan, such as detector,crystal,scan [default: detector].",
        ),
        click.option(
            "--geometry-shot",
            type=Whole(min=0),
            metavar="N",
            help=f"{whose}Which experiment (.expt) or frame (NXmx) of --geometry, from 0"
            " [default: 0].",
        ),
        click.option(
            "--ignore-unknown",
            is_flag=True,
            help=f"{whose}Pass over arguments that nanoBragg does not know and ignores.",
        ),
    ]
    return lambda function: apply_all(decorators, function)


def amplitude_options(files: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds what is asked of a model or a reflection file.

    Parameters
    ----------
    files : bool
        Whether ``--reflections`` is one of them; else the command has a file of its own.
    """
    text = "Amplitudes from an atomic model (PDB, mmCIF), to --dmin."
    decorators: list[Decorator] = [
        click.option(
            "--model",
            metavar="FILE",
            help=text if files else "Model that reflections are compared with; see --fill.",
        ),
        click.option(
            "--dmin", type=Number(), metavar="D", help="Finest spacing of amplitudes [Angstrom]."
        ),
        click.option(
            "--energy",
            metavar="EV|off",
            help="Photon energy of f' and f'' [default: "
            + ("the beam's]; without them, of a --geometry that has none." if files else "off]."),
        ),
        click.option(
            "--fprime",
            multiple=True,
            metavar="[EL=]FILE",
            help="Table of f' and f'': [element] energy f' f'' per line; repeatable.",
        ),
        click.option(
            "--solvent",
            metavar="on|off|K,B[,PROBE,SHRINK]",
            help="Bulk solvent of a model; on: 0.35,46,1.1,0.9  [default: off].",
        ),
        click.option(
            "--column", metavar="NAME", help="Column of the reflections [default: by type]."
        ),
        click.option(
            "--fill", type=click.Choice(["model"]), help="Complete reflections from --model."
        ),
        click.option(
            "--space-group", metavar="NAME", help="Space group of reflections without one."
        ),
        click.option(
            "--method",
            type=click.Choice(["direct", "map"]),
            help="Sums over atoms, or density maps [default: whichever suits].",
        ),
    ]
    if files:
        decorators.insert(
            1,
            click.option(
                "--reflections",
                metavar="FILE",
                help="Amplitudes from a reflection file (MTZ, mmCIF, SHELX hkl).",
            ),
        )
    return lambda function: apply_all(decorators, function)


def parse_flags(argv: list[str], options: dict[str, Any]) -> Parsed:
    """Return what nanoBragg flags describe, with ``--semantics`` and the options above.

    Raises
    ------
    FlagError, InputFileError
        As :func:`nbdask.flags.parse_args`.
    """
    pix0 = options["pix0_vector_mm"]
    return parse_args(
        argv,
        semantics=options["semantics"] or "spec",
        source_weights=options["source_weights"] or "ignore",
        pix0=None if pix0 is None else tuple(from_mm(x) for x in pix0),
        amplitudes=Request(**{name: options[name] for name in AMPLITUDES if name in options}),
        ignore_unknown=options["ignore_unknown"],
        geometry=_geometry(options),
        own=Own(**{name: options[name] for name in OWN}),
    )


def _geometry(options: dict[str, Any]) -> GeometryRequest | None:
    """Return what is asked of a geometry file."""
    path = options["geometry"]
    if path is None:
        names = ("clen", "distance_shift", "geometry_mask", "geometry_use", "geometry_shot")
        beside = flags_of(options, *names)
        if beside:
            raise click.UsageError(f"{beside[0]} goes with --geometry FILE only")
        return None
    mask, use = options["geometry_mask"] != "off", options["geometry_use"]
    try:
        parts = PARTS[:1] if use is None else parts_of(use)
    except FieldError as error:
        raise click.UsageError(f"--geometry-use {use}: must be {error.allowed}") from None
    shot = options["geometry_shot"] or 0
    return GeometryRequest(path, **lengths_of(options), mask=mask, use=parts, shot=shot)


def lengths_of(options: dict[str, Any]) -> dict[str, float]:
    """Return camera length and shift of a geometry file [m], those of them that were given."""
    from nbdask.panels.quantities import LENGTHS, quantity

    found: dict[str, float] = {}
    for name, default, allowed in (
        ("clen", "m", "a length such as 0.1 (m) or 100mm"),
        ("distance_shift", None, "a length with its unit, such as 0.5mm or -1e-3m"),
    ):
        text = options[name]
        if text is None:
            continue
        value = quantity(text, LENGTHS, default)
        flag = f"--{name.replace('_', '-')}"
        if value is None:
            raise click.UsageError(f"{flag} {text}: must be {allowed}")
        if name == "clen" and abs(value) >= 20.0:
            raise click.UsageError(
                f"{flag} {text}: is {value:g} m, more than 20 m: write the unit, such as {text}mm"
            )
        found[name] = value
    return found


def flags_of(options: dict[str, Any], *names: str) -> list[str]:
    """Return those of the named options that were given, as the user writes them."""
    # 0 is a number that was given, though it is equal to False.
    given = [n for n in names if options[n] not in (None, ()) and options[n] is not False]
    return ["--" + n.replace("_", "-") for n in given]


def _resume(ctx: click.Context, param: click.Parameter, value: str | None) -> bool | str:
    return "verify" if value == "verify" else value is not None


resume_option = click.option(
    "--resume",
    type=click.Choice(["missing", "verify"]),
    metavar="[=verify]",
    callback=_resume,
    help="Finish a store that was left incomplete; with =verify, read all its tiles against their"
    " checksums first.",
)
durability_option = click.option(
    "--durability",
    type=click.Choice(["full", "fast"]),
    default="full",
    show_default=True,
    help="full: after a power cut no tile is on record without its pixels; fast: written to the"
    " disk when the system sees fit.",
)


same_bits_option = click.option(
    "--same-bits",
    is_flag=True,
    help="Refuse kernels whose last bits depend on the kind of processor or GPU.",
)


def work_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how the work is done."""
    decorators: list[Decorator] = [
        backend_option(),
        precision_option("float64"),
        tile_option("chosen"),
        click.option(
            "--steps-per-task",
            type=Whole(min=1),
            help="Terms of a pixel's sum (sub-pixels, layers, sources, rotation steps, mosaic"
            " domains) in one task [default: chosen].",
        ),
        click.option(
            "--memory-limit",
            metavar="BYTES",
            help="Memory that each process may use, such as 2GB; tiles are chosen to fit.",
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
            " worker process per GPU), slurm, pbs, sge, lsf, htcondor (jobs), mpi (ranks of"
            " mpirun), or a running scheduler: tcp://HOST:PORT, tls://HOST:PORT,"
            " scheduler-file:PATH  [default: threads]",
        ),
        click.option(
            "--profile",
            metavar="NAME",
            help="Take these options from nbdask.profiles.NAME of dask's configuration.",
        ),
        click.option("--workers", type=Whole(min=1), help="Number of worker processes or jobs."),
        click.option("--threads", type=Whole(min=1), help="Threads per process."),
        click.option("--memory", metavar="BYTES", help="Memory asked for each job, such as 8GB."),
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
            type=Whole(min=1),
            metavar="MIN MAX",
            help="Fewest and most jobs; their number follows the work.",
        ),
        click.option(
            "--processes",
            type=Whole(min=1),
            help="Worker processes in each job, such as one per GPU; they share its memory"
            "  [default: 1]",
        ),
        click.option(
            "--wait",
            metavar="TIME",
            help="How long to wait where there is no worker: 30m, 2h or 1-12:00:00  [default: 1h"
            " for jobs, else 2min].",
        ),
    ]
    return apply_all(decorators, begin)


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how and where the work is done."""
    kept = keeping_options(function)
    return work_options(cluster_options(durability_option(same_bits_option(kept))))


def keeping_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how pixels are kept."""
    decorators: list[Decorator] = [
        click.option(
            "--compression",
            type=click.Choice(COMPRESSIONS),
            help="lz4 is fast, zstd makes counts a third as large [default: zstd where photons are"
            " counted, else lz4].",
        ),
        click.option(
            "--dtype",
            type=click.Choice(tuple(FILLS)),
            help="Type of the stored pixels [default: float32]; the others hold whole numbers.",
        ),
    ]
    return apply_all(decorators, function)


def apply_all(decorators: list[Decorator], function: Callable[..., Any]) -> Callable[..., Any]:
    """Apply decorators so that their options are listed in the order given."""
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def _with_jobs(options: dict[str, Any]) -> dict[str, Any]:
    """Gather the options of jobs, and give each rank of an MPI program its part."""
    names = (
        "profile", "memory", "walltime", "queue", "account", "job_extra", "adapt", "processes",
        "wait",
    )  # fmt: skip
    given = {name: options.pop(name) for name in names}
    import_zarr()
    from nbdask.cluster import options as cluster
    from nbdask.cluster import parse

    jobs = cluster.JobOptions(**given)
    if options["cluster"] == "mpi":
        parse.parse_cluster("mpi", options["workers"], options["threads"], jobs)
    return options | {"jobs": jobs}
