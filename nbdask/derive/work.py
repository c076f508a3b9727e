"""What the steps of a pipeline work on: a rectangle of pixels with its place and generator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.derive import counter, elementary, photons, spread
from nbdask.errors import FieldError

BACKENDS = ("numba", "numpy")


class Work(NamedTuple):
    """Where a block lies, and which random numbers it takes.

    Attributes
    ----------
    corner : tuple of int
        Detector indices (slow, fast) of the block's first pixel.
    seed, frame, stream : int
        See :mod:`.counter`.
    backend : str
        ``"numba"`` or ``"numpy"``; the bits are the same.
    """

    corner: tuple[int, int]
    seed: int
    frame: int
    stream: int
    backend: str = "numba"

    def _words(self) -> tuple[np.uint64, ...]:
        """Return the numbers that compiled functions take."""
        numbers = (*self.corner, self.frame, self.stream)
        return (*(np.uint64(n) for n in numbers), *counter.key_words(self.seed))

    def poisson(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a Poisson deviate for each pixel; the means are overwritten."""
        if self.backend == "numpy":
            return photons.poisson(mean, self.corner, self.seed, self.frame, self.stream)
        from nbdask.derive import compiled

        compiled.poisson(mean, *self._words())
        return mean

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return a standard normal deviate for each pixel."""
        if self.backend == "numpy":
            rest = (self.seed, self.frame, self.stream, 0)
            u, _ = counter.pixel_uniforms((shape[0], shape[1]), self.corner, *rest)
            return elementary.normal(u)
        from nbdask.derive import compiled

        values = np.empty(shape)
        compiled.normal(values, *self._words())
        return values

    def convolve(
        self, padded: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Convolve with a separable kernel (weights of one axis) or a round one (a quadrant)."""
        if self.backend == "numpy":
            flat = weights.ndim == 1
            return (spread.separable if flat else spread.round_kernel)(padded, weights)
        from nbdask.derive import compiled

        reach = weights.shape[0] - 1
        out = np.empty((padded.shape[0] - 2 * reach, padded.shape[1] - 2 * reach))
        flat = weights.ndim == 1
        (compiled.spread_separable if flat else compiled.spread_round)(padded, weights, out)
        return out


def check_backend(backend: str) -> str:
    """Return the name of an implementation.

    Raises
    ------
    FieldError
        There is none of that name.
    """
    if backend not in BACKENDS:
        raise FieldError("backend", backend, "one of " + ", ".join(BACKENDS))
    return backend
