"""Whether a block of two images is equal in every bit: band by band, in little memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nbdask.parity.measures import Measures, Sums
from nbdask.plan.tiles import Tile

#: Bytes of a band of pixels, and of a piece of a file, that are read at a time.
_BAND_BYTES, _PIECE_BYTES = 4 << 20, 1 << 20
#: Rows of which a band is a multiple, so that chunks of stores are not decoded twice; and rows, or
#: pixels of a list, that are summed at a time, few enough to stay in the processor's cache.
_ROWS, _SLICE = 512, 32

Image = NDArray[np.float32]
Read = Callable[[Tile], Image]


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two files are there and hold the same bytes."""
    try:
        with open(one, "rb", buffering=0) as a, open(other, "rb", buffering=0) as b:
            if os.fstat(a.fileno()).st_size != os.fstat(b.fileno()).st_size:
                return False
            while piece := a.read(_PIECE_BYTES):
                if piece != b.read(_PIECE_BYTES):
                    return False
    except OSError:
        return False
    return True


def same_bits(image: Read, reference: Read | None, block: Tile) -> Measures | None:
    """Compare a block of two images, most of which are equal where they are expected to be.

    Parameters
    ----------
    image, reference : callable
        Give the pixels of a part; they are asked for bands from the first row to the last.
        ``reference`` may be None where it is known to hold the same as ``image``.
    block : Tile

    Returns
    -------
    Measures or None
        None as soon as a bit differs: the block is then to be measured as a whole.  Peaks are not
        looked for, as equal images have the same.
    """
    step = max(1, _BAND_BYTES // (4 * block.shape[1] * _ROWS)) * _ROWS
    found, top, pixels, nan, infinite = Sums(), 0.0, 0, 0, 0
    for start in range(block.slow0, block.slow1, step):
        band = block._replace(slow0=start, slow1=min(start + step, block.slow1))
        ours = image(band)
        if reference is not None and not np.array_equal(_bits(ours), _bits(reference(band))):
            return None
        finite = ours[np.isfinite(ours)] if not np.isfinite(ours.sum()) else ours
        count = _SLICE if finite.ndim > 1 else _SLICE * block.shape[1]
        for row in range(0, len(finite), count):
            found += _sums(finite[row : row + count])
        top = max(top, float(finite.max(initial=0.0)))
        pixels += ours.size
        if finite.size < ours.size:
            nan += int(np.isnan(ours).sum())
            infinite += int(np.isinf(ours).sum())
    return Measures(
        pixels=pixels,
        max_rel_at=(block.slow0, block.fast0),
        max_a=top,
        max_b=top,
        nan_a=nan,
        nan_b=nan,
        inf_a=infinite,
        inf_b=infinite,
        sums=found,
    )


def _bits(pixels: Image) -> NDArray[np.uint32]:
    return np.ascontiguousarray(pixels, np.float32).view(np.uint32)


def _sums(pixels: Image) -> Sums:
    """Return mean and squares of finite pixels, which are those of both images."""
    if pixels.size == 0:
        return Sums()
    mean = float(pixels.mean(dtype=np.float64))
    away = np.subtract(pixels, mean, dtype=np.float64)
    # Not a dot product: its library would start threads of its own.
    square = float(np.square(away, out=away).sum())
    return Sums(pixels.size, mean, mean, square, square, square)
