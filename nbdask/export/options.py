"""Options of an exported file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

from nbdask.errors import InputError

DTYPES = ("float32", "int32")


class Choices(TypedDict, total=False):
    """The fields of :class:`Options` as keywords."""

    scale: float | None
    adc: float | None
    dtype: str | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class Options:
    """Choices; None leaves one to the format.

    Parameters
    ----------
    scale : float or None
        Factor of the pixels.
    adc : float or None
        Offset that is added after scaling.
    dtype : str or None
        ``"float32"`` or ``"int32"``.
    seed : int or None
        Seed of nanoBragg's own noise.

    Raises
    ------
    InputError
        A number that is not finite, or another kind of pixels.
    """

    scale: float | None = None
    adc: float | None = None
    dtype: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check every choice."""
        for name in ("scale", "adc"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise InputError(f"--{name} {value}: must be a finite number")
        if self.dtype is not None and self.dtype not in DTYPES:
            raise InputError(f"--dtype {self.dtype}: must be {' or '.join(DTYPES)}")

    @property
    def factor(self) -> float:
        """The scale of formats that have no automatic one."""
        return 1.0 if self.scale is None else self.scale

    @property
    def offset(self) -> float:
        """The offset of formats that have none unless told."""
        return 0.0 if self.adc is None else self.adc
