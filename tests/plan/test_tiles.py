"""Laws of tiles and steps, and the plan as people and files see it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbdask.errors import PlanError
from nbdask.experiment import Detector, Experiment, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.registry import default_costs
from nbdask.plan import memory
from nbdask.plan.cost import EACH_TERM_FACTOR, Costs, load_costs, save_costs
from nbdask.plan.demand import Resources
from nbdask.plan.estimate import Workers, format_seconds
from nbdask.plan.plan import Plan, make_plan, parse_tile
from nbdask.plan.steps import StepRange, split_steps
from nbdask.plan.tiles import Tile, TileGrid
from tests.helpers import COSTS, reflections, small_experiment

side = st.integers(1, 40)
grids = st.builds(TileGrid, shape=st.tuples(side, side), tile=st.tuples(side, side))
edge = st.integers(-20, 20)
quick = settings(max_examples=20, deadline=None)


class Facts:
    """What a plan needs to know of a kernel."""

    def __init__(self, name: str = "cpu", on_device: bool = False, need: int = 100) -> None:
        self.name, self.precision, self.version = name, "float64", "1.2.3"
        self.on_device, self.need, self.done = on_device, need, 1.0
        self.costs = {"cuda/float64/square/constant": 0.001} if on_device else {}

    def working_bytes(self, model: Model, pixels: int) -> int:
        """Return bytes in proportion to the pixels."""
        return self.need * pixels

    def share(self, model: Model) -> tuple[float, float]:
        """Return what is done, and the time that it takes."""
        return self.done, 2.0 * self.done if self.done < 1.0 else 1.0


def model_of(slow: int, fast: int, **sampling: Any) -> Model:
    """Return a model of a detector of which no pixel is computed."""
    detector = Detector(pixels_slow=slow, pixels_fast=fast, pixel_size=1e-4)
    return build_model(
        small_experiment(detector=detector, sampling=Sampling(**{"oversample": 1, **sampling}))
    )


def plan_of(
    model: Model,
    kernel: Facts | None = None,
    workers: Workers = Workers(),  # noqa: B008
    memory_limit: int | str = "1TiB",
    **options: Any,
) -> Plan:
    """Return a plan with plenty of memory."""
    resources = Resources(COSTS, workers, memory_limit)
    return make_plan(model, kernel or Facts(), resources, **options)


BASE_MODEL = model_of(500, 300)


@given(grids)
@quick
def test_tiles_cover_every_pixel_once(grid: TileGrid) -> None:
    """Row by row, none empty, none larger than a full tile."""
    seen = np.zeros(grid.shape, dtype=int)
    for index, tile in enumerate(grid):
        seen[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] += 1
        assert tile == grid[index]
        assert tile.pixels == tile.shape[0] * tile.shape[1] >= 1
        assert tile.shape[0] <= grid.tile[0]
        assert tile.shape[1] <= grid.tile[1]
        row, column = grid.place(index)
        assert (tile.slow0, tile.fast0) == (row * grid.tile[0], column * grid.tile[1])
    assert (seen == 1).all()
    assert len(grid) == index + 1 == grid.counts[0] * grid.counts[1]


@given(grids)
@quick
def test_there_is_no_tile_beyond_the_grid(grid: TileGrid) -> None:
    """Neither after the last nor, as with a list, before the first."""
    for index in (-1, len(grid), len(grid) + 100):
        with pytest.raises(IndexError):
            grid[index]


@given(st.tuples(edge, edge, edge, edge), st.tuples(edge, edge, edge, edge))
@quick
def test_the_common_part_is_that_of_sets_of_pixels(one: tuple, other: tuple) -> None:
    """In either order; None where there is none."""
    first = Tile(*sorted(one[:2]), *sorted(one[2:]))
    second = Tile(*sorted(other[:2]), *sorted(other[2:]))

    def pixels(tile: Tile) -> set[tuple[int, int]]:
        return {(s, f) for s in range(*tile[:2]) for f in range(*tile[2:4])}

    common = first.intersect(second)
    assert common == second.intersect(first)
    assert (pixels(common) if common else set()) == pixels(first) & pixels(second)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
@quick
def test_steps_are_cut_without_gaps_into_even_parts(total: int, per_task: int) -> None:
    """None above the limit, as few as possible, and lengths that differ by one at most."""
    if total / per_task > 2000:
        per_task = total // 2000 + 1
    parts = split_steps(total, per_task)
    assert parts[0].start == 0
    assert parts[-1].stop == total
    assert all(a.stop == b.start for a, b in pairwise(parts))
    lengths = [part.length for part in parts]
    assert max(lengths) <= per_task
    assert max(lengths) - min(lengths) <= 1
    assert len(parts) == -(-total // per_task)


@given(st.integers(8, 5000), st.integers(8, 5000))
@quick
def test_sizes_of_tiles_are_read_in_every_form(slow: int, fast: int) -> None:
    """Text with a comma or an x, tuples and lists; one number is both sides."""
    for value in (
        (slow, fast),
        [slow, fast],
        f"{slow},{fast}",
        f"{slow}x{fast}",
        f" {slow} , {fast} ",
    ):
        assert parse_tile(value) == (slow, fast)
    for lone in (slow, str(slow), (slow,), float(slow)):
        assert parse_tile(lone) == (slow, slow)


@pytest.mark.parametrize(
    "value", ["64,", ",64", "64;64", "8.5", "64,7", "-64", None, {}, [64, None], "inf", [True, 64]]
)
def test_other_sizes_are_refused_in_one_line(value: object) -> None:
    """With what was given, and what a tile may be."""
    with pytest.raises(PlanError) as caught:
        parse_tile(value)
    assert str(caught.value) == (
        f"--tile = {value!r}: must be one whole number, or two as SLOW,FAST, of at least 8 pixels"
        " each"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.0123, "0.012 s"), (3.14159, "3.1 s"), (9.99, "10 s"), (75.4, "75 s"),
     (119.9, "120 s"), (120, "2 min"), (3599, "60 min"), (7199, "120 min"), (7200, "2.0 h"),
     (1e6, "277.8 h")],
)  # fmt: skip
def test_durations_for_people(seconds: float, text: str) -> None:
    """Two digits of seconds, then minutes, then hours."""
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [("1", 1), ("1k", 1024), ("1KB", 1000), ("0.5 MiB", 1 << 19), (".5g", 1 << 29),
     ("2tib", 2 << 40),
     (" 7 TB ", 7 * 10**12), ("1e3kib", 1024000), (1.5e9, 1_500_000_000), (2**62, 2**62)],
)  # fmt: skip
def test_sizes_of_memory(text: object, count: int) -> None:
    """Powers of 1000 with a B, of 1024 with an i or alone."""
    assert memory.parse_bytes(text) == count


@pytest.mark.parametrize(
    "text", ["0.4", "1 kbit", "1,5GB", "GiB 2", "0x10", "nan", "1e", "- 1", True]
)
def test_sizes_that_are_none(text: object) -> None:
    """The message names the flag that it was given to."""
    with pytest.raises(PlanError) as caught:
        memory.parse_bytes(text, "--memory")
    assert str(caught.value) == (
        f"--memory = {text!r}: must be a size above 0 such as 800MB, 2GiB or 4e9"
    )


@given(st.integers(0, 2**60))
@quick
def test_bytes_for_people_are_read_back(count: int) -> None:
    """To the digits shown."""
    text = memory.format_bytes(count)
    if count:
        assert memory.parse_bytes(text) == pytest.approx(count, rel=0.06)
    assert len(text) <= 14


def test_a_task_needs_planes_for_each_range_and_factor() -> None:
    """Exactly: the kernel's own bytes, float64 planes, a mask, the image and its copy."""
    model, pixels = model_of(100, 100), 1000

    def need(_: Model, count: int) -> int:
        return 7 * count

    assert memory.task_bytes(model, pixels, 1, need) == 7000 + 1000 * (8 + 12)
    assert memory.task_bytes(model, pixels, 2, need) == 7000 + 1000 * (4 * 8 + 12)
    running = replace(model, running_product=True)
    assert memory.task_bytes(running, pixels, 1, need) == 7000 + 1000 * (16 + 12)
    assert memory.process_bytes(100, 20, 3) == memory.PROCESS_BYTES + 320


