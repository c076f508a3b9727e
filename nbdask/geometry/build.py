"""Experiment -> Model: everything that is computed once per run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask import units
from nbdask.errors import FieldError, InputError, InputFileError
from nbdask.experiment import Crystal, Detector, Experiment, StructureFactors
from nbdask.geometry.crystal_frame import (
    MAX_OVERSAMPLE,
    CrystalFrame,
    orient_crystal,
    recommended_oversample,
)
from nbdask.geometry.detector_frame import DetectorFrame, place_detector
from nbdask.geometry.domain_count import estimated_count
from nbdask.geometry.domains import is_mosaic, make_domains, settle_count
from nbdask.geometry.energies import by_energy
from nbdask.geometry.model import SHAPE_CODES, Array, Model
from nbdask.geometry.nodes import node_basis
from nbdask.geometry.rotation import (
    carried_angles,
    check_table,
    orientation_table,
    phi_angles,
    turned_axes,
)
from nbdask.geometry.source_grid import build_sources
from nbdask.inputs.amplitudes import AmplitudeGrid, from_reflections
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.fdump import read_fdump
from nbdask.inputs.hkl import read_hkl
from nbdask.inputs.smv import MaskFile, open_mask


class _Sensor(NamedTuple):
    """Fields of the model, by name; so are the next two."""

    layers: int
    layer_step: float
    thickness: float
    mu: float


class _Orientations(NamedTuple):
    axes: Array
    domain_weight: Array
    first_axes: Array | None
    n_phi: int
    n_domains: int


class _Amplitudes(NamedTuple):
    f_grid: Array
    f_more: Array
    f_min: NDArray[np.int64]
    interpolate: bool
    interp_low: Array
    interp_high: Array


def _in_range(function: Callable[[Experiment], Model]) -> Callable[[Experiment], Model]:
    """Turn an overflow, which no single field can foresee, into an error for the user."""

    @wraps(function)
    def called(experiment: Experiment) -> Model:
        try:
            return function(experiment)
        except (OverflowError, ZeroDivisionError) as error:
            raise InputError(
                f"the experiment's numbers are too large or too small ({error}): look at lengths,"
                " cell, matrix and vectors"
            ) from error

    return called


@_in_range
def build_model(experiment: Experiment) -> Model:
    """Compute the flat arrays that the kernels read.

    Raises
    ------
    InputFileError
        A structure factor or mask file that is missing, malformed or has changed.
    FieldError
        A combination that only shows once everything is put together.
    """
    beam, sampling = experiment.beam, experiment.sampling
    detector = place_detector(experiment.frame, experiment.detector, experiment.semantics)
    crystal = orient_crystal(experiment.crystal, beam)
    sources = build_sources(
        experiment.sources, beam.wavelength, detector.beam, detector.polarization
    )
    sensor = _sensor(experiment.detector)
    turns = _orientations(experiment, crystal, detector)
    amplitudes, tables = _amplitudes(experiment)
    oversample, notes = _oversample(experiment, crystal, detector)
    fluence = beam.effective_fluence
    steps = len(sources.wavelength) * turns.n_domains * turns.n_phi * oversample**2
    each = (sampling.oversample_thick, sampling.oversample_polar, sampling.oversample_omega)
    return Model(
        **_detector_fields(experiment.detector, detector),
        **_crystal_fields(experiment.crystal, crystal),
        **{item.name: getattr(sources, item.name) for item in fields(sources)}
        | {"f_table": tables[sources.f_table]},
        **sensor._asdict(),
        **turns._asdict(),
        **amplitudes._asdict(),
        oversample=oversample,
        kahn=beam.polarization,
        polarized=beam.polarized,
        dmin=sampling.dmin,
        default_F=experiment.structure.default_F,
        background=_background(experiment.background.water, fluence),
        scale=units.R_E_SQR * fluence / steps,
        each_thick=each[0],
        each_polar=each[1],
        each_omega=each[2],
        running_product=experiment.semantics == "c" and any(each),
        roi=_roi(experiment),
        mask=_mask(experiment),
        refuse_outside=experiment.semantics == "c",
        notes=detector.notes
        + crystal.notes
        + notes
        + _notes(experiment, sensor, detector, turns.n_domains),
    )


def _crystal_fields(given: Crystal, oriented: CrystalFrame) -> dict[str, Any]:
    matrix = given.cells_matrix
    return {
        "star": oriented.star,
        "n_cells": np.array(oriented.n_cells, dtype=np.float64),
        "cells_matrix": None if matrix is None else np.array(matrix).reshape(3, 3),
        "nodes": node_basis(oriented.star, given.centring) if given.shape == "spherical" else None,
        "shape": SHAPE_CODES[given.shape],
        "fudge": given.fudge,
    }


def _detector_fields(given: Detector, placed: DetectorFrame) -> dict[str, Any]:
    ours = ("n_slow", "n_fast", "pixel_size", "curved", "point_pixel")
    its = ("fast", "slow", "normal", "origin", "beam", "distance", "close_distance")
    return {n: getattr(given, n) for n in ours} | {n: getattr(placed, n) for n in its}


def settle_thickness(detector: Detector) -> tuple[int, float, float]:
    """Return (layers, thickness, distance between layers [m]) of the sensor."""
    thickness, count = detector.thickness, detector.thick_steps
    if thickness <= 0.0:
        return (1, 0.0, 0.0)
    if count is None:
        return (2, thickness, thickness / 2)
    count = max(count, 2)
    return (count, thickness, thickness / (count - 1))


def _sensor(detector: Detector) -> _Sensor:
    layers, thickness, step = settle_thickness(detector)
    mu = detector.attenuation
    if mu is None:
        mu = 1.0 / thickness if thickness > 0.0 else 0.0
    return _Sensor(layers, step, thickness, mu)


def _orientations(
    experiment: Experiment, crystal: CrystalFrame, detector: DetectorFrame
) -> _Orientations:
    count = _domain_count(experiment, crystal, detector)
    phi = phi_angles(experiment.scan)
    check_table(len(phi), count)
    domains = make_domains(experiment.crystal, crystal.axes, count)
    fixed = domains.rotations if domains.fixed else None
    axes = crystal.axes if fixed is None else turned_axes(crystal.axes, fixed)
    rotations = None if domains.fixed else domains.rotations
    used = carried_angles(phi) if experiment.semantics == "c" else phi
    table = orientation_table(axes, detector.spindle, used, rotations)
    first = None
    if used[0] != phi[0]:
        # Before anything was rotated there is nothing to carry over.
        first = orientation_table(axes, detector.spindle, phi[:1], rotations)
    return _Orientations(table, domains.weights, first, len(phi), count)


def domain_count(experiment: Experiment) -> int:
    """Return the number of mosaic domains of an experiment; files that it names are not read."""
    if experiment.crystal.mosaic.tolerance is None:
        return settle_count(experiment.crystal)
    detector = place_detector(experiment.frame, experiment.detector, experiment.semantics)
    crystal = orient_crystal(experiment.crystal, experiment.beam)
    return _domain_count(experiment, crystal, detector)


def _domain_count(experiment: Experiment, crystal: CrystalFrame, detector: DetectorFrame) -> int:
    given = experiment.crystal
    if given.mosaic.tolerance is None or not is_mosaic(given):
        return settle_count(given)
    wavelength = experiment.beam.wavelength
    return estimated_count(given, crystal, experiment.detector, detector, wavelength)


def _amplitudes(experiment: Experiment) -> tuple[_Amplitudes, NDArray[np.int64]]:
    """Return the fields, and the number of the table of each wavelength of a spectrum."""
    structure = experiment.structure
    wanted = experiment.sampling.interpolate
    if wanted is None:
        # The counts as given: sample dimensions do not enter this choice.
        wanted = min(experiment.crystal.n_cells) <= 2
    spectrum = experiment.sources.spectrum
    tables = np.zeros(1 if spectrum is None else len(spectrum.wavelengths), np.int64)
    grid: AmplitudeGrid | None
    more = np.zeros((0, 0, 0, 0))
    if structure.recipe is not None and structure.recipe.anomalous:
        _check_unchanged(structure.path or "", structure.sha256)
        tables, grid, more = by_energy(structure)
    else:
        grid = load_amplitudes(structure)
    if grid is None:
        none, nothing, first = np.zeros((0, 0, 0)), np.zeros(3), np.zeros(3, np.int64)
        return _Amplitudes(none, more, first, False, nothing, nothing), tables
    low = np.array(grid.minimum, dtype=np.float64)
    high = low + np.array(grid.values.shape) - 1.0
    if experiment.semantics == "c":
        bounds = (low + 2.0, high - 2.0)
    else:
        # floor(h)-1 to floor(h)+2 inside the grid.
        bounds = (low + 1.0, np.nextafter(high - 1.0, -np.inf))
    values = np.ascontiguousarray(grid.values, dtype=np.float64)
    first = np.array(grid.minimum, dtype=np.int64)
    return _Amplitudes(values, more, first, wanted, *bounds), tables


def load_amplitudes(structure: StructureFactors) -> AmplitudeGrid | None:
    """Read the amplitude list; None where default_F is all there is.

    Raises
    ------
    InputFileError
        The file is missing, malformed, or not the one the experiment was made with.
    """
    if structure.reflections:
        return from_reflections(np.array(structure.reflections), structure.default_F)
    if structure.path is None:
        return None
    if structure.recipe is not None:
        from nbdask.amplitudes.make import made

        _check_unchanged(structure.path, structure.sha256)
        if structure.recipe.model is not None:
            _check_unchanged(structure.recipe.model, structure.recipe.model_sha256)
        return from_reflections(made(structure).table.rows(), structure.default_F, structure.path)
    if structure.format == "fdump":
        grid = read_fdump(structure.path)
    else:
        grid = read_hkl(structure.path, structure.default_F)
    _check_unchanged(structure.path, structure.sha256)
    return grid


def _check_unchanged(path: str, expected: str | None) -> None:
    if expected is not None:
        found = sha256_of(path)
        if found != expected:
            raise InputFileError(
                f"{path}: the file has changed since the experiment was made"
                f" (sha256 {found[:12]}..., expected {expected[:12]}...)"
            )


def _oversample(
    experiment: Experiment, crystal: CrystalFrame, detector: DetectorFrame
) -> tuple[int, tuple[str, ...]]:
    recommended = recommended_oversample(
        crystal,
        experiment.beam.wavelength,
        detector.distance,
        experiment.detector.pixel_size,
    )
    given = experiment.sampling.oversample
    if given is None and recommended > MAX_OVERSAMPLE:
        raise FieldError(
            "sampling.oversample",
            "chosen from the crystal's size",
            f"given: more than {MAX_OVERSAMPLE} sub-pixels along an edge would be needed",
        )
    if given is None:
        return recommended, ()
    if given < recommended:
        return given, (
            f"-oversample {given} is below the recommended {recommended}: the crystal's finest"
            " fringes are smaller than a sub-pixel",
        )
    return given, ()


def _background(water: float, fluence: float) -> float:
    """Return what a pixel's sum starts from: scattering of a cube of water (forward F only)."""
    return (
        units.WATER_F
        * units.WATER_F
        * units.R_E_SQR
        * fluence
        * water
        * water
        * water
        * 1e6
        * units.AVOGADRO
        / units.WATER_MW
    )


