"""The launcher for GPUs, with a stand-in for CuPy; on a GPU where there is one."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nbdask.errors import BackendError
from nbdask.experiment import Sampling
from nbdask.geometry.build import build_model
from nbdask.kernels import cuda_cupy, cuda_device
from nbdask.kernels.cuda_cupy import Budget, GpuKernel
from nbdask.kernels.cuda_host import CudaHostKernel
from nbdask.kernels.cuda_pack import gpu_pack
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.helpers import small_experiment
from tests.kernels.cupy_standin import CudaError, OutOfMemory, Standin

MODEL = build_model(small_experiment())
WHOLE = Tile(0, 32, 0, 24)
STEPS = StepRange(0, MODEL.n_steps)


@pytest.fixture
def cupy(monkeypatch) -> Standin:
    """A stand-in for CuPy in place of the package."""
    made = Standin()
    monkeypatch.setitem(sys.modules, "cupy", made)
    monkeypatch.delenv(cuda_cupy.LIMIT, raising=False)

    def compiled(program, capability):
        path = Path(f"{hash(program)}.cubin")
        made.text[str(path)] = program
        assert capability == 90
        return path

    monkeypatch.setattr(cuda_cupy, "compiled_file", compiled)
    return made


def test_pixels_go_there_and_come_back(cupy) -> None:
    """Sums, photons and the whole way in one, with a mask and without: those of the host."""
    kernel, host = GpuKernel(), CudaHostKernel()
    mask = np.random.default_rng(3).random(WHOLE.shape) < 0.5
    for chosen in (None, mask):
        partial = kernel.partial(MODEL, WHOLE, STEPS, chosen)
        expected = host.partial(MODEL, WHOLE, STEPS, chosen)
        np.testing.assert_array_equal(partial.total, expected.total)
        photons = kernel.finish(MODEL, WHOLE, partial, chosen)
        np.testing.assert_array_equal(photons, host.finish(MODEL, WHOLE, expected, chosen))
        np.testing.assert_array_equal(kernel.image(MODEL, WHOLE, chosen)[0], photons)


def test_blocks_cover_the_pixels(cupy) -> None:
    """As many blocks as the program's threads and pixels per thread need."""
    GpuKernel().partial(MODEL, WHOLE, STEPS, None)
    entry, grid, block = cupy.launches[0]
    program = gpu_pack(MODEL, "float64").program
    assert entry == "nb_sum"
    assert block == (program.threads,)
    assert grid == (-(-WHOLE.pixels // (program.threads * program.pixels)),)


def test_many_threads_share_a_gpu(cupy) -> None:
    """Tiles of eight threads at once are right, and streams are used again."""
    kernel, host = GpuKernel(), CudaHostKernel()
    tiles = [Tile(s, s + 8, f, f + 8) for s in range(0, 32, 8) for f in range(0, 24, 8)] * 3
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda t: kernel.image(MODEL, t, None)[0], tiles))
    for tile, image in zip(tiles, found, strict=True):
        np.testing.assert_array_equal(image, host.image(MODEL, tile, None)[0])
    assert len(kernel.launcher._streams) <= 8  # type: ignore[attr-defined]


def test_running_products(cupy) -> None:
    """The gain travels in both directions too."""
    sampling = Sampling(oversample=2, oversample_omega=True)
    model = build_model(small_experiment(sampling=sampling).replace(semantics="c"))
    kernel, host = GpuKernel(), CudaHostKernel()
    steps = StepRange(0, model.n_steps)
    partial, expected = (k.partial(model, WHOLE, steps, None) for k in (kernel, host))
    assert partial.gain is not None
    np.testing.assert_array_equal(partial.gain, expected.gain)
    photons = kernel.finish(model, WHOLE, partial, None)
    np.testing.assert_array_equal(photons, host.finish(model, WHOLE, expected, None))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CudaError("cudaErrorECCUncorrectable"), "Stand-in failed: cudaErrorECC.*--resume"),
        (OutOfMemory("out of memory"), "no memory left.*smaller --tile"),
    ],
)
def test_errors_of_the_gpu_are_one_line(cupy, monkeypatch, error, text) -> None:
    """What the GPU says, and what to do; the stream is given back and the kernel goes on."""
    kernel = GpuKernel()
    empty = cupy.empty

    def fail(count, dtype):
        raise error

    monkeypatch.setattr(cupy, "empty", fail)
    with pytest.raises(BackendError, match=text):
        kernel.image(MODEL, WHOLE, None)
    monkeypatch.setattr(cupy, "empty", empty)
    assert kernel.image(MODEL, WHOLE, None)[0].max() > 0


def test_memory_of_the_gpu_is_limited(cupy, monkeypatch) -> None:
    """A share of what is free, or what the environment says; never more than there is."""
    assert GpuKernel().launcher._budget.total == int(0.8 * (1 << 30))  # type: ignore[attr-defined]
    monkeypatch.setenv(cuda_cupy.LIMIT, "1MiB")
    launcher = GpuKernel().launcher
    assert launcher._pool.limit == 1 << 20  # type: ignore[attr-defined]
    monkeypatch.setenv(cuda_cupy.LIMIT, "4GB")
    with pytest.raises(BackendError, match=r"has 1\.0 GiB"):
        GpuKernel()


def test_a_task_that_can_never_fit_is_refused(cupy, monkeypatch) -> None:
    """Before anything is put on the GPU, with the numbers and what to change."""
    monkeypatch.setenv(cuda_cupy.LIMIT, "4KiB")
    kernel = GpuKernel()
    with pytest.raises(BackendError, match=r"KiB of the GPU's memory, but 4\.0 KiB.*--tile"):
        kernel.image(MODEL, WHOLE, None)
    assert cupy.launches == []


def test_a_budget_is_never_exceeded() -> None:
    """Shares wait for each other; all are served."""
    budget, lock = Budget(10), threading.Lock()
    taken, most, served = 0, 0, 0

    def take(wanted: int) -> None:
        nonlocal taken, most, served
        with budget.share(wanted):
            with lock:
                taken += wanted
                most = max(most, taken)
            threading.Event().wait(0.002)
            with lock:
                taken -= wanted
                served += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, [3, 7, 10, 1, 5, 4] * 5))
    assert served == 30
    assert 7 <= most <= 10


needs_gpu = pytest.mark.skipif(
    cuda_device.unusable() is not None, reason=f"no GPU: {cuda_device.unusable()}"
)


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu() -> None:
    """The GPU's pixels are those of the host build to float32 rounding."""
    kernel, host = GpuKernel(), CudaHostKernel()
    image, expected = (k.image(MODEL, WHOLE, None)[0] for k in (kernel, host))
    np.testing.assert_allclose(image, expected, rtol=2e-7, atol=1e-6 * float(expected.max()))


@pytest.mark.gpu
@needs_gpu
def test_lazy_chunks_on_a_gpu() -> None:
    """``array="cupy"`` leaves chunks on the GPU."""
    import cupy

    import nbdask

    lazy = nbdask.image(small_experiment(), backend="cuda", array="cupy")
    chunk = lazy.data[:8, :8].compute()
    assert isinstance(chunk, cupy.ndarray)
    here = nbdask.image(small_experiment(), backend="cuda")[:8, :8].values
    np.testing.assert_array_equal(cupy.asnumpy(chunk), here)
