"""Options of a series: what they make, how it agrees with flags, what is refused."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.errors import NbdaskError
from nbdask.flags import GeometryRequest, parse_args
from nbdask.geometry.build import build_model
from nbdask.shots import Series
from nbdask.shots.describe import describe
from nbdask.shots.request import ShotsRequest, series_of
from nbdask.units import from_degrees
from tests.helpers import image_of
from tests.shots.test_orientation_files import experiment_list

LINE = "-cell 50 50 70 90 90 90 -default_F 100 -N 5 -lambda 1 -distance 100 -detpixels 16"
FLAGS = LINE.split()
BASE = nbdask.from_args(FLAGS)


def made(base: nbdask.Experiment = BASE, **options: object) -> Series:
    """Series of some options."""
    return series_of(base, ShotsRequest(**options))


@pytest.mark.parametrize("steps", [[], ["-phisteps", "3"], ["-phistep", "0.05"]])
def test_a_shot_of_a_scan_is_one_image_of_its_flags(steps: list[str]) -> None:
    """-phi and -osc, with the steps that the experiment has: equal in every bit."""
    series = made(nbdask.from_args([*FLAGS, *steps]), scan="10:13:0.1")
    assert series.n_shots == 30
    for number, phi in ((0, "10"), (3, "10.3"), (29, "12.9")):
        wanted = nbdask.from_args([*FLAGS, *steps, "-phi", phi, "-osc", "0.1"])
        assert series.shot(number) == wanted
    assert np.array_equal(image_of(series.shot(29)), image_of(wanted))


def test_a_scan_about_an_axis_of_several(tmp_path: Path) -> None:
    """Axis, fixed and setting rotations of an .expt: image n of the file's own scan."""
    path = tmp_path / "three.expt"
    path.write_text(json.dumps(experiment_list(axes=True)))
    use = ("detector", "crystal", "scan")
    base = parse_args(["-default_F", "1"], geometry=GeometryRequest(str(path), use=use)).experiment
    series = made(base, scan="5:10:0.5")
    assert series.shot(0) == base
    model, seventh = build_model(base), build_model(series.shot(7))
    moved = dataclasses.replace(base.scan, phi0=from_degrees(8.5))
    assert np.array_equal(build_model(base.replace(scan=moved)).axes, seventh.axes)
    assert not np.array_equal(model.axes, seventh.axes)


def test_cells_of_a_file() -> None:
    """Six numbers a line, whatever follows them; those of the flags to the last bit."""
    inputs = os.environ.get("NBDASK_INPUTS")
    if not inputs:
        pytest.skip("needs the shared input files")
    series = made(cells=f"{inputs}/shots/cells_500.txt")
    assert series.n_shots == 500
    line = "-cell 168.289748 158.604595 57.561879 90 90 90 -default_F 1"
    wanted = nbdask.from_args(line.split())
    assert series.shot(1).crystal.cell == wanted.crystal.cell


def test_widths_of_cells() -> None:
    """Equal edges stay equal with one width; three and six widths are of each."""
    one = made(shots="2000", cells="normal:1%", seed=1).values()
    assert np.array_equal(one["crystal.cell.a"], one["crystal.cell.b"])
    assert one["crystal.cell.c"].std() == pytest.approx(0.7e-10, rel=0.05)
    assert abs(np.corrcoef(one["crystal.cell.a"], one["crystal.cell.c"])[0, 1]) < 0.08
    six = made(shots="2000", cells="normal:0.1A,0.2A,1%,0.1deg,0.2deg,0.3deg", seed=1).values()
    assert [column.std() for column in six.values()] == pytest.approx(
        [1e-11, 2e-11, 7e-11, *np.radians([0.1, 0.2, 0.3])], rel=0.05
    )


