"""specs/semantics.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError, SemanticsError
from nbdask.experiment import (
    Background,
    Crystal,
    Detector,
    LabFrame,
    Sampling,
    Scan,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.geometry.detector_frame import place_detector
from nbdask.kernels.reference import ReferenceKernel
from nbdask.physics.factors import polarization_factor, solid_angle
from nbdask.physics.lattice import lattice_factor
from nbdask.physics.position import sub_pixel_rays
from nbdask.physics.scattering import miller_index, scattering_vector
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.specs.support import SKEW, experiment, pixels, with_detector

TILE = Tile(0, 12, 0, 16)


def test_running_product() -> None:
    """Under c the sum so far, water included, takes every later term's factors."""
    sampling = Sampling(oversample=2, oversample_polar=True)
    exp = experiment(sampling=sampling, background=Background(water=1e-5), semantics="c")
    model = build_model(exp)
    total = np.full(exp.shape, model.background)
    for slow, fast in np.ndindex(2, 2):
        ray = sub_pixel_rays(model, TILE, 0, slow, fast)
        q = scattering_vector(model, 0, ray)
        indices = [miller_index(a, q) for a in model.axes[0]]
        total += (10.0 * lattice_factor(model, *indices)) ** 2
        total *= polarization_factor(model, 0, ray)
    omega = solid_angle(model, sub_pixel_rays(model, TILE, 0, 0, 0))
    np.testing.assert_allclose(pixels(exp), model.scale * total * omega, rtol=1e-6)
    assert not np.allclose(pixels(exp.replace(semantics="spec")), pixels(exp), rtol=1e-3)


@pytest.mark.parametrize("convention", ["MOSFLM", "XDS"])
def test_given_pivot(convention: str) -> None:
    """Honoured under spec, overridden under c, with a note that says so."""
    other = {"MOSFLM": "sample", "XDS": "beam"}[convention]
    frame, detector = LabFrame(convention), Detector(rotx=0.2, roty=0.1, pivot=other)
    own = place_detector(frame, replace(detector, pivot=None), "spec")
    spec, under_c = (place_detector(frame, detector, s) for s in ("spec", "c"))
    assert spec.pivot == other
    assert not np.allclose(spec.origin, own.origin)
    np.testing.assert_array_equal(under_c.origin, own.origin)
    assert any("-pivot" in note for note in under_c.notes)


def test_given_pivot_counts_in_custom_under_both() -> None:
    """C overrides it only where a convention is named."""
    frame, detector = LabFrame("CUSTOM"), Detector(rotx=0.2, pivot="sample")
    assert [place_detector(frame, detector, s).pivot for s in ("spec", "c")] == ["sample"] * 2


def interpolated(semantics: str):
    """Return a model that interpolates amplitudes 100 for indices -3 to 3, default_F 5."""
    span = range(-3, 4)
    rows = tuple((h, k, el, 100.0) for h in span for k in span for el in span)
    return build_model(
        experiment(
            structure=StructureFactors(default_F=5.0, reflections=rows),
            sampling=Sampling(oversample=1, interpolate=True),
            semantics=semantics,
        )
    )


@pytest.mark.parametrize(
    ("h", "spec", "c"),
    [
        (0.5, True, True),
        (1.0, True, True),
        (1.01, True, False),
        (1.99, True, False),
        (2.0, False, False),
        (-1.0, True, True),
        (-1.01, True, False),
        (-2.0, True, False),
        (-2.01, False, False),
        (9.0, False, False),
    ],
)
def test_edge_of_the_interpolated_grid(h: float, spec: bool, c: bool) -> None:
    """floor(h)-1 to floor(h)+2 within -3..3 under spec; [-1, 1] under c; along each axis."""
    from nbdask.physics.structure_factor import cell_factor

    for semantics, inside in (("spec", spec), ("c", c)):
        model = interpolated(semantics)
        for axis in range(3):
            place = [np.array([0.5])] * 3
            place[axis] = np.array([h])
            value, outside = cell_factor(model, *place)
            assert outside is not None
            assert bool(outside[0]) is not inside
            assert value[0] == pytest.approx(100.0 if inside else 5.0)


def test_evaluations_outside_are_counted() -> None:
    """The kernel counts them, so that one warning (spec) or refusal (c) can name their number."""
    model = interpolated("spec")
    partial = ReferenceKernel().partial(model, TILE, StepRange(0, model.n_steps), None)
    assert 0 < partial.outside <= TILE.pixels
    assert interpolated("c").refuse_outside
    assert not model.refuse_outside


def test_oversampled_absorption_without_a_sensor() -> None:
    """C's two exponentials cancel; spec takes 1."""
    sampling = Sampling(oversample=1, oversample_thick=True)
    assert (pixels(experiment(sampling=sampling, semantics="c")) == 0).all()
    np.testing.assert_array_equal(pixels(experiment(sampling=sampling)), pixels(experiment()))


def test_nothing_else_differs() -> None:
    """A rich experiment that avoids the four points has the same bits under both."""
    exp = with_detector(
        experiment(
            crystal=Crystal(
                cell=SKEW,
                n_cells=(3, 4, 5),
                shape="round",
                mosaic_spread=0.01,
                mosaic_domains=3,
            ),
            scan=Scan(0.1, 0.1, None, 3),
            background=Background(water=1e-5),
            sampling=Sampling(oversample=2, roi=(1, 10, 2, 13), dmin=2e-10),
        ),
        thickness=3e-4,
        thick_steps=2,
        rotx=0.1,
    )
    images = [pixels(exp.replace(semantics=s)) for s in ("spec", "c")]
    assert images[0].max() > 0
    np.testing.assert_array_equal(images[0], images[1])


def test_unknown_semantics() -> None:
    """The message names the two."""
    with pytest.raises(FieldError, match="one of spec, c"):
        experiment(semantics="C")


def test_interpolation_that_leaves_the_grid(tmp_path: Path) -> None:
    """One warning with their number under spec; an explanation and no image under c."""
    span = range(-3, 4)
    rows = tuple((h, k, el, 100.0) for h in span for k in span for el in span)
    exp = experiment(
        structure=StructureFactors(default_F=5.0, reflections=rows),
        sampling=Sampling(oversample=1, interpolate=True),
    )
    result = nbdask.simulate(exp, tmp_path / "spec.zarr", backend="numpy", tile=8)
    told = [note for note in result.notes if "outside" in note]
    assert len(told) == 1
    assert int(told[0].split()[0]) > 0
    with pytest.raises(SemanticsError, match="-nointerpolate"):
        nbdask.simulate(exp.replace(semantics="c"), tmp_path / "c.zarr", backend="numpy", tile=8)
