"""Files to write: whether they may be; as a whole or not at all, and safe in a power cut."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nbdask.leftovers import mark, sweep

#: End of the names under which files of a store are written before they are renamed.
HALF_WRITTEN = ".partial"
#: What fsync says where a file system has nothing of the kind.
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
#: Folders that are remembered as durable.
_MOST_FOLDERS = 10_000
#: Files that only a zarr array or group has.
_ZARR = ("zarr.json", ".zgroup", ".zarray")


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
        Whether an existing file may be replaced.

    Raises
    ------
    error
        The folder is missing, not writable or in a zarr store; or the path is a folder, a device,
        or a file that must not be replaced.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise error(f"{what} {path!r} is not a path: give that of a file, such as 'found.json'")
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
    check_outside_stores(path, what, error)
    if os.path.lexists(target) and not overwrite:
        raise error(f"{what} {path} exists already: --overwrite replaces it, or name another")


@contextmanager
def whole_file(
    path: str | os.PathLike[str],
    what: str = "",
    error: Callable[[str], Exception] | None = None,
    *,
    durable: bool = True,
) -> Iterator[Path]:
    """Give the path of a temporary file next to ``path`` that takes its name in the end.

    After an error, or an interruption, the temporary file is gone and an older file stays as it
    was.  What a killed process left of an earlier attempt is deleted.

    Parameters
    ----------
    path : path
    what : str
        Flag or option that names it, for the message.
    error : callable, optional
        Makes the error to raise from its message; None: OSError passes.
    durable : bool
        Whether the file is on the disk, and not only on its way there, before it takes its name,
        and the name before this ends.

    Yields
    ------
    Path
        With the same suffix: some libraries choose by it.
    """
    target = Path(path).absolute()
    store = store_around(target)
    if store is not None:
        raise (error or OSError)(f"{what} {path}: {_INSIDE.format(store)}".lstrip())
    if target.exists() and not (target.is_file() or target.is_dir()):  # it would be replaced
        raise (error or OSError)(f"{what} {path}: must be a regular file".lstrip())
    sweep(target.parent, ".", f".{target.name}")
    fresh = target.with_name(f".{mark()}.{target.name}")
    try:
        yield fresh
        if durable:
            sync(fresh)
        os.replace(fresh, target)
        if durable:
            sync(target.parent)
    except OSError as problem:
        if error is None:
            raise
        reason = problem.strerror or problem
        raise error(f"{what} {path}: cannot be written: {reason}".lstrip()) from problem
    finally:
        fresh.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk.

    Raises
    ------
    OSError
        They cannot be written.
    """
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        _sync(handle)
    finally:
        os.close(handle)


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in _NO_SYNC:
            raise


def sync_tree(folder: Path) -> None:
    """Wait until all files below a folder, and their names, are on the disk."""
    for here, _, files in os.walk(folder, topdown=False):
        for file in files:
            sync(Path(here, file))
        sync(Path(here))


class Writer:
    """Writes files below a folder, each as a whole, with the folders that they need.

    Parameters
    ----------
    root : Path
    durable : bool
        Whether each file is on the disk under its name when :meth:`put` returns.

    Notes
    -----
    Threads may share it.
    """

    def __init__(self, root: Path, *, durable: bool) -> None:
        self.root, self.durable = root, durable
        #: Folders of which the name is on the disk.
        self._known: set[Path] = set()

    def put(
        self, key: str, data: bytes | bytearray | memoryview, *, exclusive: bool = False
    ) -> None:
        """Write a file.

        Parameters
        ----------
        key : str
            Its name below the root.
        data : bytes-like
        exclusive : bool
            Raise FileExistsError if it exists.
        """
        path = self.root / key
        try:
            self._put(path, data, exclusive=exclusive)
        except FileNotFoundError:
            # A process that took this one for dead has deleted what was half written.
            self._put(path, data, exclusive=exclusive)
        if self.durable:
            sync(path.parent)
            self._sync_folders(path.parent)

    def _put(self, path: Path, data: bytes | bytearray | memoryview, *, exclusive: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}{HALF_WRITTEN}")
        try:
            with open(fresh, "wb") as file:
                file.write(data)
                if self.durable:
                    file.flush()
                    _sync(file.fileno())
            if exclusive:
                os.link(fresh, path)
                fresh.unlink()
            else:
                os.replace(fresh, path)
        except Exception:
            fresh.unlink(missing_ok=True)
            raise

    def _sync_folders(self, folder: Path) -> None:
        """Put the names of folders on the disk, whoever made them, up to one that is known."""
        fresh = []
        while folder not in self._known and folder != folder.parent:
            sync(folder.parent)
            fresh.append(folder)
            if folder == self.root:
                break
            folder = folder.parent
        if len(self._known) > _MOST_FOLDERS:
            self._known.clear()
        self._known.update(fresh)


def inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, through links."""
    path, folder = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return path == folder or folder in path.parents


_INSIDE = "must lie outside the store {}"


def store_around(path: str | os.PathLike[str]) -> Path | None:
    """Return the zarr store, of whatever program, in which a path lies, or None.

    Links are followed; what is at the path itself does not count.
    """
    for folder in Path(os.path.realpath(path)).parents:
        if any(os.path.lexists(folder / name) for name in _ZARR):
            return folder
    return None


def check_outside_stores(
    path: str | os.PathLike[str], what: str, error: Callable[[str], Exception]
) -> None:
    """Refuse an output that would lie in a zarr store.

    Parameters
    ----------
    path : path
    what : str
        Flag or option that names it.
    error : callable
        Makes the error to raise from its message.
    """
    store = store_around(path)
    if store is not None:
        raise error(f"{what} {path}: {_INSIDE.format(store)}")
