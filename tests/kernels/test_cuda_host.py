"""The kernel of the card, compiled for this machine's processor, against the NumPy one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import BackendError, PlanError
from nbdask.experiment import Crystal, Detector, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.kernels.cuda_host import CudaHostKernel, HostLauncher
from nbdask.kernels.cuda_kernel import CudaKernel
from nbdask.kernels.cuda_launch import struct_of
from nbdask.kernels.cuda_pack import pack
from nbdask.kernels.cuda_params import LATTICES, PARAMS
from nbdask.kernels.registry import get_kernel
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import deviation, small_experiment, tile_image, ulps, whole
from tests.kernels.features import FEATURES, PRODUCTS, compare, crystal, model_of

PRECISIONS = ("float64", "mixed", "pairs")
#: Bound of the worst deviation from the reference by precision.
BOUNDS = {"float64": 1e-9, "mixed": 1e-5, "pairs": 1e-5}

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path")


def kernel_of(precision="float64"):
    """Return the kernel of this process."""
    return get_kernel("cuda-host", precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", FEATURES)
def test_every_feature_equals_the_reference_kernel(name, precision):
    """Under the semantics of the specification."""
    compare(model_of(name), kernel_of(precision), BOUNDS[precision])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", PRODUCTS)
def test_running_products_equal_the_reference_kernel(name, precision):
    """Under C semantics; they are float64 in every precision."""
    compare(model_of(name, "c"), kernel_of(precision), 1e-9)


def test_features_use_every_version_of_the_lattice_factor():
    """None of them is left untried by the tests above."""
    used = {
        LATTICES[pack(model_of(name), precision).values["lattice"]]
        for name in FEATURES
        for precision in PRECISIONS
    }
    assert used == set(LATTICES)


@pytest.fixture(scope="module")
def contracting():
    """The same text, with multiplications and additions joined as on the card."""
    return {p: CudaKernel(p, HostLauncher(("-ffp-contract=fast", "-mfma"))) for p in PRECISIONS}


@pytest.mark.skipif(
    "fma" not in Path("/proc/cpuinfo").read_text().split(), reason="the processor has no FMA"
)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    "name", ["list", "up to ten cells", "list, many cells", "round", "gauss", "curved", "dmin"]
)
def test_contraction_keeps_the_bounds(name, precision, contracting):
    """A compiler may round a product before an addition, or not; no formula depends on it."""
    compare(model_of(name), contracting[precision], BOUNDS[precision])


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(1, 24), (32, 1), (7, 5), (3, 24)])
def test_tiles_join_to_the_whole(shape, precision):
    """Rows, columns and ragged tiles give every pixel the same value to the bit."""
    model = model_of("sources, phi and sub-pixels")
    kernel = kernel_of(precision)
    full = tile_image(model, kernel)
    joined = np.full(full.shape, np.nan, dtype=np.float32)
    for tile in TileGrid(full.shape, shape):
        joined[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = tile_image(model, kernel, tile)
    assert np.array_equal(joined, full)


@pytest.mark.parametrize("per_task", [1, 7, 31])
@pytest.mark.parametrize("semantics", ["spec", "c"])
@pytest.mark.parametrize("name", ["sources, phi and sub-pixels", "all factors"])
def test_step_ranges_merge_to_the_whole(name, semantics, per_task):
    """Ranges that begin and end inside sub-pixels and sources give the same image to 1 ulp."""
    model = model_of(name, semantics)
    kernel = kernel_of()
    full = tile_image(model, kernel)
    ranges = split_steps(model.n_steps, per_task)
    assert len(ranges) > 1
    assert ulps(tile_image(model, kernel, ranges=ranges), full) <= 1


@pytest.mark.parametrize("domains", [63, 64, 65, 150])
def test_tables_longer_than_a_block_holds(domains):
    """Orientations come in pieces of 64; ranges may begin and end inside a piece."""
    model = build_model(small_experiment(crystal=crystal(mosaic_domains=domains)))
    compare(model, kernel_of(), 1e-9)
    kernel, tile = kernel_of(), Tile(10, 14, 5, 12)
    parts = [kernel.partial(model, tile, steps, None) for steps in split_steps(domains, 29)]
    full = kernel.partial(model, tile, StepRange(0, domains), None)
    assert deviation(sum(p.total for p in parts), full.total) < 1e-13


@pytest.mark.parametrize("name", ["layers", "all factors"])
@pytest.mark.parametrize("semantics", ["spec", "c"])
def test_masked_pixels_are_left_out(name, semantics):
    """Total 0, gain 1, photons 0 where the mask is False; unchanged where it is True."""
    model = model_of(name, semantics)
    kernel, tile, steps = kernel_of(), whole(model), StepRange(0, model.n_steps)
    mask = np.random.default_rng(3).random(tile.shape) < 0.3
    mask[5:9] = False
    full, part = kernel.partial(model, tile, steps, None), kernel.partial(model, tile, steps, mask)
    assert np.array_equal(part.total, np.where(mask, full.total, 0.0))
    if part.gain is not None:
        assert full.gain is not None
        assert np.array_equal(part.gain, np.where(mask, full.gain, 1.0))
    image = kernel.finish(model, tile, part, mask)
    assert np.array_equal(image, np.where(mask, kernel.finish(model, tile, full, None), 0.0))
    closed = np.zeros(tile.shape, dtype=np.bool_)
    assert not kernel.partial(model, tile, steps, closed).total.any()
    assert not kernel.finish(model, tile, part, closed).any()
    assert not kernel.image(model, tile, closed)[0].any()


@pytest.mark.parametrize("name", ["all factors", "interpolated"])
@pytest.mark.parametrize("semantics", ["spec", "c"])
def test_one_go_gives_the_same_bits(name, semantics):
    """Sum and finish in one call, where the sums never leave the device."""
    model = model_of(name, semantics)
    kernel, tile, steps = kernel_of(), Tile(3, 30, 2, 19), StepRange(0, model.n_steps)
    mask = np.random.default_rng(3).random(tile.shape) < 0.7
    partial = kernel.partial(model, tile, steps, mask)
    image, outside = kernel.image(model, tile, mask)
    assert np.array_equal(image, kernel.finish(model, tile, partial, mask))
    assert outside == partial.outside


def test_halves_go_down():
    """An index exactly between two reflections takes the amplitude of the lower one."""
    listed = tuple((h, k, el, 5.0 + h + 2 * k + 3 * el) for h, k, el in np.ndindex(2, 2, 2))
    experiment = small_experiment(
        crystal=Crystal(cell=(1e-8, 1e-8, 1e-8, *(np.pi / 2,) * 3), n_cells=(1, 1, 1)),
        structure=StructureFactors(reflections=listed, default_F=7.0),
        sampling=Sampling(oversample=1, interpolate=False),
    )
    # Every pixel at one place along z, and no incident light to subtract: q is z / wavelength.
    model = replace(
        build_model(experiment),
        incident=np.zeros((1, 3)),
        wavelength=np.array([2e-8]),
        axes=1e-8 * np.eye(3)[None],
        fast=np.zeros(3),
        slow=np.zeros(3),
        origin=np.array([0.0, 0.0, 0.125]),
    )
    for precision in PRECISIONS:
        kernel = kernel_of(precision)
        total = kernel.partial(model, Tile(0, 1, 0, 1), StepRange(0, 1), None).total
        assert total[0, 0] == pytest.approx(25.0, rel=1e-6)  # 0 0 1/2 takes 0 0 0


def test_a_tile_at_the_far_corner_of_a_huge_detector():
    """Pixel indices beyond 32 bits of flat index, 70000 x 70000 pixels."""
    detector = Detector(pixels_fast=70000, pixels_slow=70000, pixel_size=1e-5)
    model = build_model(small_experiment(detector=detector))
    tile = Tile(69990, 70000, 69960, 70000)
    assert deviation(tile_image(model, kernel_of(), tile), tile_image(model, tile=tile)) <= 2e-7


@pytest.mark.parametrize("cells", [(1000, 900, 1), (30000, 2, 70000)])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_large_crystals_stay_finite(cells, precision):
    """Float32 holds the products of all three axes; the sums stay close to float64."""
    model = build_model(small_experiment(crystal=crystal(cells)))
    steps = StepRange(0, model.n_steps)
    total = kernel_of(precision).partial(model, whole(model), steps, None).total
    wanted = kernel_of().partial(model, whole(model), steps, None).total
    assert np.isfinite(total).all()
    # The spacing of the zeros is 1 / N, and mixed counts in 2^-32.
    assert deviation(total, wanted) < 1e-5 * max(1.0, max(cells) / 100)


def test_a_gauss_spot_far_away_is_exactly_zero():
    """Its terms vanish rather than become garbage, in every precision."""
    model = model_of("factors, gauss")
    model = replace(model, n_cells=np.array([300.0, 300.0, 300.0]), each_polar=False)
    steps = StepRange(0, model.n_steps)
    for precision in PRECISIONS:
        total = kernel_of(precision).partial(model, whole(model), steps, None).total
        assert np.isfinite(total).all()
        assert (total == 0.0).mean() > 0.9


@pytest.mark.parametrize("name", ["few cells, odd", "interpolated", "all factors"])
def test_threads_repeat_the_bits(name):
    """Many tasks at once in one process: always the same numbers."""
    model = model_of(name, "c")
    kernel = kernel_of()
    tiles = list(TileGrid(whole(model).shape, (8, 24))) * 3
    alone = [tile_image(model, kernel, tile) for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tile: tile_image(model, kernel, tile), tiles))
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)


def test_real_threads_of_a_block_give_the_same_bits():
    """With 16 threads of the system to a block, the barriers have to be where they must be."""
    several = CudaKernel("float64", HostLauncher(threads=16))
    detector = Detector(pixels_fast=13, pixels_slow=7, pixel_size=4e-4)
    sampling = Sampling(oversample=1, dmin=2e-10)
    model = build_model(
        small_experiment(crystal=crystal(mosaic_domains=150), detector=detector, sampling=sampling)
    )
    assert np.array_equal(tile_image(model, several), tile_image(model, kernel_of()))


def test_only_the_last_models_stay_on_the_device():
    """Their tables are given back when other models come."""
    kernel = CudaKernel("float64", HostLauncher())
    models = [model_of(name) for name in ("list", "round", "gauss", "tophat", "layers")]
    images = [tile_image(model, kernel) for model in models]
    assert len(kernel._ready) == 3
    assert np.array_equal(tile_image(models[0], kernel), images[0])


def test_auto_takes_pairs_where_float64_is_slow():
    """And float64 elsewhere; the kernel says which one it is."""
    launcher = HostLauncher()
    assert CudaKernel("auto", launcher).precision == "float64"
    launcher.slow_float64 = True
    assert CudaKernel("auto", launcher).precision == "pairs"
    assert CudaKernel("mixed", launcher).precision == "mixed"


def test_what_cannot_be_done_is_refused_in_one_line(monkeypatch):
    """Precision, tile, grid, compiler."""
    with pytest.raises(BackendError, match=r"--precision = 'half': must be one of float64, mixed"):
        CudaHostKernel("half")
    model = model_of("list")
    with pytest.raises(PlanError, match=r"65536 x 32768 pixels: .* give a smaller --tile"):
        kernel_of().partial(model, Tile(0, 65536, 0, 32768), StepRange(0, 1), None)
    wide = np.broadcast_to(np.zeros((1, 1, 1)), (2000, 1000, 1100))
    with pytest.raises(PlanError, match=r"2000 x 1000 x 1100 indices"):
        pack(replace(model, f_grid=wide, interpolate=False), "float64")
    with pytest.raises(ValueError, match="a value for each"):
        struct_of(PARAMS, {"fast": 0.0})
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BackendError, match=r"needs the C\+\+ compiler g\+\+.*by CXX"):
        HostLauncher()


def test_a_text_that_does_not_compile_is_reported_in_one_line():
    """With the compiler's own first error."""
    program = pack(model_of("list"), "float64").program
    broken = program._replace(text=program.text.replace("lattice_sphere(p, at)", "nothing(p)", 1))
    launcher = HostLauncher()
    assert not launcher.is_compiled(broken)
    with pytest.raises(BackendError, match=r"cannot compile the kernels: kernels\.cu:\d+.*error"):
        launcher.compile(broken)
    assert not launcher.is_compiled(broken)


