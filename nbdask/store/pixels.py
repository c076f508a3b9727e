"""The image of a store as float32, whatever its pixels are stored as; of a series also one shot.

Derivatives are stored, and read, as float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError, StoreError

#: Types of stored pixels, and what stands where nothing is written yet: no pixel has that value.
FILLS: dict[str, float] = {"float32": float("nan"), "int32": -(2**31), "uint16": 2**16 - 1}
#: How pixels are compressed, both at their lowest level, bits shuffled.  Noise in the last digits
#: of a simulated image leaves little to compress, so speed decides there: over 1 GB/s per core, and
#: whole tiles of zeros shrink to nothing.  Counts, most of them 0, are a third as large with zstd.
COMPRESSIONS = ("lz4", "zstd")


class Kept(NamedTuple):
    """How pixels are kept.

    Attributes
    ----------
    dtype : str
        A name of :data:`FILLS`.
    compression : str
        A name of :data:`COMPRESSIONS`.
    """

    dtype: str = "float32"
    compression: str = "lz4"

    @classmethod
    def of(
        cls, dtype: str | None, compression: str | None, *, counts: bool, whole: bool = False
    ) -> Kept:
        """Return what was asked for, or what suits an image.

        Parameters
        ----------
        dtype, compression : str, optional
        counts : bool
            Whether photons are counted, as noise does.
        whole : bool
            Whether all pixels are whole numbers.

        Raises
        ------
        FieldError
            No such type, no such compression, or a type that holds whole numbers only.
        """
        dtype = dtype or "float32"
        compression = compression or ("zstd" if counts else "lz4")
        if dtype not in FILLS:
            raise FieldError("dtype", dtype, " or ".join(FILLS))
        if dtype != "float32" and not whole:
            allowed = (
                "float32: these pixels are no whole numbers; photon noise or --integers makes them"
            )
            raise FieldError("dtype", dtype, allowed)
        if compression not in COMPRESSIONS:
            raise FieldError("compression", compression, " or ".join(COMPRESSIONS))
        return cls(dtype, compression)


def as_stored(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return pixels in the type of a store's image.

    Raises
    ------
    StoreError
        A value that the type does not hold.
    """
    if dtype in (np.float32, np.float64):
        return pixels
    limits, fill = np.iinfo(dtype), FILLS[dtype.name]
    low = limits.min + (fill == limits.min)
    high = limits.max - (fill == limits.max)
    least, most = float(pixels.min()), float(pixels.max())
    # Written so that NaN fails too.  2**31 - 1 is no float32: below 2**31 means up to it.
    if not (least >= low and most < high + 1.0):
        raise StoreError(
            f"pixels from {least:.9g} to {most:.9g} do not fit {dtype.name}, which holds {low} to"
            f" {high}: give --dtype float32, or --saturation"
        )
    values = pixels.astype(dtype)
    if not np.array_equal(values, pixels):
        raise StoreError(
            f"pixels are no whole numbers, which {dtype.name} holds: give --dtype float32, or"
            " round with --integers"
        )
    return values


class StoredImage:
    """The image of a store, read as float32 when it is sliced; NaN where nothing is written yet.

    Parameters
    ----------
    array : zarr.Array
        ``image``, or what is beside it.
    shot : int, optional
        Only this one of a series, without its dimension.
    """

    def __init__(self, array: Any, shot: int | None = None) -> None:
        self.stored, self._shot = array, shot
        self.prefix = () if shot is None else (shot,)
        names = tuple(getattr(array.metadata, "dimension_names", None) or ())
        #: Place of the dimension that is left out.
        self._at = names.index("shot") if shot is not None and "shot" in names else 0
        self.shape: tuple[int, ...] = self._without(array.shape)
        self.ndim = len(self.shape)
        self.chunks: tuple[int, ...] = self._without(array.chunks)
        self.shards = None if array.shards is None else self._without(array.shards)
        self.dimension_names: tuple[str | None, ...] = self._without(names)
        wide = array.dtype == np.float64
        self.dtype: np.dtype[Any] = np.dtype(np.float64 if wide else np.float32)
        self.attrs, self.basename, self.metadata = array.attrs, array.basename, array.metadata

    def __getitem__(self, part: Any) -> NDArray[Any]:
        """Return pixels."""
        if self.prefix:
            rest = part if isinstance(part, tuple) else (part,)
            rest = () if rest == (Ellipsis,) else rest
            lead = (*rest, *[slice(None)] * self._at)[: self._at]
            part = (*lead, *self.prefix, *rest[self._at :])
        values = np.asarray(self.stored[part])
        if values.dtype == self.dtype:
            return values
        pixels = values.astype(np.float32)
        if values.dtype.name in FILLS:
            pixels[values == FILLS[values.dtype.name]] = np.nan
        return pixels

    def _without(self, sides: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return sides of the array without that of the shots."""
        return (*sides[: self._at], *sides[self._at + len(self.prefix) :])

    def at(self, shot: int) -> StoredImage:
        """Return one shot of a series."""
        return StoredImage(self.stored, shot)
