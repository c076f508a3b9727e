"""Which fields of an experiment count: others are refused rather than varied without effect."""

from __future__ import annotations

from collections.abc import Sequence

from nbdask.errors import FieldError
from nbdask.experiment import Experiment
from nbdask.shots.names import CELL, DETECTOR_TURN, SHIFT, SPECTRUM, STAR

_PLACED = tuple(
    f"detector.{name}"
    for name in (
        "distance", "close_distance", "beam_x", "beam_y", "close_x", "close_y", "org_x", "org_y",
    )
)  # fmt: skip
_OF_PANELS = (*_PLACED, *(f"detector.{name}" for name in ("rotx", "roty", "rotz", "twotheta")))
_WAVELENGTH = ("beam.wavelength", "beam.energy")


def check_effects(experiment: Experiment, names: Sequence[str]) -> None:
    """Refuse fields that have no effect in an experiment, or contradict each other.

    Parameters
    ----------
    experiment : Experiment
    names : sequence of str
        Dotted fields that vary.

    Raises
    ------
    FieldError
        The field, and what to vary instead.
    """
    for name in names:
        why = _without_effect(experiment, name, names)
        if why is not None:
            raise FieldError("shots", name, f"left out: {why}")


def _without_effect(experiment: Experiment, name: str, names: Sequence[str]) -> str | None:
    """Return why a field does not count; None: it does."""
    detector, beam, crystal = experiment.detector, experiment.beam, experiment.crystal
    if detector.panels and name in _OF_PANELS:
        return "panels place the detector: vary detector.shift.beam, .x, .y or .z"
    if name in DETECTOR_TURN and not detector.panels:
        return "only panels of a geometry file are turned: vary detector.rotx, .roty or .rotz"
    if name in _PLACED and (detector.pix0 is not None or "detector.pix0.x" in names):
        return "the detector is placed by its corner: vary detector.shift.beam, .x, .y or .z"
    if name == "detector.distance" and detector.close_distance is not None:
        return "detector.close_distance places the detector"
    if name == "beam.fluence" and (beam.flux != 0.0 or "beam.flux" in names):
        return "beam.flux gives the fluence"
    if (name in CELL or name.startswith("crystal.misset")) and STAR[0] in names:
        return "the reciprocal axes vary, which give cell and orientation"
    if name.startswith("crystal.n_cells"):
        if crystal.size["abc".index(name[-1])] > 0.0:
            return "crystal.size gives the number of cells"
        if crystal.cells_matrix is not None:
            return "crystal.cells_matrix gives the cells"
    if name in _WAVELENGTH:
        return _fixed_wavelength(experiment, names)
    if name == SPECTRUM and experiment.sources.points:
        return "sources are listed"
    if name.startswith("frame.") and experiment.frame.convention != "CUSTOM":
        return "the convention gives the directions: vary beam.tilt, or give them (CUSTOM)"
    if name.startswith("detector.pix0") and any(shift in names for shift in SHIFT):
        return "detector.shift moves the detector"
    return None


def _fixed_wavelength(experiment: Experiment, names: Sequence[str]) -> str | None:
    """Return why the wavelength does not count, or must not change."""
    if set(_WAVELENGTH) <= set(names):
        return "beam.wavelength and beam.energy are the same"
    if any(point.wavelength is not None for point in experiment.sources.points):
        return "listed sources have wavelengths of their own"
    recipe = experiment.structure.recipe
    if recipe is not None and recipe.anomalous:
        return "amplitudes are made for the energies of the spectrum: give --energy"
    return None
