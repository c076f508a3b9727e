"""The folder of the GPU's compiled programs: the user's own, closed to others.

Programs found there are run, so it is used only if nobody else can have written to it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nbdask.errors import BackendError

#: Environment variable that names nbdask's cache folder.
VARIABLE = "NBDASK_CACHE_DIR"


def base_directory() -> Path:
    """Return the folder that the environment asks for.

    Returns
    -------
    Path
        ``$NBDASK_CACHE_DIR``, else ``$XDG_CACHE_HOME/nbdask``, else ``~/.cache/nbdask``.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return Path(os.path.expanduser(given))
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "nbdask"


def program_folder(name: str = "cuda") -> Path:
    """Return the folder of compiled programs, made if need be with mode 0700.

    Raises
    ------
    BackendError
        It cannot be made, belongs to someone else or is open to others.
    """
    base = base_directory()
    folder = base / name
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = [base.stat(), folder.lstat()]
    except (OSError, RuntimeError) as error:
        raise BackendError(
            f"compiled programs of the GPU cannot be kept in {folder} ({error}):"
            f" set {VARIABLE} to a folder of your own"
        ) from error
    own = all(found.st_uid == os.getuid() for found in facts) and stat.S_ISDIR(facts[1].st_mode)
    if not own or facts[0].st_mode & 0o022 or facts[1].st_mode & 0o077:
        raise BackendError(
            f"{folder} may hold programs of other users, which are not run: give it mode 0700 (and"
            f" no write access for others to {base}), or set {VARIABLE} to a folder of your own"
        )
    return folder
