"""Kernel benchmarks; the ordinary tests run each once, untimed, and check its image.

python -m pytest -n 0 benchmarks --benchmark-enable --benchmark-json kernels.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report, timing
from benchmarks.cases import Case, kernel_cases
from nbdask.example.write import write_example
from nbdask.experiment.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel

NAMES = [case.name for case in kernel_cases(Path("none.hkl"))]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Return the cases with a real amplitude list."""
    folder = tmp_path_factory.mktemp("amplitudes")
    write_example("pyrope", folder)
    return {case.name: case for case in kernel_cases(folder / "pyrope.hkl")}


@pytest.mark.parametrize("precision", ["float64", "mixed"])
@pytest.mark.parametrize("name", NAMES)
def test_kernel(name: str, precision: str, cases: dict[str, Case], benchmark: Any) -> None:
    """The timed image equals that of the reference kernel."""
    case = Case(name, cases[name].flags, pixels=32)
    model = build_model(parse_args(case.arguments).experiment)
    kernel = get_kernel("numba", precision)
    _, image = benchmark(timing.kernel_image, model, kernel, threads=2)
    _, reference = timing.kernel_image(model, get_kernel("numpy", "float64"), threads=1)
    scale = np.maximum(reference, 1e-6 * reference.max())
    bound = 2e-7 if precision == "float64" else 1e-5
    assert float(np.max(np.abs(image.astype(float) - reference) / scale)) <= bound


def test_report_shows_every_record() -> None:
    """The table has a row for each record and the machine it was measured on."""
    record = {
        "group": "kernel",
        "name": "square",
        "precision": "float64",
        "seconds": 0.5,
        "all_seconds": [0.5, 0.6],
        "ns_per_evaluation": 2.0,
        "c_seconds": 12.0,
        "ratio": 24.0,
        "target": 20.0,
        "deviation": 6e-8,
    }
    machine = {
        "cpu": "a processor",
        "cores": 2,
        "system": "Linux",
        "python": "3.11",
        "versions": {"numpy": "2"},
        "nbdask": "0",
        "commit": None,
        "date": "2026-01-01",
    }
    text = report.markdown({"machine": machine, "records": [record]})
    assert "| square | float64 | 0.500 | 20 % | 2.000 | 12.000 | 24.0 | 20 | 6e-08 |" in text
    assert "a processor, 2 cores" in text
