"""What varies from shot to shot of a series, in its store: coordinates, and tables of values."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from nbdask.shots import Series
from nbdask.store import schema
from nbdask.store.place import Place
from nbdask.store.provenance import SERIES

#: Group of the columns that vary, and group of the tables that a series draws from.
VALUES, TABLES = f"{schema.SHOTS}/values", f"{schema.SHOTS}/tables"
#: Shots whose values are made, written and compared at a time.
_BLOCK = 1 << 14


def create_shots(root: zarr.Group, series: Series, codec: Any) -> list[str]:
    """Write number and values of all shots, and the tables of a series; return what was made.

    Parameters
    ----------
    root : zarr.Group
    series : Series
    codec : codec
        Of all arrays.

    Returns
    -------
    list of str
        Paths of groups and arrays.
    """
    for group in (schema.SHOTS, VALUES, TABLES):
        root.create_group(group)
    arrays = {}
    for name in (schema.SHOT, *series.names):
        arrays[name] = root.create_array(
            _path(name),
            shape=(series.n_shots,),
            chunks=(min(series.n_shots, _BLOCK),),
            dtype="int64" if name == schema.SHOT else "float64",
            compressors=codec,
            dimension_names=(schema.SHOT,),
            attributes={"long_name": "number of the shot" if name == schema.SHOT else name},
        )
    for start, block in _blocks(series):
        for name, column in block.items():
            arrays[name][start : start + len(column)] = column
    tables = series.tables()
    for name, table in tables.items():
        root.create_array(
            f"{TABLES}/{name}",
            data=table,
            chunks=(1, min(table.shape[1], _BLOCK)),
            compressors=codec,
            dimension_names=("column", "row"),
        )
    made = [*map(_path, arrays), *(f"{TABLES}/{name}" for name in tables)]
    return [schema.SHOTS, VALUES, TABLES, *made]


def _path(name: str) -> str:
    """Return where the values of a name are in a store."""
    return name if name == schema.SHOT else f"{VALUES}/{name}"


def _blocks(series: Series) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Yield first shot and values of one block of shots after another, with their numbers."""
    for start in range(0, series.n_shots, _BLOCK):
        stop = min(start + _BLOCK, series.n_shots)
        numbers = np.arange(start, stop, dtype=np.int64)
        yield start, {schema.SHOT: numbers, **series.values(start, stop)}


def series_of(place: Place, attributes: Mapping[str, Any]) -> Series | None:
    """Return the series of a store's root; None: the store is none of a series.

    Raises
    ------
    Exception
        Of many kinds: a value that is refused, wrong types, a file that is damaged.
    """
    if SERIES not in attributes:
        return None
    data = {**attributes[SERIES], "experiment": attributes["experiment"]}
    return Series.from_dict(data, read_tables(place))


def read_tables(place: Place) -> dict[str, NDArray[Any]]:
    """Return the tables of a series that its attributes do not hold.

    Raises
    ------
    Exception
        Of many kinds: a file is damaged.
    """
    group = zarr.open_group(place.zarr_store(read_only=True), path=TABLES, mode="r", zarr_format=3)
    return {name: np.asarray(array[...]) for name, array in group.arrays()}


def altered_shots(place: Place, series: Series, mendable: Container[str] = ()) -> Iterator[str]:
    """Yield which coordinates are not those of the series' shots, but for some arrays."""
    store = place.zarr_store(read_only=True)
    opened: dict[str, Any] = {}
    wrong: list[str] = []
    for start, block in _blocks(series):
        for name, column in block.items():
            if name in wrong or _path(name) in mendable:
                continue
            try:
                if name not in opened:
                    opened[name] = zarr.open_array(store, path=_path(name), mode="r", zarr_format=3)
                same = np.array_equal(opened[name][start : start + len(column)], column)
            except Exception:  # whatever zarr and its codecs raise for a damaged file
                same = False
            if not same:
                wrong.append(name)
    for name in wrong:
        yield f"the values of {name} are not those of the series' shots"
