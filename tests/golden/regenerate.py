"""Make the golden numbers anew from a nanoBragg C program (for maintainers).

    NB_C_BIN=/path/to/nanoBragg python tests/golden/regenerate.py

Each case of ``cases.json`` is run in a fresh directory with one thread.  The float images go to
``images.npz``; ``provenance.json`` records the command, the checksums of program, inputs and
image, and the date.  The tests refuse images whose provenance is missing or does not match.
"""

from __future__ import annotations

import datetime
import hashlib
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

HERE = Path(__file__).parent


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def run_case(binary: str, arguments: str) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Run the C program on one argument string; return its float image and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        for item in (HERE / "inputs").iterdir():
            shutil.copy(item, folder)
        words = [binary, *arguments.split(), "-floatfile", "image.bin", "-nonoise", "-nopgm"]
        done = subprocess.run(
            words,
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        pixels = np.fromfile(Path(folder) / "image.bin", "<f4")
    size = re.search(r"\((\d+)x(\d+) pixels\)", done.stdout)
    numbers = re.search(r"mean= (\S+) rms= (\S+) rmsd= (\S+)", done.stdout)
    assert size is not None
    assert numbers is not None
    facts = {"mean_rms_rmsd": [float(numbers[i]) for i in (1, 2, 3)]}
    return pixels.reshape(int(size[2]), int(size[1])), facts


def main() -> None:
    """Run every case and write images and provenance."""
    binary = os.environ.get("NB_C_BIN")
    if not binary:
        sys.exit("regenerate.py: set NB_C_BIN to the path of a nanoBragg C program")
    binary = str(Path(binary).resolve())
    cases = json.loads((HERE / "cases.json").read_text())
    images, records = {}, {}
    for name, arguments in cases.items():
        image, facts = run_case(binary, arguments)
        images[name] = image
        records[name] = {
            "arguments": arguments,
            "sha256": digest(image.tobytes()),
            "max": float(image.max()),
            **facts,
        }
        print(f"{name:28s} {image.shape} max {image.max():.6g}")
    np.savez_compressed(HERE / "images.npz", **images)
    provenance = {
        "program": "nanoBragg C, one OpenMP thread, each case in a fresh directory",
        "program_sha256": digest(Path(binary).read_bytes()),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "inputs": {p.name: digest(p.read_bytes()) for p in sorted((HERE / "inputs").iterdir())},
        "cases": records,
    }
    (HERE / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    main()
