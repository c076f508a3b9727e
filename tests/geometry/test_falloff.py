"""Scale and B factor of amplitudes."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.errors import FieldError, FlagError
from nbdask.experiment import Sampling, StructureFactors
from nbdask.flags import Own, parse_args, to_args
from nbdask.geometry.build import build_model
from tests.helpers import deviation, reflections, small_experiment, tile_image

ROWS = reflections(3)
NEAREST = Sampling(oversample=1, interpolate=False)


def model_of(**parts):
    """Return a model of a list."""
    listed = StructureFactors(reflections=ROWS, **parts)
    return build_model(small_experiment(structure=listed, sampling=NEAREST))


def test_amplitudes_fall_off_with_resolution():
    """By exp(-B/(4 d^2)), d from the reciprocal vectors of a triclinic cell."""
    plain, damped = model_of(), model_of(b_factor=30e-20)
    for h, k, el, amplitude in ROWS[::7]:
        place = tuple(np.array([h, k, el]) - plain.f_min)
        spacing2 = 1.0 / max(float(np.sum((np.array([h, k, el]) @ plain.star) ** 2)), 1e-30)
        wanted = amplitude * np.exp(-30.0 / (4.0 * spacing2))
        assert damped.f_grid[place] == pytest.approx(wanted, rel=1e-12)


def test_photons_go_with_the_square_of_the_scale():
    """Those of default_F too; 1 and 0 keep the bits."""
    image = tile_image(model_of(default_F=7.0))
    assert deviation(tile_image(model_of(default_F=7.0, scale=3.0)), 9.0 * image) < 1e-6
    assert np.array_equal(tile_image(model_of(default_F=7.0, scale=1.0, b_factor=0.0)), image)


def test_no_list_no_b_factor():
    """An amplitude without indices has no resolution."""
    with pytest.raises(FieldError, match="0 without a list"):
        StructureFactors(default_F=1.0, b_factor=1e-20)
    with pytest.raises(FieldError, match=r"structure\.scale"):
        StructureFactors(default_F=1.0, scale=0.0)


def test_flags():
    """B in Angstrom^2; nanoBragg cannot say it."""
    words = ["-cell", "70", "80", "90", "90", "90", "90", "-default_F", "10"]
    experiment = parse_args(words, own=Own(scale=2.0)).experiment
    assert experiment.structure.scale == 2.0
    with pytest.raises(FlagError, match=r"structure\.scale: nanoBragg"):
        to_args(experiment)
    with pytest.raises(FlagError, match=r"--b-factor 20: must be 0 without a list"):
        parse_args(words, own=Own(b_factor=20.0))
