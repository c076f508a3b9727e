"""Plans for GPUs: costs, tiles, step ranges; and plans made where there is no GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nbdask import lazy
from nbdask.cluster.gate import make_check
from nbdask.cluster.options import JobOptions
from nbdask.errors import BackendError
from nbdask.experiment import Detector, Sampling, Scan
from nbdask.geometry.build import build_model
from nbdask.graph.context import RunContext, Setup
from nbdask.kernels import cuda_device, registry
from nbdask.kernels.cuda_costs import USUAL, gpu_costs, keyed
from nbdask.kernels.cuda_cupy import GpuKernel
from nbdask.kernels.cuda_facts import GpuFacts
from nbdask.kernels.registry import BACKENDS, kernel_facts
from nbdask.plan.cost import AMPLITUDES, SHAPES, Costs
from nbdask.plan.demand import Resources
from nbdask.plan.estimate import Workers
from nbdask.plan.plan import make_plan
from nbdask.prepare import Settings, prepare
from tests.helpers import COSTS, small_experiment
from tests.kernels.cupy_standin import Array, install

FOUR = Workers(1, 4, 1)
no_gpu = pytest.mark.skipif(cuda_device.unusable() is None, reason="there is a GPU")


def detector_model(side: int, oversample: int = 1):
    """Return the model of a large detector, of which no pixels are computed."""
    detector = Detector(pixels_slow=side, pixels_fast=side, pixel_size=1e-4)
    return build_model(
        small_experiment(detector=detector, sampling=Sampling(oversample=oversample))
    )


def plan_of(model, workers=FOUR, memory_limit="64GiB"):
    """Return a plan for a GPU with plenty of memory beside it."""
    return make_plan(model, GpuFacts("float64"), Resources(COSTS, workers, memory_limit))


def test_long_runs_are_cut_into_pieces_that_fill_a_gpu() -> None:
    """4096 x 4096 pixels of a million steps: tiles of a million pixels, tasks of half a second."""
    plan = plan_of(detector_model(4096, 1000))
    assert plan.grid.tile == (1024, 1024)
    assert 0.5 <= plan.task_seconds <= 1.2
    assert 60 < plan.run_seconds < 180
    assert plan.tasks < 500


def test_short_work_is_not_cut() -> None:
    """One range below a second of the GPU's time; large tiles on large detectors."""
    assert len(plan_of(detector_model(4096, 300)).steps) == 1
    plan = plan_of(detector_model(16384, 10))
    assert plan.grid.tile == (2048, 2048)
    assert len(plan.steps) == 1
    assert plan_of(detector_model(300)).grid.tile == (300, 300)


def test_threads_share_the_gpu() -> None:
    """More of them write faster, but the evaluations take as long; GPUs add up."""
    model = detector_model(4096, 1000)
    one, four = plan_of(model, workers=Workers(1, 1, 1)), plan_of(model)
    assert one.run_seconds == pytest.approx(four.run_seconds)
    devices = plan_of(model, workers=Workers(4, 4, 1))
    assert devices.run_seconds < 0.3 * four.run_seconds
    cheap = detector_model(16384)
    threads = [plan_of(cheap, workers=Workers(1, n, 1)).run_seconds for n in (1, 4)]
    assert threads[1] < 0.5 * threads[0]


def test_memory_still_limits_tiles() -> None:
    """Below what fills a GPU, if there is no more."""
    assert plan_of(detector_model(16384, 3), memory_limit="400MiB").grid.tile[0] < 1024


def test_costs_follow_the_gpu(monkeypatch) -> None:
    """Units times clock; what one GPU says is not what another is planned with."""
    usual = keyed("cuda", gpu_costs(*USUAL))
    slow = keyed("cuda", gpu_costs(128, 2, 2.5e9))
    key = "cuda/float64/square/list"
    assert 1e11 < 1e9 / usual[key] < 2e11
    assert 3e9 < 1e9 / slow[key] < 1.2e10
    assert slow["cuda/pairs/square/list"] < 0.1 * slow[key]
    install(monkeypatch)
    kernel = GpuKernel()
    assert kernel.costs[key] == pytest.approx(usual[key])
    plan = make_plan(detector_model(4096, 3), kernel, Resources(Costs({}, {key: 1e6}), FOUR))
    assert plan.run_seconds < 10
    assert plan.costs == "estimated from a GPU's clock and units"


def test_the_table_is_complete() -> None:
    """A figure for every precision, shape and kind of amplitudes."""
    backend = BACKENDS["cuda"]
    for precision in ("float64", "mixed", "pairs"):
        rows = backend.costs[precision]
        assert set(rows) == {*SHAPES, "pixel"}
        for shape in SHAPES:
            assert len(rows[shape]) == len(AMPLITUDES)
            assert min(rows[shape]) > 0
        assert len(rows["pixel"]) == 1


