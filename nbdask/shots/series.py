"""A series of images: what they have in common, and what varies from shot to shot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbdask.counter import check_seed
from nbdask.errors import FieldError
from nbdask.experiment import Experiment, checks
from nbdask.shots.apply import with_values
from nbdask.shots.distributions import Distribution, Steps
from nbdask.shots.effects import check_effects
from nbdask.shots.frame import table_of_frame
from nbdask.shots.orientations import Grid, Orientations
from nbdask.shots.spectra import MeasuredSpectra, SaseSpectra
from nbdask.shots.tables import Table
from nbdask.shots.variation import MOST_SHOTS, Columns, Variation

#: Shots among which :meth:`Series.check` looks for the least and the greatest value of a field.
_LOOKED_AT = 100_000
#: Shots whose values are drawn at once.
_BLOCK = 64
#: Variations by the name of their dict form.
KINDS: dict[str, type[Variation]] = {
    cls.kind: cls
    for cls in (Distribution, Grid, MeasuredSpectra, Orientations, SaseSpectra, Steps, Table)
}


@dataclass(frozen=True, slots=True)
class Series:
    """Many images of one experiment, of which some fields vary from shot to shot.

    A shot depends on experiment, variations, seed and its own number alone, not on how many shots
    there are nor on who asks.  The object is immutable and can be pickled; its size is that of its
    tables.

    Parameters
    ----------
    experiment : Experiment
        What is common.
    n_shots : int
        0: as many as the shortest table has rows.
    variations : tuple of Variation
        What varies; no field twice.
    seed : int
        Of all random numbers, 0 to 2**64 - 1.
    shots : mapping, pandas.DataFrame or xarray.Dataset, optional
        One more variation: a row of values for each shot.  A column is a dotted field, in SI, or
        in the unit that its name has in brackets (``"crystal.cell.a [A]"``) or an attribute
        ``units`` tells.

    Raises
    ------
    FieldError
        Two variations of one field, a field that may not vary or has no effect, more shots than
        rows.
    """

    experiment: Experiment
    n_shots: int = 0
    variations: tuple[Variation, ...] = ()
    seed: int = 0
    shots: InitVar[object] = None
    # The last block of values that was drawn: (its number, columns).
    _drawn: list[tuple[int, Columns]] = field(
        init=False, repr=False, compare=False, default_factory=list
    )

    def __post_init__(self, shots: object) -> None:
        """Check the number of shots, the seed, and that no field varies twice."""
        if not isinstance(self.experiment, Experiment):
            raise FieldError("experiment", self.experiment, "an Experiment")
        if not isinstance(self.variations, Iterable):
            raise FieldError("variations", self.variations, "a sequence of variations")
        variations = tuple(self.variations)
        if shots is not None:
            variations += (table_of_frame(shots),)
        for variation in variations:
            if not isinstance(variation, Variation):
                raise FieldError("variations", variation, "a sequence of variations")
        rows = [variation.rows for variation in variations if variation.rows is not None]
        if rows and self.n_shots == 0:
            checks.assign(self, n_shots=min(rows))
        checks.assign(
            self,
            n_shots=checks.integer("n_shots", self.n_shots, low=1, high=MOST_SHOTS),
            seed=check_seed(self.seed),
            variations=variations,
        )
        names = [name for variation in self.variations for name in variation.names]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise FieldError("variations", f"{twice[0]} twice", "of fields that all differ")
        if rows and min(rows) < self.n_shots:
            given = f"{self.n_shots} with a table of {min(rows)} rows"
            raise FieldError("n_shots", given, "at most the number of rows")
        check_effects(self.experiment, names)

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that vary, in the order of :meth:`values`."""
        return tuple(name for variation in self.variations for name in variation.names)

    def shot(self, number: int) -> Experiment:
        """Return the experiment of one shot.

        Parameters
        ----------
        number : int
            From 0.

        Raises
        ------
        FieldError
            A number that is none of a shot, or values that cannot be simulated; it names the shot.
        """
        number = checks.integer("shot", number, low=0, high=self.n_shots - 1)
        try:
            shot = with_values(self.experiment, self._row(number))
            for variation in self.variations:
                shot = variation.change(shot, self.seed, number)
            return shot
        except FieldError as error:
            raise FieldError(
                f"{error.field} of shot {number}", error.given, error.allowed
            ) from None

    def _row(self, number: int) -> dict[str, float]:
        """Return the values of one shot; drawing one takes nearly as long as drawing a block."""
        block, place = divmod(number, _BLOCK)
        drawn = self._drawn[0] if self._drawn else None
        if drawn is None or drawn[0] != block:
            stop = min((block + 1) * _BLOCK, self.n_shots)
            drawn = (block, self.values(block * _BLOCK, stop))
            self._drawn[:] = [drawn]
        return {name: float(column[place]) for name, column in drawn[1].items()}

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without the values that were drawn."""
        return (type(self), (self.experiment, self.n_shots, self.variations, self.seed))

    def values(self, start: int = 0, stop: int | None = None) -> Columns:
        """Return what varies, of the shots from ``start`` to before ``stop``.

        Returns
        -------
        dict of str to (stop - start,) float64 array
            Dotted field -> values [SI], in the order of ``names``.
        """
        stop = self.n_shots if stop is None else stop
        if not 0 <= start <= stop <= self.n_shots:
            raise FieldError("shots", f"{start} to {stop}", f"a range within 0 to {self.n_shots}")
        shots = np.arange(start, stop, dtype=np.int64)
        columns: Columns = {}
        for variation in self.variations:
            columns.update(variation.values(self.seed, shots))
        return columns

    def check(self) -> None:
        """Refuse a series whose shots cannot be simulated, as far as a look at few shots tells.

        Looked at: the first and the last shot, and those where a field is least or greatest among
        the first hundred thousand.

        Raises
        ------
        FieldError
            Names shot and field.
        """
        extremes = {0, self.n_shots - 1}
        for column in self.values(0, min(self.n_shots, _LOOKED_AT)).values():
            extremes |= {int(column.argmin()), int(column.argmax())}
        for number in sorted(extremes):
            self.shot(number)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; large tables are named by checksum, see :meth:`tables`."""
        return {
            "experiment": self.experiment.to_dict(),
            "n_shots": self.n_shots,
            "seed": self.seed,
            "variations": [variation.to_dict() for variation in self.variations],
        }

    def tables(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays that :meth:`from_dict` needs beside the dict form.

        Returns
        -------
        dict of str to 2-d float64 array
            SHA-256 -> (columns, rows) [SI].
        """
        return {key: array for item in self.variations for key, array in item.tables().items()}

    @classmethod
    def from_dict(
        cls, data: Mapping[str, Any], tables: Mapping[str, NDArray[np.float64]] | None = None
    ) -> Series:
        """Build from the dict form, and the arrays of :meth:`tables` where there were any.

        Raises
        ------
        FieldError
            A part that is missing or unknown, or a value that its field refuses.
        """
        for name in ("experiment", "n_shots", "seed", "variations"):
            if not isinstance(data, Mapping) or name not in data:
                raise FieldError(name, "nothing", "given")
        return cls(
            Experiment.from_dict(data["experiment"]),
            data["n_shots"],
            _variations(data["variations"], tables or {}),
            data["seed"],
        )

    def fingerprint(self) -> str:
        """Return a SHA-256 of what determines all pixels: equal fingerprints, equal pixels.

        Paths of files do not count where their content does.
        """
        data = self.to_dict() | {"experiment": self.experiment.fingerprint()}
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _variations(
    given: Sequence[Mapping[str, Any]], tables: Mapping[str, NDArray[np.float64]]
) -> tuple[Variation, ...]:
    """Build variations from their dict forms."""
    found = []
    if not isinstance(given, Sequence):
        raise FieldError("variations", given, "a list")
    for data in given:
        kind = data.get("kind") if isinstance(data, Mapping) else None
        if kind not in KINDS:
            raise FieldError("variations.kind", kind, "one of " + ", ".join(KINDS))
        try:
            found.append(KINDS[kind].from_dict(data, tables))
        except KeyError as error:
            raise FieldError(f"variations.{error.args[0]}", "nothing", "given") from None
    return tuple(found)