@pytest.mark.parametrize(
    ("vary", "name", "middle", "sigma"),
    [
        ("detector.distance=normal:0.1mm", "detector.distance", 0.1, 1e-4),
        ("detector.distance=normal:120mm,1%", "detector.distance", 0.12, 1.2e-3),
        ("detector.distance=normal:1%", "detector.distance", 0.1, 1e-3),
        ("beam.energy=normal:10eV", "beam.energy", 12398.42, 10.0),
        ("detector.beam_x=normal:20um", "detector.beam_x", 0.85e-3, 2e-5),
        ("detector.shift.x=normal:20um", "detector.shift.x", 0.0, 2e-5),
        (
            "crystal.mosaic_spread=uniform:0.1deg,0.3deg",
            "crystal.mosaic_spread",
            0.00349066,
            0.0010077,
        ),
        ("beam.fluence=110%", "beam.fluence", 1.1 * BASE.beam.fluence, 0.0),
        ("crystal.n_cells=12", "crystal.n_cells.b", 12.0, 0.0),
        ("background.scale=lognormal:10%", "background.scale", 1.005, 0.1007),
    ],
)
def test_distributions_are_read(vary: str, name: str, middle: float, sigma: float) -> None:
    """With units, with parts of a mean, and about the experiment's own value."""
    base = BASE.replace(background=nbdask.Background(water=1e-5))
    column = made(base, shots="3000", vary=(vary,), seed=2).values()[name]
    assert column.mean() == pytest.approx(middle, rel=0.01, abs=sigma / 10.0)
    assert column.std() == pytest.approx(sigma, rel=0.05, abs=1e-12 * abs(middle))


def test_a_column_of_a_file_gives_a_field(tmp_path: Path) -> None:
    """And the number of shots."""
    path = tmp_path / "log.csv"
    path.write_text("pulse [mm]\n100\n101\n102\n")
    series = made(vary=(f"detector.distance={path}:pulse",))
    assert series.n_shots == 3
    assert series.shot(2).detector.distance == 0.102


def test_tables_and_options_together(tmp_path: Path) -> None:
    """A table has the rows, what else varies is drawn."""
    path = tmp_path / "t.csv"
    path.write_text("beam.exposure [s]\n" + "1\n" * 7)
    series = made(
        shots=str(path), orientations="random:3", vary=("crystal.mosaic_seed=seed",), seed=1
    )
    assert series.n_shots == 7
    assert len(series.names) == 6
    shorter = made(shots="5", orientations="grid:100")
    assert shorter.shot(4) == made(shots="100", orientations="grid").shot(4)


