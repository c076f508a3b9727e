"""Amplitudes of a model at each photon energy of a spectrum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nbdask.experiment.structure import Recipe, StructureFactors
from nbdask.geometry.vectors import Array
from nbdask.inputs.amplitudes import AmplitudeGrid, check_size


def by_energy(
    structure: StructureFactors,
) -> tuple[NDArray[np.int64], AmplitudeGrid, Array]:
    """Return the table of each energy of a recipe; those of the same f' and f'' share one.

    Parameters
    ----------
    structure : StructureFactors
        Of format ``"model"``, with ``recipe.anomalous``.

    Returns
    -------
    numbers : (n_energies,) int64 array
        Of each energy's table.
    first : AmplitudeGrid
        Table 0.
    more : (n_tables - 1, n_h, n_k, n_l) float64 array
        The others.

    Raises
    ------
    InputFileError
        Tables that are too large.
    """
    # Models are read with gemmi, which other runs do without.
    from nbdask.amplitudes.make import tables

    recipe = structure.recipe
    assert recipe is not None
    rows = list(dict.fromkeys(recipe.anomalous))
    numbers = np.array([rows.index(row) for row in recipe.anomalous], dtype=np.int64)
    hkl, amplitudes = tables(replace(structure, recipe=_distinct(recipe, rows)))
    low, high = hkl.min(axis=0), hkl.max(axis=0)
    check_size(low.tolist(), high.tolist(), structure.path or "", tables=len(rows))
    whole = np.full((len(rows), *(high - low + 1)), structure.default_F)
    places = tuple((hkl - low).T)
    for number, values in enumerate(amplitudes):
        whole[(number, *places)] = values
    h, k, el = low.tolist()
    return numbers, AmplitudeGrid(whole[0], (h, k, el)), whole[1:]


def _distinct(recipe: Recipe, rows: list[tuple[float, ...]]) -> Recipe:
    """Return a recipe with these rows alone."""
    energies = [recipe.energies[recipe.anomalous.index(row)] for row in rows]
    return replace(recipe, anomalous=tuple(rows), energies=tuple(energies))
