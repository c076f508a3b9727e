"""Point-spread functions: weights of pixels, and convolution in a fixed order of sums.

The weights are integrals over whole pixels of the light that falls around the middle of a pixel,
cut off at a finite radius, and made whole multiples of 2**-40 whose sum is exactly 1: no light is
lost but at the edges of the detector, and the last digit of a system's ``erf`` or ``atan`` does not
matter.  The sums of a pixel are always formed in the same order, so that a pixel does not depend on
the tile that it is computed in.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: The weights' unit.
_UNIT = 2.0**-40
#: Full width at half maximum of g(r) ~ z / (z^2 + r^2)^(3/2), in units of z.
FIBRE_WIDTH = 2.0 * math.sqrt(2.0 ** (2.0 / 3.0) - 1.0)
#: The same of a Gaussian, in units of its standard deviation.
GAUSS_WIDTH = 2.0 * math.sqrt(2.0 * math.log(2.0))


def gaussian_weights(fwhm: float, radius: int) -> NDArray[np.float64]:
    """Return the weights of a Gaussian along one axis.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum [pixels].
    radius : int
        Pixels on either side of the middle one.

    Returns
    -------
    (radius + 1,) float64 array
        The middle one first; middle + 2 * others = 1 exactly.
    """
    scale = GAUSS_WIDTH / (fwhm * math.sqrt(2.0))
    ends = [math.erfc((n - 0.5) * scale) for n in range(1, radius + 2)]
    sides = [(ends[n] - ends[n + 1]) / 2.0 for n in range(radius)]
    total = math.erf(0.5 * scale) + 2.0 * math.fsum(sides)
    weights = _rounded(np.array([0.0, *sides]) / total)
    weights[0] = 1.0 - 2.0 * weights[1:].sum()
    return weights


def fibre_quadrant(fwhm: float, radius: int) -> NDArray[np.float64]:
    """Return the weights of a fibre-optic taper, z / (2 pi (z^2 + r^2)^(3/2)), in one quadrant.

    Light from a point at the height z above the face of the taper fills the solid angle of each
    pixel: its integral over a rectangle from the foot point is atan(x y / (z r)) / (2 pi), with r
    the distance of the far corner from the source.  (Holton, Nielsen and Frankel, "The
    point-spread function of fiber-coupled area detectors", J. Synchrotron Rad. 19 (2012) 1006.)

    Parameters
    ----------
    fwhm : float
        Full width at half maximum [pixels], 1.5328 z.
    radius : int
        Pixels whose centres are farther than this from the middle one get nothing.

    Returns
    -------
    (radius + 1, radius + 1) float64 array
        The middle one first; the sum over all four quadrants is 1 exactly.
    """
    z = fwhm / FIBRE_WIDTH
    n = np.arange(radius + 1, dtype=np.float64)
    low, high = np.asarray(n - 0.5), np.asarray(n + 0.5)
    quadrant = (
        _corner(high[:, None], high[None, :], z)
        - _corner(low[:, None], high[None, :], z)
        - _corner(high[:, None], low[None, :], z)
        + _corner(low[:, None], low[None, :], z)
    )
    quadrant[n[:, None] ** 2 + n[None, :] ** 2 > radius**2] = 0.0
    times = np.where(n == 0, 1.0, 2.0)
    quadrant = _rounded(quadrant / (times[:, None] * times[None, :] * quadrant).sum())
    quadrant[0, 0] = 0.0
    quadrant[0, 0] = 1.0 - (times[:, None] * times[None, :] * quadrant).sum()
    return quadrant


def _corner(x: NDArray[np.float64], y: NDArray[np.float64], z: float) -> NDArray[np.float64]:
    """Return the light within the rectangle from the foot point to (x, y)."""
    far = np.sqrt(x * x + y * y + z * z)
    return np.asarray(np.arctan(x * y / (z * far)) / (2.0 * math.pi))


def _rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights as whole multiples of the unit."""
    return np.asarray(np.floor(weights / _UNIT + 0.5) * _UNIT)


def separable(padded: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve with a symmetric kernel along both axes, fast first.

    Parameters
    ----------
    padded : (slow + 2 r, fast + 2 r) float64 array
    weights : (r + 1,) float64 array
        The middle one first.

    Returns
    -------
    (slow, fast) float64 array
    """
    for _ in range(2):
        # Along the last axis, then transposed: along the other one.
        r = weights.size - 1
        n = padded.shape[1] - 2 * r
        total = weights[0] * padded[:, r : r + n]
        for d in range(1, r + 1):
            total += weights[d] * (padded[:, r - d : r - d + n] + padded[:, r + d : r + d + n])
        padded = total.T
    return padded


def round_kernel(padded: NDArray[np.float64], quadrant: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convolve with a kernel that is symmetric in both axes.

    Parameters
    ----------
    padded : (slow + 2 r, fast + 2 r) float64 array
    quadrant : (r + 1, r + 1) float64 array
        Weights, the middle one first.  A weight of 0 ends its row.

    Returns
    -------
    (slow, fast) float64 array
    """
    r = quadrant.shape[0] - 1
    n_slow, n_fast = padded.shape[0] - 2 * r, padded.shape[1] - 2 * r
    total = np.zeros((n_slow, n_fast))
    for dy in range(r + 1):
        rows = padded[r - dy : r - dy + n_slow]
        if dy:
            rows = rows + padded[r + dy : r + dy + n_slow]
        for d in range(r + 1):
            if quadrant[dy, d] == 0.0:
                break
            pair = rows[:, r - d : r - d + n_fast]
            if d:
                pair = pair + rows[:, r + d : r + d + n_fast]
            total += quadrant[dy, d] * pair
    return total