def test_a_large_table_is_not_counted_since_it_is_mapped() -> None:
    """From 64 MiB on; the squared copy of one that is not interpolated still is."""
    model = model_of(10, 10)
    grid = np.lib.stride_tricks.as_strided(np.zeros(1), (210, 200, 200), (0, 0, 0))
    assert grid.nbytes >= memory.MAPPED_BYTES
    large = replace(model, f_grid=grid)
    assert memory.model_bytes(large) == memory.model_bytes(model) + 8 * 212 * 202 * 202
    assert memory.model_bytes(replace(large, interpolate=True)) == memory.model_bytes(model)


def test_a_gpu_gets_tiles_that_fill_it_and_its_own_figures() -> None:
    """Tiles of 1024, of 2048 where there are many; its clock gives the estimate."""
    device = Facts("cuda", on_device=True)
    plan = plan_of(model_of(2000, 2000), device)
    assert plan.grid.tile == (1024, 1024)
    assert plan_of(model_of(4000, 4000), device).grid.tile == (2048, 2048)
    assert plan.costs == "estimated from a GPU's clock and units"
    assert len(plan.steps) == 1
    many = plan_of(model_of(2000, 2000, oversample=1000), device)
    assert len(many.steps) == int(1024**2 * 1000**2 * 0.001e-9 / 0.5)
    little = plan_of(model_of(4000, 4000), device, memory_limit="360MiB")
    assert little.grid.tile == (512, 512)


