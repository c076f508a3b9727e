"""Damaged files: a reader gives a result or one line, never anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbdask.amplitudes.lists import read_reflections
from nbdask.amplitudes.models import read_model
from nbdask.errors import InputError
from tests.amplitudes.support import mmcif, pdb, refln, write_mtz

SHELX = (
    "   1   2   3   25.00    1.00\n   0   0   0    0.00    0.00\n"
    "CELL 0.71 23 17 29 90 101 90\nLATT -1\nSYMM -X, 0.5+Y, -Z\n"
)
Edit = tuple[int, int, bytes]
edits = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 20), st.binary(max_size=6)),
    min_size=1,
    max_size=4,
)


def damaged(data: bytes, changes: list[Edit]) -> bytes:
    """Replace pieces of a file, each (place, length, new bytes)."""
    for place, length, new in changes:
        start = place % (len(data) + 1)
        data = data[:start] + new + data[start + length :]
    return data


@pytest.mark.parametrize("name", ["m.pdb", "m.cif", "r.cif", "r.hkl", "r.mtz"])
@given(changes=edits)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files(name: str, changes: list[Edit], tmp_path: Path) -> None:
    """Atoms and reflections, text and binary."""
    path = tmp_path / name
    read: Callable[[Path], object] = read_reflections
    if name.startswith("m"):
        read, data = read_model, (pdb() if name.endswith("pdb") else mmcif()).encode()
    elif name == "r.mtz":
        columns = [("F(+)", "G"), ("SIGF(+)", "L"), ("F(-)", "G"), ("SIGF(-)", "L")]
        data = write_mtz(path, columns, [(1, 2, k, 5, 1, 6, 1) for k in range(8)]).read_bytes()
    else:
        text = SHELX if name == "r.hkl" else refln("F_meas F_meas_sigma", ["1 2 3 5 1"] * 3)
        data = text.encode()
    path.write_bytes(damaged(data, changes))
    said = ""
    try:
        read(path)
    except InputError as error:
        said = str(error)
    assert "\n" not in said
