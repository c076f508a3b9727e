"""Distributions of a field's values over the shots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment import checks
from nbdask.shots.draw import cut_normal, exponential, share_below, uniforms
from nbdask.shots.names import SEEDS, field_of
from nbdask.shots.variation import Array, Columns, Shots, Variation
from nbdask.units import DEGREES_PER_RADIAN

#: Distribution -> its numbers, as messages show them.
FORMS = {
    "constant": "constant:VALUE",
    "normal": "normal:[MEAN,]SIGMA",
    "lognormal": "lognormal:[MEDIAN,]SIGMA",
    "uniform": "uniform:LOW,HIGH",
    "seed": "seed",
}
_COUNTS = {"constant": 1, "normal": 2, "lognormal": 2, "uniform": 2, "seed": 0}
#: Share of a normal distribution that may lie beyond what can be simulated.
MOST_CUT = 0.01
#: Share that limits of the user's own must leave.
LEAST_LEFT = 1e-6


@dataclass(frozen=True, slots=True)
class Distribution(Variation):
    """Values of a field that are drawn for each shot.

    A value needs one uniform deviate, which depends on seed, field and shot alone.  What a normal
    or lognormal distribution has beyond ``low`` and ``high`` is left out: the rest is drawn with
    the same shape.

    Parameters
    ----------
    fields : tuple of str
        Dotted fields; all get the same value.
    form : str
        ``"constant"``: a value; ``"normal"``: mean and standard deviation; ``"lognormal"``: median,
        and standard deviation of the logarithm; ``"uniform"``: limits; ``"seed"``: a whole number
        below 2**31, without numbers.
    numbers : tuple of float
        [SI]
    low, high : float or None
        Limits [SI], of which the narrower count; None: those of what can be simulated.

    Raises
    ------
    FieldError
        More than a hundredth of the distribution is beyond what can be simulated, or nothing is
        within the limits that are given.
    """

    fields: tuple[str, ...]
    form: str
    numbers: tuple[float, ...] = ()
    low: float | None = None
    high: float | None = None
    kind: ClassVar[str] = "distribution"

    def __post_init__(self) -> None:
        """Check numbers and limits."""
        checks.one_of("variations.form", self.form, tuple(FORMS))
        given: object = self.fields
        fields = tuple(self.fields)
        if not fields or isinstance(given, str):
            raise FieldError("variations.fields", given, "a tuple of one or more dotted fields")
        known = [field_of(name) for name in fields]
        numbers = checks.vector(fields[0], self.numbers, length=_COUNTS[self.form])
        low = max([item.low for item in known] + ([] if self.low is None else [self.low]))
        high = min([item.high for item in known] + ([] if self.high is None else [self.high]))
        checks.assign(
            self,
            fields=fields,
            numbers=numbers,
            low=None if low == -math.inf else checks.number(fields[0], low),
            high=None if high == math.inf else checks.number(fields[0], high),
        )
        self._check()

    def _check(self) -> None:
        name, low, high = self.fields[0], *self._limits()
        if self.form == "seed":
            if not field_of(name).whole:
                raise FieldError(name, "seed", "the distribution of a whole number")
            return
        allowed = f"between {low:g} and {high:g} [{field_of(name).unit}]"
        if self.form in ("constant", "uniform"):
            for number in self.numbers:
                if not low <= number <= high:
                    raise FieldError(name, number, allowed)
            if self.form == "uniform" and not self.numbers[0] <= self.numbers[1]:
                raise FieldError(name, self.numbers, "the lower limit, then the upper one")
            return
        checks.not_negative(f"sigma of {name}", self.numbers[1])
        if self.form == "lognormal" and not self.numbers[0] > 0.0:
            raise FieldError(f"median of {name}", self.numbers[0], "a number above 0")
        known = [field_of(name) for name in self.fields]
        own = max(item.low for item in known), min(item.high for item in known)
        cut = 1.0 - _share_between(self._deviations(*own))
        shown = f"{self.form} {self.numbers[0]:g} +- {self.numbers[1]:g}"
        if cut > MOST_CUT:
            more = "" if self.form == "lognormal" else ", or lognormal"
            allowed = f"between {own[0]:g} and {own[1]:g} [{known[0].unit}]"
            told = f"narrower{more}: {100 * min(cut, 1.0):.3g} % of it is not {allowed}"
            raise FieldError(name, shown, told)
        if _share_between(self._deviations(low, high)) < LEAST_LEFT:
            raise FieldError(name, shown, f"a distribution with values {allowed}")

    def _limits(self) -> tuple[float, float]:
        return (
            -math.inf if self.low is None else self.low,
            math.inf if self.high is None else self.high,
        )

    def _deviations(self, *given: float) -> tuple[float, float]:
        """Return limits in standard deviations from the middle."""
        middle, sigma = self.numbers
        limits = []
        for limit in given:
            if self.form == "lognormal":
                limit = math.log(limit / middle) if limit > 0.0 else -math.inf
            else:
                limit -= middle
            if sigma > 0.0:
                limit /= sigma
            elif limit != 0.0:
                limit = math.copysign(math.inf, limit)
            limits.append(limit)
        return limits[0], limits[1]

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are set."""
        return self.fields

    @property
    def is_random(self) -> bool:
        """Whether the seed of the series is used."""
        return self.form != "constant"

    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the values of some shots."""
        drawn = self._drawn(uniforms(seed, self.fields[0], shots, 1)[:, 0])
        if field_of(self.fields[0]).whole:
            drawn = np.rint(drawn)
        return dict.fromkeys(self.fields, drawn)

    def _drawn(self, deviates: Array) -> Array:
        numbers = self.numbers
        if self.form == "constant":
            return np.full(len(deviates), numbers[0])
        if self.form == "seed":
            return np.floor(deviates * SEEDS)
        if self.form == "uniform":
            return numbers[0] + (numbers[1] - numbers[0]) * deviates
        middle, sigma = numbers
        deviations = cut_normal(deviates, *self._deviations(*self._limits()))
        if self.form == "lognormal":
            return np.clip(middle * exponential(sigma * deviations), *self._limits())
        return np.clip(middle + sigma * deviations, *self._limits())

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form."""
        data: dict[str, Any] = {
            "kind": self.kind,
            "fields": list(self.fields),
            "form": self.form,
            "numbers": list(self.numbers),
        }
        limits = {"low": self.low, "high": self.high}
        return data | {name: limit for name, limit in limits.items() if limit is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> Distribution:
        """Build from the dict form."""
        return cls(
            tuple(data["fields"]),
            data["form"],
            tuple(data["numbers"]),
            data.get("low"),
            data.get("high"),
        )


def _share_between(limits: tuple[float, float]) -> float:
    """Return the share of standard normal deviates between two limits."""
    return share_below(limits[1]) - share_below(limits[0])


@dataclass(frozen=True, slots=True)
class Steps(Variation):
    """An angle that grows evenly, as the start of the images of a rotation.

    Parameters
    ----------
    field : str
    start, width : float
        Of the first shot, and from shot to shot [degrees]; up to ten decimals count, so that shot
        n has the angle that is written ``start + n width``, to the last bit.
    count : int or None
        Shots that there are; None: any number.
    """

    field: str
    start: float
    width: float
    count: int | None = None
    kind: ClassVar[str] = "steps"

    def __post_init__(self) -> None:
        """Check the field's unit and the numbers."""
        if field_of(self.field).unit != "rad":
            raise FieldError("variations.field", self.field, "one of an angle")
        checks.assign(
            self,
            start=checks.number(self.field, self.start),
            width=checks.number(self.field, self.width),
        )
        if self.count is not None:
            checks.assign(self, count=checks.integer("count", self.count, low=1))

    @property
    def names(self) -> tuple[str, ...]:
        """Fields that are set."""
        return (self.field,)

    @property
    def rows(self) -> int | None:
        """Shots that it is known for."""
        return self.count

    def values(self, seed: int, shots: Shots) -> Columns:
        """Return the angles of some shots [rad]."""
        degrees = np.rint((self.start + self.width * shots) * 1e10) / 1e10
        return {self.field: degrees / DEGREES_PER_RADIAN}

    def to_dict(self) -> dict[str, Any]:
        """Return the dict form."""
        data = {"kind": self.kind, "field": self.field, "start": self.start, "width": self.width}
        return data if self.count is None else {**data, "count": self.count}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], tables: Mapping[str, Array]) -> Steps:
        """Build from the dict form."""
        return cls(data["field"], data["start"], data["width"], data.get("count"))
