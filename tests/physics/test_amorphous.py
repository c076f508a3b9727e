"""Photons of amorphous materials: against the formula written out, and in closed form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate

from nbdask import units
from nbdask.experiment import (
    Background,
    Beam,
    Detector,
    Experiment,
    LabFrame,
    Material,
    Sampling,
    SourcePoint,
    Sources,
)
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.physics import coarse
from nbdask.physics.amorphous import photons_at
from nbdask.physics.coarse import amorphous_photons
from nbdask.physics.factors import capture_fraction, polarization_factor, solid_angle
from nbdask.physics.position import sub_pixel_rays
from nbdask.physics.shadow import beside_the_crystal
from nbdask.plan.tiles import Tile
from tests.helpers import small_experiment, whole
from tests.panels.several import alone, panels, several

WATER = Material(1e-4, table="water")
AIR = Material(1e-2, table="air", density=1.2, molar_mass=0.029)
SOURCES = Sources(
    points=(
        SourcePoint(-10.0, 0.02, 0.0, 1.0, 0.97e-10),
        SourcePoint(-10.0, 0.0, 0.03, 3.0, 1.0e-10),
        SourcePoint(-10.0, -0.02, 0.01, 0.5, 1.04e-10),
    ),
    weights="apply",
)


def lit(*materials: Material, **parts: Any) -> Experiment:
    """A small experiment with materials in the beam."""
    beam = Beam(flux=1e12, polarization=0.9)
    values: dict[str, Any] = {"beam": beam, "background": Background(materials=materials)}
    return small_experiment(**{**values, **parts})


def every(model: Model) -> np.ndarray:
    """All pixels, computed one by one."""
    slow, fast = np.mgrid[: model.n_slow, : model.n_fast].astype(np.float64)
    return photons_at(model, slow.reshape(-1), fast.reshape(-1)).photons.reshape(slow.shape)


def stated(model: Model, fluence: float, amplitude: Any, molecules: float) -> np.ndarray:
    """The formula as the specification states it, with the factors of the crystal's pixels."""
    tile, n = whole(model), model.oversample
    total = np.zeros(tile.shape)
    for layer in range(model.layers):
        for sub in range(n * n):
            ray = sub_pixel_rays(model, tile, layer, *divmod(sub, n))
            for source in range(model.n_sources):
                x, y, z = model.incident[source]
                stol = np.sqrt((ray.x - x) ** 2 + (ray.y - y) ** 2 + (ray.z - z) ** 2)
                f = amplitude(0.5 * stol / model.wavelength[source])
                polar = polarization_factor(model, source, ray) if model.polarized else 1.0
                factors = polar * solid_angle(model, ray) * capture_fraction(model, layer, ray)
                total += model.weight[source] * np.sign(f) * f * f * factors
    scale = units.R_E_SQR * fluence * molecules / (n * n * model.n_sources)
    return np.asarray(scale * total)


@pytest.mark.parametrize("semantics", ["spec", "c"])
def test_pixels_are_the_stated_sum(semantics: str, tmp_path: Path) -> None:
    """Sources with weights, sub-pixels, sensor layers, polarization; F falling below 0."""
    path = tmp_path / "line.stol"
    path.write_text("0 4\n0.05 2\n0.1 0\n")
    detector = Detector(
        pixels_fast=24, pixels_slow=32, pixel_size=2e-3, thickness=3e-4, thick_steps=3,
        attenuation=4e3, distance=0.1,
    )  # fmt: skip
    exp = lit(
        Material(2e-4, path=str(path), density=900.0, molar_mass=0.03),
        detector=detector,
        sources=SOURCES,
        sampling=Sampling(oversample=2),
        semantics=semantics,
    )
    model = build_model(exp)

    def amplitude(stol: np.ndarray) -> np.ndarray:
        f = 4.0 - 40.0 * stol * 1e-10
        return np.maximum(f, 0.0) if semantics == "spec" else f

    molecules = 2e-4 * 1e-8 * 900.0 / 0.03 * units.AVOGADRO
    found, expected = every(model), stated(model, exp.beam.effective_fluence, amplitude, molecules)
    assert (expected < 0).any() == (semantics == "c")
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * expected.max())


def test_sum_over_a_sphere_is_the_integral(tmp_path: Path) -> None:
    """Photons of a whole pattern in forward directions: r_e^2 times an integral over angles."""
    path = tmp_path / "flat.stol"
    path.write_text("0 2\n1 2\n2 2\n")
    side = 0.2
    detector = Detector(pixels_fast=200, pixels_slow=200, pixel_size=1e-3, distance=0.1)
    exp = lit(
        Material(1e-4, path=str(path)),
        beam=Beam(flux=1e12, polarized=True, polarization=0.0),
        detector=detector,
        frame=LabFrame("ADXV"),
    )
    model = build_model(exp)
    molecules = 1e-12 * 1000.0 / 0.018 * units.AVOGADRO

    def share(y: float, x: float) -> float:
        squared = x * x + y * y + 0.01
        return 0.1 / squared**1.5 * 0.5 * (1.0 + 0.01 / squared)

    # The beam is half a pixel off the middle.
    low, high = -side / 2 + 5e-4, side / 2 + 5e-4
    solid, _ = integrate.dblquad(share, low, high, -high, -low, epsrel=1e-9)
    expected = units.R_E_SQR * exp.beam.effective_fluence * molecules * 4.0 * solid
    assert every(model).sum() == pytest.approx(expected, rel=1e-4)


