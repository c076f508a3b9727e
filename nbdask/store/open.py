"""Opening a store lazily through xarray, and what it holds in plain values."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from nbdask.errors import StoreError
from nbdask.store import schema
from nbdask.store.lazy import checked_pixels
from nbdask.store.pixels import FILLS
from nbdask.store.provenance import SERIES
from nbdask.store.reader import StoreReader
from nbdask.store.shots import VALUES

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
        ``image`` (``[shot,] [panel,] slow, fast``), float32 backed by dask, NaN where it is not
        computed yet; of a store with derivatives also ``gradient`` (``parameter, ...``), float64
        [photons per unit of the parameter], with ``unit`` and ``value`` along ``parameter``; of a
        store with planes also ``wavelength`` [m], ``h``, ``k`` and ``l``, alike,
        NaN where a pixel has no intensity; of a series, what varies as coordinates along ``shot``;
        ``tiles`` the records of finished tiles; the store's attributes.

    Raises
    ------
    StoreError
        No nbdask store is there; with ``check``, on computing: a tile is damaged.

    Notes
    -----
    Attributes that are neither texts nor numbers are JSON, so that ``to_netcdf`` can write them.
    """
    reader = StoreReader(out)
    import xarray

    store = reader.place.zarr_store(read_only=True)
    try:
        dataset: xarray.Dataset = xarray.open_zarr(store, chunks={})
        _ = [dataset[name] for name in reader.arrays]  # a name may be what is damaged
    except Exception as error:  # of zarr, its codecs or xarray: damaged metadata, of many types
        raise StoreError(f"{reader.path} is damaged: xarray cannot open it ({error})") from error
    if reader.journaled and reader.attributes["status"] != schema.COMPLETE:
        tiles = dataset["tiles"]
        records = reader.records.rows(0, len(reader.grid))
        dataset["tiles"] = tiles.copy(data=records.reshape(tiles.shape))
    if check:
        for name in reader.arrays:
            dataset[name] = dataset[name].copy(data=checked_pixels(reader, name))
    elif (image := dataset["image"]).dtype != np.float32:
        missing = FILLS[image.dtype.name]
        dataset["image"] = image.astype(np.float32).where(image != missing)
        dataset["image"].attrs |= image.attrs
    if reader.grid.shots:
        values = xarray.open_zarr(store, group=VALUES, chunks={}, consolidated=False)
        dataset = dataset.assign_coords(values.data_vars)
    if "experiment" in reader.attributes:
        dataset["image"].attrs["experiment"] = json.dumps(reader.attributes["experiment"])
    if SERIES in reader.attributes:
        dataset["image"].attrs[SERIES] = json.dumps(reader.attributes[SERIES])
    dataset.attrs = {name: _plain(value) for name, value in dataset.attrs.items()}
    for variable in dataset.variables:
        held = dataset[variable]
        held.attrs = {key: _plain(value) for key, value in held.attrs.items()}
    return dataset


def _plain(value: Any) -> Any:
    """Return an attribute as netCDF can hold it: what is no text and no number as JSON."""
    numbers = isinstance(value, list) and value and all(type(x) in (int, float) for x in value)
    if type(value) in (int, float, str) or numbers:
        return value
    return json.dumps(value)


def read_summary(out: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a store holds, in plain values.

    Returns
    -------
    dict
        ``attributes``, ``unit``, ``dtype`` (of the stored pixels), ``shape`` ([shot,] [panel,]
        slow, fast), and ``tiles`` with ``done``, ``total`` and ``shape``.

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
        "dtype": reader.image.stored.dtype.name,
        "shape": list(reader.grid.image_shape),
        "tiles": {"done": done, "total": len(reader.grid), "shape": list(reader.grid.tile)},
    }
