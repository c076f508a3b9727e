"""Fits find what was put in, and say how well."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError, InputError
from nbdask.experiment import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    Mosaic,
    Sampling,
    Scan,
    StructureFactors,
)
from nbdask.experiment.lattice import Lattice
from nbdask.geometry.build import build_model
from nbdask.gradients.change import frozen, stepped, turned
from nbdask.gradients.parameters import parameters_of
from tests.gradients.support import BASE, CELL, KINDS, image64, with_crystal
from tests.helpers import reflections

RIGHT = math.pi / 2
TRUE = Experiment(
    crystal=Crystal(
        cell=(4.1e-9, 4.7e-9, 5.3e-9, RIGHT, RIGHT, RIGHT),
        n_cells=(9, 9, 9),
        misset=(0.35, 0.17, 0.09),
    ),
    structure=StructureFactors(reflections=reflections(8)),
    beam=Beam(wavelength=1.2e-10, fluence=1e28),
    detector=Detector(pixels_fast=48, pixels_slow=48, pixel_size=4e-4, distance=50e-3),
    sampling=Sampling(oversample=1),
)
NAMES = "crystal.turn,crystal.cell.a,beam.fluence"


def noisy(seed: int = 3) -> np.ndarray:
    image = image64(TRUE)
    random = np.random.default_rng(seed)
    return random.poisson(image + 2.0) + random.normal(0.0, 1.5, image.shape)


def put_wrong() -> Experiment:
    found = turned(TRUE, np.radians([0.15, -0.1, 0.12]))
    cell = (4.1e-9 * 1.003, *TRUE.crystal.cell[1:])
    return replace(
        found,
        crystal=replace(found.crystal, cell=cell),
        beam=replace(TRUE.beam, fluence=0.9e28),
    )


def test_a_misoriented_crystal_is_put_right() -> None:
    """All parameters within four standard deviations, chi2 per pixel near 1."""
    told: list[str] = []
    found = nbdask.fit(put_wrong(), noisy(), NAMES, background=2.0, readout=1.5, report=told.append)
    assert found.converged
    assert abs(found.chi2_per_pixel - 1.0) < 4.0 * math.sqrt(2.0 / found.equations.pixels)
    assert abs(found.value[3] - 4.1e-9) < 4.0 * found.sigma[3]
    assert abs(found.value[4] - 1e28) < 4.0 * found.sigma[4]
    ours, right = build_model(found.experiment).axes, build_model(TRUE).axes
    assert np.abs(ours - right).max() < 1e-3 * np.abs(right).max()
    assert list(found.losses) == sorted(found.losses, reverse=True)
    assert len(told) == len(found.losses) - 1
    assert re.fullmatch(r"step 1: loss \S+, a drop of \S+ was predicted", told[0])
    assert "crystal.turn.x" in found.table() == str(found)
    assert repr(found).startswith("<FitResult: chi2 per pixel ")
    assert found.to_dict()["converged"] is True
    assert np.allclose(np.diag(found.correlation), 1.0)


def test_a_fit_beside_a_jump_has_converged() -> None:
    """Where the nearest indices of a pixel change, no step lowers the loss; little is left."""
    truth = TRUE.replace(crystal=replace(TRUE.crystal, n_cells=(5, 5, 5)))
    data = np.random.default_rng(10).poisson(image64(truth) + 2.0)
    start = turned(truth, np.radians([0.15, -0.1, 0.12]))
    found = nbdask.fit(start, data, "crystal.turn", background=2.0)
    end = found.equations
    left = float(end.gradient @ np.linalg.solve(end.hessian, end.gradient))
    # More than a fit ends with where nothing is in its way.
    assert 1e-4 < left < 1e-2
    assert found.converged
    assert found.message == "converged"


def test_perfect_data_are_where_a_fit_stays() -> None:
    """Nothing is promised, nothing is done."""
    found = nbdask.fit(TRUE, image64(TRUE) + 2.0, NAMES, background=2.0)
    assert found.converged
    assert len(found.losses) == 1
    assert np.array_equal(found.value, found.start)


def test_bounds_hold() -> None:
    """A cell that may not shrink as far as the data want."""
    found = nbdask.fit(
        put_wrong(),
        noisy(),
        NAMES,
        background=2.0,
        readout=1.5,
        bounds={"crystal.cell.a": (4.105e-9, 4.2e-9)},
        iterations=8,
    )
    assert 4.105e-9 <= found.value[3] <= 4.2e-9


def test_a_turn_is_written_as_misset_angles() -> None:
    """The same axes as turned by hand, whatever the orientation came from."""
    turn = np.array([0.1, -0.2, 0.3])
    angle = float(np.linalg.norm(turn))
    x, y, z = turn / angle
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k
    for experiment in (
        BASE,
        KINDS["matrix, sample pivot"],
        with_crystal(misset="random", misset_seed=5),
    ):
        before, after = build_model(experiment).axes[0], build_model(turned(experiment, turn)).axes
        assert np.allclose(after[0], before @ matrix.T, rtol=0, atol=1e-13 * np.abs(before).max())


def test_steps_change_fields_and_are_checked() -> None:
    """Values that no field takes are refused."""
    names = parameters_of("detector.distance,crystal.cell.b,crystal.turn.x")
    found = stepped(BASE, names, [0.01, 1e-10, 0.0])
    assert found.detector.distance == pytest.approx(0.11)
    assert found.crystal.cell[1] == pytest.approx(8.1e-9)
    assert found.crystal.misset == BASE.crystal.misset
    with pytest.raises(FieldError):
        stepped(BASE, names, [0.0, -1.0, 0.0])


def test_whole_numbers_are_frozen() -> None:
    """Sub-pixels, interpolation, cells that follow from a size."""
    experiment = replace(
        with_crystal(size=(5e-8, 0.0, 0.0), n_cells=(1, 5, 6)), sampling=Sampling()
    )
    model, found = build_model(experiment), frozen(experiment)
    assert found.sampling.oversample == model.oversample
    assert found.crystal.n_cells == tuple(model.n_cells)
    assert not any(found.crystal.size)


def several() -> Experiment:
    """Return two crystals of which one has few cells, the other as many as fit its size."""
    other = Lattice(Crystal(cell=CELL, size=(5e-8, 4e-8, 3e-8), n_cells=(9, 9, 9)))
    few = with_crystal(n_cells=(2, 2, 2))
    return replace(
        few, lattices=(other,), structure=StructureFactors(reflections=reflections(4))
    ).replace(sampling=Sampling())


@pytest.mark.parametrize(
    "experiment",
    [
        several(),
        replace(BASE, scan=Scan(osc=0.03, step=0.01)),
        replace(BASE, scan=Scan(osc=0.03)),
        replace(BASE, scan=Scan(osc=0.03, step=0.0)),
        with_crystal(
            mosaic_spread=0.02, mosaic=Mosaic(model="gauss", sampling="sobol", tolerance=0.1)
        ),
    ],
    ids=["crystals", "steps", "range", "no step", "domains"],
)
def test_what_is_frozen_has_the_same_image(experiment: Experiment) -> None:
    """Bit for bit; and it is frozen."""
    found = frozen(experiment)
    assert np.array_equal(image64(found), image64(experiment))
    assert frozen(found) == found


def test_steps_of_a_fit_change_no_whole_number() -> None:
    """Rotation steps, domains, cells of all crystals."""
    found = frozen(replace(BASE, scan=Scan(osc=0.03, step=0.01)))
    longer = stepped(found, parameters_of("scan.step"), [-1e-4])
    assert build_model(found).n_phi == build_model(longer).n_phi
    lattices = [share.model for share in build_model(frozen(several())).lattices]
    bigger = stepped(frozen(several()), parameters_of("lattices.0.crystal.cell.a"), [-1e-9])
    after = [share.model for share in build_model(bigger).lattices]
    for one, other in zip(lattices, after, strict=True):
        assert np.array_equal(one.n_cells, other.n_cells)
        assert one.interpolate == other.interpolate


def test_values_of_further_crystals_are_checked() -> None:
    """As those of the first one are."""
    with pytest.raises(FieldError, match="three lengths above 0"):
        stepped(several(), parameters_of("lattices.0.crystal.cell.a"), [-1e-8])


@pytest.mark.parametrize(
    ("experiment", "names", "said"),
    [
        (BASE, "crystal.n_cells.a", "whole numbers"),
        (replace(BASE, detector=replace(BASE.detector, close_distance=0.1)), "detector.distance",
         "some pixel depends"),
        (BASE, "crystal.fudge", "square"),
    ],
    ids=["cells", "no effect", "shape"],
)  # fmt: skip
def test_what_cannot_be_fitted_is_refused(experiment: object, names: str, said: str) -> None:
    """In one line."""
    with pytest.raises(FieldError, match=said):
        nbdask.fit(experiment, np.ones(BASE.shape), names)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data": "data.npy"}, r"data = 'data\.npy': must be an array of the image's shape"),
        ({"data": 3.0}, r"an image of no pixels: must have the experiment's"),
        ({"data": np.full(BASE.shape, 1e200)}, "too large"),
        ({"mask": np.full(BASE.shape, np.nan)}, "mask = 'an array of float64': must be of bool"),
        ({"experiment": "a"}, "experiment = 'a': must be an nbdask.Experiment"),
        ({"iterations": -1}, "--iterations = -1: must be a whole number of at least 0"),
        ({"blur": None}, "--blur = None: must be numbers of pixels"),
        ({"blur": (4.0, 101.0)}, "--blur = .*: must be numbers of pixels"),
        ({"background": np.ones((9, 9))}, "background = array.*: must be a number"),
    ],
)
def test_what_is_no_fit_is_refused_in_one_line(given: dict[str, object], said: str) -> None:
    """With what is allowed."""
    asked = {"experiment": BASE, "data": np.ones(BASE.shape), "parameters": "crystal.turn"} | given
    with pytest.raises(InputError, match=said) as caught:
        nbdask.fit(**asked)
    assert "\n" not in str(caught.value)


def test_data_without_a_number_are_refused() -> None:
    """There is nothing to fit."""
    with pytest.raises(FieldError, match="no pixel"):
        nbdask.fit(BASE, np.full(BASE.shape, np.nan), "crystal.turn")
