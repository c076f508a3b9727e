"""A store gets a pyramid: arrays for its coarser levels, without pixels, and OME-Zarr metadata."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.codecs import Crc32cCodec

from nbdask.errors import StoreError
from nbdask.store import manifest, schema
from nbdask.store.create import CODECS, quiet_zarr, update_attributes
from nbdask.store.levels import (
    GROUP,
    KINDS,
    LAYOUT,
    MAX,
    MEAN,
    SMALLEST,
    Levels,
    level_count,
    level_grid,
    level_path,
)
from nbdask.store.ome import ome_image, root_metadata
from nbdask.store.place import Place, reason

#: Dimensions of the levels.  Not those of the image: xarray wants one size for each name in a
#: group and all groups below it.
_AXES = ("y", "x")
_NAMES = {MAX: "brightest pixel", MEAN: "mean"}
_TYPES = {MAX: "maximum", MEAN: "mean"}


def create_levels(
    place: Place, kinds: Sequence[str], smallest: int = SMALLEST, *, rebuild: bool = False
) -> Levels:
    """Give a store the arrays of a pyramid that it lacks, and OME-Zarr metadata.

    What exists already stays, with all its chunks and the number of levels.

    Parameters
    ----------
    place : Place
        The caller holds its lock.
    kinds : sequence of str
    smallest : int
        Levels are added until both sides are at most so long [pixels].
    rebuild : bool
        Begin anew, with the kinds that are there too.

    Returns
    -------
    Levels
        Writable.

    Raises
    ------
    StoreError
        There is no store, it cannot be written, or a kind would join others of an earlier layout.
    """
    levels = Levels(place, writable=True)
    if rebuild:
        kinds = [*kinds, *levels.kinds]
        _forget(place)
        levels = Levels(place, writable=True)
    before = set(levels.kinds)
    if before >= set(kinds):
        if not _is_noted(levels):
            _note(levels, levels.kinds, levels.count)
        return levels
    if levels.layout != LAYOUT:
        raise StoreError(
            f"{place.name}: its pyramid has an earlier layout, to which no kind can be added:"
            f" nbdask pyramid {place.name} --rebuild builds it anew"
        )
    count = levels.count if before else level_count(levels.grid, smallest)
    every = [kind for kind in KINDS if kind in before | set(kinds)]
    store = place.zarr_store(read_only=False)
    try:
        place.check_alive()
        for kind in every:
            if kind not in before:
                _create_kind(store, levels, kind, count)
        # Last of the arrays' metadata: where this file is, all of them are.
        group = zarr.open_group(store, path=GROUP, mode="a", zarr_format=3)
        group.update_attributes({"kinds": every, "levels": count, "layout": LAYOUT})
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{place.name}: cannot add a pyramid to the store: {reason(error)}"
        ) from error
    _note(levels, every, count)
    return Levels(place, writable=True)


def _is_noted(levels: Levels) -> bool:
    """Whether the root knows of the pyramid, which a kill may have prevented."""
    attributes = levels.reader.attributes
    nodes = _nodes(levels.kinds, levels.count, levels.layout)
    return "ome" in attributes and manifest.covers(levels.reader, nodes)


def _note(levels: Levels, kinds: Sequence[str], count: int) -> None:
    """Put the pyramid into the root: OME-Zarr metadata, and its arrays into the manifest."""
    changes = {"ome": root_metadata(levels.grid.dims, levels.pixel_size)}
    try:
        with quiet_zarr():
            zarr.consolidate_metadata(levels.place.zarr_store(read_only=False))
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(
            f"{levels.place.name}: cannot add a pyramid to the store: {reason(error)}"
        ) from error
    update_attributes(levels.place, changes, _nodes(kinds, count, LAYOUT))


def _nodes(kinds: Sequence[str], count: int, layout: int) -> list[str]:
    """Return the groups and arrays of a pyramid."""
    found = [GROUP]
    for kind in kinds:
        found.append(f"{GROUP}/{kind}")
        for level in range(1, count + 1):
            found += dict.fromkeys([f"{GROUP}/{kind}/{level}", level_path(kind, level, layout)])
    return found


def _forget(place: Place) -> None:
    """Take a pyramid off the record; what it leaves goes when its kinds are made again."""
    try:
        place.check_alive()
        place.remove(f"{GROUP}/zarr.json")
    except OSError as error:
        raise StoreError(f"{place.name}: cannot remove its pyramid: {reason(error)}") from error


def _create_kind(store: Store, levels: Levels, kind: str, count: int) -> None:
    """Make the group of a kind with one array for each level."""
    path = f"{GROUP}/{kind}"
    about = {**schema.PHOTONS, **levels.reader.image.attrs.asdict()}
    axes = (*levels.grid.dims[:-2], *_AXES)
    paths = {level: f"{level}/{schema.IMAGE}" for level in range(1, count + 1)}
    what = {
        "type": _TYPES[kind],
        "metadata": {
            "description": f"each level is the {_TYPES[kind]} of 2 x 2 pixels of the one before",
            "method": f"nbdask pyramid --kind {kind}",
        },
    }
    ome = ome_image(_NAMES[kind], axes, paths, levels.pixel_size, what)
    zarr.create_group(
        store, path=path, zarr_format=3, overwrite=True, attributes={"ome": ome} if paths else {}
    )
    for level in range(1, count + 1):
        here = level_grid(levels.grid, level)
        chunks = schema.image_chunks(here)
        block = f"{2**level} x {2**level} pixels"
        zarr.create_group(store, path=f"{path}/{level}", zarr_format=3)
        zarr.create_array(
            store,
            name=level_path(kind, level),
            shape=here.image_shape,
            chunks=chunks.chunks,
            shards=chunks.shards,
            dtype="float32",
            fill_value=np.nan,
            compressors=(CODECS["lz4"], Crc32cCodec()),
            zarr_format=3,
            dimension_names=axes,
            attributes={
                "long_name": f"{about['long_name']}, {_NAMES[kind]} of {block}",
                "units": about["units"],
            },
        )
