"""XDS.INP and XPARM.XDS, old and new, with segments."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nbdask.panels.masks import bad_pixels
from nbdask.panels.model import Sweep
from nbdask.panels.read import read_geometry
from tests.panels.samples import XDS, XPARM_NEW, XPARM_OLD


def put(folder: Path, text: str) -> Path:
    """Write a file."""
    path = folder / "XDS.INP"
    path.write_text(text)
    return path


def test_parameters(tmp_path: Path) -> None:
    """The last value counts; pixel 1 has its centre at 1; comments end a line."""
    found = read_geometry(put(tmp_path, XDS))
    (panel,) = found.panels
    assert panel.origin == pytest.approx((-10.0 * 1e-4, -4.0 * 2e-4, 0.1))
    assert (panel.n_fast, panel.n_slow) == (20, 10)
    assert found.beam_panel() == pytest.approx((0, 10.0, 4.0, 0.1))
    assert (panel.thickness, panel.attenuation) == pytest.approx((0.32e-3, 3500.0))
    assert (panel.material, panel.trusted) == ("Si", (0.0, 1000.0))
    assert found.beam.polarization_normal == (0.0, 1.0, 0.0)
    assert found.beam.polarization_fraction == 0.9
    assert found.sweep == Sweep(3, 12, math.radians(11.0), math.radians(0.5))
    bad = bad_pixels(panel)
    assert np.array_equal(bad[:9].any(axis=0), [False] * 2 + [True] * 2 + [False] * 16)
    assert bad[9].all()


def test_xparm(tmp_path: Path) -> None:
    """Both forms say the same."""
    old = read_geometry(put(tmp_path, XPARM_OLD))
    new = read_geometry(put(tmp_path, XPARM_NEW.format(count=0)))
    assert old == new
    assert old.panels[0].origin == pytest.approx((-10.0 * 1e-4, -4.0 * 2e-4, 0.1))
    assert old.crystals[0].b == pytest.approx((0.0, 2e-9, 0.0))
    assert old.crystals[0].space_group == "75"
    assert old.sweep == Sweep(1, 1, math.radians(82.0), math.radians(0.15))


def test_segments(tmp_path: Path) -> None:
    """Placed in the detector's frame, whose origin is pixel (0, 0)."""
    lines = "1 1 10 1 10\n0 0 0 1 0 0 0 1 0\n2 11 20 1 10\n2 -1 5 0 1 0 -1 0 0\n"
    first, second = read_geometry(put(tmp_path, XPARM_NEW.format(count=2) + lines)).panels
    assert first.origin == pytest.approx((-10.0 * 1e-4, -4.0 * 2e-4, 0.1))
    assert (first.n_fast, second.n_fast, second.n_slow) == (10, 10, 10)
    # (11 - 0.5 - 2) 0.1 mm along y, (1 - 0.5 + 1) 0.2 mm along -x, 5 mm along z.
    corner = (-1.05 - 1.5 * 0.2, -0.9 + 8.5 * 0.1, 105.0)
    assert np.array(second.origin) * 1e3 == pytest.approx(corner)
    assert second.fast == pytest.approx((0, 1, 0))
    text = "SEGMENT= 1 10 1 10\nSEGMENT= 11 20 1 10\nDIRECTION_OF_SEGMENT_X-AXIS= 0 1 0\n"
    text += "DIRECTION_OF_SEGMENT_Y-AXIS= -1 0 0 SEGMENT_ORGX= 2 SEGMENT_ORGY= -1\n"
    same = read_geometry(put(tmp_path, XDS + text + "SEGMENT_DISTANCE= 5\n")).panels
    assert same[1].origin == pytest.approx(second.origin)
    assert [int(bad_pixels(panel)[:9].sum()) for panel in same] == [18, 0]


def test_beam_along_another_axis(tmp_path: Path) -> None:
    """The file's frame is turned by quarter turns, and that is said."""
    text = XDS.replace("0 0 2", "-2 0 0").replace("X-AXIS= 1 0 0", "X-AXIS= 0 0 1")
    found = read_geometry(put(tmp_path, text))
    assert found.beam.direction == pytest.approx((0, 0, 1))
    assert found.panels[0].normal == pytest.approx((0, 0, 1))
    assert found.beam_panel() == pytest.approx((0, 10.0, 4.0, 0.1))
    assert any("quarter turns" in note for note in found.notes)
