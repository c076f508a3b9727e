"""Photons from what a detector reads."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from nbdask.errors import FieldError
from nbdask.gradients.reading import Reading


def test_photons_follow_from_detector_units() -> None:
    """Lazy; what is saturated is no number; photons stay as they are."""
    data = np.array([[40, 42], [4000, 5000]], dtype=np.uint16)
    found = Reading(2.0, 40.0, 4000.0).photons(data)
    assert isinstance(found, da.Array)
    assert np.array_equal(found.compute(), [[0.0, 1.0], [np.nan, np.nan]], equal_nan=True)
    assert Reading().photons(data) is data


def test_a_gain_is_above_nothing() -> None:
    """Nothing else is refused."""
    with pytest.raises(FieldError, match=r"--gain = 0\.0: must be a number above 0"):
        Reading(0.0)
