"""Stores in folders: checks of the path, creation as a whole, removal of nothing but stores."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from nbdask.errors import StoreError
from nbdask.files import HALF_WRITTEN, Writer, check_outside_stores, sync, sync_tree
from nbdask.store.lockfile import LocalLockFile
from nbdask.store.place import ROOT, Stamp, reason, root_attributes, ways_on
from nbdask.store.schema import ENTRIES


class WholeStore(LocalStore):
    """zarr's store in a folder, whose files are on the disk when they are said to be written.

    Parameters
    ----------
    root : Path
    read_only : bool
    durable : bool
        See :class:`nbdask.files.Writer`.
    """

    def __init__(self, root: Path, *, read_only: bool = False, durable: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self._writer = Writer(root, durable=durable)

    def with_read_only(self, read_only: bool = False) -> WholeStore:
        """Return the same store for reading, or for writing."""
        return WholeStore(self.root, read_only=read_only, durable=self._writer.durable)

    async def set(self, key: str, value: Buffer) -> None:
        """Write a file."""
        await asyncio.to_thread(self.set_sync, key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a file unless it is there."""
        self._check_writable()
        with suppress(FileExistsError):
            await asyncio.to_thread(self._writer.put, key, value.as_buffer_like(), exclusive=True)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write a file."""
        self._check_writable()
        self._writer.put(key, value.as_buffer_like())


@dataclass(frozen=True)
class LocalPlace:
    """A folder; see :class:`~.place.Place`.

    Parameters
    ----------
    path : Path
        Absolute.
    durable : bool
        Whether what is written is on the disk, pixels before records, or may still be on its way.
    """

    path: Path
    durable: bool = True

    @property
    def name(self) -> Path:
        """The path."""
        return self.path

    def zarr_store(self, *, read_only: bool) -> Store:
        """Return the folder as zarr's store."""
        if read_only:
            return LocalStore(self.path, read_only=True)
        return WholeStore(self.path, durable=self.durable)

    def read(self, key: str) -> bytes | None:
        """Return a file of the store; a pipe or a device, which may never end, is none."""
        path = self.path / key
        try:
            return path.read_bytes() if path.is_file() else None
        except OSError:
            return None

    def size(self, key: str) -> int | None:
        """Return the bytes of a file of the store, None where there is none."""
        try:
            return (self.path / key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def stamps(self, prefix: str) -> Iterator[tuple[str, Stamp]]:
        """Yield name, size and time of the files below a folder of the store."""
        for key, entry in self._entries(prefix):
            with suppress(FileNotFoundError):
                seen = entry.stat()
                yield key, Stamp(seen.st_size, seen.st_mtime)

    def keys(self, prefix: str) -> list[str]:
        """Return the files below a folder of the store."""
        return [key for key, _ in self._entries(prefix)]

    def _entries(self, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield name and entry of the files below a folder of the store."""
        folders = [prefix]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self.path / folder) as entries:
                    for entry in entries:
                        key = f"{folder}{entry.name}"
                        if entry.is_dir():
                            folders.append(f"{key}/")
                        else:
                            yield key, entry
            except (FileNotFoundError, NotADirectoryError):
                continue

    def remove(self, key: str) -> None:
        """Delete a file of the store if it is there."""
        (self.path / key).unlink(missing_ok=True)

    def exists(self) -> bool:
        """Whether anything is at the path, also a broken link."""
        return os.path.lexists(self.path)

    def check_alive(self) -> None:
        """Raise FileNotFoundError where the store is gone."""
        os.stat(self.path / ROOT)

    def check_free(self, overwrite: bool, flag: str = "--out") -> None:
        """Raise StoreError unless a store may be written here."""
        check_free(self.path, overwrite, flag)

    @contextmanager
    def new(self, overwrite: bool) -> Iterator[Store]:
        """Give a store to be filled that takes its place when all went well."""
        with new_folder(self.path, overwrite, durable=self.durable) as folder:
            yield LocalStore(folder)

    def sweep(self) -> int:
        """Delete files that were being written when their process was killed.

        Also what a killed creation left beside the store; the store that it was to replace comes
        back where there is no other.  The caller holds the lock, so whoever made them is dead.
        """
        count = self._sweep_beside()
        for folder, _, files in os.walk(self.path):
            for file in files:
                if file.endswith(HALF_WRITTEN):
                    Path(folder, file).unlink(missing_ok=True)
                    count += 1
        return count

    def _sweep_beside(self) -> int:
        """Delete temporary folders of earlier creations; return how many there were."""
        name = re.compile(rf"\.{re.escape(self.path.name)}\.[0-9a-f]{{12}}\.(new|old)")
        with suppress(FileNotFoundError), os.scandir(self.path.parent) as entries:
            named = [e for e in entries if name.fullmatch(e.name)]
            folders = [e for e in named if e.is_dir(follow_symlinks=False)]
            ours = [e for e in folders if not _others_in(Path(e.path))]
            # The newest first: that one comes back.
            for entry in sorted(ours, key=lambda e: e.stat().st_mtime, reverse=True):
                if entry.name.endswith(".old") and not self.exists():
                    os.rename(entry.path, self.path)
                else:
                    shutil.rmtree(entry.path, ignore_errors=True)
            return len(ours)
        return 0

    def free_bytes(self) -> int | None:
        """Return what the file system has left for this user."""
        try:
            found = os.statvfs(self.path.parent)
        except (OSError, AttributeError):
            return None
        return found.f_bavail * found.f_frsize

    def lock_file(self) -> LocalLockFile:
        """Return the lock next to the folder."""
        return LocalLockFile(self.path.with_name(f".{self.path.name}.lock"))


def check_free(path: Path, overwrite: bool, flag: str = "--out") -> None:
    """Make sure that a store may be written at ``path``.

    Raises
    ------
    StoreError
        Something exists already and must not or cannot be replaced, or the folder that is to
        hold the store is missing or not writable.
    """
    parent = path.absolute().parent
    check_outside_stores(path, flag, StoreError)
    if not parent.is_dir():
        raise StoreError(f"{flag} {path}: the folder {parent} does not exist; create it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise StoreError(f"{flag} {path}: no permission to write in the folder {parent}")
    if not os.path.lexists(path):
        return
    if not overwrite:
        root = _root_of(path)
        if root is not None:
            hint = f"{ways_on(root)}, or choose another path"
        elif path.is_dir():
            hint = f"it is not a store; name a new one, such as {path / 'run.zarr'}"
        else:
            hint = "choose another path"
        raise StoreError(f"{flag} {path} exists already: {hint}")
    check_replaceable(path, flag)


def check_replaceable(path: Path, flag: str = "--out") -> None:
    """Make sure that what is at ``path`` is an nbdask store and nothing more.

    Raises
    ------
    StoreError
        It is not, so it is never deleted.
    """
    if path.is_symlink():
        raise StoreError(
            f"{flag} {path} is a symbolic link, which --overwrite does not replace: give the path"
            f" that it leads to, {os.path.realpath(path)}, or remove the link"
        )
    if not path.is_dir() or _root_of(path) is None:
        raise StoreError(
            f"{flag} {path} is not an nbdask store, so --overwrite does not delete it;"
            " choose another path"
        )
    others = _others_in(path)
    if others:
        raise StoreError(
            f"{flag} {path} also holds {', '.join(others[:3])}, not part of an nbdask store, so"
            " --overwrite does not delete it; move that away or choose another path"
        )


def _others_in(path: Path) -> list[str]:
    """Return the names in a folder that no store has."""
    others = sorted(set(os.listdir(path)) - ENTRIES)
    return [name for name in others if not name.endswith(HALF_WRITTEN)]


def _root_of(path: Path) -> dict[str, Any] | None:
    """Return the attributes of the store in a folder, or None where there is none."""
    data = LocalPlace(path).read(ROOT)
    return None if data is None else root_attributes(data)


@contextmanager
def new_folder(path: Path, overwrite: bool, *, durable: bool = True) -> Iterator[Path]:
    """Make a folder next to ``path`` that replaces it on success.

    A failure inside leaves nothing behind, and what was at ``path`` is untouched.  If ``durable``,
    all that is in the folder is on the disk before it takes its place.

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
        if durable:
            sync_tree(fresh)
        with _taken(fresh, path, overwrite, mark):
            if durable:
                sync(fresh.parent)
    except OSError as error:
        raise StoreError(f"--out {path}: cannot create the store: {reason(error)}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def _taken(fresh: Path, path: Path, overwrite: bool, mark: str) -> Iterator[None]:
    """Rename ``fresh`` to ``path``; an old store there goes aside first, and is deleted at the end.

    So it can still come back while the new names are not on the disk.
    """
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
    yield
    shutil.rmtree(old, ignore_errors=True)
