"""Files that appear under their name as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the path of a temporary file beside ``path`` that takes its name in the end.

    After an error, or an interruption, the temporary file is gone and an older file stays as it
    was.

    Yields
    ------
    Path
        With the same suffix: some libraries choose by it.

    Raises
    ------
    OSError
        It cannot be written.
    """
    path = path.absolute()
    fresh = path.with_name(f".{secrets.token_hex(6)}.{path.name}")
    try:
        yield fresh
        os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file as a whole.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    with whole_file(path) as fresh:
        fresh.write_bytes(content if isinstance(content, bytes) else content.encode())


def inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, through links."""
    path, folder = path.resolve(), folder.resolve()
    return path == folder or folder in path.parents
