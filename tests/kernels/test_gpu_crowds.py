"""What only a real GPU shows: golden cases in pairs, crowds of tasks, memory that ends, bits."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nbdask.errors import BackendError
from nbdask.experiment import Crystal, Detector, StructureFactors
from nbdask.flags import parse_args
from nbdask.geometry.build import build_model
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import get_kernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.helpers import (
    GOLDEN,
    deviation,
    golden_cases,
    reflections,
    small_experiment,
    tile_image,
    whole,
)
from tests.kernels.features import FEATURES, model_of

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("name", golden_cases())
def test_pairs_equal_the_c_program(name, monkeypatch):
    """The golden cases, as float64 and mixed."""
    monkeypatch.chdir(GOLDEN / "inputs")
    parsed = parse_args(golden_cases()[name].split(), semantics="c")
    image = tile_image(build_model(parsed.experiment), get_kernel("cuda", "pairs"))
    assert deviation(image, np.load(GOLDEN / "images.npz")[name]) <= 1e-5


@pytest.mark.parametrize("name", FEATURES)
def test_float64_has_the_processors_bits(name):
    """Sums, gains and photons."""
    model = model_of(name)
    steps = StepRange(0, model.n_steps)
    device, cpu = get_kernel("cuda"), get_kernel("cpu")
    ours, theirs = (k.partial(model, whole(model), steps, None) for k in (device, cpu))
    np.testing.assert_array_equal(ours.total, theirs.total)
    np.testing.assert_array_equal(tile_image(model, device), tile_image(model, cpu))


def test_four_models_at_once():
    """Six of them by six threads, over and over: each task reads its own tables."""
    cell = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)
    models = [
        build_model(
            small_experiment(
                crystal=Crystal(cell=cell, n_cells=(5, 4 + number, 5)),
                structure=StructureFactors(reflections=reflections(9, number), default_F=3.0),
            )
        )
        for number in range(6)
    ]
    tile = whole(models[0])
    expected = [tile_image(model, ReferenceKernel()) for model in models]
    kernel = get_kernel("cuda")
    turns = [number for _ in range(50) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: kernel.image(models[n], tile, None)[0], turns))
    for number, image in zip(turns, found, strict=True):
        assert deviation(image, expected[number]) < 1e-6


def test_many_streams_of_different_sizes():
    """Three hundred tiles of one to a million pixels by sixteen threads, with and without masks."""
    detector = Detector(pixels_fast=1500, pixels_slow=1200, pixel_size=1e-5)
    model = build_model(small_experiment(detector=detector))
    kernel = get_kernel("cuda")
    full = kernel.image(model, whole(model), None)[0]
    chance = random.Random(5)
    tiles = []
    for _ in range(300):
        side = 2 ** chance.randint(0, 10)
        slow, fast = chance.randrange(1200 - side), chance.randrange(1500 - side)
        tiles.append((Tile(slow, slow + side, fast, fast + side), chance.random() < 0.3))
    keep = np.random.default_rng(2).random(full.shape) < 0.5

    def compute(job):
        tile, masked = job
        mask = keep[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] if masked else None
        return kernel.image(model, tile, mask)[0]

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(compute, tiles))
    for (tile, masked), image in zip(tiles, found, strict=True):
        part = full[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
        if masked:
            part = np.where(keep[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1], part, 0)
        np.testing.assert_array_equal(image, part)


def test_a_gpu_without_memory_is_one_line_and_no_end():
    """Others take all but a little; with room again the kernel computes."""
    import cupy

    from nbdask.kernels.cuda_cupy import GpuKernel

    detector = Detector(pixels_fast=8192, pixels_slow=8192, pixel_size=1e-5)
    model = build_model(small_experiment(detector=detector))
    kernel = GpuKernel()
    cupy.get_default_memory_pool().free_all_blocks()
    free, _ = cupy.cuda.runtime.memGetInfo()
    # Plain memory, a little less than there is; a tile of all pixels needs 800 MB.
    hog = cupy.cuda.memory.Memory(free - (256 << 20))
    with pytest.raises(BackendError, match="has no memory left"):
        kernel.image(model, whole(model), None)
    del hog
    assert kernel.image(model, whole(model), None)[0].max() > 0


def test_an_image_stays_on_the_gpu():
    """The same bits, with a mask as well, as an array of CuPy."""
    import cupy

    model = model_of("list")
    kernel = get_kernel("cuda")
    mask = np.random.default_rng(3).random(whole(model).shape) < 0.5
    for chosen in (None, mask):
        image, _ = kernel.device_image(model, whole(model), chosen)
        assert isinstance(image, cupy.ndarray)
        np.testing.assert_array_equal(image.get(), kernel.image(model, whole(model), chosen)[0])
