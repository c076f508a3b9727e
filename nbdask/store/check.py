"""Whether metadata and records are those of the format, before anything relies on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import Statistics
from nbdask.store import schema
from nbdask.store.place import Place
from nbdask.store.records import record_chunks


class FormatError(StoreError):
    """Metadata or a record of a store that hold what no store has."""


_TEXT, _TEXT_OR_NONE, _TEXTS = "a text", "a text or null", "a list of texts"
_TABLE, _COUNT = "a table", "a whole number of at least 1"
#: What every command relies on, then what a root may have besides.
_NEEDED = {
    "plan": _TABLE,
    "experiment": _TABLE,
    "fingerprint": _TEXT,
    "seeds": _TABLE,
    "semantics": _TEXT,
    "backend": _TEXT,
    "precision": _TEXT,
    "kernel_version": _TEXT,
}
_OPTIONAL = {
    "nbdask_version": _TEXT_OR_NONE,
    "git_commit": _TEXT_OR_NONE,
    "command": _TEXT_OR_NONE,
    "cluster": _TEXT,
    "versions": _TABLE,
    "host": _TEXT,
    "cpu": _TEXT,
    "started": _TEXT,
    "ended": _TEXT_OR_NONE,
    "notes": _TEXTS,
    "resumed": _TEXTS,
    "repaired": _TEXTS,
    "derived": _TABLE,
    "made_by": _TABLE,
    "ome": _TABLE,
    "manifest": _TABLE,
    "shards": _COUNT,
}
_DERIVED = {"version": _COUNT, "pipeline": _TABLE, "source": _TABLE}
_SOURCE = {"path": _TEXT, "fingerprint": _TEXT, "pixels_sha256": _TEXT}
_FILE = {"role": _TEXT, "path": _TEXT, "sha256": _TEXT}
_WHOLE = frozenset({"max_panel", "max_slow", "max_fast", "pixels"})


def _is(value: Any, kind: str) -> bool:
    if kind == _TABLE:
        return isinstance(value, Mapping)
    if kind == _TEXTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if kind == _COUNT:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return isinstance(value, str) or (kind == _TEXT_OR_NONE and value is None)


def _check_table(
    table: Mapping[str, Any], kinds: Mapping[str, str], begin: str = "", *, optional: bool = False
) -> None:
    for name, kind in kinds.items():
        if name not in table:
            if optional:
                continue
            raise FormatError(f"its root has no attribute {begin}{name}")
        if not _is(table[name], kind):
            raise FormatError(
                f"attribute {begin}{name} of its root is {_short(table[name])}: must be {kind}"
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def check_version(attributes: Mapping[str, Any]) -> None:
    """Refuse a later format, and a store whose creation was not finished.

    Raises
    ------
    StoreError
        To be put behind the name of the store.
    """
    _check_table(attributes, {"format_version": _COUNT})
    if attributes["format_version"] > schema.FORMAT_VERSION:
        raise StoreError(
            f"has format version {attributes['format_version']}, this nbdask reads up to"
            f" {schema.FORMAT_VERSION}: install a newer nbdask"
        )
    if attributes.get("status") == schema.CREATING:
        raise StoreError("was being created when its run ended: start again with --overwrite")


def check_root(attributes: Mapping[str, Any]) -> None:
    """Check the root's attributes: what has to be there, and types.

    Raises
    ------
    FormatError
        Says what is wrong, without the name of the store.
    """
    status = attributes.get("status")
    if status not in (schema.RUNNING, schema.COMPLETE):
        raise FormatError(f"its status is {_short(status)}: must be running or complete")
    _check_table(attributes, _NEEDED)
    _check_table(attributes, _OPTIONAL, optional=True)
    for kind, counts in attributes.get("made_by", {}).items():
        if not (_is(counts, _TABLE) and _is(counts.get("tiles"), _COUNT)):
            raise FormatError(f"attribute made_by.{kind} of its root holds no number of tiles")
        if not isinstance(counts.get("seconds"), int | float):
            raise FormatError(f"attribute made_by.{kind} of its root holds no seconds")
    plan = attributes["plan"]
    _check_table(plan, {"steps_per_task": _COUNT}, "plan.")
    for name in ("shape", "tile"):
        sides = plan.get(name)
        counts = (2, 3) if name == "shape" else (2,)
        if not (
            isinstance(sides, list) and len(sides) in counts and all(_is(s, _COUNT) for s in sides)
        ):
            text = f"attribute plan.{name} of its root is {_short(sides)}"
            words = " or ".join({2: "two", 3: "three"}[count] for count in counts)
            raise FormatError(f"{text}: must be {words} whole numbers of at least 1")
    files = attributes.get("inputs")
    if not isinstance(files, list):
        raise FormatError(f"attribute inputs of its root is {_short(files)}: must be a list")
    for file in files:
        if not isinstance(file, Mapping):
            raise FormatError(f"attribute inputs of its root holds {_short(file)}: must be a table")
        _check_table(file, _FILE, "inputs.")
    if "derived" in attributes:
        _check_table(attributes["derived"], _DERIVED, "derived.")
        _check_table(attributes["derived"]["source"], _SOURCE, "derived.source.")
    _check_statistics(attributes.get("statistics"))


def _check_statistics(found: Any) -> None:
    if found is None:
        return
    if not isinstance(found, Mapping) or set(found) | {"max_panel"} != set(Statistics._fields):
        raise FormatError(
            f"attribute statistics of its root is {_short(found)}: must be null or have the"
            f" entries {', '.join(Statistics._fields)}"
        )
    for name, value in found.items():
        number = isinstance(value, int if name in _WHOLE else (int, float))
        if not ((number and not isinstance(value, bool)) or (value is None and name not in _WHOLE)):
            raise FormatError(
                f"attribute statistics.{name} of its root is {_short(value)}: must be a number"
            )


def check_arrays(place: Place, image: Any, records: Any, attributes: Mapping[str, Any]) -> None:
    """Check shapes and types of the arrays against the plan, each other, and a file's size.

    Raises
    ------
    FormatError
    """
    plan = attributes["plan"]
    if list(image.shape) != plan["shape"]:
        raise FormatError(f"image has the shape {image.shape}, the plan {plan['shape']}")
    if image.dtype != np.float32:
        raise FormatError(f"image holds {image.dtype}: must hold float32")
    tile = image.shards or image.chunks
    if list(tile) != [1] * (len(tile) - 2) + plan["tile"]:
        raise FormatError(f"image has tiles of {tile} pixels, the plan {plan['tile']}")
    fields = len(fields_of(attributes))
    grid = TileGrid.of(image.shape, tile[-2:])
    wanted = (*image.shape[:-2], *grid.counts, fields)
    chunks: tuple[int, ...] = (*[1] * (len(wanted) - 1), fields)
    if schema.is_journaled(attributes):
        chunks = record_chunks(wanted[:-1])
    if records.shape != wanted or records.chunks != chunks or records.dtype != np.float64:
        raise FormatError(
            f"tiles has shape {records.shape}, chunks {records.chunks} and type {records.dtype}:"
            f" must be {wanted}, {chunks} and float64"
        )
    for array in (image, records):
        if not isinstance(array.metadata.attributes, Mapping):
            raise FormatError(f"the attributes of {array.basename} are no table")
    for name, side in zip((schema.SLOW, schema.FAST), image.shape[-2:], strict=True):
        _check_side(place, name, side)


def _check_side(place: Place, name: str, side: int) -> None:
    """Make sure that an axis is as long as the file of its coordinates says.

    So nobody makes room for an image that is not there.
    """
    data = place.read(f"{name}/c/0")
    # The header of blosc: versions, flags and size of items; bytes, plain and compressed.
    sizes = None if data is None or len(data) < 16 else np.frombuffer(data[4:16], dtype="<u4")
    if data is None or sizes is None or sizes[0] != 8 * side or sizes[2] != len(data):
        raise FormatError(f"{name}/c/0 does not hold {side} coordinates, as the image has")


def fields_of(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields of a store's records."""
    return schema.FIELDS if attributes["format_version"] > 1 else schema.FIELDS_1


