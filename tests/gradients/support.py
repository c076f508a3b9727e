"""Experiments of every kind, and derivatives by other means, for tests of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Experiment,
    LabFrame,
    Mosaic,
    Sampling,
    Scan,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.gradients.basis import basis_of
from nbdask.gradients.parameters import parameters_of, with_value
from nbdask.gradients.planes import reference_planes
from tests.helpers import evaluated, reflections, whole

Array = NDArray[np.float64]

CELL = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)
TINY = Detector(
    pixels_fast=7, pixels_slow=6, pixel_size=1.5e-3, rotx=0.05, roty=-0.03, rotz=0.1, twotheta=0.02
)
BASE = Experiment(
    crystal=Crystal(cell=CELL, n_cells=(4, 5, 6), misset=(0.1, -0.2, 0.3)),
    structure=StructureFactors(default_F=100.0),
    beam=Beam(polarization=0.3, fluence=1e24),
    detector=TINY,
    sampling=Sampling(oversample=1),
)


def with_crystal(**changes: object) -> Experiment:
    """Return the base with another crystal."""
    return replace(BASE, crystal=replace(BASE.crystal, **changes))


#: One experiment for each path through the formulas.
KINDS: dict[str, Experiment] = {
    "square": BASE,
    "many cells": with_crystal(n_cells=(11, 30, 1)),
    "round": with_crystal(shape="round", fudge=1.3),
    "gauss": with_crystal(shape="gauss", fudge=0.3),
    "mosaic and phi": replace(
        with_crystal(mosaic_spread=0.02, mosaic_domains=3),
        scan=Scan(phi0=0.1, osc=0.05, count=2),
    ),
    "sub-pixels, layers, colours": replace(
        BASE,
        detector=replace(TINY, thickness=2e-4, attenuation=3e3, thick_steps=2),
        sampling=Sampling(oversample=2),
        sources=Sources(dispersion=Spread(range=0.02, count=2)),
        background=Background(water=1e-6),
    ),
    "every term its own factors": replace(
        BASE,
        detector=replace(TINY, thickness=2e-4, attenuation=3e3, thick_steps=2),
        sampling=Sampling(
            oversample=1, oversample_thick=True, oversample_polar=True, oversample_omega=True
        ),
        sources=Sources(horizontal=Spread(range=0.01, count=2)),
    ),
    "list": replace(BASE, structure=StructureFactors(reflections=reflections(4))),
    "interpolated": replace(
        BASE,
        structure=StructureFactors(reflections=reflections(4), default_F=0.0),
        sampling=Sampling(oversample=1, interpolate=True),
    ),
    "matrix, sample pivot": replace(
        BASE,
        crystal=Crystal(
            matrix=(0.01, 0.002, 0.0, 0.0, 0.012, 0.001, 0.003, 0.0, 0.011), n_cells=(3, 4, 5)
        ),
        frame=LabFrame("XDS"),
        detector=replace(TINY, org_x=3.0, org_y=4.0),
    ),
    "carried over": replace(
        with_crystal(mosaic_spread=0.02, mosaic_domains=2),
        scan=Scan(phi0=0.0, osc=0.05, count=2),
        semantics="c",
    ),
    "point pixels, curved": replace(
        BASE,
        detector=Detector(
            pixels_fast=7, pixels_slow=6, pixel_size=1.5e-3, curved=True, point_pixel=True
        ),
    ),
    "spherical": with_crystal(shape="spherical", centring="I", fudge=0.3),
    "gaussian domains": replace(
        with_crystal(
            mosaic=Mosaic(model="gauss"),
            mosaic_spread=0.02,
            mosaic_domains=4,
            misset=(0.3, 0.1, 1.0),
        ),
        scan=Scan(phi0=0.1, osc=0.05, count=2),
    ),
    "quasi-random domains": replace(
        with_crystal(mosaic=Mosaic(sampling="sobol"), mosaic_spread=0.02, mosaic_domains=4),
        scan=Scan(phi0=0.1, osc=0.05, count=2),
    ),
    "listed domains": with_crystal(
        mosaic=Mosaic(domains=((1.0, 0.0, 0.0, 0.0, 1.0), (0.8, 0.6, 0.0, 0.0, 3.0)))
    ),
    "limited": replace(BASE, sampling=Sampling(oversample=1, dmin=2.2e-10, roi=(1, 4, 0, 5))),
}
#: Fields of which a step is not a small part of the value.
SCALES = {"rad": 1e-6, "pixel": 1e-5}


def planes_of(experiment: Experiment, names: object, model: Model | None = None) -> Array:
    """Return the image and its derivatives by the NumPy gradient."""
    model = model or build_model(experiment)
    parameters = parameters_of(names) if names else ()
    tile = whole(model)
    basis = basis_of(experiment, model, parameters)
    return reference_planes(model, basis, tile, evaluated(model, tile))


def image64(experiment: Experiment) -> Array:
    """Return the image in float64."""
    return planes_of(experiment, ())[0]


def by_differences(experiment: Experiment, name: str, value: float, step: float) -> Array:
    """Return a derivative of the image by central differences."""
    plus, minus = (image64(with_value(experiment, name, value + d)) for d in (step, -step))
    found: Array = (plus - minus) / (2.0 * step)
    return found


def step_of(value: float, unit: str) -> float:
    """Return a step for differences."""
    return SCALES.get(unit, abs(value) * 1e-6) or 1e-6


def worst(found: Array, expected: Array) -> float:
    """Return the largest deviation over the largest value."""
    top = float(np.abs(expected).max())
    return float(np.abs(found - expected).max()) / (top or 1.0)


def finite(planes: Sequence[Array] | Array) -> bool:
    """Whether every number is one."""
    return bool(np.isfinite(planes).all())
