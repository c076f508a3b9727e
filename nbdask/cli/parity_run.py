"""What ``nbdask parity`` does once its arguments are parsed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from nbdask.cli.comparison import check_files, thresholds_of
from nbdask.cli.config import experiment_of
from nbdask.cli.options import parse_flags
from nbdask.cli.outputs import check_distinct, files_among, inputs_of_store
from nbdask.cli.running import say
from nbdask.parity.against_c import Request, parity, parity_from_scratch
from nbdask.parity.binary import VARIABLE, find_binary
from nbdask.parity.errors import FileError, ParityUsageError
from nbdask.parity.outcome import Outcome
from nbdask.parity.record import record
from nbdask.parity.regions import Choice
from nbdask.parity.verbatim import verbatim
from nbdask.prepare import Settings

__all__ = ["check_outputs", "outcome_of", "record"]

Progress = Callable[[int, int], None]


def check_outputs(store: str | None, argv: list[str] | None, options: dict[str, Any]) -> None:
    """Refuse, before C runs, what cannot be written or would destroy something that is read."""
    named = options["c_bin"] or os.environ.get(VARIABLE) or None
    inputs: tuple[str | None, ...] = (store, named, options["config"], *files_among(argv or ()))
    if store is not None:
        inputs += inputs_of_store(store)
    keep = options["keep"]
    if keep is not None:
        check_distinct({"--keep": keep}, inputs)
        above = next(p for p in (Path(keep).absolute(), *Path(keep).absolute().parents) if _is(p))
        if not above.is_dir():
            raise ParityUsageError(f"--keep {keep}: {above} is a file; give the path of a folder")
        if not os.access(above, os.W_OK | os.X_OK):
            raise FileError(f"--keep {keep}: no permission to write in {above}")
    check_files(options, inputs)
    local = store is not None and os.path.isdir(store)
    if local and not options["no_record"] and not os.access(str(store), os.W_OK | os.X_OK):
        raise FileError(
            f"{store}: cannot be written, and the verdict is kept in it: --no-record leaves it out"
        )


def _is(path: Path) -> bool:
    """Whether the name exists, if only as a broken link."""
    return os.path.lexists(path)


def outcome_of(
    store: str | None, argv: list[str] | None, options: dict[str, Any], progress: Progress | None
) -> Outcome:
    """Compare a store, or an image from flags or a TOML file, with the C program."""
    request = _request(options, progress)
    return _from_scratch(argv, options, request) if store is None else parity(store, request)


def _request(options: dict[str, Any], progress: Progress | None) -> Request:
    if options["tiles"] == -1 and (
        options["tile_indices"] or options["brightest"] or options["roi"]
    ):
        raise click.UsageError("--tiles all: --at-tile, --roi or --brightest adds nothing to it")
    names = ("cluster", "workers", "threads", "jobs")
    return Request(
        binary=find_binary(options["c_bin"], options["c_threads"], options["time_limit"]),
        choice=Choice(
            tiles=options["tiles"],
            tile_indices=options["tile_indices"],
            roi=options["roi"],
            brightest=options["brightest"],
            seed=options["seed"],
            edge=options["edge"],
            only=options["only"],
        ),
        mode=options["mode"],
        semantics=options["semantics"],
        **thresholds_of(options),
        settings=Settings(
            backend=options["backend"],
            precision=options["precision"] or "float64",
            tile=options["tile"],
            **{name: options[name] for name in names},
        ),
        peaks=options["peaks"],
        pictures=options["html_file"] is not None,
        keep=options["keep"],
        progress=progress,
        report=None if options["quiet"] else say,
        shot=options["shot"],
    )


def _from_scratch(argv: list[str] | None, options: dict[str, Any], request: Request) -> Outcome:
    """Compute and compare an image that nanoBragg flags or a TOML file describe."""
    if argv is None:
        experiment = experiment_of(options["config"])
        wanted = options["semantics"]
        if wanted is not None and wanted != experiment.semantics:
            experiment = experiment.replace(semantics=wanted)
        return parity_from_scratch(experiment, request, title=f"nbdask, from {options['config']}")
    parsed = parse_flags(argv, options)
    own = None
    if options["pix0_vector_mm"] is None and options["geometry"] is None:
        own = verbatim(argv, parsed.experiment)
    # Otherwise C's arguments come from the experiment: none of its flags sets the place itself.
    return parity_from_scratch(parsed.experiment, request, own, parsed.notes)