def test_needs_compiling_until_the_library_is_there(monkeypatch, tmp_path):
    """A new cache folder is empty; the host's library holds all versions."""
    model = model_of("list")
    kernel_of().partial(model, Tile(0, 1, 0, 1), StepRange(0, 1), None)
    assert not kernel_of().needs_compiling(model)
    monkeypatch.setenv("NBDASK_CACHE_DIR", str(tmp_path))
    assert CudaHostKernel().needs_compiling(model)


def test_working_memory_counts_sums_and_listed_pixels():
    """It grows with the tile, and more where some pixels are left out."""
    model = model_of("list")
    kernel = kernel_of()
    assert kernel.working_bytes(model, 10**6) >= 8 * 10**6
    part = replace(model, roi=(3, 8, 3, 8))
    assert kernel.working_bytes(part, 10**6) > kernel.working_bytes(model, 10**6)


@pytest.mark.long
def test_no_access_is_out_of_bounds():
    """Every feature once under AddressSanitizer, in a process of its own."""
    libraries = [
        subprocess.run(
            ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so")
    ]
    if not all(Path(library).is_absolute() for library in libraries):
        pytest.skip("the compiler has no AddressSanitizer")
    code = (
        "import sys\n"
        "from nbdask.kernels.cuda_host import HostLauncher\n"
        "from nbdask.kernels.cuda_kernel import CudaKernel\n"
        "from tests.helpers import tile_image\n"
        "from tests.kernels.features import FEATURES, PRODUCTS, model_of\n"
        "flags = ('-fsanitize=address', '-g')\n"
        "for precision in ('float64', 'mixed', 'pairs'):\n"
        "    kernel = CudaKernel(precision, HostLauncher(flags))\n"
        "    for semantics, names in (('spec', FEATURES), ('c', PRODUCTS)):\n"
        "        for name in names:\n"
        "            tile_image(model_of(name, semantics), kernel)\n"
        "print('all read')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": "detect_leaks=0",
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    assert done.stdout.split("\n")[0] == "all read", done.stderr[-2000:]
