"""The checks that all parts share: what passes, as what, and the line that refuses the rest."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import FieldError
from nbdask.experiment import checks

NAN, INF = math.nan, math.inf
finite = st.floats(allow_nan=False, allow_infinity=False)


def refusal(check: Any, *values: Any, **options: Any) -> str:
    """Return the line with which a check refuses a value of the field ``a.b``."""
    with pytest.raises(FieldError) as caught:
        check("a.b", *values, **options)
    assert caught.value.field == "a.b"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(finite)
@settings(max_examples=15, deadline=None)
def test_finite_numbers_pass_as_they_are(value: float) -> None:
    """To the last bit, as float, from Python's and NumPy's own types."""
    for given_value in (value, np.float64(value), np.array(value), np.array([value])[0]):
        found = checks.number("a.b", given_value)
        assert type(found) is float
        assert found == value


@pytest.mark.parametrize(
    ("value", "found"),
    [(3, 3.0), (np.float32(0.5), 0.5), (np.int64(-7), -7.0), (Fraction(1, 4), 0.25),
     (Decimal("2.5"), 2.5), (2**60, float(2**60)), (-0.0, 0.0)],
)  # fmt: skip
def test_numbers_of_other_types_become_float(value: Any, found: float) -> None:
    """Whatever Python can turn into a float, but for text and truth values."""
    assert checks.number("a.b", value) == found
    assert type(checks.number("a.b", value)) is float


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "True"), (False, "False"), ("1", "'1'"), (b"1", "b'1'"), (None, "None"), (NAN, "nan"),
     (INF, "inf"), (-INF, "-inf"), ([1.0], "[1.0]"), ({}, "{}"), (1j, "1j"),
     (Decimal("NaN"), "nan")],
)  # fmt: skip
def test_what_is_no_finite_number(value: Any, shown: str) -> None:
    """The message shows the value as it was given."""
    assert refusal(checks.number, value) == f"a.b = {shown}: must be a finite number"
    assert refusal(checks.number, value, allowed="such") == f"a.b = {shown}: must be such"


@pytest.mark.parametrize("value", [5e-324, 1, 1e308])
def test_positive_numbers(value: float) -> None:
    """From the smallest float on."""
    assert checks.positive("a.b", value) == value
    assert checks.not_negative("a.b", value) == value


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.0, "0.0"), (-1e-300, "-1e-300"), (NAN, "nan"), ("1", "'1'")]
)
def test_what_is_not_positive(value: Any, shown: str) -> None:
    """Zero is refused by the one, taken by the other."""
    assert refusal(checks.positive, value) == f"a.b = {shown}: must be a number above 0"
    if value != 0:
        found = refusal(checks.not_negative, value)
        assert found == f"a.b = {shown}: must be a number of at least 0"
    else:
        assert checks.not_negative("a.b", value) == 0.0


@given(st.integers(-(2**53), 2**53))
@settings(max_examples=15, deadline=None)
def test_whole_numbers_pass_in_any_type(value: int) -> None:
    """As int, from floats that are whole too."""
    for given_value in (value, float(value), np.int64(value), np.float64(value)):
        found = checks.integer("a.b", given_value)
        assert type(found) is int
        assert found == value


@pytest.mark.parametrize(
    ("value", "bounds", "line"),
    [
        (1.5, {}, "a.b = 1.5: must be a whole number"),
        (True, {}, "a.b = True: must be a whole number"),
        ("7", {}, "a.b = '7': must be a whole number"),
        (NAN, {}, "a.b = nan: must be a whole number"),
        (INF, {}, "a.b = inf: must be a whole number"),
        (None, {"low": 1}, "a.b = None: must be a whole number of at least 1"),
        (0, {"low": 1}, "a.b = 0: must be a whole number of at least 1"),
        (9, {"high": 8}, "a.b = 9: must be a whole number and at most 8"),
        (9, {"low": 0, "high": 8}, "a.b = 9: must be a whole number of at least 0 and at most 8"),
        (-1, {"low": 0, "high": 8}, "a.b = -1: must be a whole number of at least 0 and at most 8"),
        ([1], {}, "a.b = [1]: must be a whole number"),
    ],
)
def test_what_is_no_whole_number(value: Any, bounds: dict[str, int], line: str) -> None:
    """The limits are told, and both belong to what is allowed."""
    assert refusal(checks.integer, value, **bounds) == line


def test_limits_of_whole_numbers_are_allowed() -> None:
    """Both ends, and numbers beyond 64 bits."""
    assert [checks.integer("a.b", v, low=-2, high=3) for v in (-2, 3)] == [-2, 3]
    assert checks.integer("a.b", 2**100) == 2**100


@pytest.mark.parametrize(
    ("value", "found"),
    [((1, 2, 3), (1.0, 2.0, 3.0)), ([1, 2, 3], (1.0, 2.0, 3.0)), (range(3), (0.0, 1.0, 2.0)),
     (np.array([1, 2, 3]), (1.0, 2.0, 3.0)), ((x for x in (1, 2, 3)), (1.0, 2.0, 3.0))],
)  # fmt: skip
def test_vectors_of_any_kind_become_tuples(value: Any, found: tuple) -> None:
    """Lists, arrays, ranges and generators of three numbers."""
    assert checks.vector("a.b", value) == found
    assert type(checks.vector("a.b", found)) is tuple


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ((1, 2), "a.b = (1, 2): must be 3 finite numbers"),
        ((1, 2, 3, 4), "a.b = (1, 2, 3, 4): must be 3 finite numbers"),
        ("123", "a.b = '123': must be 3 finite numbers"),
        (b"123", "a.b = b'123': must be 3 finite numbers"),
        (5, "a.b = 5: must be 3 finite numbers"),
        (None, "a.b = None: must be 3 finite numbers"),
        ((1, 2, "3"), "a.b = '3': must be 3 finite numbers"),
        ((1, NAN, 3), "a.b = nan: must be 3 finite numbers"),
        (((1, 2, 3),), "a.b = ((1, 2, 3),): must be 3 finite numbers"),
    ],
)
def test_what_is_no_vector(value: Any, line: str) -> None:
    """The number of components, or the bad one, is shown."""
    assert refusal(checks.vector, value) == line


def test_vectors_of_other_lengths() -> None:
    """As many as the field has."""
    assert checks.vector("a.b", (1, 2), length=2) == (1.0, 2.0)
    assert (
        refusal(checks.vector, (1, 2, 3), length=9) == "a.b = (1, 2, 3): must be 9 finite numbers"
    )


def test_directions_are_not_zero() -> None:
    """Any length but none at all."""
    assert checks.direction("a.b", (0, 0, 1e-30)) == (0.0, 0.0, 1e-30)
    line = "a.b = (0, -0.0, 0): must be three numbers that are not all 0"
    assert refusal(checks.direction, (0, -0.0, 0)) == line


@pytest.mark.parametrize("value", ["c", "", "A", None, 1, ["a"]])
def test_choices(value: Any) -> None:
    """Exactly one of the words."""
    assert checks.one_of("a.b", "a", ("a", "b")) == "a"
    assert refusal(checks.one_of, value, ("a", "b")) == f"a.b = {value!r}: must be one of a, b"


def test_none_is_not_given() -> None:
    """An optional field passes None and checks everything else."""
    assert checks.optional(checks.positive, "a.b", None) is None
    assert checks.optional(checks.positive, "a.b", 2) == 2.0
    with pytest.raises(FieldError, match=r"a\.b = 0: must be a number above 0"):
        checks.optional(checks.positive, "a.b", 0)
