"""Geometry files beside exported images, as programs of CrystFEL's users read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.export.formats import export
from nbdask.export.instrument import instrument_of
from nbdask.export.sensor import Sensor
from nbdask.export.series import Series
from tests.panels.several import several


def test_cfelpyutils_reads_every_panel(tmp_path: Path) -> None:
    """Its place, its axes, and where its pixels are in the file."""
    geometry = pytest.importorskip("cfelpyutils.geometry")
    nbdask.simulate(several(), out=tmp_path / "a.zarr", backend="numpy")
    export(tmp_path / "a.zarr", tmp_path / "a.cxi")
    read = geometry.load_crystfel_geometry(str(tmp_path / "a.geom"))
    row = 0
    for panel in instrument_of(Series(tmp_path / "a.zarr"), Sensor("Si", 1e-6)).panels:
        found = read.detector["panels"][panel.name.replace(" ", "_")]
        corner = np.array([found["cnx"], found["cny"]]) / found["res"]
        assert corner == pytest.approx(panel.origin[:2], abs=1e-12)
        assert found["clen"] + found["coffset"] == pytest.approx(panel.origin[2], abs=1e-12)
        axes = [[found[f"{axis}{k}"] for k in "xyz"] for axis in ("fs", "ss")]
        assert axes[0] == pytest.approx(panel.fast, abs=1e-12)
        pitches = np.array(panel.slow) * panel.pitch_slow / panel.pitch_fast
        assert axes[1] == pytest.approx(pitches, abs=1e-12)
        assert (found["orig_min_ss"], found["orig_max_fs"]) == (row, panel.n_fast - 1)
        row += panel.n_slow


def test_pyfai_reads_one_panel(tmp_path: Path) -> None:
    """As a flat detector: pixels, distance and wavelength."""
    crystfel = pytest.importorskip("pyFAI.geometry.crystfel")
    flags = "-cell 70 80 90 90 90 90 -N 2 -default_F 10 -lambda 1.2 -detpixels 24 -pixel 0.2"
    nbdask.simulate(nbdask.from_args(flags.split()), out=tmp_path / "a.zarr", backend="numpy")
    export(tmp_path / "a.zarr", tmp_path / "a.geom")
    found = crystfel.build_geometry(crystfel.parse_crystfel_geom(str(tmp_path / "a.geom")))
    assert found.dist == pytest.approx(0.1)
    assert found.wavelength == pytest.approx(1.2e-10)
    assert found.detector.pixel1 == pytest.approx(2e-4)
