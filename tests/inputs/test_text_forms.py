"""Numbers as text, matrices and source lists in every form, whole lines of refusal."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import InputFileError
from nbdask.inputs.matrix import read_matrix
from nbdask.inputs.sourcefile import read_sources
from nbdask.inputs.text import problem, read_lines, shown, to_number, unreadable

finite = st.floats(allow_nan=False, allow_infinity=False)
MATRIX = "nine numbers: rows x, y, z, columns a*, b*, c*"
TEXT = "is not text: must be a text file holding"
SOURCES = "sources, one a line: x y z weight wavelength[m]"


def written(folder: Path, content: bytes | str) -> Path:
    """Return a file of the given content."""
    path = folder / "input.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(read, path: Path) -> str:
    """Return the line that refuses a file, without its path."""
    with pytest.raises(InputFileError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


@given(finite)
@settings(max_examples=25, deadline=None)
def test_numbers_come_back_from_their_text(value: float) -> None:
    """Python's shortest form, and C's with 17 digits, give the number to the last bit."""
    for text in (repr(value), f"{value:.17g}", f"{value:+.16e}", f"{value:.16E}"):
        assert to_number(text) == value


@pytest.mark.parametrize(
    "word",
    ["1", "1.", ".5", "+.5", "-1.25e-3", "1E5", "1e+05", "000123", "0.1e0", "9" * 300, "1e-400"],
)
def test_numbers_of_c(word: str) -> None:
    """All that C's scanf reads as one decimal number."""
    assert to_number(word) == float(word)


@pytest.mark.parametrize(
    "word",
    ["", " 1", "1 ", "1e", "e5", "1e5.5", ".", "+", "-.", "1,0", "1_0", "0x1f", "nan", "inf",
     "-Infinity", "1f", "١", "１", "1\n", "½", "1e400", "9" * 400, "True", "--1", "1-2"],
)  # fmt: skip
def test_what_is_no_number(word: str) -> None:
    """Other words, digits of other scripts, and what no float64 can hold."""
    assert to_number(word) is None


@given(
    st.lists(finite, min_size=9, max_size=9), st.sampled_from([" ", "\n", "\t", "\r\n", "  \n "])
)
@settings(max_examples=20, deadline=None)
def test_a_written_matrix_comes_back(
    tmp_path_factory: pytest.TempPathFactory, numbers: list, between: str
) -> None:
    """To the last bit, however its lines are broken."""
    path = written(tmp_path_factory.getbasetemp(), between.join(map(repr, numbers)))
    assert read_matrix(path) == tuple(numbers)


@pytest.mark.parametrize(
    "content",
    [
        "1 2 3\n4 5 6\n7 8 9\n",
        "1 2 3 4 5 6 7 8 9",
        "1\r2\r3\r4\r5\r6\r7\r8\r9\r",
        b"\xef\xbb\xbf1 2 3\r\n4 5 6\r\n7 8 9\r\n",
        "\n\n 1 2 3\n\n\t4 5 6\n \n7 8 9 10 11 12\nand so on",
        "1 2 3\n4 5 6\n7 8 9garbage",
        "1+2+3\n+4+5+6\n7.+8.+9.\n",
        "1e0 20e-1 .3e1 4 5 6 7 8 9 nan",
    ],
)
def test_forms_of_one_matrix(content: bytes | str, tmp_path: Path) -> None:
    """The first nine numbers in free format."""
    assert read_matrix(written(tmp_path, content)) == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", f"only 0 numbers found: must be {MATRIX}"),
        (" \n\t\r\n", f"only 0 numbers found: must be {MATRIX}"),
        ("1 2 3\n4 5 6\n7 8", f"only 8 numbers found: must be {MATRIX}"),
        ("# 1 2 3\n", f"line 1: found '# 1 2 3' after 0 numbers: must be {MATRIX}"),
        ("1, 2, 3", f"line 1: found ', 2, 3' after 1 numbers: must be {MATRIX}"),
        ("1 2\n3 4 inf 6", f"line 2: found 'inf 6' after 4 numbers: must be {MATRIX}"),
        ("1 2 3\n\n- 4", f"line 3: found '- 4' after 3 numbers: must be {MATRIX}"),
        (b"1 2 3\n\xb5", f"byte 0xb5 at offset 6 {TEXT} {MATRIX}"),
    ],
)  # fmt: skip
def test_refused_matrices(content: bytes | str, line: str, tmp_path: Path) -> None:
    """The whole line: place, what was found, what must be there."""
    assert refusal(read_matrix, written(tmp_path, content)) == line


def test_a_matrix_of_numbers_that_float64_cannot_hold_is_refused_later_by_its_field(
    tmp_path: Path,
) -> None:
    """The reader knows decimal numbers; what they may be is the crystal's concern."""
    from nbdask.errors import FieldError
    from nbdask.experiment import Crystal

    numbers = read_matrix(written(tmp_path, "1e999 0 0 0 1 0 0 0 1"))
    assert math.isinf(numbers[0])
    with pytest.raises(FieldError, match=r"crystal\.matrix = .*: must be 9 finite numbers"):
        Crystal(matrix=numbers)


places = st.floats(-1e6, 1e6, allow_subnormal=False).filter(bool)
rows_of_sources = st.lists(
    st.tuples(
        places, places, places, st.floats(0, 1e9, allow_subnormal=False), st.floats(1e-12, 1e-6)
    ),
    min_size=1,
    max_size=8,
)


