"""Stores in object storage: checks, creation as a whole, locks by conditional writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import obstore
from obstore import exceptions
from obstore.store import S3Store
from zarr.abc.store import Store
from zarr.storage import MemoryStore

from nbdask.errors import StoreError
from nbdask.store import s3
from nbdask.store.place import ROOT, SCHEME, Seen, Stamp, root_attributes, ways_on
from nbdask.store.schema import CREATING, ENTRIES, FORMAT, FORMAT_VERSION

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectPlace:
    """A prefix of a bucket; see :class:`~.place.Place`.  Picklable, without keys.

    Parameters
    ----------
    name : str
        ``s3://bucket/prefix``
    """

    name: str
    _client: list[S3Store] = field(default_factory=list, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the client and with it the keys behind."""
        return {"name": self.name, "_client": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make a new client from the environment of this process."""
        self.__dict__.update(state)

    @classmethod
    def at(cls, address: str) -> ObjectPlace:
        """Return the place of an address.

        Raises
        ------
        StoreError
            Bucket or prefix are missing.
        """
        bucket, _, prefix = address.removeprefix(SCHEME).rstrip("/").partition("/")
        if not bucket or not prefix.strip("/"):
            raise StoreError(f"--out {address}: give bucket and name, as in s3://bucket/run.zarr")
        return cls(f"{SCHEME}{bucket}/{prefix}")

    @property
    def client(self) -> S3Store:
        """The client of the prefix."""
        if not self._client:
            bucket, _, prefix = self.name.removeprefix(SCHEME).partition("/")
            self._client.append(s3.open_bucket(bucket, prefix))
        return self._client[0]

    def _do(self, action: Callable[[], T]) -> T:
        return s3.patiently(action, self.name)

    def zarr_store(self, *, read_only: bool) -> Store:
        """Return the prefix as zarr's store."""
        return s3.PatientStore(self.client, read_only=read_only)

    def read(self, key: str) -> bytes | None:
        """Return an object of the store.

        Raises
        ------
        StoreError
            No connection, no bucket, wrong keys.
        """
        if key == ROOT:
            s3.check_bucket(self.client, self.name)
        try:
            return self._do(lambda: bytes(obstore.get(self.client, key).bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.name}: {error}") from error

    def keys(self, prefix: str) -> list[str]:
        """Return the objects below a prefix."""
        found = self._do(lambda: obstore.list(self.client, prefix).collect())
        return [str(item["path"]) for item in found]

    def size(self, key: str) -> int | None:
        """Return the bytes of an object of the store, None where there is none."""
        try:
            return int(self._do(lambda: obstore.head(self.client, key))["size"])
        except FileNotFoundError:
            return None

    def stamps(self, prefix: str) -> Iterator[tuple[str, Stamp]]:
        """Yield name, size and time of the objects below a prefix."""
        for item in self._do(lambda: obstore.list(self.client, prefix).collect()):
            yield str(item["path"]), Stamp(int(item["size"]), item["last_modified"].timestamp())

    def remove(self, key: str) -> None:
        """Delete an object of the store if it is there."""
        self._do(lambda: obstore.delete(self.client, key))

    def exists(self) -> bool:
        """Whether there are objects under the prefix."""
        try:
            batch = s3.patiently(
                lambda: next(iter(obstore.list(self.client, chunk_size=1)), []),
                self.name,
                s3.FIRST_PATIENCE,
            )
        except OSError as error:
            raise StoreError(f"--out {self.name}: {error}") from error
        return len(batch) > 0

    def check_alive(self) -> None:
        """Raise FileNotFoundError where the store is gone."""
        try:
            self._do(lambda: obstore.head(self.client, ROOT))
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{ROOT} is gone") from error

    def check_free(self, overwrite: bool, flag: str = "--out") -> None:
        """Raise StoreError unless a store may be written here."""
        s3.check_bucket(self.client, self.name)
        if not self.exists():
            return
        data = self.read(ROOT)
        ours = None if data is None else root_attributes(data)
        if not overwrite:
            hint = "" if ours is None else f"{ways_on(ours)}, or "
            raise StoreError(f"{flag} {self.name} exists already: {hint}choose another name")
        if ours is None:
            raise StoreError(
                f"{flag} {self.name} is not an nbdask store, so --overwrite does not delete it;"
                " choose another name"
            )
        listed = self._do(lambda: obstore.list_with_delimiter(self.client))
        names = [*listed["common_prefixes"], *(str(item["path"]) for item in listed["objects"])]
        others = sorted({name.strip("/") for name in names} - ENTRIES)
        if others:
            raise StoreError(
                f"{flag} {self.name} also holds {', '.join(others[:3])}, which is not part of an"
                " nbdask store, so --overwrite does not delete it; choose another name"
            )

    @contextmanager
    def new(self, overwrite: bool) -> Iterator[Store]:
        """Give a store in memory to be filled; its objects are then put, the root's last."""
        self.check_free(overwrite)
        memory = MemoryStore()
        yield memory
        objects = {key: value.to_bytes() for key, value in memory._store_dict.items()}
        root = objects.pop(ROOT)
        self.check_free(overwrite)
        before = self.exists()
        try:
            self._clear()
            for key, data in objects.items():
                self._put(key, data)
            self._put(ROOT, root)
        except BaseException as error:
            if not before:
                with suppress(OSError):
                    self._delete([*objects, ROOT])
            if not isinstance(error, OSError):
                raise
            raise StoreError(f"--out {self.name}: cannot create the store: {error}") from error

    def _clear(self) -> None:
        """Mark the place as a store that is being created, and delete all else."""
        attributes = {"format": FORMAT, "format_version": FORMAT_VERSION, "status": CREATING}
        root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        self._put(ROOT, json.dumps(root).encode())
        self._delete([key for key in self.keys("") if key != ROOT])

    def _delete(self, keys: list[str]) -> None:
        if keys:
            self._do(lambda: obstore.delete(self.client, keys))

    def _put(self, key: str, data: bytes) -> None:
        self._do(lambda: obstore.put(self.client, key, data, use_multipart=False))

    def sweep(self) -> int:
        """Return 0: an object is there as a whole or not at all."""
        return 0

    def free_bytes(self) -> int | None:
        """Return None: object storage does not tell."""
        return None

    def lock_file(self) -> ObjectLockFile:
        """Return the lock next to the prefix."""
        bucket, _, prefix = self.name.removeprefix(SCHEME).partition("/")
        folder, _, last = prefix.rpartition("/")
        return ObjectLockFile(s3.open_bucket(bucket, folder), f"{last}.lock", f"{self.name}.lock")


@dataclass(frozen=True)
class ObjectLockFile:
    """A lock as an object, written only if there is none (If-None-Match).

    Parameters
    ----------
    client : S3Store
    key : str
    name : str
        Its address.
    """

    client: S3Store
    key: str
    name: str

    def create(self, text: bytes) -> bool:
        """Put the object if there is none."""
        try:
            self._do(
                lambda: obstore.put(self.client, self.key, text, mode="create", use_multipart=False)
            )
        except FileExistsError:
            # A put whose answer was lost in an outage finds its own object when repeated.
            seen = self.read()
            return seen is not None and seen.text == text
        return True

    def _do(self, action: Callable[[], T]) -> T:
        def refused() -> T:
            try:
                return action()
            except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
                raise FileExistsError(self.name) from error

        return s3.patiently(refused, self.name)

    def read(self) -> Seen | None:
        """Return text and tag of the object."""
        try:
            result = self._do(lambda: obstore.get(self.client, self.key))
            text = bytes(result.bytes())
        except FileNotFoundError:
            return None
        # The count of renewals stands behind the text: a tag belongs to the content alone.
        return Seen(text.split(b"\n")[0], f"{result.meta['e_tag']}")

    def renew(self, text: bytes) -> None:
        """Rewrite the object with another last line."""
        seen = self.read()
        mark = b"" if seen is None else seen.stamp.encode()
        self._do(
            lambda: obstore.put(self.client, self.key, text + b"\n" + mark, use_multipart=False)
        )

    def replace(self, old: Seen, text: bytes) -> bool:
        """Put the object if the old one is still there (If-Match)."""
        try:
            self._do(
                lambda: obstore.put(
                    self.client, self.key, text, mode={"e_tag": old.stamp}, use_multipart=False
                )
            )
        except FileExistsError:
            return False
        except FileNotFoundError:
            return self.create(text)
        return True

    def delete(self) -> None:
        """Delete the object."""
        self._do(lambda: obstore.delete(self.client, self.key))
