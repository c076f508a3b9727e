"""Joint fits find what many images have in common, and equal a fit of all parameters at once."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nbdask
from nbdask import Shot
from nbdask.errors import InputError
from nbdask.experiment import Beam, Crystal, Detector, Experiment, Sampling, StructureFactors
from nbdask.gradients.arrow import Arrow
from nbdask.gradients.change import turned
from nbdask.gradients.columns import columns_of
from nbdask.gradients.normal import normal_equations
from tests.gradients.support import image64
from tests.helpers import reflections

RIGHT = math.pi / 2
DETECTOR = Detector(pixels_fast=40, pixels_slow=40, pixel_size=5e-4, distance=50e-3, roty=0.01)
EACH, SHARED = "crystal.turn,beam.fluence", "detector.distance,detector.roty"
SHOTS = 4


def still(number: int, detector: Detector = DETECTOR) -> Experiment:
    """Return one of the stills."""
    random = np.random.default_rng(100 + number)
    return Experiment(
        crystal=Crystal(
            cell=(4.1e-9, 4.7e-9, 5.3e-9, RIGHT, RIGHT, RIGHT),
            n_cells=(9, 9, 9),
            misset=tuple(random.uniform(-1.0, 1.0, 3)),
        ),
        structure=StructureFactors(reflections=reflections(6)),
        beam=Beam(wavelength=1.2e-10, fluence=1e28),
        detector=detector,
        sampling=Sampling(oversample=1),
    )


def measured(number: int) -> np.ndarray:
    """Return its data: 2 photons of background, Poisson's noise."""
    random = np.random.default_rng(number)
    return random.poisson(image64(still(number)) + 2.0).astype(float)


DATA = [measured(n) for n in range(SHOTS)]


def started(
    random: np.random.Generator, wrong: Detector = DETECTOR, off: float = 1e-3
) -> list[Shot]:
    """Return shots whose crystals are about 0.06 degree off."""
    turns = random.normal(0.0, off, (SHOTS, 3))
    return [
        Shot(turned(still(n, wrong), turn), DATA[n], background=2.0) for n, turn in enumerate(turns)
    ]


def wrong() -> list[Shot]:
    detector = replace(DETECTOR, distance=50.1e-3, roty=0.012)
    return started(np.random.default_rng(7), detector)


def test_what_shots_have_in_common_is_found() -> None:
    """Distance and tilt within four standard deviations, chi2 near 1."""
    found = nbdask.fit_joint(wrong(), EACH, SHARED)
    assert found.converged
    assert found.names == ("detector.distance", "detector.roty")
    assert (np.abs(found.value - [50e-3, 0.01]) < 4.0 * found.sigma).all()
    assert found.chi2_per_pixel == pytest.approx(1.0, abs=0.06)
    for shot in found.shots:
        assert shot.value[4:].tolist() == found.value.tolist()
        assert shot.sigma[4:] == pytest.approx(found.sigma, rel=1e-9)
    # Better than each still by itself.
    alone = nbdask.fit(
        wrong()[0].experiment, DATA[0], f"{EACH},{SHARED}", background=2.0, iterations=20
    )
    assert (found.sigma < alone.sigma[4:]).all()
    assert "detector.roty" in found.table() == str(found)
    assert repr(found).startswith("<JointResult: chi2 per pixel ")
    assert len(found.to_dict()["shots"]) == SHOTS