def test_a_gpu_with_few_units_is_named_once(monkeypatch) -> None:
    """The note tells what to choose; no note where it was chosen, or the GPU is quick."""
    made = install(monkeypatch)
    assert GpuKernel().note is None
    facts = made.cuda.runtime.getDeviceProperties

    def small(number):
        return facts(number) | {"major": 8, "minor": 9}

    monkeypatch.setattr(made.cuda.runtime, "getDeviceProperties", small)
    note = GpuKernel().note
    assert note is not None
    assert "--precision pairs" in note
    assert "--precision auto" in note
    assert GpuKernel("pairs").note is None
    assert GpuKernel("auto").precision == "pairs"
    monkeypatch.setattr(registry, "_made", {})
    model, _, _ = prepare(small_experiment(), Settings(backend="cuda"))
    assert model.notes.count(note) == 1


JOBS = JobOptions(memory="4GB")


@no_gpu
def test_a_login_node_needs_no_gpu(tmp_path) -> None:
    """The plan of a run on a batch system; the same on this machine is refused."""
    settings = Settings(backend="cuda", cluster="slurm", workers=2, jobs=JOBS)
    _, plan, _ = prepare(small_experiment(), settings)
    assert (plan.backend, plan.precision) == ("cuda", "float64")
    assert plan.kernel_version == GpuFacts("float64").version
    for here in (None, "local"):
        with pytest.raises(BackendError, match="--backend cuda"):
            prepare(small_experiment(), Settings(backend="cuda", cluster=here))
    with pytest.raises(BackendError, match="--precision auto asks the GPU"):
        prepare(small_experiment(), Settings("cuda", "auto", cluster="slurm", workers=2, jobs=JOBS))


@no_gpu
def test_workers_check_themselves(monkeypatch) -> None:
    """The client could not know: a worker without a GPU says why, one with a GPU takes part."""
    settings = Settings(backend="cuda", cluster="slurm", workers=2, jobs=JOBS)
    model, plan, _ = prepare(small_experiment(), settings)
    check = make_check(Setup("run", RunContext.of(model, plan)))
    reason = check()
    assert reason is not None
    assert reason.startswith("kernel cuda: ")
    install(monkeypatch)
    monkeypatch.setattr(registry, "_made", {})
    assert check() is None


def test_facts_are_those_of_the_kernel(monkeypatch) -> None:
    """Name, version and bytes, with and without a GPU; other kernels are made as always."""
    install(monkeypatch)
    monkeypatch.setattr(registry, "_made", {})
    model = detector_model(64)
    kernel, facts = kernel_facts("cuda", "mixed"), kernel_facts("cuda", "mixed", here=False)
    assert isinstance(kernel, GpuKernel)
    assert isinstance(facts, GpuFacts)
    for name in ("name", "precision", "version", "on_device"):
        assert getattr(kernel, name) == getattr(facts, name)
    assert kernel.working_bytes(model, 4096) == facts.working_bytes(model, 4096)
    assert not facts.needs_compiling(model)
    assert kernel_facts("numpy", "float64", here=False).name == "numpy"
    with pytest.raises(BackendError, match="must be one of"):
        kernel_facts("cuda", "half", here=False)


@pytest.mark.parametrize("semantics", ["spec", "c"])
def test_lazy_chunks_never_leave_the_gpu(monkeypatch, semantics) -> None:
    """Each chunk is the array that the kernel filled, with the pixels of the other way."""
    cupy = install(monkeypatch)
    monkeypatch.setattr(registry, "_made", {})
    from nbdask.graph import tasks

    experiment = small_experiment(
        scan=Scan(phi0=0.0, osc=0.2, count=2),
        sampling=Sampling(oversample=1, roi=(3, 20, 2, 23)),
    ).replace(semantics=semantics)
    model, plan, _ = prepare(experiment, Settings(backend="cuda", tile=16))
    context = RunContext.of(model, plan)
    expected = [tasks.compute_tile(context, index).image for index in range(len(plan.grid))]
    uploads, asarray = [], cupy.asarray

    def noted(array):
        uploads.append(array.dtype)
        return asarray(array)

    monkeypatch.setattr(cupy, "asarray", noted)
    for index, image in enumerate(expected):
        place = divmod(index, plan.grid.counts[1])
        found = lazy._block(context, on_device=True, block_id=place)
        np.testing.assert_array_equal(found.held, image)
    # Tables of another model for the first pixel are float64.
    assert np.dtype(np.float32) not in uploads


def test_lazy_chunks_of_a_processor_are_copied_to_the_gpu(monkeypatch) -> None:
    """The processor's kernel serves as well; its chunks are uploaded."""
    install(monkeypatch)

    model, plan, _ = prepare(small_experiment(), Settings(backend="numpy", tile=32))
    found: Any = lazy._block(RunContext.of(model, plan), on_device=True, block_id=(0, 0))
    assert isinstance(found, Array)
    assert found.held.max() > 0
