"""Experiment lists of dxtbx: frames in frames, beam, crystal, goniometer, scan."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nbdask.panels.masks import bad_pixels
from nbdask.panels.model import Sweep
from nbdask.panels.read import read_geometry
from tests.panels.samples import expt, write_expt


def test_frames_are_composed(tmp_path: Path) -> None:
    """R = R_parent [f s f x s], o = o_parent + R_parent o; (-x, y, -z) in the common frame."""
    found = read_geometry(write_expt(tmp_path / "a.expt", expt()))
    first, second = found.panels
    assert first.origin == pytest.approx((0.005, 0.004, 0.15))
    assert first.fast == pytest.approx((-1, 0, 0))
    assert first.slow == pytest.approx((0, -1, 0))
    # arm: fast is y, slow is -x, at (1, 2, -147): (4, 1, 0.5) there is (1 - 1, 2 + 4, -146.5).
    assert second.origin == pytest.approx((0.0, 0.006, 0.1465))
    assert second.fast == pytest.approx((0, 1, 0))
    assert second.slow == pytest.approx((-1, 0, 0))
    assert [(group.name, group.panels, group.parent) for group in found.groups] == [
        ("root", (0, 1), None),
        ("arm", (1,), 0),
    ]
    assert found.groups[1].origin == pytest.approx((-0.001, 0.002, 0.147))


def test_what_a_panel_is_made_of(tmp_path: Path) -> None:
    """Two pitches, sensor, gain, range, and the mask cut to the panel."""
    panel = read_geometry(write_expt(tmp_path / "a.expt", expt())).panels[0]
    assert (panel.n_fast, panel.n_slow) == (100, 80)
    assert (panel.pitch_fast, panel.pitch_slow) == pytest.approx((1e-4, 2e-4))
    assert (panel.thickness, panel.attenuation) == pytest.approx((0.45e-3, 3200.0))
    assert (panel.material, panel.gain, panel.trusted) == ("Si", 1.5, (0.0, 5000.0))
    assert bad_pixels(panel).sum() == 2 * 80 + 10 * 10


def test_beam_crystal_and_axes(tmp_path: Path) -> None:
    """Photons travel against ``direction``; all axes of a goniometer count."""
    found = read_geometry(write_expt(tmp_path / "a.expt", expt()))
    length = math.hypot(0.01, 1.0)
    assert found.beam.direction == pytest.approx((0.01 / length, 0.0, 1.0 / length))
    assert found.beam.wavelength == pytest.approx(1.2e-10)
    assert found.beam.polarization_fraction == 0.99
    (crystal,) = found.crystals
    assert crystal.a == pytest.approx((-1e-9, 0, 0))
    assert crystal.mosaicity_key == "ML_half_mosaicity_deg"
    assert crystal.mosaicity == pytest.approx(math.radians(0.1))
    assert crystal.domain_size == pytest.approx(1e-7)
    assert found.spindle is not None
    assert found.spindle.axis == pytest.approx((0, 1, 0))
    # 90 degrees about dxtbx's z are -90 about the common frame's.
    fixed = np.reshape(found.spindle.fixed, (3, 3))
    assert fixed == pytest.approx(np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]), abs=1e-12)
    assert found.sweep == Sweep(1, 10, math.radians(5.0), math.radians(0.5))


def test_experiments(tmp_path: Path) -> None:
    """Each has its own beam; a still has neither scan nor goniometer."""
    path = write_expt(tmp_path / "a.expt", expt())
    second = read_geometry(path, shot=1)
    assert second.shots == 2
    assert second.beam.wavelength == pytest.approx(1.3e-10)
    assert (second.crystals, second.spindle, second.sweep) == ((), None, None)


def test_scans_of_newer_files(tmp_path: Path) -> None:
    """Angles of all images stand in ``properties``."""
    scan = [{"image_range": [1, 3], "properties": {"oscillation": [1.0, 1.5, 2.0]}}]
    found = read_geometry(write_expt(tmp_path / "a.expt", expt(scan=scan)))
    assert found.sweep == Sweep(1, 3, math.radians(1.0), math.radians(0.5))
