"""Files that appear under their name as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(
    path: str | os.PathLike[str],
    what: str = "",
    error: Callable[[str], Exception] | None = None,
) -> Iterator[Path]:
    """Give the path of a temporary file next to ``path`` that takes its name in the end.

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
