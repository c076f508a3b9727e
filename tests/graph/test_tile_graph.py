"""The dask graph of a tile: its shape, and that any schedule of it gives the image."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbdask.errors import BackendError, NbdaskError
from nbdask.experiment import Experiment, Sampling
from nbdask.fill.listen import is_working
from nbdask.geometry.build import build_model
from nbdask.graph import tasks
from nbdask.graph.build import Graph, tile_graph, tile_graphs
from nbdask.graph.context import RunContext, Setup, context_of
from nbdask.kernels.interface import Partial
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.demand import Resources
from nbdask.plan.plan import make_plan
from nbdask.plan.steps import split_steps
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.statistics import EMPTY, TileSummary
from tests.helpers import COSTS, image_of, small_experiment

EXPERIMENT = small_experiment(sampling=Sampling(oversample=2))


def context_for(experiment: Experiment = EXPERIMENT, **options: Any) -> RunContext:
    """Return the context of a run with the reference kernel."""
    model = build_model(experiment)
    write = options.pop("write_tile", None)
    plan = make_plan(model, ReferenceKernel(), Resources(COSTS), **{"tile": 16, **options})
    return RunContext.of(model, plan, write)


def dependencies(graph: Graph) -> dict[Any, list[Any]]:
    """Return the keys that every task of a graph reads."""
    return {
        key: [word for word in task[1:] if isinstance(word, tuple) and word in graph.graph]
        for key, task in graph.graph.items()
    }


@given(st.integers(1, 40), st.integers(0, 10**6))
@settings(max_examples=12, deadline=None)
def test_one_task_for_each_range_and_a_chain_of_sums(ranges: int, index: int) -> None:
    """As many evaluations as ranges, one sum less, one end; each part is read once."""
    graph = tile_graph("r", index, ranges)
    assert graph.key == ("tile-r", index)
    assert graph.key in graph.graph
    reads = dependencies(graph)
    if ranges == 1:
        assert reads == {graph.key: []}
        return
    assert len(graph.graph) == 2 * ranges
    read = [key for keys in reads.values() for key in keys]
    assert sorted(map(str, read)) == sorted(str(k) for k in graph.graph if k != graph.key)
    assert sum(not keys for keys in reads.values()) == ranges


def test_tiles_of_a_shot_are_one_task() -> None:
    """S-STORE-81: those that are missing, never of two shots."""
    grid = TileGrid((20, 20), (10, 10), 1, 3)
    found = list(tile_graphs("r", [0, 1, 3, 4, 9, 10, 11], 1, grid, together=4))
    assert [graph.graph[graph.key][2:] for graph in found] == [(0, 1, 3), (4,), (9, 10, 11)]
    assert [len(graph.graph) for graph in found] == [1, 1, 1]
    assert found[2].label == "shot 2, 3 tiles"
    two = list(tile_graphs("r", range(12), 1, grid, together=2))
    assert [graph.key[1] for graph in two] == [0, 2, 4, 6, 8, 10]
    assert len(list(tile_graphs("r", range(12), 2, grid, together=4))) == 12


def test_names_say_tile_and_range() -> None:
    """For who looks at a scheduler's pages."""
    grid, steps = TileGrid((16, 16), (8, 8)), split_steps(100, 50)
    (graph,) = tile_graphs("r", [3], 2, grid, steps)
    assert graph.label == "slow 8 to 16, fast 8 to 16"
    assert ("part-r", 3, 1, "slow 8 to 16, fast 8 to 16, steps 50 to 100") in graph.graph


def test_keys_of_runs_and_tiles_differ() -> None:
    """No task of one is taken for that of another."""
    keys = [
        key for run in ("a", "b") for graph in tile_graphs(run, range(3), 2) for key in graph.graph
    ]
    assert len(keys) == len(set(keys)) == 2 * 3 * 4


@pytest.mark.parametrize("steps", [None, 1, 3])
@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_any_scheduler_computes_the_image(steps: int | None, scheduler: str) -> None:
    """Tile by tile, with the bits of the tasks called one after another."""
    context = context_for(steps_per_task=steps)
    setup = Setup("any", context)
    setup.install()
    try:
        for graph in tile_graphs("any", range(len(context.grid)), len(context.steps)):
            found = (
                dask.get(graph.graph, graph.key)
                if scheduler == "synchronous"
                else (dask.threaded.get(graph.graph, graph.key, num_workers=2))
            )
            alone = tasks.compute_tile(context, graph.key[1])
            assert found.index == graph.key[1]
            assert np.array_equal(found.image, alone.image)
            assert found.summary._replace(seconds=0) == alone.summary._replace(seconds=0)
    finally:
        setup.remove()


