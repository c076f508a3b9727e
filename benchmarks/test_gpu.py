"""The benchmark of the card runs through, on this machine's processor."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from benchmarks import gpu


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path")
@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_benchmark_runs_through(tmp_path: Path) -> None:
    """Every precision and a whole run leave a record; no fraction of a peak without a card."""
    path = tmp_path / "gpu.json"
    gpu.main(
        "--backend cuda-host --groups kernel,run,port --pixels 8 --run-pixels 32 --repeats 2"
        f" --only gauss --folder {tmp_path} --json {path}".split()
    )
    result = json.loads(path.read_text())
    assert result["device"]["card"] is None
    kernel = [r for r in result["records"] if r["group"] == "kernel"]
    assert [r["precision"] for r in kernel] == ["float64", "mixed", "pairs"]
    for record in kernel:
        assert record["evaluations_per_second"] > 0
        assert len(record["all"]) == 2
        assert record["fraction_of_peak"] is None
    assert kernel[0]["float64_operations"] > kernel[1]["float64_operations"]
    runs = [r for r in result["records"] if r["group"] == "run"]
    assert all(r["bytes_written"] > 0 for r in runs)
    assert len(runs) == 2