def test_steps_and_covariances_are_those_of_all_parameters_at_once() -> None:
    """The same as with one dense matrix, also for groups."""
    groups = {"beam.wavelength": ["a", "b", "a", "b"], "crystal.cell.a": [0, 0, 0, 1]}
    columns = columns_of(SHOTS, "crystal.turn", "detector.distance", groups)
    assert columns.names == (
        "detector.distance", "beam.wavelength[a]", "beam.wavelength[b]", "crystal.cell.a[0]",
    )  # fmt: skip
    equations = [
        normal_equations(still(n), DATA[n], columns.parameters, background=2.0)
        for n in range(SHOTS)
    ]
    arrow = Arrow.of(columns, equations)
    common = len(columns.names)
    width = sum(len(part.own) for part in columns.parts)
    hessian, slope = np.zeros((width + common,) * 2), np.zeros(width + common)
    places, begin = [], 0
    for part, found in zip(columns.parts, equations, strict=True):
        place = np.empty(len(columns.parameters), int)
        place[part.own] = begin + np.arange(len(part.own))
        place[part.common] = width + part.column
        hessian[np.ix_(place, place)] += found.hessian
        slope[place] += found.gradient
        begin += len(part.own)
        places.append(place)
    size = np.sqrt(np.diag(hessian))
    scaled = hessian / np.outer(size, size)
    dense = np.linalg.solve(scaled + 0.01 * np.eye(len(size)), slope / size) / size
    step = arrow.step(0.01)
    ours = np.concatenate([*step.own, step.common])
    assert np.abs((ours - dense) * size).max() < 1e-9 * np.abs(dense * size).max()
    assert step.promised == pytest.approx(float(dense @ slope))
    inverse = np.linalg.inv(scaled)
    assert arrow.covariance() * np.outer(size[width:], size[width:]) == pytest.approx(
        inverse[width:, width:], rel=1e-6, abs=1e-9
    )
    for place, covariance in zip(places, arrow.covariances(columns), strict=True):
        ours = covariance * np.outer(size[place], size[place])
        assert ours == pytest.approx(inverse[np.ix_(place, place)], rel=1e-6, abs=1e-9)


def test_what_cannot_be_told_apart_has_no_small_sigma() -> None:
    """Turning the detector about the beam is turning all crystals."""
    shots = started(np.random.default_rng(7), replace(DETECTOR, roty=0.0))
    found = nbdask.fit_joint(shots, EACH, "detector.rotx", iterations=1)
    known = nbdask.fit_joint(shots, "beam.fluence", "detector.rotx", iterations=1)
    assert found.sigma[0] > 1000.0 * known.sigma[0]


def test_a_step_of_amplitudes_goes_downhill() -> None:
    """And towards those that made the data; a turn beside them does not disturb it."""
    rows = reflections(6)
    less = tuple((*row[:3], 0.9 * row[3]) for row in rows)
    start = still(0).replace(structure=StructureFactors(reflections=less))
    found = nbdask.fit_joint(
        [Shot(start, DATA[0], background=2.0)], "crystal.turn", amplitudes=True, iterations=2
    )
    assert list(found.losses) == sorted(found.losses, reverse=True)
    assert found.amplitudes is not None
    assert found.amplitude_sigma is not None
    ratios = []
    for h, k, el, f in rows:
        place = {"h": h, "k": k, "l": el}
        if float(found.amplitude_sigma.sel(place)) < 0.02 * f:
            ratios.append(float(found.amplitudes.sel(place)) / f)
    assert len(ratios) > 5
    assert np.median(ratios) == pytest.approx(1.0, abs=0.03)


@pytest.mark.long
def test_amplitudes_that_shots_have_in_common_are_found() -> None:
    """Those that pixels tell, within their errors; what is not seen stays."""
    random = np.random.default_rng(5)
    rows = reflections(6)
    off = tuple((*row[:3], row[3] * math.exp(random.normal(0.0, 0.2))) for row in rows)
    shots = [
        replace(
            shot,
            experiment=shot.experiment.replace(structure=StructureFactors(reflections=off)),
        )
        for shot in started(random, off=2e-4)
    ]
    found = nbdask.fit_joint(shots, "crystal.turn", amplitudes=True)
    assert found.converged
    assert found.amplitudes is not None
    assert found.amplitude_sigma is not None
    true = {row[:3]: row[3] for row in rows}
    before = {row[:3]: row[3] for row in off}
    pulls, stayed = [], 0
    for index, f in true.items():
        place = dict(zip("hkl", index, strict=True))
        value = float(found.amplitudes.sel(place))
        sigma = float(found.amplitude_sigma.sel(place))
        stayed += math.isinf(sigma) and value == pytest.approx(before[index])
        if sigma < 0.05 * value:
            pulls.append((value - f) / sigma)
    assert len(pulls) > 50
    assert stayed > 50
    assert float(np.std(pulls)) < 1.5
    assert found.shots[0].experiment.structure == found.shots[1].experiment.structure
    assert found.to_dict()["amplitudes"]


class _Stop(Exception):
    """Ends a fit between two steps."""


