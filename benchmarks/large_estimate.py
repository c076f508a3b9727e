"""The time that a plan tells beside the time that the run takes, for runs of many kinds.

    python -m benchmarks.large_estimate [--only NAME ...] [--repeats 3] [--json FILE]

Just before and just after each run the figures that its plan needs are measured, as ``nbdask
calibrate`` does, into a file of this benchmark's own, and their means taken: what else the machine
does then counts in both; each figure of a kernel takes seconds, since systems favour short work.
Of the repeats the one with the median ratio counts.  Exit status 1: an estimate is wrong by more
than a factor of 2.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import facts
from nbdask import calibrate
from nbdask.flags import from_args
from nbdask.kernels.registry import default_costs, get_kernel
from nbdask.plan.cost import SHAPES, amplitudes_of, load_costs, save_costs
from nbdask.plan.demand import Resources
from nbdask.plan.plan import Plan, make_plan
from nbdask.prepare import Settings, prepare
from nbdask.store.address import place_of

COMMON = "-cell 70 80 90 75 85 95 -default_F 100 -N 5 -distance 500 -pixel 0.05"
LOCAL = {"cluster": "local", "workers": 2, "threads": 1}


class Case(NamedTuple):
    """A run: its flags, and its settings."""

    flags: str
    settings: dict[str, Any] = {}  # noqa: RUF012 (never changed)


CASES = {
    "small image, one step": Case("-detpixels 1024 -oversample 1"),
    "many pixels, limited by writing": Case("-detpixels 8192 -oversample 1"),
    "sub-pixels": Case("-detpixels 2048 -oversample 10"),
    "mosaic domains, mixed precision": Case(
        "-detpixels 2048 -oversample 1 -mosaic 0.5 -mosaic_dom 200", {"precision": "mixed"}
    ),
    "gauss": Case("-detpixels 2048 -oversample 8 -gauss_xtal"),
    "tricubic": Case("-detpixels 1024 -oversample 5 -hkl LIST -interpolate"),
    "region of interest": Case("-detpixels 8192 -oversample 7 -roi 100 1600 100 1600"),
    "mask": Case("-detpixels 2048 -oversample 10 -mask MASK"),
    "step ranges": Case("-detpixels 512 -oversample 50", {"tile": 256, "steps_per_task": 500}),
    "float file": Case("-detpixels 4096 -oversample 3 -floatfile FLOATS"),
    "many tiny tiles": Case("-detpixels 1024 -oversample 1", {"tile": 16}),
    "two workers": Case("-detpixels 4096 -oversample 5", LOCAL),
    "two workers, tiny tiles": Case("-detpixels 1024 -oversample 2", {**LOCAL, "tile": 16}),
    "two workers, step ranges": Case(
        "-detpixels 512 -oversample 50", {**LOCAL, "tile": 128, "steps_per_task": 250}
    ),
}
MOST = 2.0


class Row(NamedTuple):
    """One run: seconds told and taken, and what the plan says that it waits for."""

    name: str
    estimated: float
    real: float
    parts: str
    limit: str

    @property
    def ratio(self) -> float:
        """Real time in terms of the estimate."""
        return self.real / self.estimated


def files(folder: Path) -> dict[str, str]:
    """Write the input files of the cases; return the words that stand for them."""
    indices = range(-30, 31)
    lines = [
        f"{h} {k} {el} {10 + (h + k + el) % 7}" for h in indices for k in indices for el in indices
    ]
    (folder / "a.hkl").write_text("\n".join(lines) + "\n")
    names = "HEADER_BYTES=512;\nDIM=2;\nBYTE_ORDER=little_endian;\nTYPE=unsigned_short;\n"
    head = "{\n" + names + "SIZE1=2048;\nSIZE2=2048;\n}\f"
    pixels = np.ones((2048, 2048), dtype="<u2")
    pixels[:1024] = 0
    (folder / "mask.img").write_bytes(head.encode().ljust(512) + pixels.tobytes())
    return {
        "LIST": str(folder / "a.hkl"),
        "MASK": str(folder / "mask.img"),
        "FLOATS": str(folder / "floats.bin"),
    }


def measure(name: str, case: Case, folder: Path, words: dict[str, str]) -> Row:
    """Calibrate, plan and run a case, and calibrate again."""
    argv = f"{COMMON} {case.flags}".split()
    argv = [words.get(word, word) for word in argv]
    settings = Settings(**case.settings)
    experiment, out = from_args(argv), folder / "a.zarr"
    model, plan, _ = prepare(experiment, settings, place_of(out))
    start = f"{plan.backend}/{plan.precision}"
    keys = {f"{start}/{SHAPES[model.shape]}/{amplitudes_of(model)}", f"{start}/pixel", "run/start"}
    keys |= {"run/tile"} if len(plan.grid) > 100 else set()
    keys |= {"run/workers"} if "cluster" in case.settings else set()
    outputs = int("-floatfile" in argv)
    keys |= {"run/copy"} if outputs else set()

    def figures() -> dict[str, float]:
        found: dict[str, float] = {}
        calibrate.calibrate(plan.backend, [plan.precision], wanted=keys, report=found.__setitem__)
        return found

    before = figures()
    plan = prepare(experiment, settings, place_of(out), outputs)[1]
    seconds = command_seconds(argv, plan, case.settings, out)
    after = figures()
    save_costs({key: (value + after[key]) / 2 for key, value in before.items()})
    # The storage as it was before: afterwards it is busy with what the run wrote.
    estimate = make_plan(
        model,
        get_kernel(plan.backend, plan.precision),
        Resources(load_costs(default_costs()), plan.workers, storage=plan.estimate.storage),
        tile=plan.grid.tile,
        steps_per_task=longest(plan),
        outputs=outputs,
    ).estimate
    return Row(name, estimate.total, seconds, estimate.parts(), estimate.limit)


def command_seconds(argv: list[str], plan: Plan, settings: dict[str, Any], out: Path) -> float:
    """Return the seconds of the command line with a plan's tiles and steps."""
    argv = [*argv, "--precision", plan.precision, "--quiet", "--overwrite", "--out", str(out)]
    argv += ["--tile", f"{plan.grid.tile[0]},{plan.grid.tile[1]}"]
    argv += ["--steps-per-task", str(longest(plan))]
    for name in ("cluster", "workers", "threads"):
        argv += [f"--{name}", str(settings[name])] if name in settings else []
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "nbdask", "simulate", *argv], check=True)
    return time.perf_counter() - start


