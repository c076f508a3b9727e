"""Laws of the grid of amplitudes, and its binary form: every round trip, every truncation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nbdask.errors import InputFileError
from nbdask.inputs.amplitudes import (
    MAX_INDEX,
    MAX_VALUES,
    AmplitudeGrid,
    check_size,
    from_reflections,
)
from nbdask.inputs.fdump import read_fdump, write_fdump

finite = st.floats(allow_nan=False, allow_infinity=False)
index = st.integers(-6, 6)
lists = st.lists(st.tuples(index, index, index, finite), min_size=1, max_size=30)
grids = st.builds(
    AmplitudeGrid,
    values=arrays.arrays(np.float64, st.tuples(*[st.integers(1, 5)] * 3), elements=finite),
    minimum=st.tuples(*[st.integers(-1000, 1000)] * 3),
)


def dump(folder: Path, content: bytes) -> Path:
    """Return a file of the given content."""
    path = folder / "Fdump.bin"
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    """Return the line that refuses a dump, without its path."""
    with pytest.raises(InputFileError) as caught:
        read_fdump(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@given(lists, st.randoms())
@settings(max_examples=12, deadline=None)
def test_the_order_of_a_list_without_duplicates_does_not_matter(rows: list, random) -> None:
    """The grid is a function of the set of reflections."""
    unique = list({row[:3]: row for row in rows}.values())
    shuffled = random.sample(unique, len(unique))
    one, other = from_reflections(unique, 3.0), from_reflections(shuffled, 3.0)
    assert one.minimum == other.minimum
    assert np.array_equal(one.values, other.values)


@given(lists, st.tuples(*[st.integers(-100, 100)] * 3))
@settings(max_examples=12, deadline=None)
def test_moving_all_indices_moves_the_grid(rows: list, shift: tuple) -> None:
    """The values stay, their first indices move along."""
    moved = [(*(i + s for i, s in zip(row[:3], shift, strict=True)), row[3]) for row in rows]
    one, other = from_reflections(rows, -1.0), from_reflections(moved, -1.0)
    assert np.array_equal(one.values, other.values)
    assert other.minimum == tuple(m + s for m, s in zip(one.minimum, shift, strict=True))
    assert other.maximum == tuple(m + s for m, s in zip(one.maximum, shift, strict=True))


@given(lists)
@settings(max_examples=15, deadline=None)
def test_lists_and_arrays_are_the_same(rows: list) -> None:
    """Rows of Python numbers, or an array of float64."""
    one, other = from_reflections(rows, 0.0), from_reflections(np.array(rows, dtype=float), 0.0)
    assert one.minimum == other.minimum
    assert np.array_equal(one.values, other.values)


@given(lists)
@settings(max_examples=15, deadline=None)
def test_listing_a_grid_gives_the_grid_again(rows: list) -> None:
    """All values of a grid as a list are that grid, whatever default_F is."""
    grid = from_reflections(rows, 2.0)
    listed = [
        (*(int(i) + m for i, m in zip(place, grid.minimum, strict=True)), value)
        for place, value in np.ndenumerate(grid.values)
    ]
    again = from_reflections(listed, 99.0)
    assert again.minimum == grid.minimum
    assert np.array_equal(again.values, grid.values)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (np.zeros((0, 4)), "an array of shape (0, 4): must be one reflection (h k l F) or more"),
        (np.zeros(4), "an array of shape (4,): must be one reflection (h k l F) or more"),
        (np.zeros((2, 5)), "an array of shape (2, 5): must be one reflection (h k l F) or more"),
        (
            np.zeros((1, 4, 1)),
            "an array of shape (1, 4, 1): must be one reflection (h k l F) or more",
        ),
        (
            [(0, 0, 0, 1), (0, np.inf, 0, 1)],
            "reflection 2 is (0, inf, 0, 1): must be three whole numbers of at most 1000000 in size"
            " and an amplitude",
        ),
        (
            [(0, 0, -1000001, 1)],
            "reflection 1 is (0, 0, -1e+06, 1): must be three whole numbers of at most 1000000 in"
            " size and an amplitude",
        ),
        (
            [(0, 0, 0.25, 1)],
            "reflection 1 is (0, 0, 0.25, 1): must be three whole numbers of at most 1000000 in"
            " size and an amplitude",
        ),
    ],
)
def test_refused_arrays(rows, line: str) -> None:
    """The whole line, with the name of where the list came from."""
    with pytest.raises(InputFileError) as caught:
        from_reflections(rows, 0.0, source="my list")
    assert str(caught.value) == f"my list: {line}"


def test_the_greatest_grid() -> None:
    """A grid of 2^29 values is taken, of one more plane refused; nothing is allocated for that."""
    check_size((0, 0, 0), (2**9 - 1, 2**10 - 1, 2**10 - 1), "a")
    assert MAX_VALUES == 2**29
    with pytest.raises(InputFileError, match="a: the indices span h 0 to 512, k 0 to 1023"):
        check_size((0, 0, 0), (2**9, 2**10 - 1, 2**10 - 1), "a")
    with pytest.raises(InputFileError, match="a grid of 8000012000006000001 values"):
        check_size((-MAX_INDEX,) * 3, (MAX_INDEX,) * 3, "a")


@given(grid=grids)
@settings(max_examples=15, deadline=None)
def test_a_dump_comes_back_to_the_last_bit(
    grid: AmplitudeGrid, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any finite values at any place; written again, the same bytes."""
    path = tmp_path_factory.getbasetemp() / "a.bin"
    write_fdump(path, grid)
    first = path.read_bytes()
    again = read_fdump(path)
    assert again.minimum == grid.minimum
    assert again.values.tobytes() == grid.values.tobytes()
    write_fdump(path, again)
    assert path.read_bytes() == first
    size = np.prod([n + 1 for n in grid.values.shape])
    assert len(first) == first.index(b"\f") + 1 + 8 * size