@pytest.mark.long
def test_a_stopped_fit_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    """Wherever it was stopped: values, losses and covariance are those of one that was not."""
    state = tmp_path / "fit.json"
    blur = (2.0,)
    whole = nbdask.fit_joint(wrong(), EACH, SHARED, blur=blur)
    told: list[str] = []

    def stop(text: str) -> None:
        told.append(text)
        if len(told) % 2 == 0:
            raise _Stop

    ends = 0
    while True:
        try:
            again = nbdask.fit_joint(
                wrong(), EACH, SHARED, blur=blur, state=state, resume=ends > 0, report=stop
            )
            break
        except _Stop:
            ends += 1
    assert ends > 1
    assert again.losses == whole.losses
    assert again.to_dict() == whole.to_dict()
    # At the end nothing is left to do.
    done = nbdask.fit_joint(wrong(), EACH, SHARED, blur=blur, state=state, resume=True)
    assert done.value.tolist() == whole.value.tolist()


def test_a_state_of_another_fit_is_refused(tmp_path: Path) -> None:
    """With what differs; and an existing one is not replaced without being told."""
    state = tmp_path / "fit.json"
    nbdask.fit_joint(wrong(), EACH, SHARED, iterations=1, state=state)
    with pytest.raises(InputError, match="exists already"):
        nbdask.fit_joint(wrong(), EACH, SHARED, iterations=1, state=state)
    with pytest.raises(InputError, match="other parameters, groups"):
        nbdask.fit_joint(wrong(), EACH, "detector.distance", state=state, resume=True)
    changed = [replace(shot, data=shot.data + 1.0) for shot in wrong()]
    with pytest.raises(InputError, match="give the same data"):
        nbdask.fit_joint(changed, EACH, SHARED, state=state, resume=True)
    held = json.loads(state.read_text())
    standing = held["standing"]
    for damaged in (
        {"format": "else"},
        held | {"standing": {}},
        *(
            held | {"standing": standing | {name: None}}
            for name in standing.keys() - {"amplitudes"}
        ),
        held | {"standing": standing | {"stage": 7}},
        held | {"standing": standing | {"moved": standing["moved"][1:]}},
    ):
        state.write_text(json.dumps(damaged))
        with pytest.raises(InputError, match="is not the state of a fit"):
            nbdask.fit_joint(wrong(), EACH, SHARED, state=state, resume=True)
    with pytest.raises(InputError, match="does not exist"):
        nbdask.fit_joint(wrong(), EACH, SHARED, state=tmp_path / "none", resume=True)
    with pytest.raises(InputError, match="needs --state"):
        nbdask.fit_joint(wrong(), EACH, SHARED, resume=True)


@pytest.mark.parametrize(
    ("shots", "options", "said"),
    [
        ([], {"each": "crystal.turn"}, "at least one"),
        ([(1, 2)], {"each": "crystal.turn"}, "pair of experiment and data"),
        (None, {"each": "crystal.turn"}, "shots = None: must be at least one"),
        (wrong(), {"each": None, "shared": None}, "at least one name"),
        (wrong(), {"each": 5}, "parameters = 5: must be names"),
        (wrong(), {"groups": [0, 1, 2, 3]}, "a dict of names"),
        (wrong(), {"each": "crystal.turn", "state": 5}, "5 is not a path"),
        (wrong(), {}, "at least one name"),
        (wrong(), {"each": "crystal.turn", "shared": "crystal.turn.x"}, "named once"),
        (wrong(), {"groups": {"beam.fluence": [1]}}, "one for each of 4"),
        (wrong(), {"each": "crystal.n_cells.a"}, "whole numbers of cells"),
        (wrong(), {"each": "crystal.turn", "blur": (0.0,)}, "above 0"),
        ([*wrong()[:1], replace(wrong()[1], data=DATA[1][1:])], {"each": "crystal.turn"}, "shot 1"),
        ([(BARE := still(0).replace(structure=StructureFactors(default_F=9.0)), DATA[0])],
         {"each": "crystal.turn", "amplitudes": True}, "without a list"),
    ],
    ids=["none", "pair", "no list", "no names", "a number", "groups", "state", "names", "twice",
         "labels", "cells", "blur", "shape", "no amplitudes"],
)  # fmt: skip
def test_wrong_shots_and_names_are_refused(shots: Any, options: dict, said: str) -> None:
    """In one line."""
    with pytest.raises(InputError, match=said):
        nbdask.fit_joint(shots, **options)
