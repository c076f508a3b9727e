"""specs/units.md."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbdask import units

#: A length whose quotient by 1000 and product with 0.001 differ in the last bit.
NUMBER = 0.9


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (units.from_mm, 172.5, 0.1725),
        (units.from_um, 320.0, 320e-6),
        (units.from_microns_water, 5.0, 5e-6),
        (units.from_angstrom, 0.9768, 0.9768e-10),
        (units.from_degrees, 90.0, math.pi / 2),
        (units.from_mrad, 2.5, 0.0025),
        (units.from_percent, 1.4, 0.014),
        (units.from_ev, 12398.42, 1e-10),
    ],
)
def test_conversion_to_si(function, value: float, expected: float) -> None:
    """Each unit that a flag can have arrives in SI."""
    assert function(value) == pytest.approx(expected, rel=1e-15)


def test_last_bits_of_conversions() -> None:
    """The operation itself is fixed, since exact comparisons depend on the last bit."""
    assert units.from_mm(NUMBER) == NUMBER / 1000.0
    assert NUMBER / 1000.0 != NUMBER * 0.001
    assert units.from_microns_water(5.1) == 5.1 / 1e6
    assert units.from_degrees(0.7) == 0.7 / (180.0 * (1.0 / math.pi))
    assert units.from_ev(8000.0) == (12398.42 / 8000.0) / 1e10


def test_constants() -> None:
    """The values are those of the specification."""
    assert units.R_E_SQR == 7.94079248018965e-30
    assert units.AVOGADRO == 6.02214179e23
    assert (units.WATER_F, units.WATER_MW) == (2.57, 18.0)


def test_default_fluence_cancels_the_cross_section() -> None:
    """One electron then scatters one photon per steradian."""
    assert pytest.approx(1.0, rel=1e-14) == units.DEFAULT_FLUENCE * units.R_E_SQR


@given(st.integers(min_value=1, max_value=10**7))
def test_cell_edges_come_back_as_typed(ten_thousandths: int) -> None:
    """Any length with four decimals survives the way to metres and back."""
    typed = ten_thousandths / 1e4
    assert units.to_angstrom(units.from_angstrom(typed)) == typed
