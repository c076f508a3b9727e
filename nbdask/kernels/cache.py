"""Where compiled kernels are kept on disk, and whether this machine has them already.

The directory is ``$NBDASK_CACHE_DIR``, else ``$NUMBA_CACHE_DIR``, else ``$XDG_CACHE_HOME/nbdask``,
else ``~/.cache/nbdask``; where that cannot be written, a directory of this user alone in the
directory for temporary files.  Below it, one folder for each version of Python, Numba and the
kernels' own sources: Numba itself only looks at the file that holds a compiled function, not at
the other files whose formulas went into it.  Many processes may share the directory: the code of
different processors is kept apart, and files are replaced as a whole.

Nothing here imports Numba.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

#: Environment variable that names the directory.
VARIABLE = "NBDASK_CACHE_DIR"

#: Files whose text goes into the compiled code, beside the kernels' own.
_CONSTANTS = ("../geometry/model.py", "../physics/lattice.py", "machine_code.py")


def base_directory() -> Path:
    """Return the directory that the environment asks for, whether or not it can be written."""
    for name in (VARIABLE, "NUMBA_CACHE_DIR"):
        given = os.environ.get(name)
        if given:
            return Path(given).expanduser()
    given = os.environ.get("XDG_CACHE_HOME")
    if given:
        return Path(given) / "nbdask"
    return Path(os.path.expanduser("~")) / ".cache" / "nbdask"


def configure() -> Path:
    """Create the folder of compiled kernels, and return it.

    The kernels do so themselves when they are imported; calling it before shows where that is.
    """
    return cache_directory()


def describe() -> str:
    """Return the folder of compiled kernels, for a message to the user."""
    return str(cache_directory())


def is_warm() -> bool:
    """Return True if any kernel was compiled into the folder before.

    Whether the loops of one model are there, :meth:`~.numba_kernel.NumbaKernel.needs_compiling`
    says.
    """
    return any((cache_directory() / "code").glob("*/[!.]*"))


@lru_cache(maxsize=1)
def cache_directory() -> Path:
    """Return the folder of this version's compiled kernels, created if need be."""
    return folder_of(_version_folder())


def folder_of(name: str) -> Path:
    """Return a folder of the cache, created if need be, where this process can write."""
    folder = base_directory() / name
    if _is_writable(folder):
        return folder
    folder = _private_directory() / name
    folder.mkdir(exist_ok=True)
    return folder


def code_folders(processor: str) -> list[Path]:
    """Return the folders of the machine code for a processor; they need not exist yet.

    Parameters
    ----------
    processor : str
        The processor that code is compiled for, as :func:`~.processor.processor` names it.

    Returns
    -------
    list of Path
        Where to write, then where else to look: the place that the environment names, which
        others may have filled, although this process cannot write there.
    """
    digest = hashlib.sha256(processor.encode()).hexdigest()[:12]
    folders = [cache_directory()]
    named = base_directory() / _version_folder()
    if named not in folders:
        folders.append(named)
    return [folder / "code" / digest for folder in folders]


@lru_cache(maxsize=1)
def _version_folder() -> str:
    from importlib.metadata import version

    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in (*sorted(here.glob("numba_*.py")), *(here / name for name in _CONSTANTS)):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
        # Numba discards code that is older than its file.  Copies of the package with other times
        # (one per node, say) would forever discard each other's, if they shared a folder.
        digest.update(str(source.stat().st_mtime_ns).encode())
    python = f"{sys.implementation.cache_tag}-{platform.machine()}"
    return f"{python}-numba{version('numba')}-{digest.hexdigest()[:12]}"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _private_directory() -> Path:
    """Return a directory for temporary files that nobody else can write to."""
    # Compiled code is run as it is: a directory that someone else could fill is not used.
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"nbdask-{user}"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        open_to_others = stat.S_IMODE(found.st_mode) & 0o022
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not open_to_others:
            return folder
    return Path(tempfile.mkdtemp(prefix="nbdask-"))