def test_on_a_gpu_threads_only_finish_what_it_computed() -> None:
    """Evaluations are shared by the GPUs, the rest by the threads; the longer one counts."""
    model, device = model_of(4000, 4000, oversample=300), Facts("cuda", on_device=True)
    one = plan_of(model, device, workers=Workers(1, 1)).run_seconds
    threads = plan_of(model, device, workers=Workers(1, 8)).run_seconds
    devices = plan_of(model, device, workers=Workers(2, 4)).run_seconds
    assert threads == one
    start = Costs({}).of_run("start")
    assert devices - start == pytest.approx((one - start) / 2)


@given(st.integers(1, 500), st.integers(1, 300), st.integers(0, 499), st.integers(0, 299))
@example(64, 48, 0, 0)
@example(65, 49, 127, 95)
@settings(max_examples=12, deadline=None)
def test_tiles_that_work_are_those_that_touch_the_region(
    height: int, width: int, slow: int, fast: int
) -> None:
    """Counted one by one they are as many."""
    roi = (slow, min(slow + height, 500) - 1, fast, min(fast + width, 300) - 1)
    plan = plan_of(replace(BASE_MODEL, roi=roi), tile=(64, 48))
    region = Tile(roi[0], roi[1] + 1, roi[2], roi[3] + 1)
    touching = sum(tile.intersect(region) is not None for tile in plan.grid)
    assert plan.working_tiles == touching
    assert plan.tasks == touching * len(plan.steps)


def test_a_plan_on_record_gives_its_pieces_again() -> None:
    """Through JSON: tiles and step ranges are those that were planned."""
    plan = plan_of(model_of(500, 300, oversample=7), tile="100x64", steps_per_task=9)
    data = json.loads(json.dumps(plan.to_dict()))
    assert TileGrid(tuple(data["shape"]), tuple(data["tile"])) == plan.grid
    assert split_steps(data["steps"], data["steps_per_task"]) == list(plan.steps)
    assert data["tiles"] == len(plan.grid) == 25
    assert (data["steps"], data["ranges"], data["steps_per_task"]) == (49, 6, 9)
    assert (data["backend"], data["precision"]) == ("cpu", "float64")
    assert data["kernel_version"] == "1.2.3"
    assert plan.image_bytes == 4 * 500 * 300
    assert plan.steps[0] == StepRange(0, 8)


