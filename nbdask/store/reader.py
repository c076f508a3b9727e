"""Reading a store piece by piece: its attributes, its records, its tiles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property

import numpy as np
import zarr
from numpy.typing import NDArray

import nbdask.store.blosc  # noqa: F401  (every chunk is checked)
from nbdask.errors import StoreError
from nbdask.experiment import Experiment
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import TileSummary
from nbdask.store import schema
from nbdask.store.address import place_of, read_root
from nbdask.store.check import (
    FormatError,
    bounds_of_row,
    check_arrays,
    check_root,
    check_version,
    fields_of,
    wrong_fields,
)
from nbdask.store.journal import seed_of
from nbdask.store.place import Place
from nbdask.store.records import JournaledRecords, Records, SingleRecords
from nbdask.store.write import checksum


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
        self.attributes = attributes
        try:
            check_version(attributes)
            check_root(attributes)
            self._open()
        except FormatError as error:
            raise FormatError(f"{self.path} is damaged: {error}") from error
        except StoreError as error:
            raise StoreError(f"{self.path} {error}") from error
        self.fields = fields_of(attributes)

    def _open(self) -> None:
        """Open the arrays, and check them."""
        store = self.place.zarr_store(read_only=True)
        try:
            self.image = zarr.open_array(store, path=schema.IMAGE, mode="r", zarr_format=3)
            tiles = zarr.open_array(store, path=schema.TILES, mode="r", zarr_format=3)
        except Exception as error:  # whatever zarr raises for damaged metadata
            text = " ".join(str(error).split())
            raise FormatError(f"the metadata of its arrays cannot be read ({text})") from error
        check_arrays(self.place, self.image, tiles, self.attributes)
        shape, tile = self.attributes["plan"]["shape"], self.attributes["plan"]["tile"]
        self.grid = TileGrid((shape[0], shape[1]), (tile[0], tile[1]))
        self.records: Records = SingleRecords(tiles)
        self.journaled = schema.is_journaled(self.attributes)
        if self.journaled:
            seed = seed_of(self.attributes)
            self.records = JournaledRecords(self.place, tiles, seed, self._fits)

    def _fits(self, index: int, values: NDArray[np.float64]) -> bool:
        """Whether a tile's pixels are those of a record."""
        found = dict(zip(schema.FIELDS, values.tolist(), strict=True))
        key = schema.chunk_key(self.image, *self.grid.row_column(index))
        if self.place.size(key) != found["bytes"]:
            return False
        with suppress(ValueError, RuntimeError, KeyError):
            return bool(checksum(self.tile(index)) == found["crc32c"])
        return False

    @cached_property
    def experiment(self) -> Experiment:
        """What was simulated.

        Raises
        ------
        FormatError
            The experiment on record is none.
        """
        try:
            return Experiment.from_dict(self.attributes["experiment"])
        except Exception as error:  # FieldError, or whatever wrong types lead to
            raise FormatError(
                f"{self.path} is damaged: the experiment on record cannot be read ({error})"
            ) from error

    @property
    def unit(self) -> str:
        """What a pixel counts: ``"photons"``, or ``"adu"`` once a detector has read it."""
        unit = str(self.image.attrs.get("units", schema.PHOTONS["units"]))
        return "photons" if unit == schema.PHOTONS["units"] else unit

    def record_rows(self) -> Iterator[NDArray[np.float64]]:
        """Yield the records of one row of tiles after another, (tiles_fast, fields) float64.

        One that cannot be read, or cannot be right, is that of a tile that is not finished: NaN.
        """
        table, columns = self.records.table(), self.grid.counts[1]
        for row in range(self.grid.counts[0]):
            values = table[row * columns : (row + 1) * columns]
            wrong = wrong_fields(values, self.fields, bounds_of_row(self.grid, row))
            bad = np.any(list(wrong.values()), axis=0)
            yield np.where(bad[:, None], np.nan, values) if bad.any() else values

    def record(self, index: int) -> dict[str, float] | None:
        """Return the record of a tile as field -> value, or None where it is not finished.

        Raises
        ------
        FormatError
            It holds what no record does.
        """
        values = self.records.one(index)
        if np.isnan(values).all():
            return None
        bounds = np.array(self.grid[index], dtype=np.int64)[:, None]
        record = dict(zip(self.fields, values.tolist(), strict=True))
        for name, wrong in wrong_fields(values[None], self.fields, bounds).items():
            if wrong[0]:
                raise FormatError(f"{name} of its record is {record[name]:.17g}")
        return record

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
