"""``nbdask simulate --shard``: what it may stand beside, the run, and what it says."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli.faults import bar
from nbdask.cli.jsonlog import JsonLog
from nbdask.cli.noise_options import given_options
from nbdask.cli.running import MOST_NAMED, dim_notes, run_keywords, say, say_notes, without_shard
from nbdask.cli.startup import how_ended
from nbdask.cli.streams import one_line
from nbdask.errors import UnfinishedError, counted
from nbdask.experiment import Experiment
from nbdask.fill.listen import listening
from nbdask.flags import Outputs
from nbdask.plan.shards import Shard

if TYPE_CHECKING:
    from nbdask.result import Output
    from nbdask.shots.series import Series
    from nbdask.simulation import Treatment

_FILES = ("floatfile", "intfile", "pgmfile", "noisefile")
#: Seconds between two lines of a log.
_PAUSE = 60.0


def shard_of(options: dict[str, Any], outputs: Outputs | None) -> Shard | None:
    """Return the shard that was asked for, or None.

    Raises
    ------
    PlanError
        No such shard.
    click.UsageError
        It stands beside what needs a whole image, or a run of its own.
    """
    text = options["shard"]
    if text is None:
        return None
    shard = Shard.parse(text)
    if options["overwrite"]:
        raise click.UsageError(
            f"--overwrite with --shard {text}: no shard may delete what others have written; name a"
            " new store, or remove the old one"
        )
    copied = options["keep_float"] == "yes"
    needing = [
        *(["--noise"] if options["noise"] else given_options(options) if copied else []),
        *(["--pyramid"] if options["pyramid"] else []),
        *([f"-{name}" for name in _FILES if getattr(outputs, name, None)]),
        *(["-printout"] if outputs is not None and outputs.printout else []),
    ]
    if needing:
        raise click.UsageError(
            f"{needing[0]} with --shard {text}: needs the whole image; leave it out, and use nbdask"
            " noise, pyramid or export when nbdask status says that the store is complete"
        )
    return shard


def run_shard(
    experiment: Experiment | Series,
    options: dict[str, Any],
    shard: Shard,
    argv: Sequence[str],
    notes: Sequence[str],
    made: tuple[Treatment | None, Sequence[Output]],
) -> int:
    """Compute a shard, and say how it went; return the exit code.

    Parameters
    ----------
    made : tuple
        What is done to each tile, and what the last shard makes of the store.
    """
    from nbdask.prepare import Settings
    from nbdask.shards import simulate_shard

    settings, out = Settings(**run_keywords(options)), options["out"]
    as_json = options["log"] == "json"
    try:
        with bar(f"shard {shard}", options["quiet"]) as progress:
            told = progress or _in_lines(shard, options["quiet"] or as_json)
            share = simulate_shard(
                experiment,
                out,
                shard,
                settings,
                command=without_shard(argv),
                listeners=listening(told, [JsonLog()] if as_json else []),
                notes=notes,
                treatment=made[0],
                outputs=made[1],
            )
    except KeyboardInterrupt as error:
        word, code = how_ended(error)
        say(f"{word}; the store keeps all finished tiles. To go on:")
        print(shlex.join(argv), file=sys.stderr)
        return code
    except UnfinishedError as error:
        say(
            f"error: {counted(len(error.tiles), 'tile')} failed on every try, the shard's"
            " others are done:"
        )
        for text in error.tiles[:MOST_NAMED]:
            print("  " + one_line(text), file=sys.stderr)
        say("to try them again:")
        print(shlex.join(argv), file=sys.stderr)
        return error.exit_code
    if not options["quiet"]:
        dim = dim_notes(share.closed.statistics) if share.closed and made[0] is None else []
        say_notes([*share.notes, *dim])
        there = share.tiles - share.computed
        text = (
            f"{out}: shard {shard}: {counted(share.computed, 'tile')} computed, {there} were there"
        )
        click.echo(text + ("; the store is complete" if share.closed else ""))
    return 0


def _in_lines(shard: Shard, quiet: bool) -> Callable[[int, int], None] | None:
    """Return a progress callback that writes a plain line now and then, as for a batch log."""
    if quiet:
        return None
    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PAUSE:
            last = now
            say(f"shard {shard}: {done} of {total} tiles")

    return progress
