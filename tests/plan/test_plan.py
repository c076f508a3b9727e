"""The choice of tiles and step ranges, and what is refused."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
import tracemalloc

import pytest

from nbdask.errors import PlanError
from nbdask.experiment import Detector, Sampling
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import default_costs
from nbdask.plan.cost import Costs
from nbdask.plan.demand import Resources, Shots
from nbdask.plan.estimate import Workers
from nbdask.plan.plan import Plan, make_plan, parse_tile
from nbdask.plan.steps import split_steps
from tests.helpers import COSTS, small_experiment

TWO = Workers(1, 2, 1)


class FastKernel(ReferenceKernel):
    """The facts of a fast kernel; plans never call it."""

    name = "cpu"


def model_of(n_slow: int, n_fast: int | None = None, oversample: int = 1, **sampling) -> Model:
    """Return a model of a large detector (no pixels are computed)."""
    detector = Detector(pixels_slow=n_slow, pixels_fast=n_fast or n_slow, pixel_size=1e-4)
    return build_model(
        small_experiment(detector=detector, sampling=Sampling(oversample=oversample, **sampling))
    )


def plan_of(model: Model, workers=TWO, costs=COSTS, memory_limit="64GiB", **options) -> Plan:
    """Return a plan from the default cost figures for two threads and plenty of memory."""
    return make_plan(model, FastKernel(), Resources(costs, workers, memory_limit), **options)


def test_a_usual_run_has_square_tiles_of_1024() -> None:
    """A common detector with a few steps: tiles alone give enough tasks."""
    plan = plan_of(model_of(4096, oversample=10))
    assert plan.grid.tile == (1024, 1024)
    assert len(plan.steps) == 1
    assert plan.tasks == len(plan.grid) == 16


def test_cheap_pixels_on_a_large_detector_take_greater_tiles() -> None:
    """Few nanoseconds per pixel and many pixels: tiles of 2048, the greatest there is."""
    assert plan_of(model_of(65536)).grid.tile == (2048, 2048)


def test_a_small_cheap_image_is_one_tile() -> None:
    """Cutting what takes milliseconds would cost more than it gains."""
    plan = plan_of(model_of(500, 700))
    assert plan.grid.tile == (500, 700)
    assert len(plan.grid) == 1


def test_long_work_is_cut_into_smaller_tiles() -> None:
    """Many steps: tiles of a shorter side, tasks of at most about two seconds."""
    plan = plan_of(model_of(4096, oversample=35))
    assert plan.grid.tile[0] < 1024
    assert plan.task_seconds <= 2.1
    assert len(plan.steps) == 1


def test_steps_are_cut_where_tiles_are_not_enough() -> None:
    """A small detector with very many steps: both are cut, tasks are neither too few nor long."""
    plan = plan_of(model_of(128, oversample=1000), workers=Workers(1, 16, 1))
    assert len(plan.steps) > 1
    assert plan.tasks >= 2 * 16
    assert plan.task_seconds <= 2.1
    assert [s.start for s in plan.steps[1:]] == [s.stop for s in plan.steps[:-1]]
    assert plan.steps[-1].stop == 1000**2


def test_every_thread_gets_tiles() -> None:
    """At least two tiles per thread when the work is worth it."""
    model = model_of(2048, oversample=20)
    for threads in (1, 4, 16):
        plan = plan_of(model, workers=Workers(1, threads, 1))
        assert plan.tasks >= 2 * threads


def test_small_shots_are_tasks_and_large_ones_are_cut() -> None:
    """S-STORE-81: many small ones go as a whole, of a few large ones each thread gets tiles."""
    small, large = model_of(256), model_of(4096, oversample=8)
    many = plan_of(small, tile=64, shots=Shots(1000, (small,)))
    assert (many.together, many.tasks) == (16, 1000)
    assert "tasks     1000: whole shots of 16 tiles, at most" in many.describe()
    assert many.task_seconds <= 0.2
    few = plan_of(large, shots=Shots(2, (large,)), workers=Workers(1, 16, 1))
    assert few.together == 1
    assert few.tasks >= 2 * 16
    one = plan_of(small, tile=64, shots=Shots(1, (small,)))
    assert one.together == 1
    assert plan_of(small, tile=64).together == 1


def test_never_a_task_per_pixel() -> None:
    """Even absurdly many threads and steps leave tiles of 64 x 64."""
    plan = plan_of(model_of(4096, oversample=1000), workers=Workers(1000, 8, 1001))
    assert min(plan.grid.tile) >= 64


def test_thousands_of_threads_do_not_get_more_tasks_than_can_be_led() -> None:
    """Jobs wait in a queue, which is said; tasks that cannot travel together are long enough."""
    many = Workers(1000, 8, 1001, queued=True)
    plan = plan_of(model_of(65536, oversample=10), workers=many)
    assert (
        plan.estimate.leading
        <= 1.2 * plan_of(model_of(65536, oversample=10), workers=many, tile=2048).run_seconds
    )
    assert plan.run_seconds >= plan.estimate.leading
    line = plan.describe().splitlines()[-1]
    assert line.startswith("time      about")
    assert "and the jobs' time in their queue, limited by" in line
    cut = plan_of(model_of(1024, oversample=1000), workers=Workers(100, 1, 101))
    assert cut.task_seconds >= 0.2
    tiny = plan_of(model_of(65536, oversample=10), workers=many, tile=64)
    assert tiny.run_seconds > tiny.estimate.leading > 60
    assert tiny.estimate.limit == "the leading process"


def test_only_the_region_of_interest_counts() -> None:
    """Tiles outside the region of interest are no work."""
    model = model_of(8192, oversample=3, roi=(1000, 1100, 2000, 4100))
    plan = plan_of(model, tile=1024)
    assert len(plan.grid) == 64
    assert plan.working_tiles == plan.tasks == 2 * 4
    assert plan.run_seconds < plan_of(model_of(8192, oversample=3), tile=1024).run_seconds


def test_the_estimate_grows_with_the_work_and_shrinks_with_threads() -> None:
    """Start-up counts once, worker processes start slower, tiles of zeros cost little."""
    model = model_of(8192, oversample=5)
    one, four = (plan_of(model, tile=512, workers=Workers(1, n, 1)).run_seconds for n in (1, 4))
    assert 3.0 < (one - 2.0) / (four - 2.0) < 5.0
    processes = plan_of(model, tile=512, workers=Workers(4, 1, 5)).run_seconds
    assert processes > four
    empty = plan_of(model_of(8192, oversample=5, roi=(0, 9, 0, 9)), tile=512).run_seconds
    full = plan_of(model_of(8192), tile=512).run_seconds
    assert empty < full


def test_tile_and_steps_can_be_given() -> None:
    """Options prevail; a tile is clipped to the detector."""
    plan = plan_of(model_of(100, 300, oversample=4), tile="64,512", steps_per_task=5)
    assert plan.grid.tile == (64, 300)
    assert len(plan.steps) == 4
    assert max(s.length for s in plan.steps) <= 5
    assert split_steps(16, plan.to_dict()["steps_per_task"]) == list(plan.steps)


def test_the_choice_repeats() -> None:
    """The same model, machine and figures give the same plan."""
    model = model_of(3000, 2000, oversample=5)
    assert plan_of(model) == plan_of(model)


def test_figures_decide_the_size() -> None:
    """A machine ten times slower gets smaller tiles."""
    model = model_of(4096, oversample=10)
    slow = Costs(default_costs(), {"cpu/float64/square/constant": 40.0})
    assert plan_of(model, costs=slow).grid.tile < plan_of(model).grid.tile


def test_tiles_shrink_to_fit_the_memory() -> None:
    """Less memory, smaller tiles; too little is refused with the numbers and the flags."""
    model = model_of(8192, oversample=3)
    wide, narrow = plan_of(model), plan_of(model, memory_limit="450MiB")
    assert narrow.grid.tile < wide.grid.tile
    assert narrow.process_bytes <= 450 << 20
    with pytest.raises(PlanError, match=r"needs .*MiB.*--memory-limit is 100\.0 MiB.*--tile"):
        plan_of(model, memory_limit="100MiB")
    with pytest.raises(PlanError, match="tiles of 2048 x 2048"):
        plan_of(model, memory_limit="450MiB", tile=2048)


@pytest.mark.parametrize("value", ["", "0", "7", "8,4", "1,2,3", "a", 3.5, (64,), True, [9, 9.5]])
def test_impossible_tiles_are_refused(value) -> None:
    """The message says what a tile may be."""
    if value == (64,):
        assert parse_tile(value) == (64, 64)
        return
    with pytest.raises(PlanError, match="--tile"):
        parse_tile(value)


@pytest.mark.parametrize("value", [0, -3, 2.5, True])
def test_impossible_steps_are_refused(value) -> None:
    """A task has at least one step."""
    with pytest.raises(PlanError, match="--steps-per-task"):
        plan_of(model_of(64), steps_per_task=value)


def test_a_million_tiles_are_planned_at_once() -> None:
    """No list of tiles is made: planning allocates next to nothing, whatever the detector."""
    model = model_of(1_024_000)
    tracemalloc.start()
    plan = plan_of(model, tile=1024)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(plan.grid) == 1_000_000
    assert peak < 1 << 20
    assert len(pickle.dumps(plan)) < 4096


def test_a_plan_is_plain_data() -> None:
    """It survives pickling and cannot be changed."""
    plan = plan_of(model_of(1000))
    assert pickle.loads(pickle.dumps(plan)) == plan
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.backend = "other"  # type: ignore[misc]


def test_describe_names_everything() -> None:
    """The printed plan holds tiles, tasks, kernel, memory and time."""
    text = plan_of(model_of(4096, oversample=10)).describe()
    for word in ("4096 x 4096", "16 of 1024 x 1024", "cpu", "memory", "time"):
        assert word in text


def test_planning_needs_no_dask() -> None:
    """The plan is made before any scheduler is imported."""
    code = "import sys, nbdask.plan.plan; print('dask' in sys.modules, 'zarr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
