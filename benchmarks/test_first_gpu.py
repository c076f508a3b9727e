"""The first run on a GPU, rehearsed on this machine's processor; deadlines, faults, samples."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import first_gpu, gpu_stages
from benchmarks.gpu_compile import QUICK, VERSIONS, quick
from benchmarks.gpu_sampler import Sampler
from benchmarks.gpu_stages import with_defines
from nbdask.example.write import write_example
from nbdask.kernels import registry
from tests.kernels import cupy_standin

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path")


def run(path: Path, stages: str, *more: str) -> dict[str, Any]:
    """Run stages as a rehearsal; return what the file holds."""
    first_gpu.main(["--host", "--short", "--stages", stages, "--json", str(path), *more])
    result: dict[str, Any] = json.loads(path.read_text())
    return result


@needs_compiler
@pytest.mark.long
def test_rehearsal(tmp_path: Path) -> None:
    """Facts, small cases, rates and whole runs; each record says whether it is right."""
    stages = ("facts", "smoke", "rates", "runs", "ncu")
    result = run(tmp_path / "a.json", ",".join(stages), "--folder", str(tmp_path))
    assert result["host"] is True
    found = result["stages"]
    assert [found[name]["status"] for name in stages] == ["done"] * 5
    assert found["facts"]["records"][0]["gpu"] is None
    smoke = found["smoke"]["records"]
    assert len(smoke) == 9
    assert all(record["ok"] and record["tiles_equal"] for record in smoke)
    assert all(record.get("pixels_differ", 0) == 0 for record in smoke)
    rates = found["rates"]["records"]
    assert len(rates) == 9
    assert min(record["evaluations_per_second"] for record in rates) > 0
    assert [record["bytes_written"] > 0 for record in found["runs"]["records"]] == [True, True]


@pytest.mark.long
def test_a_stage_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records stay, the next stage runs, and the file is there after each."""
    script = (
        'import sys, time; open(sys.argv[1], \'w\').write(\'{"name": "a"}\\n{"na\'); time.sleep(60)'
    )

    def command(name: str, records: Path, options: object) -> list[str]:
        if name == "smoke":
            return [sys.executable, "-c", script, str(records)]
        return [sys.executable, "-c", "raise SystemExit('no such GPU')"]

    monkeypatch.setattr(first_gpu, "command", command)
    monkeypatch.setitem(first_gpu.STAGES, "smoke", (1.5, first_gpu.STAGES["smoke"][1]))
    monkeypatch.setattr(first_gpu, "LEAST", 0.1)
    start = time.monotonic()
    result = run(tmp_path / "a.json", "smoke,golden")
    assert time.monotonic() - start < 30
    assert result["stages"]["smoke"]["status"] == "timeout"
    assert result["stages"]["smoke"]["records"] == [{"name": "a"}]
    assert result["stages"]["golden"]["status"] == "failed"
    assert "no such GPU" in result["stages"]["golden"]["log"]


def test_wrong_pixels_are_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is not right names its case."""
    script = 'import sys; open(sys.argv[1], \'w\').write(\'{"name": "a", "ok": false}\\n\')'
    monkeypatch.setattr(
        first_gpu, "command", lambda name, records, _: [sys.executable, "-c", script, str(records)]
    )
    stage = run(tmp_path / "a.json", "smoke")["stages"]["smoke"]
    assert (stage["status"], stage["wrong"]) == ("wrong", ["a"])


def test_without_time_nothing_is_begun(tmp_path: Path) -> None:
    """What is left of the whole is less than a stage needs."""
    result = run(tmp_path / "a.json", "smoke", "--total", "3")
    assert result["stages"]["smoke"]["status"] == "skipped"


def test_tools_are_put_before_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with a GPU; a tool that is not there is named."""
    options = first_gpu.parse(["--host"])
    options.host = False
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert first_gpu.command("ncu", Path("r"), options)[:3] == ["ncu", "--clock-control", "none"]
    assert first_gpu.command("sanitizer", Path("r"), options)[0] == "compute-sanitizer"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    for name in ("ncu", "sanitizer", "racecheck"):
        assert "is not on the path" in first_gpu.command(name, Path("r"), options)


