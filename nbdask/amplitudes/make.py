"""From a settled recipe to the table of amplitudes: what a run, a repair and a listing share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask import units
from nbdask.amplitudes.calculate import Parts, structure_factors
from nbdask.amplitudes.lists import Reflections, read_reflections
from nbdask.amplitudes.models import Model, read_model
from nbdask.amplitudes.scale import Scale, scale_between
from nbdask.amplitudes.symmetry import Indices, codes, possible, unique_indices
from nbdask.amplitudes.table import Expansion, Table, expanded
from nbdask.errors import InputFileError
from nbdask.experiment.structure import Recipe, StructureFactors

_log = logging.getLogger("nbdask.amplitudes")
#: Share of the reflections from which on a list counts as complete.
_COMPLETE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A table of amplitudes, and how it came about.

    Attributes
    ----------
    table : Table
    notes : tuple of str
    model : Model or None
    counts : dict
        Of the list; empty for a model alone.
    calculated : Table or None
        Of the model beside a list.
    scale : Scale or None
        Of the list on that of the model.
    """

    table: Table
    notes: tuple[str, ...]
    model: Model | None = None
    counts: dict[str, int] | None = None
    calculated: Table | None = None
    scale: Scale | None = None


def made(structure: StructureFactors, *, fill: bool = True) -> Made:
    """Return the amplitudes of a model or a reflection file.

    Parameters
    ----------
    structure : StructureFactors
        Of format ``"model"`` or ``"reflections"``.
    fill : bool
        Whether a model beside a list completes it; else both are only compared.

    Raises
    ------
    InputFileError
        A file that is missing or malformed.
    """
    recipe, path = structure.recipe, structure.path
    assert recipe is not None
    assert path is not None
    _log.info("amplitudes of %s", path)
    if structure.format == "model":
        model = read_model(path)
        return Made(from_model(model, recipe), model.notes, model)
    found = listed(path, recipe)
    table = found.table.within(angstrom(recipe))
    if len(table) == 0:
        raise InputFileError(
            f"{path}: no reflection to {angstrom(recipe):g} Angstrom: raise the number of --dmin"
        )
    if recipe.model is None:
        return Made(table, found.notes, counts=found.counts)
    model = read_model(recipe.model)
    calculated = from_model(model, recipe)
    scale = scale_between(path, table, calculated)
    notes = [*found.notes, *model.notes, f"{path}: {scale.text} on the scale of {recipe.model}"]
    if fill:
        whole = _filled(table, calculated, scale)
        added = len(whole) - len(table)
        notes.append(f"{path}: {added} of {len(whole)} reflections are filled from {recipe.model}")
        table = whole
    return Made(table, tuple(notes), model, found.counts, calculated, scale)


def listed(path: str, recipe: Recipe) -> Reflections:
    """Return the reflections of a file as a recipe asks for them."""
    cell = None
    if recipe.cell is not None:
        lengths = [units.to_angstrom(x) for x in recipe.cell[:3]]
        cell = lengths + [units.to_degrees(x) for x in recipe.cell[3:]]
    return read_reflections(path, column=recipe.column, cell=cell, space_group=recipe.space_group)


def angstrom(recipe: Recipe) -> float | None:
    """Return the limit of resolution in Angstrom."""
    return None if recipe.d_min is None else units.to_angstrom(recipe.d_min)


def incomplete(path: str, table: Table, limit: float | None) -> tuple[str, ...]:
    """Return a note where a list lacks more than a tenth of the reflections to its resolution.

    Parameters
    ----------
    path : str
        For the note.
    table : Table
        The list to its limit.
    limit : float or None
        Finest spacing [m] that is asked for; None: the list's own.
    """
    squares = table.symmetry.inverse_d_squared(table.hkl)
    if not len(squares):
        return ()
    finest = float(squares.max()) ** -0.5 if limit is None else units.to_angstrom(limit)
    share = len(table) / max(1.0, possible(table.symmetry, finest))
    if share >= _COMPLETE:
        return ()
    part = f"{100.0 * share:.2g} % of the reflections to {finest:.3g} Angstrom"
    return (f"{path} holds {part}, the others are 0, or -default_F (--fill model completes them)",)


def from_model(model: Model, recipe: Recipe) -> Table:
    """Return the amplitudes of a model: F(h) of one index of each set, expanded to P1."""
    hkl, parts = _parts(model, recipe)
    plus, minus = parts.at({name: (a, b) for name, a, b in recipe.dispersion})
    if not recipe.dispersion:
        return expanded(model.symmetry, hkl, np.abs(plus), mates=False)[0]
    both = np.concatenate([np.abs(plus), np.abs(minus)])
    return expanded(model.symmetry, np.concatenate([hkl, -hkl]), both, mates=True)[0]


def _parts(model: Model, recipe: Recipe) -> tuple[NDArray[np.int32], Parts]:
    """Return one index of each set of a model's reflections, and the parts of their F."""
    d_min, solvent = angstrom(recipe), recipe.solvent
    assert d_min is not None
    hkl = unique_indices(model.path, model.symmetry, d_min)
    return hkl, structure_factors(
        model,
        hkl,
        d_min,
        solvent=None if solvent is None else (solvent[0], solvent[1], solvent[2], solvent[3]),
        method=recipe.method,
    )


def tables(structure: StructureFactors) -> tuple[Indices, Iterator[NDArray[np.float64]]]:
    """Return the amplitudes of a model at each row of a recipe's ``anomalous``.

    Parameters
    ----------
    structure : StructureFactors
        Of format ``"model"``, with ``anomalous``.

    Returns
    -------
    hkl : (n, 3) int64 array
        All of the P1 cell.
    amplitudes : iterator of (n,) float64 arrays
        [electrons]
    """
    recipe, path = structure.recipe, structure.path
    assert recipe is not None
    assert path is not None
    model = read_model(path)
    hkl, parts = _parts(model, recipe)
    spread = Expansion(model.symmetry, np.concatenate([hkl, -hkl]), mates=True)
    names = [name for name, _, _ in recipe.dispersion]

    def amplitudes(row: tuple[float, ...]) -> NDArray[np.float64]:
        plus, minus = parts.at(dict(zip(names, pairwise_of(row), strict=True)))
        return spread.values(np.concatenate([np.abs(plus), np.abs(minus)]))

    return spread.hkl, (amplitudes(row) for row in recipe.anomalous)


def pairwise_of(row: tuple[float, ...]) -> list[tuple[float, float]]:
    """Return f' and f'' of each element of a row of a recipe's ``anomalous``."""
    return list(zip(row[::2], row[1::2], strict=True))


def _filled(table: Table, calculated: Table, scale: Scale) -> Table:
    """Return a list with what it lacks from a model, on the scale of the list."""
    most = int(max(np.abs(table.hkl).max(), np.abs(calculated.hkl).max()))
    here, there = codes(table.hkl, most), codes(calculated.hkl, most)
    lacking = ~np.isin(there, here)
    factor = scale.factor(table.symmetry.inverse_d_squared(calculated.hkl[lacking]) / 4.0)
    hkl = np.concatenate([table.hkl, calculated.hkl[lacking]])
    F = np.concatenate([table.F, calculated.F[lacking] * factor])
    order = np.argsort(np.concatenate([here, there[lacking]]), kind="stable")
    anomalous = table.anomalous or calculated.anomalous
    return Table(hkl[order], F[order], table.symmetry, anomalous)
