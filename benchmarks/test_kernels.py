"""Kernel benchmarks; the ordinary tests run each once, untimed, and check its image.

python -m pytest -n 0 benchmarks --benchmark-enable --benchmark-json kernels.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report, run, timing
from benchmarks.cases import SQUARE, Case, kernel_cases
from nbdask.example.write import write_example
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel

pytestmark = pytest.mark.long

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
    kernel = get_kernel("cpu", precision)
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
        "library": "x86-64-v3: a compiler",
        "nbdask": "0",
        "commit": None,
        "date": "2026-01-01",
    }
    result = {"machine": machine, "records": [record]}
    text = report.markdown(result)
    assert "Compiled loops: x86-64-v3: a compiler." in text
    assert "| square | float64 | 0.500 | 20 % | 2.000 | 12.000 | 24.0 | 20 | 6e-08 |" in text
    assert "a processor, 2 cores" in text


def settings(path: Path, **given: Any) -> Any:
    """Return options of a quick benchmark of kernels."""
    values = {
        "json": path, "groups": "kernel", "repeats": 2, "c_seconds": 1.0, "threads": 1,
        "backend": "numpy", "golden": None, "only": "tophat", "no_c": True, "again": False,
    }  # fmt: skip
    return argparse.Namespace(**{**values, **given})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make measuring quick; return the list of what is measured."""
    measured: list[str] = []

    def time_kernel(case: Case, precision: str, options: Any, tile: int = 256) -> dict[str, Any]:
        measured.append(f"{case.name}, {precision}")
        return {"precision": precision, "seconds": 1.0, "all_seconds": [1.0], "tile": tile}

    monkeypatch.setattr(run, "time_kernel", time_kernel)
    return measured


def test_a_benchmark_goes_on_where_it_stopped(tmp_path: Path, small: list[str]) -> None:
    """Records are in the file one by one, and are kept unless they are asked for again."""
    path = tmp_path / "a.json"
    run.measure_all(settings(path), tmp_path)
    assert small == ["tophat, float64", "tophat, mixed"]
    found = json.loads(path.read_text())
    assert [r["precision"] for r in found["records"]] == ["float64", "mixed"]
    found["records"].pop()
    path.write_text(json.dumps(found))
    run.measure_all(settings(path), tmp_path)
    assert small[2:] == ["tophat, mixed"]
    run.measure_all(settings(path, again=True), tmp_path)
    assert len(small) == 5
    found["machine"]["cpu"] = "another"
    path.write_text(json.dumps(found))
    run.measure_all(settings(path), tmp_path)
    assert len(small) == 7


def test_a_kernel_record_says_what_was_measured(tmp_path: Path) -> None:
    """Rates and the image's checksum, of a small detector."""
    case = Case("square", f"{SQUARE} -oversample 1", pixels=16, target=3.0)
    record = run.time_kernel(case, "float64", settings(tmp_path / "a.json"))
    assert record["evaluations"] == 256
    assert len(record["all_seconds"]) == 2
    assert record["ns_per_evaluation"] == pytest.approx(record["seconds"] / 256 * 1e9)
    assert len(record["image_sha256"]) == 64


def test_precisions_are_compared_in_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice as many repeats of each, the ratio of the best, and how far the images differ."""
    case = Case("square", f"{SQUARE} -oversample 1", pixels=16)
    record = run.time_precisions(case, settings(tmp_path / "a.json", backend="cpu"))
    assert len(record["all_seconds"]) == len(record["all_float64_seconds"]) == 4
    assert record["ratio"] == min(record["all_float64_seconds"]) / min(record["all_seconds"])
    assert 0.0 <= record["deviation"] < 1e-5
    assert "| square | mixed |" in report.row({"name": "square", **record})
    run.show({"group": "precision", "name": "square", **record})
    assert "float64" in capsys.readouterr().out


def test_c_is_run_until_its_time_is_spent(tmp_path: Path) -> None:
    """Ours as often as asked for; C no more once it has had its seconds."""
    options = settings(tmp_path, repeats=5, c_seconds=3.0)
    ours, c = run.alternate(lambda: 1.0, lambda: 2.0, options)
    assert (ours, c) == ([1.0] * 5, [2.0] * 2)


def test_every_plot_is_drawn(tmp_path: Path) -> None:
    """One file for each kind of record, pictures all of them."""
    kernel = {"name": "a", "precision": "mixed", "ns_per_evaluation": 2.0, "evaluations": 10}
    records = [{**kernel, "group": "kernel"}, {**kernel, "group": "kernel", "precision": "float64"}]
    for edge in (256, 512):
        size = {**kernel, "group": "size", "name": f"{edge}", "pixels": [edge, edge]}
        records.append({**size, "c_seconds": 1e-6})
        for threads in (1, 2):
            name = f"{edge}, {threads}"
            records.append(
                {**kernel, "group": "tile", "name": name, "tile": edge, "threads": threads}
            )
    written = report.plots({"machine": {"cores": 2}, "records": records}, tmp_path)
    assert [path.name for path in written] == ["kernel.png", "size.png", "tile.png", "threads.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    only = report.plots({"machine": {"cores": 2}, "records": records[:2]}, tmp_path / "b")
    assert [path.name for path in only] == ["kernel.png"]
