"""Functions that follow their argument: floats as math has them, nudged numbers with slopes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from nbdask.geometry import numbers
from nbdask.geometry.numbers import NUDGE

#: Function -> what math has, its derivative.
FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    "sin": (math.sin, math.cos),
    "cos": (math.cos, lambda x: -math.sin(x)),
    "sqrt": (math.sqrt, lambda x: 0.5 / math.sqrt(x)),
    "absolute": (abs, lambda x: 1.0),
    "clipped": (lambda x: min(x, 1.0), lambda x: 1.0 if x <= 1.0 else 0.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("x", [0.3, 0.9, 2.5])
def test_floats_keep_their_bits_and_nudges_become_slopes(name: str, x: float) -> None:
    """The real part of a nudged result is the result."""
    function, (plain, slope) = getattr(numbers, name), FUNCTIONS[name]
    assert function(x) == plain(x)
    assert isinstance(function(np.float64(x)), float)
    nudged = complex(function(complex(x, NUDGE)))
    assert nudged.real == pytest.approx(plain(x), rel=1e-15)
    assert nudged.imag / NUDGE == pytest.approx(slope(x), rel=1e-15)


def test_a_negative_number_loses_its_sign_with_its_slope() -> None:
    """|x| falls where x rises."""
    assert numbers.absolute(complex(-2.0, NUDGE)) == complex(2.0, -NUDGE)


def test_single_precision_is_not_differentiated() -> None:
    """Its slope is the factor, not that of a staircase."""
    factor = np.float32(1.0 / 3.0)
    found = complex(numbers.single_product(complex(0.1, NUDGE), factor))
    assert found.real == numbers.single_product(0.1, factor) == float(np.float32(0.1) * factor)
    assert found.imag == NUDGE * float(factor)
