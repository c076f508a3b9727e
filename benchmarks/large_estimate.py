"""The time that a plan tells beside the time that the run takes.

    python -m benchmarks.large_estimate [--backend cpu] [--json FILE]

The kernels are measured first, as ``nbdask calibrate`` does, into a file of this benchmark's own.
Exit status 1: an estimate is wrong by more than a factor of 2.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import facts
from nbdask.calibrate import calibrate
from nbdask.flags import from_args
from nbdask.kernels.registry import default_costs, get_kernel
from nbdask.plan.cost import load_costs
from nbdask.plan.plan import make_plan
from nbdask.run import Settings, prepare

COMMON = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -distance 500 -pixel 0.05"
CASES = {
    "many pixels": "-detpixels 8192 -oversample 1",
    "sub-pixels": "-detpixels 2048 -oversample 5",
    "mosaic domains": "-detpixels 2048 -oversample 1 -mosaic 0.5 -mosaic_dom 40",
    "round crystal": "-detpixels 2048 -oversample 3 -round_xtal",
    "region of interest": "-detpixels 8192 -oversample 5 -roi 100 1600 100 1600",
}
MOST = 2.0


def main() -> int:
    """Calibrate, then plan and run every case."""
    parser = argparse.ArgumentParser(description="Estimated and real time of runs.")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    rows: list[tuple[str, float, float]] = []
    print("case                 estimated [s]   real [s]   real / estimated")
    with tempfile.TemporaryDirectory(prefix="nbdask-estimate-") as folder:
        costs = load_costs(
            default_costs(), calibrate(options.backend, path=Path(folder) / "costs.json")
        )
        kernel = get_kernel(options.backend)
        for name, flags in CASES.items():
            given = from_args(f"{COMMON} {flags}".split())
            model, _, spec = prepare(given, Settings(backend=options.backend))
            plan = make_plan(model, kernel, costs, workers=spec.layout)
            out = Path(folder) / "a.zarr"
            argv = f"{COMMON} {flags} --backend {options.backend} --quiet --overwrite".split()
            argv += ["--tile", f"{plan.grid.tile[0]},{plan.grid.tile[1]}", "--out", str(out)]
            argv += ["--steps-per-task", str(max(s.length for s in plan.steps))]
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "nbdask", "simulate", *argv], check=True)
            real = time.perf_counter() - start
            rows.append((name, plan.run_seconds, real))
            ratio = real / plan.run_seconds
            print(f"{name:20s} {plan.run_seconds:13.1f} {real:10.1f} {ratio:18.2f}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": facts(), "rows": rows}, indent=1) + "\n")
    return 0 if all(1 / MOST <= real / told <= MOST for _, told, real in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
