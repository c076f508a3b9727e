"""Whether metadata and records are those of the format, before anything relies on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import StoreError
from nbdask.plan.planes import GRADIENT, PLANES
from nbdask.plan.tiles import TileGrid
from nbdask.statistics import Statistics
from nbdask.store import schema
from nbdask.store.ledger import record_chunks
from nbdask.store.pixels import FILLS
from nbdask.store.place import Place


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
    "series": _TABLE,
    "noise": _TABLE,
    "cutoff_check": _TABLE,
}
_DERIVED = {"version": _COUNT, "pipeline": _TABLE, "source": _TABLE}
_SOURCE = {"path": _TEXT, "fingerprint": _TEXT, "pixels_sha256": _TEXT}
_FILE = {"role": _TEXT, "path": _TEXT, "sha256": _TEXT}
_APART = frozenset({"max_panel", "max_shot"})
_WHOLE = _APART | {"max_slow", "max_fast", "pixels"}


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
    if attributes["format_version"] > schema.NEWEST_VERSION:
        raise StoreError(
            f"has format version {attributes['format_version']}, this nbdask reads up to"
            f" {schema.NEWEST_VERSION}: install a newer nbdask"
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
        most = 4 if "series" in attributes else 3
        counts = tuple(range(most - 1, most + 1)) if name == "shape" else (2,)
        if not (
            isinstance(sides, list) and len(sides) in counts and all(_is(s, _COUNT) for s in sides)
        ):
            text = f"attribute plan.{name} of its root is {_short(sides)}"
            words = " or ".join({2: "two", 3: "three", 4: "four"}[count] for count in counts)
            raise FormatError(f"{text}: must be {words} whole numbers of at least 1")
    planes = plan.get("planes", [])
    if not isinstance(planes, list) or any(name not in PLANES for name in planes):
        text = f"attribute plan.planes of its root is {_short(planes)}"
        raise FormatError(f"{text}: must be a list of {' and '.join(PLANES)}")
    if "gradient" in plan and not _are_slopes(plan["gradient"]):
        text = f"attribute plan.gradient of its root is {_short(plan['gradient'])}"
        raise FormatError(f"{text}: must be a list of parameters with name, unit and fields")
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


def _are_slopes(found: Any) -> bool:
    """Return whether the entry of derivatives is one."""
    return (
        isinstance(found, list)
        and bool(found)
        and all(
            _is(slope, _TABLE)
            and isinstance(slope.get("name"), str)
            and isinstance(slope.get("unit"), str)
            and isinstance(slope.get("value", 0.0), int | float)
            and _is(slope.get("fields"), _TABLE)
            and bool(slope["fields"])
            and all(isinstance(factor, int | float) for factor in slope["fields"].values())
            for slope in found
        )
    )


def _check_statistics(found: Any) -> None:
    if found is None:
        return
    if not isinstance(found, Mapping) or set(found) | _APART != set(Statistics._fields):
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


def check_arrays(
    place: Place,
    arrays: Mapping[str, Any],
    records: Any,
    attributes: Mapping[str, Any],
) -> None:
    """Check shapes and types of the arrays against the plan, each other, and a file's size.

    Raises
    ------
    FormatError
    """
    plan, image = attributes["plan"], arrays[schema.IMAGE]
    if list(image.shape) != plan["shape"]:
        raise FormatError(f"image has the shape {image.shape}, the plan {plan['shape']}")
    if str(image.dtype) not in FILLS:
        raise FormatError(f"image holds {image.dtype}: must hold {' or '.join(FILLS)}")
    grid = TileGrid.of(image.shape, plan["tile"], series="series" in attributes)
    for name, array in arrays.items():
        if name == GRADIENT:
            _check_slopes(array, grid, len(schema.slopes_of(attributes)))
            continue
        kind = str(image.dtype if name == schema.IMAGE else np.dtype(np.float32))
        same = (array.shape, str(array.dtype), array.chunks, array.shards)
        if same != (image.shape, kind, image.chunks, image.shards):
            raise FormatError(f"{name} has another shape, type or tiles than image")
    tile = image.shards or image.chunks
    if list(tile) != [1] * (len(tile) - 2) + plan["tile"]:
        raise FormatError(f"image has tiles of {tile} pixels, the plan {plan['tile']}")
    fields = len(fields_of(attributes))
    if tuple(image.metadata.dimension_names or ()) != grid.dims:
        raise FormatError(f"image has the dimensions {image.metadata.dimension_names}")
    wanted = (*grid.before, *grid.counts, fields)
    chunks: tuple[int, ...] = (*[1] * (len(wanted) - 1), fields)
    if schema.is_journaled(attributes):
        chunks = record_chunks(wanted[:-1], fields)
    if records.shape != wanted or records.chunks != chunks or records.dtype != np.float64:
        raise FormatError(
            f"tiles has shape {records.shape}, chunks {records.chunks} and type {records.dtype}:"
            f" must be {wanted}, {chunks} and float64"
        )
    for array in (*arrays.values(), records):
        if not isinstance(array.metadata.attributes, Mapping):
            raise FormatError(f"the attributes of {array.basename} are no table")
    for name, side in zip((schema.SLOW, schema.FAST), image.shape[-2:], strict=True):
        _check_side(place, name, side)


def _check_slopes(array: Any, grid: TileGrid, slopes: int) -> None:
    wanted = ((slopes, *grid.image_shape), *schema.slope_chunks(grid, slopes), "float64")
    found = (array.shape, array.chunks, array.shards, str(array.dtype))
    if found != wanted or tuple(array.metadata.dimension_names or ()) != (
        schema.PARAMETER,
        *grid.dims,
    ):
        raise FormatError("gradient has another shape, type or tiles than image and parameters")


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
    if attributes["format_version"] == 1:
        return schema.FIELDS_1
    return schema.fields_with(schema.planes_of(attributes))


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
        "n_evaluated": whole("n_evaluated", 0, pixels),
        "n_masked": whole("n_masked", 0, pixels - np.nan_to_num(column["n_evaluated"])),
        "max": column["max"] >= 0,
        "max_slow": none | whole("max_slow", slow0, slow1 - 1),
        "max_fast": none | whole("max_fast", fast0, fast1 - 1),
        "outside": whole("outside", 0, 2**53),
        "seconds": (column["seconds"] >= 0) & np.isfinite(column["seconds"]),
    }
    for name in column:
        if name.startswith("bytes"):
            right[name] = whole(name, 1, 2**53)
        elif name.startswith("crc32c"):
            right[name] = whole(name, 0, 2**32 - 1)
    return {name: ~np.asarray(good) for name, good in right.items()}


def bounds_of(grid: TileGrid, start: int, stop: int) -> NDArray[np.int64]:
    """Return the bounds of the tiles from ``start`` up to ``stop``, (4, tiles)."""
    row, column = np.divmod(np.arange(start, stop, dtype=np.int64) % grid.per_panel, grid.counts[1])
    slow0, fast0 = row * grid.tile[0], column * grid.tile[1]
    slow1 = np.minimum(slow0 + grid.tile[0], grid.shape[0])
    return np.stack([slow0, slow1, fast0, np.minimum(fast0 + grid.tile[1], grid.shape[1])])