def longest(plan: Plan) -> int:
    """Return the steps of a task."""
    return max(s.length for s in plan.steps)


def table(rows: list[Row]) -> str:
    """Return the rows as Markdown."""
    lines = ["| run | estimated [s] | real [s] | real / estimated | limited by |"]
    lines += ["|---|--:|--:|--:|---|"]
    for row in rows:
        figures = f"{row.estimated:.1f} | {row.real:.1f} | {row.ratio:.2f}"
        lines.append(f"| {row.name} | {figures} | {row.limit} |")
    return "\n".join(lines)


def kept(path: Path | None, measured: list[str]) -> dict[str, Row]:
    """Return the rows of a file that are not measured now."""
    if path is None or not path.is_file():
        return {}
    rows = json.loads(path.read_text())["rows"]
    found = {row.pop("name"): row for row in rows}
    return {
        name: Row(name, *(row[field] for field in Row._fields[1:]))
        for name, row in found.items()
        if name not in measured
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Estimated and real time of runs.")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here, beside others")
    options = parser.parse_args()
    rows = kept(options.json, options.only)
    calibrate._SECONDS = 0.7
    with tempfile.TemporaryDirectory(prefix="nbdask-estimate-") as name:
        folder = Path(name)
        os.environ["NBDASK_CACHE_DIR"] = str(folder)
        words = files(folder)
        for case in options.only:
            tried = []
            for _ in range(options.repeats):
                tried.append(measure(case, CASES[case], folder, words))
                print(tried[-1], f"{tried[-1].ratio:.2f}", file=sys.stderr, flush=True)
            tried.sort(key=lambda row: row.ratio)
            rows[case] = tried[len(tried) // 2]
    shown = [rows[name] for name in CASES if name in rows]
    print(table(shown))
    if options.json is not None:
        data = {"machine": facts(), "rows": [{**r._asdict(), "ratio": r.ratio} for r in shown]}
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0 if all(1 / MOST <= row.ratio <= MOST for row in shown) else 1


if __name__ == "__main__":
    sys.exit(main())
