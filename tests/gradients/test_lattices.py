"""Derivatives of several crystals: sums of those of each alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nbdask
from nbdask.experiment import (
    Background,
    Crystal,
    Lattice,
    Sampling,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.gradients.change import stepped
from nbdask.gradients.parameters import parameters_of, refusal, value_of, with_value
from nbdask.gradients.work import image_of
from nbdask.native import library
from tests.gradients.support import BASE, CELL, worst
from tests.helpers import reflections

needs_library = pytest.mark.skipif(not library.available(), reason="there is no compiled library")

SECOND = Crystal(
    cell=CELL, n_cells=(7, 6, 5), misset=(0.5, 0.4, 0.3), mosaic_spread=0.02, mosaic_domains=3
)
THIRD = replace(SECOND, shape="gauss", misset=(0.1, 0.9, 0.0))
EXPERIMENT = BASE.replace(
    lattices=(
        Lattice(SECOND, 0.5),
        Lattice(THIRD, 2.0, StructureFactors(default_F=30.0)),
    ),
    weight=0.8,
)
WEIGHTS = (0.8, 0.5, 2.0)
SHARED = "beam.wavelength,beam.fluence,detector.distance,detector.rotx,scan.phi0"


@pytest.mark.parametrize("backend", ["numpy", None])
def test_what_is_shared_adds_up(backend: str | None) -> None:
    """With the weights."""
    found = nbdask.gradient(EXPERIMENT, SHARED, backend=backend)
    alone = [nbdask.gradient(e, SHARED, backend=backend) for e in EXPERIMENT.singles]
    for name in ("image", "gradient"):
        expected = sum(w * one[name].values for w, one in zip(WEIGHTS, alone, strict=True))
        assert worst(found[name].values, np.asarray(expected)) <= 1e-12
    assert np.allclose(found["image"], nbdask.image(EXPERIMENT), rtol=3e-7, atol=0.0)


def test_each_crystal_has_its_own() -> None:
    """By its number; amplitudes are those of all crystals that take them."""
    names = ["crystal.turn.x", "lattices.0.crystal.turn.x", "lattices.1.crystal.cell.b"]
    found = nbdask.gradient(EXPERIMENT, names)["gradient"].values
    for plane, number, name in zip(
        found, range(3), ["crystal.turn.x", "crystal.turn.x", "crystal.cell.b"], strict=True
    ):
        own = nbdask.gradient(EXPERIMENT.singles[number], name)["gradient"].values[0]
        assert worst(plane, WEIGHTS[number] * own) <= 1e-12
    tied = nbdask.gradient(EXPERIMENT, "structure.default_F,lattices.1.structure.default_F")
    image = [nbdask.gradient(e, "beam.fluence")["image"].values for e in EXPERIMENT.singles]
    first = 2.0 / 100.0 * (0.8 * image[0] + 0.5 * image[1])
    assert worst(tied["gradient"].values[0], first) <= 1e-12
    assert worst(tied["gradient"].values[1], 2.0 / 30.0 * 2.0 * image[2]) <= 1e-12


def test_a_step_moves_the_crystal_that_is_named() -> None:
    """And the derivative is that of differences."""
    name = "lattices.0.crystal.cell.a"
    plane = nbdask.gradient(EXPERIMENT, name)["gradient"].values[0]
    value = value_of(EXPERIMENT, name)
    assert value == CELL[0]
    step = value * 1e-6
    plus, minus = (image_of(with_value(EXPERIMENT, name, value + d)) for d in (step, -step))
    assert worst(plane, (plus - minus) / (2.0 * step)) <= 1e-6
    chosen = parameters_of("lattices.1.crystal.turn.z,crystal.misset.z")
    there = stepped(EXPERIMENT, chosen, [0.01, 0.02])
    assert there.lattices[1].crystal.misset == pytest.approx((0.1, 0.9, 0.01))
    assert there.lattices[0] == EXPERIMENT.lattices[0]
    assert there.crystal.misset == pytest.approx((0.1, -0.2, 0.32))


def test_what_is_not_there_says_so() -> None:
    """A crystal of a higher number; amplitudes that are not its own."""
    assert "lattices.0 to lattices.1" in (refusal(EXPERIMENT, "lattices.2.crystal.turn.x") or "")
    assert refusal(BASE, "lattices.0.crystal.turn.x") == "one crystal"
    assert "first crystal's" in (refusal(EXPERIMENT, "lattices.0.structure.default_F") or "")


@needs_library
@pytest.mark.parametrize("interpolate", [False, True], ids=["nearest", "tricubic"])
def test_amplitudes_are_those_of_all_crystals_that_take_them(interpolate: bool) -> None:
    """One list for two crystals, one of its own for the third; water counts once."""
    experiment = EXPERIMENT.replace(
        structure=StructureFactors(reflections=reflections(3)),
        lattices=(
            Lattice(SECOND, 0.5),
            Lattice(THIRD, 2.0, StructureFactors(reflections=reflections(4), default_F=3.0)),
        ),
        sampling=Sampling(oversample=1, interpolate=interpolate),
        background=Background(water=1e-6),
        sources=Sources(dispersion=Spread(range=0.02, count=2)),
    )
    names = f"{SHARED},crystal.turn,lattices.1.crystal.cell.b,crystal.n_cells.a"
    c = np.random.default_rng(3).normal(size=experiment.shape)
    found = nbdask.adjoint(experiment, c, names, amplitudes=True, sources=True, tile=4)
    planes = nbdask.gradient(experiment, names)
    size = np.abs(c * planes["gradient"].values).sum(axis=(1, 2))
    forward = (c * planes["gradient"].values).sum(axis=(1, 2))
    assert (np.abs(forward - list(found.values.values())) <= 1e-12 * size).all()
    alone = [
        nbdask.adjoint(e, w * c, amplitudes=True, sources=True)
        for e, w in zip(experiment.singles, WEIGHTS, strict=True)
    ]
    lists = [one.amplitudes for one in alone if one.amplitudes is not None]
    assert found.amplitudes is not None
    assert len(lists) == 3
    shared = lists[0] + lists[1]
    top = float(np.abs(shared).max())
    assert top > 0.0
    assert np.allclose(found.amplitudes, shared, rtol=0.0, atol=1e-12 * top)
    assert list(found.lists) == ["lattices.1.structure"]
    own = lists[2]
    assert np.allclose(
        found.lists["lattices.1.structure"], own, rtol=0.0, atol=1e-12 * np.abs(own).max()
    )
    light = np.sum([one.source_wavelengths for one in alone], axis=0)
    assert found.source_wavelengths is not None
    assert np.allclose(found.source_wavelengths, light, rtol=1e-11, atol=0.0)


@needs_library
@pytest.mark.parametrize("seed", [None, 5], ids=["angles", "random"])
def test_a_stopped_fit_keeps_the_turns_of_each_crystal(tmp_path: Path, seed: int | None) -> None:
    """S-GRAD-34: it goes on with the bits of one that was not stopped."""
    names = "crystal.turn,lattices.0.crystal.turn,lattices.0.crystal.cell.a"
    second = SECOND if seed is None else replace(SECOND, misset="random", misset_seed=seed)
    truth = BASE.replace(lattices=(Lattice(second, 0.5),))
    data = image_of(truth)
    start = stepped(truth, parameters_of("crystal.turn.x,crystal.turn.z"), [2e-3, -1e-3])
    if seed is None:
        start = stepped(start, parameters_of("lattices.0.crystal.turn.y"), [2e-3])
    whole = nbdask.fit(start, data, names, background=1.0, iterations=4)
    state = tmp_path / "fit.json"
    nbdask.fit(start, data, names, background=1.0, iterations=2, state=state)
    again = nbdask.fit(start, data, names, background=1.0, iterations=4, state=state, resume=True)
    assert len(whole.losses) > 3
    assert again.to_dict() == whole.to_dict()
