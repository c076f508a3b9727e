"""``nbdask parameters``: names, values, units, reasons."""

from __future__ import annotations

import json
import shlex

import pytest

from nbdask.cli.main import main
from tests.amplitudes.support import pdb, write

FLAGS = shlex.split("-cell 70 80 90 75 85 95 -N 5 -default_F 100 -detpixels 16 -distance 100")


def test_every_number_has_its_line(capsys: pytest.CaptureFixture) -> None:
    """Value and unit in SI; and why not where it cannot be refined."""
    assert main(["parameters", *FLAGS]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["detector.distance"].split()[1:] == ["0.1", "m", "yes"]
    assert lines["crystal.turn.x"].split()[1:] == ["0", "rad", "yes"]
    assert lines["crystal.mosaic_spread"].endswith("no: not given")


def test_json_holds_the_same(capsys: pytest.CaptureFixture) -> None:
    """One object for each."""
    assert main(["parameters", *FLAGS, "-tophat_spots", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert not any(row["refinable"] for row in rows)
    assert rows[0]["name"] == "crystal.turn.x"
    assert "tophat" in rows[0]["why"]


def test_a_file_describes_all(tmp_path, capsys: pytest.CaptureFixture) -> None:
    """Flags beside it are refused with one line."""
    assert main(["parameters", "--config", str(tmp_path / "a.toml"), *FLAGS]) == 2
    assert "leave out -cell" in capsys.readouterr().err


def test_a_store_has_its_experiment(tmp_path, capsys: pytest.CaptureFixture) -> None:
    """As its flags; what else would describe one is refused beside it."""
    store = str(tmp_path / "run.zarr")
    assert main(["simulate", *FLAGS, "--out", store, "--backend", "numpy"]) == 0
    capsys.readouterr()
    assert main(["parameters", *FLAGS]) == 0
    expected = capsys.readouterr().out
    assert main(["parameters", store]) == 0
    assert capsys.readouterr().out == expected
    for beside in (["-N", "5"], ["--dmin", "2"], ["--config", "a.toml"]):
        assert main(["parameters", store, *beside]) == 2
        assert f"describes the whole experiment: leave out {beside[0]}" in capsys.readouterr().err
    assert main(["parameters", str(tmp_path / "none.zarr")]) == 2
    assert "none.zarr" in capsys.readouterr().err


def test_amplitudes_may_be_of_a_model(tmp_path, capsys: pytest.CaptureFixture) -> None:
    """As in simulate: the cell is the model's."""
    model = write(tmp_path / "m.pdb", pdb())
    assert main(["parameters", "--model", str(model), "--dmin", "3", "-N", "5"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert float(lines["crystal.cell.a"].split()[1]) == pytest.approx(23e-10)
