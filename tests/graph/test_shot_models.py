"""Models of shots: what they share is read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbdask.flags import Own, parse_args
from nbdask.geometry import amplitude_fields
from nbdask.geometry.build import build_model
from nbdask.graph.shot_models import ShotModels
from nbdask.shots import Series, Table

CELLS = {"crystal.cell.a": np.array([7.0e-9, 7.0e-9, 7.1e-9, 7.2e-9, 7.3e-9])}


def test_a_list_with_a_b_factor_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-SHOT-16: each cell makes a table of its own, to the bits of the shot alone."""
    (tmp_path / "p1.hkl").write_text("".join(f"{h} 1 2 {10 + h}\n" for h in range(1, 6)))
    words = f"-hkl {tmp_path / 'p1.hkl'} -cell 70 80 90 90 90 90 -lambda 1 -N 5 -distance 100"
    common = parse_args(words.split(), own=Own(b_factor=20.0)).experiment
    series = Series(common, 5, (Table(CELLS),))
    read, files = amplitude_fields.read_hkl, []

    def counted(path: str, *more: Any) -> Any:
        files.append(path)
        return read(path, *more)

    monkeypatch.setattr(amplitude_fields, "read_hkl", counted)
    models = ShotModels(series, build_model(series.shot(0)))
    grids = [models[number].f_grid for number in range(5)]
    assert len(files) == 2
    monkeypatch.undo()
    for number, grid in enumerate(grids):
        alone = build_model(series.shot(number))
        assert grid.tobytes() == alone.f_grid.tobytes()
        assert np.array_equal(models[number].f_min, alone.f_min)
    assert len({grid.tobytes() for grid in grids}) == 4
    assert grids[1] is grids[0]
