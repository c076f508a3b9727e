"""What the steps of a pipeline work on: a rectangle of pixels with its place and generator."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask import counter, elementary
from nbdask.derive import compiled, convolution, photons
from nbdask.errors import FieldError

BACKENDS = ("cpu", "numpy")


class Block(NamedTuple):
    """Where a block lies, and which random numbers it takes.

    Attributes
    ----------
    corner : tuple of int
        Detector indices (slow, fast) of the block's first pixel.
    seed, frame, stream : int
        See :mod:`nbdask.counter`.
    backend : str
        ``"cpu"`` or ``"numpy"``; the bits are the same.  NumPy also serves where there is no
        compiled library.
    """

    corner: tuple[int, int]
    seed: int
    frame: int
    stream: int
    backend: str = "cpu"

    def _in_numpy(self) -> bool:
        """Whether NumPy does the work."""
        return self.backend == "numpy" or not compiled.available()

    def _numbers(self) -> compiled.Numbers:
        """Return what compiled functions take."""
        key0, key1 = counter.key_words(self.seed)
        return compiled.Numbers(*self.corner, self.frame, self.stream, int(key0), int(key1))

    def poisson(self, mean: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a Poisson deviate for each pixel; the means are overwritten."""
        if self._in_numpy():
            return photons.poisson(mean, self.corner, self.seed, self.frame, self.stream)
        mean = np.ascontiguousarray(mean)
        compiled.poisson(mean, self._numbers())
        return mean

    def normal(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return a standard normal deviate for each pixel."""
        if self._in_numpy():
            rest = (self.seed, self.frame, self.stream, 0)
            u, _ = counter.pixel_uniforms((shape[0], shape[1]), self.corner, *rest)
            return elementary.normal(u)
        values = np.empty(shape)
        compiled.normal(values, self._numbers())
        return values

    def convolve(
        self, padded: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Convolve with a separable kernel (weights of one axis) or a round one (a quadrant)."""
        if self._in_numpy():
            flat = weights.ndim == 1
            return (convolution.separable if flat else convolution.round_kernel)(padded, weights)
        return compiled.convolve(padded, weights)


def check_backend(backend: str) -> str:
    """Return the name of an implementation.

    Raises
    ------
    FieldError
        Unknown name.
    """
    if backend not in BACKENDS:
        raise FieldError("backend", backend, "one of " + ", ".join(BACKENDS))
    return backend
