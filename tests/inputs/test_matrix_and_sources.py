"""Orientation matrices, source lists, checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nbdask.errors import InputFileError
from nbdask.inputs.checksum import sha256_of
from nbdask.inputs.matrix import read_matrix
from nbdask.inputs.sourcefile import read_sources


def written(folder: Path, text: str) -> Path:
    """Return a file that holds ``text``."""
    path = folder / "input.txt"
    path.write_text(text)
    return path


def test_first_nine_numbers_are_the_matrix(tmp_path: Path) -> None:
    """Line breaks do not matter, touching numbers are parted, the rest is ignored."""
    text = "0.1 0.2 0.3 0.4\n-0.5-0.6\t7e-1\n\n 8. .9 1.0\n 0.000 missets\nnot a number\n"
    expected = (0.1, 0.2, 0.3, 0.4, -0.5, -0.6, 0.7, 8.0, 0.9)
    assert read_matrix(written(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "only 0 numbers found: must be nine numbers"),
        ("1 2 3\n4 5 6\n7 8\n", "only 8 numbers found"),
        ("1 2 3\n4 five 6\n7 8 9\n", "line 2: found 'five 6' after 4 numbers"),
        ("nan 0 0 0 1 0 0 0 1", "line 1: found 'nan 0 0 0 1 0 0 0 1' after 0 numbers"),
    ],
)
def test_malformed_matrices(tmp_path: Path, text: str, fragment: str) -> None:
    """Too few numbers or other words are refused with their line."""
    with pytest.raises(InputFileError) as caught:
        read_matrix(written(tmp_path, text))
    assert fragment in str(caught.value)


def test_columns_and_separators_of_sources(tmp_path: Path) -> None:
    """Any separator of C parts columns; missing ones are None, those after the fifth ignored."""
    text = "# x y z w lambda\n-10 0 0\n\n -10,0.5;0:1.5!1e-10 99 # comment\n ,; \n-1\t2\n"
    assert read_sources(written(tmp_path, text)) == (
        (-10.0, 0.0, 0.0, None, None),
        (-10.0, 0.5, 0.0, 1.5, 1e-10),
        (-1.0, 2.0, None, None, None),
    )


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("# none\n\n", "no source found: must be sources, one a line"),
        ("-10 0 0\n-10 0 zero\n", "line 2: found 'zero': must be numbers"),
        ("-10 0 0 inf\n", "line 1: found 'inf': must be numbers"),
        ("0 0 0 1 1e-10\n", "line 1: a source at 0 0 0: must be away from the sample"),
        ("-10 0 0 -1\n", "line 1: a weight of -1: must be a number of at least 0"),
        ("-10 0 0 1 0\n", "line 1: a wavelength of 0 m: must be a number above 0, in metres"),
    ],
)
def test_malformed_sources(tmp_path: Path, text: str, fragment: str) -> None:
    """A bad source is refused with its line and what is allowed."""
    with pytest.raises(InputFileError) as caught:
        read_sources(written(tmp_path, text))
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_checksum_is_that_of_the_content(tmp_path: Path) -> None:
    """The digest is SHA-256 of all bytes; a missing file is refused."""
    path = tmp_path / "big.bin"
    content = b"nbdask" * 400_000
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()
    with pytest.raises(InputFileError, match="no such file"):
        sha256_of(tmp_path / "absent")
