"""Photons -> the numbers that files hold, of the same shape, a small block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

#: Pixels whose float64 copies are in memory at once.
_BLOCK = 1 << 18
INT32_MAX = 2**31 - 1
UINT16_MAX = 65535
GREY_MAX = 255
Whole = TypeVar("Whole", np.uint8, np.uint16, np.int32)


class Clipped(NamedTuple):
    """How many pixels did not fit.

    Attributes
    ----------
    above, below : int
        Set to the greatest and to the least value.
    """

    above: int = 0
    below: int = 0

    def plus(self, other: Clipped) -> Clipped:
        """Return the sum of both."""
        return Clipped(self.above + other.above, self.below + other.below)

    def describe(self, greatest: int, least: int = 0) -> list[str]:
        """Return what should be reported, one phrase each."""
        said = []
        if self.above:
            said.append(f"{_pixels(self.above)} above {greatest} set to {greatest}")
        if self.below:
            said.append(f"{_pixels(self.below)} below {least} set to {least}")
        return said


def _pixels(count: int) -> str:
    return f"{count} pixel{'s' * (count != 1)}"


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))


def counts16(
    pixels: NDArray[np.float32], scale: float, adc: float
) -> tuple[NDArray[np.uint16], Clipped]:
    """Return the counts of nanoBragg's integer image, of the pixels' shape; NaN becomes 0.

    ``floor(float32(clip(pixel * scale + adc, 0, 65535) + 0.5))``, in double precision up to the
    rounding to float32 that is part of C's result.
    """

    def rounded(block: NDArray[np.float64]) -> NDArray[np.float32]:
        half: NDArray[np.float32] = (block + 0.5).astype(np.float32)
        return np.floor(half)

    return _counts(pixels, scale, adc, UINT16_MAX, np.uint16, after=rounded)


def noise16(photons: NDArray[np.float32], adc: float) -> tuple[NDArray[np.uint16], Clipped]:
    """Return the counts of nanoBragg's noise image: photons + adc, clipped and truncated.

    Values below 0, and NaN, become 0 (C leaves it undefined).
    """
    return _counts(photons, 1.0, adc, UINT16_MAX, np.uint16)


def grey8(
    pixels: NDArray[np.float32], scale: float, adc: float = 0.0
) -> tuple[NDArray[np.uint8], Clipped]:
    """Return the grey levels of nanoBragg's greymap: min(255, trunc(pixel * scale + adc)).

    Values below 0, and NaN, become 0.  nanoBragg adds nothing; 0.5 gives the nearest whole numbers.
    """
    return _counts(pixels, scale, adc, GREY_MAX, np.uint8)


def counts32(
    pixels: NDArray[np.float32], scale: float, adc: float, greatest: int = INT32_MAX
) -> tuple[NDArray[np.int32], Clipped]:
    """Return pixels * scale + adc, rounded to the nearest whole number (half to even), as int32.

    Values above ``greatest`` are set to it, those below 0 to 0.  NaN becomes 0: mark it afterwards.
    """
    return _counts(pixels, scale, adc, greatest, np.int32, before=np.rint)


def _counts(
    pixels: NDArray[np.float32],
    scale: float,
    adc: float,
    greatest: int,
    kind: type[Whole],
    before: Callable[..., NDArray[np.floating]] | None = None,
    after: Callable[..., NDArray[np.floating]] | None = None,
) -> tuple[NDArray[Whole], Clipped]:
    """Return whole numbers, rounded before or after they are clipped, else cut off."""
    flat = pixels.reshape(-1)
    result = np.empty(flat.shape, kind)
    clipped = Clipped()
    for part in _blocks(flat.size):
        block = _transformed(flat[part], scale, adc)
        if before is not None:
            before(block, out=block)
        clipped = clipped.plus(_clip(block, greatest))
        # Through int32, which processors convert to fastest.
        result[part] = (block if after is None else after(block)).astype(np.int32)
    return result.reshape(pixels.shape), clipped


def _transformed(pixels: NDArray[np.float32], scale: float, adc: float) -> NDArray[np.float64]:
    """Return pixels * scale + adc in double precision."""
    # Pixels beyond float32 are counted later.
    with np.errstate(over="ignore", invalid="ignore"):
        block = pixels.astype(np.float64)
        block *= scale
        block += adc
    return block


def _clip(block: NDArray[np.float64], greatest: float) -> Clipped:
    """Clip to 0 and ``greatest`` in place, with 0 for NaN; return how many were clipped."""
    if block.size and block.min() >= 0.0 and block.max() <= greatest:
        return Clipped()  # as nearly always; NaN is not >= 0
    above, below = int((block > greatest).sum()), int((block < 0.0).sum())
    np.nan_to_num(block, copy=False, nan=0.0, posinf=np.inf, neginf=-np.inf)
    np.clip(block, 0.0, greatest, out=block)
    return Clipped(above, below)


def scaled(pixels: NDArray[np.float32], scale: float, adc: float) -> NDArray[np.float32]:
    """Return pixels * scale + adc in single precision; unchanged for 1 and 0."""
    if scale == 1.0 and adc == 0.0:
        return pixels
    flat = pixels.reshape(-1)
    result = np.empty_like(flat)
    for part in _blocks(flat.size):
        with np.errstate(over="ignore", invalid="ignore"):
            result[part] = flat[part].astype(np.float64) * scale + adc
    return result.reshape(pixels.shape)
