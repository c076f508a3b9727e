"""Writing one tile: its pixels first, then its record."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.plan.tiles import Tile
from nbdask.statistics import TileSummary
from nbdask.store import schema


def checksum(image: NDArray[np.float32]) -> int:
    """Return the CRC-32C of a tile's pixels as little-endian float32 bytes in C order."""
    return int(google_crc32c.value(np.ascontiguousarray(image, dtype="<f4").tobytes()))


@dataclass(eq=False)
class TileWriter:
    """Writes tiles of one store.  Picklable; each process opens the arrays once.

    Parameters
    ----------
    path : Path
        The store, which must exist; absolute, since workers may have other working folders.
    columns : int
        Tiles along the fast axis.
    """

    path: Path
    columns: int
    _arrays: tuple[Any, Any] | None = field(default=None, init=False, repr=False)
    _lock: Any = field(default_factory=Lock, init=False, repr=False)

    def __getstate__(self) -> tuple[Path, int]:
        """Leave the open arrays behind."""
        return (self.path, self.columns)

    def __setstate__(self, state: tuple[Path, int]) -> None:
        """Open the arrays anew when they are needed."""
        self.path, self.columns = state
        self._arrays, self._lock = None, Lock()

    def __call__(
        self, index: int, tile: Tile, image: NDArray[np.float32], summary: TileSummary
    ) -> None:
        """Write a tile, then record it as done.

        Parameters
        ----------
        index : int
            Number of the tile in the grid, row by row.
        tile : Tile
        image : (n_slow, n_fast) float32 array
        summary : TileSummary

        Raises
        ------
        StoreError
            The store is gone, the disk is full, or writing failed otherwise.
        """
        try:
            # zarr would make missing folders anew, and pixels without a store around them.
            os.stat(self.path / "zarr.json")
            pixels, records = self._open()
            pixels[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = image
            row, column = divmod(index, self.columns)
            records[row, column, :] = schema.record_values(checksum(image), summary)
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot write tile {index} (slow {tile.slow0} to {tile.slow1},"
                f" fast {tile.fast0} to {tile.fast1}): {error.strerror or error}"
            ) from error

    def _open(self) -> tuple[Any, Any]:
        with self._lock:
            if self._arrays is None:
                # Opened array by array: what a store may hold beside them is of no concern.
                # Every chunk is written, without a look whether it is all fill value.
                options: Any = {"zarr_format": 3, "config": {"write_empty_chunks": True}}
                self._arrays = (
                    zarr.open_array(self.path / schema.IMAGE, mode="r+", **options),
                    zarr.open_array(self.path / schema.TILES, mode="r+", **options),
                )
            return self._arrays
