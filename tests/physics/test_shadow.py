"""Beam stops and shadows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import FieldError, InputFileError
from nbdask.experiment import Background, Beam, Detector, Material
from nbdask.geometry.build import build_model
from nbdask.inputs.checksum import sha256_of
from nbdask.physics.coarse import amorphous_photons
from nbdask.physics.position import rays_at
from nbdask.physics.shadow import beside_the_crystal, transmission
from nbdask.plan.tiles import Tile
from tests.helpers import small_experiment, whole
from tests.panels.several import several

DETECTOR = Detector(pixels_fast=60, pixels_slow=50, pixel_size=1e-4, distance=0.1)


def test_beam_stops_hide_a_circle() -> None:
    """Area and centre are those of the disc, beside the beam along fast and slow."""
    stop = Background(beamstop=(1.2e-3, 3e-4, -2e-4))
    model = build_model(small_experiment(detector=DETECTOR, background=stop))
    share = transmission(model, whole(model))
    assert share is not None
    hidden = 1.0 - share
    assert hidden.sum() * 1e-8 == pytest.approx(np.pi * 1.2e-3**2, rel=5e-3)
    onto = -model.origin
    beam = [onto @ model.slow / 1e-4 - 0.5, onto @ model.fast / 1e-4 - 0.5]
    slow, fast = np.mgrid[:50, :60]
    centre = [(hidden * axis).sum() / hidden.sum() for axis in (slow, fast)]
    assert centre == pytest.approx([beam[0] - 2.0, beam[1] + 3.0], abs=0.02)
    part = transmission(model, Tile(20, 33, 11, 40))
    np.testing.assert_array_equal(part, share[20:33, 11:40])


def test_a_tilted_detector_sees_the_same_cone() -> None:
    """What is hidden depends on the direction alone."""
    detector = replace(DETECTOR, rotx=0.1, roty=0.5, rotz=-0.3, pivot="beam")
    stop = Background(beamstop=(1.2e-3, 0.0, 0.0))
    exp = small_experiment(detector=detector, background=stop)
    model = build_model(exp)
    share = transmission(model, whole(model))
    assert share is not None
    ray = rays_at(model, np.arange(50), np.arange(60))
    cosine = ray.x * model.beam[0] + ray.y * model.beam[1] + ray.z * model.beam[2]
    radius = model.distance * np.sqrt(1.0 - cosine**2) / cosine
    assert (share[radius < 1.14e-3] == 0.0).all()
    assert (share[radius > 1.26e-3] == 1.0).all()
    assert 0 < (share == 0.0).sum() < share.size


def test_shadows_are_transmissions(tmp_path: Path) -> None:
    """Read tile by tile; together with a beam stop they multiply."""
    values = np.random.default_rng(1).uniform(size=(50, 60)).astype(np.float32)
    np.save(tmp_path / "s.npy", values)
    shadow = Background(shadow=str(tmp_path / "s.npy"))
    model = build_model(small_experiment(detector=DETECTOR, background=shadow))
    np.testing.assert_array_equal(transmission(model, whole(model)), values)
    np.testing.assert_array_equal(transmission(model, Tile(3, 9, 7, 60)), values[3:9, 7:60])
    both = replace(shadow, beamstop=(1e-3, 0.0, 0.0))
    stop = Background(beamstop=(1e-3, 0.0, 0.0))
    first, second = (
        transmission(build_model(small_experiment(detector=DETECTOR, background=b)), whole(model))
        for b in (both, stop)
    )
    assert second is not None
    np.testing.assert_array_equal(first, values * second)


def test_crystal_and_background_are_hidden_alike(tmp_path: Path) -> None:
    """The rounded product of the share and the sum."""
    np.save(tmp_path / "s.npy", np.full((50, 60), 0.25))
    beside = Background(materials=(Material(1e-4, table="air"),), shadow=str(tmp_path / "s.npy"))
    exp = small_experiment(detector=DETECTOR, background=beside, beam=Beam(flux=1e12))
    model = build_model(exp)
    image = np.full((50, 60), 7.0, dtype=np.float32)
    found = beside_the_crystal(model, whole(model), image, None)
    expected = 0.25 * (image + amorphous_photons(model, whole(model), None))
    np.testing.assert_array_equal(found, expected.astype(np.float32))
    plain = build_model(small_experiment())
    assert beside_the_crystal(plain, whole(plain), image[:32, :24], None).base is image


def test_shadows_that_are_refused(tmp_path: Path) -> None:
    """Another shape, other numbers, values outside 0 to 1, a file that has changed."""
    path = tmp_path / "s.npy"

    def built(**more: str) -> None:
        build_model(
            small_experiment(detector=DETECTOR, background=Background(shadow=str(path), **more))
        )

    np.save(path, np.ones((60, 50)))
    with pytest.raises(FieldError, match="of the detector's 50 x 60 pixels"):
        built()
    np.save(path, np.ones((50, 60), dtype=np.int32))
    with pytest.raises(InputFileError, match="holds int32"):
        built()
    for value in (1.5, -0.1, np.nan):
        values = np.ones((50, 60))
        values[3, 4] = value
        np.save(path, values)
        with pytest.raises(InputFileError, match="at slow 3, fast 4: must be"):
            built()
    np.save(path, np.ones((14, 11)))
    with pytest.raises(FieldError, match="left out with several panels"):
        build_model(several(background=Background(shadow=str(path))))
    np.save(path, np.ones((50, 60)))
    built(shadow_sha256=sha256_of(path))
    with pytest.raises(InputFileError, match="has changed"):
        built(shadow_sha256="0" * 64)


@pytest.mark.parametrize("stop", [(0.0, 0.0, 0.0), (1.0, 2.0), (1e-3, np.inf, 0.0)])
def test_beam_stops_that_are_refused(stop: tuple[float, ...]) -> None:
    with pytest.raises(FieldError, match=r"background.beamstop"):
        Background(beamstop=stop)