def test_a_laser_s_spectrum_differs_from_shot_to_shot() -> None:
    """With its own seed or that of the shots."""
    series = made(shots="3", spectrum="sase:30eV:2eV", seed=4)
    same = made(shots="3", spectrum="sase:30eV:2eV:151:4")
    spectra = [series.shot(number).sources.spectrum for number in range(3)]
    assert spectra[0] != spectra[1]
    assert spectra == [same.shot(number).sources.spectrum for number in range(3)]
    assert made(shots="3", spectrum="gauss:30eV").names == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orientations": "random:1"}, "--orientations: needs the number of shots"),
        ({"shots": "-3"}, "--shots -3: must be a whole number of at least 1"),
        ({"shots": "1e3"}, "--shots 1e3: must be a whole number of at least 1"),
        ({"shots": "3", "orientations": "random"}, "--shot-seed is missing: crystal.orientation.w"),
        ({"shots": "3", "orientations": "random:x"}, "'x' must be a whole number"),
        ({"orientations": "grid"}, "needs --shots N, or grid:POINTS"),
        ({"shots": "3", "orientations": "grid:2"}, "--shots 3 with a table of 2 rows"),
        ({"shots": "3", "orientations": "missing"}, "missing: no such file"),
        ({"shots": "missing"}, "missing: no such file"),
        ({"shots": "0"}, "needs|at least 1"),
        ({"shots": ""}, "--shots '': must not be empty"),
        ({"shots": "3", "orientations": " "}, "--orientations ' ': must not be empty"),
        ({"scan": ""}, "--scan '': must not be empty"),
        ({"shots": "3", "vary": ("",)}, "--vary : must be FIELD=VALUE"),
        (
            {"shots": "3", "vary": ("crystal.cell.a=normal:1A",), "seed": 2**64},
            "--shot-seed 18446744073709551616: must be a whole number from 0",
        ),
        ({"scan": "0:10"}, "must be START:STOP:WIDTH"),
        ({"scan": "0:10:x"}, "must be START:STOP:WIDTH"),
        ({"scan": "10:0:1"}, "a WIDTH above 0 and a STOP above START"),
        ({"scan": "0:10:-1"}, "a WIDTH above 0"),
        ({"scan": "0:10:3"}, "3.33333 images: must be a whole number"),
        ({"scan": "0:1e9:1e-9"}, "--scan 0:1e9:1e-9: 1e.18 images: must be at most 1000000000"),
        ({"scan": "0:10:1", "shots": "11"}, "at most the number of rows"),
        ({"shots": "3", "cells": "normal:1,2"}, "1, 3 or 6 widths"),
        ({"shots": "3", "cells": "normal:1"}, "crystal.cell.a = '1': must be given with one of"),
        ({"shots": "3", "cells": "missing"}, "no such file"),
        ({"shots": "3", "vary": ("beam.flux",)}, "must be FIELD=VALUE"),
        ({"shots": "3", "vary": ("beam.flux=x",)}, "a number with its unit"),
        ({"shots": "3", "vary": ("beam.flux=normal:1photon/s,2,3",)}, "normal:.MEAN,.SIGMA"),
        ({"shots": "3", "vary": ("crystal.mosaic_spread=normal:10%",)}, "given in the experiment"),
        ({"shots": "3", "vary": ("beam.flux=normal:10%",)}, "another value where a part of it"),
        ({"shots": "3", "vary": ("beam.fluence=lognormal:1photon/s",)}, "that of the logarithm"),
        ({"shots": "3", "vary": ("crystal.cell=1A",)}, "one of crystal.cell.a, crystal.cell.b"),
        ({"shots": "3", "vary": ("scan.phi0=1deg",), "scan": "0:3:1"}, "scan.phi0 twice"),
        ({"shots": "3", "vary": ("crystal.cell.a=-1A",)}, "between 1e-30"),
        ({"shots": "3", "spectra": "missing"}, "no such file"),
        ({"shots": "3", "spectra": "x", "spectrum": "gauss:1eV"}, "leave out --spectrum"),
        ({"shots": "3", "spectrum": "sase:1eV"}, "sase:FWHM:SPIKE"),
    ],
)
def test_what_cannot_be_done_is_refused(options: dict[str, object], message: str) -> None:
    """In one line."""
    with pytest.raises(NbdaskError, match=message) as caught:
        made(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "vary", "message"),
    [
        (["-flux", "1e12"], "beam.fluence=1photon/m^2", "beam.flux gives the fluence"),
        (["-close_distance", "90"], "detector.distance=90mm", "close_distance places"),
        (["-samplesize", "0.01"], "crystal.n_cells.a=5", "crystal.size gives"),
        ([], "frame.beam.x=1", "vary beam.tilt"),
        ([], "detector.turn.x=1deg", "vary detector.rotx"),
        ([], "lattices.0.weight=1", "one of the 0"),
    ],
)
def test_a_field_without_effect_is_refused(flags: list[str], vary: str, message: str) -> None:
    """What to vary instead is said."""
    with pytest.raises(NbdaskError, match=message):
        made(nbdask.from_args([*FLAGS, *flags]), shots="2", vary=(vary,))


def test_panels_are_moved_by_a_shift(tmp_path: Path) -> None:
    """Their distance is no field."""
    path = tmp_path / "one.expt"
    path.write_text(json.dumps(experiment_list(axes=False)))
    request = GeometryRequest(str(path))
    base = parse_args([*FLAGS[:11], "-lambda", "1.2"], geometry=request).experiment
    with pytest.raises(NbdaskError, match=r"vary detector\.shift\.beam"):
        made(base, shots="2", vary=("detector.distance=90mm",))
    assert made(base, shots="2", vary=("detector.shift.beam=1mm",)).shot(1).detector.pix0


def test_what_varies_is_told() -> None:
    """In the units of users."""
    told = dict(
        describe(
            made(
                shots="50",
                orientations="random:2",
                vary=("detector.distance=normal:0.1mm", "crystal.misset.x=5deg"),
                spectrum="sase:30eV:2eV",
                seed=3,
            )
        )
    )
    assert told["shots"] == "50, seed 3"
    assert told["orientation"] == "random, uniform, seed 2"
    assert told["spectrum"] == "SASE, 151 energies"
    assert told["crystal.misset.x"] == "5 deg"
    assert float(told["detector.distance"].split()[0]) == pytest.approx(100.0, abs=0.1)
    assert " mm, 99." in told["detector.distance"]
