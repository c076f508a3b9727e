"""Poisson deviates in plain NumPy, the readable reference for :mod:`.compiled`.

Means below 10: inversion of the distribution by sequential search, from one deviate of 52 bits, so
that every probability is right to about 2**-52.  Means from 10 on: Hormann's transformed rejection
with squeeze, PTRS ("The transformed rejection method for generating Poisson random variables",
Insurance: Mathematics and Economics 12, 1993), which is exact, with the probability in Loader's
form, which has no cancellation however large the mean.  There is no switch to a normal
distribution at any mean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbdask.counter import key_words, philox, uniform
from nbdask.elementary import exp_minus, log, log_probability

#: Means from here on are drawn by rejection.
REJECTION_FROM = 10.0
#: The search for an inverse ends where probabilities are below this; counts are below 64 then.
NEGLIGIBLE = 1e-18
#: 1/count, since multiplication is faster than division.
RECIPROCALS: NDArray[np.float64] = 1.0 / np.maximum(np.arange(64.0), 1.0)


class Hat(NamedTuple):
    """The numbers of PTRS that depend on the mean alone."""

    b: NDArray[np.float64]
    a: NDArray[np.float64]
    inverse_alpha: NDArray[np.float64]
    v_squeeze: NDArray[np.float64]


def hat(mean: NDArray[np.float64]) -> Hat:
    """Return the numbers of PTRS for means of at least 10."""
    b = 0.931 + 2.53 * np.sqrt(mean)
    return Hat(b, -0.059 + 0.02483 * b, 1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0))


def poisson(
    mean: NDArray[np.float64], corner: tuple[int, int], seed: int, frame: int, stream: int
) -> NDArray[np.float64]:
    """Return a Poisson deviate for each pixel of a rectangle.

    Parameters
    ----------
    mean : (slow, fast) float64 array
        Expected counts.  Where it is 0 or below the deviate is 0; NaN and infinity stay.
    corner : tuple of int
        Detector indices (slow, fast) of the first pixel.
    seed, frame, stream : int
        See :mod:`nbdask.counter`.

    Returns
    -------
    (slow, fast) float64 array
        Whole numbers.
    """
    result = np.where(mean > 0.0, mean, np.where(np.isnan(mean), mean, 0.0))
    slow, fast = np.nonzero((mean > 0.0) & np.isfinite(mean))
    pixels = _Pixels(slow + corner[0], fast + corner[1], seed, frame, stream)
    means = mean[slow, fast]
    large = means >= REJECTION_FROM
    counts = np.empty_like(means)
    counts[~large] = _by_inversion(means[~large], pixels.only(~large))
    counts[large] = _by_rejection(means[large], pixels.only(large))
    result[slow, fast] = counts
    return result


class _Pixels(NamedTuple):
    """Pixels and their generator."""

    slow: NDArray[np.int64]
    fast: NDArray[np.int64]
    seed: int
    frame: int
    stream: int

    def only(self, which: NDArray[np.bool_]) -> _Pixels:
        """Return some of the pixels."""
        return self._replace(slow=self.slow[which], fast=self.fast[which])

    def uniforms(self, draw: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return two uniform deviates in (0, 1) for each pixel, of one draw."""
        last = np.uint64((self.stream << 24) | draw)
        slow, fast = self.slow.astype(np.uint64), self.fast.astype(np.uint64)
        words = philox(fast, slow, np.uint64(self.frame), last, *key_words(self.seed))
        return uniform(words[0], words[1]), uniform(words[2], words[3])


def _by_inversion(mean: NDArray[np.float64], pixels: _Pixels) -> NDArray[np.float64]:
    """Search for the count whose cumulative probability passes the deviate."""
    u, _ = pixels.uniforms(0)
    count = np.zeros_like(mean)
    probability = exp_minus(mean)
    total = probability.copy()
    open_ = np.flatnonzero(u > total)
    while open_.size:
        count[open_] += 1.0
        probability[open_] *= mean[open_] * RECIPROCALS[count[open_].astype(np.int64)]
        open_ = open_[probability[open_] >= NEGLIGIBLE]
        total[open_] += probability[open_]
        open_ = open_[u[open_] > total[open_]]
    return count


def _by_rejection(mean: NDArray[np.float64], pixels: _Pixels) -> NDArray[np.float64]:
    """Draw from the hat until each deviate is accepted."""
    count = np.zeros_like(mean)
    todo = np.arange(mean.size)
    draw = 0
    while todo.size:
        here, m = pixels, mean[todo]
        here = pixels._replace(slow=pixels.slow[todo], fast=pixels.fast[todo])
        u, v = here.uniforms(draw)
        h = hat(m)
        u = u - 0.5
        us = 0.5 - np.abs(u)
        k = np.floor((2.0 * h.a / us + h.b) * u + m + 0.43)
        accepted = (us >= 0.07) & (v <= h.v_squeeze)
        unsure = ~accepted & (k >= 0.0) & ~((us < 0.013) & (v > us))
        left = log(v * h.inverse_alpha / (h.a / (us * us) + h.b))
        accepted |= unsure & (left <= log_probability(np.maximum(k, 0.0), m))
        count[todo[accepted]] = k[accepted]
        todo = todo[~accepted]
        draw += 1
    return count
