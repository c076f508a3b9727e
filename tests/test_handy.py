"""Units, constructors in users' units, short forms, functions at the top, xarray's engine."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray

import nbdask
from nbdask import units
from nbdask.accessor import NbdaskBackend
from nbdask.errors import FieldError

matplotlib.use("agg")
RIGHT = math.pi / 2
SMALL = nbdask.Experiment(
    crystal=nbdask.Crystal.from_cell(50, n_cells=(3, 3, 3)),
    structure=nbdask.StructureFactors(default_F=10.0),
    detector=nbdask.Detector(pixel_size=3e-3, pixels_fast=20, pixels_slow=12),
    sampling=nbdask.Sampling(oversample=1),
)


def test_factors_are_si() -> None:
    """And those of lengths and angles are near the conversions of the command line."""
    assert units.from_angstrom(3.0) == pytest.approx(3.0 * units.angstrom, rel=1e-15)
    assert units.from_degrees(30.0) == pytest.approx(30.0 * units.degree, rel=1e-15)
    assert units.from_mm(60.0) == pytest.approx(60.0 * units.mm, rel=1e-15)
    assert units.from_um(5.0) == pytest.approx(5.0 * units.um, rel=1e-15)
    assert units.from_ev(12.0 * units.keV) == units.from_ev(12000.0)
    assert (units.nm, units.mrad, units.percent) == (1e-9, 1e-3, 1e-2)


def test_crystals_in_angstrom_and_degrees() -> None:
    """As the flags give them, bit by bit; b and c are a."""
    made = nbdask.Crystal.from_cell(70, 80.5, 90, 75, 85, 95, n_cells=(2, 3, 4))
    flags = ["-cell", "70", "80.5", "90", "75", "85", "95", "-default_F", "1"]
    assert made.cell == nbdask.from_args(flags).crystal.cell
    assert made.n_cells == (2, 3, 4)
    cube = nbdask.Crystal.from_cell(a=70).cell
    assert cube is not None
    assert cube[:3] == (units.from_angstrom(70.0),) * 3
    assert cube[3:] == pytest.approx((RIGHT,) * 3)
    with pytest.raises(FieldError, match=r"crystal\.cell"):
        nbdask.Crystal.from_cell(70, alpha="x")


def test_beams_by_energy() -> None:
    """The wavelength is that of the flag; both are refused; a copy keeps it."""
    beam = nbdask.Beam(energy_keV=12.7, flux=1e9)
    assert (
        beam.wavelength
        == nbdask.from_args(["-cell", "9", "-default_F", "1", "-energy", "12700"]).beam.wavelength
    )
    assert replace(beam, flux=0.0).wavelength == beam.wavelength
    assert "energy_keV" not in SMALL.replace(beam=beam).to_dict()["beam"]
    for keywords in ({"wavelength": 2e-10, "energy_keV": 12.0}, {"energy_keV": -1.0}):
        with pytest.raises(FieldError, match=r"beam\.energy_keV"):
            nbdask.Beam(**keywords)


def test_degrees_by_mistake_are_told() -> None:
    """With the number that is meant; an angle that no cell has is not taken for one."""
    with pytest.raises(FieldError, match=r"radians are meant; 90 degrees are 1\.5708"):
        nbdask.Crystal(cell=(7e-9, 7e-9, 7e-9, 90, 90, 90))
    with pytest.raises(FieldError) as caught:
        nbdask.Crystal(cell=(7e-9, 7e-9, 7e-9, -1.0, 1.5, 1.5))
    assert "radians" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nbdask.Crystal.from_cell(70, misset=(10, 0.5, 30)),
            "crystal.misset = 10, 30: radians are meant; 10 degrees are 0.17453",
        ),
        (lambda: nbdask.Scan(osc=1), "scan.osc = 1: radians are meant; 1 degrees are 0.017453"),
        (
            lambda: nbdask.Beam(wavelength=1.3),
            "beam.wavelength = 1.3: metres are meant; 1.3 Angstrom are 1.3e-10",
        ),
        (
            lambda: nbdask.Crystal(cell=(70, 80, 90, 1.5, 1.5, 1.5)),
            "crystal.cell = 70, 80, 90: metres are meant; 70 Angstrom are 7e-09",
        ),
        (
            lambda: nbdask.Detector(pixel_size=0.1),
            "detector.pixel_size = 0.1: metres are meant; 0.1 mm are 0.0001",
        ),
        (
            lambda: nbdask.Detector(distance=100),
            "detector.distance = 100: metres are meant; 100 mm are 0.1",
        ),
    ],
)
def test_other_units_by_mistake_are_told(make: Any, message: str) -> None:
    """In one warning at the line that gives them; flags have units of their own."""
    with pytest.warns(UserWarning, match=" are meant; ") as told:
        make()
    assert [(str(one.message), one.filename) for one in told] == [(message, __file__)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        words = "-cell 70 -default_F 1 -lambda 1e8 -distance 1e5 -pixel 100"
        nbdask.from_args(words.split())


def test_metres_and_radians_by_mistake_are_refused() -> None:
    """Where users' units are meant: no cell is as small, or as flat."""
    for keywords in ({"a": 7e-9}, {"a": 70, "gamma": 1.5708}):
        with pytest.raises(FieldError, match="in Angstrom and degrees"):
            nbdask.Crystal.from_cell(**keywords)


