"""The adjoint is the transpose of the planes: dot tests, and laws of amplitudes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask.errors import BackendError, FieldError, InputError
from nbdask.experiment import Sampling, SourcePoint, Sources, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.gradients.parameters import FIELDS, refusal
from nbdask.native import library
from tests.gradients.support import BASE, KINDS, image64
from tests.helpers import reflections

RANDOM = np.random.default_rng(7)
needs_library = pytest.mark.skipif(not library.available(), reason="there is no compiled library")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "point pixels, curved"])
def test_dot_products_agree(kind: str) -> None:
    """(c, J v) is (J^T c, v) for random c and v."""
    experiment = KINDS[kind]
    model = build_model(experiment)
    names = [name for name in FIELDS if refusal(experiment, name, model) is None]
    planes = nbdask.gradient(experiment, names)["gradient"].values
    scale = 1.0 / np.abs(planes).max(axis=(1, 2))
    v = RANDOM.normal(size=len(names)) * scale
    c = RANDOM.normal(size=experiment.shape)
    found = nbdask.adjoint(experiment, c, names, tile=4)
    forward = np.tensordot(v, planes, 1)
    back = sum(found.values[name] * x for name, x in zip(names, v, strict=True))
    assert abs((c * forward).sum() - back) <= 1e-12 * np.abs(c * forward).sum()


@needs_library
@pytest.mark.parametrize("interpolate", [False, True], ids=["nearest", "tricubic"])
def test_amplitudes_have_the_derivatives_of_differences(interpolate: bool) -> None:
    """And by Euler's theorem their sum times themselves is twice what comes of them."""
    rows = reflections(3)
    experiment = replace(
        BASE,
        structure=StructureFactors(reflections=rows),
        sampling=Sampling(oversample=1, interpolate=interpolate),
    )
    c = RANDOM.normal(size=BASE.shape)
    found = nbdask.adjoint(experiment, c, amplitudes=True, tile=(3, 7)).amplitudes
    assert found is not None
    assert found.dims == ("h", "k", "l")
    model = build_model(experiment)
    assert float((found * model.f_grid).sum()) == pytest.approx(
        2.0 * (c * image64(experiment)).sum(), rel=1e-10
    )
    place = np.unravel_index(int(np.abs(found.values).argmax()), found.shape)
    changed = [
        tuple(
            (h, k, el, f + d * ((h, k, el) == tuple(model.f_min + place))) for h, k, el, f in rows
        )
        for d in (0.01, -0.01)
    ]
    plus, minus = (
        image64(replace(experiment, structure=StructureFactors(reflections=r))) for r in changed
    )
    slope = (c * (plus - minus)).sum() / 0.02
    assert found.values[place] == pytest.approx(slope, rel=1e-6)


@needs_library
def test_sources_have_the_derivatives_of_differences() -> None:
    """By weights that are not normalised, and by each wavelength."""
    points = tuple(
        SourcePoint(wavelength=w, weight=g) for w, g in ((1.0e-10, 1.0), (1.02e-10, 1.0))
    )
    experiment = replace(BASE, sources=Sources(points=points))
    c = RANDOM.normal(size=BASE.shape)
    found = nbdask.adjoint(experiment, c, sources=True)
    assert found.source_weights is not None
    assert found.source_wavelengths is not None
    assert found.source_weights.sum() == pytest.approx((c * image64(experiment)).sum(), rel=1e-10)
    step = 1e-16

    def moved(by: float) -> np.ndarray:
        changed = (points[0], replace(points[1], wavelength=1.02e-10 + by))
        return image64(replace(experiment, sources=Sources(points=changed)))

    slope = (c * (moved(step) - moved(-step))).sum() / 2 / step
    assert found.source_wavelengths[1] == pytest.approx(slope, rel=1e-5)


def test_what_has_no_amplitudes_is_refused() -> None:
    """One amplitude is structure.default_F; NumPy has only parameters."""
    c = np.ones(BASE.shape)
    with pytest.raises(FieldError, match="list"):
        nbdask.adjoint(BASE, c, amplitudes=True)
    with pytest.raises(BackendError):
        nbdask.adjoint(KINDS["list"], c, amplitudes=True, backend="numpy")


@pytest.mark.parametrize("kind", [complex, object, str])
def test_images_of_other_than_real_numbers_are_refused(kind: type) -> None:
    """Nothing of them is dropped in silence."""
    with pytest.raises(InputError, match="must hold real numbers"):
        nbdask.adjoint(BASE, np.ones(BASE.shape).astype(kind))


def test_nothing_instead_of_an_image_is_refused_in_one_line() -> None:
    """By the adjoint, and by normal equations."""
    with pytest.raises(InputError, match="cotangent = None: must be an array"):
        nbdask.adjoint(BASE, None)
    with pytest.raises(InputError, match="data = None: must be an array"):
        nbdask.normal_equations(BASE, None, "beam.fluence")
