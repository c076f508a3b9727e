"""The version that a build gets: with git one for each commit, such as 0.1.0.dev57+g057de22.

Without git (an unpacked archive) it is that of the archive: an sdist carries ``nbdask/_build.py``,
``git archive`` fills in ``.git_archival.txt``.  With neither, the version is the plain one.
"""

from __future__ import annotations

import re
import runpy
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent
#: The release that comes next.
RELEASE = "0.1.0"


def git(*words: str) -> str | None:
    """Return what git prints, None where there is no git, or no repository of our own."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def version_and_commit() -> tuple[str, str | None]:
    """Return the version and the commit that it is built from, if that is known."""
    top = git("rev-parse", "--show-toplevel")
    if top is not None and Path(top).resolve() == ROOT:
        commit, count = git("rev-parse", "HEAD"), git("rev-list", "--count", "HEAD")
        if commit and count:
            changed = ".changed" if git("status", "--porcelain", "-uno") else ""
            return f"{RELEASE}.dev{count}+g{commit[:7]}{changed}", commit
    built = ROOT / "nbdask" / "_build.py"
    if built.is_file():
        found = runpy.run_path(str(built))
        return found["VERSION"], found["COMMIT"]
    archive = ROOT / ".git_archival.txt"
    commit = archive.read_text().strip() if archive.is_file() else ""
    if re.fullmatch("[0-9a-f]{40}", commit):
        return f"{RELEASE}.dev0+g{commit[:7]}", commit
    return RELEASE, None


def version() -> str:
    """Return the version, for ``tool.hatch.version``."""
    return version_and_commit()[0]


def module_text() -> str:
    """Return the module in which a build keeps them."""
    number, commit = version_and_commit()
    return (
        '"""Written by the build: what this copy was made from."""\n\n'
        f"VERSION = {number!r}\nCOMMIT: str | None = {commit!r}\n"
    )
