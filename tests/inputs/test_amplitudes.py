"""Reflections on a grid."""

from __future__ import annotations

import numpy as np
import pytest

from nbdask.errors import InputFileError
from nbdask.inputs.amplitudes import MAX_VALUES, from_reflections


def test_grid_spans_the_indices_and_is_filled_with_default() -> None:
    """Two reflections span a 2 x 1 x 3 grid; the four places between hold default_F."""
    grid = from_reflections([(-1, 2, 0, 10.0), (0, 2, 2, 20.0)], default_F=7.0)
    assert grid.minimum == (-1, 2, 0)
    assert grid.maximum == (0, 2, 2)
    assert grid.values.dtype == np.float64
    assert grid.values.tolist() == [[[10.0, 7.0, 7.0]], [[7.0, 7.0, 20.0]]]


def test_later_duplicates_win() -> None:
    """Of three values for one reflection the last is kept, in long lists too."""
    rows = [(h, 0, 0, 1.0) for h in range(100)] * 3
    rows[250] = (50, 0, 0, 5.0)
    rows[150] = (50, 0, 0, 9.0)
    grid = from_reflections(np.array(rows), default_F=0.0)
    assert grid.values[50, 0, 0] == 5.0
    assert grid.values.sum() == 104.0


@pytest.mark.parametrize(
    ("rows", "fragment"),
    [
        ([], "must be one reflection"),
        ([(1, 2, 3)], "must be one reflection"),
        ([(0, 0, 0, 1.0), (1.5, 0, 0, 1.0)], "reflection 2 is (1.5, 0, 0, 1)"),
        ([(0, 0, 0, float("nan"))], "reflection 1 is (0, 0, 0, nan)"),
        ([(0, 0, 0, 1.0), (1e9, 0, 0, 1.0)], "at most 1000000 in size"),
        ([(0, 0, 0, 1.0), (999, 999, 999, 1.0)], "a grid of 1000000000 values: must be at most"),
    ],
)
def test_refused_lists(rows: list[tuple[float, ...]], fragment: str) -> None:
    """Empty lists, odd indices and absurd grids are refused with numbers in the message."""
    with pytest.raises(InputFileError) as caught:
        from_reflections(rows, 0.0)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert MAX_VALUES == 2**29
