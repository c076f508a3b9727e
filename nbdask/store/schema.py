"""The layout of a store: arrays, dimensions, chunks, codecs, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nbdask.plan.planes import GRADIENT, arrays_of
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import TileSummary

FORMAT = "nbdask"
FORMAT_VERSION = 3
#: Version of stores that hold a series, or pixels that are no float32, or noise made at once, or
#: derivatives; the newest that is read.
NEWEST_VERSION = 4

IMAGE, SLOW, FAST, TILES = "image", "slow", "fast", "tiles"
#: Coordinates of a store of several panels, by name.
PANEL = "panel"
PANEL_COORDINATES = (
    PANEL, "n_slow", "n_fast", "pitch_slow", "pitch_fast", "origin", "slow_axis", "fast_axis",
)  # fmt: skip
#: Coordinate of a store of a series, and the group of what varies from shot to shot.
SHOT, SHOTS = "shot", "shots"
#: Group of the coarser levels, where there are any; group of what the images were made of.
PYRAMID, TRUTH = "pyramid", "truth"
#: Further planes of the image, where there are any, and what they hold.
PLANES = {
    "wavelength": {"long_name": "mean wavelength, weighted by intensity", "units": "m"},
    "h": {"long_name": "mean of the nearest h, weighted by intensity", "units": "1"},
    "k": {"long_name": "mean of the nearest k, weighted by intensity", "units": "1"},
    "l": {"long_name": "mean of the nearest l, weighted by intensity", "units": "1"},
}
#: Dimension of the derivatives, where there are any, and coordinates along it.
PARAMETER = "parameter"
SLOPE_COORDINATES = (PARAMETER, "unit", "value")
#: Entries at the top level that some stores have, and every one that a store may have.
SOME = frozenset({PYRAMID, SHOT, SHOTS, TRUTH, *PLANES, GRADIENT, *SLOPE_COORDINATES})
ENTRIES = SOME | {"zarr.json", IMAGE, SLOW, FAST, TILES, *PANEL_COORDINATES}
RUNNING, COMPLETE = "running", "complete"
#: In object storage, until a new store is complete.
CREATING = "creating"

#: What the image of a simulation holds.
PHOTONS = {"long_name": "photons per pixel", "units": "photon"}

#: What derivatives are.
SLOPES = {
    "long_name": "change of the photons with each parameter",
    "units": "photon per unit of the parameter",
}

#: Longest side of an inner chunk [pixels]; shortest that is still worth a shard.
INNER_MOST, INNER_LEAST = 512, 64

#: Records in a file of the array of tile records.
RECORDS = 1024
#: Columns of that array in format version 1, and now.
FIELDS_1 = ("done", "crc32c", *TileSummary._fields)
FIELDS = (*FIELDS_1, "bytes")
_WHOLE = frozenset({"n_evaluated", "n_masked", "max_slow", "max_fast", "outside"})


class Chunks(NamedTuple):
    """Chunks of the image, and the shard that holds several (None: no shards)."""

    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None


def image_chunks(grid: TileGrid) -> Chunks:
    """Return the chunks of the image: a tile is one shard, or one chunk where it is small.

    Inner chunks divide the tile and are at most 512 pixels long, so that reading a region is
    quick.  A tile that has no such divisor is a plain chunk.
    """
    slow, fast = (_inner(side) for side in grid.tile)
    before = (1,) * len(grid.before)
    if slow is None or fast is None or (slow, fast) == grid.tile:
        return Chunks((*before, *grid.tile), None)
    return Chunks((*before, slow, fast), (*before, *grid.tile))


def slope_chunks(grid: TileGrid, slopes: int) -> Chunks:
    """Return the chunks of derivatives: a tile of all of them is one shard, or one chunk.

    Inner chunks hold one derivative, so that reading one does not read the others.
    """
    image = image_chunks(grid)
    whole = image.shards or image.chunks
    if slopes == 1 and image.shards is None:
        return Chunks((1, *image.chunks), None)
    return Chunks((1, *image.chunks), (slopes, *whole))


def pixels_of(array: Any, tile: Tile) -> tuple[Any, ...]:
    """Return the selection of a tile's pixels from an image of any number of panels and shots.

    Of derivatives: those by all parameters.
    """
    part = (slice(tile.slow0, tile.slow1), slice(tile.fast0, tile.fast1))
    if array.ndim == 2:
        return part
    places = {PARAMETER: slice(None), PANEL: tile.panel, SHOT: tile.shot}
    return (*(places[name or PANEL] for name in dims_of(array)[:-2]), *part)


def is_deep(array: Any) -> bool:
    """Return whether an array holds derivatives by several parameters, one behind the other."""
    return dims_of(array)[:1] == (PARAMETER,)


def dims_of(array: Any) -> Sequence[str | None]:
    """Return the names of the dimensions of an image, or of a coarser level of one."""
    for holder in (array, getattr(array, "metadata", None)):
        names = getattr(holder, "dimension_names", None)
        if names:
            return tuple(names)
    return (PANEL, SLOW, FAST)[-array.ndim :]


def _inner(side: int) -> int | None:
    """Return the greatest divisor of ``side`` between 64 and 512; ``side`` itself if smaller."""
    if side <= INNER_MOST:
        return side
    for divisor in range(INNER_MOST, INNER_LEAST - 1, -1):
        if side % divisor == 0:
            return divisor
    return None


def chunk_key(array: Any, place: Sequence[int]) -> str:
    """Return the file, within the store, of a tile's pixels (``image``) or record (``tiles``).

    ``place`` is that of :meth:`~nbdask.plan.tiles.TileGrid.place`.
    """
    lead = (0,) if is_deep(array) else ()
    before = (*lead, *getattr(array, "prefix", ()), *place)
    chunk = (*before, *([0] * (len(array.metadata.shape) - len(before))))
    return f"{array.basename}/{array.metadata.encode_chunk_key(chunk)}"


def is_journaled(attributes: Mapping[str, Any]) -> bool:
    """Return whether records come from journals: before version 3 each was a file of its own."""
    return int(attributes.get("format_version", FORMAT_VERSION)) > 2


def record_values(
    crc32c: int, summary: TileSummary, size: int, planes: Sequence[tuple[int, int]] = ()
) -> list[float]:
    """Return one tile's record, in the order of its fields.

    ``planes``: checksum and bytes of each further plane.
    """
    more = [float(number) for pair in planes for number in pair]
    return [1.0, float(crc32c), *(float(value) for value in summary), float(size), *more]


def planes_of(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a store's further planes."""
    plan = attributes.get("plan", {})
    return arrays_of(plan.get("planes", ()), slopes_of(attributes))


def slopes_of(attributes: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return what a store's image is differentiated by: ``name``, ``unit``, ``fields``, ``value``.

    There is no ``value`` where each shot of a series has its own.
    """
    found: Sequence[Mapping[str, Any]] = attributes.get("plan", {}).get("gradient", ())
    return found


def fields_with(planes: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of records of a store with these further planes."""
    return (*FIELDS, *(f"{field}_{name}" for name in planes for field in ("crc32c", "bytes")))


def field_of(field: str, array: str) -> str:
    """Return the field of a record for the image or a further plane: of ``crc32c`` or ``bytes``."""
    return field if array == IMAGE else f"{field}_{array}"


def summary_of(record: Sequence[float]) -> TileSummary:
    """Return the summary that a record of a finished tile holds."""
    return summary_from(record[2 : len(FIELDS_1)])


def summary_from(values: Sequence[float]) -> TileSummary:
    """Return the summary whose fields are given as floats, in their order."""
    fields = zip(TileSummary._fields, values, strict=True)
    plain: list[Any] = [int(v) if k in _WHOLE else float(v) for k, v in fields]
    return TileSummary(*plain)
