"""Derivatives in mixed precision: as exact ones to 1e-5 of each plane's largest value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask.errors import BackendError
from nbdask.experiment import Detector, LabFrame, Sampling, Scan, StructureFactors
from nbdask.gradients.compiled import CpuSlopes
from nbdask.native import library
from tests.gradients.support import BASE, KINDS, with_crystal
from tests.gradients.test_compiled import everything
from tests.helpers import reflections, whole

pytestmark = pytest.mark.skipif(not library.available(), reason="there is no compiled library")

MANY = replace(
    with_crystal(n_cells=(12, 40, 11), mosaic_spread=0.05, mosaic_domains=5),
    structure=StructureFactors(reflections=reflections(4)),
    scan=Scan(phi0=0.1, osc=0.05, count=2),
)
CASES = {
    "list, mosaic, phi": MANY,
    "one amplitude": with_crystal(n_cells=(100, 1, 30)),
    "interpolated": replace(MANY, sampling=Sampling(oversample=2, interpolate=True)),
    "a thousand cells": with_crystal(n_cells=(1000, 200, 11)),
    "on the beam": replace(
        with_crystal(n_cells=(20, 20, 20)),
        frame=LabFrame("XDS"),
        detector=Detector(pixels_fast=5, pixels_slow=5, pixel_size=1e-3, org_x=3.0, org_y=3.0),
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_planes_are_exact_to_1e5(kind: str) -> None:
    """And they are not those of float64."""
    model, basis, names = everything(CASES[kind])
    tile = whole(model)
    exact = CpuSlopes().planes(model, basis, tile, None)
    found = CpuSlopes(precision="mixed").planes(model, basis, tile, None)
    assert np.isfinite(found).all()
    top = np.abs(exact).max(axis=(1, 2))
    away = np.abs(found - exact).max(axis=(1, 2))
    assert (away <= 1e-5 * top).all(), dict(zip(["image", *names], away / top, strict=True))
    assert away.any()


@pytest.mark.parametrize("kind", ["square", "round", "gauss", "spherical"])
def test_everything_else_is_computed_in_float64(kind: str) -> None:
    """Few cells and other shapes, and more cells than float32 can hold: the same bits."""
    experiments = [KINDS[kind], with_crystal(n_cells=(1001, 3, 3))]
    for experiment in experiments:
        exact, found = (
            nbdask.gradient(experiment, "crystal.turn,detector.distance", precision=precision)
            for precision in ("float64", "mixed")
        )
        assert np.array_equal(exact["gradient"], found["gradient"])


@pytest.mark.parametrize("level", library.levels() if library.available() else ())
def test_every_level_has_the_same_bits(level: str) -> None:
    """Also in float32: what is rounded once is written so."""
    model, basis, _ = everything(MANY)
    tile = whole(model)
    found = CpuSlopes(level, precision="mixed").planes(model, basis, tile, None)
    assert np.array_equal(found, CpuSlopes(precision="mixed").planes(model, basis, tile, None))


def test_adjoints_and_normal_equations_take_it_too() -> None:
    """As close as planes are."""
    c = np.random.default_rng(7).normal(size=MANY.shape)
    exact, found = (
        nbdask.adjoint(MANY, c, "crystal.turn", amplitudes=True, precision=precision)
        for precision in ("float64", "mixed")
    )
    assert exact.amplitudes is not None
    assert found.amplitudes is not None
    top = float(np.abs(exact.amplitudes).max())
    assert 0.0 < float(np.abs(found.amplitudes - exact.amplitudes).max()) <= 1e-5 * top
    data = nbdask.gradient(MANY, "beam.fluence")["image"].values + 1.0
    one, other = (
        nbdask.normal_equations(
            MANY, data, "crystal.turn,beam.fluence", background=1.0, precision=precision
        )
        for precision in ("float64", "mixed")
    )
    assert np.allclose(other.hessian, one.hessian, rtol=1e-4, atol=1e-5 * one.hessian.max())
    assert not np.array_equal(one.hessian, other.hessian)


def test_who_has_no_mixed_precision_says_so() -> None:
    """In one line."""
    with pytest.raises(BackendError, match="--backend numpy are computed in float64"):
        nbdask.gradient(BASE, "crystal.turn", backend="numpy", precision="mixed")
    with pytest.raises(BackendError, match="'half': gradients with --backend cpu are"):
        nbdask.adjoint(BASE, np.ones(BASE.shape), precision="half")