@given(rows=rows_of_sources, between=st.sampled_from([" ", "\t", ",", ", ", ";", ":", "!", " ;, "]))
@settings(max_examples=20, deadline=None)
def test_a_written_source_list_comes_back(
    rows: list, between: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """To the last bit, in its order, whatever parts the columns."""
    text = "\n".join(between.join(map(repr, row)) for row in rows)
    assert read_sources(written(tmp_path_factory.getbasetemp(), text)) == tuple(rows)


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
def test_missing_columns_are_told_apart_from_given_ones(columns: int, tmp_path: Path) -> None:
    """What a line does not have is None, whatever other lines have."""
    words = ["-1", "2", "3", "0", "1e-10"]
    found = read_sources(written(tmp_path, f"{' '.join(words[:columns])}\n-5 0 0 1 2e-10 7\n"))
    numbers: list[float | None] = [float(word) for word in words[:columns]]
    assert found == (tuple(numbers + [None] * (5 - columns)), (-5.0, 0.0, 0.0, 1.0, 2e-10))


@pytest.mark.parametrize(
    "content",
    [
        "-10 0 0\n-10 1 0\n",
        "-10 0 0\r\n-10 1 0",
        "-10 0 0\r-10 1 0\r",
        b"\xef\xbb\xbf# places\n\n-10 0 0\n\n\n-10 1 0\n\n",
        "-10,0,0,\n-10,1,0,;#,1\n",
        ",,-10 0 0\n!-10:1:0!\n# -9 9 9\n",
        "-10 0 0 # 5 1e-9\n-10 1 0 #\n",
    ],
)
def test_forms_of_one_source_list(content: bytes | str, tmp_path: Path) -> None:
    """Line endings, a mark of the encoding, comments, separators at either end."""
    none = (None, None)
    expected = ((-10.0, 0.0, 0.0, *none), (-10.0, 1.0, 0.0, *none))
    assert read_sources(written(tmp_path, content)) == expected


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", f"no source found: must be {SOURCES}"),
        (",;:!\n#\n", f"no source found: must be {SOURCES}"),
        ("-1 0 0\n-1 0 0 much\n", f"line 2: found 'much': must be numbers: {SOURCES}"),
        ("-1 0 0 1 1A\n", f"line 1: found '1A': must be numbers: {SOURCES}"),
        ("\n\n-1|0|0\n", f"line 3: found '-1|0|0': must be numbers: {SOURCES}"),
        ("-1 0 0 1e999\n", f"line 1: found '1e999': must be numbers: {SOURCES}"),
        ("-0.0 0 +0\n", "line 1: a source at 0 0 0: must be away from the sample"),
        ("-1 0 0 -0.5\n", "line 1: a weight of -0.5: must be a number of at least 0"),
        (
            "-1 0 0 1 -1e-10\n",
            "line 1: a wavelength of -1e-10 m: must be a number above 0, in metres",
        ),
        (b"-1 0 0\n-1 0 \xff\n",
         f"byte 0xff at offset 12 {TEXT} {SOURCES}"),
    ],
)  # fmt: skip
def test_refused_source_lists(content: bytes | str, line: str, tmp_path: Path) -> None:
    """The whole line: place, what was found, what must be there."""
    assert refusal(read_sources, written(tmp_path, content)) == line


def test_a_source_beside_the_origin_of_two_axes_is_taken(tmp_path: Path) -> None:
    """Only the sample itself is no place; a missing component is not 0."""
    assert read_sources(written(tmp_path, "0 0 1e-300\n0 0\n")) == (
        (0.0, 0.0, 1e-300, None, None),
        (0.0, 0.0, None, None, None),
    )


def test_lines_are_those_of_an_editor(tmp_path: Path) -> None:
    """All three line ends part lines; a form feed and other blanks do not."""
    path = written(tmp_path, b"\xef\xbb\xbfa\r\nb\rc\nd\x0ce\x0bf\xe2\x80\xa8g\n")
    assert read_lines(path, "text") == ["a", "b", "c", "d\x0ce\x0bf\u2028g", ""]
    assert read_lines(written(tmp_path, b""), "text") == [""]


def test_what_messages_are_made_of() -> None:
    """Words on one line and of a length that can be read; the system's reasons in small letters."""
    assert shown("a\nb\t'") == repr("a\nb\t'")
    assert shown("x" * 60) == f"'{'x' * 60}'"
    assert shown("x" * 61) == f"'{'x' * 60}...'"
    assert str(problem("a", None, "b", "c")) == "a: b: must be c"
    assert str(problem(Path("a"), 3, "b", "c")) == "a: line 3: b: must be c"
    error = OSError(5, "Input/output Error")
    assert str(unreadable("a", error, "c")) == (
        "a: input/output error: must be a readable file holding c"
    )
    assert str(unreadable("a", OSError("Odd"), "c")) == "a: odd: must be a readable file holding c"


@pytest.mark.parametrize("tail", ["x", ".", "e", "e+x", ". x"])
def test_a_long_run_of_digits_is_read_once(tail: str) -> None:
    """Trying every way to share them out between two parts would take hours."""
    assert to_number("9" * 1_000_000 + tail) is None
