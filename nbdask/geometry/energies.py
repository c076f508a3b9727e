"""Amplitudes of a model at each photon energy of a spectrum; their scale and B factor."""

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


def falloff(grid: AmplitudeGrid, star: Array, scale: float, b_factor: float) -> Array:
    """Return K exp(-B s^2), s = 1/(2 d), of all indices of a grid.

    Parameters
    ----------
    grid : AmplitudeGrid
    star : (3, 3) float64 array
        Rows a*, b*, c* [1/Angstrom].
    scale : float
        K.
    b_factor : float
        B [m^2].
    """
    metric = star @ star.T * 1e20
    h, k, el = (
        np.arange(least, least + count, dtype=np.float64).reshape(shape)
        for least, count, shape in zip(
            grid.minimum, grid.values.shape, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True
        )
    )
    squared = metric[0, 0] * h * h + metric[1, 1] * k * k + metric[2, 2] * el * el
    squared = squared + 2.0 * (metric[0, 1] * h * k + metric[0, 2] * h * el + metric[1, 2] * k * el)
    return np.asarray(scale * np.exp(-0.25 * b_factor * squared))


def _distinct(recipe: Recipe, rows: list[tuple[float, ...]]) -> Recipe:
    """Return a recipe with these rows alone."""
    energies = [recipe.energies[recipe.anomalous.index(row)] for row in rows]
    return replace(recipe, anomalous=tuple(rows), energies=tuple(energies))
