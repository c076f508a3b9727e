"""How many mosaic domains an image needs, by an estimate.

Intensities are estimated at some pixels with Gaussian spots of the crystal's size: those of the
first n domains of a quasi-random sequence differ from those of the first 2 n by about the error of
the former.
"""

from __future__ import annotations

import math

import numpy as np

from nbdask.errors import FieldError
from nbdask.experiment.crystal import Crystal
from nbdask.experiment.detector import Detector
from nbdask.geometry.crystal_frame import CrystalFrame
from nbdask.geometry.detector_frame import DetectorFrame
from nbdask.geometry.domains import make_domains
from nbdask.geometry.rotation import turned_axes
from nbdask.geometry.sobol import sobol
from nbdask.geometry.vectors import Array

LEAST, MOST = 8, 2**16
#: Pixels that are looked at, and the brightest of them, which count.
_PIXELS, _BRIGHT = 8192, 512
#: Of the exponent, for a Gaussian as wide at half maximum as the squared grating function.
_SHARPNESS = 4.0 * math.log(2.0) / 0.886**2


def estimated_count(
    given: Crystal,
    crystal: CrystalFrame,
    size: Detector,
    detector: DetectorFrame,
    wavelength: float,
) -> int:
    """Return a power of two of domains for the tolerance of ``given.mosaic``.

    Parameters
    ----------
    given : Crystal
    crystal : CrystalFrame
    size : Detector
    detector : DetectorFrame
    wavelength : float
        [m]

    Raises
    ------
    FieldError
        More than 65536 would be needed.
    """
    tolerance = given.mosaic.tolerance
    assert tolerance is not None
    q = _scattering_vectors(size, detector, wavelength)
    first = _sums(crystal, _axes(given, crystal, 64), q)
    q = q[np.argsort(first)[-_BRIGHT:]]
    axes = _axes(given, crystal, 2 * LEAST)
    count, before = LEAST, _sums(crystal, axes[:LEAST], q)
    after = before + _sums(crystal, axes[LEAST:], q)
    while _difference(before / count, after / (2 * count)) > tolerance:
        count *= 2
        if count > MOST:
            raise FieldError(
                "crystal.mosaic.tolerance", tolerance, f"attainable with {MOST} domains: raise it"
            )
        axes = _axes(given, crystal, 2 * count)
        before, after = after, after + _sums(crystal, axes[count:], q)
    return count


def _difference(first: Array, second: Array) -> float:
    scale = float(np.sqrt(np.mean(second**2)))
    return float(np.sqrt(np.mean((first - second) ** 2))) / scale if scale > 0.0 else 0.0


def _axes(given: Crystal, crystal: CrystalFrame, count: int) -> Array:
    rotations = make_domains(given, crystal.axes, count).rotations
    assert rotations is not None
    return turned_axes(crystal.axes, rotations)


def _scattering_vectors(size: Detector, detector: DetectorFrame, wavelength: float) -> Array:
    """Return those of some pixels of the flat detector, (n, 3) [1/m]."""
    place = sobol(_PIXELS, 2)
    fast = place[:, :1] * size.n_fast * size.pixel_size
    slow = place[:, 1:] * size.n_slow * size.pixel_size
    at = detector.origin + fast * detector.fast + slow * detector.slow
    at /= np.linalg.norm(at, axis=1)[:, None]
    return np.asarray((at - detector.beam) / wavelength)


def _sums(crystal: CrystalFrame, axes: Array, q: Array) -> Array:
    """Return the sum over domains of Gaussian spots at scattering vectors, (n,)."""
    cells = np.array(crystal.n_cells, dtype=np.float64)
    total = np.zeros(len(q))
    for part in np.array_split(axes, max(1, len(axes) * len(q) // 2**19)):
        index = np.einsum("dki,ni->dnk", part, q)
        away = (index - np.rint(index)) * cells
        total += np.exp(-_SHARPNESS * (away**2).sum(axis=2)).sum(axis=0)
    return total
