"""Reading a store piece by piece: its attributes, its records, its tiles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

import nbdask.store.blosc  # noqa: F401  (every chunk is checked)
from nbdask.errors import StoreError
from nbdask.experiment import DetectorPanel, Experiment
from nbdask.plan.tiles import Tile, TileGrid
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


@dataclass(frozen=True, slots=True)
class PanelPixels:
    """The pixels of one panel of an image, as an array of its own that is read when sliced.

    Attributes
    ----------
    image : zarr array
        (slow, fast) or (panel, slow, fast).
    panel : int
    shape : tuple of int
        (slow, fast) of this panel.
    """

    image: Any
    panel: int
    shape: tuple[int, int]
    dtype = np.dtype(np.float32)
    ndim = 2

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """Return pixels for two slices of steps of 1."""
        ends = [one.indices(side)[:2] for one, side in zip(part, self.shape, strict=True)]
        tile = Tile(*ends[0], *ends[1], self.panel)
        return np.asarray(self.image[schema.pixels_of(self.image, tile)], dtype=np.float32)


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
        self.grid = TileGrid.of(self.attributes["plan"]["shape"], self.attributes["plan"]["tile"])
        self.records: Records = SingleRecords(tiles)
        self.journaled = schema.is_journaled(self.attributes)
        if self.journaled:
            seed = seed_of(self.attributes)
            self.records = JournaledRecords(self.place, tiles, seed, self._fits)

    def _fits(self, index: int, values: NDArray[np.float64]) -> bool:
        """Whether a tile's pixels are those of a record."""
        found = dict(zip(schema.FIELDS, values.tolist(), strict=True))
        if self.place.size(schema.chunk_key(self.image, self.grid.place(index))) != found["bytes"]:
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
    def panels(self) -> tuple[DetectorPanel, ...]:
        """The panels of a detector that a geometry file describes; empty: one panel by flags."""
        return self.experiment.detector.panels

    def image_of(self, panel: int) -> PanelPixels:
        """Return the pixels of one panel, of its own size; they are read when they are sliced."""
        size = self.grid.shape
        if self.panels:
            size = (self.panels[panel].n_slow, self.panels[panel].n_fast)
        return PanelPixels(self.image, panel, size)

    def one_panel(self, doing: str) -> None:
        """Refuse a store of several panels.

        Parameters
        ----------
        doing : str
            What cannot be done with them, to begin a message with.

        Raises
        ------
        StoreError
        """
        if self.grid.panels > 1:
            raise StoreError(
                f"{doing}: {self.path} holds {self.grid.panels} panels: must be a store of one"
            )

    @property
    def unit(self) -> str:
        """What a pixel counts: ``"photons"``, or ``"adu"`` once a detector has read it."""
        unit = str(self.image.attrs.get("units", schema.PHOTONS["units"]))
        return "photons" if unit == schema.PHOTONS["units"] else unit

    def record_rows(self) -> Iterator[NDArray[np.float64]]:
        """Yield the records of one row of tiles after another, (tiles_fast, fields) float64.

        One that cannot be read, or cannot be right, is that of a tile that is not finished: NaN.
        """
        table, (rows, columns) = self.records.table(), self.grid.counts
        for number in range(self.grid.panels * rows):
            values, row = table[number * columns : (number + 1) * columns], number % rows
            wrong = wrong_fields(values, self.fields, bounds_of_row(self.grid, row))
            bad = np.any(list(wrong.values()), axis=0)
            yield np.where(bad[:, None], np.nan, values) if bad.any() else values

    def all_records(self) -> NDArray[np.float64]:
        """Return all records in one piece, (tiles, fields) float64; NaN: not finished."""
        return np.concatenate(list(self.record_rows()))

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
        bounds = np.array(self.grid[index].bounds, dtype=np.int64)[:, None]
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
        selection = schema.pixels_of(self.image, self.grid[index])
        return np.asarray(self.image[selection], dtype=np.float32)
