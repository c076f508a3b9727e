"""The C++ sources and the libraries that are built from them; read by the build hook as well.

The build hook runs this file before the package is installed, so that it imports nothing but the
standard library.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = FOLDER / "src"
LIBRARIES = FOLDER / "lib"
#: Levels of each machine, the best first; every processor of that machine can run the last.
LEVELS = {
    "x86_64": ("x86-64-v4", "x86-64-v3", "x86-64"),
    "aarch64": ("aarch64",),
}
#: Other names of the same machines.
ALIASES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


def machine_name(machine: str) -> str:
    """Return the name of a machine in :data:`LEVELS`, or its own where it is not there."""
    return ALIASES.get(machine.lower(), machine.lower())


def library_path(level: str, folder: Path | None = None, platform: str = sys.platform) -> Path:
    """Return where the library of one level is: in :data:`LIBRARIES`, or in another folder."""
    return (folder or LIBRARIES) / f"nbdask-{level}{'.dylib' if platform == 'darwin' else '.so'}"


def digest() -> str:
    """Return a digest of the sources that go into the libraries; each library holds its own."""
    parts = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        if path.suffix in (".cpp", ".h"):
            parts.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    return parts.hexdigest()[:32]