def test_summaries_of_tiles_are_those_of_their_pixels() -> None:
    """Number, greatest pixel with its place on the detector, mean."""
    context, image = context_for(), image_of(EXPERIMENT)
    for index, tile in enumerate(context.grid):
        summary = tasks.compute_tile(context, index).summary
        part = image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
        assert summary.n_evaluated == tile.pixels
        assert summary.max == part.max() == image[summary.max_slow, summary.max_fast]
        assert summary.mean == pytest.approx(float(part.mean(dtype=float)), rel=1e-12)
        assert summary.m2 == pytest.approx(float(part.var(dtype=float)) * part.size, rel=1e-9)
        assert is_working(summary)


def test_what_is_written_is_not_kept() -> None:
    """The writer gets index, tile, pixels and summary; the result holds the record instead."""
    seen: list[tuple[int, Tile, np.ndarray, TileSummary]] = []

    def write(*parts: Any) -> list[float]:
        seen.append(parts)
        return [1.0, 2.0]

    context = context_for(write_tile=write)
    setup = Setup("written", context)
    setup.install()
    try:
        result = tasks.whole("written", 3)
    finally:
        setup.remove()
    ((index, tile, pixels, summary),) = seen
    assert (index, tile) == (3, context.grid[3])
    assert np.array_equal(pixels, tasks.compute_tile(context, 3).image)
    assert result.image is None
    assert (result.summary, result.record) == (summary, (1.0, 2.0))


def test_a_writer_that_fails_names_the_tile() -> None:
    """One of users' own errors passes as it is, anything else becomes a line of text."""

    def fail(error: Exception) -> str:
        def write(*_: Any) -> None:
            raise error

        setup = Setup("failing", context_for(write_tile=write))
        setup.install()
        try:
            with pytest.raises(NbdaskError) as caught:
                tasks.whole("failing", 1)
        finally:
            setup.remove()
        return str(caught.value)

    assert fail(BackendError("as it is")) == "as it is"
    assert fail(ZeroDivisionError("odd")) == (
        "tile 1 (slow 0 to 16, fast 16 to 24), writing: ZeroDivisionError: odd"
    )


def test_pieces_add_up_in_their_order() -> None:
    """Seconds too; a piece of nothing stays nothing."""
    one = tasks.TimedPartial(Partial(np.array([[1.0]]), np.array([[2.0]]), 3), 0.5)
    two = tasks.TimedPartial(Partial(np.array([[10.0]]), np.array([[3.0]]), 4), 0.25)
    total = tasks.add(one, two)
    assert total.partial is not None
    assert total.partial.gain is not None
    assert total.partial.total.tolist() == [[13.0]]  # 3 * 1 + 10
    assert total.partial.gain.tolist() == [[6.0]]
    assert (total.partial.outside, total.seconds) == (7, 0.75)
    nothing = tasks.add(tasks.TimedPartial(None, 1.0), tasks.TimedPartial(None, 2.0))
    assert (nothing.partial, nothing.seconds) == (None, 3.0)


def test_a_tile_beside_the_region_of_interest_is_dark_and_idle() -> None:
    """Zeros, an empty summary, nothing evaluated; it does not count as work."""
    sampling = Sampling(oversample=1, roi=(0, 15, 0, 15))
    context = context_for(small_experiment(sampling=sampling))
    result = tasks.compute_tile(context, 3)
    assert result.summary == EMPTY
    assert result.image is not None
    assert result.image.shape == (16, 8)
    assert not result.image.any()
    assert not is_working(result.summary)
    assert tasks.compute_on_device(context, 0) is None


def test_a_run_that_nobody_installed_is_told() -> None:
    """By its name, and after it was taken out again."""
    setup = Setup("gone", context_for())
    assert setup.requires == ("numpy", "float64", ReferenceKernel().version)
    setup.install()
    assert context_of("gone") is setup.context
    setup.remove()
    setup.remove()
    with pytest.raises(RuntimeError, match="run gone is not known to this process"):
        tasks.whole("gone", 0)