def test_clocks_are_those_of_the_time_between(tmp_path: Path) -> None:
    """Medians of what the program says, also where a number is missing."""
    program = tmp_path / "smi"
    program.write_text(
        "#!/bin/sh\n"
        "while :; do\n"
        "  echo '1980, 3201, 650.5, 60, 100, 0x4'; sleep 0.02\n"
        "  echo '1700, 3201, [N/A], 61, 100, 0x0'; sleep 0.02\n"
        "done\n"
    )
    program.chmod(0o755)
    with Sampler(str(program)) as sampler:
        begin = time.time()
        found: dict[str, Any] = {"samples": 0}
        while found["samples"] < 6 and time.time() < begin + 30:
            time.sleep(0.05)
            found = sampler.between(begin, time.time())
    assert found["samples"] >= 6
    assert found["least_clock_hertz"] == 1.7e9
    assert 1.7e9 <= found["clock_hertz"] <= 1.98e9
    assert found["reasons"] == ["0x0", "0x4"]
    assert sampler.between(0.0, 1.0) == {"samples": 0}
    with Sampler(None) as idle:
        assert idle.summary() == {"samples": 0}


def test_shares_of_the_peak_use_the_clock_that_was_held(tmp_path: Path) -> None:
    """Operations times rate, over units, multiprocessors and the sampled clock."""

    class Held(Sampler):
        def between(self, begin: float, end: float) -> dict[str, Any]:
            return {"clock_hertz": 1e9}

    record: dict[str, Any] = {"name": "a", "precision": "float64", "from": 1, "to": 2}
    record["evaluations_per_second"] = 32e9
    stages = {
        "facts": {"records": [{"float64_units": 64, "multiprocessors": 100}]},
        "compile": {"records": [{"name": "n", "counts": {"a/float64": 50.0}}]},
    }
    first_gpu.clocked({"records": [record]}, Held(None), stages)
    assert record["share_of_peak"] == pytest.approx(32e9 * 50 / (64 * 100 * 1e9))


def test_other_macros_replace_the_usual_ones() -> None:
    """Sizes of blocks reach the launch, and quotients the compiler."""
    program = VERSIONS["square, any cells, list"]
    changed = with_defines(program, NB_THREADS=128, NB_PIXELS=1)
    assert (changed.threads, changed.pixels) == (128, 1)
    assert dict(changed.defines)["NB_THREADS"] == 128
    assert len(changed.defines) == len(program.defines)
    assert set(quick(program).defines) - set(program.defines) == set(QUICK)


@needs_compiler
@pytest.mark.long
def test_stages_go_through_the_launcher_of_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for CuPy: small cases right, rates by events, other macros compiled."""
    made = cupy_standin.install(monkeypatch)
    monkeypatch.setattr(registry, "_made", {})
    monkeypatch.setattr(made.cuda, "get_elapsed_time", lambda a, b: 1000.0, raising=False)
    options = first_gpu.parse(["--child", "smoke", "--short", "--pixels", "24"])
    assert not options.host
    write_example("pyrope", tmp_path)
    amplitudes = tmp_path / "pyrope.hkl"
    smoke = list(gpu_stages.smoke(options, amplitudes))
    assert len(smoke) == 9
    assert all(record["ok"] for record in smoke)
    rates = list(gpu_stages.rates(options, amplitudes))
    assert len(rates) == 9
    # 19 x 19 pixels of 1000 steps in a second.
    assert rates[0]["evaluations_per_second"] == pytest.approx(19**2 * 1000)
    variants = list(gpu_stages.variants(options, amplitudes))
    assert {record.get("division") for record in variants} == {"IEEE", "quick", None}
    macros = [dict(program.defines) for program in made.text.values()]
    assert any("NB_QUICK_DIVISION" in names for names in macros)
    assert {names["NB_THREADS"] for names in macros} == {128, 256}
    assert {block for _, _, block in made.launches} == {(128,), (256,)}
