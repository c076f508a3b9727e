"""Weights of mosaic domains: every kernel multiplies an orientation's terms by its weight."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from nbdask.experiment import Mosaic, Sampling, Scan
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel
from nbdask.native import library
from nbdask.plan.steps import split_steps
from tests.helpers import deviation, small_experiment, tile_sum, whole
from tests.kernels.features import LIST, compare, crystal

DOMAINS = tuple(
    (float(np.cos(x)), 0.0, float(np.sin(x)), 0.0, weight)
    for x, weight in ((0.0, 1.0), (0.004, 3.0), (0.008, 3.0), (-0.004, 0.0), (-0.01, 0.5))
)
KERNELS = [
    *(("cpu", precision) for precision in ("float64", "mixed") if library.levels()),
    *(("cuda-host", p) for p in ("float64", "mixed", "pairs") if shutil.which("g++")),
]
SAMPLINGS = {
    "list": Sampling(oversample=1, interpolate=False),
    "interpolated": Sampling(oversample=1, interpolate=True),
    "factors": Sampling(oversample=1, interpolate=False, oversample_polar=True, dmin=2e-10),
}


def model_of(sampling, **parts):
    """Return a model of five domains at two rotation steps, of other weights."""
    bare = crystal(mosaic_spread=None, mosaic_domains=None, mosaic=Mosaic(domains=DOMAINS))
    scan = Scan(osc=0.01, count=2)
    return build_model(
        small_experiment(structure=LIST, crystal=bare, scan=scan, sampling=sampling, **parts)
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize(("name", "precision"), KERNELS)
def test_kernels_agree(name, precision, sampling):
    """With the NumPy one."""
    bound = 1e-9 if precision == "float64" else 1e-5
    compare(model_of(SAMPLINGS[sampling]), get_kernel(name, precision), bound)


@pytest.mark.parametrize("name", [name for name, precision in KERNELS if precision == "float64"])
def test_products_have_weights_too(name):
    """C's order of multiplying."""
    model = model_of(SAMPLINGS["factors"], semantics="c")
    compare(model, get_kernel(name, "float64"), 1e-9)


@pytest.mark.skipif(not library.levels(), reason="no compiled library")
def test_ranges_that_cut_domains_of_equal_weight_add_up():
    """Wherever they begin and end."""
    model, kernel = model_of(SAMPLINGS["list"]), get_kernel("cpu", "float64")
    parts = split_steps(model.n_steps, 3)
    assert len(parts) > 2
    one = tile_sum(model, kernel, whole(model), split_steps(model.n_steps, model.n_steps))
    assert deviation(tile_sum(model, kernel, whole(model), parts).total, one.total) < 1e-13


@pytest.mark.parametrize("name", ["numpy", *sorted({name for name, _ in KERNELS})])
def test_equal_weights_keep_the_bits(name):
    """Those of the model without any."""
    model = model_of(SAMPLINGS["list"])
    even = replace(model, domain_weight=np.ones(5))
    kernel = get_kernel(name, "float64")
    assert not even.has_weights
    ours = tile_sum(even, kernel, whole(model), split_steps(model.n_steps, model.n_steps))
    plain = replace(even, axes=even.axes.copy(), domain_weight=np.ones(10), n_phi=1, n_domains=10)
    theirs = tile_sum(plain, kernel, whole(model), split_steps(model.n_steps, model.n_steps))
    assert np.array_equal(ours.total, theirs.total)
