"""Derivatives with materials in the beam, and behind shadows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.errors import BackendError
from nbdask.experiment import (
    Background,
    Detector,
    Experiment,
    LabFrame,
    Material,
    Sampling,
    Sources,
    Spread,
)
from nbdask.geometry.build import build_model
from nbdask.gradients.parameters import FIELDS, refusal, value_of, with_value
from nbdask.gradients.work import image_of
from tests.gradients.support import BASE, TINY, step_of

WATER = replace(
    BASE,
    background=Background(materials=(Material(1e-4, "water"), Material(0.1, "air", width=5e-5))),
    beam=replace(BASE.beam, beamsize=1e-4, fluence=1e22),
    detector=replace(TINY, thickness=2e-4, attenuation=3e3, thick_steps=2),
    sources=Sources(dispersion=Spread(range=0.02, count=2)),
    sampling=Sampling(oversample=2),
)


@pytest.mark.long
@pytest.mark.parametrize("semantics", ["spec", "c"])
def test_materials_change_as_differences_say(semantics: str) -> None:
    """By everything; the crystal has no part in what they scatter."""
    experiment = WATER.replace(semantics=semantics)
    model = build_model(experiment)
    names = [name for name in FIELDS if refusal(experiment, name, model) is None]
    assert {"detector.distance", "beam.wavelength", "beam.polarization"} <= set(names)
    planes = nbdask.gradient(experiment, names)["gradient"]
    dry = replace(experiment, background=Background())
    alone = nbdask.gradient(dry, names)["gradient"]
    for name in names:
        found, beside = planes.sel(parameter=name).values, alone.sel(parameter=name).values
        if name.startswith(("crystal.", "structure.", "scan.")):
            assert np.array_equal(found, beside), name
            continue
        assert np.abs(found - beside).max() > 1e-6 * np.abs(found).max(), name
        value = value_of(experiment, name)
        assert value is not None
        step = step_of(value, FIELDS[name].unit) * 10.0
        plus, minus = (image_of(with_value(experiment, name, value + d)) for d in (step, -step))
        expected = (plus - minus) / (2.0 * step)
        noise = 1e-12 * plus.max() / step
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max() + noise, name


def test_the_image_beside_is_that_of_everything() -> None:
    """Crystal, water and shadow, to single precision."""
    found = nbdask.gradient(WATER, "beam.fluence")["image"].values
    assert np.allclose(found, nbdask.image(WATER).values, rtol=3e-7, atol=0.0)


def test_normal_equations_and_adjoints_have_it() -> None:
    """As sums over the planes."""
    names = "crystal.turn,beam.fluence,detector.distance"
    found = nbdask.gradient(WATER, names)
    planes = found["gradient"].values
    c = np.random.default_rng(2).normal(size=WATER.shape)
    back = np.array(list(nbdask.adjoint(WATER, c, names).values.values()))
    assert np.allclose(back, (planes * c).sum(axis=(1, 2)), rtol=1e-10)
    data = found["image"].values * 1.1
    equations = nbdask.normal_equations(WATER, data, names)
    assert np.allclose(equations.hessian, np.einsum(
        "aij,bij,ij->ab", planes, planes, 1.0 / np.maximum(found["image"].values, 1e-3)
    ), rtol=1e-9)  # fmt: skip
    with pytest.raises(BackendError, match="nothing beside"):
        nbdask.adjoint(WATER, c, sources=True)


def _with_stop(experiment: Experiment) -> Experiment:
    background = replace(experiment.background, beamstop=(4e-3, 0.0, 0.0))
    return replace(experiment, background=background, frame=LabFrame("XDS"))


def test_a_beam_stop_casts_its_shadow_on_derivatives() -> None:
    """Where nothing arrives nothing changes; where the stop's edge is depends on the detector."""
    experiment = replace(
        _with_stop(WATER),
        detector=Detector(pixels_fast=7, pixels_slow=6, pixel_size=1.5e-3, org_x=3.5, org_y=3.5),
    )
    found = nbdask.gradient(experiment, "crystal.turn.y,beam.fluence")
    dark = found["image"].values == 0.0
    assert dark.any()
    assert not dark.all()
    assert not found["gradient"].values[:, dark].any()
    assert np.allclose(
        found["gradient"].values[1] * experiment.beam.fluence, found["image"].values, rtol=1e-12
    )
    assert "beam stop" in (refusal(experiment, "detector.distance") or "")


def test_a_shadow_multiplies_derivatives(tmp_path: Path) -> None:
    """Pixel by pixel, as the image."""
    share = np.linspace(0.0, 1.0, 42).reshape(6, 7)
    path = tmp_path / "shadow.npy"
    np.save(path, share)
    bare = replace(WATER, background=Background())
    experiment = replace(bare, background=Background(shadow=str(path)))
    names = "crystal.cell,detector.distance"
    found = nbdask.gradient(experiment, names)["gradient"].values
    expected = nbdask.gradient(bare, names)["gradient"].values * share
    assert np.allclose(found, expected, rtol=1e-6, atol=0.0)
