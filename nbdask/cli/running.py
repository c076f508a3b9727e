"""Running a simulation from the command line: notes, disk space, the closing lines."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from nbdask.cli import logs
from nbdask.cli.jsonlines import emit
from nbdask.cli.jsonlog import ended
from nbdask.cli.startup import how_ended
from nbdask.cli.streams import one_line
from nbdask.cli.tables import show
from nbdask.errors import UnfinishedError, counted
from nbdask.plan.memory import format_bytes
from nbdask.plan.planes import arrays_of
from nbdask.plan.tiles import dims_text, shape_text
from nbdask.statistics import peak_text
from nbdask.store.address import place_of
from nbdask.store.space import check_space, most_bytes

#: Tiles of which an error names the reasons.
MOST_NAMED = 20

if TYPE_CHECKING:
    from nbdask.cli.progress import ProgressLine
    from nbdask.plan.plan import Plan
    from nbdask.result import Result
    from nbdask.statistics import Statistics


def say(message: str) -> None:
    """Print one line on standard error, where it does not mix with results."""
    print("nbdask: " + one_line(message), file=sys.stderr)
    logs.note(one_line(message))


def say_notes(notes: Sequence[str]) -> None:
    """Print what the user should be told, each note once, unless --quiet was given."""
    if logs.is_quiet():
        return
    for note in dict.fromkeys(notes):
        say("note: " + note)


def describe_disk(plan: Plan, out: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the line of a plan that tells the disk space, and a warning where it may be short.

    Parameters
    ----------
    plan : Plan
    out : str or None
        The store; None: not named yet, so only the need is told.

    Returns
    -------
    line : str
    warnings : tuple of str

    Raises
    ------
    StoreError
        Not even an empty image would fit, or no store can be at ``out``.
    """
    slopes = len(plan.slopes)
    size = (len(plan.grid), len(arrays_of(plan.planes, slopes)), slopes)
    text = f"disk      at most {format_bytes(most_bytes(plan.grid, *size))}"
    if not out:
        return text, ()
    place = place_of(out)
    free = place.free_bytes()
    if free is not None:
        text += f", {format_bytes(free)} free at {place.name}"
    return text, check_space(place, plan.grid, *size)


def resume_command(argv: Sequence[str]) -> str:
    """Return the command line that finishes a run which was started by ``argv``."""
    kept = [arg for arg in argv if arg.partition("=")[0] not in ("--overwrite", "--resume")]
    return shlex.join([*without_shard(kept), "--resume"])


def without_shard(argv: Sequence[str]) -> list[str]:
    """Return a command line without its shard."""
    kept, words = [], iter(argv)
    for word in words:
        if word == "--shard":
            next(words, None)
        elif not word.startswith("--shard="):
            kept.append(word)
    return kept


def say_stopped(error: KeyboardInterrupt, line: ProgressLine, argv: Sequence[str]) -> int:
    """Say what is kept of a run that was stopped, and how to go on; return the exit code."""
    word, code = how_ended(error)
    line.end_line()
    if line.begun:
        say(f"{word}; the store keeps all finished tiles ({line.done} or more). To go on:")
        print(resume_command(argv), file=sys.stderr)
    else:
        say(f"{word} before the first tile")
    emit("end", status=word, exit_code=code, done=line.done)
    return code


def say_unfinished(error: UnfinishedError, line: ProgressLine, argv: Sequence[str]) -> int:
    """Name the tiles that failed on every try, and say how to go on; return the exit code."""
    line.end_line()
    say(f"error: {counted(len(error.tiles), 'tile')} failed on every try, all others are done:")
    for text in error.tiles[:MOST_NAMED]:
        print("  " + one_line(text), file=sys.stderr)
    if len(error.tiles) > MOST_NAMED:
        print(f"  and {len(error.tiles) - MOST_NAMED} more", file=sys.stderr)
    say("to try them again:")
    print(resume_command(argv), file=sys.stderr)
    emit("end", status="incomplete", exit_code=error.exit_code, done=line.done)
    return error.exit_code


def run_keywords(options: dict[str, Any]) -> dict[str, Any]:
    """Return those of the parsed options that say how and where the work is done."""
    from nbdask.prepare import Settings

    return {item.name: options[item.name] for item in fields(Settings) if item.name in options}


def dim_notes(statistics: Statistics) -> list[str]:
    """Return a note where no pixel of an image without noise expects a photon."""
    brightest = statistics.max
    if not 0.0 < brightest < 1.0:
        return []
    return [
        f"no pixel expects more than {brightest:.2g} photons, so noise would leave an empty image:"
        " a higher -flux, -exposure or -fluence, a smaller -beamsize or more cells raise it"
    ]


def say_result(result: Result, as_json: bool = False) -> None:
    """Print what was made."""
    found, shape = result.statistics, result.shape
    if as_json:
        click.echo(json.dumps({**ended(result), "shape": shape, "notes": result.notes}, indent=2))
        return
    show(
        f"{result.path}: {shape_text(shape)} pixels"
        f" ({dims_text(shape, found.max_shot is not None)}) in {result.seconds:.2f} s\n"
        f"{peak_text(found.max, found.max_slow, found.max_fast, found.max_panel, found.max_shot)};"
        f" mean {found.mean:.6g}, rms {found.rms:.6g}, rmsd {found.rmsd:.6g}"
    )
