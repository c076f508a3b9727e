"""Measuring this machine's kernels."""

from __future__ import annotations

import json

import pytest

from nbdask import calibrate
from nbdask.cli.main import main
from nbdask.errors import BackendError
from nbdask.plan.cost import AMPLITUDES, RUN, SHAPES, load_costs
from nbdask.plan.machine import cpu_name


def test_every_figure_is_measured_and_read_back(tmp_path, monkeypatch) -> None:
    """All shapes and kinds of amplitudes, and the cost of a pixel, above 0 and used by plans."""
    monkeypatch.setattr(calibrate, "_SIDE", 16)
    monkeypatch.setattr(calibrate, "_WRITTEN", 32)
    monkeypatch.setattr(calibrate, "_SECONDS", 1e-4)
    monkeypatch.setattr(calibrate, "_REPEATS", 1)
    monkeypatch.setattr(calibrate, "_TILES", 2)
    monkeypatch.setattr(calibrate, "_command_seconds", {"threads": 1.0, "local": 3.5}.__getitem__)
    told: dict[str, float] = {}
    path = calibrate.calibrate("numpy", report=told.__setitem__, path=tmp_path / "costs.json")
    keys = {f"numpy/float64/{shape}/{kind}" for shape in SHAPES for kind in AMPLITUDES}
    assert set(told) == keys | {"numpy/float64/pixel", *RUN}
    assert (told["run/start"], told["run/workers"]) == (1e9, 2.5e9)
    assert min(told.values()) > 0
    stored = json.loads(path.read_text())["machines"][cpu_name()]["nanoseconds"]
    assert stored == {key: pytest.approx(value, rel=1e-3) for key, value in told.items()}
    assert load_costs({}, path).lookup("numpy/float64/pixel") == stored["numpy/float64/pixel"]


def test_the_command_measures_kernels_of_the_processor(capsys) -> None:
    """Figures of a GPU come from its clock and units; a kernel for tests has none."""
    for name in ("cuda", "cuda-host", "auto"):
        assert main(["calibrate", "--backend", name]) == 2
        assert "not one of 'cpu', 'numpy'" in capsys.readouterr().err


def test_an_unknown_kernel_is_refused(tmp_path) -> None:
    """Nothing is written."""
    with pytest.raises(BackendError, match="--backend"):
        calibrate.calibrate("fortran", path=tmp_path / "costs.json")
    assert list(tmp_path.iterdir()) == []
