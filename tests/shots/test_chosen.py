"""One shot of a series by its dict form."""

from __future__ import annotations

import numpy as np
import pytest

import nbdask
from nbdask.errors import FieldError
from nbdask.experiment.spectrum import Sase
from nbdask.shots import Distribution, MeasuredSpectra, Orientations, SaseSpectra, Series, Table
from nbdask.shots.chosen import chosen_shot

FLAGS = "-cell 60 70 80 90 90 90 -N 5 -default_F 100 -lambda 1 -distance 100 -detpixels 16"
COMMON = nbdask.from_args(FLAGS.split())
LONG = np.linspace(0.1, 0.2, 20_000)


def test_it_is_the_shot_of_the_series() -> None:
    """Values are drawn again, spectra made again."""
    spread = Distribution(("detector.distance",), "normal", (0.1, 1e-3))
    series = Series(COMMON, 9, (Orientations(), spread, SaseSpectra(Sase(3e-13, 1e-14, 5))), 3)
    for number in (0, 5):
        assert chosen_shot(COMMON, series.to_dict(), number, {}) == series.shot(number)


def test_of_long_tables_the_values_are_given() -> None:
    """A table of more than 10,000 numbers is named by its checksum."""
    series = Series(COMMON, 20_000, (Table({"detector.distance": LONG}),))
    data, values = series.to_dict(), {"detector.distance": LONG[7]}
    assert chosen_shot(COMMON, data, 7, values) == series.shot(7)
    with pytest.raises(FieldError, match=r"detector\.distance = 'no coordinate of the image'"):
        chosen_shot(COMMON, data, 7, {})
    waves = np.linspace(9.9e-11, 1.01e-10, 11)
    many = Series(COMMON, 1000, (MeasuredSpectra(waves, np.ones((1000, 11))),))
    with pytest.raises(FieldError, match=r"sources\.spectrum"):
        chosen_shot(COMMON, many.to_dict(), 7, {})
