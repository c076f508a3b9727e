"""Logarithm, exponential, normal quantile and Poisson probability from + - * / and sqrt alone.

These five operations are rounded in one way only (IEEE 754), so the results have the same bits on
every processor and in every implementation; a system's own ``log`` may differ in the last bit from
that of another, and a last bit decides now and then whether a deviate is accepted.

``derive_elementary.h`` holds the same in C++: a change here is one there, and of
``derive.provenance.VERSION``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: ln 2 in two parts; the first has 32 bits, so that its product with an exponent is exact.
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10
LOG2_E = 1.4426950408889634
SQRT_HALF = 0.7071067811865476
HALF_LN_2PI = 0.9189385332046727

#: 2/23, 2/21 ... 2/3: series of 2 artanh(s) / s - 2 in s**2.
LOG_SERIES = tuple(2.0 / n for n in range(23, 1, -2))
#: 1/13!, 1/12! ... 1/0!.
EXP_SERIES = (
    1.6059043836821613e-10, 2.08767569878681e-09, 2.505210838544172e-08, 2.755731922398589e-07,
    2.7557319223985893e-06, 2.48015873015873e-05, 0.0001984126984126984, 0.001388888888888889,
    0.008333333333333333, 0.041666666666666664, 0.16666666666666666, 0.5, 1.0, 1.0,
)  # fmt: skip
#: 1/21, 1/19 ... 1/3: series of the deviance.
DEVIANCE_SERIES = tuple(1.0 / n for n in range(21, 1, -2))
#: Stirling's series in 1/n**2.
STIRLING_SERIES = (1.0 / 1188.0, -1.0 / 1680.0, 1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0)
#: ln n! less Stirling's formula without its series, n = 0 (not used) to 15.
STIRLING_TABLE: NDArray[np.float64] = np.array(
    [
        0.0, 0.08106146679532726, 0.0413406959554093, 0.02767792568499834, 0.020790672103765093,
        0.016644691189821193, 0.013876128823070748, 0.01189670994589177, 0.010411265261972096,
        0.009255462182712733, 0.00833056343336287, 0.007573675487951841, 0.00694284010720953,
        0.006408994188004207, 0.0059513701127588475, 0.005554733551962801,
    ]
)  # fmt: skip

# Wichura, Applied Statistics 37 (1988) 477, AS 241, PPND16: relative accuracy 1e-16.
CENTRE = (
    (
        2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
        13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080,
    ),
    (
        5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
        5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0,
    ),
)  # fmt: skip
TAIL = (
    (
        7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
        1.27045825245236838258, 3.64784832476320460504, 5.76949722146069140550,
        4.63033784615654529590, 1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
        1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940,
        2.05319162663775882187, 1.0,
    ),
)  # fmt: skip
FAR_TAIL = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
        2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580,
        5.46378491116411436990, 6.65790464350110377720,
    ),
    (
        2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
        7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
        5.99832206555887937690e-1, 1.0,
    ),
)  # fmt: skip
CENTRE_HALF_WIDTH, CENTRE_SHIFT, TAIL_SHIFT, FAR = 0.425, 0.180625, 1.6, 5.0


def horner(coefficients: Any, x: Any) -> Any:
    """Return a polynomial, its highest coefficient first."""
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


def log_parts(mantissa: Any, exponent: Any) -> Any:
    """Return ln(mantissa * 2**exponent), the mantissa between sqrt(1/2) and sqrt 2."""
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series = z * horner(LOG_SERIES, z)
    return exponent * LN2_HIGH + (s * (2.0 + series) + exponent * LN2_LOW)


def log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the natural logarithm of normal numbers above 0."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < SQRT_HALF
    parts = log_parts(np.where(low, 2.0 * mantissa, mantissa), (exponent - low).astype(np.float64))
    return np.asarray(parts)


def exp_remainder(x: Any, count: Any) -> Any:
    """Return ``exp(count * ln 2 - x)`` where that is between sqrt(1/2) and sqrt 2."""
    return horner(EXP_SERIES, count * LN2_LOW - (x - count * LN2_HIGH))


def exp_minus(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``exp(-x)`` for x from 0 to 700."""
    count = np.floor(x * LOG2_E + 0.5)
    return np.asarray(np.ldexp(exp_remainder(x, count), -count.astype(np.int32)))


def normal(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard normal deviate below which lies the share ``u`` of them (AS 241)."""
    q = u - 0.5
    r = CENTRE_SHIFT - q * q
    result = q * (horner(CENTRE[0], r) / horner(CENTRE[1], r))
    outside = np.abs(q) > CENTRE_HALF_WIDTH
    r = np.sqrt(-log(np.minimum(u, 1.0 - u)[outside]))
    near, far = r - TAIL_SHIFT, r - FAR
    tail = np.where(
        r <= FAR,
        horner(TAIL[0], near) / horner(TAIL[1], near),
        horner(FAR_TAIL[0], far) / horner(FAR_TAIL[1], far),
    )
    result[outside] = np.where(q[outside] < 0.0, -tail, tail)
    return np.asarray(result)


def near_deviance(k: Any, mean: Any) -> Any:
    """Return ``k ln(k/mean) + mean - k`` where k is near the mean, without cancellation.

    Loader, "Fast and accurate computation of binomial probabilities" (2000).
    """
    v = (k - mean) / (k + mean)
    z = v * v
    return (k - mean) * v + 2.0 * k * v * (z * horner(DEVIANCE_SERIES, z))


def stirling_series(k: Any) -> Any:
    """Return ``ln k!`` less ``k ln k - k + ln(2 pi k) / 2`` for k of at least 16."""
    return horner(STIRLING_SERIES, 1.0 / (k * k)) / k


def log_probability(k: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the Poisson probability of whole numbers k.

    Parameters
    ----------
    k : float64 array
        Whole numbers of at least 0.
    mean : float64 array
        Above 0.

    Returns
    -------
    float64 array
    """
    some = np.maximum(k, 1.0)
    near = np.abs(some - mean) < 0.1 * (some + mean)
    far_deviance = some * log(some / mean) + (mean - some)
    deviance = np.where(near, near_deviance(some, mean), far_deviance)
    table = STIRLING_TABLE[np.minimum(some, 15.0).astype(np.int64)]
    stirling = np.where(some < 16.0, table, stirling_series(np.maximum(some, 16.0)))
    result = -deviance - stirling - 0.5 * log(some) - HALF_LN_2PI
    return np.where(k < 1.0, -mean, result)
