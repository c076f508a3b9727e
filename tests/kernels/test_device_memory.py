"""What tasks hold, share and wait for on a GPU, with a stand-in for CuPy."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nbdask.errors import BackendError
from nbdask.experiment import Crystal, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.kernels.cuda_budget import LIMIT, Budget
from nbdask.kernels.cuda_cupy import CupyTask, GpuKernel
from nbdask.kernels.cuda_facts import copied_blocks, page_locked_bytes
from nbdask.kernels.cuda_host import CudaHostKernel
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile
from tests.helpers import reflections, small_experiment
from tests.kernels.cupy_standin import CudaError, OutOfMemory, Standin, install

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not on the path")

WHOLE = Tile(0, 32, 0, 24)
MODEL = build_model(small_experiment())


@pytest.fixture
def cupy(monkeypatch) -> Standin:
    """A stand-in for CuPy in place of the package."""
    return install(monkeypatch)


def models(count: int):
    """Return different models with lists of amplitudes."""
    cell = (7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66)
    return [
        build_model(
            small_experiment(
                crystal=Crystal(cell=cell, n_cells=(5, 4 + number, 5)),
                structure=StructureFactors(reflections=reflections(4, number), default_F=3.0),
            )
        )
        for number in range(count)
    ]


class Gate:
    """Holds every task back just before its first wait, until as many are there."""

    def __init__(self, monkeypatch, parties: int) -> None:
        barrier, waited = threading.Barrier(parties), threading.local()
        wait = CupyTask.wait

        def held(task: CupyTask) -> None:
            if not getattr(waited, "done", False):
                waited.done = True
                barrier.wait(60)
            wait(task)

        monkeypatch.setattr(CupyTask, "wait", held)


def test_a_task_holds_what_it_reads(cupy, monkeypatch) -> None:
    """Six models at once, all started before any is computed: each reads its own tables."""
    chosen = models(6)
    host = CudaHostKernel()
    expected = [host.image(model, WHOLE, None)[0] for model in chosen]
    kernel = GpuKernel()
    Gate(monkeypatch, len(chosen))
    with ThreadPoolExecutor(len(chosen)) as pool:
        found = list(pool.map(lambda model: kernel.image(model, WHOLE, None)[0], chosen))
    for image, right in zip(found, expected, strict=True):
        np.testing.assert_array_equal(image, right)


def test_tables_that_nobody_reads_are_released(cupy) -> None:
    """Three models stay; the bytes of the others are free again."""
    kernel = GpuKernel()
    budget = kernel.launcher._budget
    for model in models(3):
        kernel.image(model, WHOLE, None)
    full = budget._taken
    assert full == budget._tables > 3 * 8 * 11**3
    for model in models(5):
        kernel.image(model, WHOLE, None)
    assert budget._taken == full
    assert kernel.launcher._pool.used == full


def test_tables_count_in_the_budget(cupy, monkeypatch) -> None:
    """Tasks and tables together never exceed the pool, where a model leaves before the next."""
    monkeypatch.setenv(LIMIT, "60KiB")
    kernel, host = GpuKernel(), CudaHostKernel()
    chosen = models(4) * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda model: kernel.image(model, WHOLE, None)[0], chosen))
    for model, image in zip(chosen, found, strict=True):
        np.testing.assert_array_equal(image, host.image(model, WHOLE, None)[0])
    pool_of_gpu = kernel.launcher._pool
    assert 30 << 10 < pool_of_gpu.most <= pool_of_gpu.limit


def test_tables_that_can_never_fit_are_refused(cupy, monkeypatch) -> None:
    """Before anything is launched; and the kernel goes on with what does fit."""
    monkeypatch.setenv(LIMIT, "20KiB")
    kernel = GpuKernel()
    large = build_model(small_experiment(structure=StructureFactors(reflections=reflections(9))))
    with pytest.raises(BackendError, match=r"GPU's memory, but 20\.0 KiB may be used.*--tile"):
        kernel.image(large, WHOLE, None)
    assert cupy.launches == []
    assert kernel.image(MODEL, WHOLE, None)[0].max() > 0


def test_a_share_that_tables_leave_no_room_for_is_refused(monkeypatch) -> None:
    """Nothing runs that could end, so waiting would not help; the line says what holds the rest."""
    monkeypatch.setattr("nbdask.kernels.cuda_budget._PATIENCE", 0.2)
    budget = Budget(1000)
    budget.keep(600)
    text = r"needs 500 B.*1000 B may be used \(600 B hold tables"
    with pytest.raises(BackendError, match=text), budget.share(500):
        pass
    budget.let_go(600)
    with budget.share(500):
        pass


def test_a_full_gpu_is_one_line_and_no_end(cupy, monkeypatch) -> None:
    """Memory that others took: the line says so; with room again the kernel computes."""
    kernel = GpuKernel()
    pool = kernel.launcher._pool
    pool.limit = 10 << 10
    with pytest.raises(BackendError, match=r"Stand-in has no memory left.*--tile"):
        kernel.image(MODEL, WHOLE, None)
    pool.limit = 1 << 30
    assert kernel.image(MODEL, WHOLE, None)[0].max() > 0
    assert kernel.launcher._budget._taken == kernel.launcher._budget._tables


def test_waiting_leaves_the_core_to_others(cupy) -> None:
    """Tasks wait for events that block; no stream is waited for by spinning."""
    kernel = GpuKernel()
    kernel.image(MODEL, WHOLE, None)
    partial = kernel.partial(MODEL, WHOLE, StepRange(0, MODEL.n_steps), None)
    kernel.finish(MODEL, WHOLE, partial, None)
    assert [stream.spins for stream in kernel.launcher._streams] == [0]


def test_without_page_locked_memory_it_goes_on(cupy, monkeypatch) -> None:
    """The system's limit of locked memory is no fault of the GPU: common memory serves."""

    def refuse(size):
        raise CudaError("cudaErrorMemoryAllocation: out of memory")

    expected = CudaHostKernel().image(MODEL, WHOLE, None)[0]
    monkeypatch.setattr(cupy.cuda, "alloc_pinned_memory", refuse)
    np.testing.assert_array_equal(GpuKernel().image(MODEL, WHOLE, None)[0], expected)


