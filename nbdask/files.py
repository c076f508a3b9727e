"""Files to write: whether they may be, and under their name as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def check_target(
    path: str | os.PathLike[str],
    what: str,
    error: Callable[[str], Exception],
    *,
    overwrite: bool,
) -> None:
    """Make sure that a file can be written.

    Parameters
    ----------
    path : path
    what : str
        Flag or option that names it, for messages.
    error : callable
        Makes the error to raise from its message.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    error
        The folder is missing or not writable; or the path is a folder, a device, or a file that
        must not be replaced.
    """
    if "://" in str(path):
        raise error(f"{what} {path}: files are written to local paths only; give a path")
    target = Path(path)
    parent = target.absolute().parent
    if target.is_dir():
        raise error(f"{what} {path} is a folder: give the path of a file")
    if target.exists() and not target.is_file():
        raise error(f"{what} {path} is a device, pipe or socket: give the path of a regular file")
    if not parent.is_dir():
        raise error(f"{what} {path}: the folder {parent} does not exist")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise error(f"{what} {path}: no permission to write in the folder {parent}")
    if os.path.lexists(target) and not overwrite:
        raise error(f"{what} {path} exists already: --overwrite replaces it, or name another")


@contextmanager
def whole_file(
    path: str | os.PathLike[str],
    what: str = "",
    error: Callable[[str], Exception] | None = None,
) -> Iterator[Path]:
    """Give the path of a temporary file beside ``path`` that takes its name in the end.

    After an error, or an interruption, the temporary file is gone and an older file stays as it
    was.

    Parameters
    ----------
    path : path
    what : str
        Flag or option that names it, for the message.
    error : callable, optional
        Makes the error to raise from its message; None: OSError passes.

    Yields
    ------
    Path
        With the same suffix: some libraries choose by it.
    """
    target = Path(path).absolute()
    fresh = target.with_name(f".{secrets.token_hex(6)}.{target.name}")
    try:
        yield fresh
        os.replace(fresh, target)
    except OSError as problem:
        if error is None:
            raise
        reason = problem.strerror or problem
        raise error(f"{what} {path}: cannot be written: {reason}".lstrip()) from problem
    finally:
        fresh.unlink(missing_ok=True)


def inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, through links."""
    path, folder = path.resolve(), folder.resolve()
    return path == folder or folder in path.parents
