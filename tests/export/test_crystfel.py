"""Geometry files beside exported images, as programs of CrystFEL's users read them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import nbdask
from nbdask.export.formats import export
from nbdask.export.instrument import instrument_of
from nbdask.export.sensor import Sensor
from nbdask.export.series import Series
from nbdask.shots import Orientations
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


@pytest.mark.long
def test_spots_of_a_series_are_where_the_geometry_puts_them(tmp_path: Path) -> None:
    """Every frame of the CXI file with its own spots, in the directions of the truth."""
    geometry = pytest.importorskip("cfelpyutils.geometry")
    flags = (
        "-cell 70 80 90 75 85 95 -N 12 -gauss_xtal -default_F 300 -lambda 1.2 -detpixels 200"
        " -pixel 0.2 -distance 80 -Xbeam 21 -Ybeam 18"
    )
    series = nbdask.Series(nbdask.from_args(flags.split()), 3, (Orientations(),), seed=4)
    nbdask.simulate(series, tmp_path / "a.zarr", progress=False)
    export(tmp_path / "a.zarr", tmp_path / "a.cxi")
    (panel,) = geometry.load_crystfel_geometry(str(tmp_path / "a.geom")).detector["panels"].values()
    axes = np.array([[panel[f"{axis}{k}"] for k in "xyz"] for axis in ("fs", "ss")])
    corner = np.array(
        [panel["cnx"], panel["cny"], panel["res"] * (panel["clen"] + panel["coffset"])]
    )
    truth = nbdask.ground_truth(tmp_path / "a.zarr", reflections=True)
    with h5py.File(tmp_path / "a.cxi") as file:
        frames = file["entry_1/data_1/data"][()]
    for shot, frame in enumerate(frames):
        rows = truth.of_shot(shot)
        place = np.array([rows["fast_centroid"].values, rows["slow_centroid"].values])
        inside = (place > 8).all(axis=0) & (place < 191).all(axis=0)
        best = np.argsort(np.where(inside, rows["photons"].values, 0.0))[-5:]
        for number in best:
            fast, slow = place[:, number]
            # CrystFEL counts from the outer edge of a panel's first pixel.
            point = corner + (fast + 0.5) * axes[0] + (slow + 0.5) * axes[1]
            wanted = rows["s1"].values[number]
            off = point / np.linalg.norm(point) - wanted / np.linalg.norm(wanted)
            assert np.linalg.norm(off) * np.linalg.norm(point) < 0.5
            near = frame[round(slow) - 8 : round(slow) + 9, round(fast) - 8 : round(fast) + 9]
            at = np.unravel_index(np.argmax(near), near.shape)
            assert np.hypot(at[0] - 8, at[1] - 8) < 2.0


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
