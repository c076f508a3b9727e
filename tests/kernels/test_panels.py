"""Panels with two pitches and axes at any angle: the formulas, and every kernel on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nbdask.experiment import Detector, LabFrame, Sampling, Scan, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.carry_over import patch_carry_over
from nbdask.kernels.interface import merge
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import get_kernel
from nbdask.physics.factors import capture_fraction, solid_angle
from nbdask.physics.position import sub_pixel_positions, sub_pixel_rays
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile
from tests.helpers import deviation, reflections
from tests.panels.several import PANELS, alone, panels, several

KERNELS = [
    ("numpy", "float64", 0.0),
    ("cpu", "float64", 2e-7),
    ("cpu", "mixed", 1e-5),
    ("cuda-host", "float64", 2e-7),
    ("cuda-host", "mixed", 1e-5),
    ("cuda-host", "pairs", 1e-5),
]
SENSOR = Detector(panels=panels(thickness=3e-4, attenuation=3000.0), thick_steps=3)
MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "list, sub-pixels": {
        "structure": StructureFactors(reflections=reflections(), default_F=3.0),
        "sampling": Sampling(oversample=2, interpolate=False),
    },
    "sensor, factors of each term": {
        "detector": SENSOR,
        "sampling": Sampling(
            oversample=2, oversample_thick=True, oversample_polar=True, oversample_omega=True
        ),
    },
    "sensor": {"detector": SENSOR},
    "point pixels": {"detector": Detector(panels=PANELS, point_pixel=True)},
}


def tile_of(model: Model, panel: int) -> Tile:
    """A whole panel."""
    one = model.at(panel)
    return Tile(0, one.n_slow, 0, one.n_fast, panel)


def pixels(kernel: Any, model: Model, panel: int) -> NDArray[np.float32]:
    """A whole panel's pixels, bad ones too."""
    image, _ = kernel.image(model, tile_of(model, panel), None)
    return np.asarray(image)


@pytest.mark.parametrize("number", range(3))
def test_positions_and_solid_angles(number: int) -> None:
    """Written out: origin, steps of p/n along either axis, depth along the normal away from the
    sample; the solid angle is the area at right angles to the ray over the squared distance.
    """
    model = build_model(several(**MODELS["sensor, factors of each term"])).at(number)
    panel = PANELS[number]
    fast, slow = (np.array(v) / np.linalg.norm(v) for v in (panel.fast, panel.slow))
    normal = np.cross(fast, slow) / np.linalg.norm(np.cross(fast, slow))
    normal *= np.sign(normal @ np.array(panel.origin))
    found = sub_pixel_positions(model, tile_of(model, 0), 2, 1, 0)
    rays = sub_pixel_rays(model, tile_of(model, 0), 2, 1, 0)
    omega, share = solid_angle(model, rays), capture_fraction(model, 2, rays)
    area = np.linalg.norm(np.cross(panel.pitch_fast * fast, panel.pitch_slow * slow))
    for s, f in np.ndindex(panel.n_slow, panel.n_fast):
        place = np.array(panel.origin) + 2 * 1.5e-4 * normal
        place = place + (f + 0.25) * panel.pitch_fast * fast
        place = place + (s + 0.75) * panel.pitch_slow * slow
        assert [axis[s, f] for axis in found] == pytest.approx(place, rel=1e-12)
        path = np.linalg.norm(place)
        # The distance along the normal is that of the front, as in nanoBragg.
        front = normal @ np.array(panel.origin)
        assert omega[s, f] == pytest.approx(area / path**2 * front / path, rel=1e-12)
        depth = 1.5e-4 * 3000.0 / (normal @ place / path)
        assert share[s, f] == pytest.approx(np.exp(-2 * depth) - np.exp(-3 * depth), rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("backend", "precision", "bound"), KERNELS)
def test_kernels_agree(backend: str, precision: str, bound: float, name: str) -> None:
    """With the reference, on every panel; each gives a panel the bits that it has alone."""
    experiment = several(**MODELS[name])
    model, kernel = build_model(experiment), get_kernel(backend, precision)
    for panel in range(3):
        found = pixels(kernel, model, panel)
        assert found.max() > 0.0
        assert deviation(found, pixels(ReferenceKernel(), model, panel)) <= bound
        one = pixels(kernel, build_model(alone(experiment, panel)), 0)
        assert np.array_equal(found, one)


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_step_ranges_merge(backend: str) -> None:
    """The frame is that of the tile in every range."""
    model, kernel = build_model(several(**MODELS["sensor"])), get_kernel(backend)
    tile = tile_of(model, 2)
    parts = [kernel.partial(model, tile, s, None) for s in split_steps(model.n_steps, 2)]
    total = parts[0]
    for part in parts[1:]:
        total = merge(total, part)
    image = kernel.finish(model, tile, total, None)
    assert deviation(image, pixels(kernel, model, 2)) < 2e-7


@pytest.mark.parametrize("backend", ["numpy", "cpu", "cuda-host"])
def test_a_square_panel_is_that_of_flags(backend: str) -> None:
    """Bit for bit the panel that the fields of nanoBragg's flags describe."""
    panel = PANELS[0]
    frame = LabFrame("CUSTOM", fast=panel.fast, slow=panel.slow, normal=(2.0, 0.0, 0.0))
    flags = Detector(
        pixel_size=panel.pitch_fast,
        pixels_fast=panel.n_fast,
        pixels_slow=panel.n_slow,
        pix0=panel.origin,
        thickness=3e-4,
        attenuation=3000.0,
    )
    held = (replace(panel, thickness=3e-4, attenuation=3000.0), PANELS[1])
    held = (held[0], replace(held[1], thickness=1e-4, attenuation=10.0))
    kernel = get_kernel(backend)
    ours = pixels(kernel, build_model(several(held)), 0)
    assert np.array_equal(
        ours, pixels(kernel, build_model(several(detector=flags, frame=frame)), 0)
    )


def test_the_first_evaluation_of_each_panel_is_spared() -> None:
    """C semantics: C computes each panel as an image of its own."""
    experiment = several(scan=Scan(phi0=0.0, osc=0.02, count=2), semantics="c")
    model, kernel = build_model(experiment), ReferenceKernel()
    assert model.first_axes is not None
    for panel in range(3):
        tile = tile_of(model, panel)
        plain = pixels(kernel, model, panel)
        found = patch_carry_over(model, kernel, tile, plain.copy())
        one = build_model(alone(experiment, panel))
        same = patch_carry_over(one, kernel, tile_of(one, 0), plain.copy())
        assert np.array_equal(found, same)


def test_probes_are_of_the_model_of_a_panel() -> None:
    """The values of the compiled formulas next to those of the reference."""
    model = build_model(several(**MODELS["sensor"])).at(1)
    found = get_kernel("cpu").probe(model, 3, 4, 0)
    ray = sub_pixel_rays(model, Tile(3, 4, 4, 5), 0, 0, 0)
    assert found["R"][0] == pytest.approx(float(ray.path[0, 0]), rel=1e-14)
    assert found["solid_angle"][0] == pytest.approx(float(solid_angle(model, ray)[0, 0]))


def test_no_steps_no_light() -> None:
    """An empty range adds nothing, whatever the panel."""
    model = build_model(several())
    partial = get_kernel("cpu").partial(model, tile_of(model, 1), StepRange(0, 0), None)
    assert not partial.total.any()
