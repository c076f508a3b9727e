"""Spectra of formulas: shapes, limits, and shots that depend on seed and shot alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.experiment import SourcePoint, Sources
from nbdask.experiment.spectrum import Sase, Spectrum, gaussian, top_hat

WAVE = 1e-10


def offsets(spectrum):
    """Return energies relative to the middle."""
    return WAVE / np.array(spectrum.wavelengths) - 1.0


def test_gaussian_is_half_its_height_at_half_its_width():
    """And spans three widths, in equal bins."""
    found = gaussian(WAVE, 0.01, 301)
    at, weights = offsets(found), np.array(found.weights)
    assert np.interp(0.005, at, weights) == pytest.approx(0.5, abs=1e-4)
    assert np.diff(at) == pytest.approx(np.full(300, 0.03 / 301))
    assert at[0] == pytest.approx(-0.015 + 0.015 / 301)
    assert found.mean_wavelength == pytest.approx(WAVE)


def test_top_hat_has_the_deviation_of_a_uniform_distribution():
    """Width / sqrt(12), but for the bins."""
    at = offsets(top_hat(WAVE, 0.02, 100))
    assert at.std() == pytest.approx(0.02 / math.sqrt(12.0), rel=1e-4)


@pytest.mark.parametrize("make", [gaussian, top_hat])
def test_one_point_is_the_beam_itself(make):
    """To the last bit."""
    assert make(0.9768e-10, 0.01, 1).wavelengths == (0.9768e-10,)


def test_shots_depend_on_seed_and_shot_alone():
    """Not on how many there are; others differ."""
    sase = Sase(0.004, 0.0004, 151)
    assert sase.shot(WAVE, 5, 3) == sase.shot(WAVE, 5, 3)
    assert sase.shot(WAVE, 5, 3) != sase.shot(WAVE, 5, 4)
    assert sase.shot(WAVE, 5, 3) != sase.shot(WAVE, 6, 3)
    # A generator that changes would change what a seed gives.
    assert np.argmax(sase.shot(WAVE, 5, 3).weights) == PEAK


PEAK = 85


def test_negative_seeds_differ():
    """They count as their remainder by 2^64, to the last bit."""
    shots = [Sase(0.004, 0.0004, 151).shot(WAVE, seed, 0).weights for seed in (-1, -2, 2**64 - 1)]
    assert shots[0] != shots[1]
    assert shots[0] == shots[2]


def test_mean_of_shots_is_the_envelope():
    """And a channel's intensity is distributed as that of chaotic light: exponentially."""
    sase = Sase(0.004, 0.001, 45)
    shots = np.array([sase.shot(WAVE, 1, n).weights for n in range(1000)])
    mean, envelope = shots.mean(axis=0), np.array(gaussian(WAVE, 0.004, 45).weights)
    ratio = mean / envelope
    assert ratio.std() / ratio.mean() < 0.07
    middle = shots[:, 22] / shots[:, 22].mean()
    assert middle.var() == pytest.approx(1.0, abs=0.15)
    assert (middle > 1.0).mean() == pytest.approx(math.exp(-1.0), abs=0.04)


def test_spikes_have_their_width():
    """The correlation of |A|^2 falls to half at sqrt(2) of the width of a spike."""
    sase = Sase(0.02, 0.001, 301)
    shots = np.array([sase.shot(WAVE, 2, n).weights for n in range(200)])[:, 100:201]
    shots = shots / shots.mean(axis=0) - 1.0
    step = 0.06 / 301
    lags = np.arange(12)
    found = np.array([(shots[:, : 101 - lag] * shots[:, lag:]).mean() for lag in lags])
    width = np.interp(-0.5, -found / found[0], lags * step)
    assert width == pytest.approx(0.001 * math.sqrt(2.0) / 2.0, rel=0.08)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Spectrum((), ()), "as many weights as wavelengths"),
        (lambda: Spectrum((1e-10,), (1.0, 2.0)), "as many weights"),
        (lambda: Spectrum((1e-10,), (0.0,)), "sum above 0"),
        (lambda: Spectrum((-1e-10,), (1.0,)), "wavelengths"),
        (lambda: gaussian(1e-10, 0.8, 21), "narrower"),
        (
            lambda: Sources(
                spectrum=Spectrum((1e-10,), (1.0,)), points=(SourcePoint(-1.0, 0.0, 0.0),)
            ),
            "left out where sources are listed",
        ),
    ],
)
def test_what_is_no_spectrum_is_refused(make, said):
    """In one line that names the field."""
    with pytest.raises(FieldError, match=said) as caught:
        make()
    assert caught.value.field.startswith("sources.spectrum")
