"""What several test modules share: small experiments, golden cases, whole images."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nbdask.experiment import Crystal, Detector, Experiment, Sampling, StructureFactors
from nbdask.geometry.build import build_model
from nbdask.geometry.model import Model
from nbdask.kernels.carry_over import patch_carry_over
from nbdask.kernels.interface import Kernel, Partial, merge
from nbdask.kernels.reference import ReferenceKernel
from nbdask.kernels.registry import default_costs
from nbdask.plan.cost import Costs
from nbdask.plan.steps import StepRange
from nbdask.plan.tiles import Tile, TileGrid
from nbdask.store import schema
from nbdask.store.address import place_of
from nbdask.store.ledger import Ledger
from nbdask.store.reader import StoreReader

#: What has to be on the path of a process that uses the tests' modules.
ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"
RIGHT = math.pi / 2
#: Words by which Python takes warnings for errors, but not what others deprecate: their next
#: release must not break a test.
STRICT: tuple[str, ...] = ("-W", "error")
for _name in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"):
    STRICT += ("-W", f"ignore::{_name}")

#: Seconds that anything which surely comes may take, on however busy a machine.
PATIENCE = 900.0

#: Bound of the worst pointwise relative deviation from C (floor: 1e-6 of the maximum).
PARITY = 2e-7

#: What evaluations cost where nothing was measured.
COSTS = Costs(default_costs())


def sampled(values: Iterable[Any], every: int) -> list[Any]:
    """Return values of a parameter, one in `every` for the quick suite, the rest for the long."""
    return [
        pytest.param(value, marks=[pytest.mark.long] if number % every else [])
        for number, value in enumerate(values)
    ]


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def small_experiment(**parts: Any) -> Experiment:
    """Return a 32 x 24 pixel experiment of a triclinic cell; ``parts`` replace whole parts."""
    values: dict[str, Any] = {
        "crystal": Crystal(cell=(7e-9, 8e-9, 9e-9, 1.31, 1.48, 1.66), n_cells=(5, 5, 5)),
        "structure": StructureFactors(default_F=100.0),
        "detector": Detector(pixels_fast=24, pixels_slow=32, pixel_size=4e-4),
        "sampling": Sampling(oversample=1),
    }
    values.update(parts)
    return Experiment(**values)


def lose_records(store: Path | str, *tiles: int) -> None:
    """Take the records of tiles away from a store, and its journals."""
    StoreReader(store).records.settle()
    ledger = Ledger.to_write(place_of(store))
    ledger.drop(tiles)
    ledger.flush()


def records_of(store: Path | str) -> NDArray[np.float64]:
    """Return the records of a store, (tiles, fields)."""
    return all_records(StoreReader(store))


def all_records(reader: StoreReader) -> NDArray[np.float64]:
    """Return all records as they are now, (tiles, fields)."""
    reader.records.refresh()
    return reader.records.rows(0, len(reader.grid))


def root_of(grid: TileGrid, experiment: Experiment | None = None, **more: Any) -> dict[str, Any]:
    """Return the least attributes that a store's root must have, and more."""
    made = small_experiment() if experiment is None else experiment
    return {
        "format": schema.FORMAT,
        "format_version": schema.FORMAT_VERSION,
        "status": schema.RUNNING,
        "plan": {"shape": list(grid.shape), "tile": list(grid.tile), "steps_per_task": 1},
        "experiment": made.to_dict(),
        "fingerprint": made.fingerprint(),
        "semantics": "spec",
        "backend": "cpu",
        "precision": "float64",
        "kernel_version": "1",
        "seeds": {},
        "inputs": [],
        "statistics": None,
        **more,
    }


def reflections(limit: int = 9, seed: int = 5) -> tuple[tuple[int, int, int, float], ...]:
    """Return a full block of random amplitudes, |h|, |k|, |l| up to ``limit``."""
    random = np.random.default_rng(seed)
    places = np.mgrid[-limit : limit + 1, -limit : limit + 1, -limit : limit + 1].reshape(3, -1).T
    return tuple((int(h), int(k), int(el), random.uniform(5, 150)) for h, k, el in places)


def whole(model: Model) -> Tile:
    """Return the tile that is the whole detector."""
    return Tile(0, model.n_slow, 0, model.n_fast)


def evaluated(model: Model, tile: Tile) -> NDArray[np.bool_]:
    """Return True where ROI and mask let a pixel be evaluated."""
    slow, fast = np.mgrid[tile.slow0 : tile.slow1, tile.fast0 : tile.fast1]
    slow0, slow1, fast0, fast1 = model.roi
    todo = (slow >= slow0) & (slow <= slow1) & (fast >= fast0) & (fast <= fast1)
    if model.mask is not None:
        todo &= model.mask.read(*tile.bounds)
    return np.asarray(todo)


def tile_sum(model: Model, kernel: Kernel, tile: Tile, ranges: list[StepRange]) -> Partial:
    """Return the merged sum of some step ranges of a tile."""
    todo = evaluated(model, tile)
    result = kernel.partial(model, tile, ranges[0], todo)
    for steps in ranges[1:]:
        result = merge(result, kernel.partial(model, tile, steps, todo))
    return result


def tile_image(
    model: Model,
    kernel: Kernel | None = None,
    tile: Tile | None = None,
    ranges: list[StepRange] | None = None,
) -> NDArray[np.float32]:
    """Return finished pixels of a tile, straight from a kernel."""
    kernel = kernel or ReferenceKernel()
    tile = tile or whole(model)
    ranges = ranges or [StepRange(0, model.n_steps)]
    total = tile_sum(model, kernel, tile, ranges)
    image = kernel.finish(model, tile, total, evaluated(model, tile))
    return patch_carry_over(model, kernel, tile, image)


def image_of(experiment: Experiment, kernel: Kernel | None = None) -> NDArray[np.float32]:
    """Return the whole image of an experiment, straight from a kernel."""
    return tile_image(build_model(experiment), kernel)


def deviation(ours: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return the worst pointwise relative deviation, with a floor of 1e-6 of the maximum."""
    assert ours.shape == reference.shape
    reference = reference.astype(np.float64)
    scale = np.maximum(np.abs(reference), 1e-6 * np.abs(reference).max())
    if not scale.any():
        return float(np.abs(ours).max())
    return float(np.max(np.abs(ours - reference) / scale))


def ulps(a: NDArray[np.float32], b: NDArray[np.float32]) -> int:
    """Return the largest distance of two float32 arrays in units of the last place."""
    assert a.dtype == b.dtype == np.float32
    assert a.shape == b.shape
    assert (a >= 0).all()
    assert (b >= 0).all()
    return int(np.abs(a.view(np.int32).astype(np.int64) - b.view(np.int32)).max())


def golden_cases() -> dict[str, str]:
    """Return the project's own golden cases: name -> nanoBragg argument string."""
    cases: dict[str, str] = json.loads((GOLDEN / "cases.json").read_text())
    return cases
