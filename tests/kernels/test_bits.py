"""Float64 results have the same bits in every library and in the GPU's text, however cut."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nbdask.experiment import (
    Background,
    Beam,
    Crystal,
    Detector,
    Sampling,
    Scan,
    Sources,
    Spread,
    StructureFactors,
)
from nbdask.geometry.build import build_model
from nbdask.kernels.cpu import CpuKernel
from nbdask.kernels.interface import Kernel
from nbdask.kernels.registry import get_kernel
from nbdask.native import library
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import reflections, small_experiment, whole
from tests.kernels.features import CASES, model_of
from tests.kernels.suite import all_steps, same

#: Random experiments, and how many go into one test.
RANDOM, EACH = 400, 20
#: Structure factors by their number.
LISTS = (
    StructureFactors(default_F=100.0),
    StructureFactors(reflections=reflections(2), default_F=3.0),
    StructureFactors(reflections=reflections(5)),
)


@pytest.fixture(scope="module")
def kernels():
    """Every kernel that computes the same bits, by name; the lowest level comes first."""
    made: dict[str, Kernel] = {
        level: CpuKernel("float64", level) for level in library.levels()[::-1]
    }
    if shutil.which("g++") is not None:
        made["cuda-host"] = get_kernel("cuda-host", "float64")
    if len(made) < 2:
        pytest.skip("there is nothing to compare: one level, and no g++ on the path")
    return made


def results(model, kernel, tile, mask=None):
    """Return sums, gains, the count of what is outside the list, and photons of a tile."""
    partial = kernel.partial(model, tile, all_steps(model), mask)
    gain = np.zeros(0) if partial.gain is None else partial.gain
    photons = kernel.finish(model, tile, partial, mask)
    return partial.total, gain, np.array(partial.outside), photons


def check(model, kernels, tile, mask=None):
    """Compare all kernels with the first, bit by bit."""
    (first, kernel), *others = kernels.items()
    measure = results(model, kernel, tile, mask)
    assert np.isfinite(measure[0]).all()
    for name, other in others:
        found = results(model, other, tile, mask)
        for what, ours, theirs in zip(("sum", "gain", "outside", "photons"), found, measure,
                                      strict=True):  # fmt: skip
            assert same(ours, theirs), f"{what} of {name} and {first} differ"


@pytest.mark.parametrize(("name", "semantics"), CASES)
def test_every_feature(kernels, name, semantics):
    """The whole detector."""
    model = model_of(name, semantics)
    check(model, kernels, whole(model))


@pytest.mark.long
@pytest.mark.parametrize(("name", "semantics"), CASES)
def test_tiles_masks_and_threads(kernels, name, semantics):
    """A kernel's own pixels, cut into tiles for eight threads, and listed by a mask."""
    model = model_of(name, semantics)
    mask = np.random.default_rng(1).random(whole(model).shape) < 0.4
    for kernel in kernels.values():
        total, gain, _, photons = results(model, kernel, whole(model))
        listed = results(model, kernel, whole(model), mask)
        assert same(listed[0][mask], total[mask])
        assert same(listed[3][mask], photons[mask])
        if gain.size:
            assert same(listed[1][mask], gain[mask])
        tiles = list(TileGrid(whole(model).shape, (7, 5)))
        with ThreadPoolExecutor(8) as pool:
            parts = pool.map(lambda tile, k=kernel: results(model, k, tile), tiles)
            for tile, part in zip(tiles, parts, strict=True):
                place = slice(tile.slow0, tile.slow1), slice(tile.fast0, tile.fast1)
                assert same(part[0], total[place])
                assert same(part[3], photons[place])
                if gain.size:
                    assert same(part[1], gain[place])


def random_experiment(random):
    """Return an experiment with everything drawn by lot."""
    some = random.random
    cell = (*random.uniform(2e-9, 2e-8, 3), *random.uniform(1.2, 1.9, 3))
    top = (3, 7, 11, 60)[random.integers(4)]
    cubic = some() < 0.25
    structure = LISTS[random.integers(1, 3) if cubic else random.integers(3)]
    thick = some() < 0.3
    count = int(random.integers(1, 4))
    return small_experiment(
        crystal=Crystal(
            cell=tuple(float(x) for x in cell),
            n_cells=tuple(int(n) for n in random.integers(1, top, 3)),
            shape=("square", "square", "round", "gauss", "tophat")[random.integers(5)],
            fudge=float(10 ** random.uniform(-2, 1)),
            misset=tuple(float(x) for x in random.uniform(-3, 3, 3)),
            mosaic_spread=0.02,
            mosaic_domains=int(random.integers(1, 5)),
        ),
        structure=structure,
        detector=Detector(
            pixels_fast=int(random.integers(1, 60)),
            pixels_slow=int(random.integers(1, 20)),
            pixel_size=float(10 ** random.uniform(-4.5, -2.5)),
            distance=float(10 ** random.uniform(-1.5, 0.5)),
            rotx=float(random.uniform(-0.4, 0.4)),
            roty=float(random.uniform(-0.4, 0.4)),
            twotheta=float(random.uniform(-0.8, 0.8)),
            curved=bool(some() < 0.2),
            point_pixel=bool(some() < 0.1),
            **({"thickness": 4e-4, "attenuation": 3e3, "thick_steps": 2} if thick else {}),
        ),
        beam=Beam(
            wavelength=float(random.uniform(0.5e-10, 3e-10)),
            polarization=float(random.uniform(-1, 1)),
            polarized=bool(some() < 0.8),
        ),
        sources=Sources(horizontal=Spread(range=0.1, count=count)),
        scan=Scan(phi0=0.1, osc=0.3, count=int(random.integers(1, 3))),
        sampling=Sampling(
            oversample=int(random.integers(1, 3)),
            interpolate=cubic,
            dmin=float(random.choice([0.0, 2e-10])),
            oversample_thick=bool(some() < 0.1),
            oversample_polar=bool(some() < 0.15),
            oversample_omega=bool(some() < 0.15),
        ),
        background=Background(water=float(random.choice([0.0, 1e-6]))),
        semantics=str(random.choice(["spec", "c"])),
    )


@pytest.mark.parametrize("number", range(RANDOM // EACH))
def test_random_experiments(kernels, number):
    """Crystals, detectors, beams and lists drawn by lot."""
    random = np.random.default_rng(number)
    for _ in range(EACH):
        model = build_model(random_experiment(random))
        tile = Tile(0, min(3, model.n_slow), 0, model.n_fast)
        mask = random.random(tile.shape) < 0.7 if random.random() < 0.3 else None
        check(model, kernels, tile, mask)
