"""Where a store is: checks of its path, creation as a whole, removal of nothing but stores."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nbdask.errors import StoreError
from nbdask.store.schema import ENTRIES, FORMAT


def local_path(out: str | os.PathLike[str]) -> Path:
    """Return the path of a store on a file system.

    Raises
    ------
    StoreError
        An empty path, or the address of an object store.
    """
    text = os.fspath(out)
    if "://" in text:
        raise StoreError(
            f"--out {text}: object stores are not available in this version; use a path"
        )
    if not text:
        raise StoreError("--out is empty: give the path of the store to write, such as run.zarr")
    return Path(text)


def read_root(path: Path) -> dict[str, Any] | None:
    """Return the attributes of the nbdask store at ``path``, or None where there is none."""
    try:
        data = json.loads((path / "zarr.json").read_text())
        attributes = data["attributes"]
        return dict(attributes) if attributes["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_free(path: Path, overwrite: bool) -> None:
    """Make sure that a store may be written at ``path``.

    Raises
    ------
    StoreError
        Something is there already and must not or cannot be replaced, or the folder that is to
        hold the store is missing or not writable.
    """
    parent = path.absolute().parent
    if not parent.is_dir():
        raise StoreError(f"--out {path}: the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StoreError(f"--out {path}: no permission to write in the folder {parent}")
    if not os.path.lexists(path):
        return
    if not overwrite:
        hint = "--overwrite replaces it, " if read_root(path) is not None else ""
        raise StoreError(f"--out {path} exists already: {hint}or choose another path")
    check_replaceable(path)


def check_replaceable(path: Path) -> None:
    """Make sure that what is at ``path`` is an nbdask store and nothing more.

    Raises
    ------
    StoreError
        It is not, so it is never deleted.
    """
    if path.is_symlink() or not path.is_dir() or read_root(path) is None:
        raise StoreError(
            f"--out {path} is not an nbdask store, so --overwrite does not delete it;"
            " choose another path"
        )
    others = sorted(set(os.listdir(path)) - ENTRIES)
    if others:
        raise StoreError(
            f"--out {path} also holds {', '.join(others[:3])}, which is no part of an nbdask store,"
            " so --overwrite does not delete it; move that away or choose another path"
        )


@contextmanager
def new_folder(path: Path, overwrite: bool) -> Iterator[Path]:
    """Make a folder beside ``path`` that takes its place when all went well.

    A failure inside leaves nothing behind, and what was at ``path`` is untouched.

    Yields
    ------
    Path
        The temporary folder, in the same file system as ``path``.

    Raises
    ------
    StoreError
        As :func:`check_free`; or another process made ``path`` in the meantime.
    """
    check_free(path, overwrite)
    mark = secrets.token_hex(6)
    fresh = path.absolute().with_name(f".{path.name}.{mark}.new")
    try:
        fresh.mkdir()
        yield fresh
        _take_place(fresh, path, overwrite, mark)
    except OSError as error:
        raise StoreError(
            f"--out {path}: cannot create the store: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _take_place(fresh: Path, path: Path, overwrite: bool, mark: str) -> None:
    """Rename ``fresh`` to ``path``; an old store there goes aside first and is deleted last."""
    check_free(path, overwrite)
    old = path.absolute().with_name(f".{path.name}.{mark}.old")
    if os.path.lexists(path):
        os.rename(path, old)
    try:
        os.rename(fresh, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