def test_other_errors_of_page_locked_memory_are_the_gpus(cupy, monkeypatch) -> None:
    """Only a lack of memory is taken lightly."""

    def refuse(size):
        error = CudaError("cudaErrorIllegalAddress: an illegal memory access")
        error.status = 700
        raise error

    monkeypatch.setattr(cupy.cuda, "alloc_pinned_memory", refuse)
    with pytest.raises(BackendError, match="Stand-in failed: cudaErrorIllegalAddress"):
        GpuKernel().image(MODEL, WHOLE, None)


def test_after_an_error_that_stays_nothing_is_started(cupy) -> None:
    """The first task says what happened, the others that this process is done with the GPU."""
    kernel = GpuKernel()
    assert kernel.image(MODEL, WHOLE, None)[0].max() > 0
    cupy.lost = CudaError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    with pytest.raises(BackendError, match=r"Stand-in failed: cudaErrorIllegal.*--resume"):
        kernel.image(MODEL, WHOLE, None)
    cupy.lost = None
    before = len(cupy.launches)
    for model in (MODEL, *models(1)):
        with pytest.raises(BackendError, match=r"failed before \(cudaErrorIllegal.*--resume") as no:
            kernel.image(model, WHOLE, None)
        assert "\n" not in str(no.value)
    assert len(cupy.launches) == before
    assert kernel.launcher._budget._taken == kernel.launcher._budget._tables


def test_an_error_that_passes_does_not_stop_the_kernel(cupy, monkeypatch) -> None:
    """Memory that was short, for one."""
    kernel = GpuKernel()
    zeros = cupy.zeros

    def fail(count, dtype):
        raise OutOfMemory("out of memory")

    monkeypatch.setattr(cupy, "zeros", fail)
    with pytest.raises(BackendError, match="no memory left"):
        kernel.image(MODEL, WHOLE, None)
    monkeypatch.setattr(cupy, "zeros", zeros)
    assert kernel.image(MODEL, WHOLE, None)[0].max() > 0


def test_page_locked_blocks_count_as_large_as_they_are() -> None:
    """Powers of two, of each copy; a mask and a running product need more of them."""
    assert page_locked_bytes([1, 513, 1 << 20, (1 << 20) + 1]) == 512 + 1024 + (3 << 20)
    plain = page_locked_bytes(copied_blocks(MODEL, 1_100_000))
    assert plain == (16 << 20) + 512
    sampling = Sampling(oversample=1, roi=(0, 9, 0, 9))
    part = build_model(small_experiment(sampling=sampling))
    assert page_locked_bytes(copied_blocks(part, 1_100_000)) > 2 * plain
    every = Sampling(oversample=1, oversample_omega=True)
    product = build_model(small_experiment(sampling=every).replace(semantics="c"))
    assert page_locked_bytes(copied_blocks(product, 1_100_000)) == 2 * (16 << 20) + 512
    assert CudaHostKernel().working_bytes(MODEL, 1000) == 8008


@pytest.mark.parametrize("masked", [False, True])
def test_an_image_stays_on_the_gpu(cupy, masked) -> None:
    """The same bits as the image that comes back, zeros where the mask is; nothing is downloaded
    but the count, and the memory is the caller's.
    """
    kernel = GpuKernel()
    mask = np.random.default_rng(3).random(WHOLE.shape) < 0.5 if masked else None
    expected = kernel.image(MODEL, WHOLE, mask)[0]
    before = kernel.launcher._pool.used
    image, outside = kernel.device_image(MODEL, WHOLE, mask)
    assert outside == 0
    np.testing.assert_array_equal(image.held, expected)
    assert kernel.launcher._pool.used == before
    assert cupy.default_pool.used == cupy.default_pool.rounded(image.nbytes)
    kernel.put(np.float32(7.0), image, (3, 5))
    expected = expected.copy()
    expected[3, 5] = 7.0
    np.testing.assert_array_equal(image.held, expected)


def test_nothing_to_evaluate_is_zeros_on_the_gpu(cupy) -> None:
    """No launch for a mask without a pixel."""
    image, outside = GpuKernel().device_image(MODEL, WHOLE, np.zeros(WHOLE.shape, np.bool_))
    assert not image.held.any()
    assert (outside, cupy.launches) == (0, [])
