"""Truth as tables for xarray and pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray

from nbdask.errors import FieldError, InputError
from nbdask.truth.columns import CRYSTAL, REFLECTION, SHOT, SIDES

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is true of images.

    Attributes
    ----------
    shots : xarray.Dataset
        A row for each shot; where there are reflections, also the first one and their number.
    reflections : xarray.Dataset or None
        A row for each reflection, shot by shot.
    """

    shots: xarray.Dataset
    reflections: xarray.Dataset | None = None

    def of_shot(self, number: int) -> xarray.Dataset:
        """Return the reflections of one shot.

        Raises
        ------
        InputError
            There are no reflections, or no such shot.
        """
        found = self.chosen([number]).reflections
        if found is None:
            raise _none()
        return found

    def chosen(self, numbers: Sequence[int]) -> Truth:
        """Return that of some shots alone, in the order given.

        Raises
        ------
        FieldError
            No such shot.
        """
        held = self.shots[SHOT].values
        rows = []
        for number in numbers:
            (places,) = np.nonzero(held == number)
            if not len(places):
                raise FieldError("shots", number, f"from {held.min()} to {held.max()}")
            rows.append(int(places[0]))
        shots = self.shots.isel({SHOT: rows})
        if self.reflections is None:
            return Truth(shots)
        first, count = (shots[name].values for name in ("first_reflection", "n_reflections"))
        if len(rows) == 1:
            taken: slice | np.ndarray = slice(int(first[0]), int(first[0] + count[0]))
        else:
            parts = [np.arange(f, f + n) for f, n in zip(first, count, strict=True)]
            taken = np.concatenate([np.zeros(0, np.int64), *parts])
        again = np.cumsum(count) - count
        shots = shots.assign(first_reflection=shots["first_reflection"].copy(data=again))
        return Truth(shots, self.reflections.isel({REFLECTION: taken}))

    def to_pandas(self, *, reflections: bool = False) -> pandas.DataFrame:
        """Return a flat table: a row for each shot and crystal, or for each reflection.

        Columns of several numbers become several: ``cell_0``, ``reciprocal_matrix_0_1``.
        Reflections get a column with the number of their shot.

        Parameters
        ----------
        reflections : bool
            Of reflections.

        Raises
        ------
        InputError
            There are no reflections.
        """
        if not reflections:
            return flat(self.shots).to_dataframe().reset_index()
        if self.reflections is None:
            raise _none()
        table = flat(self.reflections).to_dataframe()
        numbers = np.repeat(self.shots[SHOT].values, self.shots["n_reflections"].values)
        table.insert(0, SHOT, numbers)
        return table

    def _repr_html_(self) -> str:
        """Show the tables in a notebook."""
        text: str = self.shots._repr_html_()
        return text if self.reflections is None else text + self.reflections._repr_html_()


def _none() -> InputError:
    return InputError("truth has no reflections: must be asked for with reflections=True")


def flat(data: xarray.Dataset) -> xarray.Dataset:
    """Return a table whose columns of several numbers are several columns."""
    found: dict[str, xarray.DataArray] = {}
    for name, values in data.data_vars.items():
        inner = [str(dim) for dim in values.dims if dim in SIDES]
        sizes = [values.sizes[dim] for dim in inner]
        for place in np.ndindex(*sizes):
            part = values.isel(dict(zip(inner, place, strict=True)))
            found["_".join([str(name), *map(str, place)])] = part
    coords = {name: data[name] for name in (SHOT, CRYSTAL) if name in data.dims}
    return xarray.Dataset(found, coords)
