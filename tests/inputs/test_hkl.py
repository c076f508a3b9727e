"""Text lists of amplitudes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import InputFileError
from nbdask.inputs import hkl
from nbdask.inputs.hkl import read_hkl


def written(folder: Path, text: str) -> Path:
    """Return a file that holds ``text``."""
    path = folder / "list.hkl"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "0 0 0 1.5\n1 -2 3 2e2\n",
        "0 0 0 1.5\n1 -2 3 200",
        "# h k l F\n\n  0\t0 0 1.5 # direct beam\n \n1.0 -2. 3e0 2.0E+2\n",
        "0 0 0 1.5 0.1 77\n1 -2 3 200 0.3\n",
        "0 0 0 1.5\r\n1 -2 3 200\r\n",
        "\ufeff0 0 0 1.5\n1 -2 3 200 x y z\n",
    ],
)
def test_forms_of_one_list(tmp_path: Path, text: str) -> None:
    """Comments, blank lines, extra columns, tabs and integral floats all give the same grid."""
    grid = read_hkl(written(tmp_path, text), default_F=7.0)
    assert grid.minimum == (0, -2, 0)
    assert grid.values.shape == (2, 3, 4)
    assert grid.values[0, 2, 0] == 1.5
    assert grid.values[1, 0, 3] == 200.0
    assert np.count_nonzero(grid.values == 7.0) == 22


def test_fast_path_equals_slow_path(tmp_path: Path) -> None:
    """The table read by numpy is the one that is read line by line."""
    random = np.random.default_rng(3)
    rows = [
        f"{h} {k} {el} {f!r}"
        for (h, k, el), f in zip(
            random.integers(-9, 9, (500, 3)), random.uniform(0, 100, 500).tolist(), strict=True
        )
    ]
    path = written(tmp_path, "# list\n" + "\n".join(rows) + "\n")
    fast = hkl._read_fast(path)
    assert fast is not None
    assert np.array_equal(fast, hkl._read_slowly(path))


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "no reflection found: must be reflections, one a line: h k l F"),
        ("# nothing\n\n", "no reflection found"),
        ("0 0 0 1\n1 2 3\n", "line 2: found '1 2 3': must be four numbers: h k l F"),
        ("0 0 0 1\n\n1 2 x 4\n", "line 3: found '1 2 x 4'"),
        ("0,0,0,1\n", "line 1: found '0,0,0,1'"),
        ("0 0 0 nan\n", "line 1: found '0 0 0 nan'"),
        ("0 0 0 1\n0 0 1 inf\n", "line 2: found '0 0 1 inf'"),
        ("0 0 0 1\n0 1.5 0 1\n", "line 2: k is 1.5: must be a whole number"),
        ("0 0 99999999 1\n", "line 1: l is 1e+08: must be a whole number between"),
        ("0 0 0 1\n900 900 900 1\n", "a grid of 731432701 values: must be at most 536870912"),
    ],
)
def test_malformed_lists(tmp_path: Path, text: str, fragment: str) -> None:
    """One line names file, line, what was found and what is allowed."""
    path = written(tmp_path, text)
    with pytest.raises(InputFileError) as caught:
        read_hkl(path, 0.0)
    assert fragment in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_missing_folder_and_binary_files(tmp_path: Path) -> None:
    """A missing file, a folder and bytes that are not text are refused."""
    with pytest.raises(InputFileError, match="no such file or directory: must be a readable file"):
        read_hkl(tmp_path / "absent.hkl", 0.0)
    with pytest.raises(InputFileError, match="is a directory"):
        read_hkl(tmp_path, 0.0)
    binary = tmp_path / "binary.hkl"
    binary.write_bytes(b"0 0 0 1\n\xff\xfe\n")
    with pytest.raises(InputFileError, match="byte 0xff at offset 8 is not text"):
        read_hkl(binary, 0.0)
