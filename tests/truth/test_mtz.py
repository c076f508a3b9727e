"""Unmerged MTZ files of truth."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from nbdask.errors import InputError
from nbdask.truth.compute import Wanted, computed
from nbdask.truth.mtz import COLUMNS, write_mtz
from tests.truth.test_stored import TURNING


def test_the_file_comes_back(tmp_path: Path) -> None:
    """Indices, values and batches of all shots, as gemmi reads them."""
    truth = computed(TURNING, range(5), Wanted(True))
    count = write_mtz(truth, tmp_path / "a.mtz")
    mtz = gemmi.read_mtz_file(str(tmp_path / "a.mtz"))
    table = truth.to_pandas(reflections=True)
    assert mtz.nreflections == count == len(table)
    assert mtz.column_labels() == [*"HKL", *(label for label, *_ in COLUMNS)]
    assert mtz.spacegroup.number == 1
    assert [batch.number for batch in mtz.batches] == [1, 2, 3, 4, 5]
    assert mtz.cell.a == pytest.approx(40.0)
    assert mtz.batches[3].cell.b == pytest.approx(50.0)
    assert mtz.batches[3].wavelength == pytest.approx(1.0)
    # The half that MTZ files hold, and mates of the other one.
    assert set(mtz.array[:, 3]) == {1.0, 2.0}
    asu = gemmi.ReciprocalAsu(mtz.spacegroup)
    assert all(asu.is_in(row) for row in mtz.make_miller_array().tolist())
    mtz.switch_to_original_hkl()
    data = dict(zip(mtz.column_labels(), mtz.array.T, strict=True))
    for label, name in (("H", "h"), ("K", "k"), ("L", "l"), ("I", "photons")):
        assert data[label] == pytest.approx(table[name].values, rel=1e-6), label
    assert data["BATCH"] == pytest.approx(table["shot"].values + 1)
    assert data["XDET"] == pytest.approx(table["fast_centroid"].values + 0.5, rel=1e-6)
    assert data["YDET"] == pytest.approx(table["slow_centroid"].values + 0.5, rel=1e-6)
    assert data["SIGI"] == pytest.approx(np.sqrt(table["photons"].values), rel=1e-6)
    assert data["FRACTIONCALC"] == pytest.approx(table["partiality"].values, rel=1e-6)
    assert data["ROT"] == pytest.approx(table["phi_centroid"].values, rel=1e-6)


def test_without_reflections_there_is_no_file(tmp_path: Path) -> None:
    """One line says what to ask for."""
    truth = computed(TURNING, [0], Wanted())
    with pytest.raises(InputError, match="asked for with reflections=True"):
        write_mtz(truth, tmp_path / "a.mtz")
    assert list(tmp_path.iterdir()) == []