@pytest.mark.parametrize("value", [0, -1, 1.0, "5", True])
def test_impossible_steps_are_refused(value: Any) -> None:
    """In one line."""
    with pytest.raises(PlanError) as caught:
        plan_of(BASE_MODEL, steps_per_task=value)
    assert str(caught.value) == (
        f"--steps-per-task = {value!r}: must be a whole number of at least 1"
    )


def test_a_run_without_enough_memory_is_told_what_would_do() -> None:
    """Both figures, the flags, and what one thread with small tiles needs; that is then enough."""
    model, workers = model_of(3000, 3000), Workers(1, 4)
    with pytest.raises(PlanError) as caught:
        plan_of(model, Facts(need=1000), tile=1000, workers=workers, memory_limit="1GiB")
    text = str(caught.value)
    assert text.startswith(
        "a process needs 4.1 GiB (320.0 MiB for itself and its input, and 4 task"
    )
    assert "for tiles of 1000 x 1000 pixels) but --memory-limit is 1.0 GiB: give a smaller" in text
    least = text.rsplit("needs ", 1)[1].removesuffix(")")
    enough = int(memory.parse_bytes(least) * 1.01)
    plan = plan_of(model, Facts(need=1000), workers=Workers(), memory_limit=enough)
    assert plan.process_bytes <= enough


def test_factors_of_each_term_cost_more() -> None:
    """As much as the figures say, and in every precision; measured figures prevail."""
    costs = Costs({"a/float64/square/constant": 2.0, "a/float64/pixel": 10.0})
    plain = costs.per_evaluation(BASE_MODEL, "a", "float64")
    each = costs.per_evaluation(replace(BASE_MODEL, each_omega=True), "a", "float64")
    assert plain == pytest.approx(2e-9)
    assert each == pytest.approx(EACH_TERM_FACTOR * plain)
    assert costs.per_pixel("a", "mixed") == pytest.approx(10e-9)
    assert costs.of_gpu({}) is costs
    device = costs.of_gpu({"a/float64/square/constant": 0.5})
    assert device.per_evaluation(BASE_MODEL, "a", "float64") == pytest.approx(0.5e-9)
    assert device.per_pixel("a", "float64") == pytest.approx(10e-9)


def test_measured_figures_that_are_none_are_left_out(tmp_path) -> None:
    """What is not above 0 was not measured; a damaged file is written anew."""
    path = tmp_path / "deep" / "costs.json"
    usual = default_costs()
    path.parent.mkdir()
    path.write_text("{damaged")
    save_costs({"cpu/float64/pixel": 3.25, "cpu/float64/square/list": 0.0}, path)
    costs = load_costs(usual, path)
    assert costs.lookup("cpu/float64/pixel") == 3.25
    assert costs.lookup("cpu/float64/square/list") == usual["cpu/float64/square/list"]


def test_a_longer_list_of_amplitudes_needs_more_memory() -> None:
    """Every process holds it once, whatever the number of threads."""

    def need(limit: int, threads: int) -> int:
        listed = StructureFactors(reflections=reflections(limit=limit))
        experiment: Experiment = small_experiment(structure=listed)
        return plan_of(build_model(experiment), workers=Workers(1, threads)).process_bytes

    more = 8 * (31**3 - 11**3) + 8 * (33**3 - 13**3)
    assert need(15, 1) - need(5, 1) == more
    assert need(15, 4) - need(5, 4) == more


def test_a_plan_knows_what_is_skipped() -> None:
    """Time and tasks are those of what is done; the plan says which share that is."""
    full, kernel = Facts(), Facts()
    kernel.done = 0.031
    model = model_of(2048, 2048, oversample=8)
    plain, skipping = plan_of(model, full), plan_of(model, kernel)
    assert (plain.share, skipping.share) == (1.0, 0.031)
    ratio = skipping.estimate.computing / plain.estimate.computing
    assert ratio == pytest.approx(0.062)
    assert "64 steps each of which about 3.1 % is done" in skipping.describe()
    assert "%" not in plain.describe()
