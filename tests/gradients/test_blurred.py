"""Blurred images: sums that do not depend on tiles, and a wider way to the right place."""

from __future__ import annotations

import numpy as np
import pytest

import nbdask
from nbdask.gradients.blurred import blurred_equations
from nbdask.gradients.change import turned
from nbdask.gradients.normal import Errors, NormalEquations
from nbdask.gradients.work import prepare_gradient
from tests.gradients.test_fit import NAMES, TRUE, noisy

DATA = noisy()
MASK = np.random.default_rng(2).random(DATA.shape) > 0.1


def sums(tile: int | None, background: float = 2.0, data: np.ndarray = DATA) -> NormalEquations:
    """Return the equations of a blurred image with masked pixels."""
    work, chosen = prepare_gradient(TRUE, NAMES, "cpu", tile)
    return blurred_equations(work, chosen, data, MASK, Errors(background), 1.7)


def test_sums_do_not_depend_on_tiles() -> None:
    """A tile knows the pixels around it."""
    whole = sums(None)
    for tile in (20, 11):
        cut = sums(tile)
        assert cut.pixels == whole.pixels == MASK.sum()
        assert cut.loss == pytest.approx(whole.loss, rel=1e-12)
        size = np.sqrt(np.outer(np.diag(whole.hessian), np.diag(whole.hessian)))
        assert np.abs((cut.hessian - whole.hessian) / size).max() < 1e-12


def test_pixels_that_do_not_count_are_left_out() -> None:
    """Whatever they hold."""
    wild = np.where(MASK, DATA, 1e9)
    assert sums(None, data=wild).loss == sums(None).loss
    assert sums(None, data=np.where(MASK, DATA, np.nan)).loss == sums(None).loss


def test_the_gradient_is_the_loss_slope() -> None:
    """By central differences of the fluence."""
    name = "beam.fluence"

    def loss(fluence: float) -> NormalEquations:
        beam = {"beam": TRUE.to_dict()["beam"] | {"fluence": fluence}}
        there = nbdask.Experiment.from_dict(TRUE.to_dict() | beam)
        work, chosen = prepare_gradient(there, name, "cpu", None)
        return blurred_equations(work, chosen, DATA, None, Errors(2.0), 2.0)

    step = 1e-5 * 1e28
    slope = (loss(0.9e28 + step).loss - loss(0.9e28 - step).loss) / (2.0 * step)
    assert -2.0 * loss(0.9e28).gradient[0] == pytest.approx(slope, rel=1e-6)


def test_blurring_first_finds_what_is_out_of_reach_otherwise() -> None:
    """A crystal 0.8 degree off: spots hardly overlap."""
    start = turned(TRUE, np.array([0.0, 0.014, 0.0]))
    errors = {"background": 2.0, "readout": 1.5, "iterations": 12}
    plain = nbdask.fit(start, DATA, "crystal.turn", **errors)
    blurred = nbdask.fit(start, DATA, "crystal.turn", blur=2, **errors)
    assert plain.chi2_per_pixel > 10.0
    assert blurred.chi2_per_pixel < 1.2
    assert blurred.converged
