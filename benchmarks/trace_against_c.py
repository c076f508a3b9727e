r"""Compare every value that C computes inside of many pixels with the traces of these pixels.

    NB_C_TRACE_BIN=nanoBragg-with-prints NB_C_BIN=nanoBragg \
        python -m benchmarks.trace_against_c [--pixels 3]

Pixels drawn from every golden case.  NB_C_TRACE_BIN is a C program with print statements; see
``tests/golden/regenerate.py``.  Exit status 1: some value differs beyond rounding.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from nbdask.flags import parse_args
from nbdask.trace.against import compare, report
from nbdask.trace.clog import read_log
from nbdask.trace.walk import is_evaluated, trace_pixel
from tests.golden.regenerate import ALWAYS, HERE, named, run_program


def logs(arguments: str, slow: int, fast: int, folder: str) -> list[str]:
    """Let the C programs print one pixel; return the paths of what they printed."""
    asked = {
        "NB_C_TRACE_BIN": f"-trace_pixel {slow} {fast}",
        "NB_C_BIN": f"-printout -printout_pixel {fast} {slow}",
    }
    paths = []
    for variable, flags in asked.items():
        binary = named(variable)
        if binary is not None:
            printed = run_program(binary, f"{arguments} {flags} {ALWAYS}", folder)
            path = Path(folder) / f"{variable}.log"
            path.write_text(printed)
            paths.append(str(path))
    return paths


def main() -> int:
    """Compare, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=int, default=3)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    values = differing = 0
    worst: dict[str, float] = {}
    for name, arguments in json.loads((HERE / "cases.json").read_text()).items():
        argv = arguments.split()
        made = parse_args(argv, semantics="c", base_dir=HERE / "inputs").experiment
        for _ in range(options.pixels):
            slow, fast = draw.randrange(made.shape[0]), draw.randrange(made.shape[1])
            trace = trace_pixel(made, slow, fast)
            if not is_evaluated(trace.model, slow, fast):
                continue
            with tempfile.TemporaryDirectory() as folder:
                for path in logs(arguments, slow, fast, folder):
                    found = compare(trace, read_log(path, slow, fast))
                    values += len(found.compared)
                    for item in found.compared:
                        known = worst.get(item.entry.name, 0.0)
                        worst[item.entry.name] = max(known, item.deviation)
                    if found.first is not None:
                        differing += 1
                        print(name, slow, fast, report(trace, found))
    print(f"{values} values compared, {differing} pixels with a difference; largest distances:")
    for name, distance in sorted(worst.items(), key=lambda item: -item[1])[:5]:
        print(f"{name:20s} {distance:.1e}")
    return 1 if differing or not values else 0


if __name__ == "__main__":
    sys.exit(main())
