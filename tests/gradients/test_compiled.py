"""The compiled derivatives against the NumPy ones: every path, cut in any way."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nbdask.errors import BackendError
from nbdask.experiment import (
    Background,
    Detector,
    Experiment,
    LabFrame,
    Sampling,
    Scan,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.gradients import compiled
from nbdask.gradients.basis import Basis, basis_of
from nbdask.gradients.compiled import CpuSlopes, Pull
from nbdask.gradients.normal import Errors
from nbdask.gradients.pack import SLOPE, SLOPES, fits
from nbdask.gradients.parameters import FIELDS, parameters_of, refusal
from nbdask.gradients.planes import ReferenceSlopes, tile_planes
from nbdask.gradients.work import choose_backend
from nbdask.kernels.cull import cull_inputs
from nbdask.kernels.pack import pack
from nbdask.native import library
from nbdask.native.sources import SOURCES
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.gradients.support import BASE, KINDS, TINY, with_crystal
from tests.helpers import evaluated, reflections, whole

pytestmark = pytest.mark.skipif(not library.available(), reason="there is no compiled library")

MORE: dict[str, Experiment] = {
    "an even and an odd number of few cells": with_crystal(n_cells=(10, 7, 1)),
    "two cells": with_crystal(n_cells=(2, 2, 1)),
    "gauss, no width": with_crystal(shape="gauss", fudge=0.0),
    "gauss, cells as a matrix": with_crystal(
        shape="gauss", n_cells=(1, 1, 1), cells_matrix=(4.0, 1.0, 0, 0.5, 5.0, 0, 0, 0, 6.0)
    ),
    "round, list": replace(
        with_crystal(shape="round", mosaic_spread=0.01, mosaic_domains=2),
        structure=StructureFactors(reflections=reflections(3), default_F=7.0),
    ),
    "on the beam": replace(
        BASE,
        frame=LabFrame("XDS"),
        detector=Detector(pixels_fast=5, pixels_slow=5, pixel_size=1e-3, org_x=3.0, org_y=3.0),
    ),
    "partly beyond dmin, water": replace(
        BASE,
        sampling=Sampling(oversample=2, dmin=2e-9),
        background=Background(water=1e-6),
        sources=Sources(horizontal=Spread(range=0.2, count=3)),
    ),
    "not polarized, two steps": replace(
        BASE, beam=replace(BASE.beam, polarized=False), scan=Scan(phi0=0.1, osc=0.1, step=0.05)
    ),
    "interpolated, far outside": replace(
        KINDS["interpolated"], sampling=Sampling(oversample=2, interpolate=True, dmin=1.9e-10)
    ),
}
ALL = {k: e for k, e in (KINDS | MORE).items() if not e.detector.curved}


def everything(experiment: Experiment) -> tuple[Model, Basis, list[str]]:
    model = build_model(experiment)
    names = [name for name in FIELDS if refusal(experiment, name, model) is None]
    return model, basis_of(experiment, model, parameters_of(names)), names


@pytest.mark.parametrize("kind", ALL)
def test_all_planes_are_those_of_numpy(kind: str) -> None:
    """To 1e-11 of the largest value, of all parameters that an experiment has, at once."""
    model, basis, names = everything(ALL[kind])
    tile = whole(model)
    mask = evaluated(model, tile)
    ours = tile_planes(CpuSlopes(), model, basis, tile, mask)
    expected = tile_planes(ReferenceSlopes(), model, basis, tile, mask)
    assert np.isfinite(ours).all()
    # Planes that are 0 but for rounding: their parts cancel.
    floor = 1e-13 * np.abs(expected[0]).max()
    for name, plane, good, size in zip(
        ["image", *names], ours, expected, [1.0, *_sizes(names)], strict=True
    ):
        assert np.abs(plane - good).max() <= 1e-11 * np.abs(good).max() + floor / size, name


def _sizes(names: list[str]) -> list[float]:
    """What a parameter is measured by: edges of nanometres, wavelengths of tenths of them."""
    scales = {"m": 1e-10, "rad": 1e-4, "photon/m^2": 1e20}
    return [scales.get(FIELDS[name].unit, 1e-3) for name in names]


@pytest.mark.parametrize("kind", ["sub-pixels, layers, colours", "mosaic and phi", "list"])
def test_bits_do_not_depend_on_tiles_masks_and_ranges(kind: str) -> None:
    """Of planes of pixels here and there; ranges of steps add up."""
    model, basis, _ = everything(KINDS[kind])
    kernel, tile = CpuSlopes(), whole(model)
    full = kernel.planes(model, basis, tile, None)
    part = Tile(1, 5, 2, 6)
    assert np.array_equal(kernel.planes(model, basis, part, None), full[:, 1:5, 2:6])
    mask = np.arange(tile.pixels).reshape(tile.shape) % 3 == 0
    masked = kernel.planes(model, basis, tile, mask)
    assert np.array_equal(masked[:, mask], full[:, mask])
    assert not masked[:, ~mask].any()
    edges = sorted({0, 1, model.n_steps // 2 + 1, model.n_steps})
    sums = sum(kernel.sums(model, basis, tile, StepRange(a, b), None) for a, b in pairwise(edges))
    again = kernel.finish(model, basis, tile, sums, None)
    assert np.allclose(again, full, rtol=1e-12, atol=1e-13 * np.abs(full).max())
    whole_sums = kernel.sums(model, basis, tile, StepRange(0, model.n_steps), None)
    assert np.array_equal(kernel.finish(model, basis, tile, whole_sums, None), full)


@pytest.mark.parametrize("layers", [0, 2], ids=["no sensor", "sensor"])
def test_a_pixel_beyond_dmin_changes_no_bit_of_its_neighbours(layers: int) -> None:
    """Where one takes its polarization from a later sub-pixel, the others take their own."""
    sensor = {"thickness": 2e-4, "attenuation": 3e3, "thick_steps": layers} if layers else {}
    experiment = replace(
        BASE,
        detector=replace(TINY, **sensor),
        sampling=Sampling(oversample=2, dmin=2e-9),
        background=Background(water=1e-6),
    )
    model, basis, _ = everything(experiment)
    kernel = CpuSlopes()
    full = kernel.planes(model, basis, whole(model), None)
    assert 0 < np.count_nonzero(full[0]) < full[0].size
    for slow, fast in np.ndindex(full.shape[1:]):
        one = kernel.planes(model, basis, Tile(slow, slow + 1, fast, fast + 1), None)
        assert np.array_equal(one[:, 0, 0], full[:, slow, fast])


@pytest.mark.parametrize("level", library.levels() if library.available() else ())
def test_every_level_has_the_same_bits(level: str) -> None:
    """What is rounded once is written so; sums over pixels keep lanes apart."""
    model, basis, _ = everything(KINDS["sub-pixels, layers, colours"])
    tile, kernels = whole(model), (CpuSlopes(level), CpuSlopes())
    first, second = (kernel.planes(model, basis, tile, None) for kernel in kernels)
    assert np.array_equal(first, second)
    pull = np.random.default_rng(3).random(tile.shape)
    first, second = (
        kernel.pulled(model, basis, tile, None, Pull(pull)).values for kernel in kernels
    )
    assert np.array_equal(first, second)
    for robust in (None, 3.0):
        data = Errors(background=1.0, robust=robust).numbers()
        sums = [k.equations(model, basis, tile, None, pull, data) for k in kernels]
        assert all(np.array_equal(one, other) for one, other in zip(*sums, strict=True))


@pytest.mark.parametrize(("shape", "cells"), [("gauss", 14), ("spherical", 40)])
def test_far_from_spots_nothing_is_too_small_to_be_normal(shape: str, cells: int) -> None:
    """Processors take long for such numbers: slopes end before."""
    experiment = with_crystal(shape=shape, n_cells=(cells, cells, cells))
    model, basis, _ = everything(experiment)
    planes = CpuSlopes(skips=False).planes(model, basis, whole(model), None)
    assert (planes[0] == 0.0).any()
    assert not ((planes != 0.0) & (np.abs(planes) < 1e-290)).any()


@pytest.mark.parametrize("interpolate", [False, True], ids=["nearest", "tricubic"])
def test_what_is_skipped_changes_no_bit(interpolate: bool) -> None:
    """Of planes and pulled sums, masked pixels, and a tile that is no multiple of a group."""
    experiment = replace(
        with_crystal(shape="gauss", n_cells=(40, 40, 40), mosaic_spread=0.2, mosaic_domains=60),
        structure=StructureFactors(reflections=reflections(4)),
        detector=Detector(pixels_fast=37, pixels_slow=29, pixel_size=1e-4, distance=0.1),
        sampling=Sampling(oversample=1, interpolate=interpolate),
    )
    model, basis, _ = everything(experiment)
    tile = whole(model)
    assert cull_inputs(model, narrow=False) is not None
    mask = np.random.default_rng(3).random(tile.shape) < 0.7
    skips, all_ = CpuSlopes(), CpuSlopes(skips=False)
    for active in (None, mask):
        found = skips.planes(model, basis, tile, active)
        assert np.array_equal(found, all_.planes(model, basis, tile, active))
        assert found[1:].any(axis=(1, 2)).all()
    pull = np.ones(tile.shape)
    tables = [
        kernel.pulled(model, basis, tile, mask, Pull(pull, amplitudes=True)).table
        for kernel in (skips, all_)
    ]
    assert tables[0] is not None
    assert tables[1] is not None
    assert np.allclose(tables[0], tables[1], rtol=1e-12, atol=0)


@pytest.mark.parametrize("interpolate", [False, True], ids=["nearest", "tricubic"])
def test_each_source_has_its_own_amplitudes(interpolate: bool) -> None:
    """Of a spectrum; each the planes of that source alone."""
    experiment = replace(
        KINDS["list"],
        sampling=Sampling(oversample=1, interpolate=interpolate),
        sources=Sources(dispersion=Spread(range=0.02, count=2)),
    )
    model, basis, _ = everything(experiment)
    model = replace(model, f_more=3.0 * model.f_grid[None, ::-1], f_table=np.array([1, 0]))
    tile = whole(model)
    ours = tile_planes(CpuSlopes(), model, basis, tile)
    expected = tile_planes(ReferenceSlopes(), model, basis, tile)
    top = np.abs(expected).max(axis=(1, 2))
    assert (np.abs(ours - expected).max(axis=(1, 2)) <= 1e-10 * top).all()
    one = tile_planes(ReferenceSlopes(), replace(model, f_table=np.array([0, 0])), basis, tile)
    assert np.abs(one - expected).max() > 0.1 * top.max()


def test_structures_have_the_same_size_in_the_library() -> None:
    """As NumPy reads them from the C++ text."""
    assert compiled.sizes() == (SLOPE.itemsize, SLOPES.itemsize)


def test_sums_by_what_pulls_pixels() -> None:
    """By amplitudes, by weights and wavelengths of sources: sums of planes times the pull."""
    experiment = replace(KINDS["sub-pixels, layers, colours"], background=BASE.background)
    experiment = replace(experiment, structure=StructureFactors(reflections=reflections(4)))
    model, basis, _ = everything(replace(experiment))
    tile = whole(model)
    pull = np.random.default_rng(2).normal(size=tile.shape)
    kernel = CpuSlopes()
    planes = kernel.planes(model, basis, tile, None)
    found = kernel.pulled(model, basis, tile, None, Pull(pull, amplitudes=True, sources=True))
    terms = planes[1:] * pull
    assert np.allclose(
        found.values,
        terms.sum(axis=(1, 2)),
        rtol=0,
        atol=1e-13 * np.abs(terms).sum(axis=(1, 2)).max(),
    )
    assert found.sources is not None
    assert found.sources[:, 0].sum() == pytest.approx((pull * planes[0]).sum(), rel=1e-11)
    assert found.table is not None
    assert (found.table * pack(model).table).sum() == pytest.approx(found.sources[:, 0].sum())


def test_a_curved_detector_is_left_to_numpy() -> None:
    """And said where the compiled loops are asked for."""
    experiment = KINDS["point pixels, curved"]
    model, basis, _ = everything(experiment)
    assert not fits(model, basis)
    assert choose_backend(None, model, basis) == "numpy"
    with pytest.raises(BackendError, match="curved"):
        choose_backend("cpu", model, basis)


def test_formulas_are_a_text_for_cards_too() -> None:
    """NVIDIA's compiler takes it; no GPU is needed."""
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc")
    seen: set[str] = set()

    def read(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        text = (SOURCES / name).read_text().replace("#pragma once\n", "")
        return re.sub(r'^#include "([a-z0-9_]+\.h)"$', lambda m: read(m[1]), text, flags=re.M)

    text = read("slopes.h") + _PROBE
    try:
        program = nvrtc.createProgram(text, "slopes.cu", (), ())
        options = ("--gpu-architecture=compute_80", "--std=c++17")
    except RuntimeError:
        pytest.skip("nvrtc is not there")
    nvrtc.compileProgram(program, options)
    assert "probe" in nvrtc.getPTX(program).decode()


_PROBE = """
struct Any { int lattice, amplitude, factors, degree; };
extern "C" __global__ void probe(const Params* p, const double* axes, const double* table,
                                 double* found, Any v) {
  const Indices at = find_indices(v, axes, Vector{found[0], found[1], found[2]});
  const LatticeSlope lattice = lattice_slope(v, *p, at);
  const Interpolated f = interpolated_slope(*p, table + first_neighbour(*p, at), at);
  found[0] = lattice.squared + lattice.by.x + lattice.shape[5] + f.value + f.by.z;
}
"""
