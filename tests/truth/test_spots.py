"""Truth refinds the spots of noise-free images, and tells what their nodes do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nbdask.experiment import Experiment
from nbdask.experiment.lattice import Lattice
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Array
from nbdask.truth.partiality import squared_amplitudes
from nbdask.truth.reflections import shot_reflections
from nbdask.truth.shots import shot_values
from tests.truth.support import BASE, experiment, photons

#: Half the side of the box that a spot is integrated in.
HALF = 5
STILLS = {
    "round, mosaic": "-round_xtal -N 20 -mosaic 0.5 -mosaic_dom 20",
    "gauss, pink": "-gauss_xtal -N 6 -mosaic 0.3 -mosaic_dom 10 -dispersion 0.5 -dispsteps 5",
    "square, turning": "-N 20 -osc 0.5 -phisteps 10",
}


def spots(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return slow and fast centroid and photons of the spots that stand alone.

    Every local maximum of at least a thousandth of the brightest one, around which nothing is at
    the border of a box.
    """
    found = []
    rows, columns = np.nonzero(image >= 1e-3 * image.max())
    for s, f in zip(rows.tolist(), columns.tolist(), strict=True):
        box = image[max(s - HALF, 0) : s + HALF + 1, max(f - HALF, 0) : f + HALF + 1]
        if box.shape != (2 * HALF + 1,) * 2 or image[s, f] < box.max():
            continue
        inner = box[1:-1, 1:-1].sum()
        if (box.sum() - inner) > 0.002 * 8 * HALF * image[s, f]:
            continue
        slow, fast = np.mgrid[s - HALF : s + HALF + 1, f - HALF : f + HALF + 1]
        found.append(((box * slow).sum(), (box * fast).sum(), box.sum()))
    table = np.array(found)
    table[:, :2] /= table[:, 2:]
    return table


@pytest.mark.parametrize("kind", STILLS)
def test_truth_refinds_the_spots(kind: str) -> None:
    """Centroids within 0.05 pixel in the median, photons within 1 per cent; each spot its own."""
    e = experiment(f"-detpixels 200 -pixel 0.25 -oversample 3 -nointerpolate {STILLS[kind]}")
    measured = spots(photons(e))
    table = shot_reflections(e).columns
    away = np.hypot(
        measured[:, :1] - table["slow_centroid"], measured[:, 1:2] - table["fast_centroid"]
    )
    nearest = away.argmin(axis=1)
    assert len(measured) > 20
    assert len(set(nearest)) == len(nearest)
    assert np.median(away.min(axis=1)) < 0.05
    assert np.median(np.abs(measured[:, 2] / table["photons"][nearest] - 1.0)) < 0.01


def strongest(e: Experiment, part: float = 0.1) -> tuple[dict[str, Any], Array]:
    """Return the reflections of an experiment, and which of them are not weak."""
    table = shot_reflections(e).columns
    return table, table["photons"] > part * table["photons"].max()


def test_predictions_are_where_the_photons_are() -> None:
    """Of nodes that are near the sphere; tilted detector, several kinds of light."""
    words = "-detpixels 300 -pixel 0.2 -oversample 3 -nointerpolate -twotheta 12 -gauss_xtal -N 7"
    for more in ("", "-dispersion 1 -dispsteps 20", "-osc 1 -phisteps 30 -spindle_axis 0 1 0"):
        table, strong = strongest(experiment(f"{words} {more}"))
        away = np.hypot(
            table["fast_centroid"] - table["fast_predicted"],
            table["slow_centroid"] - table["slow_predicted"],
        )
        assert strong.sum() > 20
        assert np.median(away[strong]) < 0.1


def test_the_scattered_vector_is_that_of_the_matrix() -> None:
    """s1 is along s0 + A h, 1 / wavelength long; the excitation error is what is left."""
    e = experiment("-detpixels 100 -pixel 0.5 -N 9 -nointerpolate -lambda 1.3")
    table, values = shot_reflections(e).columns, shot_values(e)
    hkl = np.stack([table[name] for name in "hkl"], axis=1)
    s0 = np.array([0.0, 0.0, 1.0 / 1.3])
    own = s0 + hkl @ values["reciprocal_matrix"][0].T
    length = np.linalg.norm(own, axis=1)
    assert table["s1"] == pytest.approx(own / length[:, None] / 1.3, abs=1e-9)
    assert table["excitation_error"] == pytest.approx(length - 1.0 / 1.3, abs=1e-9)
    assert (table["excitation_error"] > 0).any()
    assert (table["excitation_error"] < 0).any()
    assert table["wavelength_centroid"] == pytest.approx(1.3)


@pytest.mark.parametrize(
    "shape",
    ["-N 20", "-round_xtal -N 20", "-gauss_xtal -N 8", "-N 20 -detector_thick 0.1 -detector_abs 0.2"
     " -detector_thicksteps 3 -polar 0.9 -twotheta 10", "-N 20 -point_pixel"],
)  # fmt: skip
def test_a_node_on_the_sphere_has_all_its_photons(shape: str) -> None:
    """Partiality 1 of a still, and less with the distance from the sphere."""
    e = experiment(f"-detpixels 300 -pixel 0.15 -nointerpolate -oversample 3 {shape}")
    table = shot_reflections(e, least=0.0).columns
    inside = np.hypot(table["fast_centroid"] - 150, table["slow_centroid"] - 150) < 130
    order = np.argsort(np.abs(table["excitation_error"][inside]))
    partiality, error = table["partiality"][inside][order], table["excitation_error"][inside][order]
    assert abs(error[0]) < 1e-6
    assert partiality[0] == pytest.approx(1.0, abs=0.01)
    assert partiality.max() < 1.02
    assert np.median(partiality[-20:]) < 0.02


