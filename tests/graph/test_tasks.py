"""The tasks of one tile: region of interest, mask, merging, finishing, errors."""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest

from nbdask.cluster.threads import ThreadsExecutor
from nbdask.errors import BackendError, SemanticsError
from nbdask.experiment import Detector, Sampling, Scan, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.graph import tasks
from nbdask.graph.build import tile_graph, tile_graphs
from nbdask.graph.context import RunContext, Setup, context_of
from nbdask.kernels import registry
from nbdask.kernels.interface import Partial
from nbdask.kernels.reference import ReferenceKernel
from nbdask.plan.demand import Resources
from nbdask.plan.plan import make_plan
from tests.helpers import COSTS, image_of, reflections, small_experiment

DETECTOR = Detector(pixels_fast=24, pixels_slow=32, pixel_size=4e-4)


def context_for(experiment, tile=8, steps_per_task=None, write_tile=None) -> RunContext:
    """Return the context of a run with the reference kernel."""
    model = build_model(experiment)
    resources = Resources(COSTS)
    plan = make_plan(model, ReferenceKernel(), resources, tile=tile, steps_per_task=steps_per_task)
    return RunContext.of(model, plan, write_tile)


def assembled(context: RunContext) -> np.ndarray:
    """Return the whole image, tile by tile."""
    image = np.full(context.grid.shape, np.nan, np.float32)
    for index, tile in enumerate(context.grid):
        pixels = tasks.compute_tile(context, index).image
        image[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1] = pixels
    return image


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write an SMV image that is 0 where ``mask`` is False."""
    slow, fast = mask.shape
    header = (
        f"{{\nHEADER_BYTES=512;\nDIM=2;\nTYPE=unsigned_short;\nSIZE1={fast};\nSIZE2={slow};\n}}"
    )
    path.write_bytes(header.encode().ljust(512) + mask.astype("<u2").tobytes())


@pytest.mark.parametrize("semantics", ["spec", "c"])
@pytest.mark.parametrize("tile", [8, (9, 24), (32, 10)])
def test_tiles_are_the_parts_of_the_image(tile, semantics) -> None:
    """Tile by tile gives the bits of the whole, with the first evaluation's exception too."""
    experiment = small_experiment(
        scan=Scan(phi0=0.0, osc=0.01, count=3), detector=DETECTOR, semantics=semantics
    )
    whole = image_of(experiment, ReferenceKernel())
    assert np.array_equal(assembled(context_for(experiment, tile)), whole)


def test_outside_the_region_of_interest_nothing_is_evaluated(monkeypatch) -> None:
    """Pixels outside are 0, tiles wholly outside never reach the kernel, others only in part."""
    experiment = small_experiment(sampling=Sampling(oversample=1, roi=(10, 17, 5, 12)))
    seen = []
    partial = ReferenceKernel.partial

    def watched(self, model, tile, steps, mask):
        seen.append(tile)
        return partial(self, model, tile, steps, mask)

    monkeypatch.setattr(ReferenceKernel, "partial", watched)
    image = assembled(context_for(experiment))
    assert sum(t.pixels for t in seen) == 8 * 8
    assert len(seen) == 4
    inside = np.zeros(image.shape, bool)
    inside[10:18, 5:13] = True
    assert (image[~inside] == 0).all()
    full = image_of(small_experiment(), ReferenceKernel())
    assert np.array_equal(image[inside], full[inside])


def test_masked_pixels_are_zero_and_counted(tmp_path) -> None:
    """Mask and region of interest together; wholly masked tiles are not evaluated."""
    mask = np.random.default_rng(1).random((32, 24)) > 0.4
    mask[8:16, 8:16] = False
    write_mask(tmp_path / "mask.img", mask)
    roi = (2, 29, 3, 20)
    sampling = Sampling(oversample=1, roi=roi, mask=str(tmp_path / "mask.img"))
    context = context_for(small_experiment(sampling=sampling))
    results = [tasks.compute_tile(context, index) for index in range(len(context.grid))]
    inside = np.zeros(mask.shape, bool)
    inside[2:30, 3:21] = True
    image = assembled(context)
    assert (image[~(mask & inside)] == 0).all()
    assert (image[mask & inside] > 0).any()
    assert sum(r.summary.n_evaluated for r in results) == (mask & inside).sum()
    assert sum(r.summary.n_masked for r in results) == (~mask & inside).sum()
    assert tasks.evaluate_part(context, 4, 0).partial is None


def test_ranges_merge_to_the_whole_sum() -> None:
    """Any splitting of the steps gives the unsplit image to one unit in the last place."""
    experiment = small_experiment(sampling=Sampling(oversample=3))
    whole = assembled(context_for(experiment))
    for steps in (1, 2, 4):
        split = assembled(context_for(experiment, steps_per_task=steps))
        distance = np.abs(whole.view(np.int32).astype(np.int64) - split.view(np.int32))
        assert distance.max() <= 1


