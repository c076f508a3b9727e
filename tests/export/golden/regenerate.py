"""Make the checksums of nanoBragg C's own files anew (for maintainers).

    NB_C_BIN=/path/to/nanoBragg python -m tests.export.golden.regenerate

Each case of ``tests/golden/cases.json`` and of ``extra.json`` is run in a fresh directory with one
thread.  ``files.json`` records the header and the checksums of what C wrote, and what it printed of
photons and overloads; the float images of the extra cases go to ``images.npz``.

The program must be compiled without fused multiply and add (gcc without ``-march=native``): its
photon noise is single precision and differs between the two.
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

from tests.golden.regenerate import digest

HERE = Path(__file__).parent
BASE = HERE.parents[1] / "golden"
#: Added to the cases that were made for their float images alone.
ADDED = "-seed 11 -adc 7.5"


def run_case(binary: str, arguments: str) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Run the C program; return its float image and the facts about its other files."""
    with tempfile.TemporaryDirectory() as folder:
        for item in (BASE / "inputs").iterdir():
            shutil.copy(item, folder)
        argv = [binary, *arguments.split(), "-floatfile", "f", "-intfile", "i"]
        argv += ["-pgmfile", "p", "-noisefile", "n"]
        done = subprocess.run(
            argv,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        made = {name: (Path(folder) / name).read_bytes() for name in "fipn"}
    size = re.search(r"\((\d+)x(\d+) pixels\)", done.stdout)
    noise = re.search(r"(\d+) photons on noise image \((\d+) overloads\)", done.stdout)
    assert size is not None
    assert noise is not None
    facts = {
        "arguments": arguments,
        "header": made["i"][: made["i"].index(b"\f") + 1].decode(),
        "float": digest(made["f"]),
        "int": digest(made["i"]),
        "pgm": digest(made["p"]),
        "noise": digest(made["n"]),
        "photons": int(noise[1]),
        "overloads": int(noise[2]),
    }
    image = np.frombuffer(made["f"], "<f4").reshape(int(size[2]), int(size[1]))
    return image, facts


def main() -> None:
    """Run every case and write what was found."""
    binary = os.environ.get("NB_C_BIN")
    if not binary:
        sys.exit("regenerate.py: set NB_C_BIN to the path of a nanoBragg C program")
    binary = str(Path(binary).resolve())
    base = json.loads((BASE / "cases.json").read_text())
    extra = json.loads((HERE / "extra.json").read_text())
    images, records = {}, {}
    for name, arguments in {**{k: f"{v} {ADDED}" for k, v in base.items()}, **extra}.items():
        image, records[name] = run_case(binary, arguments)
        if name in extra:
            images[name] = image
    np.savez_compressed(HERE / "images.npz", **images)
    provenance = {
        "program": "nanoBragg C, gcc -O3 -fopenmp, one thread, each case in a fresh directory",
        "program_sha256": digest(Path(binary).read_bytes()),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "cases": records,
    }
    (HERE / "files.json").write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    main()
