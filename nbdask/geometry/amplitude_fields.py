"""The amplitudes of a model: from lists and recipes, or from a model that has the same ones."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import InputFileError
from nbdask.experiment import Experiment, StructureFactors
from nbdask.geometry.energies import by_energy, falloff
from nbdask.geometry.model import Array, Model
from nbdask.inputs.amplitudes import AmplitudeGrid, from_reflections
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.fdump import read_fdump
from nbdask.inputs.hkl import read_hkl


class Loaded(NamedTuple):
    """Amplitudes as files have them, before a scale or a B factor.

    Attributes
    ----------
    grid : AmplitudeGrid or None
        None: default_F is all there is.
    more : (n_tables - 1, n_h, n_k, n_l) float64 array
        Tables of further energies.
    numbers : (n_energies,) int64 array or None
        Of the table of each energy of a recipe; None: one serves all.
    """

    grid: AmplitudeGrid | None
    more: Array
    numbers: NDArray[np.int64] | None


class Known(NamedTuple):
    """A model that was built before, whose tables of amplitudes others of a series share.

    Attributes
    ----------
    experiment : Experiment
        That it was built from.
    model : Model
    loaded : list of tuple
        What was read for other models meanwhile, and is kept for the next: lists of which a B
        factor and the cell of each shot make another table.  Grows by what is read.
    """

    experiment: Experiment
    model: Model
    loaded: list[tuple[StructureFactors, Loaded]]

    def single(self, number: int) -> Known:
        """Return one crystal of several."""
        if not self.model.lattices:
            return self
        singles = self.experiment.singles
        number = min(number, len(singles) - 1)
        return Known(singles[number], self.model.lattices[number].model, self.loaded)


class AmplitudeFields(NamedTuple):
    """Fields of a model that hold amplitudes; see :class:`~.model.Model`."""

    f_grid: Array
    f_more: Array
    f_min: NDArray[np.int64]
    interpolate: bool
    interp_low: Array
    interp_high: Array


def amplitude_fields(
    experiment: Experiment, star: Array, known: Known | None
) -> tuple[AmplitudeFields, NDArray[np.int64]]:
    """Return the fields, and the number of the table of each wavelength of a spectrum."""
    structure = experiment.structure
    wanted = experiment.sampling.interpolate
    if wanted is None:
        # The counts as given: sample dimensions do not enter this choice.
        wanted = min(experiment.crystal.n_cells) <= 2
    spectrum = experiment.sources.spectrum
    tables = np.zeros(1 if spectrum is None else len(spectrum.wavelengths), np.int64)
    if known is not None and _are_same(known, experiment, star):
        model = known.model
        shared = ("f_grid", "f_more", "f_min", "interp_low", "interp_high")
        fields_of = {name: getattr(model, name) for name in shared}
        if structure.recipe is not None and structure.recipe.anomalous:
            # Sources go through all wavelengths first.
            tables = model.f_table[: len(tables)]
        wanted = wanted and model.f_grid.size > 0
        return AmplitudeFields(**fields_of, interpolate=wanted), tables
    grid, more, numbers = _loaded(structure, None if known is None else known.loaded)
    if numbers is not None:
        tables = numbers
    if grid is None:
        none, nothing, first = np.zeros((0, 0, 0)), np.zeros(3), np.zeros(3, np.int64)
        return AmplitudeFields(none, more, first, False, nothing, nothing), tables
    low = np.array(grid.minimum, dtype=np.float64)
    high = low + np.array(grid.values.shape) - 1.0
    if experiment.semantics == "c":
        bounds = (low + 2.0, high - 2.0)
    else:
        # floor(h)-1 to floor(h)+2 inside the grid.
        bounds = (low + 1.0, np.nextafter(high - 1.0, -np.inf))
    values = np.ascontiguousarray(grid.values, dtype=np.float64)
    if (structure.scale, structure.b_factor) != (1.0, 0.0):
        factor = falloff(grid, star, structure.scale, structure.b_factor)
        values, more = values * factor, more * factor if len(more) else more
    first = np.array(grid.minimum, dtype=np.int64)
    return AmplitudeFields(values, more, first, wanted, *bounds), tables


def _loaded(
    structure: StructureFactors, kept: list[tuple[StructureFactors, Loaded]] | None
) -> Loaded:
    """Read amplitudes, or return those that are kept; None: nothing is kept."""
    plain = structure
    if (structure.scale, structure.b_factor) != (1.0, 0.0):
        plain = replace(structure, scale=1.0, b_factor=0.0)
    for held, loaded in kept or ():
        if held == plain:
            return loaded
    if structure.recipe is not None and structure.recipe.anomalous:
        check_unchanged(structure.path or "", structure.sha256)
        numbers, grid, more = by_energy(structure)
        found = Loaded(grid, more, numbers)
    else:
        found = Loaded(load_amplitudes(structure), np.zeros((0, 0, 0, 0)), None)
    if kept is not None:
        kept.append((plain, found))
    return found


def _are_same(known: Known, experiment: Experiment, star: Array) -> bool:
    """Whether the amplitudes of an experiment are those of a model."""
    old, new = known.experiment, experiment
    if old.structure != new.structure or old.semantics != new.semantics:
        return False
    # One row of the recipe's tables for each wavelength; and the cell decides a B factor's effect.
    anomalous = new.structure.recipe is not None and new.structure.recipe.anomalous
    spectra = old.sources.spectrum, new.sources.spectrum
    counts = [0 if found is None else len(found.wavelengths) for found in spectra]
    same = new.structure.b_factor == 0.0 or np.array_equal(known.model.star, star)
    return same and (not anomalous or counts[0] == counts[1])


def load_amplitudes(structure: StructureFactors) -> AmplitudeGrid | None:
    """Read the amplitude list; None where default_F is all there is.

    Raises
    ------
    InputFileError
        The file is missing, malformed, or not the one the experiment was made with.
    """
    if structure.reflections:
        # Three times as fast as an array of the tuples.
        numbers = np.fromiter(chain.from_iterable(structure.reflections), np.float64)
        return from_reflections(numbers.reshape(-1, 4), structure.default_F)
    if structure.path is None:
        return None
    if structure.recipe is not None:
        from nbdask.amplitudes.make import made

        check_unchanged(structure.path, structure.sha256)
        if structure.recipe.model is not None:
            check_unchanged(structure.recipe.model, structure.recipe.model_sha256)
        return from_reflections(made(structure).table.rows(), structure.default_F, structure.path)
    if structure.format == "fdump":
        grid = read_fdump(structure.path)
    else:
        grid = read_hkl(structure.path, structure.default_F)
    check_unchanged(structure.path, structure.sha256)
    return grid


def check_unchanged(path: str, expected: str | None) -> None:
    """Refuse a file that is not the one the experiment was made with."""
    if expected is not None:
        found = sha256_of(path)
        if found != expected:
            raise InputFileError(
                f"{path}: the file has changed since the experiment was made"
                f" (sha256 {found[:12]}..., expected {expected[:12]}...)"
            )
