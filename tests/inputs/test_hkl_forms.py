"""Text lists in every form that editors and programs give them, and the lines that refuse one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import InputFileError
from nbdask.inputs.amplitudes import MAX_INDEX, AmplitudeGrid
from nbdask.inputs.hkl import read_hkl

index = st.integers(-12, 12)
amplitude = st.floats(-1e300, 1e300, allow_subnormal=True)
rows_of_lists = st.lists(st.tuples(index, index, index, amplitude), min_size=1, max_size=25)
blank = st.sampled_from([" ", "\t", "  ", " \t "])
WHAT = "reflections, one a line: h k l F"
TEXT = f"is not text: must be a text file holding {WHAT}"


def read(folder: Path, content: bytes | str, default: float = 0.0) -> AmplitudeGrid:
    """Read a list of the given content."""
    path = folder / "list.hkl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_hkl(path, default)


def refusal(folder: Path, content: bytes | str) -> str:
    """Return the one line that refuses a content, without the path that it begins with."""
    with pytest.raises(InputFileError) as caught:
        read(folder, content)
    text = str(caught.value)
    assert "\n" not in text
    return text.removeprefix(f"{folder / 'list.hkl'}: ")


def as_dict(grid: AmplitudeGrid) -> dict[tuple[int, ...], float]:
    """Return every amplitude of a grid by its indices."""
    return {
        tuple(int(i) + low for i, low in zip(place, grid.minimum, strict=True)): float(value)
        for place, value in np.ndenumerate(grid.values)
    }


@pytest.mark.long
@given(rows=rows_of_lists, data=st.data())
@settings(max_examples=12, deadline=None)
def test_a_written_list_comes_back_to_the_last_bit(
    rows: list, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever blanks part the columns; of duplicates the last, and default_F in the gaps."""
    lines = [
        data.draw(blank).join((str(h), str(k), str(el), repr(f))) + data.draw(st.just("") | blank)
        for h, k, el, f in rows
    ]
    grid = read(tmp_path_factory.getbasetemp(), "\n".join(lines), default=-7.5)
    expected = {row[:3]: row[3] for row in rows}
    found = as_dict(grid)
    assert {hkl: found[hkl] for hkl in expected} == expected
    assert all(value == -7.5 for hkl, value in found.items() if hkl not in expected)
    corners = list(zip(*expected, strict=True))
    assert grid.minimum == tuple(min(c) for c in corners)
    assert grid.maximum == tuple(max(c) for c in corners)


