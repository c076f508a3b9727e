"""The multiscale pyramid of a store: its coarser levels and their chunks, read and written."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import NDArray

import nbdask.store.blosc  # noqa: F401  (every chunk is checked)
from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store import schema
from nbdask.store.address import place_of
from nbdask.store.check import FormatError
from nbdask.store.checked import CheckedImage, DamageError, common, overlapping
from nbdask.store.pixels import StoredImage
from nbdask.store.place import Place, reason
from nbdask.store.reader import StoreReader

Flags = NDArray[np.bool_]

MAX, MEAN = "max", "mean"
#: Kinds of levels, the one that viewers show first in front.
KINDS = (MAX, MEAN)
#: Levels are added until both sides of the image are at most this long [pixels].
SMALLEST = 512

#: Layout of pyramids built now; 1, which has no record of it, had all levels in one group.
LAYOUT = 2

#: The group of all levels.
GROUP = schema.PYRAMID


def level_grid(grid: TileGrid, level: int) -> TileGrid:
    """Return shape and chunks of a level of the pyramid of an image.

    Parameters
    ----------
    grid : TileGrid
        That of the image.
    level : int
        0 is the image; each level has half the pixels, rounded up, along each side.

    Returns
    -------
    TileGrid
        One chunk covers four of the level below (fewer at the far edges).
    """
    if level == 0:
        return grid
    slow, fast = halves(grid.shape, level)
    tile = (min(grid.tile[0], slow), min(grid.tile[1], fast))
    return TileGrid((slow, fast), tile, grid.panels, grid.shots)


def halves(shape: tuple[int, int], level: int) -> tuple[int, int]:
    """Return the pixels (slow, fast) of a level of a panel."""
    return -(-shape[0] // 2**level), -(-shape[1] // 2**level)


def level_count(grid: TileGrid, smallest: int = SMALLEST) -> int:
    """Return how many levels bring both sides of an image down to ``smallest`` pixels.

    Several panels are looked at together, so it is the square root of their pixels that is.
    """
    count = 0
    while max(here := halves(grid.shape, count)) > 1:
        few = grid.panels * here[0] * here[1] <= smallest**2
        if few if grid.panels > 1 else max(here) <= smallest:
            break
        count += 1
    return count


def level_path(kind: str, level: int, layout: int = LAYOUT) -> str:
    """Return the array of a level within the store; level 0 is the image."""
    if level == 0:
        return schema.IMAGE
    return f"{GROUP}/{kind}/{level}" + ("" if layout == 1 else f"/{schema.IMAGE}")


class Levels:
    """The image of a store and its coarser levels.

    Parameters
    ----------
    out : path, address or Place
    writable : bool
        Whether :meth:`write` will be called.
    shot : int, optional
        Of a series: only this one, as the image of a store of one image.

    Attributes
    ----------
    reader : StoreReader
    grid : TileGrid
        Of the image.
    kinds : tuple of str
        Kinds of levels that the store has: ``"max"``, ``"mean"``, both or none.
    count : int
        Levels beyond the image; 0 without a pyramid.
    layout : int
        That of the pyramid.

    Raises
    ------
    StoreError
        No nbdask store is there, or it is damaged.
    """

    def __init__(
        self,
        out: str | os.PathLike[str] | Place,
        *,
        writable: bool = False,
        shot: int | None = None,
    ) -> None:
        self.place, self.shot = place_of(out), shot
        whole = StoreReader(self.place)
        self.reader = whole if shot is None else whole.at(shot)
        self.grid = self.reader.grid
        about = pyramid_attributes(self.place)
        self.kinds: tuple[str, ...] = tuple(about["kinds"]) if about else ()
        self.count: int = about["levels"] if about else 0
        self.layout: int = about["layout"] if about else LAYOUT
        self._store = self.place.zarr_store(read_only=not writable)
        self._mode = "r+" if writable else "r"
        self._arrays: dict[tuple[str, int], Any] = {}
        self._image = CheckedImage(self.reader, missing=True)

    @property
    def pixel_size(self) -> float:
        """Size of a pixel of the image [m]."""
        try:
            array = zarr.open_array(self._store, path=schema.SLOW, mode="r", zarr_format=3)
            return float(cast(float, array.attrs["pixel_size_m"]))
        except Exception as error:  # whatever zarr raises for damaged metadata
            raise FormatError(
                f"{self.place.name} is damaged: its {schema.SLOW} has no pixel size ({error})"
            ) from error

    def replace_image(self, image: CheckedImage) -> None:
        """Show other pixels in place of the image's; there are no coarser levels of them."""
        self._image, self.kinds, self.count = image, (), 0

    def level_grid(self, level: int) -> TileGrid:
        """Return shape and chunks of a level."""
        return level_grid(self.grid, level)

    def panel_shape(self, panel: int, level: int) -> tuple[int, int]:
        """Return the pixels of a panel at a level, (slow, fast): those of the box or fewer."""
        return halves(self.reader.image_of(panel).shape, level)

    def top(self, kind: str) -> int:
        """Return the coarsest level of a kind; 0 where there is none but the image."""
        return self.count if kind in self.kinds else 0

    @property
    def _before(self) -> tuple[int, ...]:
        """The first numbers in the names of this shot's chunks."""
        return () if self.shot is None else (self.shot,)

    def _path(self, kind: str, level: int) -> str:
        return level_path(kind, level, self.layout)

    def _array(self, kind: str, level: int) -> Any:
        """Return the array of a level, opened once."""
        array = self._arrays.get((kind, level))
        if array is None:
            # Every chunk is written, also one that is all fill value: its file is the record.
            options: Any = {"zarr_format": 3, "config": {"write_empty_chunks": True}}
            try:
                array = zarr.open_array(
                    self._store, path=self._path(kind, level), mode=self._mode, **options
                )
            except (OSError, ValueError, KeyError) as error:
                raise StoreError(
                    f"{self.place.name}: level {level} of its pyramid cannot be read ({error})"
                ) from error
            if self.shot is not None:
                array = StoredImage(array, self.shot)
            self._arrays[kind, level] = array
        return array

    def read(self, kind: str, level: int, part: Tile) -> NDArray[np.float32]:
        """Return pixels of a level, sound ones.

        The image is read against the records of its tiles, a whole tile the first time that one is
        touched; the chunks of coarser levels hold their own checksums.

        Parameters
        ----------
        kind : str
        level : int
        part : Tile
            In pixels of the level.

        Returns
        -------
        (n_slow, n_fast) float32 array
            NaN where the level is not built yet.

        Raises
        ------
        DamageError
            A tile or chunk is damaged; it is named.
        StoreError
            A file cannot be read.
        """
        if level == 0:
            return self._image.read(part)
        array = self._array(kind, level)
        try:
            return np.asarray(array[schema.pixels_of(array, part)], dtype=np.float32)
        except Exception as error:  # zarr and its codecs raise many kinds for a damaged file
            raise self._told(array, kind, level, part, error) from error

    def check(self, index: int) -> None:
        """Read a tile of the image anew.

        Raises
        ------
        StoreError
            It is damaged.
        """
        CheckedImage(self.reader).read(self.grid[index])

    def again(self) -> Levels:
        """Return the same of the store as it is now."""
        return Levels(self.place, shot=self.shot)

    def _told(self, array: Any, kind: str, level: int, part: Tile, error: Exception) -> StoreError:
        """Return the error of a level that cannot be read, with the file that is damaged."""
        text = " ".join(str(error).split())
        if isinstance(error, OSError) and error.errno != errno.EIO:
            return StoreError(
                f"{self.place.name}: level {level} of its pyramid cannot be read: {text}"
            )
        grid = self.level_grid(level)
        for index in overlapping(grid, part):
            one = common(part, grid[index])
            try:
                array[schema.pixels_of(array, one)]
            except Exception:  # as above
                place = "/".join(map(str, (*self._before, *grid.place(index))))
                file = f"{self._path(kind, level)}/c/{place}"
                found = DamageError(
                    f"{self.place.name}: {file}, a part of its pyramid, is damaged ({text});"
                    f" delete it, then nbdask pyramid {self.place.name} builds it again"
                )
                found.level, found.index = level, index
                return found
        return StoreError(f"{self.place.name}: level {level} of its pyramid: {text}")

    def write(self, kind: str, level: int, index: int, values: NDArray[np.float32]) -> None:
        """Write one chunk of a level, as one file.

        Parameters
        ----------
        kind : str
        level : int
            1 or more.
        index : int
            Number of the chunk in the level's grid.
        values : (n_slow, n_fast) float32 array

        Raises
        ------
        StoreError
            The store is gone, the disk is full, or writing failed otherwise.
        """
        part = self.level_grid(level)[index]
        try:
            self.place.check_alive()
            array = self._array(kind, level)
            array[schema.pixels_of(array, part)] = values
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{self.place.name}: cannot write level {level} of its pyramid: {reason(error)}"
            ) from error

    def done(self, kinds: Iterable[str], level: int) -> Flags:
        """Return which chunks of a level are there, by the names of the files.

        Parameters
        ----------
        kinds : iterable of str
            A chunk counts where it is there for all of them.
        level : int
            0: the image, whose tiles count where their record is there.

        Returns
        -------
        (chunks_slow, chunks_fast) bool array
            Before these, as in the image, shot and panel.
        """
        if level == 0:
            return self.reader.done().reshape(_all_counts(self.grid))
        found = np.ones(_all_counts(self.level_grid(level)), dtype=np.bool_)
        for kind in kinds:
            found &= self._listed(self._path(kind, level), self.level_grid(level))
        return found

    def _listed(self, array: str, grid: TileGrid) -> Flags:
        """Return which chunks of an array have a file."""
        flags = np.zeros(_all_counts(grid), dtype=np.bool_)
        prefix = "/".join([array, "c", *map(str, self._before), ""])
        try:
            keys = self.place.keys(prefix)
        except OSError as error:
            raise StoreError(f"{self.place.name}: cannot be listed: {reason(error)}") from error
        for key in keys:
            words = key.removeprefix(prefix).split("/")
            if len(words) >= flags.ndim and all(word.isdecimal() for word in words):
                place = tuple(int(word) for word in words[: flags.ndim])
                if all(index < side for index, side in zip(place, flags.shape, strict=True)):
                    flags[place] = True
        return flags


def _all_counts(grid: TileGrid) -> tuple[int, ...]:
    """Return the chunks along each dimension of an image."""
    return (*grid.before, *grid.counts)


def pyramid_attributes(place: Place) -> dict[str, Any] | None:
    """Return kinds, number of levels and layout of the pyramid of a store; None without one."""
    data = place.read(f"{GROUP}/zarr.json")
    if data is None:
        return None
    try:
        about = json.loads(data)["attributes"]
        return {
            "kinds": [str(kind) for kind in about["kinds"]],
            "levels": int(about["levels"]),
            "layout": int(about.get("layout", 1)),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{place.name}: the metadata of its pyramid is damaged") from error
