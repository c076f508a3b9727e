"""Derivatives on several panels: each is that of a panel alone; all and single ones move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import nbdask
from nbdask import Parameter
from nbdask.errors import FieldError, InputError
from nbdask.experiment import Background, Beam, Detector, Sampling, Scan
from nbdask.geometry.panel_frames import BadPixels
from nbdask.gradients.change import stepped
from nbdask.gradients.parameters import parameters_of, refusal, with_value
from nbdask.gradients.work import image_of
from tests.gradients.support import worst
from tests.panels.several import alone, panels, several

EXPERIMENT = several(
    beam=Beam(polarization=0.3, fluence=1e24),
    background=Background(water=1e-6),
    detector=Detector(panels=panels(thickness=3e-4, attenuation=3000.0), thick_steps=2),
    sampling=Sampling(oversample=1),
)
NAMES = "crystal.turn,crystal.cell,beam.wavelength,beam.fluence,beam.polarization,background.water"
MOVES = "detector.shift,detector.turn,panel.tilted,panel.skew 2.turn"


@pytest.mark.parametrize("backend", ["numpy", None])
def test_a_panel_has_the_planes_that_it_has_alone(backend: str | None) -> None:
    """Bit for bit, whatever the tiles; what lies beyond a panel is 0."""
    found = nbdask.gradient(EXPERIMENT, NAMES, backend=backend, tile=5)
    assert found["gradient"].dims == ("parameter", "panel", "slow", "fast")
    assert list(found["panel"].values) == ["left", "tilted", "skew 2"]
    planes = found["gradient"].values
    for number, panel in enumerate(EXPERIMENT.detector.panels):
        own = nbdask.gradient(alone(EXPERIMENT, number), NAMES, backend=backend)
        inside = planes[:, number, : panel.n_slow, : panel.n_fast]
        assert np.array_equal(inside, own["gradient"].values)
        assert not planes[:, number, panel.n_slow :].any()


@pytest.mark.parametrize("backend", ["numpy", None])
def test_panels_move_as_differences_say(backend: str | None) -> None:
    """All of them, one alone; the one that stays does not change."""
    names = [parameter.name for parameter in parameters_of(MOVES)]
    assert len(names) == 6 + 6 + 3
    planes = nbdask.gradient(EXPERIMENT, MOVES, backend=backend)["gradient"]
    for name in names:
        step = 1e-9 if "shift" in name else 1e-7
        plus, minus = (image_of(with_value(EXPERIMENT, name, d), backend) for d in (step, -step))
        expected = (plus - minus) / (2.0 * step)
        assert worst(planes.sel(parameter=name).values, expected) <= 1e-6, name
    assert not planes.sel(parameter="panel.tilted.shift.x", panel="left").values.any()


def test_a_group_of_panels_is_tied() -> None:
    """The detector moves as all of its panels together."""
    names = [panel.name for panel in EXPERIMENT.detector.panels]
    tied = Parameter("all", {f"panel.{name}.turn.y": 1.0 for name in names})
    planes = nbdask.gradient(EXPERIMENT, [tied, "detector.turn.y"])["gradient"].values
    assert worst(planes[0], planes[1]) <= 1e-13


def test_everything_that_turns_with_everything_leaves_the_image() -> None:
    """Crystal, panels and polarization about the beam: not polarized, a turn of all is none."""
    still = replace(EXPERIMENT, beam=Beam(polarized=False, fluence=1e24))
    tie = Parameter("both", {"crystal.turn.x": 1.0, "detector.turn.x": 1.0})
    found = nbdask.gradient(still, [tie, "crystal.turn.x"])["gradient"].values
    assert np.abs(found[0]).max() <= 1e-9 * np.abs(found[1]).max()


def test_the_adjoint_and_normal_equations_add_up_panels() -> None:
    """As sums over the planes."""
    names = "crystal.turn,detector.shift.x,panel.left.turn.z"
    found = nbdask.gradient(EXPERIMENT, names)
    c = np.random.default_rng(4).normal(size=found["image"].shape)
    back = nbdask.adjoint(EXPERIMENT, c, names, tile=4).values
    forward = (found["gradient"].values * c).sum(axis=(1, 2, 3))
    scale = np.abs(found["gradient"].values * c).sum(axis=(1, 2, 3))
    assert (np.abs(np.array(list(back.values())) - forward) <= 1e-12 * scale).all()
    data = found["image"].values + 1.0
    equations = nbdask.normal_equations(EXPERIMENT, data, names, background=1.0)
    assert equations.pixels == sum(
        int(BadPixels(panel).read(0, panel.n_slow, 0, panel.n_fast).sum())
        for panel in EXPERIMENT.detector.panels
    )
    assert equations.loss == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(InputError, match=r"3 \(panel\) x 11 \(slow\) x 14 \(fast\)"):
        nbdask.adjoint(EXPERIMENT, c[0], names)


def test_c_carries_rotations_over_on_every_panel() -> None:
    """Each panel is an image of its own: its first evaluation is not rotated."""
    experiment = replace(EXPERIMENT, semantics="c", scan=Scan(phi0=0.0, osc=0.05, count=2))
    planes = nbdask.gradient(experiment, "crystal.turn")["gradient"].values
    for number, panel in enumerate(experiment.detector.panels):
        own = nbdask.gradient(alone(experiment, number), "crystal.turn")["gradient"].values
        assert np.array_equal(planes[:, number, : panel.n_slow, : panel.n_fast], own)


def test_a_step_moves_panels() -> None:
    """Turned about the sample, then shifted."""
    chosen = parameters_of("detector.turn.x,panel.left.shift.y")
    there = stepped(EXPERIMENT, chosen, [0.1, 1e-3])
    left, tilted = (np.array(panel.origin) for panel in there.detector.panels[:2])
    assert left == pytest.approx(
        [
            0.1,
            np.cos(0.1) * 0.006 + np.sin(0.1) * 0.006 + 1e-3,
            np.sin(0.1) * 0.006 - np.cos(0.1) * 0.006,
        ]
    )
    assert np.linalg.norm(tilted) == pytest.approx(
        np.linalg.norm(EXPERIMENT.detector.panels[1].origin)
    )


def test_what_does_not_move_says_why() -> None:
    """Flags place no panels, and panels no flags."""
    assert "detector.shift" in (refusal(EXPERIMENT, "detector.distance") or "")
    assert "no panel of that name: left" in (refusal(EXPERIMENT, "panel.right.turn.x") or "")
    flat = replace(EXPERIMENT, detector=Detector(pixels_fast=4, pixels_slow=4))
    assert "beam_x" in (refusal(flat, "detector.turn.x") or "")
    for name in ("panel.left.shift.q.y", "panel.left.distance.y", "panel.x"):
        with pytest.raises(FieldError, match="nbdask parameters"):
            parameters_of(name)
