"""Where a store is: one interface for folders and for object storage."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from nbdask.errors import StoreError
from nbdask.store.schema import FORMAT, RUNNING

if TYPE_CHECKING:
    from zarr.abc.store import Store

#: File of the root's metadata: where it is, there is a store.
ROOT = "zarr.json"
SCHEME = "s3://"


class Seen(NamedTuple):
    """A lock as it was read: its text, and a stamp that changes whenever its holder renews it."""

    text: bytes
    stamp: str


class Stamp(NamedTuple):
    """Bytes of a file, and when it was written by the clock of its storage [s]."""

    size: int
    time: float


class LockFile(Protocol):
    """The file or object next to a store that says who writes to it."""

    @property
    def name(self) -> str:
        """Path or address, for messages."""

    def create(self, text: bytes) -> bool:
        """Write it if there is none; return whether it was written."""

    def read(self) -> Seen | None:
        """Return what is there."""

    def renew(self, text: bytes) -> None:
        """Change its stamp."""

    def replace(self, old: Seen, text: bytes) -> bool:
        """Write it in place of ``old``; return False where something else is there by now."""

    def delete(self) -> None:
        """Take it away."""


class Place(Protocol):
    """A store's place: what is the same for all kinds of storage."""

    @property
    def name(self) -> Path | str:
        """Absolute path of the folder, or address."""

    def zarr_store(self, *, read_only: bool) -> Store:
        """Return the store as zarr's own object."""

    def read(self, key: str) -> bytes | None:
        """Return a file of the store, or None where there is none."""

    def keys(self, prefix: str) -> list[str]:
        """Return the names of all files below a prefix that ends with a slash."""

    def size(self, key: str) -> int | None:
        """Return the bytes of a file of the store, or None where there is none."""

    def stamps(self, prefix: str) -> Iterator[tuple[str, Stamp]]:
        """Yield name, size and time of all files below a prefix that ends with a slash."""

    def remove(self, key: str) -> None:
        """Delete a file of the store if it is there."""

    def exists(self) -> bool:
        """Whether anything is at the place."""

    def check_alive(self) -> None:
        """Raise FileNotFoundError where the store is gone."""

    def check_free(self, overwrite: bool, flag: str = "--out") -> None:
        """Raise StoreError unless a store may be written here."""

    def new(self, overwrite: bool) -> AbstractContextManager[Store]:
        """Give a store to be filled that appears here as a whole, or not at all."""

    def sweep(self) -> int:
        """Delete what killed writers left, under the lock; return how many files or folders."""

    def free_bytes(self) -> int | None:
        """Return the bytes that may still be written, None where that is unknown."""

    def lock_file(self) -> LockFile:
        """Return the lock next to the store."""


def foreign(name: str) -> StoreError:
    """Return the error of a lock that is none of ours."""
    return StoreError(
        f"{name} stands where the lock of the store belongs, and is no lock of nbdask: move it away"
    )


def reason(error: Exception) -> str:
    """Return an error of writing in words, with what to do where that is known."""
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    text = str(error.strerror or error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        text += "; free some space, then the same command with --resume goes on"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        text += "; the folder must be writable (with --cluster, for every worker)"
    return text


def root_attributes(data: bytes) -> dict[str, Any] | None:
    """Return the attributes in a root's metadata, or None where it is not that of a store."""
    try:
        parsed = json.loads(data)
        attributes = parsed["attributes"]
        ours = isinstance(attributes, Mapping) and attributes["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        return None
    return dict(attributes) if ours else None


def ways_on(attributes: Mapping[str, Any]) -> str:
    """Return what can be done about a store that is in the way: finish it first, where it is not.

    Parameters
    ----------
    attributes : mapping
        Of its root.
    """
    if attributes.get("status") == RUNNING:
        return "it is unfinished: --resume finishes it, --overwrite replaces it"
    return "--overwrite replaces it"
