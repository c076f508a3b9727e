"""Reading a store piece by piece: its attributes, its records, its tiles."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

import nbdask.store.blosc  # noqa: F401  (every chunk is checked)
from nbdask.errors import StoreError, counted
from nbdask.experiment import DetectorPanel, Experiment
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.shots import Series
from nbdask.statistics import TileSummary, combine
from nbdask.store import schema
from nbdask.store.address import place_of, read_root
from nbdask.store.check import (
    FormatError,
    bounds_of,
    check_arrays,
    check_root,
    check_version,
    fields_of,
    wrong_fields,
)
from nbdask.store.journal import seed_of
from nbdask.store.pixels import StoredImage
from nbdask.store.place import Place
from nbdask.store.provenance import SERIES
from nbdask.store.records import JournaledRecords, PartOfRecords, Records, SingleRecords
from nbdask.store.shots import series_of
from nbdask.store.write import checksum

#: Tiles whose records are looked at at a time.
_BLOCK = 1 << 14


@dataclass(frozen=True, slots=True)
class PanelPixels:
    """The pixels of one panel of an image, as an array of its own that is read when sliced.

    Attributes
    ----------
    image : StoredImage
        ([shot,] [panel,] slow, fast).
    panel : int
    shape : tuple of int
        (slow, fast) of this panel.
    shot : int
    """

    image: StoredImage
    panel: int
    shape: tuple[int, int]
    shot: int = 0
    dtype = np.dtype(np.float32)
    ndim = 2

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[np.float32]:
        """Return pixels for two slices of steps of 1."""
        ends = [one.indices(side)[:2] for one, side in zip(part, self.shape, strict=True)]
        tile = Tile(*ends[0], *ends[1], self.panel, self.shot)
        return self.image[schema.pixels_of(self.image, tile)]


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
    arrays : dict
        ``image`` and further planes, by name.
    fields : tuple of str
        Of a record.
    shot : int or None
        The shot of a series that :meth:`at` chose.

    Raises
    ------
    StoreError
        No nbdask store is there, or one of a later format, or one that is damaged.
    """

    shot: int | None = None

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

    def _open(self) -> None:
        """Open the arrays, and check them."""
        self.fields = fields_of(self.attributes)
        store = self.place.zarr_store(read_only=True)
        try:
            arrays: dict[str, Any] = {
                name: zarr.open_array(store, path=name, mode="r", zarr_format=3)
                for name in (schema.IMAGE, *schema.planes_of(self.attributes))
            }
            tiles = zarr.open_array(store, path=schema.TILES, mode="r", zarr_format=3)
        except Exception as error:  # whatever zarr raises for damaged metadata
            text = " ".join(str(error).split())
            raise FormatError(
                f"the metadata of its arrays cannot be read ({text}); nbdask repair writes them"
                " again where the root has a copy of them"
            ) from error
        check_arrays(self.place, arrays, tiles, self.attributes)
        self.arrays = {name: StoredImage(array) for name, array in arrays.items()}
        plan, is_series = self.attributes["plan"], SERIES in self.attributes
        self.grid = TileGrid.of(plan["shape"], plan["tile"], series=is_series)
        self.records: Records = SingleRecords(tiles)
        self.journaled = schema.is_journaled(self.attributes)
        if self.journaled:
            seed = seed_of(self.attributes)
            self.records = JournaledRecords(self.place, tiles, seed, self._fits)

    def _fits(self, index: int, values: NDArray[np.float64]) -> bool:
        """Whether a tile's pixels are those of a record."""
        found = dict(zip(self.fields, values.tolist(), strict=True))
        for name, array in self.arrays.items():
            size = self.place.size(schema.chunk_key(array, self.grid.place(index)))
            if size != found[schema.field_of("bytes", name)]:
                return False
        with suppress(ValueError, RuntimeError, KeyError):
            return self.is_sound(index, found)
        return False

    def is_sound(self, index: int, record: Mapping[str, float]) -> bool:
        """Whether a tile of the image and of each plane has the checksum on record."""
        return all(
            checksum(self.tile(index, name)) == record[schema.field_of("crc32c", name)]
            for name in self.arrays
        )

    @property
    def image(self) -> StoredImage:
        """The image."""
        return self.arrays[schema.IMAGE]

    @cached_property
    def series(self) -> Series | None:
        """The series whose shots the image holds; None: it is none of a series.

        Raises
        ------
        FormatError
            The series on record is none.
        """
        try:
            return series_of(self.place, self.attributes)
        except Exception as error:  # FieldError, or whatever wrong types and damaged files lead to
            raise FormatError(
                f"{self.path} is damaged: the series on record cannot be read ({error})"
            ) from error

    def at(self, shot: int) -> StoreReader:
        """Return one shot of a series, as a store of one image is read.

        Its grid, image, records, experiment and statistics are those of the shot; what else the
        root holds is that of the series.

        Raises
        ------
        StoreError
            There is no such shot, or the store is none of a series.
        """
        self.checked_shot(shot)
        series = self.series
        assert series is not None
        found, experiment, per_shot = copy.copy(self), series.shot(shot), self.grid.per_shot
        found.grid = self.grid.one_shot
        found.arrays = {name: array.at(shot) for name, array in self.arrays.items()}
        found.records = PartOfRecords(self.records, shot * per_shot, per_shot)
        found.__dict__ |= {"experiment": experiment, "series": None, "shot": shot}
        found.attributes = {
            **{name: value for name, value in self.attributes.items() if name != SERIES},
            "experiment": experiment.to_dict(),
            "fingerprint": experiment.fingerprint(),
            "plan": {**self.attributes["plan"], "shape": list(found.grid.image_shape)},
        }
        if self.attributes.get("statistics") is not None:
            statistics = combine(found.summaries(), found.grid.apart).to_dict()
            found.attributes["statistics"] = statistics
        return found

    def checked_shot(self, shot: int) -> int:
        """Return the number of a shot that the store holds.

        Raises
        ------
        StoreError
            There is no such shot, or the store is none of a series.
        """
        if not self.grid.shots:
            raise StoreError(f"--shot {shot}: {self.path} holds one image: leave --shot out")
        if not 0 <= shot < self.grid.shots:
            raise StoreError(
                f"--shot {shot}: {self.path} holds {self.grid.shots} shots: must be a whole number"
                f" from 0 to {self.grid.shots - 1}"
            )
        return shot

    def chosen(self, shot: int | None, doing: str) -> StoreReader:
        """Return the store of one image, or the shot of a series that was asked for.

        Parameters
        ----------
        shot : int or None
        doing : str
            What is done with it, to begin a message with.

        Raises
        ------
        StoreError
            No such shot, or none is named where there are several.
        """
        if shot is not None:
            return self.at(shot)
        if self.grid.shots:
            raise StoreError(
                f"{doing}: {self.path} holds {counted(self.grid.shots, 'shot')} of a series:"
                " --shot must"
                f" name one, 0 to {self.grid.shots - 1}"
            )
        return self

    def one_shot(self, doing: str) -> None:
        """Refuse a store of a series.

        Parameters
        ----------
        doing : str
            What cannot be done with it, to begin a message with.

        Raises
        ------
        StoreError
        """
        if self.grid.shots:
            raise StoreError(
                f"{doing}: {self.path} holds {counted(self.grid.shots, 'shot')} of a series:"
                " must be a store"
                " of one image"
            )

    @cached_property
    def experiment(self) -> Experiment:
        """What was simulated; of a series what is common to its shots.

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

    def image_of(self, panel: int, shot: int = 0) -> PanelPixels:
        """Return the pixels of one panel, of its own size; they are read when they are sliced."""
        size = self.grid.shape
        if self.panels:
            size = (self.panels[panel].n_slow, self.panels[panel].n_fast)
        return PanelPixels(self.image, panel, size, shot)

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

    def record_blocks(self) -> Iterator[NDArray[np.float64]]:
        """Yield the records of some tiles after another, (tiles, fields) float64.

        One that cannot be read, or cannot be right, is that of a tile that is not finished: NaN.
        """
        self.records.refresh()
        for start in range(0, len(self.grid), _BLOCK):
            stop = min(start + _BLOCK, len(self.grid))
            values = self.records.rows(start, stop)
            wrong = wrong_fields(values, self.fields, bounds_of(self.grid, start, stop))
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
        bounds = np.array(self.grid[index].bounds, dtype=np.int64)[:, None]
        record = dict(zip(self.fields, values.tolist(), strict=True))
        for name, wrong in wrong_fields(values[None], self.fields, bounds).items():
            if wrong[0]:
                raise FormatError(f"{name} of its record is {record[name]:.17g}")
        return record

    def done(self) -> NDArray[np.bool_]:
        """Return which tiles are finished, (tiles,) bool in the order of the grid."""
        return np.concatenate([block[:, 0] == 1.0 for block in self.record_blocks()])

    def summaries(self) -> Iterator[TileSummary]:
        """Yield the summaries of the finished tiles in the order of the grid."""
        for block in self.record_blocks():
            for record in block[block[:, 0] == 1.0].tolist():
                yield schema.summary_of(record)

    def tile(self, index: int, name: str = schema.IMAGE) -> NDArray[Any]:
        """Return the pixels of a tile, or of one of its planes, (n_slow, n_fast) float32.

        Derivatives are (parameter, n_slow, n_fast) float64.
        """
        array = self.arrays[name]
        return array[schema.pixels_of(array, self.grid[index])]
