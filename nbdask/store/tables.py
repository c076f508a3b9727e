"""Groups of columns beside a store's image, written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.sync import sync

import nbdask.store.blosc  # noqa: F401  (every chunk is checked)
from nbdask.errors import StoreError
from nbdask.store.create import quiet_zarr, update_attributes
from nbdask.store.place import ROOT, Place, reason

if TYPE_CHECKING:
    import xarray

_CODEC = BloscCodec(cname="zstd", clevel=5, shuffle="shuffle")


class ColumnKind(NamedTuple):
    """An array that grows along its first dimension.

    Attributes
    ----------
    dims : tuple of str
    shape : tuple of int
        Of one row: the lengths of the other dimensions.
    dtype : str
    attributes : dict
    rows : int
        Of a chunk.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, str]
    rows: int


class TableWriter:
    """Writes the columns of a group.

    Columns of the same first dimension get their rows together.  The group is there, to readers,
    once :meth:`finish` was called; what a killed writer leaves is replaced by the next one.

    Parameters
    ----------
    place : Place
        The caller holds its lock.
    group : str
    kinds : mapping of str to ColumnKind
    overwrite : bool
        Replace a group that is there.

    Raises
    ------
    StoreError
        It is there already, or cannot be written.
    """

    def __init__(
        self, place: Place, group: str, kinds: Mapping[str, ColumnKind], *, overwrite: bool = False
    ) -> None:
        self._place, self._group, self._kinds = place, group, dict(kinds)
        if has_group(place, group) and not overwrite:
            raise StoreError(
                f"{place.name} holds the group {group} already: --overwrite replaces it"
            )
        self._waiting: dict[str, list[NDArray[Any]]] = {name: [] for name in kinds}
        self._rows = dict.fromkeys(kinds, 0)
        self._store = place.zarr_store(read_only=False)
        self._arrays: dict[str, Any] = {}
        self._guard(self._clear)

    def add(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Add rows to some columns, all of those of one first dimension.

        Parameters
        ----------
        rows : mapping of str to array
            Name -> values, rows first.
        """
        for name, values in rows.items():
            self._waiting[name].append(np.asarray(values, dtype=self._kinds[name].dtype))
        for name in rows:
            if sum(map(len, self._waiting[name])) >= self._kinds[name].rows:
                self._guard(lambda name=name: self._write(name, whole=True))

    def finish(self, attributes: Mapping[str, Any]) -> None:
        """Write what is left, and the group itself.

        Parameters
        ----------
        attributes : mapping
            JSON-able, of the group.
        """
        for name in self._kinds:
            self._guard(lambda name=name: self._write(name, whole=False))
        self._guard(lambda: self._close(attributes))
        nodes = [self._group, *(f"{self._group}/{name}" for name in self._kinds)]
        update_attributes(self._place, {}, nodes)

    def _clear(self) -> None:
        """Delete what is there, the group's own file first: what it leaves is none."""
        self._place.remove(f"{self._group}/{ROOT}")
        sync(self._store.delete_dir(self._group))

    def _array(self, name: str, rows: int) -> Any:
        """Return the array of a column, so many rows long."""
        kind = self._kinds[name]
        if name in self._arrays:
            self._arrays[name].resize((rows, *kind.shape))
            return self._arrays[name]
        self._arrays[name] = zarr.create_array(
            self._store,
            name=f"{self._group}/{name}",
            shape=(rows, *kind.shape),
            chunks=(kind.rows, *kind.shape),
            dtype=kind.dtype,
            fill_value=np.nan if kind.dtype.startswith("float") else 0,
            compressors=(_CODEC, Crc32cCodec()),
            zarr_format=3,
            dimension_names=kind.dims,
            attributes=dict(kind.attributes),
            config={"write_empty_chunks": True},
        )
        return self._arrays[name]

    def _write(self, name: str, *, whole: bool) -> None:
        """Write what waits, of it only what fills chunks where it says so."""
        waiting, done, rows = self._waiting[name], self._rows[name], self._kinds[name].rows
        kind = self._kinds[name]
        values = np.concatenate([np.zeros((0, *kind.shape), kind.dtype), *waiting])
        end = done + len(values)
        if whole:
            end = end // rows * rows
        self._waiting[name] = [values[end - done :]]
        if end > done or name not in self._arrays:
            self._array(name, end)[done:end] = values[: end - done]
            self._rows[name] = end

    def _close(self, attributes: Mapping[str, Any]) -> None:
        self._place.check_alive()
        # Last of the metadata: where the group has attributes, its columns are whole.
        group = zarr.open_group(self._store, path=self._group, mode="a", zarr_format=3)
        group.update_attributes(dict(attributes))
        with quiet_zarr():
            zarr.consolidate_metadata(self._store)

    def _guard(self, work: Any) -> None:
        """Do a part of the work; say what went wrong in words."""
        try:
            work()
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{self._place.name}: cannot write the group {self._group}: {reason(error)}"
            ) from error


def has_group(place: Place, group: str) -> bool:
    """Whether a store has a group that was finished."""
    try:
        found = json.loads(place.read(f"{group}/{ROOT}") or b"{}")
        return bool(found.get("attributes"))
    except (ValueError, AttributeError):
        return True  # It is there, and damaged.


def open_group(place: Place, group: str, names: Iterable[str] = ()) -> xarray.Dataset:
    """Open a group of columns lazily.

    Parameters
    ----------
    place : Place
    group : str
    names : iterable of str
        Columns that it must have.

    Raises
    ------
    StoreError
        It cannot be read.
    """
    import xarray

    try:
        with quiet_zarr():  # of a column without metadata, which is told below
            found: xarray.Dataset = xarray.open_zarr(
                place.zarr_store(read_only=True), group=group, chunks=None, consolidated=False
            )
    except Exception as error:  # of zarr, its codecs or xarray: damaged metadata, of many types
        raise StoreError(f"{place.name} is damaged: {group} cannot be read ({error})") from error
    missing: Sequence[str] = [name for name in names if name not in found.variables]
    if missing:
        raise StoreError(f"{place.name} is damaged: {group} has no column {missing[0]}")
    return found


def check_columns(place: Place, group: str) -> None:
    """Read every chunk of a group's columns; they hold checksums.

    Raises
    ------
    StoreError
        One is missing or damaged.
    """
    at = "a column"
    try:
        with quiet_zarr():
            store = place.zarr_store(read_only=True)
            found = zarr.open_group(store, path=group, mode="r", use_consolidated=False)
            columns = dict(found.arrays())
        for name, column in columns.items():
            at = f"column {name}"
            if column.nchunks_initialized != column.nchunks:
                raise ValueError("a chunk is missing")
            for first in range(0, column.shape[0], column.chunks[0]):
                column[first : first + column.chunks[0]]
    except Exception as error:  # of zarr and its codecs, of many types
        raise StoreError(
            f"{place.name} is damaged: {at} of {group} cannot be read ({error})"
        ) from error
