"""Scalar formulas that the loops of the Numba kernels put in line.

Each is written so that a loop over it becomes full-width vector code: no branches, no calls.  The
polynomials are minimax fits made for this package; the error that stands with each is the largest
in exact arithmetic over its interval.
"""

from __future__ import annotations

import numpy as np

from nbdask.kernels.numba_jit import bits_of, float_of, formula

#: Added to an index away from its nearest whole number, so that 0 / 0 becomes N * tiny / tiny.
#: It changes no number above 1e-84, and the product of three of its squares' roots is still normal.
TINY = 1e-100

_LOG2_E = 1.4426950408889634
#: Adding and subtracting this rounds to a whole number, which then stands in the lowest bits.
_ROUND = 1.5 * 2.0**52
#: Powers of two below this vanish: less than any float32 pixel can tell from 0.
_LEAST_POWER = -1020.0


@formula
def sine_ratio(u: float) -> float:
    """Return sin(pi x) / x for u = x * x, x from -1/2 to 1/2; relative error 1.5e-16."""
    p = 0.0004659776189185479 + u * -2.1122954884553354e-05
    p = -0.007370361072429829 + u * p
    p = 0.08214587825670092 + u * p
    p = -0.5992645287757253 + u * p
    p = 2.550164039859777 + u * p
    p = -5.167712780049753 + u * p
    return 3.1415926535897927 + u * p


@formula
def cosine(u: float) -> float:
    """Return cos(pi x) for u = x * x, x from -1/2 to 1/2; absolute error 4e-18."""
    p = -0.00010456658087273931 + u * 4.149591867063527e-06
    p = 0.0019295562836343031 + u * p
    p = -0.025806888739358047 + u * p
    p = 0.23533063012980845 + u * p
    p = -1.3352627688434646 + u * p
    p = 4.058712126416498 + u * p
    p = -4.934802200544676 + u * p
    return 1.0 + u * p


@formula
def sphere_part(u: float) -> float:
    """Return (sin(pi x) - pi x cos(pi x)) / x^3 for u = x * x, x from -1/2 to 1/2; error 2e-17.

    The difference cancels for small x; this polynomial is what is left of it.
    """
    p = 0.0003066478074224008 + u * -1.2313428179141393e-05
    p = -0.005595598030880713 + u * p
    p = 0.07370430523505728 + u * p
    p = -0.657167092616591 + u * p
    p = 3.595587175916089 + u * p
    p = -10.200656159509276 + u * p
    return 10.33542556009994 + u * p


@formula
def power_of_two(x: float) -> float:
    """Return 2^x for x up to 1000; 0 below -1020; relative error 4e-16."""
    bounded = max(x, _LEAST_POWER)
    shifted = bounded + _ROUND
    f = bounded - (shifted - _ROUND)
    p = 1.0178197999749671e-07 + f * (7.074105809748144e-09 + f * 4.435285856334136e-10)
    p = 1.3215433088590364e-06 + f * p
    p = 1.5252733490053182e-05 + f * p
    p = 0.0001540353046251647 + f * p
    p = 0.001333355814678982 + f * p
    p = 0.009618129107588334 + f * p
    p = 0.055504108664819925 + f * p
    p = 0.24022650695910155 + f * p
    p = 0.6931471805599453 + f * p
    power = float_of(bits_of(1.0 + f * p) + (bits_of(shifted) << 52))
    return power if x > _LEAST_POWER else 0.0


@formula
def exponential(x: float) -> float:
    """Return exp(x); infinite above 690, 0 below -707; relative error (4 + |x|) * 1e-16."""
    return power_of_two(x * _LOG2_E) if x < 690.0 else np.inf


@formula
def polarization(c: float, on_e: float, on_b: float, kahn: float) -> float:
    """Return Kahn's polarization factor.

    Parameters
    ----------
    c : float
        Cosine of the scattering angle.
    on_e, on_b : float
        Components of the ray along the electric and the magnetic field.
    kahn : float
        Kahn factor K.
    """
    # cos(2 psi) of psi = -atan2(b, e), without the angle; psi is 0 where both components are.
    e2, b2 = on_e * on_e, on_b * on_b
    length = e2 + b2
    cos_2psi = (e2 - b2) / length if length > 0.0 else 1.0
    squared = c * c
    return 0.5 * (1.0 + squared - kahn * cos_2psi * (1.0 - squared))


@formula
def captured(layer: float, depth: float, rho: float) -> float:
    """Return the share of photons that stop in one sensor layer.

    Parameters
    ----------
    layer : float
        Index of the layer, 0 at the front.
    depth : float
        Thickness of a layer times its absorption coefficient.
    rho : float
        Cosine between ray and detector normal.
    """
    return exponential(-layer * depth / rho) - exponential(-(layer + 1.0) * depth / rho)
