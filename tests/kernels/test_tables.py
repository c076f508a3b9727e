"""Tables of amplitudes for each energy: every kernel takes that of the source."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from nbdask.experiment import Beam, Sampling, Sources, Spread
from nbdask.experiment.spectrum import Spectrum
from nbdask.geometry.build import build_model
from nbdask.kernels.registry import get_kernel
from nbdask.native import library
from tests.helpers import deviation, small_experiment, tile_image
from tests.kernels.features import LIST, compare, crystal

SPECTRUM = Spectrum((0.99e-10, 1e-10, 1.02e-10), (1.0, 3.0, 2.0))
SOURCES = Sources(horizontal=Spread(range=0.004, count=2), spectrum=SPECTRUM)
KERNELS = [
    *(("cpu", precision) for precision in ("float64", "mixed") if library.levels()),
    *(("cuda-host", p) for p in ("float64", "mixed", "pairs") if shutil.which("g++")),
]


def model_of(**parts):
    """Return a model whose six sources take three tables."""
    model = build_model(
        small_experiment(
            structure=LIST, sources=SOURCES, **{"crystal": crystal((4, 5, 6)), **parts}
        )
    )
    assert model.n_tables == 1
    random = np.random.default_rng(7)
    more = model.f_grid * random.uniform(0.5, 2.0, (2, *model.f_grid.shape))
    return replace(model, f_more=more, f_table=np.array([0, 1, 2, 0, 1, 2]))


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize(("name", "precision"), KERNELS)
def test_kernels_agree(name, precision, interpolate):
    """With the NumPy one, looking up and interpolating."""
    model = model_of(sampling=Sampling(oversample=2, interpolate=interpolate))
    compare(model, get_kernel(name, precision), 1e-9 if precision == "float64" else 1e-5)


@pytest.mark.skipif(not library.levels(), reason="no compiled library")
def test_products_take_the_source_table_too():
    """C's order of multiplying, and ranges of steps that begin inside a source."""
    sampling = Sampling(oversample=1, interpolate=False, oversample_polar=True)
    compare(model_of(sampling=sampling, semantics="c"), get_kernel("cpu", "float64"), 1e-9)


@pytest.mark.parametrize("name", ["numpy", *(["cpu"] if library.levels() else [])])
def test_image_is_the_weighted_mean_of_single_wavelengths(name):
    """Each with its own table and weight."""
    # Polarization is that of the first source, for all of them.
    model, kernel = model_of(beam=Beam(polarized=False)), get_kernel(name, "float64")
    total, parts = np.zeros((model.n_slow, model.n_fast)), []
    for source in range(model.n_sources):
        alone = {
            field: getattr(model, field)[source : source + 1]
            for field in ("incident", "wavelength", "polar_e", "polar_b")
        }
        one = replace(
            model,
            **alone,
            weight=np.ones(1),
            f_grid=model.grid_of(source),
            f_more=np.zeros((0, 0, 0, 0)),
            f_table=np.zeros(1, dtype=np.int64),
            scale=model.scale * model.n_sources,
        )
        parts.append(tile_image(one, kernel).astype(np.float64))
        total += parts[-1] * model.weight[source] / model.n_sources
    assert deviation(tile_image(model, kernel), total) < 2e-6
    assert deviation(parts[0], parts[1]) > 0.1


@pytest.mark.parametrize("name", ["numpy", *(["cpu"] if library.levels() else [])])
def test_one_wavelength_keeps_the_bits(name):
    """A spectrum of the beam's own wavelength changes nothing."""
    plain = build_model(small_experiment(structure=LIST))
    single = Sources(spectrum=Spectrum((1e-10,), (0.3,)))
    same = build_model(small_experiment(structure=LIST, sources=single))
    kernel = get_kernel(name, "float64")
    assert np.array_equal(tile_image(plain, kernel), tile_image(same, kernel))
