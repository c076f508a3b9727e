"""Outputs that must be neither inputs nor each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from nbdask.experiment import Experiment
from nbdask.files import check_outside_stores, inside


def check_distinct(
    outputs: Mapping[str, str | os.PathLike[str] | None],
    inputs: Iterable[str | os.PathLike[str] | None],
    store: str | None = None,
) -> None:
    """Refuse an output that is an input, lies in a store that is read, or is another output.

    Parameters
    ----------
    outputs : mapping of str to path or None
        By flag; None and ``"-"`` are not files.
    inputs : iterable of path or None
        Files and stores that are read; addresses of object storage are passed over.
    store : str, optional
        The store that the run writes, which need not be there yet.

    Raises
    ------
    click.UsageError
    """
    read = [Path(name) for name in inputs if name is not None and "://" not in os.fspath(name)]
    taken: list[tuple[str, Path]] = []
    for flag, name in outputs.items():
        if name is None or os.fspath(name) == "-":
            continue
        target = Path(name)
        check_outside_stores(target, flag, click.UsageError)
        if store is not None and "://" not in store and inside(target, Path(store)):
            raise click.UsageError(f"{flag} {name}: must lie outside the store --out {store}")
        for source in read:
            if _same(source, target):
                raise click.UsageError(f"{flag} {name}: is an input of this run; name another file")
            if source.is_dir() and inside(target, source):
                raise click.UsageError(f"{flag} {name}: must lie outside the store {source}")
        for other, path in taken:
            if _same(path, target):
                raise click.UsageError(
                    f"{flag} {name}: is the file of {other} already; name another file"
                )
        taken.append((flag, target))


def _same(one: Path, other: Path) -> bool:
    """Whether two names refer to one file, also through links."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    try:
        return one.samefile(other)
    except OSError:
        return False


def inputs_of(experiment: Experiment) -> tuple[str | None, ...]:
    """Return the paths of an experiment's input files."""
    recipe, spectrum = experiment.structure.recipe, experiment.sources.spectrum
    others = (inputs_of(other) for other in experiment.singles[1:])
    return (
        *(path for paths in others for path in paths),
        experiment.crystal.mosaic.file,
        None if spectrum is None else spectrum.origin,
        experiment.structure.path,
        None if recipe is None else recipe.model,
        experiment.sampling.mask,
        experiment.crystal.matrix_file,
        experiment.sources.file,
        experiment.detector.header_file,
        experiment.detector.geometry_file,
        experiment.background.shadow,
        *(material.path for material in experiment.background.materials),
    )


def inputs_of_store(store: str) -> tuple[str | None, ...]:
    """Return the paths of the input files of a store's experiment.

    Raises
    ------
    StoreError
        There is no store.
    """
    from nbdask.store.reader import StoreReader

    return inputs_of(StoreReader(store).experiment)


def files_among(argv: Iterable[str]) -> tuple[str, ...]:
    """Return the arguments that name files, such as the values of -hkl and -img."""
    return tuple(arg for arg in argv if os.path.isfile(arg))
