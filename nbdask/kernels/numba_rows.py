"""Small steps on rows of scratch memory, as plain loops: they compile far faster than slices."""

from __future__ import annotations

from typing import Any

from nbdask.kernels.numba_jit import formula


@formula
def fill(row: Any, value: Any, count: int) -> None:
    """Set the first ``count`` numbers of a row."""
    for i in range(count):
        row[i] = value


@formula
def copy(row: Any, count: int, target: Any) -> None:
    """Copy the first ``count`` numbers of a row to another."""
    for i in range(count):
        target[i] = row[i]


@formula
def largest(row: Any, count: int) -> float:
    """Return the largest of the first ``count`` numbers of a row, or 0."""
    result = 0.0
    for i in range(count):
        result = max(result, row[i])
    return result


@formula
def any_zero(row: Any, count: int) -> bool:
    """Return True if one of the first ``count`` numbers of a row is 0."""
    found = 0
    for i in range(count):
        found += 1 if row[i] == 0.0 else 0
    return found > 0
