"""The version of the package, in one place, without importing anything but what a build wrote."""

from __future__ import annotations

import importlib
from pathlib import Path

__version__ = "0.1.0"
#: The commit that this copy was built from; None in a checkout.
COMMIT: str | None = None

try:
    # hatch_version.py writes it into wheels and sdists.
    _built = importlib.import_module("nbdask._build")
except ImportError:
    pass
else:
    __version__, COMMIT = _built.VERSION, _built.COMMIT


def commit() -> str | None:
    """Return the commit that this copy was built from, or that its source tree is at."""
    if COMMIT is not None:
        return COMMIT
    git = Path(__file__).parents[1] / ".git"
    try:
        if git.is_file():  # of a further working tree: names its folder in the repository
            git = git.parent / git.read_text().partition(":")[2].strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        shared = git / "commondir"
        common = git / shared.read_text().strip() if shared.is_file() else git
        if (common / name).is_file():
            return (common / name).read_text().strip()
        for line in (common / "packed-refs").read_text().splitlines():
            if line.endswith(" " + name):
                return line.split()[0]
    except OSError:
        pass
    return None