def wrong_fields(
    values: NDArray[np.float64], fields: Sequence[str], bounds: NDArray[np.int64]
) -> dict[str, NDArray[np.bool_]]:
    """Return what of records cannot be right.

    Parameters
    ----------
    values : (tiles, fields) float64 array
    fields : sequence of str
    bounds : (4, tiles) int64 array
        First and last (exclusive) rows, first and last columns of the tiles.

    Returns
    -------
    dict
        Field -> (tiles,) bool array, True where its value is impossible.
    """
    slow0, slow1, fast0, fast1 = bounds
    pixels = (slow1 - slow0) * (fast1 - fast0)
    column = {name: values[:, index] for index, name in enumerate(fields)}

    def whole(name: str, low: Any, high: Any) -> NDArray[np.bool_]:
        value = column[name]
        return np.asarray((value >= low) & (value <= high) & (value == np.floor(value)))

    none = (column["max_slow"] == -1) & (column["max_fast"] == -1)
    right = {
        "done": column["done"] == 1,
        "crc32c": whole("crc32c", 0, 2**32 - 1),
        "n_evaluated": whole("n_evaluated", 0, pixels),
        "n_masked": whole("n_masked", 0, pixels - np.nan_to_num(column["n_evaluated"])),
        "max": column["max"] >= 0,
        "max_slow": none | whole("max_slow", slow0, slow1 - 1),
        "max_fast": none | whole("max_fast", fast0, fast1 - 1),
        "outside": whole("outside", 0, 2**53),
        "seconds": (column["seconds"] >= 0) & np.isfinite(column["seconds"]),
    }
    if "bytes" in column:
        right["bytes"] = whole("bytes", 1, 2**53)
    return {name: ~np.asarray(good) for name, good in right.items()}


def bounds_of_row(grid: TileGrid, row: int) -> NDArray[np.int64]:
    """Return the bounds of a row of tiles of any panel, (4, tiles_fast)."""
    fast0 = np.arange(grid.counts[1], dtype=np.int64) * grid.tile[1]
    fast1 = np.minimum(fast0 + grid.tile[1], grid.shape[1])
    slow0 = np.full_like(fast0, row * grid.tile[0])
    slow1 = np.minimum(slow0 + grid.tile[0], grid.shape[0])
    return np.stack([slow0, slow1, fast0, fast1])
