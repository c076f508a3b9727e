"""The beam's spectrum: wavelengths with weights, from a list or from a formula.

Formulas: specification, sources (S-SRC).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbdask.errors import FieldError
from nbdask.experiment import checks

#: Width of the range of a Gaussian or SASE spectrum, in full widths at half maximum.
RANGE = 3.0
#: Points of a formula where none are given.
POINTS, SASE_POINTS = 21, 151
#: Most points, which a random number generator and a table of sources still hold.
MOST_POINTS = 100_000


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Wavelengths that the beam holds, each with its share of the photons.

    Parameters
    ----------
    wavelengths : tuple of float
        [m]
    weights : tuple of float
        Relative numbers of photons.
    origin : str or None
        Where they come from, for the record.
    """

    wavelengths: tuple[float, ...]
    weights: tuple[float, ...]
    origin: str | None = None

    def __post_init__(self) -> None:
        """Check both lists."""
        name = "sources.spectrum"
        waves, weights = tuple(self.wavelengths), tuple(self.weights)
        if not waves or len(waves) != len(weights):
            given = f"{len(waves)} wavelengths and {len(weights)} weights"
            raise FieldError(name, given, "as many weights as wavelengths, at least one")
        checks.assign(
            self,
            wavelengths=tuple(checks.size(f"{name}.wavelengths", wave) for wave in waves),
            weights=tuple(checks.not_negative(f"{name}.weights", weight) for weight in weights),
            origin=checks.optional(checks.text, f"{name}.origin", self.origin),
        )
        total = sum(self.weights)
        if not 0.0 < total < math.inf:
            raise FieldError(f"{name}.weights", total, "numbers with a finite sum above 0")

    @property
    def mean_wavelength(self) -> float:
        """Wavelength [m] of the mean photon energy by weight."""
        total = sum(self.weights)
        pairs = zip(self.wavelengths, self.weights, strict=True)
        return total / sum(weight / wave for wave, weight in pairs)


def of_offsets(
    wavelength: float,
    offsets: NDArray[np.float64],
    weights: Sequence[float] | NDArray[np.float64],
    origin: str,
) -> Spectrum:
    """Return the spectrum of energies E (1 + offset), E being that of ``wavelength`` [m].

    Raises
    ------
    FieldError
        An energy that is not above 0.
    """
    if offsets.min() <= -1.0:
        raise FieldError("sources.spectrum", origin, "narrower: energies must be above 0")
    waves = tuple((wavelength / (1.0 + offsets)).tolist())
    return Spectrum(waves, tuple(float(weight) for weight in weights), origin)


def bins(width: float, count: int) -> NDArray[np.float64]:
    """Return the middles of ``count`` equal bins of a range of ``width`` around 0."""
    return np.asarray((np.arange(count) - (count - 1) / 2.0) * (width / count))


def gaussian(wavelength: float, fwhm: float, count: int, origin: str = "gauss") -> Spectrum:
    """Return a Gaussian spectrum.

    Parameters
    ----------
    wavelength : float
        Of the middle [m].
    fwhm : float
        Full width at half maximum, as a part of the energy.
    count : int
        Points, the middles of equal bins of a range of 3 ``fwhm``.
    origin : str
        For the record.
    """
    offsets = bins(RANGE * fwhm, count)
    return of_offsets(wavelength, offsets, _bell(offsets, fwhm), origin)


def top_hat(wavelength: float, width: float, count: int, origin: str = "tophat") -> Spectrum:
    """Return ``count`` equal weights at the middles of equal bins of ``width``, a part of E."""
    return of_offsets(wavelength, bins(width, count), np.ones(count), origin)


@dataclass(frozen=True, slots=True)
class Sase:
    """The spectra of a free-electron laser's self-amplified spontaneous emission.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum of the mean spectrum, as a part of the energy.
    spike : float
        Full width at half maximum of a spike, of the same kind; below ``fwhm``.
    count : int
        Channels: middles of equal bins of a range of 3 ``fwhm``.
    """

    fwhm: float
    spike: float
    count: int = SASE_POINTS

    def shot(self, wavelength: float, seed: int, shot: int, origin: str = "sase") -> Spectrum:
        """Return the spectrum of one shot, which depends on seed and shot alone.

        The weight of a channel is the mean spectrum times |A|^2, A being a sum of Gaussian spikes
        whose complex heights are normally distributed: a chaotic field, filtered.

        Parameters
        ----------
        wavelength : float
            Of the middle [m].
        seed, shot : int
            Key of the random numbers.
        origin : str
            For the record.
        """
        offsets = bins(RANGE * self.fwhm, self.count)
        step = self.spike / 2.0
        modes = math.ceil((RANGE * self.fwhm / 2.0 + 2.0 * self.spike) / step)
        centres = step * np.arange(-modes, modes + 1)
        # |A|^2 of one spike alone has the width that is asked for.
        root = math.sqrt(2.0) * self.spike
        spikes = _bell(offsets[:, None] - centres, root)
        field = (spikes * _normal(seed, shot, len(centres))).sum(axis=1)
        weights = _bell(offsets, self.fwhm) * np.abs(field) ** 2
        return of_offsets(wavelength, offsets, weights, origin)


def _bell(offsets: NDArray[np.float64], fwhm: float) -> NDArray[np.float64]:
    if fwhm == 0.0:
        return np.ones_like(offsets)
    bell: NDArray[np.float64] = np.exp(-4.0 * math.log(2.0) * (offsets / fwhm) ** 2)
    return bell


def _normal(seed: int, shot: int, count: int) -> NDArray[np.complex128]:
    """Return complex normal deviates of variance 1, by Box and Muller, of the generator Philox."""
    key = np.array([seed % 2**64, shot], dtype=np.uint64)
    raw = np.random.Philox(key=key).random_raw(2 * count)
    # 53 bits each, above 0.
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius = np.sqrt(-np.log(uniform[:count]))
    deviates: NDArray[np.complex128] = radius * np.exp(2j * np.pi * uniform[count:])
    return deviates
