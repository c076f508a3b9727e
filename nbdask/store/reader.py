"""Reading a store piece by piece: its attributes, its records, its tiles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import zarr
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import TileSummary
from nbdask.store import schema
from nbdask.store.address import place_of, read_root
from nbdask.store.place import Place


class StoreReader:
    """A store, read piece by piece with bounded memory.

    Attributes
    ----------
    place : Place
    path : Path or str
        Absolute path, or the address.
    attributes : dict
        Those of the root, as they were when the store was opened.
    grid : TileGrid

    Raises
    ------
    StoreError
        No nbdask store is there, or one of a later format, or one that is damaged.
    """

    def __init__(self, out: str | os.PathLike[str] | Place) -> None:
        self.place = place_of(out)
        self.path = self.place.name
        attributes = read_root(self.place)
        if attributes is None:
            what = "is not an nbdask store" if self.place.exists() else "does not exist"
            raise StoreError(f"{self.path} {what}: give the path of a finished or running run")
        version = attributes.get("format_version")
        if not isinstance(version, int) or not isinstance(attributes.get("status"), str):
            raise StoreError(
                f"{self.path} is damaged: its attributes lack a whole format_version, or a status"
            )
        if version > schema.FORMAT_VERSION:
            raise StoreError(
                f"{self.path} has format version {version}, this nbdask reads"
                f" up to {schema.FORMAT_VERSION}: install a newer nbdask"
            )
        if attributes["status"] == schema.CREATING:
            raise StoreError(
                f"{self.path} was being created when its run ended: start again with --overwrite"
            )
        self.attributes = attributes
        store = self.place.zarr_store(read_only=True)
        try:
            self.image = zarr.open_array(store, path=schema.IMAGE, mode="r", zarr_format=3)
            self.records = zarr.open_array(store, path=schema.TILES, mode="r", zarr_format=3)
            self.grid = TileGrid(
                (self.image.shape[0], self.image.shape[1]),
                (attributes["plan"]["tile"][0], attributes["plan"]["tile"][1]),
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{self.path} is damaged: the metadata of its arrays cannot be read ({error})"
            ) from error

    @property
    def unit(self) -> str:
        """What a pixel counts: ``"photons"``, or ``"adu"`` once a detector has read it."""
        unit = str(self.image.attrs.get("units", schema.PHOTONS["units"]))
        return "photons" if unit == schema.PHOTONS["units"] else unit

    def record_rows(self) -> Iterator[NDArray[np.float64]]:
        """Yield the records of one row of tiles after another, (tiles_fast, fields) float64."""
        for row in range(self.grid.counts[0]):
            try:
                yield np.asarray(self.records[row])
            except Exception:  # zarr and its codecs raise many kinds for a damaged file
                yield self._record_row(row)

    def _record_row(self, row: int) -> NDArray[np.float64]:
        """Read the records of a row one by one; those that cannot be read are not finished."""
        values = np.full(self.records.shape[1:], np.nan)
        for column in range(len(values)):
            with suppress(ValueError, RuntimeError, KeyError):
                values[column] = self.records[row, column]
        return values

    def record(self, index: int) -> dict[str, float] | None:
        """Return the record of a tile as field -> value, or None where it is not finished."""
        row, column = self.grid.row_column(index)
        values = np.asarray(self.records[row, column]).tolist()
        if values[0] != 1.0:
            return None
        return dict(zip(schema.FIELDS, values, strict=True))

    def done(self) -> NDArray[np.bool_]:
        """Return which tiles are finished, (tiles,) bool in the order of the grid."""
        return np.concatenate([row[:, 0] == 1.0 for row in self.record_rows()])

    def summaries(self) -> Iterator[TileSummary]:
        """Yield the summaries of the finished tiles in the order of the grid."""
        for row in self.record_rows():
            for record in row[row[:, 0] == 1.0].tolist():
                yield schema.summary_of(record)

    def tile(self, index: int) -> NDArray[np.float32]:
        """Return the pixels of a tile, (n_slow, n_fast) float32."""
        tile = self.grid[index]
        return np.asarray(
            self.image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1], dtype=np.float32
        )
