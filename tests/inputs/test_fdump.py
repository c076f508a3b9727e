"""nanoBragg's binary grid of amplitudes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import InputFileError
from nbdask.inputs.amplitudes import from_reflections
from nbdask.inputs.fdump import read_fdump, write_fdump

SPARSE = (
    (0, 0, 0, 100.0),
    (1, 0, 0, 50.0),
    (0, 1, 0, 25.0),
    (1, 1, 0, 12.5),
    (2, 0, 0, 200.0),
    (0, 2, 0, 150.0),
    (-1, 0, 0, 70.0),
    (0, -1, 2, 90.0),
    (-2, 1, -1, 33.25),
    (3, -2, 1, 61.5),
)
#: Of the file that the C program leaves behind for this list and -default_F 10.
FROM_C = "a4c68d8a60c33de4eef1af1e1f2a96124b2e4b7e2d22129a05a2a7f41196d3da"


def test_written_bytes_are_those_of_the_c_program(tmp_path: Path) -> None:
    """The dump of a sparse list with default_F equals nanoBragg's own file."""
    path = tmp_path / "Fdump.bin"
    write_fdump(path, from_reflections(SPARSE, 10.0))
    content = path.read_bytes()
    assert content.startswith(b"-2 3 -2 2 -1 2\n\f")
    assert hashlib.sha256(content).hexdigest() == FROM_C


def test_reading_drops_the_spare_planes(tmp_path: Path) -> None:
    """What was written is read back, whatever the spare places hold."""
    grid = from_reflections(SPARSE, 10.0)
    path = tmp_path / "Fdump.bin"
    write_fdump(path, grid)
    content = path.read_bytes()
    back = read_fdump(path)
    assert back.minimum == grid.minimum
    assert np.array_equal(back.values, grid.values)
    path.write_bytes(content[:-8] + b"\xff" * 8)
    assert np.array_equal(read_fdump(path).values, grid.values)


ONE = b"0 0 0 0 0 0\n\f" + np.zeros(8).tobytes()


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "line 1: no index ranges found: must be 'h_min h_max"),
        (b"0 0 0 0 0\n\f" + b"\0" * 64, "line 1: no index ranges found"),
        (b"h k l F\n", "line 1: no index ranges found"),
        (b"2 0 0 0 0 0\n\f" + b"\0" * 64, "line 1: h from 2 to 0: must be an ascending range"),
        (ONE[:-1], "63 bytes of amplitudes found: must be 64 for 2 x 2 x 2 values"),
        (ONE + b"\0", "65 bytes of amplitudes found: must be 64"),
        (b"0 9999 0 9999 0 9999\n\f", "a grid of 1000000000000 values: must be at most"),
        (b"0 0 0 0 5 5\n\f" + np.full(8, np.nan).tobytes(), "F(0 0 5) is not finite"),
    ],
)
def test_malformed_dumps(tmp_path: Path, content: bytes, fragment: str) -> None:
    """Truncated, prolonged and garbled files are refused in one line."""
    path = tmp_path / "Fdump.bin"
    path.write_bytes(content)
    with pytest.raises(InputFileError) as caught:
        read_fdump(path)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_unwritable_place(tmp_path: Path) -> None:
    """Files that cannot be opened are refused by name."""
    with pytest.raises(InputFileError, match=r"Fdump\.bin: no such file"):
        read_fdump(tmp_path / "Fdump.bin")
    with pytest.raises(InputFileError, match="no such file"):
        write_fdump(tmp_path / "absent" / "Fdump.bin", from_reflections(SPARSE, 0.0))


@pytest.mark.shared
def test_dump_of_the_reference_set(golden: Path) -> None:
    """The file in the full reference set is the one that the checksum above stands for."""
    import gzip

    path = golden / "images" / "hkl_sparse_default.Fdump.bin.gz"
    assert hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest() == FROM_C
