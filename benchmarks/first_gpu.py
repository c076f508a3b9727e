"""The first run on a GPU, where its time is short: correct, how fast, and why not faster.

    python -m benchmarks.first_gpu --json OUT/first.json --golden GOLDEN [--total 560]
        [--stages facts,compile,smoke,...] [--pixels 4096] [--host]

Every stage is a process of its own with a deadline, so that none can stop or spoil another; the
JSON file is written anew after each, with whatever a stage gave before its end.  Clocks, power and
throttling are sampled all the while.  Where there is no GPU, or with ``--host``, the very same
stages run in small on this machine's processor: a rehearsal, which says nothing about a GPU.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import gpu_runs, gpu_stages, machine
from benchmarks.gpu_sampler import Sampler
from nbdask.example.write import write_example
from nbdask.kernels.cuda_device import unusable

ROOT = Path(__file__).resolve().parents[1]
Stage = Callable[[argparse.Namespace, Path], Iterator[dict[str, Any]]]
#: Name -> (seconds that it may take, what it does), in order.
STAGES: dict[str, tuple[float, Stage]] = {
    "facts": (30, gpu_runs.facts),
    "compile": (60, gpu_stages.compile_all),
    "smoke": (60, gpu_stages.smoke),
    "golden": (120, gpu_stages.golden),
    "peak": (30, gpu_stages.peak),
    "rates": (120, gpu_stages.rates),
    "variants": (70, gpu_stages.variants),
    "runs": (90, gpu_runs.runs),
    "cpu": (30, gpu_runs.cpu),
    "port": (60, gpu_runs.port),
    "ncu": (60, gpu_stages.launch),
    "sanitizer": (90, gpu_stages.smoke),
    "racecheck": (60, gpu_stages.smoke),
    "tests": (120, gpu_stages.launch),
}
#: Seconds without which no stage is started.
LEAST = 8.0
_METRICS = (
    "sm__cycles_elapsed.avg,sm__inst_executed.avg.per_cycle_active,"
    "sm__inst_executed_pipe_fp64.avg.pct_of_peak_sustained_active,"
    "sm__warps_active.avg.pct_of_peak_sustained_active,"
    "smsp__issue_active.avg.pct_of_peak_sustained_active,"
    "sm__throughput.avg.pct_of_peak_sustained_elapsed,"
    "l1tex__t_sector_hit_rate.pct,dram__throughput.avg.pct_of_peak_sustained_elapsed"
)


def command(name: str, records: Path, options: argparse.Namespace) -> list[str] | str:
    """Return the words that run a stage, or why it cannot run here."""
    own = [
        sys.executable,
        "-m",
        "benchmarks.first_gpu",
        "--child",
        name,
        "--records",
        str(records),
    ]
    own += options.argv
    if name == "port" and "NB_CUDA_BIN" not in os.environ:
        return "NB_CUDA_BIN names no build of the C program's CUDA port"
    if name == "ncu" and not options.host:
        if shutil.which("ncu") is None:
            return "ncu is not on the path"
        # The clocks stay as they are.
        return ["ncu", "--clock-control", "none", "--target-processes", "all", "-k", "nb_sum",
                "--csv", "--metrics", _METRICS, *own]  # fmt: skip
    if name in ("sanitizer", "racecheck") and not options.host:
        if shutil.which("compute-sanitizer") is None:
            return "compute-sanitizer is not on the path"
        which = "memcheck" if name == "sanitizer" else name
        tool = ["compute-sanitizer", "--tool", which, "--error-exitcode", "9"]
        return [*tool, "--target-processes", "all", *own, "--short"]
    if name == "tests":
        if importlib.util.find_spec("pytest") is None:
            return "pytest is not installed"
        quiet = ["-q", "--all", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
        files = [str(path) for path in sorted((ROOT / "tests" / "kernels").glob("test_c*.py"))]
        return [sys.executable, "-m", "pytest", *quiet, "--all", "-m", "gpu", *files]
    return own


def run_stage(name: str, seconds: float, options: argparse.Namespace) -> dict[str, Any]:
    """Run a stage in a process of its own; return what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        records, log = Path(folder) / "records", Path(folder) / "log"
        argv = command(name, records, options)
        if isinstance(argv, str):
            return {"status": "skipped", "why": argv, "records": []}
        start = time.time()
        with log.open("wb") as output:
            process = subprocess.Popen(
                argv, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                code: int | None = process.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        lines = records.read_text().splitlines() if records.exists() else []
        found = [json.loads(line) for line in lines if line.endswith("}")]
        text = log.read_text(errors="replace")
    bad = [record["name"] for record in found if record.get("ok") is False]
    status = "timeout" if code is None else "failed" if code else "wrong" if bad else "done"
    result = {"status": status, "seconds": round(time.time() - start, 2), "records": found}
    if bad:
        result["wrong"] = bad
    if code != 0 or name in ("ncu", "sanitizer", "racecheck", "tests"):
        result["log"] = text[-6000:] if name != "ncu" else text[-40000:]
    return result


def child(options: argparse.Namespace) -> None:
    """Run a stage here; append each record to a file as soon as it is there."""
    stage = STAGES[options.child][1]
    with tempfile.TemporaryDirectory() as folder, options.records.open("w") as file:
        write_example("pyrope", Path(folder))
        for record in stage(options, Path(folder) / "pyrope.hkl"):
            file.write(json.dumps(record) + "\n")
            file.flush()


def clocked(stage: dict[str, Any], sampler: Sampler, stages: dict[str, Any]) -> None:
    """Add to timed records the clock that was held, and the share of the float64 units' peak."""
    facts = (stages.get("facts", {}).get("records") or [{}])[0]
    counted = [r for r in stages.get("compile", {}).get("records", []) if "counts" in r]
    counts = counted[0]["counts"] if counted else {}
    for record in stage["records"]:
        if "from" not in record:
            continue
        held = sampler.between(record["from"], record["to"])
        record["samples"] = held
        hertz = held.get("clock_hertz")
        units = facts.get("float64_units")
        operations = counts.get(f"{record['name']}/{record.get('precision')}")
        if hertz and units and operations:
            share = record["evaluations_per_second"] * operations
            record["share_of_peak"] = share / (units * facts["multiprocessors"] * hertz)


def summary(result: dict[str, Any]) -> str:
    """Return a short table of what came out, for a terminal."""
    lines = []
    for name, stage in result["stages"].items():
        seconds = stage.get("seconds", 0.0)
        lines.append(
            f"{name:10s} {stage['status']:8s} {seconds:6.1f} s {len(stage['records']):4d} records"
            f" {stage.get('why', '')} {' '.join(stage.get('wrong', []))}"
        )
    for name in ("rates", "variants", "cpu", "port"):
        for record in result["stages"].get(name, {"records": []})["records"]:
            what = record.get("precision") or record.get("division") or record.get("shape")
            share = record.get("share_of_peak")
            peak = "" if share is None else f", {100 * share:.0f} % of the float64 units"
            rate = record["evaluations_per_second"]
            lines.append(f"{record['name']:34s} {what!s:10s} {rate:.3g} evaluations/s{peak}")
    return "\n".join(lines)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description="The first run on a GPU.")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--golden", type=Path, help="folder of images of the C program")
    parser.add_argument("--host", action="store_true", help="rehearse on this machine's processor")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--pixels", type=int, default=4096, help="detector edge of timed cases")
    parser.add_argument("--total", type=float, default=560.0, help="seconds in all")
    parser.add_argument("--folder", type=Path, help="where whole runs write")
    parser.add_argument("--short", action="store_true", help="fewer small cases")
    parser.add_argument("--child", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--records", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    reason = None if options.host or options.child else unusable()
    if reason is not None:
        print(f"no GPU, so this is a rehearsal: {reason}", file=sys.stderr)
        options.host = True
    options.argv = ["--pixels", str(options.pixels)]
    options.argv += [f"--{name}" for name in ("host", "short") if getattr(options, name)]
    for name in ("golden", "folder"):
        if getattr(options, name) is not None:
            options.argv += [f"--{name}", str(getattr(options, name).resolve())]
    return options


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the stages one after another; return all results."""
    options = parse(argv)
    if options.child:
        child(options)
        return {}
    end = time.monotonic() + options.total
    result: dict[str, Any] = {"machine": machine.facts(), "host": options.host, "stages": {}}
    with Sampler(None if options.host else "nvidia-smi") as sampler:
        for name in options.stages.split(","):
            seconds = min(STAGES[name][0], end - time.monotonic())
            if seconds < LEAST:
                stage: dict[str, Any] = {"status": "skipped", "why": "no time left", "records": []}
            else:
                stage = run_stage(name, seconds, options)
            result["stages"][name] = stage
            clocked(stage, sampler, result["stages"])
            result["samples"] = sampler.summary()
            if options.json:
                fresh = options.json.with_suffix(".part")
                fresh.write_text(json.dumps(result, indent=1) + "\n")
                fresh.replace(options.json)
            print(f"{name}: {stage['status']} {stage.get('why', '')}", flush=True)
    print(summary(result))
    return result


if __name__ == "__main__":
    main()