def test_beams_and_sheets_limit_each_other() -> None:
    """The lit area is that of the beam, or of a smaller sheet."""
    model = build_model(lit(WATER))
    narrow = build_model(lit(replace(WATER, width=2e-5)))
    tall = build_model(lit(replace(WATER, height=1.0)))
    ratio = [m.amorphous[0].factor / model.amorphous[0].factor for m in (narrow, tall)]
    assert ratio == pytest.approx([0.2, 1.0])


LARGE = Detector(
    pixels_fast=90, pixels_slow=70, pixel_size=1e-4, distance=0.2, beam_x=-2e-2, beam_y=-3e-2,
    thickness=3e-4, thick_steps=2, attenuation=4e3,
)  # fmt: skip


@pytest.mark.parametrize("materials", [(WATER, AIR), (AIR,), (Material(1e-4, table="kapton"),)])
def test_coarse_grid_is_within_its_bound(materials: tuple[Material, ...]) -> None:
    """Interpolated pixels differ from computed ones by less than 1e-7."""
    model = build_model(lit(*materials, detector=LARGE, sources=SOURCES))
    found, exact = amorphous_photons(model, whole(model), None), every(model)
    assert np.mean(found != exact) > 0.5
    np.testing.assert_allclose(found, exact, rtol=1e-7)


def test_coarse_grid_near_the_beam_and_beyond_a_table() -> None:
    """Where the curve bends too much pixels are computed."""
    detector = Detector(pixels_fast=96, pixels_slow=96, pixel_size=1e-4, distance=0.1)
    model = build_model(lit(AIR, detector=detector))
    found, exact = amorphous_photons(model, whole(model), None), every(model)
    np.testing.assert_allclose(found, exact, rtol=1e-7)
    assert (found == exact)[44:52, 44:52].all()
    assert (found != exact).any()
    far = replace(detector, pixel_size=4e-3, distance=0.05)
    model = build_model(lit(Material(1e-4, table="helium"), detector=far))
    np.testing.assert_allclose(
        amorphous_photons(model, whole(model), None), every(model), rtol=1e-7
    )


def test_rough_tables_are_computed_pixel_by_pixel(tmp_path: Path) -> None:
    """Rounded to few digits, a table has kinks that interpolation cannot follow."""
    path = tmp_path / "rounded.stol"
    x = np.linspace(0.0, 0.5, 200)
    path.write_text("".join(f"{s:.4f} {9.0 * np.exp(-9.0 * s * s):.4f}\n" for s in x))
    model = build_model(lit(Material(1e-4, path=str(path)), detector=LARGE))
    assert model.amorphous[0].rough
    np.testing.assert_array_equal(amorphous_photons(model, whole(model), None), every(model))


def test_tiles_do_not_matter() -> None:
    """Any cut gives the same bits, single pixels too."""
    model = build_model(lit(WATER, AIR, detector=LARGE))
    image = amorphous_photons(model, whole(model), None)
    for tile in (
        Tile(3, 41, 8, 77),
        Tile(16, 32, 16, 32),
        Tile(69, 70, 89, 90),
        Tile(20, 21, 3, 4),
    ):
        part = image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
        np.testing.assert_array_equal(amorphous_photons(model, tile, None), part)


def test_panels_have_the_background_of_each_alone() -> None:
    """Bit for bit: places, pitches, sensors and shadows are those of the panel."""
    beside = Background(materials=(WATER,), beamstop=(4e-3, 0.0, 0.0))
    experiment = several(panels(thickness=3e-4, attenuation=4e3), background=beside)
    model = build_model(experiment)
    for panel, given in enumerate(experiment.detector.panels):
        own = build_model(alone(experiment, panel))
        tile = Tile(0, given.n_slow, 0, given.n_fast, panel)
        image = np.ones(tile.shape, dtype=np.float32)
        found = amorphous_photons(model, tile, None)
        np.testing.assert_array_equal(found, amorphous_photons(own, whole(own), None))
        np.testing.assert_array_equal(found, every(own))
        with_all = beside_the_crystal(model, tile, image, None)
        assert with_all.shape == tile.shape
    corner = build_model(several(background=Background(materials=(Material(1e-4, table="ice"),))))
    assert not any(note.startswith("--background") for note in corner.notes)


def test_weights_reproduce_polynomials() -> None:
    """Degree 5 is exact, and the weights sum to 1."""
    w = coarse.weights()
    nodes, x = np.arange(6.0) - 2.0, np.arange(8) / 8.0
    for power in range(6):
        np.testing.assert_allclose(w @ nodes**power, x**power, atol=1e-12)


def test_masked_pixels_stay_zero_and_rounding_is_once_more() -> None:
    """A pixel is the rounded sum of the crystal's rounded photons and the background."""
    model = build_model(lit(WATER, detector=LARGE))
    image = np.linspace(0.0, 5e4, 6300, dtype=np.float32).reshape(70, 90)
    mask = np.ones(image.shape, dtype=np.bool_)
    mask[10:20, 30:50] = False
    image[~mask] = 0.0
    found = beside_the_crystal(model, whole(model), image, mask)
    assert found.dtype == np.float32
    assert (found[~mask] == 0.0).all()
    expected = (image + amorphous_photons(model, whole(model), None)).astype(np.float32)
    np.testing.assert_array_equal(found[mask], expected[mask])


def test_without_materials_nothing_is_touched() -> None:
    """Not even copied."""
    model = build_model(small_experiment())
    image = np.ones((32, 24), dtype=np.float32)
    assert beside_the_crystal(model, whole(model), image, None) is image
