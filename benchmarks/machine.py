"""Facts of the machine and of the libraries, for benchmark records."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nbdask
from nbdask.native.library import level, missing_note, recipe
from nbdask.plan.machine import cpu_name


def facts() -> dict[str, Any]:
    """Return processor, cores, system, versions, commit and date."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {n: _version(n) for n in ("numpy", "dask", "zarr")},
        "library": None if missing_note() else f"{level()}: {recipe()}",
        "nbdask": nbdask.__version__,
        "commit": commit.stdout.strip() or None,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