@given(rows=rows_of_lists)
@settings(max_examples=15, deadline=None)
def test_a_line_that_only_the_careful_reader_takes_changes_nothing(
    rows: list, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A bad last line is refused by its number, so all lines before it were understood."""
    folder = tmp_path_factory.getbasetemp()
    lines = [" ".join((str(h), str(k), str(el), repr(f))) for h, k, el, f in rows]
    found = refusal(folder, "\n".join([*lines, "1 2 three 4"]))
    assert found.startswith(f"line {len(rows) + 1}: found '1 2 three 4': must be four numbers")


@pytest.mark.parametrize(
    "content",
    [
        b"0 0 0 1.5\n2 0 0 3\n",
        b"0 0 0 1.5\n2 0 0 3",
        b"0 0 0 1.5\r\n2 0 0 3\r\n",
        b"0 0 0 1.5\r2 0 0 3\r",
        b"\xef\xbb\xbf0 0 0 1.5\n2 0 0 3\n",
        b"\xef\xbb\xbf# with a mark of the encoding\r\n0 0 0 1.5\r\n\r\n2 0 0 3\r\n\r\n",
        b"\n\n\n0 0 0 1.5\n\n \t \n2 0 0 3\n\n\n",
        b"#\n##\n0 0 0 1.5#2 2 2 2\n2 0 0 3 # 4\n#9 9 9 9\n",
        b"   0   0   0   1.5   \n\t2\t0\t0\t3\t\n",
        b"+0 -0 0. +1.5\n2.000 0e7 .0 0.3e+1\n",
        b"0 0 0 15e-1 nan inf x\n2 0 0 300E-2 # FOM\n",
        b"0 0 0 9\n0 0 0 1.5\n2 0 0 3\n",
        "0 0 0 1.5 # Å\n2 0 0 3 é\n".encode(),
    ],
)
def test_forms_of_one_list(content: bytes, tmp_path: Path) -> None:
    """Line endings, marks, comments, blank lines, signs, exponents and further columns."""
    grid = read(tmp_path, content, default=8.0)
    assert grid.minimum == (0, 0, 0)
    assert grid.values.tolist() == [[[1.5]], [[8.0]], [[3.0]]]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("0 0 0\n", "line 1: found '0 0 0': must be four numbers: h k l F"),
        ("0 0 0 1\n\n\n0\n", "line 4: found '0': must be four numbers: h k l F"),
        ("0 0 0 1\r\n0 0 x 1\r\n", "line 2: found '0 0 x 1': must be four numbers: h k l F"),
        ("# a\n# b\n0 0 0 # 1\n", "line 3: found '0 0 0 # 1': must be four numbers: h k l F"),
        ("0 0 0 1\n0; 0; 1; 2\n", "line 2: found '0; 0; 1; 2': must be four numbers: h k l F"),
        ("0 0 0 0x10\n", "line 1: found '0 0 0 0x10': must be four numbers: h k l F"),
        ("0 0 0 1_000\n", "line 1: found '0 0 0 1_000': must be four numbers: h k l F"),
        ("0 0 0 1d3\n", "line 1: found '0 0 0 1d3': must be four numbers: h k l F"),
        ("0 0 0 1,5\n", "line 1: found '0 0 0 1,5': must be four numbers: h k l F"),
        ("0 0 0 --1\n", "line 1: found '0 0 0 --1': must be four numbers: h k l F"),
        ("0 0 0 1e\n", "line 1: found '0 0 0 1e': must be four numbers: h k l F"),
        ("0 0 0 .\n", "line 1: found '0 0 0 .': must be four numbers: h k l F"),
        ("0 0 0 ٣\n", "line 1: found '0 0 0 ٣': must be four numbers: h k l F"),
        ("0 0 0 1e999\n", "line 1: found '0 0 0 1e999': must be four numbers: h k l F"),
        ("0 0 0 -infinity\n", "line 1: found '0 0 0 -infinity': must be four numbers: h k l F"),
        ("0 0 0 1+2j\n", "line 1: found '0 0 0 1+2j': must be four numbers: h k l F"),
        ("0.5 0 0 1\n", "line 1: h is 0.5: must be a whole number between -1000000 and 1000000"),
        ("0 0 1e-9 1\n", "line 1: l is 1e-09: must be a whole number between -1000000 and 1000000"),
        (
            "0 0 0 1\n0 -1000001 0 1\n",
            "line 2: k is -1e+06: must be a whole number between -1000000 and 1000000",
        ),
        (
            "0 0 0 1\n1e300 0 0 1\n",
            "line 2: h is 1e+300: must be a whole number between -1000000 and 1000000",
        ),
        ("\n", f"no reflection found: must be {WHAT}"),
        ("\ufeff", f"no reflection found: must be {WHAT}"),
        (" \t \r\n # 1 2 3 4\n", f"no reflection found: must be {WHAT}"),
        (b"\x1f\x8b\x08\0", f"byte 0x8b at offset 1 {TEXT}"),
        (b"0 0 0 1 \xe9\n", f"byte 0xe9 at offset 8 {TEXT}"),
        ("0 0 0 1\n".encode("utf-16"), f"byte 0xff at offset 0 {TEXT}"),
    ],
)
def test_refused_lists(content: bytes | str, line: str, tmp_path: Path) -> None:
    """The whole line: place, what was found, what must be there."""
    assert refusal(tmp_path, content) == line


def test_a_long_line_is_shown_in_part(tmp_path: Path) -> None:
    """Sixty letters of it, on one line."""
    found = refusal(tmp_path, "word" * 1000 + "\n")
    assert found == f"line 1: found '{'word' * 15}...': must be four numbers: h k l F"


def test_letters_that_cannot_be_shown_are_written_as_codes(tmp_path: Path) -> None:
    """No message holds a control letter."""
    found = refusal(tmp_path, "0 0 \x1b[31m 1\n0 0 0 1")
    assert found == r"line 1: found '0 0 \x1b[31m 1': must be four numbers: h k l F"


@pytest.mark.parametrize("value", [MAX_INDEX, -MAX_INDEX])
def test_the_greatest_indices_are_taken(value: int, tmp_path: Path) -> None:
    """A list of one reflection is a grid of one value, however far out it is."""
    grid = read(tmp_path, f"{value} 0 {value} 2.5\n")
    assert grid.minimum == grid.maximum == (value, 0, value)
    assert grid.values.tolist() == [[[2.5]]]


def test_a_stray_index_is_told_by_the_spans(tmp_path: Path) -> None:
    """The message names all three ranges, so that the odd one is seen."""
    found = refusal(tmp_path, "0 0 0 1\n-999999 0 5 1\n1 900 0 1\n")
    assert found == (
        "the indices span h -999999 to 1, k 0 to 900, l 0 to 5, a grid of 5406005406 values: must"
        " be at most 536870912 (look for a stray index)"
    )


def test_amplitudes_may_be_negative_zero_tiny_or_huge(tmp_path: Path) -> None:
    """Any finite number; what is too small for float64 is 0."""
    grid = read(
        tmp_path, "0 0 0 -3\n0 0 1 0\n0 0 2 5e-324\n0 0 3 1.7976931348623157e308\n0 0 4 1e-999"
    )
    assert grid.values.ravel().tolist() == [-3.0, 0.0, 5e-324, 1.7976931348623157e308, 0.0]


def test_a_list_that_was_cut_off_is_refused_where_columns_are_missing(tmp_path: Path) -> None:
    """Cut anywhere within its last line: between lines and within the last number it is a list."""
    whole = "0 0 0 100\n0 0 1 200\n"
    for length in range(len("0 0 0 100\n"), len(whole)):
        cut = whole[:length]
        words = cut.splitlines()[-1].split() if len(cut) > 10 else []
        if len(words) in (0, 4):
            assert read(tmp_path, cut).values.size == 1 + (len(words) == 4)
        else:
            assert refusal(tmp_path, cut).startswith("line 2: found ")
