"""DIALS, where it is installed: its commands, and its Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOK = Path(__file__).with_name("look.py")


@dataclass(frozen=True, slots=True)
class Dials:
    """How DIALS is called."""

    python: str

    def run(self, folder: Path, *argv: str, packages: str | None = None) -> str:
        """Run a command of DIALS in a folder, and return what it prints."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        if packages is not None:
            environment["PYTHONPATH"] = packages
        done = subprocess.run(
            argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout

    def look(self, folder: Path, *argv: str, packages: str | None = None) -> Any:
        """Return what tests/dials/look.py prints."""
        said = self.run(folder, self.python, str(LOOK), *argv, packages=packages)
        return json.loads(said.strip().splitlines()[-1])


def find_dials() -> Dials | None:
    """Return DIALS, or None where it is not installed."""
    program = shutil.which("dials.version")
    if program is None:
        return None
    first = Path(program).read_text(encoding="utf-8", errors="replace").splitlines()[0]
    python = first.removeprefix("#!").strip() if "python" in first else "dials.python"
    return Dials(python)
