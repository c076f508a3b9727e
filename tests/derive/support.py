"""What the tests of derived images share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats


def chi_square(counts: NDArray[Any], mean: float, bins: int = 40) -> float:
    """Return the p-value of counts against the Poisson distribution of SciPy.

    The bins hold about equal shares of the distribution; each expects at least 10 counts.
    """
    edges = np.unique(stats.poisson.ppf(np.arange(1, bins) / bins, mean))
    edges = np.concatenate([[-1.0], edges, [np.inf]])
    shares = np.diff(stats.poisson.cdf(edges, mean))
    # Where one count makes nearly everything, so does the tail: beyond each count its own bin.
    if mean < 1.0:
        shares = stats.poisson.pmf(np.arange(50), mean)
        edges = np.arange(-1.0, 50.0)
    while len(shares) > 2 and shares[-1] * counts.size < 10.0:
        shares = np.append(shares[:-2], shares[-2:].sum())
        edges = np.append(edges[:-2], np.inf)
    edges[-1] = np.inf
    shares[-1] += 1.0 - shares.sum()
    observed = np.histogram(counts, edges + 0.5)[0]
    assert observed.sum() == counts.size
    return float(stats.chisquare(observed, shares * counts.size).pvalue)


def moments(counts: NDArray[Any], mean: float) -> tuple[float, float]:
    """Return mean and variance as deviations from the Poisson distribution's, in standard errors.

    The variance is taken about the true mean; its standard error is exact for that distribution.
    """
    deviations = counts.astype(np.float64) - mean
    n = counts.size
    variance = float(np.mean(deviations**2))
    of_variance = np.sqrt((mean + 2.0 * mean * mean) / n)
    return float(deviations.mean() / np.sqrt(mean / n)), float((variance - mean) / of_variance)
