"""The project's own golden cases through ``parity``: table for the documentation.

    NB_C_BIN=nanoBragg python -m benchmarks.parity_golden [FOLDER]

Each case of ``tests/golden/cases.json`` is computed by nbdask under C semantics and by the C
program, as a whole (``-roi`` mode, with the case's own words) and as shifted windows: corners,
centre and two drawn squares.  FOLDER (default ``benchmarks/results``) gets ``parity-golden.md`` and
``parity-golden.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from nbdask.flags import parse_args
from nbdask.parity.against_c import Request, parity_from_scratch
from nbdask.parity.binary import Binary, find_binary
from nbdask.parity.outcome import Outcome
from nbdask.parity.regions import Choice
from nbdask.parity.verbatim import verbatim
from nbdask.prepare import Settings

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
#: Edge of the windows [pixels].
EDGE = 16


def both_modes(argv: list[str], binary: Binary) -> tuple[Outcome, Outcome]:
    """Compare one case as a whole, and by windows."""
    base = GOLDEN / "inputs"
    experiment = parse_args(argv, base_dir=base, semantics="c").experiment
    settings = Settings(tile=EDGE, threads=2)
    whole = Request(binary, Choice(whole=True), "roi", settings=settings)
    windows = Request(binary, Choice(tiles=2, edge=EDGE), "window", settings=settings)
    return (
        parity_from_scratch(experiment, whole, verbatim(argv, experiment, base)),
        parity_from_scratch(experiment, windows),
    )


def row(name: str, argv: list[str], outcomes: tuple[Outcome, Outcome]) -> dict[str, Any]:
    """Return the figures of one case."""
    whole, windows = outcomes
    return {
        "case": name,
        "arguments": " ".join(argv),
        "shape": list(whole.shape),
        "whole": whole.total.max_rel,
        "whole_differing": whole.total.differing,
        "windows": len(windows.regions),
        "window": windows.total.max_rel,
        "window_differing": windows.total.differing,
        "ok": whole.ok and windows.ok,
    }


def table(rows: list[dict[str, Any]], binary: Binary, date: str) -> str:
    """Return the figures as a page."""
    lines = [
        "# Golden cases against the nanoBragg C program",
        "",
        "Worst relative deviation, and how many pixels differ in any bit: of the whole image, and"
        f" of windows of {EDGE} x {EDGE} pixels (or what a smaller image has) that C computed as"
        " small shifted detectors. The arguments of each case are in"
        " [cases.json](../../tests/golden/cases.json).",
        "",
        f"Program: SHA-256 `{binary.sha256}`, one thread; {date}.",
        "",
        "| case | pixels | whole image | pixels that differ | windows | worst | that differ |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['case']} | {r['shape'][0]} x {r['shape'][1]} | {r['whole']:.1e}"
        f" | {r['whole_differing']} | {r['windows']} | {r['window']:.1e}"
        f" | {r['window_differing']} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all cases and write the table."""
    parser = argparse.ArgumentParser(description="Golden cases against the C program.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("benchmarks/results"))
    folder: Path = parser.parse_args().folder
    binary = find_binary(None)
    cases = json.loads((GOLDEN / "cases.json").read_text())
    rows, date = [], ""
    for name, text in cases.items():
        outcomes = both_modes(text.split(), binary)
        date = outcomes[0].facts["date"][:10]
        rows.append(row(name, text.split(), outcomes))
        print(f"{name:24s} {rows[-1]['whole']:.2e} {rows[-1]['window']:.2e}", flush=True)
    (folder / "parity-golden.md").write_text(table(rows, binary, date))
    result = {"program_sha256": binary.sha256, "date": date, "cases": rows}
    (folder / "parity-golden.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(r["ok"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
