"""A new store with its arrays and attributes; the attributes' changes at the end of a run."""

from __future__ import annotations

import json
import logging
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
from nbdask.plan.planes import GRADIENT
from nbdask.plan.tiles import TileGrid
from nbdask.shots import Series
from nbdask.store import manifest, schema
from nbdask.store.address import place_of
from nbdask.store.coordinates import Coordinate, panel_coordinates, slope_coordinates
from nbdask.store.ledger import record_chunks
from nbdask.store.patience import outlast
from nbdask.store.pixels import COMPRESSIONS, FILLS, Kept
from nbdask.store.place import ROOT, Place, reason
from nbdask.store.shots import create_shots

_log = logging.getLogger("nbdask.store")

#: Name of a compression -> its codec.
CODECS = {
    name: BloscCodec(cname=name, clevel=1, shuffle="bitshuffle")  # type: ignore[arg-type]
    for name in COMPRESSIONS
}
#: Of everything but the image.
_CODEC = CODECS["lz4"]


@contextmanager
def quiet_zarr() -> Iterator[None]:
    """Keep zarr from warning of what is no fault here, or is told in our own words.

    Consolidated metadata, which are not yet in the zarr v3 standard; an array without metadata.
    """
    with warnings.catch_warnings():
        for message in ("Consolidated metadata is currently not part", "Object at .* not recogni"):
            warnings.filterwarnings("ignore", message=message)
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
    series: Series | None = None,
    kept: Kept | None = None,
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
    series : Series, optional
        Whose shots the image holds.
    kept : Kept, optional
        How pixels are kept; None: as float32, quickly compressed.

    Raises
    ------
    StoreError
        Something else exists there, or it cannot be written; nothing is left behind.
    """
    kept = kept or Kept()
    newest = kept.dtype != "float32" or "noise" in attributes or schema.slopes_of(attributes)
    if series is not None or newest:
        attributes = {**attributes, "format_version": schema.NEWEST_VERSION}
    with place_of(out).new(overwrite) as store:
        root = zarr.create_group(store, zarr_format=3)
        places = panel_coordinates(panels) if len(panels) > 1 else {}
        if places:
            image = {**image, "coordinates": " ".join(places)}
        arrays = [_create_image(root, schema.IMAGE, grid, image, kept)]
        arrays += _create_beside(root, grid, attributes, places)
        for axis, name in enumerate((schema.SLOW, schema.FAST)):
            arrays.append(_create_coordinate(root, name, grid.shape[axis], pixel_size))
        arrays.append(_create_tiles(root, grid, schema.fields_with(schema.planes_of(attributes))))
        nodes = {array.basename: _metadata(array) for array in arrays}
        if series is not None:
            for path in create_shots(root, series, _CODEC):
                nodes[path] = _metadata(root[path])
        root.attrs.put(manifest.begun(attributes, nodes))
        with quiet_zarr():
            zarr.consolidate_metadata(store)
    _log.info("%s: store made, %d tiles", place_of(out).name, len(grid))


def _metadata(array: Any) -> Any:
    """Return an array's metadata as they are stored."""
    buffers = array.metadata.to_buffer_dict(default_buffer_prototype())
    return json.loads(buffers[ROOT].to_bytes())


def _create_tiles(root: zarr.Group, grid: TileGrid, fields: Sequence[str]) -> Any:
    return root.create_array(
        schema.TILES,
        shape=(*grid.before, *grid.counts, len(fields)),
        chunks=record_chunks((*grid.before, *grid.counts), len(fields)),
        dtype="float64",
        fill_value=np.nan,
        compressors=Crc32cCodec(),
        dimension_names=(*grid.dims[:-2], "tile_slow", "tile_fast", "tile_field"),
        attributes={
            "long_name": "records of finished tiles; NaN: not finished",
            "fields": list(fields),
        },
    )


def _create_image(
    root: zarr.Group,
    name: str,
    grid: TileGrid,
    attributes: Mapping[str, str],
    kept: Kept | None = None,
) -> Any:
    chunks, kept = schema.image_chunks(grid), kept or Kept()
    return root.create_array(
        name,
        shape=grid.image_shape,
        chunks=chunks.chunks,
        shards=chunks.shards,
        dtype=kept.dtype,
        # Zeros are pixels, so they must be written; only this means "not computed yet".
        fill_value=FILLS[kept.dtype],
        compressors=CODECS[kept.compression],
        dimension_names=grid.dims,
        attributes=dict(attributes),
    )


def _create_beside(
    root: zarr.Group,
    grid: TileGrid,
    attributes: Mapping[str, Any],
    places: Mapping[str, Coordinate],
) -> list[Any]:
    """Create planes and derivatives, and the coordinates of panels and parameters."""
    also = {"coordinates": " ".join(places)} if places else {}
    planes = [name for name in schema.planes_of(attributes) if name != GRADIENT]
    arrays = [_create_image(root, name, grid, {**schema.PLANES[name], **also}) for name in planes]
    by = {}
    if slopes := schema.slopes_of(attributes):
        by = slope_coordinates(slopes)
        arrays.append(_create_slopes(root, grid, len(slopes), [*by, *places]))
    return arrays + [_create_along(root, name, place) for name, place in {**places, **by}.items()]


def _create_slopes(root: zarr.Group, grid: TileGrid, slopes: int, beside: Sequence[str]) -> Any:
    chunks = schema.slope_chunks(grid, slopes)
    told = " ".join(name for name in beside if name != schema.PARAMETER)
    return root.create_array(
        GRADIENT,
        shape=(slopes, *grid.image_shape),
        chunks=chunks.chunks,
        shards=chunks.shards,
        dtype="float64",
        fill_value=np.nan,
        compressors=_CODEC,
        dimension_names=(schema.PARAMETER, *grid.dims),
        attributes={**schema.SLOPES, "coordinates": told},
    )


def _create_along(root: zarr.Group, name: str, place: Coordinate) -> Any:
    texts = place.values.dtype == object
    made = root.create_array(
        name,
        shape=place.values.shape,
        chunks=place.values.shape,
        dtype="string" if texts else place.values.dtype,
        compressors="auto" if texts else _CODEC,
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
        compressors=_CODEC,
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
        """Write them; may be done again."""
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