def test_domains_share_the_partiality() -> None:
    """Each counts with its own distance from the sphere: the mean over domains is the crystal's."""
    e = experiment("-detpixels 300 -pixel 0.15 -nointerpolate -round_xtal -N 20 -mosaic 0.4"
                   " -mosaic_dom 30")  # fmt: skip
    table = shot_reflections(e, least=0.0).columns
    assert table["partiality"].max() < 1.02
    # The beam itself is on the sphere of every domain; others are for some.
    hkl = np.stack([table[name] for name in "hkl"], axis=1)
    own = table["partiality"][(hkl == 0).all(axis=1)]
    assert own == pytest.approx([1.0], abs=0.02)
    near = np.abs(table["excitation_error"]) < 2e-5
    assert 0.02 < np.median(table["partiality"][near]) < 0.8


def test_a_scan_passes_through_whole_reflections() -> None:
    """Partiality 1 of what goes through the sphere within the range; parts at its ends add up."""
    words = "-detpixels 240 -pixel 0.4 -nointerpolate -gauss_xtal -N 7 -oversample 2"
    table, strong = strongest(experiment(f"{words} -osc 6 -phisteps 60"), 0.01)
    middle = np.abs(table["phi_centroid"] - 3.0) < 1.2
    s1, axis = table["s1"], np.array([-1.0, 0.0, 0.0])
    # Not along the spindle, where nodes move along the sphere.
    speed, off = np.abs(np.cross(s1, [0.0, 0.0, 1.0]) @ axis), np.linalg.norm(s1[:, :2], axis=1)
    whole = strong & middle & (speed > 0.3 * off) & (off > 0.15)
    assert whole.sum() > 50
    assert np.percentile(np.abs(table["partiality"][whole] - 1.0), 90) < 0.02
    assert np.median(np.abs(table["excitation_error"][whole])) < 1e-6
    halves = [
        shot_reflections(experiment(f"{words} -phi {phi} -osc 3 -phisteps 30"), least=0.0).columns
        for phi in (0, 3)
    ]
    codes = [codes_of(t) for t in (table, *halves)]
    for code, partiality in zip(codes[0][whole], table["partiality"][whole], strict=True):
        parts = [t["partiality"][c == code].sum() for t, c in zip(halves, codes[1:], strict=True)]
        assert sum(parts) == pytest.approx(partiality, abs=0.02)


def test_reflections_are_left_out_by_their_photons() -> None:
    """Those below the limit are counted, and nothing is lost of the sum."""
    e = experiment("-detpixels 60 -pixel 0.8 -N 9 -nointerpolate")
    whole, fewer = shot_reflections(e, least=0.0), shot_reflections(e, least=1000.0)
    kept = whole.columns["photons"] >= 1000.0
    assert fewer.left_out == (~kept).sum() > 0
    assert fewer.photons_left_out == pytest.approx(whole.columns["photons"][~kept].sum())
    for name, values in fewer.columns.items():
        assert np.array_equal(values, whole.columns[name][kept])
    assert (whole.left_out, whole.photons_left_out) == (0, 0.0)


def test_each_crystal_has_its_reflections() -> None:
    """The weight of a crystal is in the photons, not in the partiality."""
    flags = "-detpixels 120 -pixel 0.4 -nointerpolate -round_xtal -N 12"
    turned = experiment(flags, BASE.replace("10 20 30", "40 50 60"))
    both = experiment(flags).replace(lattices=(Lattice(crystal=turned.crystal, weight=0.5),))
    table, alone = shot_reflections(both).columns, shot_reflections(turned).columns
    strong = alone["photons"] > 1.0
    place = {
        code: row for row, code in enumerate(codes_of(table)) if table["crystal_number"][row] == 1
    }
    rows = [place[code] for code in codes_of(alone)[strong]]
    assert len(rows) > 50
    assert table["photons"][rows] == pytest.approx(0.5 * alone["photons"][strong], rel=1e-9)
    assert table["partiality"][rows] == pytest.approx(alone["partiality"][strong], rel=1e-5)
    assert shot_values(both)["scale"] == pytest.approx([1.0, 0.5])


def test_squared_amplitudes_are_those_of_the_list() -> None:
    """By whole indices; outside the list the default; of several energies the weighted mean."""
    e = experiment("-detpixels 60 -pixel 0.8 -N 5 -nointerpolate")
    rows = ((1, 2, 0, 7.0), (0, 1, 1, 3.0), (-2, 1, 0, 5.0))
    listed = e.replace(structure=replace(e.structure, reflections=rows))
    model = build_model(listed)
    hkl = np.array([(1, 2, 0), (0, 1, 1), (-2, 1, 0), (9, 9, 9)])
    assert squared_amplitudes(model, hkl) == pytest.approx([49.0, 9.0, 25.0, 1e4])
    two = replace(
        model,
        f_more=2.0 * model.f_grid[None],
        f_table=np.array([0, 1]),
        weight=np.array([0.5, 1.5]),
        wavelength=np.array([1e-10, 1.1e-10]),
    )
    assert squared_amplitudes(two, hkl)[:3] == pytest.approx(3.25 * np.array([49.0, 9.0, 25.0]))


def codes_of(table: dict[str, Any]) -> NDArray[np.int64]:
    """Return h, k, l as one number."""
    return np.asarray(np.stack([table[name] for name in "hkl"], axis=1) @ [10000, 100, 1])