def test_short_forms() -> None:
    """Only what is no default, as Python that makes the same."""
    assert repr(nbdask.Beam()) == "Beam()"
    assert repr(nbdask.Beam(flux=2.0)) == "Beam(flux=2.0)"
    names = {name: getattr(nbdask, name) for name in nbdask.__all__ if name[0].isupper()}
    for part in (SMALL.beam, SMALL.crystal, SMALL.detector, SMALL.sampling, SMALL):
        assert eval(repr(part), names) == part
    many = nbdask.StructureFactors(reflections=tuple((h, 0, 0, 1.0) for h in range(1, 500)))
    assert len(repr(many)) < 400


def test_functions_at_the_top(tmp_path: Path) -> None:
    """Each does its work; folders of the same name stay folders."""
    store = tmp_path / "a.zarr"
    result = nbdask.simulate(SMALL, out=store, progress=False)
    assert repr(result).startswith(f"<SimulationResult {store}: 12 x 20 pixels, at most ")
    assert len(repr(result)) < 120 + len(str(store))
    plan: Any = nbdask.plan
    export: Any = nbdask.export
    made = plan(SMALL, tile=8)
    assert made.grid.tile == (8, 8)
    assert repr(made).startswith("<Plan: 12 x 20 pixels in 6 tiles, about ")
    assert str(made) == made.describe()
    assert export(store, tmp_path / "a.bin").describe()
    assert (tmp_path / "a.bin").stat().st_size == 4 * 12 * 20
    same = nbdask.compare(store, store)
    assert same.ok
    assert repr(same).endswith(" within thresholds, worst deviation 0.00e+00>")
    assert nbdask.preview(store, tmp_path / "a.png").path.exists()
    from nbdask.derive import Pipeline, Poisson

    noisy = nbdask.noise(store, tmp_path / "b.zarr", Pipeline((Poisson(),), 1))
    assert repr(noisy).startswith(f"<Result {tmp_path / 'b.zarr'}: 12 x 20 pixels, at most ")
    assert nbdask.open(tmp_path / "b.zarr").image.shape == (12, 20)
    assert importlib.import_module("nbdask.plan.tiles").Tile is not None


def test_importing_stays_cheap() -> None:
    """What is at the top is loaded when it is used."""
    code = (
        "import sys, nbdask; before = set(sys.modules); nbdask.units; nbdask.export; nbdask.plan;"
        "print(*[m for m in before if m in ('numpy', 'zarr', 'dask', 'xarray')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_stores_open_by_engine_and_become_netcdf(tmp_path: Path) -> None:
    """Attributes that are neither texts nor numbers are JSON; many stores become one dataset."""
    paths = [tmp_path / f"{number}.zarr" for number in range(2)]
    for number, path in enumerate(paths):
        crystal = nbdask.Crystal.from_cell(50 + number, n_cells=(3, 3, 3))
        nbdask.simulate(SMALL.replace(crystal=crystal), out=path, progress=False)
    one = xarray.open_dataset(paths[0], engine=NbdaskBackend, drop_variables="tiles")
    assert list(one.data_vars) == ["image"]
    first: Any = one.nbdask
    assert first.experiment.crystal.cell == nbdask.Crystal.from_cell(50).cell
    assert json.loads(one.attrs["experiment"])["crystal"]["n_cells"] == [3, 3, 3]
    both = xarray.open_mfdataset(
        paths, engine=NbdaskBackend, combine="nested", concat_dim="shot", drop_variables="tiles",
        compat="override", coords="minimal", join="override", combine_attrs="drop_conflicts",
    )  # fmt: skip
    assert both["image"].shape == (2, 12, 20)
    assert both["image"].chunks is not None
    assert not np.array_equal(both["image"][0], both["image"][1])
    file = tmp_path / "a.nc"
    one.to_netcdf(file, engine="scipy")
    with xarray.open_dataset(file, engine="scipy") as again:
        assert np.array_equal(again["image"], one["image"])
        assert again.attrs["fingerprint"] == one.attrs["fingerprint"]


@pytest.mark.parametrize("size", [1000, 10])
def test_plots_are_the_right_way_up(size: int, tmp_path: Path) -> None:
    """The first row on top, pixels as wide as high, blocks of large images by their maximum."""
    from matplotlib import pyplot

    image = nbdask.image(SMALL)
    drawn = image.nbdask.plot(size=size)
    low, high = drawn.axes.get_ylim()
    assert low > high
    assert drawn.axes.get_aspect() == 1.0
    assert np.nanmax(drawn.get_array()) == image.values.max()
    assert drawn.get_array().shape == ((12, 20) if size == 1000 else (6, 10))
    pyplot.close("all")
