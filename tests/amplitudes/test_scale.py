"""The scale between a list and a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nbdask.amplitudes.make import made
from nbdask.amplitudes.request import Request
from nbdask.amplitudes.scale import scale_between
from nbdask.amplitudes.table import Table
from nbdask.flags import parse_args
from tests.amplitudes.support import pdb, write


@pytest.mark.parametrize(("d_min", "B"), [(2.0, 20.0), (3.5, 20.0), (4.5, 0.0)])
def test_no_b_factor_from_low_resolution_alone(tmp_path: Path, d_min: float, B: float) -> None:
    """It would be followed to spacings where it means nothing."""
    model = str(write(tmp_path / "m.pdb", pdb()))
    request = Request(model=model, dmin=2.0, method="direct")
    whole = made(parse_args(["-N", "5"], amplitudes=request).experiment.structure).table
    s2 = whole.symmetry.inverse_d_squared(whole.hkl) / 4.0
    seen = s2 <= 0.25 / d_min**2
    F = 3.0 * np.exp(-20.0 * s2[seen]) * whole.F[seen]
    found = scale_between("a", Table(whole.hkl[seen], F, whole.symmetry, False), whole)
    assert found.common == seen.sum() > 150
    assert pytest.approx(B, abs=1.0) == found.B
    if B:
        assert found.k == pytest.approx(3.0, rel=0.1)
