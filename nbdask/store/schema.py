"""The layout of a store: arrays, dimensions, chunks, codecs, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import TileSummary

FORMAT = "nbdask"
FORMAT_VERSION = 3

IMAGE, SLOW, FAST, TILES = "image", "slow", "fast", "tiles"
#: Coordinates of a store of several panels, by name.
PANEL = "panel"
PANEL_COORDINATES = (
    PANEL, "n_slow", "n_fast", "pitch_slow", "pitch_fast", "origin", "slow_axis", "fast_axis",
)  # fmt: skip
#: Group of the coarser levels, where there are any.
PYRAMID = "pyramid"
#: Every entry that a store of this version may have at its top level.
ENTRIES = frozenset({"zarr.json", IMAGE, SLOW, FAST, TILES, PYRAMID, *PANEL_COORDINATES})
RUNNING, COMPLETE = "running", "complete"
#: In object storage, until a new store is complete.
CREATING = "creating"

#: What the image of a simulation holds.
PHOTONS = {"long_name": "photons per pixel", "units": "photon"}

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
    before = (1,) * (len(grid.image_shape) - 2)
    if slow is None or fast is None or (slow, fast) == grid.tile:
        return Chunks((*before, *grid.tile), None)
    return Chunks((*before, slow, fast), (*before, *grid.tile))


def pixels_of(array: Any, tile: Tile) -> tuple[Any, ...]:
    """Return the selection of a tile's pixels from an image of one panel or of several."""
    part = (slice(tile.slow0, tile.slow1), slice(tile.fast0, tile.fast1))
    return part if array.ndim == 2 else (tile.panel, *part)


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
    chunk = (*place, *([0] * (len(array.shape) - len(place))))
    return f"{array.basename}/{array.metadata.encode_chunk_key(chunk)}"


def is_journaled(attributes: Mapping[str, Any]) -> bool:
    """Return whether records come from journals: before version 3 each was a file of its own."""
    return int(attributes.get("format_version", FORMAT_VERSION)) > 2


def record_values(crc32c: int, summary: TileSummary, size: int) -> list[float]:
    """Return one tile's record, in the order of ``FIELDS``."""
    return [1.0, float(crc32c), *(float(value) for value in summary), float(size)]


def summary_of(record: Sequence[float]) -> TileSummary:
    """Return the summary that a record of a finished tile holds."""
    return summary_from(record[2 : len(FIELDS_1)])


def summary_from(values: Sequence[float]) -> TileSummary:
    """Return the summary whose fields are given as floats, in their order."""
    fields = zip(TileSummary._fields, values, strict=True)
    plain: list[Any] = [int(v) if k in _WHOLE else float(v) for k, v in fields]
    return TileSummary(*plain)