def test_a_dump_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """At every length but the whole one, in the head and in the values."""
    path = tmp_path / "whole.bin"
    write_fdump(path, AmplitudeGrid(np.arange(2.0).reshape(1, 1, 2), (-1, 0, 3)))
    content = path.read_bytes()
    assert read_fdump(path).values.tolist() == [[[0.0, 1.0]]]
    head = content.index(b"\f") + 1
    for length in range(len(content)):
        found = refusal(dump(tmp_path, content[:length]))
        if length < head:
            assert found.startswith("line 1: no index ranges found: must be 'h_min h_max k_min")
        else:
            assert found == (
                f"{length - head} bytes of amplitudes found: must be 96 for 2 x 2 x 3 values of 8"
                " bytes"
            )


@pytest.mark.parametrize(
    "head",
    [
        b"0 0 0 0 0 0\n\f",
        b"  0\t0 0  0 0 0 \t\n\f",
        b"0 0 0 0 0 0\r\n\f",
        b"+0 -0 00 0 0 0000000\n\f",
    ],
)
def test_forms_of_the_first_line(head: bytes, tmp_path: Path) -> None:
    """Blanks, tabs, signs and a carriage return are passed over."""
    values = np.zeros((2, 2, 2))
    values[0, 0, 0] = 12.5
    grid = read_fdump(dump(tmp_path, head + values.tobytes()))
    assert grid.minimum == grid.maximum == (0, 0, 0)
    assert grid.values.tolist() == [[[12.5]]]


@pytest.mark.parametrize(
    "head",
    [
        b"\n0 0 0 0 0 0\n\f",
        b"0 0 0 0 0 0\f",
        b"0 0 0 0 0 0\n",
        b"0 0 0 0 0 0\n\n\f",
        b"0 0 0 0 0 0 0\n\f",
        b"0.0 0 0 0 0 0\n\f",
        b"0,0,0,0,0,0\n\f",
        b"0 0 0 0 0 12345678\n\f",
        b"0 0 0 0 0 " + b" " * 200 + b"0\n\f",
        b"\xef\xbb\xbf0 0 0 0 0 0\n\f",
    ],
)
def test_other_first_lines_are_refused(head: bytes, tmp_path: Path) -> None:
    """Too many or too few numbers, other separators, no form feed, a line that never ends."""
    found = refusal(dump(tmp_path, head + bytes(64)))
    assert found.startswith("line 1: no index ranges found: must be 'h_min h_max k_min k_max")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (1, 0, 2), (1, 1, 2)])
def test_a_value_that_is_not_finite_is_told_by_its_indices(
    value: float, place: tuple, tmp_path: Path
) -> None:
    """Of the used values; the spare ones may hold anything."""
    values = np.ones((2, 2, 3))
    values[place] = value
    path = tmp_path / "a.bin"
    write_fdump(path, AmplitudeGrid(values, (-4, 10, 7)))
    h, k, el = (i + m for i, m in zip(place, (-4, 10, 7), strict=True))
    assert refusal(path) == f"F({h} {k} {el}) is not finite: must be a finite number"


def test_spare_values_are_of_no_concern(tmp_path: Path) -> None:
    """Not a number in all of them, and the grid is what it was."""
    padded = np.full((3, 2, 4), np.nan, dtype="<f8")
    padded[:-1, :-1, :-1] = 7.0
    grid = read_fdump(dump(tmp_path, b"5 6 0 0 -1 1\n\f" + padded.tobytes()))
    assert grid.values.tolist() == np.full((2, 1, 3), 7.0).tolist()
    assert (grid.minimum, grid.maximum) == ((5, 0, -1), (6, 0, 1))


def test_a_huge_range_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """The head alone says that the file cannot be meant."""
    found = refusal(dump(tmp_path, b"-999999 999999 0 999 0 0\n\f"))
    assert found.startswith("the indices span h -999999 to 999999, k 0 to 999, l 0 to 0, a grid of")


def test_an_unwritable_dump_is_told(tmp_path: Path) -> None:
    """A folder in the way."""
    grid = AmplitudeGrid(np.ones((1, 1, 1)), (0, 0, 0))
    with pytest.raises(InputFileError) as caught:
        write_fdump(tmp_path, grid)
    assert str(caught.value) == (
        f"{tmp_path}: is a directory: must be a readable file holding (or able to hold) a dump of"
        " amplitudes"
    )
