"""What follows from an experiment, against values by hand and the model that is computed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import nbdask
from nbdask.derive.realised import Realised
from nbdask.geometry.build import build_model

CELL = "-cell 70 80 90 90 90 90 -default_F 1 -lambda 1 -detpixels 1000 -pixel 0.1 -distance 100"


def realised(flags: str = "") -> Realised:
    """Return the values of an experiment."""
    return Realised.of(nbdask.from_args(f"{CELL} {flags}".split()))


def test_values_by_hand() -> None:
    """One source, the beam in the middle: half a pixel beside it by the MOSFLM convention."""
    found = realised("-N 5 -xds")
    assert found.n_cells == (5, 5, 5)
    assert found.cell_m == pytest.approx((70e-10, 80e-10, 90e-10))
    assert found.cell_rad == pytest.approx((math.pi / 2,) * 3)
    assert np.diag(found.reciprocal_per_m) == pytest.approx([1e10 / 70, 1e10 / 80, 1e10 / 90])
    assert found.sources == 1
    assert found.wavelength_m == pytest.approx((1e-10,) * 3)
    assert found.beam_centre_px == pytest.approx((499.5, 499.5))
    assert found.beam_centre_m == pytest.approx((0.05, 0.05))
    assert (found.distance_m, found.close_distance_m) == pytest.approx((0.1, 0.1))
    for away, d in ((0.05, found.edge_m), (0.05 * math.sqrt(2), found.corner_m)):
        assert d == pytest.approx(1e-10 / (2 * math.sin(math.atan(away / 0.1) / 2)))


@pytest.mark.parametrize(
    "flags",
    [
        "-N 30",
        "-xtalsize 0.0003",
        "-N 5 -oversample 3 -detector_thick 300 -thicksteps 4",
        "-N 5 -divergence 1 -divsteps 3 -dispersion 2 -dispsteps 3",
        "-N 5 -mosaic 0.5 -osc 1 -phistep 0.25 -mosaic_dom 7",
        "-N 5 -misset 10 20 30 -detector_rotx 5 -Xbeam 20 -twotheta 10",
    ],
)
def test_they_are_those_of_the_model(flags: str) -> None:
    """Numbers of steps of every kind, cells, wavelengths, distances, orientation."""
    experiment = nbdask.from_args(f"{CELL} {flags}".split())
    found, model = Realised.of(experiment), build_model(experiment)
    assert found.n_cells == tuple(model.n_cells)
    assert (found.oversample, found.layers) == (model.oversample, model.layers)
    assert (found.phi_steps, found.domains) == (model.n_phi, model.n_domains)
    assert (found.sources, found.steps) == (model.n_sources, model.n_steps)
    assert found.oversample_chosen == ("-oversample" not in flags)
    assert found.wavelength_m[1:] == (model.wavelength.min(), model.wavelength.max())
    assert found.close_distance_m == model.close_distance
    # Reciprocal vectors of the first orientation before the rotation about the spindle.
    product = np.array(found.reciprocal_per_m) @ model.axes[0].T
    assert product == pytest.approx(np.eye(3), abs=1e-9)
    slow, fast = found.beam_centre_m
    spot = model.origin + slow * model.slow + fast * model.fast
    assert spot == pytest.approx(found.distance_m * model.beam, abs=1e-12)


def test_text_and_json() -> None:
    """With units; all of it goes through JSON."""
    found = realised("-xtalsize 0.0003 -xds")
    rows = dict(found.rows())
    assert rows["crystal"] == "43 x 38 x 34 cells of 70 80 90 Angstrom, 90 90 90 degrees"
    assert rows["edges"] == "2.176 Angstrom at the nearest edge, 1.651 Angstrom in the corner"
    assert "sub-pixels (chosen), 1 layer, 1 source," in rows["steps"]
    assert "499.50, 499.50 pixels from the centre of the first (50, 50 mm from" in rows["beam"]
    data = found.to_dict()
    assert json.loads(json.dumps(data)) == data


def test_what_is_infinite_or_given_otherwise() -> None:
    """The beam on a corner of the detector; cells by a matrix."""
    found = realised("-xds -ORGX 0.5 -ORGY 0.5")
    assert found.edge_m is None
    assert "infinite at the nearest edge" in dict(found.rows())["edges"]
    experiment = nbdask.from_args(f"{CELL} -gauss_xtal".split())
    matrix = (5.0, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 5.0)
    by_matrix = experiment.to_dict()
    by_matrix["crystal"]["cells_matrix"] = list(matrix)
    found = Realised.of(nbdask.Experiment.from_dict(by_matrix))
    assert found.n_cells is None
    assert dict(found.rows())["crystal"].startswith("by a matrix cells of")


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            "-flux 1e12 -exposure 0.1 -beamsize 0.05",
            "4e+19 photons/m^2 (1e+12 photons/s for 0.1 s on 0.05 x 0.05 mm)",
        ),
        ("-fluence 3e24", "3e+24 photons/m^2"),
        ("-flux 1e12 -exposure 0", "1.259e+29 photons/m^2 (nanoBragg's default, "),
        ("", "1.259e+29 photons/m^2 (nanoBragg's default, "),
    ],
)
def test_fluence(flags: str, text: str) -> None:
    """With what it follows from; nanoBragg's own is named as such."""
    row = dict(realised(flags).rows())["fluence"]
    assert row.startswith(text) if text.endswith(", ") else row == text


def test_a_crystal_without_orientation_is_told() -> None:
    """By the line of its axes; not where an angle or a matrix was given."""
    told = "(no orientation given: -misset random turns it)"
    assert dict(realised().rows())["axes"].endswith(told)
    assert told not in dict(realised("-misset 10 20 30").rows())["axes"]