def _roi(experiment: Experiment) -> tuple[int, int, int, int]:
    n_slow, n_fast = experiment.shape
    if experiment.sampling.roi is None:
        return (0, n_slow - 1, 0, n_fast - 1)
    slow0, slow1, fast0, fast1 = experiment.sampling.roi
    return (slow0, min(slow1, n_slow - 1), fast0, min(fast1, n_fast - 1))


def _mask(experiment: Experiment) -> MaskFile | None:
    path = experiment.sampling.mask
    if path is None:
        return None
    mask = open_mask(path)
    if (mask.n_slow, mask.n_fast) != experiment.shape:
        raise FieldError(
            "sampling.mask",
            f"{path} with {mask.n_slow} (slow) x {mask.n_fast} (fast) pixels",
            f"of the detector's {experiment.shape[0]} x {experiment.shape[1]} pixels",
        )
    _check_unchanged(path, experiment.sampling.mask_sha256)
    return mask


def _notes(
    experiment: Experiment, sensor: _Sensor, detector: DetectorFrame, domains: int
) -> tuple[str, ...]:
    """Say what was chosen for the user, and what has no effect."""
    notes = []
    crystal, sampling = experiment.crystal, experiment.sampling
    if experiment.detector.thickness > 0.0 and experiment.detector.attenuation is None:
        notes.append(
            "no sensor attenuation given: depth set to the thickness,"
            f" {sensor.thickness * 1e6:g} um"
        )
    mosaic = crystal.mosaic
    if mosaic.tolerance is not None and domains > 1:
        notes.append(
            f"{domains} mosaic domains, for an error of the image of {mosaic.tolerance:g} by an"
            " estimate"
        )
    elif is_mosaic(crystal) and crystal.mosaic_domains is None:
        notes.append("mosaic spread without a number of domains: 10 are used (-mosaic_domains)")
    if crystal.mosaic_domains is not None and not is_mosaic(crystal):
        notes.append("mosaic domains without a spread: 1 is used (-mosaic gives the spread)")
    if sampling.oversample_thick and sensor.thickness == 0.0:
        notes.append(
            "-oversample_thick without a sensor thickness: nanoBragg C gives an image of zeros,"
            " and so do C semantics; --semantics spec uses a capture fraction of 1"
        )
    if sampling.oversample_polar and not experiment.beam.polarized:
        notes.append("-oversample_polar applies the polarization factor although -nopolar is given")
    if sampling.interpolate and not experiment.structure.has_list:
        notes.append("-interpolate has no effect without a list of structure factors")
    longest = max((p.wavelength or 0.0 for p in experiment.sources.points), default=0.0)
    if longest > 1e-7:
        notes.append(
            f"a source has a wavelength of {longest:g} m: the fifth column of a source list is in"
            " metres, not Angstrom"
        )
    if sensor.thickness > 0.0 and sensor.mu == 0.0:
        notes.append("a sensor that does not absorb captures nothing: every pixel is 0")
    if detector.close_distance < 0.0 and not experiment.detector.point_pixel:
        notes.append(
            "the detector's normal points to the sample (the distance along it is"
            f" {detector.close_distance * 1e3:g} mm): solid angles and pixels are negative, as in"
            " nanoBragg C; reverse -odet_vector or one detector axis"
        )
    return tuple(notes)
