"""``nbdask parameters``: names, values, units, reasons."""

from __future__ import annotations

import json
import shlex

import pytest

from nbdask.cli.main import main

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
