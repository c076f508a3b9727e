"""Make the golden numbers anew from a nanoBragg C program (for maintainers).

    NB_C_BIN=/path/to/nanoBragg python -m tests.golden.regenerate

Each case of ``cases.json`` is run in a fresh directory with one thread.  The float images go to
``images.npz``; ``provenance.json`` records the command, the seeds, the checksums of program, inputs
and image, and the date.  What ``-printout`` prints of the pixels in ``tests/trace/data/cases.json``
goes there, as do the lines ``TRACE_C: name value ...`` of a program that has been given print
statements and a flag ``-trace_pixel SLOW FAST``, where NB_C_TRACE_BIN names one.  The tests refuse
numbers whose provenance is missing or does not match.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.golden.provenance import digest, seeds_of

HERE = Path(__file__).parent
TRACES = HERE.parent / "trace" / "data"
#: Lines of the program's output that are kept.
KEPT = {
    "trace": re.compile("TRACE_C:"),
    "printout": re.compile(
        r"cell vectors|^ {5}a|^[XYZ]:|DIRECTION|ROTATION_AXIS|incident fluence|distance=|sensor is"
        r"|stol =|^at |hkl0=|F_cell=|^I/steps|^(polar|omega|capfrac|pixel) "
    ),
}
ALWAYS = "-floatfile image.bin -nonoise -nopgm"


def run_program(binary: str, arguments: str, folder: str) -> str:
    """Run the C program in a fresh folder with copies of the inputs; return what it printed."""
    for item in (HERE / "inputs").iterdir():
        shutil.copy(item, folder)
    done = subprocess.run(
        [binary, *arguments.split()],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def run_case(binary: str, arguments: str) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Run the C program on one argument string; return its float image and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        printed = run_program(binary, f"{arguments} {ALWAYS}", folder)
        pixels = np.fromfile(Path(folder) / "image.bin", "<f4")
    size = re.search(r"\((\d+)x(\d+) pixels\)", printed)
    numbers = re.search(r"mean= (\S+) rms= (\S+) rmsd= (\S+)", printed)
    assert size is not None
    assert numbers is not None
    facts = {"mean_rms_rmsd": [float(numbers[i]) for i in (1, 2, 3)]}
    return pixels.reshape(int(size[2]), int(size[1])), facts


def today() -> str:
    """Return the date, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def named(variable: str) -> str | None:
    """Return the absolute path of the program that a variable names."""
    given = os.environ.get(variable)
    return str(Path(given).resolve()) if given else None


def make_images(binary: str) -> None:
    """Run every case and write images and provenance."""
    cases = json.loads((HERE / "cases.json").read_text())
    images, records = {}, {}
    for name, arguments in cases.items():
        image, facts = run_case(binary, arguments)
        images[name] = image
        records[name] = {
            "arguments": arguments,
            "command": f"nanoBragg {arguments} {ALWAYS}",
            "seeds": seeds_of(arguments),
            "sha256": digest(image.tobytes()),
            "max": float(image.max()),
            **facts,
        }
        print(f"{name:28s} {image.shape} max {image.max():.6g}")
    np.savez_compressed(HERE / "images.npz", **images)
    provenance = {
        "program": "nanoBragg C, one OpenMP thread, each case in a fresh directory",
        "program_sha256": digest(Path(binary).read_bytes()),
        "date": today(),
        "inputs": {p.name: digest(p.read_bytes()) for p in sorted((HERE / "inputs").iterdir())},
        "cases": records,
    }
    (HERE / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


def trace_files(binary: str | None, kind: str) -> dict[str, dict[str, Any]]:
    """Write what a program prints of the traced pixels; return the records of these files.

    Without a program the files and their records stay as they are.
    """
    path = TRACES / "provenance.json"
    if binary is None:
        old = json.loads(path.read_text())["cases"] if path.is_file() else {}
        return {name: record for name, record in old.items() if name.endswith(f".{kind}.log")}
    records = {}
    for name, case in json.loads((TRACES / "cases.json").read_text()).items():
        slow, fast = case["slow"], case["fast"]
        pixel = f"-trace_pixel {slow} {fast}"
        if kind == "printout":
            pixel = f"-printout -printout_pixel {fast} {slow}"
        arguments = f"{case['arguments']} {pixel} {ALWAYS} -seed 1"
        with tempfile.TemporaryDirectory() as folder:
            lines = run_program(binary, arguments, folder).splitlines()
        kept = [line for line in lines if KEPT[kind].search(line)]
        file = TRACES / f"{name}.{kind}.log"
        file.write_text("\n".join(kept) + "\n")
        records[file.name] = {
            "command": f"nanoBragg {arguments}",
            "seeds": seeds_of(arguments),
            "program_sha256": digest(Path(binary).read_bytes()),
            "sha256": digest(file.read_bytes()),
            "date": today(),
        }
    return records


def make_traces(binary: str, instrumented: str | None) -> None:
    """Record what the programs print of single pixels."""
    records = trace_files(binary, "printout") | trace_files(instrumented, "trace")
    provenance = {
        "program": "nanoBragg C, one OpenMP thread, each case in a fresh directory; for *.trace.log"
        " the same program with print statements",
        "program_sha256": digest(Path(binary).read_bytes()),
        "date": today(),
        "cases": records,
    }
    (TRACES / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


def main() -> None:
    """Make all golden numbers."""
    binary = named("NB_C_BIN")
    if binary is None:
        sys.exit("regenerate.py: set NB_C_BIN to the path of a nanoBragg C program")
    make_images(binary)
    make_traces(binary, named("NB_C_TRACE_BIN"))


if __name__ == "__main__":
    main()