def test_the_order_of_completion_does_not_matter() -> None:
    """Pieces are merged as the graph says: in the order of the ranges, gains included."""
    context = context_for(small_experiment(), steps_per_task=1)
    pieces = [
        tasks.TimedPartial(Partial(np.full((2, 2), t), np.full((2, 2), g), 1), 0.5)
        for t, g in ((1.0, 2.0), (3.0, 5.0), (7.0, 11.0))
    ]
    merged = tasks.add(tasks.add(pieces[0], pieces[1]), pieces[2])
    assert merged.partial is not None
    assert (merged.partial.total == (1.0 * 5 + 3) * 11 + 7).all()
    assert merged.partial.gain is not None
    assert (merged.partial.gain == 2 * 5 * 11).all()
    assert (merged.partial.outside, merged.seconds) == (3, 1.5)
    graph = tile_graph("run", 3, 3).graph
    assert graph["sum-run", 3, 2] == (tasks.add, ("sum-run", 3, 1), ("part-run", 3, 2))
    assert graph["sum-run", 3, 1] == (tasks.add, ("part-run", 3, 0), ("part-run", 3, 1))
    assert len(graph) == 3 + 2 + 1
    assert len(context.steps) == 1


def test_graphs_are_made_one_by_one() -> None:
    """A million tiles are an iterator, not a million graphs."""
    graphs = tile_graphs("run", range(10**6), 2)
    assert next(graphs).key == ("tile-run", 0)
    assert next(graphs).key == ("tile-run", 1)


def test_few_partial_sums_are_alive_at_a_time() -> None:
    """Fifty ranges per tile are merged as they come: memory does not grow with their number."""
    alive, most = 0, 0
    lock = threading.Lock()

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    class Counting(ReferenceKernel):
        def partial(self, model, tile, steps, mask):
            nonlocal alive, most
            total = np.ones(tile.shape)
            weakref.finalize(total, gone)
            with lock:
                alive += 1
                most = max(most, alive)
            return Partial(total, None, 0)

    experiment = small_experiment(sampling=Sampling(oversample=7))
    context = context_for(experiment, steps_per_task=1)
    setup = Setup("run-z", context)
    registry_kernel, registry._made["numpy", "float64"] = registry.get_kernel("numpy"), Counting()
    try:
        done: list[tasks.TileResult] = []
        graphs = tile_graphs("run-z", range(12), len(context.steps))
        # With more threads, one that the system suspends would keep the others from merging.
        ThreadsExecutor(1).run(setup, graphs, done.append)
    finally:
        registry._made["numpy", "float64"] = registry_kernel
    assert len(context.steps) == 49
    assert len(done) == 12
    assert most <= 4


def test_interpolation_outside_the_grid_is_refused_under_c() -> None:
    """C semantics explain why; spec semantics count."""
    sampling = Sampling(oversample=1, interpolate=True)
    structure = StructureFactors(reflections=reflections(2), default_F=10.0)
    experiment = small_experiment(sampling=sampling, structure=structure)
    result = tasks.compute_tile(context_for(experiment), 0)
    assert result.summary.outside > 0
    with pytest.raises(SemanticsError, match=r"slow 0, fast 0.*timing.*--semantics spec"):
        tasks.compute_tile(context_for(experiment.replace(semantics="c")), 0)


def test_an_error_names_the_tile(monkeypatch) -> None:
    """Whatever a kernel raises, the message says where."""

    def broken(self, model, tile, steps, mask):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(ReferenceKernel, "partial", broken)
    context = context_for(small_experiment())
    with pytest.raises(
        tasks.TileError, match=r"tile 5 \(slow 8 to 16, fast 16 to 24\).*ZeroDivisionError: by"
    ):
        tasks.compute_tile(context, 5)


def test_another_kernel_version_is_refused() -> None:
    """A process whose kernel differs from the plan's never starts."""
    context = context_for(small_experiment())
    other = RunContext(context.model, context.grid, context.steps, "numpy", "float64", "0.9")
    with pytest.raises(BackendError, match="version"):
        Setup("run-x", other).install()
    with pytest.raises(RuntimeError, match="run-x"):
        context_of("run-x")


def test_setup_installs_and_removes() -> None:
    """The context is there between the two."""
    setup = Setup("run-y", context_for(small_experiment()))
    setup.install()
    assert context_of("run-y") is setup.context
    written: list[int] = []
    assert tasks.whole("run-y", 2).image is not None
    assert written == []
    setup.remove()
    with pytest.raises(RuntimeError):
        tasks.whole("run-y", 2)


def test_tasks_need_no_dask() -> None:
    """The task functions run without any scheduler."""
    code = "import sys, nbdask.graph.build; print('dask' in sys.modules, 'zarr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("name", "precision", "text"),
    [
        ("fortran", "float64", "must be one of auto, cpu, cuda, numpy"),
        ("numpy", "mixed", "float64 only: --precision mixed needs"),
        ("cpu", "float16", "must be one of float64, mixed"),
    ],
)
def test_unknown_kernels_are_refused(name, precision, text) -> None:
    """The message says what there is."""
    with pytest.raises(BackendError, match=text):
        registry.get_kernel(name, precision)


def test_a_kernel_is_made_once() -> None:
    """The same object for the same name."""
    assert registry.get_kernel("numpy") is registry.get_kernel("numpy")
