"""A new store with its arrays and attributes; the attributes' changes at the end of a run."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.buffer import default_buffer_prototype

import nbdask.store.blosc  # noqa: F401  (every chunk is checked)
from nbdask.errors import StoreError
from nbdask.experiment import DetectorPanel
from nbdask.plan.tiles import TileGrid
from nbdask.store import manifest, schema
from nbdask.store.address import place_of
from nbdask.store.coordinates import Coordinate, panel_coordinates
from nbdask.store.patience import outlast
from nbdask.store.place import ROOT, Place, reason
from nbdask.store.records import record_chunks

#: Noise in the last digits leaves little to compress, so speed decides: over 1 GB/s per core, and
#: whole tiles of zeros shrink to nothing.
IMAGE_CODEC = BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle")


@contextmanager
def quiet_zarr() -> Iterator[None]:
    """Keep zarr from warning that consolidated metadata is not yet in the zarr v3 standard."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        yield


def create_store(
    out: str | os.PathLike[str] | Place,
    grid: TileGrid,
    attributes: Mapping[str, Any],
    *,
    pixel_size: float,
    overwrite: bool = False,
    image: Mapping[str, str] = schema.PHOTONS,
    panels: Sequence[DetectorPanel] = (),
) -> None:
    """Create a store without pixels.

    Parameters
    ----------
    out : path, address or Place
    grid : TileGrid
        Shape of the image and its tiles.
    attributes : mapping
        JSON-able attributes of the root.
    pixel_size : float
        [m], recorded on the coordinates.
    overwrite : bool
        Replace an existing nbdask store.
    image : mapping
        What the image holds: ``long_name`` and ``units``.
    panels : sequence of DetectorPanel
        Where there are several.

    Raises
    ------
    StoreError
        Something else exists there, or it cannot be written; nothing is left behind.
    """
    with place_of(out).new(overwrite) as store:
        root = zarr.create_group(store, zarr_format=3)
        places = panel_coordinates(panels) if len(panels) > 1 else {}
        if places:
            image = {**image, "coordinates": " ".join(places)}
        arrays = [_create_image(root, grid, image)]
        arrays += [_create_panels(root, name, place) for name, place in places.items()]
        for axis, name in enumerate((schema.SLOW, schema.FAST)):
            arrays.append(_create_coordinate(root, name, grid.shape[axis], pixel_size))
        before = ((len(panels),), (1,), (schema.PANEL,)) if places else ((), (), ())
        tiles = root.create_array(
            schema.TILES,
            shape=(*before[0], *grid.counts, len(schema.FIELDS)),
            chunks=record_chunks((*before[0], *grid.counts)),
            dtype="float64",
            fill_value=np.nan,
            compressors=Crc32cCodec(),
            dimension_names=(*before[2], "tile_slow", "tile_fast", "tile_field"),
            attributes={
                "long_name": "records of finished tiles; NaN: not finished",
                "fields": list(schema.FIELDS),
            },
        )
        nodes = {array.basename: _metadata(array) for array in (*arrays, tiles)}
        root.attrs.put(manifest.begun(attributes, nodes))
        with quiet_zarr():
            zarr.consolidate_metadata(store)


def _metadata(array: Any) -> Any:
    """Return an array's metadata as they are stored."""
    buffers = array.metadata.to_buffer_dict(default_buffer_prototype())
    return json.loads(buffers[ROOT].to_bytes())


def _create_image(root: zarr.Group, grid: TileGrid, attributes: Mapping[str, str]) -> Any:
    chunks = schema.image_chunks(grid)
    return root.create_array(
        schema.IMAGE,
        shape=grid.image_shape,
        chunks=chunks.chunks,
        shards=chunks.shards,
        dtype="float32",
        # Zeros are pixels, so they must be written; only NaN means "not computed yet".
        fill_value=np.nan,
        compressors=IMAGE_CODEC,
        dimension_names=(schema.PANEL, schema.SLOW, schema.FAST)[-len(grid.image_shape) :],
        attributes=dict(attributes),
    )


def _create_panels(root: zarr.Group, name: str, place: Coordinate) -> Any:
    texts = place.values.dtype == object
    made = root.create_array(
        name,
        shape=place.values.shape,
        chunks=place.values.shape,
        dtype="string" if texts else place.values.dtype,
        compressors="auto" if texts else IMAGE_CODEC,
        dimension_names=place.dims,
        attributes=dict(place.attributes),
    )
    made[...] = place.values
    return made


def _create_coordinate(root: zarr.Group, name: str, count: int, pixel_size: float) -> Any:
    array = root.create_array(
        name,
        shape=(count,),
        chunks=(count,),
        dtype="int64",
        compressors=IMAGE_CODEC,
        dimension_names=(name,),
        attributes={
            "long_name": f"zero-based pixel index along {name}",
            "units": "pixel",
            "pixel_size_m": pixel_size,
        },
    )
    array[:] = np.arange(count, dtype=np.int64)
    return array


def update_attributes(
    out: str | os.PathLike[str] | Place, changes: Mapping[str, Any], nodes: Iterable[str] = ()
) -> None:
    """Change root attributes, as one atomic replacement that keeps the consolidated metadata.

    Parameters
    ----------
    out : path, address or Place
    changes : mapping
        JSON-able; attributes not named stay as they are, but for the manifest.
    nodes : iterable of str
        Groups and arrays that the manifest is to cover anew.

    Raises
    ------
    StoreError
        The store is gone or damaged, or cannot be written.
    """
    place = place_of(out)

    def update() -> None:
        place.check_alive()
        with quiet_zarr():
            group = zarr.open_group(
                place.zarr_store(read_only=False),
                mode="r+",
                zarr_format=3,
                use_consolidated=True,
            )
            new = manifest.metadata_of(place, nodes)
            group.update_attributes(manifest.changed(group.attrs.asdict(), changes, new))

    try:
        outlast(update, place.name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{place.name}: cannot update the root's attributes: {reason(error)}"
        ) from error
