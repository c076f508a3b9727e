"""Compare nbdask with a folder of nanoBragg C images and print a table, one line per case.

    python benchmarks/golden_table.py GOLDEN [--backend cpu] [--precision float64]
        [--cases a,b] [--json FILE] [--markdown FILE]

GOLDEN holds ``cases.json`` (name and arguments), ``index.json`` (facts of each C run), ``images/``
(float images) and ``inputs/``.  Every case runs as ``nbdask simulate --semantics c`` would run it,
to a zarr store on disk, and is compared there.  Exit status 1 if a case is beyond the bound.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nbdask
from nbdask.flags import parse_args

BOUND = {"float64": 2e-7, "mixed": 1e-5, "pairs": 1e-5}


def deviation(ours: NDArray[Any], c: NDArray[Any], largest: float) -> float:
    """Return the worst |ours - C| / max(|C|, 1e-6 * largest)."""
    c = c.astype(np.float64)
    scale = np.maximum(np.abs(c), 1e-6 * largest)
    return float(np.max(np.abs(ours - c) / scale)) if largest > 0 else float(np.abs(ours).max())


def same_statistics(result: nbdask.SimulationResult, fact: dict[str, Any], bound: float) -> bool:
    """Say whether maximum, its place and the three printed statistics agree."""
    found = result.statistics
    printed = [float(f"{x:.6g}") for x in (found.mean, found.rms, found.rmsd)]
    place = [found.max_slow, found.max_fast] == fact["argmax_slow_fast"]
    # The program prints six digits, whose last may round either way.
    close = np.allclose(printed, fact["mean_rms_rmsd"], rtol=1.5e-5)
    return bool(close and place and abs(found.max / fact["max"] - 1) < bound)


def compare(
    case: dict[str, Any], fact: dict[str, Any], golden: Path, options: argparse.Namespace
) -> dict[str, Any]:
    """Run one case to a store and compare every stored region of the C image."""
    parsed = parse_args(case["args"].split(), semantics="c", base_dir=golden / "inputs")
    reference = np.load(golden / "images" / f"{case['name']}.npz")
    regions = fact.get("store") or [[0, fact["shape"][0], 0, fact["shape"][1]]]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = nbdask.simulate(
            parsed.experiment,
            Path(folder) / "run.zarr",
            backend=options.backend,
            precision=options.precision,
        )
        seconds = time.perf_counter() - start
        image = nbdask.open(result.path).image
        worst = 0.0
        for name, (slow0, slow1, fast0, fast1) in zip(reference.files, regions, strict=True):
            ours = image[slow0:slow1, fast0:fast1].to_numpy()
            worst = max(worst, deviation(ours, reference[name], fact["max"]))
    return {
        "name": case["name"],
        "shape": list(result.shape),
        "deviation": worst,
        "shape_equal": list(result.shape) == fact["shape"],
        "statistics_equal": same_statistics(result, fact, BOUND[options.precision]),
        "seconds": round(seconds, 3),
        "covers": case["covers"],
    }


def markdown(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """Return the table as Markdown."""
    lines = [
        f"Backend {options.backend}, precision {options.precision}: {len(rows)} cases, worst"
        f" deviation {max(r['deviation'] for r in rows):.2e}.",
        "",
        "| case | pixels (slow x fast) | worst deviation | statistics | covers |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        same = "equal" if row["statistics_equal"] else "DIFFER"
        lines.append(
            f"| {row['name']} | {row['shape'][0]} x {row['shape'][1]} | {row['deviation']:.1e}"
            f" | {same} | {row['covers']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all cases; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare nbdask with nanoBragg C images.")
    parser.add_argument("golden", type=Path)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="float64", choices=sorted(BOUND))
    parser.add_argument("--cases", help="names, separated by commas")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("error")
    golden = options.golden.resolve()
    facts = {x["name"]: x for x in json.loads((golden / "index.json").read_text())}
    wanted = set(options.cases.split(",")) if options.cases else set(facts)
    rows = []
    for case in json.loads((golden / "cases.json").read_text()):
        if case["name"] in wanted:
            row = compare(case, facts[case["name"]], golden, options)
            rows.append(row)
            print(
                f"{row['name']:30s} {row['shape'][0]:5d} x {row['shape'][1]:<5d}"
                f" {row['deviation']:9.2e}  statistics"
                f" {'equal' if row['statistics_equal'] else 'DIFFER'}  {row['seconds']:6.2f} s",
                flush=True,
            )
    bound = BOUND[options.precision]
    bad = [
        r["name"]
        for r in rows
        if r["deviation"] > bound or not r["shape_equal"] or not r["statistics_equal"]
    ]
    print(f"{len(rows)} cases, worst {max(r['deviation'] for r in rows):.2e}, bound {bound:g}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(rows, options))
    if bad:
        print("beyond the bound or different: " + ", ".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
