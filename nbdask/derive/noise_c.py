"""Photon noise as nanoBragg C makes it: one sequence of deviates over the whole image.

Each pixel takes as many numbers of the sequence as it happens to need, so the noise of a pixel
depends on all pixels before it, and an image can only be made in raster order.  The state of the
sequence is small: rows can be passed through one after another in bounded memory.

Deviates are single precision and so are C's intermediate values; where C computes in double
precision and rounds, so does this, and logarithm, exponential and tangent are the system's.  There
is no fused multiplication and addition, as in what plain ``gcc -O3`` makes of C; a C program
compiled with ``-march=native`` rounds some deviates differently, and from there on its whole
sequence is another one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nbdask.derive.compiled import TABLE, Sequence, draw
from nbdask.errors import BackendError, InputError
from nbdask.geometry.lcg import MinimalStandard
from nbdask.native.library import library


def check_library() -> None:
    """Raise an error where there is no compiled library: this noise has no NumPy version.

    Raises
    ------
    BackendError
    """
    try:
        library()
    except BackendError as error:
        raise BackendError(f"nanoBragg's own noise needs compiled code: {error}") from error


class CNoise:
    """The photon noise of one image, in raster order.

    Parameters
    ----------
    seed : int
        As given with ``-seed``, 0 or more (0 acts as 1).

    Raises
    ------
    InputError
        A negative seed: with it C's noise depends on the numbers that were drawn before for
        mosaic domains and missetting.
    BackendError
        There is no compiled library.

    Examples
    --------
    >>> noise = CNoise(12345)
    >>> first = noise.image_rows(np.full((2, 3), 5.0, np.float32))
    >>> second = noise.image_rows(np.full((2, 3), 5.0, np.float32))  # goes on where first ended
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise InputError(
                f"-seed {seed}: must be 0 or more for nanoBragg's own noise; a negative seed makes"
                " it depend on what was drawn before"
            )
        check_library()
        start = MinimalStandard(seed)
        self._sequence = Sequence(seed=start.state, last=start.last, mean=-1.0)
        self._sequence.table[:TABLE] = start.table

    def image_rows(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Draw the photons of the next rows of the image.

        Parameters
        ----------
        rows : (n, m) array
            Mean photons of each pixel; used as float32.  Only pixels inside the region of
            interest take part: leave the others out.

        Returns
        -------
        (n, m) float32 array
            Photons.  Whole numbers, but for means above 1e6, whose normal deviates are not
            rounded.
        """
        return draw(np.ascontiguousarray(rows, dtype=np.float32), self._sequence)
