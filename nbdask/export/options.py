"""Options of an exported file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

from nbdask.errors import InputError
from nbdask.export.sensor import parse_sensor

DTYPES = ("float32", "int32")
COMPRESSIONS = ("gzip", "bitshuffle")
HEADERS = ("adsc", "c")


class Choices(TypedDict, total=False):
    """The fields of :class:`Options` as keywords."""

    scale: float | None
    adc: float | None
    dtype: str | None
    seed: int | None
    sensor: str | None
    compression: str | None
    header: str | None
    images: str | None
    shots_per_file: int | None


@dataclass(frozen=True, slots=True)
class Options:
    """Choices; None leaves one to the format.

    Parameters
    ----------
    scale, adc : float or None
        Pixels are multiplied by ``scale``, then ``adc`` is added.  Defaults: for ``smv`` the
        greatest pixel of the whole image becomes 55000 and 40 is added; for ``pgm`` five standard
        deviations become 250; else 1 and 0 (``smv-noise``: 40).  Always 1 and 0 where pixels are
        counts already (a store with photon noise or in detector units).
    dtype : str or None
        ``"float32"`` or ``"int32"``, for ``nxmx``, ``cxi`` and ``tiff``.  Default: int32 where the
        store holds whole numbers only and they stay whole, such as counts; else float32.
    seed : int or None
        Seed of ``smv-noise``, nanoBragg's own noise; None: from the clock.
    sensor : str or None
        Material and thickness of the sensor, such as ``"Si:0.32mm"``, for files that name it.
        Default: the simulated one, of silicon; without a depth 1 um of it.
    compression : str or None
        ``"gzip"`` (default), which every HDF5 reads, or ``"bitshuffle"`` (LZ4), for ``nxmx`` and
        ``cxi``.
    header : str or None
        Of ``smv``: ``"adsc"`` (default), which DIALS reads rightly, or ``"c"``, byte for byte that
        of nanoBragg C.
    images : str or None
        Of ``expt``: the file that holds its images, or the pattern of their names.
    shots_per_file : int or None
        Most images of a file of pixels, for ``nxmx`` and ``cxi``; None: 1000.

    Raises
    ------
    InputError
        A number that is not finite, or another kind of pixels.
    """

    scale: float | None = None
    adc: float | None = None
    dtype: str | None = None
    seed: int | None = None
    sensor: str | None = None
    compression: str | None = None
    header: str | None = None
    images: str | None = None
    shots_per_file: int | None = None

    def __post_init__(self) -> None:
        """Check every choice."""
        for name in ("scale", "adc"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise InputError(f"--{name} {value}: must be a finite number")
        for name, allowed in (
            ("dtype", DTYPES), ("compression", COMPRESSIONS), ("header", HEADERS)
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise InputError(f"--{name} {value}: must be {' or '.join(allowed)}")
        per_file = self.shots_per_file
        if per_file is not None and not (isinstance(per_file, int) and per_file > 0):
            raise InputError(f"--shots-per-file {per_file}: must be a whole number above 0")
        if self.sensor is not None:
            parse_sensor(self.sensor)

    @property
    def factor(self) -> float:
        """The scale of formats that have no automatic one."""
        return 1.0 if self.scale is None else self.scale

    @property
    def offset(self) -> float:
        """The offset of formats that have none unless told."""
        return 0.0 if self.adc is None else self.adc
