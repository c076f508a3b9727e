"""Functions of one number that follow their argument: real, or nudged along the imaginary axis.

The set-up of a model is differentiated by running it again with one field x + ih, h far below
rounding: the real part of a result is the result, its imaginary part h times the derivative, to
rounding.  A float goes through ``math`` as everywhere, so that its bits do not change.  Comparisons
look at real parts alone.
"""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np

#: How far a field is nudged: its square is no number at all next to 1.
NUDGE = 1e-30


def _as_float(x: complex) -> float:
    """Return ``x``: a nudged number goes wherever a float does."""
    return x  # type: ignore[return-value]


def number(x: Any) -> float:
    """Return a Python float; a complex number where ``x`` is nudged."""
    return _as_float(complex(x)) if is_nudged(x) else float(x)


def is_nudged(x: Any) -> bool:
    """Whether a number has an imaginary part."""
    return isinstance(x, (complex, np.complexfloating))


def real(x: float) -> float:
    """Return the number itself, without its nudge."""
    return x.real


def sin(x: Any) -> float:
    """Return the sine of an angle [rad]."""
    return _as_float(cmath.sin(x)) if is_nudged(x) else math.sin(x)


def cos(x: Any) -> float:
    """Return the cosine of an angle [rad]."""
    return _as_float(cmath.cos(x)) if is_nudged(x) else math.cos(x)


def sqrt(x: Any) -> float:
    """Return the square root."""
    return _as_float(cmath.sqrt(x)) if is_nudged(x) else math.sqrt(x)


def absolute(x: Any) -> float:
    """Return x without its sign."""
    if is_nudged(x):
        return _as_float(-x if x.real < 0.0 else x)
    return abs(float(x))


def clipped(x: Any) -> float:
    """Return x between -1 and 1."""
    if is_nudged(x) and -1.0 <= x.real <= 1.0:
        return _as_float(x)
    return max(-1.0, min(1.0, float(x.real)))


def single_product(x: Any, factor: np.float32) -> float:
    """Return the product as single precision has it; its slope is the factor."""
    if is_nudged(x):
        return _as_float(complex(float(np.float32(x.real) * factor), x.imag * float(factor)))
    return float(np.float32(x) * factor)


def kind(values: Any) -> type[np.float64] | type[np.complex128]:
    """Return the type of an array that is to hold some numbers."""
    return np.complex128 if np.iscomplexobj(values) else np.float64
