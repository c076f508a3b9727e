"""Experiment -> Model: everything that is computed once per run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from nbdask import units
from nbdask.background.layer import layers_of
from nbdask.errors import FieldError, InputError
from nbdask.experiment import Crystal, Detector, Experiment
from nbdask.experiment.sampling import AUTO
from nbdask.geometry.amorphous import amorphous_notes, beam_stop
from nbdask.geometry.amplitude_fields import Known, amplitude_fields, check_unchanged
from nbdask.geometry.crystal_frame import (
    MAX_OVERSAMPLE,
    CrystalFrame,
    orient_crystal,
    recommended_oversample,
)
from nbdask.geometry.detector_frame import DetectorFrame, place_detector
from nbdask.geometry.difference import semantics_note
from nbdask.geometry.diffuse import diffuse_forms
from nbdask.geometry.domain_count import estimated_count
from nbdask.geometry.domains import is_mosaic, make_domains, settle_count
from nbdask.geometry.lattices import model_of_several
from nbdask.geometry.model import SHAPE_CODES, Array, Cutoff, DiffuseForms, Model, PanelFrame
from nbdask.geometry.nodes import node_basis
from nbdask.geometry.panel_frames import nearest, panel_frames
from nbdask.geometry.remarks import remarks
from nbdask.geometry.rotation import (
    carried_angles,
    check_table,
    orientation_table,
    phi_angles,
    turned_axes,
)
from nbdask.geometry.sensor import place_sensor
from nbdask.geometry.source_grid import build_sources
from nbdask.inputs.shadow import ShadowFile, open_shadow
from nbdask.inputs.smv import MaskFile, open_mask

_log = logging.getLogger("nbdask.geometry")


class _Orientations(NamedTuple):
    """Fields of the model, by name; so are the next ones."""

    axes: Array
    domain_weight: Array
    first_axes: Array | None
    n_phi: int
    n_domains: int


class Turning(NamedTuple):
    """How the crystal is turned.

    Attributes
    ----------
    phi, used : (n_phi,) float64 arrays
        Spindle angles [rad] as given, and those that count (S-SEM-01).
    rotations : (n_domains, 3, 3) float64 array or None
        Of the mosaic domains; None: one, not rotated.
    domains : int
    weights : (n_domains,) float64 array
    fixed : bool
        Whether the domains' rotations go before the spindle's.
    """

    phi: Array
    used: Array
    rotations: Array | None
    domains: int
    weights: Array
    fixed: bool


def _in_range(
    function: Callable[[Experiment, Known | None], Model],
) -> Callable[..., Model]:
    """Turn an overflow, which no single field can foresee, into an error for the user."""

    @wraps(function)
    def called(experiment: Experiment, known: Known | None = None) -> Model:
        """Do the same, and name what overflowed."""
        try:
            return function(experiment, known)
        except (OverflowError, ZeroDivisionError) as error:
            raise InputError(
                f"the experiment's numbers are too large or too small ({error}): look at lengths,"
                " cell, matrix and vectors"
            ) from error

    return called


@_in_range
def build_model(experiment: Experiment, known: Known | None = None) -> Model:
    """Compute the flat arrays that the kernels read, of one crystal or of several.

    Parameters
    ----------
    experiment : Experiment
    known : Known, optional
        Another model of the same series: its tables of amplitudes are shared where they are the
        same; the numbers do not depend on it.

    Raises
    ------
    InputFileError
        A structure factor or mask file that is missing, malformed or has changed.
    FieldError
        A combination that only shows once everything is put together.
    """
    if not experiment.lattices:
        model = _of_one(experiment, known)
        _log.info("%d terms for each of %d x %d pixels", model.n_steps, model.n_slow, model.n_fast)
        return model
    detector = place_detector(experiment.frame, experiment.detector, experiment.semantics)
    finest = max(
        finest_oversample(one, orient_crystal(one.crystal, one.beam), detector.distance)
        for one in experiment.singles
    )
    build = _of_one if known is None else _of_each(known)
    return model_of_several(experiment, build, finest)


def _of_each(known: Known) -> Callable[[Experiment], Model]:
    """Return what builds the models of crystals one after another, in their order."""
    numbers = count()
    return lambda single: _of_one(single, known.single(next(numbers)))


def _of_one(experiment: Experiment, known: Known | None = None) -> Model:
    beam, sampling = experiment.beam, experiment.sampling
    detector = place_detector(experiment.frame, experiment.detector, experiment.semantics)
    crystal = orient_crystal(experiment.crystal, beam)
    sources = build_sources(
        experiment.sources, beam.wavelength, detector.beam, detector.polarization
    )
    sensor = place_sensor(experiment.detector)
    turns = _orientations(experiment, crystal, detector)
    amplitudes, tables = amplitude_fields(experiment, crystal.star, known)
    oversample, notes = _oversample(experiment, crystal, detector)
    amorphous = layers_of(experiment.background, beam, experiment.semantics == "spec")
    fluence = beam.effective_fluence
    steps = len(sources.wavelength) * turns.n_domains * turns.n_phi * oversample**2
    each = (sampling.oversample_thick, sampling.oversample_polar, sampling.oversample_omega)
    mask = _mask(experiment)
    frames = panel_frames(experiment.frame, experiment.detector, mask)
    place = _first_panel(frames, detector) or _detector_fields(experiment.detector, detector)
    notes += amorphous_notes(amorphous, frames, place, sources)
    return Model(
        **{**sensor._asdict(), "mask": mask, **place},
        curved=experiment.detector.curved,
        point_pixel=experiment.detector.point_pixel,
        **_crystal_fields(experiment.crystal, crystal),
        **{item.name: getattr(sources, item.name) for item in fields(sources)}
        | {"f_table": tables[sources.f_table]},
        **turns._asdict(),
        **amplitudes._asdict(),
        oversample=oversample,
        kahn=beam.polarization,
        polarized=beam.polarized,
        dmin=sampling.dmin,
        default_F=experiment.structure.default_F * experiment.structure.scale,
        background=water_background(experiment.background.water, fluence),
        scale=units.R_E_SQR * fluence / steps,
        each_thick=each[0],
        each_polar=each[1],
        each_omega=each[2],
        running_product=experiment.semantics == "c" and any(each),
        roi=_roi(experiment),
        refuse_outside=experiment.semantics == "c",
        notes=detector.notes
        + crystal.notes
        + notes
        + remarks(experiment, sensor, detector, turns.n_domains)
        + tuple(filter(None, [semantics_note(experiment, amorphous, sensor.layers * steps)])),
        diffuse=_diffuse(experiment, crystal),
        panels=frames if len(frames) > 1 else (),
        amorphous=amorphous,
        beamstop=beam_stop(experiment.background, detector.beam, place),
        shadow=_shadow(experiment),
        cutoff=_cutoff(experiment, units.R_E_SQR * fluence / steps),
    )


def _cutoff(experiment: Experiment, scale: float) -> Cutoff | None:
    """Return what a pixel may lack; ``scale``: photons per unit of the sum."""
    asked, beam = experiment.sampling.cutoff, experiment.beam
    if asked is None:
        return None
    water = scale * water_background(experiment.background.water, beam.effective_fluence)
    return Cutoff(None if asked == AUTO else float(asked), water=water)


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
    its = ("fast", "slow", "normal", "origin", "beam", "distance", "close_distance")
    size = given.pixel_size
    return {n: getattr(placed, n) for n in its} | {
        "n_slow": given.n_slow,
        "n_fast": given.n_fast,
        "pitch_fast": size,
        "pitch_slow": size,
        "area": size * size,
    }


def _first_panel(frames: tuple[PanelFrame, ...], placed: DetectorFrame) -> dict[str, Any]:
    """Return the fields of the first panel, and the box around all; nothing where there is none."""
    if not frames:
        return {}
    found = {item.name: getattr(frames[0], item.name) for item in fields(frames[0])[1:]}
    box = {n: max(getattr(frame, n) for frame in frames) for n in ("n_slow", "n_fast")}
    return found | box | {"beam": placed.beam}


def _orientations(
    experiment: Experiment, crystal: CrystalFrame, detector: DetectorFrame
) -> _Orientations:
    turns = turning(experiment, crystal.axes, _domain_count(experiment, crystal, detector))
    fixed = turns.rotations if turns.fixed else None
    axes = crystal.axes if fixed is None else turned_axes(crystal.axes, fixed)
    rotations = None if turns.fixed else turns.rotations
    table = orientation_table(axes, detector.spindle, turns.used, rotations)
    first = None
    if turns.used[0] != turns.phi[0]:
        # Before anything was rotated there is nothing to carry over.
        first = orientation_table(axes, detector.spindle, turns.phi[:1], rotations)
    return _Orientations(table, turns.weights, first, len(turns.phi), turns.domains)


def turning(experiment: Experiment, axes: Array | None = None, count: int | None = None) -> Turning:
    """Return the spindle's angles and the mosaic domains' rotations.

    Parameters
    ----------
    experiment : Experiment
    axes : (3, 3) array, optional
        Rows a, b, c at phi 0, which only Gaussian domains need.
    count : int, optional
        Number of domains, where it had to be estimated.

    Raises
    ------
    FieldError
        More of them than a table in memory can hold.
    """
    crystal = experiment.crystal
    domains = settle_count(crystal) if count is None else count
    phi = phi_angles(experiment.scan)
    check_table(len(phi), domains)
    made = make_domains(crystal, np.eye(3) if axes is None else axes, domains)
    used = carried_angles(phi) if experiment.semantics == "c" else phi
    return Turning(phi, used, made.rotations, domains, made.weights, made.fixed)


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
    frames = panel_frames(experiment.frame, experiment.detector)
    flat = [{item.name: getattr(frame, item.name) for item in fields(frame)} for frame in frames]
    flat = flat or [_detector_fields(experiment.detector, detector)]
    return estimated_count(given, crystal, flat, detector.beam, experiment.beam.wavelength)


def _oversample(
    experiment: Experiment, crystal: CrystalFrame, detector: DetectorFrame
) -> tuple[int, tuple[str, ...]]:
    recommended = finest_oversample(experiment, crystal, detector.distance)
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


def finest_oversample(experiment: Experiment, crystal: CrystalFrame, distance: float) -> int:
    """Return the sub-pixels along an edge that are recommended.

    Parameters
    ----------
    experiment : Experiment
    crystal : CrystalFrame
    distance : float
        Along the beam [m]; of panels their own count, and the most that is recommended for any.
    """
    wavelength, given = experiment.beam.wavelength, experiment.detector
    frames = panel_frames(experiment.frame, given)
    places = {(nearest(frame), max(frame.pitch_fast, frame.pitch_slow)) for frame in frames}
    return max(
        recommended_oversample(crystal, wavelength, away, size)
        for away, size in places or {(distance, given.pixel_size)}
    )


def water_background(water: float, fluence: float) -> float:
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
    check_unchanged(path, experiment.sampling.mask_sha256)
    return mask


def _diffuse(experiment: Experiment, crystal: CrystalFrame) -> DiffuseForms | None:
    given = experiment.crystal.diffuse
    if given is None:
        return None
    sampling = experiment.sampling
    each = (sampling.oversample_thick, sampling.oversample_polar, sampling.oversample_omega)
    if experiment.semantics == "c" and any(each):
        raise FieldError(
            "crystal.diffuse",
            "given",
            "left out with -oversample_thick, _polar or _omega under C semantics",
        )
    cells = float(np.prod(np.array(crystal.n_cells, dtype=np.float64)))
    if experiment.crystal.cells_matrix is not None:
        cells = abs(float(np.linalg.det(np.array(experiment.crystal.cells_matrix).reshape(3, 3))))
    return diffuse_forms(given, np.asarray(crystal.star, dtype=np.float64), cells)


def _shadow(experiment: Experiment) -> ShadowFile | None:
    path = experiment.background.shadow
    if path is None:
        return None
    if len(experiment.detector.panels) > 1:
        raise FieldError("background.shadow", path, "left out with several panels")
    check_unchanged(path, experiment.background.shadow_sha256)
    shadow = open_shadow(path)
    if (shadow.n_slow, shadow.n_fast) != experiment.shape:
        raise FieldError(
            "background.shadow",
            f"{path} with {shadow.n_slow} (slow) x {shadow.n_fast} (fast) pixels",
            f"of the detector's {experiment.shape[0]} x {experiment.shape[1]} pixels",
        )
    return shadow
