"""Opening a store lazily through xarray, and what it holds in plain values."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.lazy import checked_pixels
from nbdask.store.reader import StoreReader

if TYPE_CHECKING:
    import xarray


def open_store(out: str | os.PathLike[str], *, check: bool = False) -> xarray.Dataset:
    """Open a store lazily.

    Parameters
    ----------
    out : path or address
    check : bool
        Compare every tile with its CRC-32C on record when pixels of it are computed; a damaged one
        is then an error that names it.  Tiles are read as a whole, also for a few of their pixels,
        and chunks of the array are tiles.

    Returns
    -------
    xarray.Dataset
        ``image`` (slow, fast), or of several panels (panel, slow, fast), float32 backed by dask,
        NaN where it is not computed yet; ``tiles`` the records of finished tiles; the store's
        attributes.

    Raises
    ------
    StoreError
        No nbdask store is there; with ``check``, on computing: a tile is damaged.
    """
    reader = StoreReader(out)
    import xarray

    store = reader.place.zarr_store(read_only=True)
    try:
        dataset: xarray.Dataset = xarray.open_zarr(store, chunks={})
        image = dataset["image"]  # its name may be what is damaged
    except Exception as error:  # of zarr, its codecs or xarray: damaged metadata, of many types
        raise StoreError(f"{reader.path} is damaged: xarray cannot open it ({error})") from error
    if reader.journaled and reader.attributes["status"] != schema.COMPLETE:
        tiles = dataset["tiles"]
        dataset["tiles"] = tiles.copy(data=reader.records.table().reshape(tiles.shape))
    if check:
        dataset["image"] = image.copy(data=checked_pixels(reader))
    if "experiment" in reader.attributes:
        dataset["image"].attrs["experiment"] = json.dumps(reader.attributes["experiment"])
    return dataset


def read_summary(out: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a store holds, in plain values.

    Returns
    -------
    dict
        ``attributes``, ``unit``, ``shape`` (slow, fast) or (panel, slow, fast), and
        ``tiles`` with ``done``, ``total`` and ``shape``.

    Raises
    ------
    StoreError
        No nbdask store is there.
    """
    reader = StoreReader(out)
    done = len(reader.grid)
    if reader.attributes["status"] != schema.COMPLETE:
        done = int(reader.done().sum())
    return {
        "attributes": reader.attributes,
        "unit": reader.unit,
        "shape": list(reader.grid.image_shape),
        "tiles": {"done": done, "total": len(reader.grid), "shape": list(reader.grid.tile)},
    }
