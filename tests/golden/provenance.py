"""Where recorded numbers of the C program come from: what must be on record, and what is not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

#: Files of these kinds hold recorded numbers.
DATA = {".npz", ".npy", ".bin", ".log", ".img", ".pgm", ".gz", ".csv"}
#: What is known of a folder of recorded numbers, and of each case in it.
FOLDER_FIELDS = ("program", "program_sha256", "date")
CASE_FIELDS = ("command", "sha256", "seeds")
#: Seeds that C takes when none is given.
SEEDS = {"-seed": "from the clock, not used", "-mosaic_seed": "12345678", "-misset_seed": "-seed's"}


def digest(data: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def seeds_of(arguments: str) -> dict[str, str]:
    """Return the seeds of a command line, C's own where none is given."""
    argv = arguments.split()
    given = {flag: argv[argv.index(flag) + 1] for flag in SEEDS if flag in argv}
    return {flag.lstrip("-"): value for flag, value in (SEEDS | given).items()}


def complaints(folder: Path) -> list[str]:
    """Return what keeps the recorded numbers of a folder from being trusted.

    Every data file, and every image in an archive, must be on record in ``provenance.json`` with
    the command that gave it, its checksum, and its seeds; the folder with program and date.
    """
    path = folder / "provenance.json"
    if not path.is_file():
        return [f"{folder}: no provenance.json"]
    record: dict[str, Any] = json.loads(path.read_text())
    found = [f"{path}: no {name}" for name in FOLDER_FIELDS if not record.get(name)]
    if len(record.get("program_sha256", "")) != 64:
        found.append(f"{path}: program_sha256 is no SHA-256")
    cases = record.get("cases", {})
    for name, case in cases.items():
        found += [f"{path}: case {name} has no {f}" for f in CASE_FIELDS if not case.get(f)]
    held = _held(folder)
    found += [f"{folder}: {name} is not on record" for name in sorted(set(held) - set(cases))]
    found += [f"{folder}: {name} is missing" for name in sorted(set(cases) - set(held))]
    found += [
        f"{folder}: {name} is not what was recorded"
        for name in sorted(set(held) & set(cases))
        if held[name] != cases[name].get("sha256")
    ]
    inputs = folder / "inputs"
    if inputs.is_dir():
        now = {p.name: digest(p.read_bytes()) for p in sorted(inputs.iterdir())}
        if now != record.get("inputs"):
            found.append(f"{inputs}: not the files that the program read")
    return found


def _held(folder: Path) -> dict[str, str]:
    """Return the name and checksum of everything that is recorded in a folder."""
    held: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npz":
            with np.load(path) as archive:
                held |= {name: digest(archive[name].tobytes()) for name in archive.files}
        elif path.suffix in DATA:
            held[path.name] = digest(path.read_bytes())
    return held
