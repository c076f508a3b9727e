"""``nbdask parity``: an image against the user's own nanoBragg C program."""

from __future__ import annotations

import re
from typing import Any

import click

from nbdask.cli.argv import check_dashes, no_such_option
from nbdask.cli.comparison import give, threshold_options
from nbdask.cli.faults import bar
from nbdask.cli.groups import GroupedCommand
from nbdask.cli.numbers import Number, Whole, whole
from nbdask.cli.options import (
    EXPERIMENT,
    backend_option,
    cluster_options,
    experiment_options,
    flags_of,
    precision_option,
    tile_option,
)

#: Key of ``click.Context.meta`` for the nanoBragg arguments; None: there was no "--".
_ARGV = "nbdask.parity.argv"

_EPILOG = """\b
Exit codes: 0 all within thresholds, 1 a program failed, 2 refused, 3 beyond thresholds, 4 shapes
differ.

\b
Example: nbdask parity run.zarr --c-bin ./nanoBragg --tiles 12 --html report.html
Example: nbdask parity --c-bin ./nanoBragg -- -cell 70 80 90 75 85 95 -default_F 100 -N 5"""


class _ParityCommand(GroupedCommand):
    """A command with nanoBragg's arguments after ``--``."""

    takes_flags = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the arguments after ``--`` aside, and explain flags that stand before it."""
        own, argv = args, None
        if "--" in args:
            dashes = args.index("--")
            own, argv = args[:dashes], args[dashes + 1 :]
        ctx.meta[_ARGV] = argv
        known = [name for p in self.get_params(ctx) for name in (*p.opts, *p.secondary_opts)]
        for arg in own:
            name = arg.partition("=")[0]
            if re.fullmatch("-v+", name):
                continue
            if len(name) > 2 and name[0] == "-" and name[1].isalpha():
                check_dashes([name], known)
                raise click.UsageError(f"{arg}: put -- before the nanoBragg flags")
            if name.startswith("--") and name not in known:
                raise no_such_option(name, known, ctx.command_path)
        return super().parse_args(ctx, own)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show where the nanoBragg flags go."""
        return [*super().collect_usage_pieces(ctx), "[-- NANOBRAGG FLAGS]"]


def _tiles(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Read ``--tiles``: a number, or all (-1)."""
    if value is None:
        return None
    if value == "all":
        return -1
    number = whole(value)
    if number is None or number < 0:
        raise click.BadParameter(f"{value!r}: must be a whole number of at least 0, or all")
    return number


def _tile_indices(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[int, int], ...]:
    """Read ``--at-tile row,column``."""
    tile_indices = []
    for value in values:
        parts = value.split(",")
        if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
            raise click.BadParameter(f"{value!r}: must be row,column of a tile, such as 3,7")
        tile_indices.append((int(parts[0]), int(parts[1])))
    return tuple(tile_indices)


@click.command(name="parity", cls=_ParityCommand, own=("seed",), epilog=_EPILOG)
@click.argument("store", required=False)
@click.option("--c-bin", metavar="PATH", help="The nanoBragg C program [default: $NB_C_BIN].")
@click.option(
    "--config",
    metavar="FILE",
    help="TOML file that describes the experiment, instead of STORE or flags.",
)
@click.option("--shot", type=Whole(0), metavar="N", help="The shot, of a STORE of a series.")
@click.option(
    "--tiles",
    metavar="N|all",
    callback=_tiles,
    help="Tiles drawn at random, or all [default: 12; a small image from flags: the whole].",
)
@click.option(
    "--at-tile",
    "tile_indices",
    metavar="ROW,COLUMN",
    multiple=True,
    callback=_tile_indices,
    help="The tile in this row and column of the tiles, from 0; repeatable.",
)
@click.option(
    "--roi",
    type=Whole(min=0),
    nargs=4,
    metavar="S0 S1 F0 F1",
    help="These pixels, first and last, slow then fast.",
)
@click.option(
    "--brightest",
    type=Whole(min=0),
    default=0,
    metavar="N",
    help="The N tiles with the brightest pixels.",
)
@click.option(
    "--only",
    is_flag=True,
    help="Leave out the corners and the centre, which are otherwise always compared.",
)
@click.option(
    "--seed", type=Whole(), default=0, show_default=True, help="Seed of the random draw of --tiles."
)
@click.option(
    "--edge",
    type=Whole(min=1),
    metavar="PIXELS",
    help="Compare only a square of this edge of each tile.",
)
@click.option(
    "--mode",
    type=click.Choice(["roi", "window"]),
    help="roi: C's -roi on the whole detector; window: a small, shifted detector"
    " [default: window above 16 Mpixel].",
)
@click.option(
    "--semantics",
    type=click.Choice(["spec", "c"]),
    help="Compute the regions again with these semantics [default: those of STORE or FILE; flags:"
    " spec].",
)
@experiment_options("With nanoBragg flags: ")
@click.option(
    "--c-threads",
    type=Whole(min=1),
    default=1,
    show_default=True,
    help="OpenMP threads of each run of C.",
)
@click.option(
    "--time-limit",
    type=Number(0.001),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest run of C.",
)
@click.option("--keep", metavar="FOLDER", help="Keep the directories in which C ran here.")
@click.option("--no-record", is_flag=True, help="Leave the store's attributes as they are.")
@backend_option("With flags or --config: ")
@precision_option(None, "With flags or --config: ")
@tile_option("chosen", ", for flags or --config")
@cluster_options
@threshold_options
@click.pass_context
def command(ctx: click.Context, /, store: str | None, **options: Any) -> int:
    """Compare STORE, or an image from nanoBragg flags, with the nanoBragg C program.

    Of a STORE, tiles are compared with C runs of the same regions.  With flags after --, or with
    --config, both programs compute the image, or the regions that are asked for.
    """
    from nbdask.cli import parity_run as work

    argv: list[str] | None = ctx.meta[_ARGV]
    _check_form(store, argv, options)
    work.check_outputs(store, argv, options)
    with bar("comparing", options["quiet"]) as progress:
        outcome = work.outcome_of(store, argv, options, progress)
    code = give(outcome, options)
    # Last, so that a store that cannot be written costs nothing but its record.
    if store is not None and not options["no_record"]:
        work.record(store, outcome)
    return code


def _check_form(store: str | None, argv: list[str] | None, options: dict[str, Any]) -> None:
    """Refuse what does not go together."""
    config = options["config"]
    if store is None and config is None and not argv:
        raise click.UsageError(
            "nothing to compare: name a store, or give nanoBragg flags after --, or --config FILE"
        )
    if store is not None and argv is not None:
        raise click.UsageError(f"give either the store {store} or nanoBragg flags, not both")
    if config is not None and (store is not None or argv is not None):
        raise click.UsageError(
            f"--config {config} describes the whole experiment: leave out store and flags"
        )
    beside = flags_of(options, *EXPERIMENT)
    if beside and argv is None:
        raise click.UsageError(
            f"{beside[0]} goes with nanoBragg flags only; a store or --config FILE describes the"
            " whole experiment"
        )
    if options["shot"] is not None and store is None:
        raise click.UsageError(f"--shot {options['shot']} goes with a STORE of a series only")
    own = flags_of(options, "backend", "precision", "tile")
    if own and store is not None:
        hint = "; --at-tile ROW,COLUMN chooses one of its tiles" if own[0] == "--tile" else ""
        raise click.UsageError(
            f"{own[0]}: a store has its own; it goes with nanoBragg flags or --config{hint}"
        )
