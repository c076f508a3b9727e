"""Slopes of interpolated amplitudes."""

from __future__ import annotations

import numpy as np

from nbdask.geometry.build import build_model
from nbdask.gradients.amplitude import amplitude_slopes, cubic_slopes
from nbdask.physics.structure_factor import cubic_weights
from tests.gradients.support import KINDS


def test_slopes_of_weights_add_up_to_nothing() -> None:
    """They are the derivatives of weights that add up to 1."""
    t = np.linspace(0.0, 0.999, 7)
    assert np.allclose(sum(cubic_slopes(t)), 0.0, atol=1e-15)
    for weight, slope in zip(cubic_weights(t + 1e-30j), cubic_slopes(t), strict=True):
        assert np.allclose(weight.imag / 1e-30, slope, rtol=1e-14, atol=1e-15)


def test_interpolated_amplitudes_have_slopes_and_others_none() -> None:
    """Differences show them; outside the list the amplitude is constant."""
    model = build_model(KINDS["interpolated"])
    indices = list(np.random.default_rng(1).uniform(-2.9, 2.9, (3, 30)))
    _, slopes = amplitude_slopes(model, *indices)
    assert slopes is not None
    step = 1e-6
    for axis in range(3):
        plus, minus = (
            amplitude_slopes(model, *(x + d * (i == axis) for i, x in enumerate(indices)))[0]
            for d in (step, -step)
        )
        assert np.allclose((plus - minus) / 2 / step, slopes[axis], rtol=1e-6, atol=1e-6)
    amplitude, slopes = amplitude_slopes(model, *(np.array([9.3]) for _ in range(3)))
    assert slopes is not None
    assert not np.any(slopes)
    assert amplitude[0] == 0.0
    assert amplitude_slopes(build_model(KINDS["list"]), *indices)[1] is None
