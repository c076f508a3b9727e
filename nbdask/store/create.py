"""A new store with its arrays and attributes; the attributes' changes at the end of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, BloscShuffle

from nbdask.plan.tiles import TileGrid
from nbdask.store import schema
from nbdask.store.place import new_folder

#: Noise in the last digits leaves little to compress, so speed decides: over 1 GB/s per core, and
#: whole tiles of zeros shrink to nothing.
_CODEC = BloscCodec(cname="lz4", clevel=1, shuffle=BloscShuffle.bitshuffle)


@contextmanager
def quiet_zarr() -> Iterator[None]:
    """Keep zarr from warning that consolidated metadata is not yet in the zarr v3 standard."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield


def create_store(
    path: Path,
    grid: TileGrid,
    attributes: Mapping[str, Any],
    *,
    pixel_size: float,
    overwrite: bool = False,
) -> None:
    """Create a store without pixels.

    Parameters
    ----------
    path : Path
    grid : TileGrid
        Shape of the image and its tiles.
    attributes : mapping
        JSON-able attributes of the root.
    pixel_size : float
        [m], recorded on the coordinates.
    overwrite : bool
        Replace an nbdask store that is there already.

    Raises
    ------
    StoreError
        Something else is there, or the folder cannot be written; nothing is left behind.
    """
    with new_folder(path, overwrite) as folder:
        root = zarr.create_group(folder, zarr_format=3, attributes=dict(attributes))
        _create_image(root, grid)
        for axis, name in enumerate((schema.SLOW, schema.FAST)):
            _create_coordinate(root, name, grid.shape[axis], pixel_size)
        root.create_array(
            schema.TILES,
            shape=(*grid.counts, len(schema.FIELDS)),
            chunks=(1, 1, len(schema.FIELDS)),
            dtype="float64",
            fill_value=np.nan,
            compressors=None,
            dimension_names=("tile_slow", "tile_fast", "tile_field"),
            attributes={
                "long_name": "records of finished tiles; NaN: not finished",
                "fields": list(schema.FIELDS),
            },
        )
        with quiet_zarr():
            zarr.consolidate_metadata(folder)


def _create_image(root: zarr.Group, grid: TileGrid) -> None:
    chunks = schema.image_chunks(grid)
    root.create_array(
        schema.IMAGE,
        shape=grid.shape,
        chunks=chunks.chunks,
        shards=chunks.shards,
        dtype="float32",
        # Zeros are pixels, so they must be written; only NaN means "not computed yet".
        fill_value=np.nan,
        compressors=_CODEC,
        dimension_names=(schema.SLOW, schema.FAST),
        attributes={"long_name": "photons per pixel", "units": "photon"},
    )


def _create_coordinate(root: zarr.Group, name: str, count: int, pixel_size: float) -> None:
    array = root.create_array(
        name,
        shape=(count,),
        chunks=(count,),
        dtype="int64",
        compressors=_CODEC,
        dimension_names=(name,),
        attributes={
            "long_name": f"zero-based pixel index along {name}",
            "units": "pixel",
            "pixel_size_m": pixel_size,
        },
    )
    array[:] = np.arange(count, dtype=np.int64)


def update_attributes(path: Path, changes: Mapping[str, Any]) -> None:
    """Change root attributes, as one atomic replacement that keeps the consolidated metadata.

    Parameters
    ----------
    path : Path
    changes : mapping
        JSON-able; attributes not named stay as they are.
    """
    with quiet_zarr():
        group = zarr.open_group(path, mode="r+", zarr_format=3, use_consolidated=True)
        group.update_attributes(dict(changes))
