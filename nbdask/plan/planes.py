"""Further planes of an image: what a user may ask for, and which arrays that gives.

Derivatives of the image are planes as well, all in one array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nbdask.errors import PlanError

#: What may be asked for -> the arrays that it gives, in the order of a store.
PLANES = {"wavelength": ("wavelength",), "hkl": ("h", "k", "l")}
#: The array of derivative planes.
GRADIENT = "gradient"
#: Kernels that compute them.
BACKENDS = ("cpu", "numpy")


class Slope(NamedTuple):
    """What an image is differentiated by, on record.

    Attributes
    ----------
    name : str
    unit : str
    fields : mapping of str to float
        Fields of the experiment, and the factor of each.
    value : float or None
        In the unit; None: not the same for all shots of a series.
    """

    name: str
    unit: str
    fields: Mapping[str, float]
    value: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        own = {} if self.value is None else {"value": self.value}
        return {"name": self.name, "unit": self.unit, "fields": dict(self.fields), **own}


def parse_planes(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the planes that are asked for, in the order of :data:`PLANES`.

    Parameters
    ----------
    value : str, sequence of str or None
        ``"wavelength,hkl"``, ``["hkl"]``; None or nothing: no planes.

    Raises
    ------
    PlanError
        Another word, or one twice.
    """
    words = value.split(",") if isinstance(value, str) else list(value or ())
    asked = [word.strip() if isinstance(word, str) else word for word in words]
    if value == "" or any(word not in PLANES for word in asked):
        raise PlanError(
            f"--planes = {value!r}: must be {' or '.join(PLANES)}, or both: {','.join(PLANES)}"
        )
    if len(set(asked)) < len(asked):
        raise PlanError(f"--planes = {value!r}: must name each once")
    return tuple(name for name in PLANES if name in asked)


def arrays_of(planes: Sequence[str], slopes: object = None) -> tuple[str, ...]:
    """Return the names of the arrays that planes give, and derivatives where there are any."""
    arrays = tuple(array for name, given in PLANES.items() if name in planes for array in given)
    return (*arrays, GRADIENT) if slopes else arrays


def check_backend(planes: Sequence[str], backend: str, gradient: bool = False) -> None:
    """Refuse a kernel that computes no planes, or no derivatives.

    Raises
    ------
    PlanError
    """
    if planes and backend not in BACKENDS:
        raise PlanError(
            f"--planes {','.join(planes)} with --backend {backend}: planes are computed by"
            f" {' and '.join(BACKENDS)}: give --backend {BACKENDS[0]}, or leave --planes out"
        )
    if gradient and backend not in BACKENDS:
        raise PlanError(
            f"--gradient with --backend {backend}: derivatives in a store are computed by"
            f" {' and '.join(BACKENDS)}: give --backend {BACKENDS[0]}, or leave --gradient out"
        )
